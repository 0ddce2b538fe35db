//! The ladder of one device: which step is next and why, which are locked, which were tried, and which one worked.
//!
//! The person says what they did; the machine looks for the signs of it in the facts (`trial`), and for the one that counts: a
//! newer date that `judge` believes. What is to be done now is made from that at each look (`climb`) and never stored.

mod climb;
mod lock;
mod sentences;
mod trial;

#[cfg(test)]
mod tests;

pub(crate) use sentences::{fails_because, inner, recovered};
pub use trial::{Baseline, End, How, Seen, Sign, Trial};

use crate::diagnosis::{Cause, Confidence};
use crate::evidence::Evidence;
use crate::facts::Facts;
use crate::past::{Past, device_now};
use crate::policy::Policy;
use crate::steps::{Step, StepId};
use crate::time::{DeviceTime, HostTime, Now};
use crate::verdict::{CloudState, Concern, Flag, UnknownWhy, Verdict};
use serde::{Deserialize, Serialize};

/// Ladders of earlier failures that are kept.
const MOST_HISTORY: usize = 4;

/// Causes that are kept with one step.
const MOST_CAUSES: usize = 8;

/// What a person says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// I did it.
    Did,
    /// I did it and tapped *Back Up Now*, and it failed again.
    DidNotHelp,
    /// Not for me.
    NotForMe,
    /// I take that back.
    Undo,
}

/// What must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ladder {
    /// The steps that were marked, oldest first, each once.
    pub trials: Vec<Trial>,
    /// iCloud Backup came back.
    pub recovery: Option<Recovery>,
    /// The failure that these steps are taken against; none while iCloud Backup works.
    pub failure: Option<Failure>,
    /// The recovery was told, or nobody needs to be told.
    pub told: bool,
    /// Earlier ladders, oldest first.
    pub history: Vec<Earlier>,
}

/// A stretch without iCloud backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was noticed.
    pub since: HostTime,
    /// The last date before it.
    pub date: Option<DeviceTime>,
    /// It was seen to fail. Without that a person has only taken a step against what was late or unknown.
    #[serde(default)]
    pub seen: bool,
}

/// A ladder that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// What was tried.
    pub trials: Vec<Trial>,
    /// How it ended.
    pub recovery: Option<Recovery>,
}

/// iCloud Backup works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// When that was seen.
    pub at: HostTime,
    /// The date that proves it.
    pub date: DeviceTime,
    /// After which step, if one was tried.
    pub after: Option<StepId>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RungState {
    /// It worked.
    Done,
    /// The one to take now, or the one that was taken and has its time.
    Next,
    /// May be taken.
    Ready,
    /// Something must be true before; `why` says what.
    Locked,
    /// Would only harm; `why` says why.
    Never,
    /// Taken without success, or not wanted.
    Tried,
}

impl RungState {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Next => "next",
            Self::Ready => "ready",
            Self::Locked => "locked",
            Self::Never => "never",
            Self::Tried => "tried",
        }
    }
}

/// One step as it stands for one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Which.
    pub step: StepId,
    /// How it stands.
    pub state: RungState,
    /// Why, in a sentence.
    pub why: String,
    /// What was seen of it since it was marked, in sentences.
    pub seen: Vec<String>,
    /// When the person marked it.
    pub marked: Option<HostTime>,
    /// How to find that place without the path: "Or search Settings for …"; empty where that does not help.
    pub search: String,
    /// What to read before, for this device and as things stand now.
    pub warnings: Vec<String>,
    /// The step in the words of this device: its iOS, iPhone or iPad.
    pub text: Step,
}

/// The whole ladder of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Climb {
    /// Why iCloud Backup fails, the likeliest first.
    pub causes: Vec<Cause>,
    /// The steps in the order in which they should be taken.
    pub rungs: Vec<Rung>,
    /// The step whose turn it is, but that is locked: what its `why` asks for is the thing to do now. No step is next then.
    pub held: Option<StepId>,
    /// iCloud Backup works again.
    pub recovery: Option<Recovery>,
    /// Where things stand, in one sentence.
    pub words: String,
}

impl Climb {
    /// The step to take now.
    pub fn next(&self) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.state == RungState::Next)
    }

    /// The next step, if it is still to be taken.
    pub fn untaken(&self) -> Option<&Rung> {
        self.next().filter(|rung| rung.marked.is_none())
    }

    /// This step.
    pub fn rung(&self, step: StepId) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.step == step)
    }
}

/// What the ladder looks at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The device.
    pub past: &'a Past,
    /// What it knows of its backups.
    pub evidence: &'a Evidence,
    /// Why they fail, the likeliest first.
    pub causes: &'a [Cause],
    /// The judgement.
    pub verdict: &'a Verdict,
    /// What holds for it.
    pub policy: &'a Policy,
    /// Whether it is connected.
    pub attached: bool,
    /// The moment.
    pub now: &'a Now,
}

impl<'a> Look<'a> {
    fn facts(&self) -> Option<&'a Facts> {
        self.past.facts.as_ref()
    }

    /// What the device's own clock shows now.
    fn device_clock(&self) -> DeviceTime {
        match self.facts() {
            Some(facts) => device_now(facts).plus(self.now.host.since(facts.seen_at)),
            None => DeviceTime(self.now.host.0),
        }
    }

    /// The last date known, unless it lies ahead of the device's own clock: nothing would ever be newer.
    fn last_date(&self) -> Option<DeviceTime> {
        let clock = self.device_clock();
        self.past.cloud_last.filter(|date| *date <= clock)
    }

    /// The date of the newest iCloud backup, if `judge` takes it for one.
    fn believed_date(&self) -> Option<DeviceTime> {
        let cloud = &self.verdict.cloud;
        let doubted = cloud.flags.iter().any(|flag| match flag {
            Flag::DateAhead | Flag::ClockWrong | Flag::BeforeRestore => true,
            Flag::ClockSkewed | Flag::BetaOs | Flag::MainAccountOnly | Flag::Uploading => false,
        });
        let dated = match cloud.state {
            CloudState::Fresh
            | CloudState::Late
            | CloudState::Stale
            | CloudState::Alarm
            | CloudState::Critical => true,
            CloudState::Off | CloudState::NoneYet | CloudState::Unknown(_) => false,
        };
        let date = self.facts().and_then(|facts| facts.cloud_last.clone().ok());
        date.filter(|_| dated && !doubted)
    }

    /// Whether backups are missing. Off is no failure, and nor is a silence.
    fn fails(&self) -> bool {
        let cloud = &self.verdict.cloud;
        match cloud.state {
            CloudState::Stale
            | CloudState::Alarm
            | CloudState::Critical
            | CloudState::NoneYet
            | CloudState::Unknown(UnknownWhy::NoDate) => cloud.concern >= Concern::Stale,
            CloudState::Late => is_hard(self.causes),
            CloudState::Fresh | CloudState::Off | CloudState::Unknown(_) => false,
        }
    }
}

/// Whether waiting will not cure it, and the phone itself says so.
pub fn is_hard(causes: &[Cause]) -> bool {
    causes
        .first()
        .is_some_and(|cause| cause.hard && cause.confidence == Confidence::Certain)
}

impl Ladder {
    /// Takes in what a person says of a step.
    pub fn mark(&mut self, step: StepId, mark: Mark, look: &Look<'_>) {
        let works = look.verdict.cloud.state == CloudState::Fresh;
        if self.failure.is_none() && !works && mark != Mark::Undo {
            self.begin(look);
        }
        let old = self.take(step);
        match (mark, old) {
            (Mark::Undo, _) => {
                if let Some(recovery) = &mut self.recovery {
                    recovery.after = recovery.after.filter(|after| *after != step);
                }
            }
            // What cured it is not taken once more while it works.
            (_, Some(old)) if works && old.worked() => self.trials.push(old),
            (Mark::Did | Mark::DidNotHelp | Mark::NotForMe, old) => {
                let new = Trial::begin(step, mark, look);
                let mut trial = match old {
                    // Their "I did it" stands; this is how it ended.
                    Some(old) if mark == Mark::DidNotHelp && old.was_taken() => {
                        Trial { mark, ..old }.against(&new.causes)
                    }
                    Some(old) => new.against(&old.causes),
                    None => new,
                };
                if mark == Mark::DidNotHelp {
                    trial.end = Some(End {
                        at: look.now.host,
                        how: How::SaidSo,
                    });
                    trial.told = true;
                }
                self.trials.push(trial);
            }
        }
    }

    fn take(&mut self, step: StepId) -> Option<Trial> {
        let at = self.trials.iter().position(|trial| trial.step == step)?;
        Some(self.trials.remove(at))
    }

    /// Takes in what is known now: signs of the steps, their end, and that iCloud Backup works again or fails anew.
    pub fn watch(&mut self, look: &Look<'_>) {
        if look.fails() {
            if self.failure.is_none() {
                self.begin(look);
            }
            if let Some(failure) = &mut self.failure {
                failure.seen = true;
            }
        }
        if self.failure.is_none() {
            return;
        }
        for trial in self.trials.iter_mut().filter(|trial| trial.is_pending()) {
            trial.watch(look);
        }
        self.recover(look);
    }

    /// A new failure begins a new ladder.
    fn begin(&mut self, look: &Look<'_>) {
        if !self.trials.is_empty() || self.recovery.is_some() {
            self.history.push(Earlier {
                trials: std::mem::take(&mut self.trials),
                recovery: self.recovery.take(),
            });
            let surplus = self.history.len().saturating_sub(MOST_HISTORY);
            self.history.drain(..surplus);
        }
        self.told = false;
        self.failure = Some(Failure {
            since: look.now.host,
            date: look.last_date(),
            seen: false,
        });
    }

    fn recover(&mut self, look: &Look<'_>) {
        let Some(failure) = self.failure else { return };
        let works = match look.verdict.cloud.state {
            CloudState::Fresh => true,
            // Late is better than failing, unless the phone says already that no other will come; it is no better than late.
            CloudState::Late => failure.seen && !look.fails(),
            CloudState::Stale
            | CloudState::Alarm
            | CloudState::Critical
            | CloudState::Off
            | CloudState::NoneYet
            | CloudState::Unknown(_) => false,
        };
        let Some(date) = look
            .believed_date()
            .filter(|date| works && Some(*date) > failure.date)
        else {
            return;
        };
        let taken = self.trials.iter_mut().filter(|trial| trial.was_taken());
        let last = taken
            .filter(|trial| trial.is_before(date))
            .max_by_key(|trial| trial.at);
        let after = last.map(|trial| {
            trial.end = Some(End {
                at: look.now.host,
                how: How::Worked,
            });
            trial.step
        });
        self.failure = None;
        self.recovery = Some(Recovery {
            at: look.now.host,
            date,
            after,
        });
    }

    /// The recovery, if somebody should be told of it: whoever was worried, or has tried something. It is no news from now on.
    pub(crate) fn tell_recovery(&mut self, worried: bool) -> Option<Recovery> {
        let news = !std::mem::replace(&mut self.told, true);
        let tried = self.trials.iter().any(Trial::was_taken);
        self.recovery.clone().filter(|_| news && (worried || tried))
    }

    /// The step that was found not to have helped and of which nobody was told: told, from now on.
    pub(crate) fn tell_failed(&mut self) -> Option<StepId> {
        // Somebody who has gone on already need not hear of the step before.
        let gone_on = self.failure.is_none() || self.pending().is_some();
        let failed = self.trials.iter_mut().filter(|trial| {
            !trial.told
                && matches!(
                    trial.end.map(|end| end.how),
                    Some(How::FailedAgain | How::TimeIsUp)
                )
        });
        let mut last = None;
        for trial in failed {
            trial.told = true;
            last = Some(trial.step);
        }
        last.filter(|_| !gone_on)
    }

    /// The step that has its time.
    pub(crate) fn pending(&self) -> Option<&Trial> {
        self.trials
            .iter()
            .filter(|trial| trial.is_pending())
            .max_by_key(|trial| trial.at)
    }

    /// Whether a step is under way that switches iCloud Backup off for a while.
    pub(crate) fn is_off_meant(&self) -> bool {
        self.pending().is_some_and(|trial| match trial.step {
            StepId::S4 | StepId::S5 | StepId::S7 => true,
            StepId::S0
            | StepId::S1
            | StepId::S2
            | StepId::S3
            | StepId::S3b
            | StepId::S5a
            | StepId::S6
            | StepId::S6b
            | StepId::S8
            | StepId::S9 => false,
        })
    }
}
