//! The messages of the local API, version 1: what a client sends and what it gets, beside the status document.
//! Additive changes only; the serialized forms are pinned by snapshots. Nothing here decides anything.

use backupwatch_core::ladder::Mark;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Of every document.
pub const SCHEMA: u32 = 1;

/// Answer of `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Version {
    /// The number of this shape.
    pub schema: u32,
    /// The agent's release.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
}

/// Body of `POST /v1/devices/{udid}/backup`; an empty body is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BackupRequest {
    /// Ask the phone for everything, not only for what changed.
    pub full: bool,
}

/// One line of the answer to it, and of `backup --json`. The last one is `ended`; a stream that stops without it means that the
/// agent ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BackupEvent {
    /// Where the run is now. Sent when something changed, at most ten times a second.
    Progress(Progress),
    /// How it ended.
    Ended(RunSummary),
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Progress {
    /// `opening`, `waiting_for_passcode`, `preparing`, `transferring`, `moving`, `verifying` or `committing`.
    pub phase: String,
    /// Of the whole, as the phone says; absent while it does not.
    pub percent: Option<f32>,
    /// File bytes received so far.
    pub bytes: u64,
    /// Files received so far.
    pub files: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunSummary {
    /// The device.
    pub udid: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether a verified backup came of it.
    pub ok: bool,
    /// A stable code: `verified`, or why not.
    pub outcome: String,
    /// The same for people, with the next step.
    pub words: String,
    /// `full` or `incremental`.
    pub kind: String,
    /// The verification level that was reached, `L0` to `L4`; absent unless verified.
    pub level: Option<String>,
    /// Whether the backup is encrypted; absent unless verified.
    pub encrypted: Option<bool>,
    /// File bytes received.
    pub bytes: u64,
    /// Files received.
    pub files: u64,
    /// Files that the phone could not give.
    pub refused: u64,
    /// What a person should know although it ended well.
    pub warnings: Vec<String>,
}

/// Body of `POST /v1/pair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairRequest {
    /// The device.
    pub udid: String,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PairAnswer {
    /// The number of this shape.
    pub schema: u32,
    /// The device.
    pub udid: String,
    /// As in the status document.
    pub trust: String,
}

/// Body of `POST /v1/snooze`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SnoozeRequest {
    /// The device.
    pub udid: String,
    /// Until when nothing is said about it; a time that is over ends a snooze.
    pub until: Timestamp,
}

/// Body of `POST /v1/local-only`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LocalOnlyRequest {
    /// The device.
    pub udid: String,
    /// Whether local backups are enough for it.
    pub chosen: bool,
}

/// Body of `POST /v1/devices/{udid}/steps/{step}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MarkRequest {
    /// `did`, `did_not_help`, `not_for_me` or `undo`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub mark: Mark,
}

/// Body of `POST /v1/page`; an empty body is the page of all devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PageRequest {
    /// The device that it is to show.
    pub udid: Option<String>,
    /// The step of its ladder.
    pub step: Option<String>,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageAnswer {
    /// The number of this shape.
    pub schema: u32,
    /// A link that lets a browser in: once, and within two minutes.
    pub url: String,
}

/// Without the link, which belongs into no log.
impl std::fmt::Debug for PageAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageAnswer").finish_non_exhaustive()
    }
}

/// Answer of `POST /v1/test-notice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestNotice {
    /// The number of this shape.
    pub schema: u32,
    /// Whether the desktop took it. What a person sees also hangs on the desktop's own settings.
    pub shown: bool,
    /// If not, why, in words for the person, without a full stop.
    pub why: Option<String>,
}

/// Query of `GET /v1/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only of this device.
    pub udid: Option<String>,
    /// At most so many; 100 when it is left out.
    pub limit: Option<u32>,
}

/// An error, as every route answers it. `error` is stable, the rest is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The number of this shape.
    pub schema: u32,
    /// A stable code.
    pub error: String,
    /// One sentence.
    pub message: String,
    /// What to do, where there is something.
    pub next: Option<String>,
}

/// Answer of `GET /v1/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct History {
    /// The number of this shape.
    pub schema: u32,
    /// As of when.
    pub as_of: Timestamp,
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum HistoryEntry {
    /// A backup run.
    Run(RunSummary),
    /// A later look at a backup, by a person or by the agent itself.
    Verification(VerificationEntry),
    /// The person's own program after a backup.
    Program(ProgramEntry),
    /// A notice, whether or not a desktop showed it.
    Notice(NoticeEntry),
}

impl HistoryEntry {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Run(run) => run.ended,
            Self::Verification(check) => check.at,
            Self::Program(run) => run.ended,
            Self::Notice(notice) => notice.at,
        }
    }
}

/// A later look at a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerificationEntry {
    /// The device.
    pub udid: String,
    /// When it ended.
    pub at: Timestamp,
    /// `current`, or the name of an older version.
    pub version: String,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The deepest level that holds, `L0` to `L4`.
    pub level: Option<String>,
    /// Files of the backup.
    pub files: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Files whose contents were read again.
    pub reread_files: u64,
    /// How many things are wrong.
    pub wrong: u64,
    /// Whether the agent looked by itself.
    pub scheduled: bool,
    /// One sentence.
    pub words: String,
}

/// A run of the person's own program after a backup (`hooks.after_backup`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramEntry {
    /// The device whose backup it was for.
    pub udid: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it ended well. The backup is good either way.
    pub ok: bool,
    /// A stable code: `ok`, `failed`, `late`, `cut_short`, `not_started`, `unsafe`, `no_backup` or `overtaken`.
    pub outcome: String,
    /// One sentence.
    pub words: String,
}

/// A notice that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoticeEntry {
    /// The device; absent when it is about the agent itself.
    pub udid: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How loud, as the watcher calls it.
    pub level: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
}

#[cfg(test)]
mod tests;
