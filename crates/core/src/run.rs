//! One local backup from plan to report, as values. The engine that does it is another crate.

use crate::time::HostTime;
use crate::udid::Udid;
use crate::verdict::{Level, LocalCopy};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A backup to be made, with the reasons for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlan {
    /// Of which device.
    pub udid: Udid,
    /// Why, as fragments that can be joined by commas.
    pub reasons: Vec<String>,
    /// A person asked for it just now, so somebody is there.
    pub asked: bool,
}

/// `backup due: iCloud 58 d old, newest verified copy 9 d old`
impl fmt::Display for RunPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opening = if self.asked {
            "backup asked for"
        } else {
            "backup due"
        };
        if self.reasons.is_empty() {
            f.write_str(opening)
        } else {
            write!(f, "{opening}: {}", self.reasons.join(", "))
        }
    }
}

/// Whether everything was sent, or only what had changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Everything.
    Full,
    /// What had changed since the current backup, or since an interrupted attempt.
    Incremental,
}

/// Where a running backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Connecting and opening services.
    Opening,
    /// The phone is asking for its passcode.
    WaitingForPasscode,
    /// The phone is preparing its snapshot.
    Preparing,
    /// Files arrive.
    Transferring,
    /// The phone sorts what it has sent.
    Moving,
    /// The result is checked on disk.
    Verifying,
    /// The result becomes the current backup.
    Committing,
}

/// How far a running backup is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// The device's own figure, 0 to 100, once it gives one.
    pub percent: Option<f32>,
    /// Bytes of file data received.
    pub bytes: u64,
    /// Files received whole.
    pub files: u64,
    /// When the run began.
    pub started: HostTime,
}

/// A file that the device could not or would not send, or that we refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// Its place in the backup (a hash, so not personal), or the device's path when it has none.
    pub path: String,
    /// Why, in words.
    pub why: String,
    /// The device's or the protocol's code.
    pub code: i64,
}

/// Why a run did not end in a verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFailure {
    /// Nobody entered the passcode in time (208).
    PasscodeTimeout,
    /// Somebody dismissed the question for the passcode (208).
    PasscodeCancelled,
    /// Locked, in another way than by the question for the passcode.
    DeviceLocked,
    /// The connection ended.
    Unplugged,
    /// Stopped before its end.
    Cancelled {
        /// Who stopped it.
        by: CancelledBy,
    },
    /// This computer's disk is full.
    HostNoSpace {
        /// Bytes that the run needs.
        need: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// The phone has no room for its snapshot.
    DeviceNoSpace,
    /// Another program is synchronising with the device.
    Busy,
    /// Another process of ours is using this store.
    StoreInUse,
    /// The folder or disk for backups is not there.
    StoreMissing,
    /// The device does not trust this computer.
    NotTrusted,
    /// Restarted and not unlocked since.
    NeverUnlocked,
    /// Its management demands an encrypted backup, and no password is set.
    EncryptionRequired,
    /// Its management forbids local backups.
    Prohibited,
    /// It does not offer a service that a backup needs.
    ServiceMissing {
        /// Which.
        service: String,
    },
    /// Setup Assistant or a restore is running.
    SettingUp,
    /// The device calls the backup on this disk damaged (205).
    BackupCorrupt,
    /// Everything arrived, but the check on disk found fault.
    Verification {
        /// The level that failed.
        level: Level,
        /// Files of the manifest that are not on disk or have the wrong size.
        missing: u64,
        /// The first finding, in words.
        detail: String,
    },
    /// The device broke the protocol.
    Protocol(String),
    /// The device ended with a code of its own.
    Device {
        /// From MBErrorDomain.
        code: i64,
        /// Its description; may hold file paths, so it stays out of notifications.
        text: String,
    },
    /// Reading or writing on this computer failed.
    Io(String),
    /// The engine itself broke.
    Internal(String),
}

/// Who stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// The person, at this computer.
    Person,
    /// The person, on the phone, or the phone itself.
    Phone,
    /// The agent, because it is ending.
    Shutdown,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// With a copy that was checked on disk.
    Verified(LocalCopy),
    /// In another way; the copy before it is untouched.
    Failed(RunFailure),
}

/// What a run leaves behind for history, notices and the next decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Of which device.
    pub udid: Udid,
    /// First moment.
    pub started: HostTime,
    /// Last moment.
    pub ended: HostTime,
    /// The end.
    pub end: RunEnd,
    /// Full or incremental.
    pub kind: RunKind,
    /// Bytes of file data received.
    pub bytes: u64,
    /// Files received whole.
    pub files: u64,
    /// Files that are not in the copy.
    pub refused: Vec<RefusedFile>,
    /// What a person may want to know although the run ended well.
    pub warnings: Vec<String>,
}
