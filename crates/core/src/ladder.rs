//! The ladder of one device: which step is next and why, which are locked, which were tried, and which one worked.
//!
//! The person says what they did; the machine looks for the signs of it in the facts, and for the one that counts: a newer date.

use crate::diagnosis::Cause;
use crate::steps::{self, Step, StepId};
use crate::time::{DeviceTime, HostTime};
use serde::{Deserialize, Serialize};

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
    /// The steps that were marked, oldest first.
    pub trials: Vec<Trial>,
    /// iCloud Backup came back.
    pub recovery: Option<Recovery>,
}

/// One step that a person marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub step: StepId,
    /// What they said.
    pub mark: Mark,
    /// When.
    pub at: HostTime,
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
    /// The menu path on this device's iOS; empty where there is none.
    pub path: String,
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
}

impl Ladder {
    /// The ladder as it stands.
    pub fn climb(&self, causes: Vec<Cause>) -> Climb {
        let rungs = steps::all().iter().map(|step| Rung {
            step: step.id,
            state: RungState::Ready,
            why: String::new(),
            seen: Vec::new(),
            marked: None,
            path: step.path.clone(),
            search: String::new(),
            warnings: step.before.clone(),
            text: step.clone(),
        });
        Climb {
            causes,
            rungs: rungs.collect(),
            held: None,
            recovery: self.recovery.clone(),
            words: String::new(),
        }
    }

    /// Takes in what a person says of a step.
    pub fn mark(&mut self, step: StepId, mark: Mark, at: HostTime) {
        self.trials.retain(|trial| trial.step != step);
        if mark != Mark::Undo {
            self.trials.push(Trial { step, mark, at });
        }
    }
}
