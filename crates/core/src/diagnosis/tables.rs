//! The causes and what speaks for them, as data: `data/causes.toml` is the source; this module only reads and checks it.

use crate::evidence::{ErrorCode, app_name};
use crate::steps::{self, StepId};
use serde::Deserialize;
use std::sync::LazyLock;

/// The domain of the phone's own backup errors.
pub(super) const MOBILE_BACKUP: &str = "MBErrorDomain";
/// The domain of the second number of a CloudKit error.
const CLOUDKIT_INNER: &str = "CKInternalErrorDomain";

/// Where a row comes from, the least trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A reasoned mapping that nobody has observed.
    Unverified,
    /// A rule of this project.
    Ours,
    /// How iOS 26 behaves; not yet confirmed on a device.
    B26,
    /// Apple's text, or a public report.
    Public,
}

/// A cause as the table knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Stable, such as `icloud_full`.
    pub code: String,
    /// A few words; `{noun}` stands for the kind of device.
    pub title: String,
    /// Follows "failed: ".
    pub means: String,
    /// What to do or to know; may be empty.
    #[serde(default)]
    pub advice: String,
    /// Against it, in this order.
    #[serde(default)]
    pub steps: Vec<StepId>,
    /// All steps, from the mildest.
    #[serde(default)]
    pub full_ladder: bool,
    /// Steps that would only harm.
    #[serde(default)]
    pub never: Vec<StepId>,
    /// The same, as our cautious extension.
    #[serde(default)]
    pub cautious_never: Vec<StepId>,
    /// Waiting is the remedy.
    #[serde(default)]
    pub wait: bool,
    /// Waiting will not cure it.
    #[serde(default)]
    pub hard: bool,
    /// It says that something failed, and not what.
    #[serde(default)]
    pub vague: bool,
    /// By circumstances: that such an attempt failed says nothing about a step taken before it.
    #[serde(default)]
    pub broken_off: bool,
    /// The version of iOS belongs to the reason.
    #[serde(default)]
    pub update: bool,
    /// Where it comes from.
    pub certainty: Certainty,
    /// What is doubtful about it.
    #[serde(default)]
    pub remark: String,
    /// Where to read about it.
    pub source: String,
}

impl Known {
    /// The steps against it, in their order.
    pub fn all_steps(&self) -> Vec<StepId> {
        if self.full_ladder {
            steps::all().iter().map(|step| step.id).collect()
        } else {
            self.steps.clone()
        }
    }

    /// Every step that must not be proposed for it.
    pub fn all_never(&self) -> Vec<StepId> {
        let mut never = self.never.clone();
        never.extend(&self.cautious_never);
        never.sort_unstable();
        never.dedup();
        never
    }
}

/// What one error number stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorRow {
    pub domain: String,
    pub code: Option<i64>,
    #[serde(default)]
    pub codes: Vec<i64>,
    pub range: Option<[i64; 2]>,
    #[serde(default)]
    pub rest: bool,
    pub inner: Option<i64>,
    #[serde(default)]
    pub wrapper: bool,
    #[serde(default)]
    pub success: bool,
    pub cause: Option<String>,
    pub if_disk_low: Option<String>,
    pub otherwise: Option<String>,
    pub means: Option<String>,
    pub repeated: Option<Repeated>,
    pub certainty: Certainty,
    #[serde(default)]
    pub remark: String,
    pub source: String,
}

/// From so many attempts on it is another cause.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeated {
    pub at: u32,
    pub cause: String,
    pub counter: Option<Counter>,
}

/// A count that the phone keeps itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Counter {
    MissingKeyFailures,
}

impl ErrorRow {
    /// How exactly the row names this error of the chain; the smaller, the better.
    fn names(&self, error: &ErrorCode, domain: &str, chain: &[ErrorCode]) -> Option<u8> {
        let inside = |inner| {
            chain
                .iter()
                .any(|link| link.domain == CLOUDKIT_INNER && link.code == inner)
        };
        if self.domain != domain || self.inner.is_some_and(|inner| !inside(inner)) {
            return None;
        }
        let listed = self.code == Some(error.code) || self.codes.contains(&error.code);
        let ranged = self
            .range
            .is_some_and(|[from, to]| (from..=to).contains(&error.code));
        match (listed, ranged, self.rest) {
            (true, _, _) if self.inner.is_some() => Some(0),
            (true, _, _) => Some(1),
            (false, true, _) => Some(2),
            (false, false, true) => Some(3),
            (false, false, false) => None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ban {
    pub domain: String,
    pub codes: Vec<i64>,
    pub steps: Vec<StepId>,
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignRow {
    pub name: String,
    pub cause: String,
    pub certainty: Certainty,
    #[serde(default)]
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    pub remark: String,
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alias {
    name: String,
    domain: String,
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    certainty: Certainty,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartRow {
    domain: String,
    words: String,
}

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    schema: u32,
    pub ban: Ban,
    #[serde(rename = "cause")]
    pub causes: Vec<Known>,
    #[serde(rename = "error")]
    pub errors: Vec<ErrorRow>,
    #[serde(rename = "alias")]
    aliases: Vec<Alias>,
    #[serde(rename = "sign")]
    pub signs: Vec<SignRow>,
    #[serde(rename = "part")]
    parts: Vec<PartRow>,
}

const TEXT: &str = include_str!("../../data/causes.toml");
const SCHEMA: u32 = 1;

// The text is part of the program, and a test parses it: that there are none is unreachable.
static TABLES: LazyLock<Option<Tables>> = LazyLock::new(|| parse(TEXT).ok());

/// The tables; none only if the program was built from broken data, which the tests do not let pass.
pub(super) fn tables() -> Option<&'static Tables> {
    TABLES.as_ref()
}

/// Every cause that can be named.
pub fn all() -> &'static [Known] {
    tables().map_or(&[], |tables| &tables.causes)
}

/// The cause of this code.
pub fn find(code: &str) -> Option<&'static Known> {
    tables()?.cause(code)
}

impl Tables {
    /// The cause of this code.
    pub fn cause(&self, code: &str) -> Option<&Known> {
        self.causes.iter().find(|known| known.code == code)
    }

    /// The row that names this error best.
    pub fn row(&self, error: &ErrorCode, chain: &[ErrorCode]) -> Option<&ErrorRow> {
        let domain = self
            .aliases
            .iter()
            .find(|alias| alias.name == error.domain)
            .map_or(error.domain.as_str(), |alias| alias.domain.as_str());
        self.errors
            .iter()
            .filter_map(|row| Some((row.names(error, domain, chain)?, row)))
            .min_by_key(|(exactness, _)| *exactness)
            .map(|(_, row)| row)
    }

    /// Whether one of these errors is a circumstance, against which nothing harsh is ever proposed.
    pub fn banned(&self, chain: &[ErrorCode]) -> &[StepId] {
        let is_banned = chain
            .iter()
            .any(|error| error.domain == self.ban.domain && self.ban.codes.contains(&error.code));
        if is_banned { &self.ban.steps } else { &[] }
    }

    /// The row of a sign that has no number.
    pub fn sign(&self, name: &str) -> Option<&SignRow> {
        self.signs.iter().find(|row| row.name == name)
    }

    /// What people call a part of a backup; none for what only engineers know.
    pub fn part(&self, domain: &str) -> Option<String> {
        if let Some(app) = domain.strip_prefix("AppDomain-") {
            return app_name(app);
        }
        let row = self.parts.iter().find(|part| part.domain == domain)?;
        Some(row.words.clone())
    }
}

pub(super) fn parse(text: &str) -> Result<Tables, String> {
    let tables: Tables = toml::from_str(text).map_err(|error| error.to_string())?;
    if tables.schema != SCHEMA {
        return Err(format!(
            "schema {} of the causes is not {SCHEMA}",
            tables.schema
        ));
    }
    Ok(tables)
}
