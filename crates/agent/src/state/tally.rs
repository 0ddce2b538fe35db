//! What the runs of a device come to, without reading them all into memory.

use backupwatch_core::{HostTime, Udid};
use rusqlite::params;

use super::read::time;
use super::write::BODY_SCHEMA;
use super::{State, StateError};

/// Runs that are looked through for the last good one.
const LOOKED_THROUGH: u32 = 100;
/// A run that ended well, by its code.
const GOOD: &str = "verified";
/// One that a person stopped: neither good nor a failure.
const STOPPED: &str = "cancelled";

/// What the runs of one device come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// How many have ended since the given moment, by their code.
    pub outcomes: Vec<(String, u64)>,
    /// Bytes that these have received.
    pub received: f64,
    /// How many have failed since the last good one, up to 100.
    pub failures_in_a_row: u64,
    /// The last one.
    pub last: Option<LastRun>,
}

/// The last run of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    /// Its first moment.
    pub started: HostTime,
    /// Its last moment.
    pub ended: HostTime,
    /// Whether it ended well.
    pub is_verified: bool,
    /// Bytes that it received, where this release can tell.
    pub received: Option<f64>,
}

/// Bytes of a run; nothing where its JSON is not for this release.
const RECEIVED: &str =
    "CASE WHEN schema = ?2 AND json_valid(body) THEN CAST(body ->> '$.bytes' AS REAL) END";

impl State {
    /// What the runs of a device come to; the counts are of those that ended at `since` or later.
    pub fn tally(&self, udid: &Udid, since: HostTime) -> Result<Tally, StateError> {
        let sql = format!(
            "SELECT outcome, COUNT(*), TOTAL({RECEIVED}) FROM runs
             WHERE udid = ?1 AND ended >= ?3 GROUP BY outcome ORDER BY outcome"
        );
        let since = since.0.as_millisecond();
        let counted: Vec<(String, i64, f64)> =
            self.rows(&sql, params![udid.as_str(), BODY_SCHEMA, since], |row| {
                Ok(Some((row.get(0)?, row.get(1)?, row.get(2)?)))
            })?;
        let sql = format!(
            "SELECT outcome, started, ended, {RECEIVED} FROM runs
             WHERE udid = ?1 ORDER BY ended DESC, id DESC LIMIT ?3"
        );
        let newest: Vec<(String, Option<LastRun>)> = self.rows(
            &sql,
            params![udid.as_str(), BODY_SCHEMA, LOOKED_THROUGH],
            |row| {
                let outcome: String = row.get(0)?;
                let last = match (time(row, 1)?, time(row, 2)?) {
                    (Some(started), Some(ended)) => Some(LastRun {
                        started,
                        ended,
                        is_verified: outcome == GOOD,
                        received: row.get(3)?,
                    }),
                    (None, _) | (_, None) => None,
                };
                Ok(Some((outcome, last)))
            },
        )?;
        let bad = newest.iter().take_while(|(outcome, _)| outcome != GOOD);
        let bad = bad.filter(|(outcome, _)| outcome != STOPPED).count();
        Ok(Tally {
            received: counted.iter().map(|(_, _, bytes)| bytes).sum(),
            outcomes: counted
                .into_iter()
                .map(|(outcome, count, _)| (outcome, count.unsigned_abs()))
                .collect(),
            failures_in_a_row: u64::try_from(bad).unwrap_or(u64::MAX),
            last: newest.into_iter().next().and_then(|(_, last)| last),
        })
    }
}
