//! The remediation steps as data: what a person does, what it costs, what must be true before.
//!
//! `data/steps.toml` is the source; this module only reads and checks it. Which step is next is
//! not decided here.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// One step of the ladder, in the order from the mildest to the harshest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `S0` to `S9`, with `S3b`, `S5a` and `S6b` between.
    pub id: String,
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
pub fn find(id: &str) -> Option<&'static Step> {
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
        let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
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
            ("S4", Guard::Verified),
            ("S5", Guard::Verified),
            ("S7", Guard::Encrypted),
            ("S0", Guard::None),
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
