//! What facts, windows and the phone's own scheduler say where no error does, and what is left when nothing says anything.

use super::because::Week;
use super::case::{Case, forbid};
use super::{Cause, Confidence};
use crate::facts::Setup;
use crate::past::device_now;
use crate::time::{DeviceTime, Period};
use crate::words;

/// No backup fits into less, not even that of a day's changes (ours).
const LONG_ENOUGH: Period = Period::minutes(30);
/// Charge below which a phone that is not on a charger puts everything off.
const BATTERY_LOW: u8 = 20;
/// What was heard or seen of a moment says nothing later (ours).
const OLD_MOMENT: Period = Period::days(2);
/// Clocks further apart break safe connections (trap 9).
const CLOCKS_APART: Period = Period::days(1);
/// An upload that has not grown for so long is none any more.
const UPLOAD_STALLED: Period = Period::days(1);

impl<'a> Case<'a> {
    /// Only what waiting will not cure: a fresh date needs no other explanation.
    pub fn hard_ones(&self) -> Vec<Cause> {
        let mut causes = self.attempts();
        causes.retain(|cause| cause.hard);
        causes
    }

    /// What the phone itself reports.
    pub fn attempts(&self) -> Vec<Cause> {
        let mut causes = self.by_attempts(&self.failures());
        if let Some(forbidden) = self.forbidden() {
            // Heard is as good as noted: the ban of code 22 holds for whatever else went wrong.
            for cause in &mut causes {
                forbid(cause, &forbidden.never);
            }
            causes.insert(0, forbidden);
        }
        causes
    }

    /// What the phone itself reports while it has its time, and that its first upload is on its way.
    pub fn while_waiting(&self) -> Vec<Cause> {
        let mut causes = self.attempts();
        // With a date before it, it is an upload like any other night's.
        causes.extend(self.uploading().filter(|_| self.past.cloud_last.is_none()));
        causes
    }

    /// Everything that speaks for a cause, or that nothing does.
    pub fn everything(&self) -> Vec<Cause> {
        let silent = self.failures().is_empty();
        let mut causes = self.attempts();
        causes.extend(self.uploading());
        // What was interrupted tells of its windows itself.
        let interrupted = causes.iter().any(|cause| cause.code == "interrupted");
        let circumstances = [
            self.phone_full(),
            self.clock_wrong(),
            self.short_windows().filter(|_| !interrupted),
            self.conditions_heard(),
            self.never_tried().filter(|_| silent),
            self.put_off().filter(|_| silent),
            self.battery_low(),
            self.nothing_due(),
        ];
        causes.extend(circumstances.into_iter().flatten());
        let is_guess = |cause: &Cause| cause.confidence == Confidence::Possible;
        if silent && causes.iter().all(is_guess) {
            causes.extend(self.unknown());
        }
        causes.extend(self.managed_maybe());
        causes
    }

    /// The switch explains everything, unless somebody else holds it.
    pub fn switched_off(&self) -> Vec<Cause> {
        let attempts = self.attempts();
        let seen = self
            .past
            .switched_off
            .or(self.facts().map(|facts| facts.seen_at));
        let on = seen
            .map(|seen| format!(" on {}", words::day(seen.0, self.now)))
            .unwrap_or_default();
        let because = format!(
            "because iCloud Backup was found switched off on this {}{on}",
            self.tell.noun
        );
        let mut off = self.named("switched_off", Confidence::Certain, because);
        if let (Some(off), Some(newest)) = (&mut off, self.failures().first()) {
            forbid(off, self.tables.banned(&newest.chain));
        }
        attempts
            .into_iter()
            .filter(|cause| cause.code == "managed")
            .chain(off)
            .collect()
    }

    pub fn setting_up(&self) -> Option<Cause> {
        let what = match self.facts()?.setup {
            Ok(Setup::Restoring) => "restored",
            Ok(Setup::InProgress | Setup::Done) | Err(_) => "set up",
        };
        let because = format!("because this {} is still being {what}", self.tell.noun);
        self.signed("setting_up", Confidence::Certain, because)
    }

    fn forbidden(&self) -> Option<Cause> {
        let heard = self.heard().filter(|heard| heard.forbidden)?;
        let because = format!(
            "because this {} said on {} that the organization that manages it forbids iCloud backups",
            self.tell.noun,
            words::day(heard.at.0, self.now)
        );
        self.signed("policy_forbids", Confidence::Certain, because)
    }

    fn uploading(&self) -> Option<Cause> {
        let (permille, at) = match (self.past.upload, self.books()) {
            (Some(upload), _) => (upload.permille, upload.grew),
            (None, Some(books)) => (books.upload?.permille, books.at),
            (None, None) => return None,
        };
        let settled = self
            .past
            .cloud_last
            .is_some_and(|last| last > DeviceTime(at.0));
        if settled || self.now.host.since(at) >= UPLOAD_STALLED {
            return None;
        }
        let which = match self.past.cloud_last {
            Some(_) => "a backup",
            None => "its first backup",
        };
        let because = format!(
            "because this {} was sending {which} to iCloud on {}, and {}% of it was there",
            self.tell.noun,
            words::day(at.0, self.now),
            permille / 10
        );
        self.named("first_upload", Confidence::Likely, because)
    }

    fn phone_full(&self) -> Option<Cause> {
        self.disk_low().filter(|low| *low)?;
        let room = self.tell.room(self.facts()?)?;
        let because = format!("because this {} {room}", self.tell.noun);
        self.signed("disk_low", Confidence::Likely, because)
    }

    fn clock_wrong(&self) -> Option<Cause> {
        let facts = self.facts()?;
        let apart = device_now(facts).since(DeviceTime(facts.seen_at.0)).abs();
        if apart <= CLOCKS_APART {
            return None;
        }
        let because = format!(
            "because the clocks of this {} and of this computer were {} apart on {}",
            self.tell.noun,
            words::lasting(apart),
            words::day(facts.seen_at.0, self.now)
        );
        self.named("clock_wrong", Confidence::Likely, because)
    }

    fn short_windows(&self) -> Option<Cause> {
        let week = Week::of(self.open_books()?)?;
        // None at all is another story: see `never_tried`.
        if week.count == 0 || week.longest >= LONG_ENOUGH {
            return None;
        }
        let because = format!("because {}", self.tell.week(&week));
        self.signed("short_windows", Confidence::Likely, because)
    }

    fn conditions_heard(&self) -> Option<Cause> {
        let heard = self
            .heard()
            .filter(|heard| self.now.host.since(heard.at) < OLD_MOMENT)?;
        let conditions = heard.conditions?;
        let on = words::day(heard.at.0, self.now);
        if !conditions.enabled {
            let because = format!(
                "because this {} said on {on} that iCloud Backup is switched off",
                self.tell.noun
            );
            return self.named("switched_off", Confidence::Likely, because);
        }
        // Whoever taps *Back Up Now* while we listen has unlocked it: being unlocked alone means nothing.
        let (missing, confidence) = match (conditions.on_wifi, conditions.on_power) {
            (false, false) => ("Wi-Fi and a charger", Confidence::Likely),
            (false, true) => ("Wi-Fi", Confidence::Likely),
            (true, false) => ("a charger", Confidence::Possible),
            (true, true) => return None,
        };
        let because = format!(
            "because this {} said on {on} that it waits for {missing}",
            self.tell.noun
        );
        self.signed("short_windows", confidence, because)
    }

    fn put_off(&self) -> Option<Cause> {
        let heard = self
            .heard()
            .filter(|heard| self.now.host.since(heard.at) < OLD_MOMENT);
        let until = self.retry_after();
        let because = match (heard.is_some_and(|heard| heard.put_off), until) {
            (_, Some(until)) => format!(
                "because this {} will not try again before {}",
                self.tell.noun,
                words::day_and_time(until.0, self.now)
            ),
            (true, None) => format!("because this {} put its next backup off", self.tell.noun),
            (false, None) => return None,
        };
        Some(Cause {
            wait_until: until,
            ..self.named("put_off", Confidence::Possible, because)?
        })
    }

    /// No error, no failure counted, and no chance to try: it is not broken, it was never asked to.
    fn never_tried(&self) -> Option<Cause> {
        let books = self.open_books()?;
        let counted = [books.failures, books.missing_key_failures];
        let tried_lately = books
            .attempts
            .iter()
            .any(|attempt| DeviceTime(books.at.0).since(attempt.at) < self.policy.stale);
        let week = Week::of(books).filter(|week| week.count == 0)?;
        if counted.iter().flatten().any(|count| *count > 0) || tried_lately {
            return None;
        }
        let because = format!("because {}", self.tell.week(&week));
        self.signed("never_tried", Confidence::Likely, because)
    }

    fn battery_low(&self) -> Option<Cause> {
        let facts = self.facts()?;
        let battery = facts.battery.as_ref().ok()?;
        let recent = self.now.host.since(facts.seen_at) < OLD_MOMENT;
        if battery.percent >= BATTERY_LOW || battery.on_power || !recent {
            return None;
        }
        let because = format!(
            "because the battery of this {} was at {}% and it was not charging",
            self.tell.noun, battery.percent
        );
        self.named("conditions", Confidence::Possible, because)
    }

    fn nothing_due(&self) -> Option<Cause> {
        let heard = self
            .heard()
            .filter(|heard| heard.nothing_due && self.now.host.since(heard.at) < OLD_MOMENT)?;
        let because = format!(
            "because this {} said on {} that it backed up recently",
            self.tell.noun,
            words::day(heard.at.0, self.now)
        );
        self.named("nothing_due", Confidence::Possible, because)
    }

    fn managed_maybe(&self) -> Option<Cause> {
        if self.facts()?.managed != Ok(true) {
            return None;
        }
        let because = format!(
            "because an organization manages this {}, and may forbid iCloud backups",
            self.tell.noun
        );
        self.named("managed_maybe", Confidence::Possible, because)
    }

    fn unknown(&self) -> Option<Cause> {
        let noun = self.tell.noun;
        let because = match self.open_books() {
            Some(books) => match books.failures.unwrap_or(0) {
                0 => format!(
                    "because what this {noun} had noted by {} names no error",
                    words::day(books.at.0, self.now)
                ),
                count => format!(
                    "because this {noun} had counted {count} failed attempts by {}, and does not say what went wrong",
                    words::day(books.at.0, self.now)
                ),
            },
            None => format!(
                "because nothing was read yet of what this {noun} notes about its iCloud backups"
            ),
        };
        self.signed("nothing_readable", Confidence::Possible, because)
    }

    fn named(&self, code: &str, confidence: Confidence, because: String) -> Option<Cause> {
        let known = self.tables.cause(code)?;
        Some(self.cause(known, confidence, because))
    }

    /// The cause that the table gives to a sign without a number.
    fn signed(&self, sign: &str, confidence: Confidence, because: String) -> Option<Cause> {
        let row = self.tables.sign(sign)?;
        self.named(&row.cause, confidence, because)
    }
}
