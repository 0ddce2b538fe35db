//! `[books]`: what the phone has noted of its iCloud backups, as it finds its way into its backups on a computer
//! (remediation.md 1.2). Ages are counted back from the phone's clock at its start.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The notes. A phone without the section has none in its backups.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Books {
    /// The last attempts, oldest first.
    pub attempts: Vec<PastAttempt>,
    /// After those, so many nights on each of which it failed as `icloud.failure` says; the last one is 0.4 days ago.
    pub failed_nights: u16,
    /// FailureCount.
    pub failures: u32,
    /// MissingEncryptionKeyFailureCount.
    pub missing_key_failures: u32,
    /// RetryAfter, so many hours ahead.
    pub retry_in_h: Option<f64>,
    /// LastOnConditionEvents, oldest first; the key is missing if they are left out.
    pub windows: Option<Vec<PastWindow>>,
    /// PreflightSizing: bytes by backup domain. The sum is made.
    pub sizes: BTreeMap<String, u64>,
    /// How often Apple's server wants a backup, in seconds, and after how long the phone warns.
    pub period_s: Option<u64>,
    pub warning_period_s: Option<u64>,
    /// AccountEnabledDate.
    pub account_enabled_days_ago: Option<f64>,
    pub restored: Option<Restored>,
    /// A backup to iCloud is under way.
    pub upload: Option<Upload>,
    /// The file says something else altogether.
    pub absurd: Option<Absurd>,
}

/// One attempt that is over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastAttempt {
    pub days_ago: f64,
    /// As in [`Failure`]; empty for a success.
    #[serde(default)]
    pub chain: Vec<ErrorLink>,
    pub text: Option<String>,
    pub app: Option<String>,
}

/// What goes wrong.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Failure {
    /// `MBErrorDomain/303` and what lies below it, outermost first. Empty: nothing went wrong.
    pub chain: Vec<ErrorLink>,
    /// localizedDescription.
    pub text: Option<String>,
    /// The app whose file could not be read.
    pub app: Option<String>,
}

/// One error: domain and number.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct ErrorLink {
    pub domain: String,
    pub code: i64,
}

impl TryFrom<String> for ErrorLink {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.rsplit_once('/');
        let link = parts.and_then(|(domain, code)| Some((domain, code.parse().ok()?)));
        let (domain, code) =
            link.ok_or_else(|| format!("{text:?} is no error: a domain, a slash and a number"))?;
        Ok(Self {
            domain: domain.to_owned(),
            code,
        })
    }
}

/// One stretch on charger, Wi-Fi and locked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastWindow {
    /// Its start.
    pub days_ago: f64,
    pub length_s: f64,
    pub ended_by: EndedBy,
    /// Windows too short to be noted since the one before.
    #[serde(default)]
    pub ignored: u32,
}

/// Which condition was lost.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    Unlocked,
    Power,
    Wifi,
    SwitchedOff,
}

/// RestoreInfo.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    pub days_ago: f64,
    #[serde(default)]
    pub from_icloud: bool,
}

/// How far a backup to iCloud is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// From 0 to 1000.
    pub permille: u16,
    /// What the phone thinks is left of it.
    pub left_s: f64,
}

/// What no honest phone notes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Absurd {
    /// Huge counts, wrong types, dates before and after all time, and 10 000 of everything.
    Wide,
    /// Dictionaries in dictionaries, 100 000 deep.
    Deep,
}

/// Which hands make iCloud Backup work.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Cure {
    /// It works.
    #[default]
    None,
    /// A night on the charger, or Back Up Now: nothing is broken, it never had the time.
    Conditions,
    Restart,
    /// Another Wi-Fi.
    Network,
    /// Room in iCloud.
    IcloudRoom,
    /// Room on the phone.
    PhoneRoom,
    /// Turn Off and Delete from iCloud, then on.
    Delete,
    /// The account's questions answered.
    Account,
    /// Out of the account, and in.
    SignIn,
    ResetNetwork,
    /// One app left out.
    App,
    Never,
}
