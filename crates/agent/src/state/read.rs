//! What is read back: by the agent at its start, and by commands while no agent is up. Rows that this release cannot
//! read (another schema number, damaged JSON) are left out and counted in the log; they never stop a start.

use backupwatch_core::{HostTime, Udid};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::write::BODY_SCHEMA;
use super::{State, StateError};

/// The schema that brought the looks at backups.
const CHECKS_SINCE: i64 = 2;

/// What is remembered of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device<T> {
    /// Which.
    pub udid: Udid,
    /// When it last answered.
    pub last_seen: HostTime,
    /// What the watcher remembered.
    pub remembered: T,
}

/// What one contact told.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationRow<T> {
    /// By which device.
    pub udid: Udid,
    /// When.
    pub at: HostTime,
    /// What.
    pub body: T,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow<T> {
    /// Of which device.
    pub udid: Udid,
    /// Its stable code.
    pub outcome: String,
    /// All of it.
    pub report: T,
}

/// A notice that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// About which device, if about one.
    pub udid: Option<Udid>,
    /// When.
    pub at: HostTime,
    /// How loud.
    pub level: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
}

/// What is known about the agent itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// When it last looked at everything that is attached.
    pub last_poll: Option<HostTime>,
}

impl State {
    /// Every device that is remembered, the last seen first.
    pub fn devices<T: DeserializeOwned>(&self) -> Result<Vec<Device<T>>, StateError> {
        let sql =
            "SELECT udid, schema, remembered, last_seen FROM devices ORDER BY last_seen DESC, udid";
        let rows = self.rows(sql, (), |row| {
            let Some((udid, remembered)) = keyed_json(row)? else {
                return Ok(None);
            };
            let Some(last_seen) = time(row, 3)? else {
                return Ok(None);
            };
            Ok(Some(Device {
                udid,
                last_seen,
                remembered,
            }))
        })?;
        Ok(rows)
    }

    /// The newest observations of a device, newest first.
    pub fn observations<T: DeserializeOwned>(
        &self,
        udid: &Udid,
        limit: u32,
    ) -> Result<Vec<ObservationRow<T>>, StateError> {
        let sql = "SELECT udid, schema, body, at FROM observations WHERE udid = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.rows(sql, params![udid.as_str(), limit], |row| {
            let Some((udid, body)) = keyed_json(row)? else {
                return Ok(None);
            };
            let Some(at) = time(row, 3)? else {
                return Ok(None);
            };
            Ok(Some(ObservationRow { udid, at, body }))
        })
    }

    /// The newest runs, of one device or of all, newest first.
    pub fn runs<T: DeserializeOwned>(
        &self,
        udid: Option<&Udid>,
        limit: u32,
    ) -> Result<Vec<RunRow<T>>, StateError> {
        let sql = "SELECT udid, schema, body, outcome FROM runs
                   WHERE ?1 IS NULL OR udid = ?1 ORDER BY ended DESC, id DESC LIMIT ?2";
        self.rows(sql, params![udid.map(Udid::as_str), limit], |row| {
            let Some((udid, report)) = keyed_json(row)? else {
                return Ok(None);
            };
            Ok(Some(RunRow {
                udid,
                outcome: row.get(3)?,
                report,
            }))
        })
    }

    /// The newest later looks at backups, of one device or of all, newest first.
    pub fn checks<T: DeserializeOwned>(
        &self,
        udid: Option<&Udid>,
        limit: u32,
    ) -> Result<Vec<T>, StateError> {
        if self.schema()? < CHECKS_SINCE {
            // What an older agent wrote, and no newer one has opened since.
            return Ok(Vec::new());
        }
        let sql = "SELECT udid, schema, body FROM checks
                   WHERE ?1 IS NULL OR udid = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.rows(sql, params![udid.map(Udid::as_str), limit], |row| {
            Ok(keyed_json(row)?.map(|(_, check)| check))
        })
    }

    /// The newest notices, about one device or all, newest first.
    pub fn notices(&self, udid: Option<&Udid>, limit: u32) -> Result<Vec<NoticeRow>, StateError> {
        let sql = "SELECT udid, at, level, title, body FROM notices
                   WHERE ?1 IS NULL OR udid = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.rows(sql, params![udid.map(Udid::as_str), limit], |row| {
            let udid = row.get_ref(0)?.as_str_or_null()?.map(Udid::parse);
            let (Ok(udid), Some(at)) = (udid.transpose(), time(row, 1)?) else {
                return Ok(None);
            };
            Ok(Some(NoticeRow {
                udid,
                at,
                level: row.get(2)?,
                title: row.get(3)?,
                body: row.get(4)?,
            }))
        })
    }

    /// What is known about the agent itself.
    pub fn agent(&self) -> Result<AgentFacts, StateError> {
        let sql = "SELECT value FROM agent WHERE key = 'last_poll' AND typeof(value) = 'integer'";
        let read = || {
            self.connection
                .prepare_cached(sql)?
                .query_row((), |row| time(row, 0))
                .optional()
        };
        let last_poll = read().map_err(|source| self.failed(source))?.flatten();
        Ok(AgentFacts { last_poll })
    }

    /// A word about this installation that was kept before.
    pub fn kept(&self, key: &str) -> Result<Option<String>, StateError> {
        let sql = "SELECT value FROM agent WHERE key = ?1 AND typeof(value) = 'text'";
        let read = || {
            self.connection
                .prepare_cached(sql)?
                .query_row((key,), |row| row.get(0))
                .optional()
        };
        read().map_err(|source| self.failed(source))
    }

    /// Runs a query; rows that are `None` are counted and left out.
    pub(super) fn rows<R>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<R>>,
    ) -> Result<Vec<R>, StateError> {
        let run = || -> rusqlite::Result<Vec<Option<R>>> {
            self.connection
                .prepare_cached(sql)?
                .query_map(params, read)?
                .collect()
        };
        let rows = run().map_err(|source| self.failed(source))?;
        let all = rows.len();
        let readable: Vec<R> = rows.into_iter().flatten().collect();
        if readable.len() < all {
            tracing::warn!(
                left_out = all - readable.len(),
                "the state has rows that this release cannot read"
            );
        }
        Ok(readable)
    }
}

/// Columns 0 to 2: the device, the schema number of the JSON, the JSON. `None` when this release cannot read it.
pub(super) fn keyed_json<T: DeserializeOwned>(
    row: &Row<'_>,
) -> rusqlite::Result<Option<(Udid, T)>> {
    let schema: i64 = row.get(1)?;
    if schema != BODY_SCHEMA {
        return Ok(None);
    }
    let udid = Udid::parse(row.get_ref(0)?.as_str()?).ok();
    let body = serde_json::from_str(row.get_ref(2)?.as_str()?).ok();
    Ok(udid.zip(body))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<HostTime>> {
    let milliseconds: i64 = row.get(column)?;
    Ok(Timestamp::from_millisecond(milliseconds).ok().map(HostTime))
}
