//! What a person can be told while the phone's log runs past, and what stays of it as evidence.
//!
//! A pure aggregator: whoever streams the log (`os_trace_relay`, or `syslog_relay`) hands each line over. Lines are known by prefix
//! and code, never by whole sentences, and the patterns are data (`data/patterns.toml`, `remediation.md` 1.3).

use crate::evidence::{ErrorCode, Heard};
use crate::time::{DeviceTime, HostTime};
use serde::{Deserialize, Serialize};

/// One line of the phone's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When, by the phone's clock; where the service tells no time, when it came.
    pub at: DeviceTime,
    /// The name or the path of the process.
    pub process: &'a str,
    /// How loud; none where the service does not say.
    pub level: Option<LogLevel>,
    /// Such as `com.apple.mobilebackup`; empty where the service does not say.
    pub subsystem: &'a str,
    /// Its part; empty where the service does not say.
    pub category: &'a str,
    /// The text.
    pub text: &'a str,
}

/// How loud a line is, from the quietest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// In passing.
    Info,
    /// What is usual.
    Default,
    /// Something failed.
    Error,
    /// Something broke.
    Fault,
}

/// What a line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// A backup to iCloud is under way.
    UnderWay,
    /// It came to its end.
    Succeeded,
    /// It failed.
    Failed,
    /// A file of one app could not be read or sent.
    App,
    /// All that a phone needs to begin by itself is there.
    Ready,
    /// Something of that is missing.
    NotReady,
    /// It backed up recently; nothing is due.
    NothingDue,
    /// The next backup was put off.
    PutOff,
    /// Management forbids iCloud backups.
    Forbidden,
    /// The phone itself warns that its backup is overdue.
    Overdue,
}

/// Something that a person can be told at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// What it is, for machines.
    pub kind: SignKind,
    /// When, by the phone's clock.
    pub at: DeviceTime,
    /// What it is, in a sentence: "The phone says: iCloud storage is full (303)."
    pub words: String,
    /// The error that names it, if one does.
    pub error: Option<ErrorCode>,
}

/// Everything heard so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listening {}

impl Listening {
    /// Takes in a line; answers when it means something new.
    pub fn take(&mut self, _line: &Line<'_>) -> Option<Sign> {
        None
    }

    /// What stays of it as evidence, when the listening ended at `at`.
    pub fn heard(&self, at: HostTime) -> Heard {
        Heard {
            at,
            attempt: None,
            conditions: None,
            forbidden: false,
            nothing_due: false,
            put_off: false,
        }
    }
}
