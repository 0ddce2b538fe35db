//! The remediation steps as data: what a person does, what it costs, what must be true before.
//!
//! `data/steps.toml` is the source; this module only reads and checks it. Which step is next is
//! not decided here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;

/// The name of a step. The order is the one in which they are usually taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepId {
    /// Conditions: charger, Wi-Fi, locked, one night.
    S0,
    /// Restart, status page, update.
    S1,
    /// Another network.
    S2,
    /// Room in iCloud.
    S3,
    /// Room on the phone.
    S3b,
    /// Delete the cloud copy and begin anew.
    S4,
    /// Answer what the account asks.
    S5a,
    /// Reset the network settings.
    S6,
    /// Leave one app out.
    S6b,
    /// Sign out and in.
    S5,
    /// Erase and set up.
    S7,
    /// The administrator.
    S8,
    /// Apple Support.
    S9,
}

impl StepId {
    /// Its name, such as `S3b`.
    pub fn code(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S3b => "S3b",
            Self::S4 => "S4",
            Self::S5a => "S5a",
            Self::S6 => "S6",
            Self::S6b => "S6b",
            Self::S5 => "S5",
            Self::S7 => "S7",
            Self::S8 => "S8",
            Self::S9 => "S9",
        }
    }

    /// The step of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        all()
            .iter()
            .map(|step| step.id)
            .find(|id| id.code().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One step of the ladder, in the order from the mildest to the harshest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    pub title: String,
    /// How long it takes, in words.
    pub takes: String,
    pub risk: String,
    /// What is lost by it, in words.
    pub loses: String,
    pub guard: Guard,
    pub why: String,
    /// What to do, one action each.
    #[serde(rename = "do")]
    pub actions: Vec<String>,
    /// The menu path on the device; empty where there is none.
    pub path: String,
    /// What to search Settings for instead, for wording drifts; empty where that does not help.
    #[serde(default)]
    pub search: String,
    /// Warnings to read before.
    pub before: Vec<String>,
    /// The sign by which the computer sees that it worked.
    pub sign: String,
    pub link: String,
    pub link_title: String,
    /// Where the step's facts come from.
    pub source: String,
}

/// What must be true before a step may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    None,
    /// A verified local backup of the last 24 hours.
    #[serde(rename = "verified-24h")]
    Verified,
    /// The same, and encrypted.
    #[serde(rename = "encrypted-24h")]
    Encrypted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    step: Vec<Step>,
}

const TEXT: &str = include_str!("../data/steps.toml");
const SCHEMA: u32 = 1;

// The text is part of the program, and the tests below parse it: an empty ladder is unreachable.
static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| parse(TEXT).unwrap_or_default());

/// All steps, mildest first.
#[must_use]
pub fn all() -> &'static [Step] {
    &STEPS
}

/// The step with this id.
#[must_use]
pub fn find(id: StepId) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.id == id)
}

fn parse(text: &str) -> Result<Vec<Step>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.schema != SCHEMA {
        return Err(format!(
            "schema {} of the steps is not {SCHEMA}",
            file.schema
        ));
    }
    Ok(file.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_steps_parse_and_run_from_mild_to_harsh() {
        let steps = parse(TEXT).unwrap();
        let ids: Vec<_> = steps.iter().map(|step| step.id.code()).collect();
        assert_eq!(
            ids,
            [
                "S0", "S1", "S2", "S3", "S3b", "S4", "S5a", "S6", "S6b", "S5", "S7", "S8", "S9"
            ]
        );
    }

    #[test]
    fn what_can_lose_data_is_behind_a_verified_backup() {
        for (id, guard) in [
            (StepId::S4, Guard::Verified),
            (StepId::S5, Guard::Verified),
            (StepId::S7, Guard::Encrypted),
            (StepId::S0, Guard::None),
        ] {
            assert_eq!(find(id).map(|step| step.guard), Some(guard), "{id}");
        }
    }

    #[test]
    fn every_step_says_what_to_do_and_links_to_apple() {
        for step in all() {
            assert!(!step.actions.is_empty(), "{} has nothing to do", step.id);
            assert!(!step.sign.is_empty(), "{} has no sign", step.id);
            assert!(
                step.link.starts_with("https://support.apple.com/")
                    || step.link.starts_with("https://www.apple.com/"),
                "{} links elsewhere",
                step.id
            );
        }
    }

    #[test]
    fn another_schema_is_refused() {
        assert!(
            parse("schema = 2\nstep = []")
                .unwrap_err()
                .contains("schema 2")
        );
    }
}
