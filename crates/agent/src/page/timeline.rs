//! The last 90 days of one device: rows of the state become marks. How marks are drawn is not here.

use std::collections::BTreeSet;

use backupwatch_core::run::{RunEnd, RunReport};
use backupwatch_core::{HostTime, Period, Udid};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::diagnosis::{AttemptEntry, DiagnosisDocument};
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
        Ok(Self {
            contacts: state.contacts(udid, since, offset)?,
            dates: state.cloud_dates(udid, since)?,
            runs: runs.into_iter().map(|row| row.report).collect(),
            checks: state.checks(Some(udid), ROWS)?,
            notices: state.notices(Some(udid), ROWS)?,
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
    pub(super) fn of(
        rows: &Rows,
        diagnosis: &DiagnosisDocument,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Self {
        let begin = begin(now);
        let marks = rows.dates.iter().map(|date| Mark {
            at: *date,
            sort: Sort::Cloud,
            detail: String::new(),
        });
        let mut marks: Vec<Mark> = marks.collect();
        marks.extend(attempts(diagnosis, &rows.dates));
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
        ((seconds(at) - begin) / (end - begin).max(1.0)).clamp(0.0, 1.0)
    }
}

fn begin(now: Timestamp) -> Timestamp {
    let begin = now.checked_sub(jiff::SignedDuration::from_hours(24 * DAYS));
    begin.unwrap_or(Timestamp::MIN)
}

/// What the phone itself noted of its attempts. One that succeeded is known by its date already.
fn attempts(diagnosis: &DiagnosisDocument, dates: &[Timestamp]) -> Vec<Mark> {
    let heard = diagnosis.heard.iter();
    let heard = heard.filter_map(|heard| heard.attempt.as_ref());
    let known = |attempt: &AttemptEntry| {
        let apart = |date: &Timestamp| date.duration_since(attempt.at).abs().as_secs();
        attempt.ok && dates.iter().any(|date| apart(date) < SAME.as_seconds())
    };
    let mut seen = BTreeSet::new();
    let attempts = diagnosis.notes.attempts.iter().chain(heard);
    attempts
        .filter(|attempt| !known(attempt))
        .filter(|attempt| seen.insert(attempt.at))
        .map(|attempt| Mark {
            at: attempt.at,
            sort: match attempt.ok {
                true => Sort::Cloud,
                false => Sort::CloudFailed,
            },
            detail: attempt.errors.join(", "),
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{HeardEntry, NotesEntry};
    use backupwatch_core::run::{RunFailure, RunKind};
    use backupwatch_core::{Level, LocalCopy};

    const NOW: &str = "2026-11-22T10:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn diagnosis(attempts: Vec<AttemptEntry>, heard: Option<AttemptEntry>) -> DiagnosisDocument {
        DiagnosisDocument {
            schema: 1,
            as_of: at(NOW),
            device: String::new(),
            name: None,
            causes: Vec::new(),
            notes: NotesEntry {
                enabled: None,
                last: None,
                state: "read".to_owned(),
                words: String::new(),
                as_of: None,
                attempts,
                failures: None,
                missing_key_failures: None,
                retry_after: None,
                windows: None,
                upload_permille: None,
                largest: Vec::new(),
                total: None,
            },
            heard: heard.map(|attempt| HeardEntry {
                at: attempt.at,
                attempt: Some(attempt),
            }),
        }
    }

    fn attempt(when: &str, errors: &[&str]) -> AttemptEntry {
        AttemptEntry {
            at: at(when),
            ok: errors.is_empty(),
            errors: errors.iter().map(|&error| error.to_owned()).collect(),
            means: None,
            text: None,
            app: None,
        }
    }

    fn run(ended: &str, end: RunEnd) -> RunReport {
        RunReport {
            udid: Udid::parse("00008110-0000000000000001").unwrap(),
            started: HostTime(at(ended)),
            ended: HostTime(at(ended)),
            end,
            kind: RunKind::Full,
            bytes: 0,
            files: 0,
            refused: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn drawn(rows: &Rows, diagnosis: &DiagnosisDocument) -> Vec<String> {
        let past = Timeline::of(rows, diagnosis, at(NOW), &TimeZone::UTC);
        let line = |mark: &Mark| format!("{} {:?} {}", mark.at, mark.sort, mark.detail);
        past.marks.iter().map(line).collect()
    }

    #[test]
    fn rows_become_marks_newest_first() {
        let copy = LocalCopy {
            level: Level::L2,
            at: HostTime(at(NOW)),
            encrypted: true,
            bytes: 1,
            files: 1,
        };
        let rows = Rows {
            dates: vec![
                at("2026-08-20T10:00:00Z"),
                at("2026-09-25T20:11:00Z"),
                // A phone whose clock runs ahead.
                at("2026-12-01T00:00:00Z"),
            ],
            runs: vec![
                run("2026-11-20T09:00:00Z", RunEnd::Verified(copy)),
                run(
                    "2026-11-19T09:00:00Z",
                    RunEnd::Failed(RunFailure::PasscodeTimeout),
                ),
                run(
                    "2025-11-19T09:00:00Z",
                    RunEnd::Failed(RunFailure::Unplugged),
                ),
            ],
            ..Rows::default()
        };
        let noted = vec![
            attempt(
                "2026-11-21T02:00:00Z",
                &["MBErrorDomain 303", "CKErrorDomain 25"],
            ),
            // The same as the date that the phone told.
            attempt("2026-09-25T20:10:00Z", &[]),
            attempt("2026-09-20T20:10:00Z", &[]),
        ];
        // Heard live, and noted by the phone as well.
        let heard = attempt("2026-11-21T02:00:00Z", &["MBErrorDomain 303"]);
        assert_eq!(
            drawn(&rows, &diagnosis(noted, Some(heard))),
            [
                "2026-11-21T02:00:00Z CloudFailed MBErrorDomain 303, CKErrorDomain 25",
                "2026-11-20T09:00:00Z Local level L2, encrypted",
                "2026-11-19T09:00:00Z LocalFailed passcode timeout",
                "2026-09-25T20:11:00Z Cloud ",
                "2026-09-20T20:10:00Z Cloud ",
            ]
        );
    }

    #[test]
    fn days_of_contact_become_stretches() {
        let day = |first: &str, last: &str| (HostTime(at(first)), HostTime(at(last)));
        let contacts = [
            day("2026-11-01T08:00:00Z", "2026-11-01T22:00:00Z"),
            day("2026-11-02T07:00:00Z", "2026-11-02T07:00:00Z"),
            day("2026-11-04T07:00:00Z", "2026-11-04T09:00:00Z"),
        ];
        assert_eq!(
            stretches(&contacts, &TimeZone::UTC),
            [
                day("2026-11-01T08:00:00Z", "2026-11-02T07:00:00Z"),
                day("2026-11-04T07:00:00Z", "2026-11-04T09:00:00Z"),
            ]
        );
    }

    #[test]
    fn places_run_from_the_first_day_to_now() {
        let nothing = diagnosis(Vec::new(), None);
        let past = Timeline::of(&Rows::default(), &nothing, at(NOW), &TimeZone::UTC);
        for (moment, place) in [
            (past.begin, 0.0),
            (past.end, 1.0),
            (at("2026-10-08T10:00:00Z"), 0.5),
            (Timestamp::MIN, 0.0),
            (Timestamp::MAX, 1.0),
        ] {
            assert!((past.place(moment) - place).abs() < 1e-6, "{moment}");
        }
        // The ends of time are no reason to break.
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let past = Timeline::of(&Rows::default(), &nothing, now, &TimeZone::UTC);
            assert!((0.0..=1.0).contains(&past.place(now)), "{now}");
        }
    }
}
