//! What the agent writes. Each function is one transaction; the caller decides what is worth writing.

use backupwatch_core::{HostTime, Udid};
use rusqlite::params;
use serde::Serialize;

use super::{State, StateError};

/// Of the JSON in `devices.remembered`, `observations.body`, `runs.body` and `checks.body`. Raised when their shape changes in a way
/// that an old reader would misread; what has another number is not read.
pub const BODY_SCHEMA: i64 = 1;

impl State {
    /// Replaces what is remembered of one device.
    pub fn remember<T: Serialize>(
        &self,
        udid: &Udid,
        seen: HostTime,
        remembered: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(remembered)?;
        self.execute(
            "INSERT INTO devices (udid, last_seen, schema, remembered) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (udid) DO UPDATE SET last_seen = ?2, schema = ?3, remembered = ?4",
            params![udid.as_str(), seen.0.as_millisecond(), BODY_SCHEMA, json],
        )
    }

    /// Adds what one contact told.
    pub fn observe<T: Serialize>(
        &self,
        udid: &Udid,
        at: HostTime,
        observation: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(observation)?;
        self.execute(
            "INSERT INTO observations (udid, at, schema, body) VALUES (?1, ?2, ?3, ?4)",
            params![udid.as_str(), at.0.as_millisecond(), BODY_SCHEMA, json],
        )
    }

    /// Adds a run that ended.
    pub fn add_run<T: Serialize>(
        &self,
        udid: &Udid,
        started: HostTime,
        ended: HostTime,
        outcome: &str,
        report: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(report)?;
        self.execute(
            "INSERT INTO runs (udid, started, ended, outcome, schema, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                udid.as_str(),
                started.0.as_millisecond(),
                ended.0.as_millisecond(),
                outcome,
                BODY_SCHEMA,
                json
            ],
        )
    }

    /// Adds a later look at a backup.
    pub fn add_check<T: Serialize>(
        &self,
        udid: &Udid,
        at: HostTime,
        check: &T,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(check)?;
        self.execute(
            "INSERT INTO checks (udid, at, schema, body) VALUES (?1, ?2, ?3, ?4)",
            params![udid.as_str(), at.0.as_millisecond(), BODY_SCHEMA, json],
        )
    }

    /// Adds a notice, whether or not a desktop will show it.
    pub fn add_notice(
        &self,
        udid: Option<&Udid>,
        at: HostTime,
        level: &str,
        title: &str,
        body: &str,
    ) -> Result<(), StateError> {
        self.execute(
            "INSERT INTO notices (udid, at, level, title, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                udid.map(Udid::as_str),
                at.0.as_millisecond(),
                level,
                title,
                body
            ],
        )
    }

    /// The agent looked at everything that is attached.
    pub fn polled(&self, at: HostTime) -> Result<(), StateError> {
        self.execute(
            "INSERT INTO agent (key, value) VALUES ('last_poll', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
            params![at.0.as_millisecond()],
        )
    }

    /// Keeps a word about this installation, such as the identity of the store.
    pub fn keep(&self, key: &str, value: &str) -> Result<(), StateError> {
        self.execute(
            "INSERT INTO agent (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )
    }

    /// Runs several writes as one, so that the disk is waited for once.
    pub fn together(
        &self,
        writes: impl FnOnce(&Self) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.execute("BEGIN IMMEDIATE", ())?;
        let written = writes(self).and_then(|()| self.execute("COMMIT", ()));
        if written.is_err() {
            // The first error is the one that counts; after some of them SQLite has rolled back by itself.
            let _rolled_back = self.execute("ROLLBACK", ());
        }
        written
    }

    pub(super) fn execute(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<(), StateError> {
        let run = || {
            self.connection
                .prepare_cached(sql)?
                .execute(params)
                .map(drop)
        };
        run().map_err(|source| self.failed(source))
    }
}
