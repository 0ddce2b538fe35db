//! One device's case: which attempts still count, what the last of them says, and what the circumstances say beside it.

use super::because::{End, Teller, Told, Week};
use super::matching::{Match, cause_of, repeated, succeeded};
use super::tables::{Certainty, Known, Tables};
use super::{Cause, Confidence};
use crate::evidence::{Attempt, Books, Evidence, Heard, Window};
use crate::facts::Facts;
use crate::past::{Past, device_now};
use crate::policy::CloudPolicy;
use crate::steps::StepId;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::Flag;

/// Less is too little to prepare a backup (`remediation.md` 2.4).
const DISK_LOW: u64 = 2_000_000_000;
/// An error of the phone that is older no longer speaks for today with certainty (ours).
const OLD_ERROR: Period = Period::days(7);
/// A retry is never further ahead (`remediation.md` 4.1).
const LONGEST_RETRY: Period = Period::days(7);
/// Causes of earlier attempts beside that of the last.
const EARLIER_CAUSES: usize = 2;
/// Our own backup keeps the phone from its own for about so long before its end (trap 13).
const OUR_RUN: Period = Period::hours(2);
/// A window that ended so shortly before a cancellation is the one that was cancelled.
const JUST_BEFORE: Period = Period::minutes(10);

/// A device's case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub past: &'a Past,
    pub evidence: &'a Evidence,
    pub policy: &'a CloudPolicy,
    pub now: &'a Now,
    pub tables: &'a Tables,
    /// What the verdict remarks.
    pub flags: &'a [Flag],
    pub tell: Teller<'a>,
}

impl<'a> Case<'a> {
    pub fn facts(&self) -> Option<&'a Facts> {
        self.past.facts.as_ref()
    }

    pub fn books(&self) -> Option<&'a Books> {
        self.evidence.books.as_ref()
    }

    /// The books, unless the phone has backed up since.
    pub fn open_books(&self) -> Option<&'a Books> {
        self.books().filter(|books| {
            self.settled()
                .is_none_or(|date| DeviceTime(books.at.0) > date)
        })
    }

    /// What was heard, unless the phone has backed up since.
    pub fn heard(&self) -> Option<&'a Heard> {
        self.evidence.heard.as_ref().filter(|heard| {
            self.settled()
                .is_none_or(|date| DeviceTime(heard.at.0) > date)
        })
    }

    /// The device's clock now, as well as we know.
    pub fn device_now(&self) -> DeviceTime {
        self.facts().map_or(DeviceTime(self.now.host.0), |facts| {
            device_now(facts).plus(self.now.host.since(facts.seen_at).or_zero())
        })
    }

    pub fn disk_low(&self) -> Option<bool> {
        let disk = self.facts()?.disk.as_ref().ok()?;
        Some(disk.free < DISK_LOW)
    }

    /// Errors up to here are settled: the phone has backed up since, or was restored, or iCloud Backup was begun anew.
    pub fn settled(&self) -> Option<DeviceTime> {
        let host = |at: HostTime| DeviceTime(at.0);
        [
            self.past.cloud_last,
            self.past.switched_on.map(host),
            self.past.set_up.map(|set_up| set_up.dates_before),
            self.books().and_then(|books| books.restored),
            self.books().and_then(|books| books.account_enabled),
        ]
        .into_iter()
        .flatten()
        .filter(|date| self.is_believable(*date))
        .max()
    }

    fn is_believable(&self, date: DeviceTime) -> bool {
        date <= self.device_now().plus(Period::days(1))
    }

    /// The failed attempts that are not settled, newest first.
    pub fn failures(&self) -> Vec<&'a Attempt> {
        let books = self.books().map_or(&[][..], |books| &books.attempts);
        let heard = self.evidence.heard.as_ref();
        let mut attempts: Vec<&Attempt> = books
            .iter()
            .chain(heard.and_then(|heard| heard.attempt.as_ref()))
            .filter(|attempt| self.is_believable(attempt.at))
            .collect();
        // What was heard comes last, so that of two at one moment the sort keeps it first.
        attempts.reverse();
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.at));
        let settled = self.settled();
        let mut seen = Vec::new();
        attempts
            .into_iter()
            .take_while(|attempt| {
                !succeeded(self.tables, attempt) && settled.is_none_or(|date| attempt.at > date)
            })
            .filter(|attempt| {
                // The one that was heard stands in the books as well, a moment apart.
                let twice = seen.iter().any(|(at, chain)| {
                    *chain == attempt.chain.first()
                        && attempt.at.since(*at).abs() < Period::minutes(2)
                });
                seen.push((attempt.at, attempt.chain.first()));
                !twice
            })
            .collect()
    }

    /// What the failed attempts say: the last one first, then what else failed earlier.
    pub fn by_attempts(&self, failures: &[&'a Attempt]) -> Vec<Cause> {
        let found: Vec<(&Attempt, Match<'_>)> = failures
            .iter()
            .filter_map(|attempt| {
                Some((*attempt, cause_of(self.tables, attempt, self.disk_low())?))
            })
            .collect();
        let Some(banned) = found.first().map(|(_, newest)| newest.banned) else {
            return self.by_counter().into_iter().collect();
        };
        let mut causes: Vec<Cause> = Vec::new();
        for (index, (attempt, matched)) in found.iter().enumerate() {
            let same = |other: &Match<'_>| other.cause.code == matched.cause.code;
            if found.iter().take(index).any(|(_, earlier)| same(earlier)) {
                continue;
            }
            let count = found.iter().filter(|(_, other)| same(other)).count();
            let mut cause = self.by_attempt(attempt, matched, index == 0, count);
            forbid(&mut cause, matched.banned);
            forbid(&mut cause, banned);
            causes.push(cause);
        }
        if let Some(mut cause) = self.by_counter()
            && !causes.iter().any(|other| other.code == cause.code)
        {
            forbid(&mut cause, banned);
            causes.retain(|other| other.code != "missing_key");
            causes.push(cause);
        }
        causes.truncate(1 + EARLIER_CAUSES);
        causes
    }

    fn by_attempt(
        &self,
        attempt: &Attempt,
        matched: &Match<'_>,
        newest: bool,
        count: usize,
    ) -> Cause {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let counted = matched
            .row
            .and_then(|row| row.repeated.as_ref()?.counter)
            .map_or(count, |_| count.max(self.missing_key_failures()));
        let known = repeated(matched, counted).unwrap_or(matched.cause);
        let old = self.device_now().since(attempt.at) > OLD_ERROR;
        let confidence = if known.vague || !newest {
            Confidence::Possible
        } else if matched.certainty < Certainty::B26 || old || self.has_room_for(known) {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        let mut because = self.tell.attempt(&Told {
            attempt,
            newest,
            title: &known.title,
            means: if known.code == matched.cause.code {
                matched.means()
            } else {
                &known.means
            },
            number: matched.number(attempt),
            before: counted.saturating_sub(1),
        });
        because += &self.beside(attempt, matched, known);
        Cause {
            error: matched.error.filter(|error| !error.is_nameless()).cloned(),
            app: attempt
                .app
                .clone()
                .filter(|_| known.code == "app_unreadable"),
            says: attempt
                .text
                .clone()
                .filter(|_| known.code == "unknown_error"),
            wait_until: self.retry_after().filter(|_| known.wait),
            ..self.cause(known, confidence, because)
        }
    }

    /// Room was made on the device since, or there was some all the time.
    fn has_room_for(&self, known: &Known) -> bool {
        known.code == "phone_full" && self.disk_low() == Some(false)
    }

    /// What else is known that belongs to this cause.
    fn beside(&self, attempt: &Attempt, matched: &Match<'_>, known: &Known) -> String {
        let mut words = String::new();
        if known.code == "icloud_full"
            && let Some(books) = self.books()
        {
            words += &self.tell.largest(books);
        }
        if let Some(app) = attempt
            .app
            .as_deref()
            .filter(|_| known.code == "app_unreadable")
        {
            words += &format!("; the app is {app}");
        }
        if known.code == "interrupted" {
            if let Some(end) = self
                .cut_short(attempt)
                .filter(|_| matched.row.is_some_and(|row| row.wrapper))
            {
                words += &format!("; {}", end.words());
            }
            if self.was_ours(attempt) {
                words += "; a backup to this computer was running at that time";
            }
            if let Some(week) = self.books().and_then(Week::of) {
                words += &format!("; {}", self.tell.week(&week));
            }
        }
        if known.code == "phone_full"
            && let Some(room) = self.facts().and_then(|facts| self.tell.room(facts))
        {
            words += &format!("; it {room}");
        }
        if known.update {
            words += &self.tell.version(self.facts());
        }
        words
    }

    /// What ended the window in which an attempt was cancelled.
    fn cut_short(&self, attempt: &Attempt) -> Option<End> {
        let windows = self.books()?.windows.as_ref()?;
        let ended_then = |window: &&Window| {
            let end = window.start.plus(window.length);
            window.start <= attempt.at && attempt.at.since(end) <= JUST_BEFORE
        };
        windows.iter().rfind(ended_then).and_then(End::of)
    }

    fn was_ours(&self, attempt: &Attempt) -> bool {
        self.past.copy.as_ref().is_some_and(|copy| {
            let before = DeviceTime(copy.at.0).since(attempt.at);
            (Period::minutes(-5)..=OUR_RUN).contains(&before)
        })
    }

    fn missing_key_failures(&self) -> u32 {
        self.open_books()
            .and_then(|books| books.missing_key_failures)
            .unwrap_or(0)
    }

    /// The phone counts missing keys itself, also where the attempts are no longer listed.
    fn by_counter(&self) -> Option<Cause> {
        let books = self.open_books()?;
        let count = books.missing_key_failures?;
        let row = self.tables.errors.iter().find(|row| {
            row.repeated
                .as_ref()
                .is_some_and(|repeated| repeated.counter.is_some())
        })?;
        let repeated = row
            .repeated
            .as_ref()
            .filter(|repeated| count >= repeated.at)?;
        let known = self.tables.cause(&repeated.cause)?;
        let because = format!(
            "because this {} had counted {count} attempts without the keys to some files by {}",
            self.tell.noun,
            self.tell.day(DeviceTime(books.at.0)),
        );
        Some(self.cause(known, Confidence::Likely, because))
    }

    /// When the phone wants to try again, if it says so and has not reached it.
    pub fn retry_after(&self) -> Option<DeviceTime> {
        let now = self.device_now();
        self.open_books()?
            .retry_after
            .filter(|date| *date > now && *date <= now.plus(LONGEST_RETRY))
    }

    pub fn cause(&self, known: &Known, confidence: Confidence, because: String) -> Cause {
        let never = known.all_never();
        let mut advice = self.tell.fill(&known.advice);
        if known.update && self.flags.contains(&Flag::BetaOs) {
            advice.push_str(" It runs a beta of iOS, which may be all that is wrong.");
        }
        Cause {
            code: known.code.clone(),
            title: self.tell.fill(&known.title),
            confidence,
            because,
            error: None,
            app: None,
            says: None,
            advice: advice.trim().to_owned(),
            hard: known.hard,
            steps: known
                .all_steps()
                .into_iter()
                .filter(|step| !never.contains(step))
                .collect(),
            never,
            wait_until: None,
        }
    }
}

/// Takes steps away from a cause.
pub(super) fn forbid(cause: &mut Cause, steps: &[StepId]) {
    cause.steps.retain(|step| !steps.contains(step));
    cause.never.extend(steps);
    cause.never.sort_unstable();
    cause.never.dedup();
}
