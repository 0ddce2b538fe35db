//! What happened, newest first: backup runs, later looks at backups, programs after them, and notices, from the state. Every notice is here, also those that no desktop
//! has shown.

use backupwatch_core::run::RunReport;
use backupwatch_core::{HostTime, Udid};

use crate::api::words::{History, HistoryEntry, NoticeEntry, SCHEMA};
use crate::errand::Run;
use crate::report;
use crate::state::{State, StateError};
use crate::verification::Verification;

/// More entries than this are never given at once.
pub const MOST: u32 = 1_000;

/// The newest `limit` entries (at most [`MOST`]), about one device or all.
pub fn history(
    state: &State,
    udid: Option<&Udid>,
    limit: u32,
    now: HostTime,
) -> Result<History, StateError> {
    let limit = limit.min(MOST);
    let runs = state.runs::<RunReport>(udid, limit)?;
    let notices = state.notices(udid, limit)?;
    let runs = runs
        .iter()
        .map(|row| HistoryEntry::Run(report::summary(&row.report)));
    let checks = state.checks::<Verification>(udid, limit)?;
    let checks = checks
        .iter()
        .map(|check| HistoryEntry::Verification(report::verification(check)));
    let programs = state.program_runs::<Run>(udid, limit)?;
    let programs = programs
        .iter()
        .map(|run| HistoryEntry::Program(report::program(run)));
    let notices = notices.into_iter().map(|row| {
        HistoryEntry::Notice(NoticeEntry {
            udid: row.udid.map(String::from),
            at: row.at.0,
            level: row.level,
            title: row.title,
            body: row.body,
        })
    });
    let mut entries: Vec<HistoryEntry> =
        runs.chain(checks).chain(programs).chain(notices).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at()));
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(History {
        schema: SCHEMA,
        as_of: now.0,
        entries,
    })
}
