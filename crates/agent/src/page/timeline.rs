//! The last 90 days of one device: rows of the state become marks. How marks are drawn is not here.

use std::collections::BTreeSet;

use backupwatch_core::evidence::{Attempt, Evidence};
use backupwatch_core::run::{RunEnd, RunReport};
use backupwatch_core::watcher::Remembered;
use backupwatch_core::{HostTime, Period, Udid};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::report;
use crate::state::{NoticeRow, State, StateError};
use crate::verification::Verification;

/// How far back it goes.
pub(super) const DAYS: i64 = 90;
/// Runs, looks and notices that are read; a run a day is as many as fit.
const ROWS: u32 = 200;
/// The phone's own note of a backup and its date are one backup when they are as close as this.
const SAME: Period = Period::minutes(30);

/// What happened, as the state has it.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The first and the last contact of each day that had one.
    pub(super) contacts: Vec<(HostTime, HostTime)>,
    /// Each date of an iCloud backup that the phone has told.
    pub(super) dates: Vec<Timestamp>,
    pub(super) runs: Vec<RunReport>,
    pub(super) checks: Vec<Verification>,
    /// Newest first.
    pub(super) notices: Vec<NoticeRow>,
    pub(super) evidence: Evidence,
}

impl Rows {
    pub(super) fn read(
        state: &State,
        udid: &Udid,
        now: HostTime,
        zone: &TimeZone,
    ) -> Result<Self, StateError> {
        let since = HostTime(begin(now.0));
        let offset = now.0.to_zoned(zone.clone()).offset().seconds();
        let runs = state.runs(Some(udid), ROWS)?;
        let remembered = state.remembered::<Remembered>(udid)?;
        Ok(Self {
            contacts: state.contacts(udid, since, offset)?,
            dates: state.cloud_dates(udid, since)?,
            runs: runs.into_iter().map(|row| row.report).collect(),
            checks: state.checks(Some(udid), ROWS)?,
            notices: state.notices(Some(udid), ROWS)?,
            evidence: remembered.map(|one| one.evidence).unwrap_or_default(),
        })
    }
}

/// What a mark is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// An iCloud backup.
    Cloud,
    /// An attempt of it that failed.
    CloudFailed,
    /// A verified local backup.
    Local,
    /// A local backup that did not finish.
    LocalFailed,
    /// A local backup was found damaged.
    Damaged,
}

/// Something that happened at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Timestamp,
    pub(super) sort: Sort,
    /// Beside what `sort` says: the level, the code.
    pub(super) detail: String,
}

/// The marks, newest first, and the stretches of days on which the device was seen, oldest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
    pub(super) marks: Vec<Mark>,
    pub(super) seen: Vec<(HostTime, HostTime)>,
}

impl Timeline {
    pub(super) fn of(rows: &Rows, now: Timestamp, zone: &TimeZone) -> Self {
        let begin = begin(now);
        let marks = rows.dates.iter().map(|date| Mark {
            at: *date,
            sort: Sort::Cloud,
            detail: String::new(),
        });
        let mut marks: Vec<Mark> = marks.collect();
        marks.extend(attempts(&rows.evidence, &rows.dates));
        marks.extend(rows.runs.iter().map(run));
        let damaged = rows.checks.iter().filter(|check| !check.is_whole());
        marks.extend(damaged.map(|check| Mark {
            at: check.at.0,
            sort: Sort::Damaged,
            detail: String::new(),
        }));
        marks.retain(|mark| (begin..=now).contains(&mark.at));
        marks.sort_by_key(|mark| (std::cmp::Reverse(mark.at), mark.sort));
        marks.dedup();
        Self {
            begin,
            end: now,
            marks,
            seen: stretches(&rows.contacts, zone),
        }
    }

    /// Where a moment is, from 0 to 1.
    pub(super) fn place(&self, at: Timestamp) -> f64 {
        let seconds = |at: Timestamp| at.as_second() as f64;
        let (begin, end) = (seconds(self.begin), seconds(self.end));
        ((seconds(at) - begin) / (end - begin)).clamp(0.0, 1.0)
    }
}

fn begin(now: Timestamp) -> Timestamp {
    let begin = now.checked_sub(jiff::SignedDuration::from_hours(24 * DAYS));
    begin.unwrap_or(Timestamp::MIN)
}

/// What the phone itself noted of its attempts. One that succeeded is known by its date already.
fn attempts(evidence: &Evidence, dates: &[Timestamp]) -> Vec<Mark> {
    let books = evidence.books.iter().flat_map(|books| &books.attempts);
    let heard = evidence
        .heard
        .iter()
        .filter_map(|heard| heard.attempt.as_ref());
    let known = |attempt: &Attempt| {
        let near = |date: &Timestamp| {
            let apart = date.duration_since(attempt.at.0).abs();
            apart.as_secs() < SAME.as_seconds()
        };
        attempt.succeeded() && dates.iter().any(near)
    };
    let mut seen = BTreeSet::new();
    books
        .chain(heard)
        .filter(|attempt| !known(attempt))
        .filter(|attempt| seen.insert(attempt.at))
        .map(|attempt| Mark {
            at: attempt.at.0,
            sort: if attempt.succeeded() {
                Sort::Cloud
            } else {
                Sort::CloudFailed
            },
            detail: codes(attempt),
        })
        .collect()
}

/// `MBErrorDomain 303, CKErrorDomain 25`
pub(super) fn codes(attempt: &Attempt) -> String {
    let codes = attempt.chain.iter();
    let codes = codes.map(|error| format!("{} {}", error.domain, error.code));
    codes.collect::<Vec<_>>().join(", ")
}

fn run(run: &RunReport) -> Mark {
    let (sort, detail) = match &run.end {
        RunEnd::Verified(copy) => {
            let encrypted = if copy.encrypted { ", encrypted" } else { "" };
            (
                Sort::Local,
                format!("level {}{encrypted}", report::level(copy.level)),
            )
        }
        RunEnd::Failed(_) => (
            Sort::LocalFailed,
            report::outcome(&run.end).replace('_', " "),
        ),
    };
    Mark {
        at: run.ended.0,
        sort,
        detail,
    }
}

/// Days one after the other become one stretch.
fn stretches(contacts: &[(HostTime, HostTime)], zone: &TimeZone) -> Vec<(HostTime, HostTime)> {
    let date = |at: HostTime| -> Date { at.0.to_zoned(zone.clone()).date() };
    let mut out: Vec<(HostTime, HostTime)> = Vec::new();
    for (first, last) in contacts {
        match out.last_mut() {
            Some((_, end)) if date(*end).tomorrow().is_ok_and(|next| date(*first) <= next) => {
                *end = *last;
            }
            Some(_) | None => out.push((*first, *last)),
        }
    }
    out
}
