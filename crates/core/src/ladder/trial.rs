//! One step that a person took: what was so before it, which signs of it were seen, and how it ended.
//!
//! Signs are only recorded here, once each. The sign that counts is a date of an iCloud backup made after the step that
//! `judge` believes; everything else is shown and proves nothing.

use super::{Look, MOST_CAUSES, Mark};
use crate::diagnosis::is_failure;
use crate::evidence::{Attempt, ErrorCode};
use crate::facts::{Facts, NoAnswer, Setup};
use crate::past::{MORNING, device_now, end_of_next_night};
use crate::steps::StepId;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{CloudState, Flag, UnknownWhy};
use serde::{Deserialize, Serialize};

/// A step is often marked when it is long done. What came after the last look at the device came after the step, if that
/// look was no longer ago than this.
const MARKED_LATE: Period = Period::days(1);

/// Without a night that was seen here, this many more are waited for after the first.
const UNSEEN_NIGHTS: Period = Period::days(2);

/// Steps that wait for other people.
const OTHERS_TIME: Period = Period::days(7);

/// Less room than this comes and goes by itself.
const ROOM: u64 = 500_000_000;

/// Local hours at which a phone on power is having its night.
const SMALL_HOURS: std::ops::Range<i64> = 2 * 3_600..5 * 3_600;

/// Longest version that is kept, in characters.
const LONGEST_VERSION: usize = 16;

/// An attempt dated further ahead of the device's clock than this is not believed.
const CLOCK_GRAIN: Period = Period::minutes(10);

/// One step that a person marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub step: StepId,
    /// What they said.
    pub mark: Mark,
    /// When.
    pub at: HostTime,
    /// The codes of the causes that it was taken against.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What was so then.
    #[serde(default)]
    pub before: Baseline,
    /// What was seen of it since, oldest first, each sign once.
    #[serde(default)]
    pub seen: Vec<Seen>,
    /// How it ended; none while it has its time.
    #[serde(default)]
    pub end: Option<End>,
    /// The person was told that it did not help, or said so.
    #[serde(default)]
    pub told: bool,
}

/// How things stood when a step was marked, as of the last contact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// The mark, by the device's clock.
    pub marked: Option<DeviceTime>,
    /// A backup made after this, by the device's clock, was made after the step.
    pub counts_from: Option<DeviceTime>,
    /// The last date of an iCloud backup.
    pub date: Option<DeviceTime>,
    /// Find My.
    pub find_my: Option<bool>,
    /// The system's build.
    pub build: Option<String>,
    /// Free bytes on the device.
    pub free: Option<u64>,
    /// Whether it was connected.
    pub attached: bool,
    /// The error of its newest attempt.
    pub error: Option<ErrorCode>,
}

/// Something that was seen of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When.
    pub at: HostTime,
    /// What.
    pub sign: Sign,
}

/// What can be seen of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// iCloud Backup went off.
    SwitchedOff,
    /// The date of the last backup is gone.
    DateGone,
    /// iCloud Backup came back on.
    SwitchedOn,
    /// Find My went off.
    FindMyOff,
    /// Find My came back on.
    FindMyOn,
    /// The device was disconnected. Only the half of a sign.
    Away,
    /// It came back.
    CameBack,
    /// It runs another system.
    NewSystem {
        /// Its version, such as `26.2`; the build where that is not known.
        version: String,
    },
    /// There is more room on it.
    MoreRoom {
        /// So many bytes more.
        bytes: u64,
    },
    /// It is being set up or restored.
    SettingUp,
    /// Its set-up is finished.
    SetUp,
    /// The newest attempt no longer ends with the error that the one before the step did.
    ErrorGone,
    /// It had a night on power here.
    Night,
    /// An attempt after the step failed.
    FailedAgain {
        /// When, by the device's clock.
        at: DeviceTime,
    },
    /// A backup to iCloud was made after the step.
    BackedUp {
        /// Its date.
        date: DeviceTime,
    },
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When that was decided.
    pub at: HostTime,
    /// What decided it.
    pub how: How,
}

/// What ended a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A backup was made after it.
    Worked,
    /// The person said that it did not help.
    SaidSo,
    /// An attempt after it failed.
    FailedAgain,
    /// It had its time.
    TimeIsUp,
}

impl Trial {
    /// A step, marked now.
    pub(super) fn begin(step: StepId, mark: Mark, look: &Look<'_>) -> Self {
        let mut trial = Self {
            step,
            mark,
            at: look.now.host,
            causes: look
                .causes
                .iter()
                .map(|cause| cause.code.clone())
                .take(MOST_CAUSES)
                .collect(),
            before: Baseline::of(look),
            seen: Vec::new(),
            end: None,
            told: false,
        };
        if step == StepId::S4 {
            trial.look_back(look);
        }
        trial
    }

    /// The same, taken against these causes too.
    pub(super) fn against(mut self, causes: &[String]) -> Self {
        for cause in causes {
            if !self.causes.contains(cause) && self.causes.len() < MOST_CAUSES {
                self.causes.push(cause.clone());
            }
        }
        self
    }

    /// Whether it is taken and has its time.
    pub fn is_pending(&self) -> bool {
        self.mark == Mark::Did && self.end.is_none()
    }

    /// Whether iCloud Backup works again since it was taken.
    pub fn worked(&self) -> bool {
        self.end.is_some_and(|end| end.how == How::Worked)
    }

    /// Whether it was taken, with whatever result.
    pub fn was_taken(&self) -> bool {
        match self.mark {
            Mark::Did | Mark::DidNotHelp => true,
            Mark::NotForMe | Mark::Undo => false,
        }
    }

    /// Whether this was seen of it.
    pub fn saw(&self, sign: &Sign) -> bool {
        self.seen.iter().any(|seen| seen.sign == *sign)
    }

    /// Whether a backup of this date was made after it.
    pub fn is_before(&self, date: DeviceTime) -> bool {
        let from = self.before.counts_from.unwrap_or(DeviceTime(self.at.0));
        date > from && Some(date) > self.before.date
    }

    /// From when its time is counted: an upload begins when iCloud Backup is on again.
    fn begins(&self) -> HostTime {
        let on_again = self.seen.iter().find(|seen| seen.sign == Sign::SwitchedOn);
        on_again.map_or(self.at, |seen| seen.at)
    }

    /// Takes in what is known now.
    pub(super) fn watch(&mut self, look: &Look<'_>) {
        // A clock that was set back must not keep everything away that is seen from now on.
        self.at = self.at.min(look.now.host);
        self.watch_link(look);
        if let Some(attempt) = newest(look) {
            self.watch_attempt(attempt, look);
        }
        if let Some(facts) = look.facts().filter(|facts| facts.seen_at > self.at) {
            self.watch_facts(facts, look);
        }
        if self.end.is_none() {
            self.end = self.verdict(look);
        }
    }

    fn note(&mut self, at: HostTime, sign: Sign) {
        let known = self
            .seen
            .iter()
            .any(|seen| std::mem::discriminant(&seen.sign) == std::mem::discriminant(&sign));
        if !known {
            self.seen.push(Seen { at, sign });
        }
    }

    /// Somebody who deletes a backup and switches it on again marks the step when all of it is done.
    fn look_back(&mut self, look: &Look<'_>) {
        let recent = |at: &HostTime| look.now.host.since(*at).abs() <= MARKED_LATE;
        if let Some(off) = look.past.switched_off.filter(recent) {
            self.note(off, Sign::SwitchedOff);
        }
        if let Some(on) = look.past.switched_on.filter(recent) {
            self.note(on, Sign::SwitchedOff);
            self.note(on, Sign::SwitchedOn);
        }
    }

    fn watch_link(&mut self, look: &Look<'_>) {
        if !matches!(self.step, StepId::S1 | StepId::S4 | StepId::S6 | StepId::S7) {
            return;
        }
        if !look.attached && self.before.attached {
            self.note(look.now.host, Sign::Away);
        } else if look.attached && self.saw(&Sign::Away) {
            self.note(look.now.host, Sign::CameBack);
        } else if look.attached {
            self.before.attached = true;
        }
    }

    fn watch_attempt(&mut self, attempt: &Attempt, look: &Look<'_>) {
        let marked = self.before.marked.unwrap_or(DeviceTime(self.at.0));
        if attempt.at <= marked {
            return;
        }
        let gone = self
            .before
            .error
            .as_ref()
            .is_some_and(|error| attempt.chain.first() != Some(error));
        if gone {
            self.note(look.now.host, Sign::ErrorGone);
        }
        // What circumstances broke off says nothing about the step.
        if is_failure(attempt) {
            self.note(look.now.host, Sign::FailedAgain { at: attempt.at });
        }
    }

    fn watch_facts(&mut self, facts: &Facts, look: &Look<'_>) {
        let at = facts.seen_at;
        match self.step {
            StepId::S4 => self.watch_switch(facts),
            StepId::S5 => {
                if facts.find_my == Ok(false) && self.before.find_my != Some(false) {
                    self.note(at, Sign::FindMyOff);
                } else if facts.find_my == Ok(true) && self.saw(&Sign::FindMyOff) {
                    self.note(at, Sign::FindMyOn);
                }
            }
            StepId::S3b => {
                let free = facts.disk.as_ref().ok().map(|disk| disk.free);
                let more = free
                    .zip(self.before.free)
                    .map(|(now, then)| now.saturating_sub(then));
                if let Some(bytes) = more.filter(|bytes| *bytes >= ROOM) {
                    self.note(at, Sign::MoreRoom { bytes });
                }
            }
            StepId::S7 => {
                if matches!(facts.setup, Ok(Setup::InProgress | Setup::Restoring)) {
                    self.note(at, Sign::SettingUp);
                } else if facts.setup == Ok(Setup::Done) && self.saw(&Sign::SettingUp) {
                    self.note(at, Sign::SetUp);
                }
            }
            StepId::S0
            | StepId::S1
            | StepId::S2
            | StepId::S3
            | StepId::S5a
            | StepId::S6
            | StepId::S6b
            | StepId::S8
            | StepId::S9 => {}
        }
        if matches!(self.step, StepId::S1 | StepId::S7)
            && let (Ok(build), Some(before)) = (&facts.build, &self.before.build)
            && plain(build) != *before
        {
            let version = plain(facts.os_version.as_ref().unwrap_or(build));
            self.note(at, Sign::NewSystem { version });
        }
        if is_night(facts, look.now) && at.since(self.begins()) > Period::hours(1) {
            self.note(at, Sign::Night);
        }
        if let Some(date) = look.believed_date().filter(|date| self.is_before(*date)) {
            self.note(at, Sign::BackedUp { date });
        }
    }

    /// Off, and on again; that the date vanishes in between confirms it, and that it stays refutes nothing.
    fn watch_switch(&mut self, facts: &Facts) {
        let at = facts.seen_at;
        match facts.cloud_enabled {
            Ok(false) => self.note(at, Sign::SwitchedOff),
            Ok(true) if self.saw(&Sign::SwitchedOff) => self.note(at, Sign::SwitchedOn),
            Ok(true) | Err(_) => {}
        }
        if facts.cloud_last == Err(NoAnswer::Missing) && self.before.date.is_some() {
            self.note(at, Sign::DateGone);
        }
    }

    /// Whether it has had a fair chance, and not helped.
    fn verdict(&self, look: &Look<'_>) -> Option<End> {
        let end = |how| {
            Some(End {
                at: look.now.host,
                how,
            })
        };
        let failed = |seen: &Seen| matches!(seen.sign, Sign::FailedAgain { .. });
        let state = &look.verdict.cloud.state;
        let fails = match state {
            CloudState::Late
            | CloudState::Stale
            | CloudState::Alarm
            | CloudState::Critical
            | CloudState::NoneYet
            | CloudState::Unknown(UnknownWhy::NoDate) => true,
            CloudState::Fresh | CloudState::Off | CloudState::Unknown(_) => false,
        };
        if !fails {
            return None;
        }
        if self.seen.iter().any(failed) {
            return end(How::FailedAgain);
        }
        // Only a look at the device after its time tells that nothing came of it.
        let looked = look.facts().map(|facts| facts.seen_at)?;
        (looked >= self.deadline(look)).then(|| end(How::TimeIsUp))?
    }

    /// When it has had a fair chance.
    fn deadline(&self, look: &Look<'_>) -> HostTime {
        let begins = self.begins();
        if matches!(self.step, StepId::S8 | StepId::S9) {
            return begins.plus(OTHERS_TIME);
        }
        let on = |host| Now { host, ..*look.now };
        // A first upload of everything takes more than a night.
        let anew = matches!(self.step, StepId::S4 | StepId::S7);
        let mut nights = self.seen.iter().filter(|_| !anew);
        let night = nights.find(|seen| seen.sign == Sign::Night);
        let fair = match night {
            Some(night) => on(night.at).next_at(MORNING),
            None => end_of_next_night(&on(begins)).plus(UNSEEN_NIGHTS),
        };
        if look.verdict.cloud.flags.contains(&Flag::Uploading) {
            return fair.max(begins.plus(look.policy.icloud.upload));
        }
        // The phone itself does not try again before.
        let not_before = look.causes.first().and_then(|cause| cause.wait_until);
        let not_before = not_before
            .map(|until| HostTime(until.0).min(self.at.plus(OTHERS_TIME)))
            .map(|until| end_of_next_night(&on(until)));
        not_before.map_or(fair, |until| fair.max(until))
    }
}

impl Baseline {
    fn of(look: &Look<'_>) -> Self {
        let facts = look.facts();
        let marked = look.device_clock();
        let looked = facts.and_then(|facts| {
            let late = look.now.host.since(facts.seen_at) <= MARKED_LATE;
            late.then(|| device_now(facts))
        });
        Self {
            marked: Some(marked),
            counts_from: Some(looked.map_or(marked, |looked| looked.min(marked))),
            date: look.last_date(),
            find_my: facts.and_then(|facts| facts.find_my.clone().ok()),
            build: facts.and_then(|facts| Some(plain(facts.build.as_ref().ok()?))),
            free: facts.and_then(|facts| facts.disk.as_ref().ok().map(|disk| disk.free)),
            attached: look.attached,
            error: newest(look).and_then(|attempt| attempt.chain.first().cloned()),
        }
    }
}

/// The newest attempt that anybody knows of and that can be believed.
fn newest<'a>(look: &Look<'a>) -> Option<&'a Attempt> {
    let clock = look.device_clock().plus(CLOCK_GRAIN);
    let books = look.evidence.books.iter().flat_map(|books| &books.attempts);
    let heard = look
        .evidence
        .heard
        .iter()
        .filter_map(|heard| heard.attempt.as_ref());
    books
        .chain(heard)
        .filter(|attempt| attempt.at <= clock)
        .max_by_key(|attempt| attempt.at)
}

/// A version or build as it may be kept and stand in a sentence, whatever the device called it.
fn plain(version: &str) -> String {
    version
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .take(LONGEST_VERSION)
        .collect()
}

fn is_night(facts: &Facts, now: &Now) -> bool {
    let local = Now {
        host: facts.seen_at,
        ..*now
    };
    SMALL_HOURS.contains(&local.second_of_day())
        && facts.locked != Ok(false)
        && facts.battery.as_ref().is_ok_and(|battery| battery.on_power)
}
