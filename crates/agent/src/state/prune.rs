//! Keeps the file bounded whatever happens outside: years of polling, or a usbmuxd that invents devices.

use backupwatch_core::HostTime;
use rusqlite::params;

use super::{State, StateError};

/// Observations of one device.
const OBSERVATIONS_PER_DEVICE: i64 = 2_000;
/// The newest of them, that are all kept: ten days of a poll every quarter of an hour. Of each day before, the last one is, so that
/// a timeline of months has room.
const OBSERVATIONS_KEPT_WHOLE: i64 = 1_000;
/// Runs of one device: years of a run a day.
const RUNS_PER_DEVICE: i64 = 1_000;
/// Later looks at the backups of one device, and runs of the program after them.
const CHECKS_PER_DEVICE: i64 = 500;
/// Notices of all devices.
const NOTICES: i64 = 5_000;
/// Devices; a repair shop sees some hundred.
const DEVICES: i64 = 5_000;

impl State {
    /// Deletes what is over the bounds, and what is older than `oldest` besides the last of each kind.
    pub fn prune(&mut self, oldest: HostTime) -> Result<(), StateError> {
        let path = self.path.clone();
        let fail = |source| StateError::Sqlite {
            path: path.clone(),
            source,
        };
        let oldest = oldest.0.as_millisecond();
        let transaction = self.connection.transaction().map_err(fail)?;
        transaction
            .execute(
                "DELETE FROM observations WHERE id IN (
                     SELECT id FROM (
                         SELECT id, row_number() OVER (PARTITION BY udid ORDER BY at DESC, id DESC) AS n,
                             row_number() OVER (PARTITION BY udid, at / 86400000 ORDER BY at DESC, id DESC) AS of_day
                         FROM observations)
                     WHERE n > ?1 AND of_day > 1)",
                params![OBSERVATIONS_KEPT_WHOLE],
            )
            .map_err(fail)?;
        let statements = [
            ("observations", "at", OBSERVATIONS_PER_DEVICE),
            ("runs", "ended", RUNS_PER_DEVICE),
            ("checks", "at", CHECKS_PER_DEVICE),
            ("program_runs", "at", CHECKS_PER_DEVICE),
        ];
        for (table, time, kept) in statements {
            let sql = format!(
                "DELETE FROM {table} WHERE id IN (
                     SELECT id FROM (
                         SELECT id, {time} AS at, row_number() OVER (PARTITION BY udid ORDER BY {time} DESC, id DESC) AS n
                         FROM {table})
                     WHERE n > ?1 OR (n > 1 AND at < ?2))"
            );
            transaction
                .execute(&sql, params![kept, oldest])
                .map_err(fail)?;
        }
        transaction
            .execute(
                "DELETE FROM notices WHERE at < ?2
                 OR id NOT IN (SELECT id FROM notices ORDER BY at DESC, id DESC LIMIT ?1)",
                params![NOTICES, oldest],
            )
            .map_err(fail)?;
        transaction
            .execute(
                "DELETE FROM devices WHERE udid NOT IN
                 (SELECT udid FROM devices ORDER BY last_seen DESC, udid LIMIT ?1)",
                params![DEVICES],
            )
            .map_err(fail)?;
        for table in ["observations", "runs", "checks", "program_runs", "told"] {
            transaction
                .execute(
                    &format!("DELETE FROM {table} WHERE udid NOT IN (SELECT udid FROM devices)"),
                    (),
                )
                .map_err(fail)?;
        }
        transaction.commit().map_err(fail)
    }
}
