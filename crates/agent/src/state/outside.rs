//! What the state keeps for those outside: messages that wait, what was told, who was reached, and the program after a backup.

use backupwatch_core::{HostTime, Udid};
use rusqlite::{Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::keyed_json;
use super::write::BODY_SCHEMA;
use super::{State, StateError};

/// The schema that brought these tables.
const SINCE: i64 = 3;

impl State {
    /// Keeps a message until [`Self::forget_message`].
    pub fn keep_message<T: Serialize>(
        &self,
        hook: &str,
        event: &str,
        message: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(message)?;
        self.execute(
            "INSERT INTO outbox (hook, event, schema, body) VALUES (?1, ?2, ?3, ?4)",
            params![hook, event, BODY_SCHEMA, json],
        )
    }

    /// It was taken, or nobody will take it.
    pub fn forget_message(&self, hook: &str, event: &str) -> Result<(), StateError> {
        self.execute(
            "DELETE FROM outbox WHERE hook = ?1 AND event = ?2",
            params![hook, event],
        )
    }

    /// The messages that wait, each with its hook, in their order.
    pub fn messages<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, StateError> {
        self.since_outside(
            "SELECT hook, schema, body FROM outbox ORDER BY id",
            text_json,
        )
    }

    /// Replaces what was told of a device.
    pub fn tell<T: Serialize>(&self, udid: &Udid, told: &T) -> Result<(), StateError> {
        let json = serde_json::to_string(told)?;
        self.execute(
            "INSERT INTO told (udid, schema, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (udid) DO UPDATE SET schema = ?2, body = ?3",
            params![udid.as_str(), BODY_SCHEMA, json],
        )
    }

    /// What was told of each device.
    pub fn told<T: DeserializeOwned>(&self) -> Result<Vec<(Udid, T)>, StateError> {
        self.since_outside("SELECT udid, schema, body FROM told", keyed_json)
    }

    /// Replaces how one of them was reached.
    pub fn keep_contact<T: Serialize>(&self, hook: &str, contact: &T) -> Result<(), StateError> {
        let json = serde_json::to_string(contact)?;
        self.execute(
            "INSERT INTO contacts (hook, schema, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (hook) DO UPDATE SET schema = ?2, body = ?3",
            params![hook, BODY_SCHEMA, json],
        )
    }

    /// It is not configured any more.
    pub fn forget_contact(&self, hook: &str) -> Result<(), StateError> {
        self.execute("DELETE FROM contacts WHERE hook = ?1", params![hook])?;
        self.execute("DELETE FROM outbox WHERE hook = ?1", params![hook])
    }

    /// How each of them was reached.
    pub fn kept_contacts<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, StateError> {
        self.since_outside("SELECT hook, schema, body FROM contacts", text_json)
    }

    /// The program is to see this device's newest backup.
    pub fn owe(&self, udid: &Udid, at: HostTime) -> Result<(), StateError> {
        self.execute(
            "INSERT INTO owed (udid, at) VALUES (?1, ?2) ON CONFLICT (udid) DO UPDATE SET at = ?2",
            params![udid.as_str(), at.0.as_millisecond()],
        )
    }

    /// It has, or nobody wants it to.
    pub fn owe_no_more(&self, udid: &Udid) -> Result<(), StateError> {
        self.execute("DELETE FROM owed WHERE udid = ?1", params![udid.as_str()])
    }

    /// The devices whose newest backup it has not seen.
    pub fn owed(&self) -> Result<Vec<Udid>, StateError> {
        self.since_outside("SELECT udid FROM owed ORDER BY at, udid", |row| {
            Ok(Udid::parse(row.get_ref(0)?.as_str()?).ok())
        })
    }

    /// Adds a run of the program.
    pub fn add_program_run<T: Serialize>(
        &self,
        udid: &Udid,
        at: HostTime,
        run: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(run)?;
        self.execute(
            "INSERT INTO program_runs (udid, at, schema, body) VALUES (?1, ?2, ?3, ?4)",
            params![udid.as_str(), at.0.as_millisecond(), BODY_SCHEMA, json],
        )
    }

    /// The newest runs of the program, for one device or all, newest first.
    pub fn program_runs<T: DeserializeOwned>(
        &self,
        udid: Option<&Udid>,
        limit: u32,
    ) -> Result<Vec<T>, StateError> {
        if self.schema()? < SINCE {
            return Ok(Vec::new());
        }
        let sql = "SELECT udid, schema, body FROM program_runs
                   WHERE ?1 IS NULL OR udid = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.rows(sql, params![udid.map(Udid::as_str), limit], |row| {
            Ok(keyed_json(row)?.map(|(_, run)| run))
        })
    }

    /// An older agent's file has none of it.
    fn since_outside<R>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<R>>,
    ) -> Result<Vec<R>, StateError> {
        if self.schema()? < SINCE {
            return Ok(Vec::new());
        }
        self.rows(sql, (), read)
    }
}

/// Columns 0 to 2: a key, the schema number of the JSON, the JSON. `None` when this release cannot read it.
fn text_json<T: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<Option<(String, T)>> {
    let schema: i64 = row.get(1)?;
    if schema != BODY_SCHEMA {
        return Ok(None);
    }
    let key = row.get(0)?;
    let body = serde_json::from_str(row.get_ref(2)?.as_str()?).ok();
    Ok(body.map(|body| (key, body)))
}
