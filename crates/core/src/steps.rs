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
    /// Sign out and in.
    S5,
    /// Reset the network settings.
    S6,
    /// Leave one app out.
    S6b,
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
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::S6b => "S6b",
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
    /// What replaces some of it on some devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Other>,
}

/// What is different on some devices. The fields that are there replace those of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// Only before this version of iOS or iPadOS.
    pub below: Option<u32>,
    /// Only on this kind of device, such as `iPad`.
    pub device: Option<String>,
    pub path: Option<String>,
    pub loses: Option<String>,
    #[serde(rename = "do")]
    pub actions: Option<Vec<String>>,
    pub before: Option<Vec<String>>,
}

/// The device that a step is told for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handset {
    /// `iPhone`, `iPad`, `iPod`, or `device` while nothing is known.
    pub noun: &'static str,
    /// The first number of its iOS or iPadOS; today's when it is not known.
    pub ios: Option<u32>,
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

/// From here on it is an Apple Account; before it was an Apple ID.
const APPLE_ACCOUNT: u32 = 18;

impl Step {
    /// The step as this device shows it: its menus, and its words.
    #[must_use]
    pub fn told_for(&self, handset: Handset) -> Self {
        let mut step = self.clone();
        for other in std::mem::take(&mut step.other) {
            if other.holds_for(handset) {
                step.actions = other.actions.unwrap_or(step.actions);
                step.path = other.path.unwrap_or(step.path);
                step.loses = other.loses.unwrap_or(step.loses);
                step.before = other.before.unwrap_or(step.before);
            }
        }
        let texts = [
            &mut step.title,
            &mut step.loses,
            &mut step.why,
            &mut step.path,
            &mut step.search,
            &mut step.sign,
        ];
        let lists = step.actions.iter_mut().chain(&mut step.before);
        for text in texts.into_iter().chain(lists) {
            handset.put(text);
        }
        step
    }
}

impl Other {
    fn holds_for(&self, handset: Handset) -> bool {
        let older = |below| handset.ios.is_some_and(|ios| ios < below);
        self.below.is_none_or(older) && self.device.as_deref().is_none_or(|it| it == handset.noun)
    }
}

impl Handset {
    /// Puts a text of `data/steps.toml` into the words of this device.
    fn put(self, text: &mut String) {
        if self.ios.is_some_and(|ios| ios < APPLE_ACCOUNT) && text.contains("Apple Account") {
            *text = text.replace("Apple Account", "Apple ID");
        }
        if matches!(self.noun, "iPad" | "iPod") {
            *text = text.replace("iPhone", self.noun);
            for the in ["the", "The", "this"] {
                *text = text.replace(&format!("{the} phone"), &format!("{the} {}", self.noun));
            }
        }
    }
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
                "S0", "S1", "S2", "S3", "S3b", "S4", "S5a", "S5", "S6", "S6b", "S7", "S8", "S9"
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
    fn a_step_speaks_of_the_device_it_is_told_for() {
        let on = |id: StepId, noun, ios| find(id).unwrap().told_for(Handset { noun, ios });
        let paths = [
            (
                StepId::S4,
                "iPhone",
                Some(26),
                "Settings > [your name] > iCloud > iCloud Backup > this device > Turn Off and Delete from iCloud",
            ),
            (
                StepId::S4,
                "iPhone",
                None,
                "Settings > [your name] > iCloud > iCloud Backup > this device > Turn Off and Delete from iCloud",
            ),
            (
                StepId::S4,
                "iPhone",
                Some(16),
                "Settings > [your name] > iCloud > Manage Storage > Backups > this device > Delete Backup > Turn Off & Delete",
            ),
            (
                StepId::S3,
                "iPhone",
                Some(18),
                "Settings > [your name] > iCloud > Storage",
            ),
            (
                StepId::S3,
                "iPhone",
                Some(17),
                "Settings > [your name] > iCloud > Manage Account Storage",
            ),
            (
                StepId::S3,
                "iPhone",
                Some(15),
                "Settings > [your name] > iCloud > Manage Storage",
            ),
            (
                StepId::S6,
                "iPad",
                Some(26),
                "Settings > General > Transfer or Reset iPad > Reset > Reset Network Settings",
            ),
            (
                StepId::S6,
                "iPhone",
                Some(14),
                "Settings > General > Reset > Reset Network Settings",
            ),
            (
                StepId::S3b,
                "iPad",
                Some(18),
                "Settings > General > iPad Storage",
            ),
        ];
        for (id, noun, ios, path) in paths {
            assert_eq!(on(id, noun, ios).path, path, "{id} on {noun} {ios:?}");
        }
        assert_eq!(
            on(StepId::S5a, "iPhone", Some(26)).title,
            "Answer what your Apple Account is asking"
        );
        assert_eq!(
            on(StepId::S5a, "iPhone", Some(17)).title,
            "Answer what your Apple ID is asking"
        );
        assert_eq!(
            on(StepId::S3b, "iPad", Some(18)).title,
            "Make room on the iPad"
        );
    }

    #[test]
    fn an_ipad_is_never_called_a_phone() {
        let ipad = Handset {
            noun: "iPad",
            ios: Some(26),
        };
        for step in all() {
            let told = step.told_for(ipad);
            let mut texts = vec![told.title, told.loses, told.why, told.path, told.sign];
            texts.extend(told.actions.into_iter().chain(told.before));
            for text in texts {
                let text = text.replace("Old phones", "").replace("Many phones", "");
                assert!(
                    !text.contains("iPhone") && !text.contains("phone"),
                    "{}: {text}",
                    step.id
                );
                assert!(!text.contains("Watch"), "{}: {text}", step.id);
            }
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
