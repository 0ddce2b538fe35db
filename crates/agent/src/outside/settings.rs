//! The keys of the configuration that send something outside. All of them are off until a person writes them.
//!
//! What is shown of them has no secret in it: of an address the host alone, and of a secret the name of its file.

use std::path::{Path, PathBuf};

use backupwatch_core::Period;
use serde::{Deserialize, Serialize, Serializer};

use super::event::Kind;
use super::http::{Plain, Url, UrlError};

/// More webhooks than anybody has; each has a queue in memory.
pub const WEBHOOKS: usize = 8;
/// How long a program may run that nobody has said anything about. A first copy to another place takes hours.
const TIME_LIMIT: Period = Period::hours(12);
/// No program is of use that is ended at once, and none keeps a backup from being taken away for longer than a week.
const TIME_LIMITS: (Period, Period) = (Period::seconds(1), Period::days(7));

/// `[ping]`: the service that notices when this computer falls silent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawPing")]
pub struct Ping {
    /// The address of the check, as healthchecks.io and those like it give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// Whether `http://` is allowed to other computers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

impl Ping {
    /// An address of a check, under the same rules.
    pub fn address(&self, text: &str) -> Result<Url, UrlError> {
        Url::parse(text, plain(self.plain_http))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPing {
    url: Option<String>,
    #[serde(default)]
    plain_http: bool,
}

impl TryFrom<RawPing> for Ping {
    type Error = String;

    fn try_from(raw: RawPing) -> Result<Self, String> {
        let url = raw.url.map(|url| address("ping.url", &url, raw.plain_http));
        Ok(Self {
            url: url.transpose()?,
            plain_http: raw.plain_http,
        })
    }
}

/// One `[[webhook]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawWebhook")]
pub struct Webhook {
    /// Where messages go.
    pub url: Url,
    /// The file with the secret that signs them.
    pub secret_file: PathBuf,
    /// What is told.
    pub events: Vec<Kind>,
    /// Whether names and identifiers of devices may be in it.
    pub names: bool,
    /// Whether `http://` is allowed to other computers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    secret_file: PathBuf,
    #[serde(default = "every")]
    events: Vec<Kind>,
    #[serde(default)]
    names: bool,
    #[serde(default)]
    plain_http: bool,
}

fn every() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

impl TryFrom<RawWebhook> for Webhook {
    type Error = String;

    fn try_from(raw: RawWebhook) -> Result<Self, String> {
        if !raw.secret_file.is_absolute() {
            return Err("`secret_file` must be a whole path, from / on".to_owned());
        }
        if raw.events.is_empty() {
            return Err(
                "`events` names nothing to be told; leave it out to be told everything".to_owned(),
            );
        }
        Ok(Self {
            url: address("url", &raw.url, raw.plain_http)?,
            secret_file: raw.secret_file,
            events: raw.events,
            names: raw.names,
            plain_http: raw.plain_http,
        })
    }
}

/// What is wrong with all webhooks together.
pub fn check(webhooks: &[Webhook]) -> Result<(), String> {
    if webhooks.len() > WEBHOOKS {
        return Err(format!("there may be at most {WEBHOOKS} webhooks"));
    }
    let mut seen = std::collections::BTreeSet::new();
    match webhooks.iter().find(|one| !seen.insert(&one.url)) {
        Some(twice) => Err(format!(
            "two webhooks have the same address at {}",
            twice.url.host()
        )),
        None => Ok(()),
    }
}

/// `[hooks]`: programs of the person's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawHooks")]
pub struct Hooks {
    /// The program, by its whole path, and its arguments. It runs after each verified backup. Empty: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_backup: Vec<String>,
    /// How long it may run.
    pub time_limit: Period,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            after_backup: Vec::new(),
            time_limit: TIME_LIMIT,
        }
    }
}

impl Hooks {
    /// The program, where there is one.
    pub fn program(&self) -> Option<&Path> {
        self.after_backup.first().map(Path::new)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHooks {
    #[serde(default)]
    after_backup: Vec<String>,
    time_limit: Option<Period>,
}

impl TryFrom<RawHooks> for Hooks {
    type Error = String;

    fn try_from(raw: RawHooks) -> Result<Self, String> {
        let hooks = Self {
            after_backup: raw.after_backup,
            time_limit: raw.time_limit.unwrap_or(TIME_LIMIT),
        };
        if hooks
            .program()
            .is_some_and(|program| !program.is_absolute())
        {
            return Err("`after_backup` must begin with the whole path of a program, from / on; no shell is asked".to_owned());
        }
        if hooks.after_backup.iter().any(|word| word.contains('\0')) {
            return Err("`after_backup` has a word with a NUL in it".to_owned());
        }
        let (least, most) = TIME_LIMITS;
        if hooks.time_limit < least || hooks.time_limit > most {
            return Err(format!("`time_limit` must be from {least} to {most}"));
        }
        Ok(hooks)
    }
}

fn address(key: &str, text: &str, plain_http: bool) -> Result<Url, String> {
    Url::parse(text, plain(plain_http)).map_err(|error| format!("`{key}` cannot be used: {error}"))
}

fn plain(anywhere: bool) -> Plain {
    if anywhere {
        Plain::Anywhere
    } else {
        Plain::Loopback
    }
}

/// As it may be shown.
impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
