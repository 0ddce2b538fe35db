//! What the phone itself knows of its iCloud backups: its books, found in our own backup of it, and what was heard live.
//!
//! Values only, bounded and without paths, names or addresses: whoever reads them off the phone scrubs them. What they mean is
//! `diagnosis`' business.

mod scrub;
mod window;

pub use scrub::scrub;

use crate::time::{DeviceTime, HostTime, Period};
use serde::{Deserialize, Serialize};

/// More attempts than the phone keeps are not believed.
pub const MOST_ATTEMPTS: usize = 10;
/// More windows than the phone keeps are not believed.
pub const MOST_WINDOWS: usize = 10;
/// Links of one error chain that are kept.
pub const MOST_LINKS: usize = 12;
/// The largest parts of a backup that are kept.
pub const MOST_PARTS: usize = 8;
/// Longest text that is kept, in characters.
pub const LONGEST_TEXT: usize = 160;
/// Longest name of an error domain, a backup domain or an app that is believed, in bytes.
pub const LONGEST_NAME: usize = 128;

/// Everything that one device's causes are judged from, beside its facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The phone's books, from the newest backup of ours in which they could be read.
    pub books: Option<Books>,
    /// The last time that somebody listened.
    pub heard: Option<Heard>,
}

impl Evidence {
    /// Within the bounds, and scrubbed.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            books: self.books.map(Books::bounded),
            heard: self.heard.map(Heard::bounded),
        }
    }
}

/// `com.apple.MobileBackup.plist` and its neighbour, as they were when our backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// When the backup was made from which they are.
    pub at: HostTime,
    /// The last attempts, oldest first, at most [`MOST_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// The switch of iCloud Backup then.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// The date of the last iCloud backup then.
    #[serde(default)]
    pub last: Option<DeviceTime>,
    /// `FailureCount`.
    pub failures: Option<u32>,
    /// `MissingEncryptionKeyFailureCount`.
    pub missing_key_failures: Option<u32>,
    /// No attempt before; the phone's own plan.
    pub retry_after: Option<DeviceTime>,
    /// The last stretches on charger and Wi-Fi, oldest first; none when the phone told none in a form that is known.
    pub windows: Option<Vec<Window>>,
    /// When iCloud Backup was switched on for the account.
    pub account_enabled: Option<DeviceTime>,
    /// When the phone was restored.
    pub restored: Option<DeviceTime>,
    /// A cloud backup that was under way.
    pub upload: Option<Uploading>,
    /// What is largest in its backup, largest first, at most [`MOST_PARTS`].
    pub largest: Vec<Part>,
    /// What all of it comes to, in bytes.
    pub total: Option<u64>,
    /// How often Apple's server wants a backup.
    pub period: Option<Period>,
    /// After how long the phone itself warns.
    pub warning_period: Option<Period>,
}

impl Books {
    /// Books in which nothing is told yet, as of `at`.
    pub fn blank(at: HostTime) -> Self {
        Self {
            at,
            attempts: Vec::new(),
            enabled: None,
            last: None,
            failures: None,
            missing_key_failures: None,
            retry_after: None,
            windows: None,
            account_enabled: None,
            restored: None,
            upload: None,
            largest: Vec::new(),
            total: None,
            period: None,
            warning_period: None,
        }
    }

    /// Within the bounds, in the order that the fields promise, and scrubbed: for whoever fills them from a stranger's file.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.attempts = self.attempts.into_iter().map(Attempt::bounded).collect();
        self.attempts.sort_by_key(|attempt| attempt.at);
        keep_last(&mut self.attempts, MOST_ATTEMPTS);
        if let Some(windows) = &mut self.windows {
            for window in windows.iter_mut() {
                window.length = window.length.or_zero();
                window.ignored = window.ignored.min(window::MOST_IGNORED);
                window.error = window.error.take().filter(ErrorCode::is_plausible);
            }
            windows.sort_by_key(|window| window.start);
            keep_last(windows, MOST_WINDOWS);
        }
        if let Some(upload) = &mut self.upload {
            upload.permille = upload.permille.min(1_000);
            upload.left = upload.left.map(Period::or_zero);
        }
        self.largest.retain(|part| is_name(&part.domain));
        self.largest
            .sort_by_key(|part| std::cmp::Reverse(part.bytes));
        self.largest.truncate(MOST_PARTS);
        // A server that wants a backup each minute, or once in a lifetime, is not believed.
        let sane = |period: &Period| (Period::hours(1)..=Period::days(365)).contains(period);
        self.period = self.period.filter(sane);
        self.warning_period = self.warning_period.filter(sane);
        self
    }
}

fn keep_last<T>(items: &mut Vec<T>, most: usize) {
    items.drain(..items.len().saturating_sub(most));
}

/// Whether a text can be the name of an error domain, of a backup domain or of an app: no path, no sentence.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// One attempt of the phone to back up to iCloud, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When, by the device's clock.
    pub at: DeviceTime,
    /// What went wrong, the outermost error first, at most [`MOST_LINKS`]. Empty: it succeeded.
    pub chain: Vec<ErrorCode>,
    /// The app whose file could not be read, if one was named: its bundle identifier.
    pub app: Option<String>,
    /// What the phone says of it, without paths and names; only for a person to read.
    pub text: Option<String>,
}

impl Attempt {
    /// Whether a backup came of it.
    pub fn succeeded(&self) -> bool {
        self.chain.is_empty()
    }

    /// Within the bounds, and scrubbed.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let failed = !self.succeeded();
        self.chain.retain(ErrorCode::is_plausible);
        self.chain.truncate(MOST_LINKS);
        if failed && self.chain.is_empty() {
            // It must not turn into a success because nobody can name what went wrong.
            self.chain.push(ErrorCode::nameless());
        }
        self.app = self.app.as_deref().and_then(app_name);
        self.text = self.text.as_deref().and_then(scrub);
        self
    }
}

/// The bundle identifier of an app of the person's own: none for parts of the system, and for what is no identifier at all.
pub fn app_name(text: &str) -> Option<String> {
    let apple = ["com.apple.", "group.com.apple.", "systemgroup."];
    (is_name(text) && text.contains('.') && !apple.iter().any(|prefix| text.starts_with(prefix)))
        .then(|| text.to_owned())
}

/// The app that a text names as `AppDomain-<bundle identifier>`.
pub fn app_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("AppDomain-")?;
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
        .unwrap_or(rest.len());
    app_name(rest.get(..end)?.trim_end_matches('.'))
}

/// One error, as Apple's systems number them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ErrorCode {
    /// Such as `MBErrorDomain`.
    pub domain: String,
    /// Such as 303.
    pub code: i64,
}

impl ErrorCode {
    /// The error of this domain and number; none when the domain is no name.
    pub fn new(domain: &str, code: i64) -> Option<Self> {
        is_name(domain).then(|| Self {
            domain: domain.to_owned(),
            code,
        })
    }

    /// For an attempt that failed without an error that can be kept.
    pub fn nameless() -> Self {
        Self {
            domain: "unknown".to_owned(),
            code: -1,
        }
    }

    /// Whether it stands for an error that could not be kept.
    pub fn is_nameless(&self) -> bool {
        *self == Self::nameless()
    }

    fn is_plausible(&self) -> bool {
        is_name(&self.domain)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.domain, self.code)
    }
}

/// One stretch on charger and Wi-Fi and locked; the flags are those of its end, so a false one is what ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it began.
    pub start: DeviceTime,
    /// How long it lasted.
    pub length: Period,
    /// iCloud Backup was on.
    pub enabled: bool,
    /// On a charger.
    pub on_power: bool,
    /// Locked.
    pub locked: bool,
    /// On Wi-Fi.
    pub on_wifi: bool,
    /// Shorter stretches before it, which the phone ignored.
    pub ignored: u32,
    /// The last error at that time.
    pub error: Option<ErrorCode>,
}

/// A cloud backup under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploading {
    /// How far, from 0 to 1000.
    pub permille: u16,
    /// What the phone thinks is left of it.
    pub left: Option<Period>,
}

/// A part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// A backup domain, such as `AppDomain-org.example.app` or `MediaDomain`.
    pub domain: String,
    /// In bytes.
    pub bytes: u64,
}

/// What was heard while somebody listened to the phone's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// When the listening ended.
    pub at: HostTime,
    /// The last attempt that ended meanwhile.
    pub attempt: Option<Attempt>,
    /// The conditions as the phone last named them.
    pub conditions: Option<Conditions>,
    /// Management forbids iCloud backups.
    pub forbidden: bool,
    /// The phone said that it backed up recently and nothing is due.
    pub nothing_due: bool,
    /// The phone has put the next backup off.
    pub put_off: bool,
}

impl Heard {
    /// Within the bounds, and scrubbed.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.attempt = self.attempt.map(Attempt::bounded);
        self
    }
}

/// What a phone needs to begin a backup by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// iCloud Backup is on.
    pub enabled: bool,
    /// It is locked.
    pub locked: bool,
    /// On a charger.
    pub on_power: bool,
    /// On Wi-Fi.
    pub on_wifi: bool,
}

#[cfg(test)]
mod tests;
