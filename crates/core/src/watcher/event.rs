//! What the watcher is told, and what it wants done.

use crate::evidence::{Books, Heard};
use crate::facts::{Facts, LinkKind, NoAnswer, Trust};
use crate::ladder::Mark;
use crate::notice::Notice;
use crate::reread::Slice;
use crate::run::{Phase, RunPlan, RunReport};
use crate::steps::StepId;
use crate::time::HostTime;
use crate::udid::Udid;
use crate::verdict::{Check, LocalCopy, Verdict};
use crate::watcher::remembered::Remembered;
use serde::{Deserialize, Serialize};
use std::fmt;

/// usbmuxd's number for one attachment; a new one each time a device comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attachment(pub u32);

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job that the watcher has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// [`Command::Probe`]
    Probe,
    /// [`Command::Pair`]
    Pair,
    /// [`Command::Observe`]
    Observe,
    /// [`Command::StartBackup`]
    Backup,
    /// [`Command::Notify`]
    Notify,
    /// Looking at the store.
    Store,
    /// [`Command::Reread`]
    Reread,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// usbmuxd answers.
    MuxUp,
    /// usbmuxd is away or speaks rubbish. All attachments are void.
    MuxDown {
        /// In words.
        why: String,
    },
    /// A device came, by one link.
    Attached {
        /// Which device.
        udid: Udid,
        /// How.
        link: LinkKind,
        /// usbmuxd's number for it.
        attachment: Attachment,
    },
    /// That attachment ended.
    Detached {
        /// usbmuxd's number for it.
        attachment: Attachment,
    },
    /// Somebody has paired the device.
    Paired {
        /// usbmuxd's number for it.
        attachment: Attachment,
    },
    /// The answer to [`Command::Probe`].
    Probed(Box<Facts>),
    /// [`Command::Probe`] learnt nothing.
    ProbeFailed {
        /// Which device.
        udid: Udid,
        /// Why.
        why: NoAnswer,
    },
    /// The answer to [`Command::Pair`].
    PairAnswer {
        /// Which device.
        udid: Udid,
        /// How the device took it.
        trust: Trust,
    },
    /// [`Command::Observe`] heard that the backup domain of lockdown changed.
    DomainChanged {
        /// Which device.
        udid: Udid,
    },
    /// [`Command::Observe`] heard that the device was locked or unlocked.
    LockChanged {
        /// Which device.
        udid: Udid,
    },
    /// [`Command::Observe`] has ended.
    ObserveEnded {
        /// Which device.
        udid: Udid,
    },
    /// A backup has begun, by [`Command::StartBackup`] or by another process of ours.
    BackupStarted {
        /// Which device.
        udid: Udid,
    },
    /// A running backup has entered another phase.
    BackupPhase {
        /// Which device.
        udid: Udid,
        /// Which phase.
        phase: Phase,
    },
    /// A backup has ended.
    BackupFinished(Box<RunReport>),
    /// A first iCloud upload has got further.
    UploadProgress {
        /// Which device.
        udid: Udid,
        /// How far, from 0 to 1000.
        permille: u16,
    },
    /// The store says which copy it has.
    StoreScanned {
        /// Of which device.
        udid: Udid,
        /// The current one, if we made it.
        copy: Option<LocalCopy>,
        /// What a later look at it found.
        #[serde(default)]
        check: Option<Check>,
    },
    /// The answer to [`Command::Reread`]. What was found is in the store by then.
    RereadEnded {
        /// Of which device's backup.
        udid: Udid,
        /// How many of the parts were read to their end.
        parts: u8,
    },
    /// The store is there.
    StoreReady {
        /// Free bytes on its volume, where that can be told.
        free: Option<u64>,
    },
    /// The folder or disk for backups is not there.
    StoreMissing {
        /// In words.
        why: String,
    },
    /// The store that a device has for itself is there.
    OwnStoreReady {
        /// Whose.
        udid: Udid,
        /// Free bytes on its volume, where that can be told.
        free: Option<u64>,
    },
    /// It is not there.
    OwnStoreMissing {
        /// Whose.
        udid: Udid,
        /// In words.
        why: String,
    },
    /// A person wants a backup now.
    AskBackup {
        /// Which device.
        udid: Udid,
    },
    /// A person wants the running backup stopped.
    AskCancel {
        /// Which device.
        udid: Udid,
    },
    /// A person wants to know now.
    AskProbe {
        /// Which device.
        udid: Udid,
    },
    /// A person wants the device to be asked for trust again.
    AskPair {
        /// Which device.
        udid: Udid,
    },
    /// A person wants no notices and no backups of this device for a while.
    Snooze {
        /// Which device.
        udid: Udid,
        /// Until when; a moment in the past ends it.
        until: HostTime,
    },
    /// A person says whether local backups are enough for this device.
    LocalOnly {
        /// Which device.
        udid: Udid,
        /// Whether they are.
        chosen: bool,
    },
    /// The phone's books were found in our newest backup of it.
    BooksRead {
        /// Which device.
        udid: Udid,
        /// What is in them.
        books: Box<Books>,
    },
    /// Somebody listened to the phone's log.
    Listened {
        /// Which device.
        udid: Udid,
        /// What was heard.
        heard: Box<Heard>,
    },
    /// A person says something of a step.
    Marked {
        /// Which device.
        udid: Udid,
        /// Which step.
        step: StepId,
        /// What they say.
        mark: Mark,
    },
    /// A job broke. It is over.
    JobPanicked {
        /// Which kind.
        what: Job,
        /// Of which device, if of one.
        udid: Option<Udid>,
    },
    /// The computer woke from sleep.
    Woke,
    /// The time that `poll_timeout` named has come.
    Tick,
}

/// Something to be done. Jobs report back by events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Ask the device for its facts. Ends with `Probed`, `ProbeFailed` or `JobPanicked`.
    Probe {
        /// Which device.
        udid: Udid,
        /// Over which attachment.
        attachment: Attachment,
    },
    /// Ask the device to trust this computer. Ends with `PairAnswer` or `JobPanicked`.
    Pair {
        /// Which device.
        udid: Udid,
        /// Over which attachment.
        attachment: Attachment,
    },
    /// Listen to the device's notifications while it is attached. Ends with `ObserveEnded` or `JobPanicked`.
    Observe {
        /// Which device.
        udid: Udid,
        /// Over which attachment.
        attachment: Attachment,
    },
    /// Tell the person.
    Notify(Box<Notice>),
    /// Make a backup. Ends with `BackupFinished` or `JobPanicked`.
    StartBackup {
        /// Over which attachment.
        attachment: Attachment,
        /// What and why.
        plan: RunPlan,
    },
    /// Stop the running backup politely. It still ends with `BackupFinished`.
    CancelBackup {
        /// Which device.
        udid: Udid,
    },
    /// Read this part of the current backup again and hold it against the hashes. Ends with `RereadEnded` or
    /// `JobPanicked`.
    Reread {
        /// Of which device's backup.
        udid: Udid,
        /// Which part.
        slice: Slice,
    },
    /// Stop reading: something more important wants the disk. It still ends with `RereadEnded`.
    StopReread {
        /// Of which device's backup.
        udid: Udid,
    },
    /// Store this in place of what was stored for the device: it must survive a restart.
    Remember(Box<Remembered>),
    /// Append this to the device's history.
    Record(Box<Observation>),
}

/// One line of a device's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: HostTime,
    /// What the device said.
    pub facts: Facts,
    /// What we made of it.
    pub verdict: Verdict,
    /// The verdict is another than the one before.
    pub changed: bool,
}
