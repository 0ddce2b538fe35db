//! What the phone itself knows of its iCloud backups: its books, found in our own backup of it, and what was heard live.
//!
//! Values only, bounded and without paths, names or addresses: whoever reads them off the phone scrubs them. What they mean is
//! `diagnosis`' business.

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

/// Everything that one device's causes are judged from, beside its facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The phone's books, from the newest backup of ours in which they could be read.
    pub books: Option<Books>,
    /// The last time that somebody listened.
    pub heard: Option<Heard>,
}

/// `com.apple.MobileBackup.plist` and its neighbour, as they were when our backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// When the backup was made from which they are.
    pub at: HostTime,
    /// The last attempts, oldest first, at most [`MOST_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
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
}

/// One error, as Apple's systems number them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ErrorCode {
    /// Such as `MBErrorDomain`.
    pub domain: String,
    /// Such as 303.
    pub code: i64,
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
