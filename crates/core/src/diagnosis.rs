//! Why iCloud Backup fails: facts and evidence go in, causes come out, the likeliest first, each with the words "because …".
//!
//! One pure function over tables. What an unknown code means is not guessed: it is shown.

mod because;
mod case;
mod circumstances;
pub mod log;
mod matching;
mod tables;

pub use tables::{Certainty, Known, all, find};

use crate::evidence::{Attempt, ErrorCode, Evidence};
use crate::judge;
use crate::past::Past;
use crate::policy::CloudPolicy;
use crate::steps::StepId;
use crate::time::{DeviceTime, Now, Period};
use crate::verdict::{CloudState, UnknownWhy};
use crate::words;
use because::Teller;
use case::Case;
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

/// The causes that facts and evidence speak for, the likeliest first; none when nothing is known to be wrong. The evidence is
/// within its bounds: the watcher sees to that where it comes in, once, for this is asked at every turn.
pub fn diagnose(past: &Past, evidence: &Evidence, policy: &CloudPolicy, now: &Now) -> Vec<Cause> {
    let Some(tables) = tables::tables() else {
        return Vec::new();
    };
    let (state, flags) = judge::cloud_state(past, policy, now);
    let case = Case {
        past,
        evidence,
        policy,
        now,
        tables,
        flags: &flags,
        tell: Teller {
            noun: words::noun(past),
            tables,
            now,
        },
    };
    let mut causes = match standing(&state, past, policy, now) {
        Standing::Well => case.hard_ones(),
        Standing::Waiting => case.while_waiting(),
        Standing::SettingUp => case.setting_up().into_iter().collect(),
        Standing::Off => case.switched_off(),
        Standing::Trouble => case.everything(),
    };
    // What comes first at the same confidence speaks more directly.
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.confidence));
    let mut seen = Vec::new();
    causes.retain(|cause| {
        let is_new = !seen.contains(&cause.code);
        seen.push(cause.code.clone());
        is_new
    });
    causes
}

/// What one attempt says, in a few words; none for a success, and for an error that is not known here.
pub fn meaning(attempt: &Attempt) -> Option<String> {
    let tables = tables::tables()?;
    let matched = matching::cause_of(tables, attempt, None)?;
    let is_known = !matching::succeeded(tables, attempt) && matched.cause.code != "unknown_error";
    is_known.then(|| words::capital(&matched.means().replace("{noun}", "phone")))
}

/// Whether an attempt failed, and was not only broken off by circumstances.
pub(crate) fn is_failure(attempt: &Attempt) -> bool {
    let Some(tables) = tables::tables() else {
        return false;
    };
    !matching::succeeded(tables, attempt)
        && matching::cause_of(tables, attempt, None).is_none_or(|matched| !matched.cause.broken_off)
}

/// What people call a part of a phone's backup: the app, or what is in it; none for what only engineers know.
pub fn part(domain: &str) -> Option<String> {
    tables::tables()?.part(domain)
}

/// How much is to be explained.
enum Standing {
    /// iCloud Backup works.
    Well,
    /// It is late, or has not had its chance yet: only what the phone itself reports counts.
    Waiting,
    SettingUp,
    Off,
    /// It fails, or nobody knows whether it works.
    Trouble,
}

fn standing(state: &CloudState, past: &Past, policy: &CloudPolicy, now: &Now) -> Standing {
    match state {
        CloudState::Fresh => Standing::Well,
        CloudState::Late => Standing::Waiting,
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => Standing::Trouble,
        CloudState::Off => Standing::Off,
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate) => {
            let waited =
                judge::dateless_since(past).map_or(Period::ZERO, |since| now.host.since(since));
            if waited < policy.grace {
                Standing::Waiting
            } else {
                Standing::Trouble
            }
        }
        CloudState::Unknown(UnknownWhy::SettingUp) => Standing::SettingUp,
        CloudState::Unknown(
            UnknownWhy::NeverAsked
            | UnknownWhy::NotSeen { .. }
            | UnknownWhy::NotTrusted
            | UnknownWhy::Locked
            | UnknownWhy::NeverUnlocked
            | UnknownWhy::Prohibited
            | UnknownWhy::NoSwitch
            | UnknownWhy::Unreadable { .. }
            | UnknownWhy::LinkLost
            | UnknownWhy::ClockWrong,
        ) => Standing::Trouble,
    }
}

#[cfg(test)]
mod tests;
