//! A notice: what one person is told once. When, and how often, is decided in `watcher::told`.

use crate::time::HostTime;
use crate::udid::Udid;
use serde::{Deserialize, Serialize};

/// What a notice is about, as a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// iCloud has not backed up for too long.
    CloudStale,
    /// The old iCloud copy may soon be deleted by Apple.
    CloudExpiry,
    /// iCloud Backup has been switched off since it was last seen.
    SwitchedOff,
    /// The one reminder of that.
    StillOff,
    /// iCloud Backup was off when first seen: is that meant?
    OffOnPurpose,
    /// iCloud backs up again.
    CloudWorks,
    /// A step that a person took did not help: which one is next.
    StepFailed,
    /// Nothing could be learnt for too long.
    UnknownForLong,
    /// The device must be told to trust this computer.
    PairingNeeded,
    /// A local backup is due and waits for a click.
    BackupDue,
    /// The phone is asking for its passcode.
    PasscodeWanted,
    /// A local backup was made and checked.
    BackupVerified,
    /// A local backup did not finish.
    BackupFailed,
    /// A local backup is not what it was when it was made.
    BackupDamaged,
    /// The folder or disk for backups is not there.
    StoreMissing,
    /// Somebody asked to see a notice.
    Test,
}

impl NoticeKind {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::CloudStale => "cloud_stale",
            Self::CloudExpiry => "cloud_expiry",
            Self::SwitchedOff => "switched_off",
            Self::StillOff => "still_off",
            Self::OffOnPurpose => "off_on_purpose",
            Self::CloudWorks => "cloud_works",
            Self::StepFailed => "step_failed",
            Self::UnknownForLong => "unknown_for_long",
            Self::PairingNeeded => "pairing_needed",
            Self::BackupDue => "backup_due",
            Self::PasscodeWanted => "passcode_wanted",
            Self::BackupVerified => "backup_verified",
            Self::BackupFailed => "backup_failed",
            Self::BackupDamaged => "backup_damaged",
            Self::StoreMissing => "store_missing",
            Self::Test => "test",
        }
    }
}

/// How loudly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Into the list, without a sound.
    Quiet,
    /// As usual.
    Normal,
    /// Through a focus mode, where the system lets it.
    TimeSensitive,
}

/// What a person can do from the notice itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Start a local backup.
    BackUpNow,
    /// Open the steps for this device.
    ShowSteps,
    /// Say nothing of this device for a day.
    Snooze,
    /// Local backups are enough for this device.
    LocalOnly,
}

impl Action {
    /// The stable code for machines and notification daemons.
    pub fn code(self) -> &'static str {
        match self {
            Self::BackUpNow => "back_up_now",
            Self::ShowSteps => "show_steps",
            Self::Snooze => "snooze",
            Self::LocalOnly => "local_only",
        }
    }

    /// What its button says.
    pub fn label(self) -> &'static str {
        match self {
            Self::BackUpNow => "Back Up Now",
            Self::ShowSteps => "Show Steps",
            Self::Snooze => "Snooze",
            Self::LocalOnly => "Local Backups Only",
        }
    }
}

/// One notice, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Unique among all notices of this installation.
    pub id: String,
    /// What a newer notice replaces on the screen: equal for notices of one device about one matter.
    pub replaces: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// Of which device; absent when it is about backupwatch itself.
    pub udid: Option<Udid>,
    /// When it was decided.
    pub at: HostTime,
    /// How loudly.
    pub level: Urgency,
    /// One line.
    pub title: String,
    /// What is wrong, since when, what was done already, and the one next step.
    pub body: String,
    /// Buttons. A click on the notice itself shows the device.
    pub actions: Vec<Action>,
}
