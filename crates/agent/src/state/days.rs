//! What a timeline needs of the observations, without reading thousands of documents for it.

use backupwatch_core::{HostTime, Udid};
use jiff::Timestamp;
use rusqlite::params;

use super::read::time;
use super::write::BODY_SCHEMA;
use super::{State, StateError};

impl State {
    /// The first and the last contact of each day that had one, oldest first. Days are those of a place at `utc_offset_s`.
    pub fn contacts(
        &self,
        udid: &Udid,
        since: HostTime,
        utc_offset_s: i32,
    ) -> Result<Vec<(HostTime, HostTime)>, StateError> {
        let sql = "SELECT min(at), max(at) FROM observations WHERE udid = ?1 AND at >= ?2
                   GROUP BY (at + ?3) / 86400000 ORDER BY 1";
        let offset_ms = i64::from(utc_offset_s) * 1000;
        let params = params![udid.as_str(), since.0.as_millisecond(), offset_ms];
        self.rows(sql, params, |row| Ok(time(row, 0)?.zip(time(row, 1)?)))
    }

    /// Each date of an iCloud backup that the device has told since, oldest first.
    pub fn cloud_dates(&self, udid: &Udid, since: HostTime) -> Result<Vec<Timestamp>, StateError> {
        let sql = "SELECT DISTINCT CASE WHEN json_valid(body) THEN json_extract(body, '$.facts.cloud_last.Ok') END AS date
                   FROM observations WHERE udid = ?1 AND at >= ?2 AND schema = ?3 AND date IS NOT NULL ORDER BY date";
        let params = params![udid.as_str(), since.0.as_millisecond(), BODY_SCHEMA];
        self.rows(sql, params, |row| {
            let date = row.get_ref(0)?.as_str().ok();
            Ok(date.and_then(|date| date.parse().ok()))
        })
    }
}
