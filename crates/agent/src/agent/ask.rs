//! What a face may ask of the running loop: a bounded queue of questions, each with its own way back.

use backupwatch_core::evidence::Books;
use backupwatch_core::ladder::Mark;
use backupwatch_core::run::{Progress, RunReport};
use backupwatch_core::steps::StepId;
use backupwatch_core::{HostTime, Trust, Udid};
use backupwatch_notify::Posted;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Config;
use crate::diagnosis::{DiagnosisDocument, ListenEvent};
use crate::ladder::LadderDocument;
use crate::phones::Attached;
use crate::places::Places;
use crate::status::Status;
use crate::verification::Verification;

/// Questions that may wait.
const QUEUE: usize = 64;

/// A question to the loop.
#[derive(Debug)]
pub enum Ask {
    /// What is known.
    Status(oneshot::Sender<Status>),
    /// Where backups go.
    Places(oneshot::Sender<Places>),
    /// Visit what is attached, now, and then say what is known.
    Check {
        /// What is attached, or why nobody can tell; where the loop does not listen to usbmuxd itself.
        listed: Option<Result<Vec<Attached>, String>>,
        /// The way back.
        reply: oneshot::Sender<Status>,
    },
    /// Make a backup, or join the one that runs.
    Backup {
        /// Of which device.
        udid: Udid,
        /// Everything, not only what changed.
        full: bool,
        /// The way back.
        reply: oneshot::Sender<Result<Following, Refusal>>,
    },
    /// Stop a backup.
    Cancel {
        /// Of which device.
        udid: Udid,
        /// The way back.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// From now on this holds: of devices, and of who is told outside.
    Configure {
        /// All that is configured. What can only be chosen at the start is left as it is.
        config: Box<Config>,
        /// The way back.
        reply: oneshot::Sender<Status>,
    },
    /// Ask a device for trust.
    Pair {
        /// Which.
        udid: Udid,
        /// The way back; the answer comes when the person has given theirs.
        reply: oneshot::Sender<Result<Trust, Refusal>>,
    },
    /// Be silent about a device.
    Snooze {
        /// Which.
        udid: Udid,
        /// Until when.
        until: HostTime,
        /// The way back.
        reply: oneshot::Sender<Result<Status, Refusal>>,
    },
    /// Whether local backups are enough for a device.
    LocalOnly {
        /// Which.
        udid: Udid,
        /// Whether they are.
        chosen: bool,
        /// The way back.
        reply: oneshot::Sender<Result<Status, Refusal>>,
    },
    /// Show one harmless notice; the way back says whether it came onto the screen.
    TestNotice(oneshot::Sender<Posted>),
    /// Why a device's iCloud Backup fails, and what to do.
    Ladder {
        /// Which.
        udid: Udid,
        /// The way back.
        reply: oneshot::Sender<Result<LadderDocument, Refusal>>,
    },
    /// A person says something of a step.
    Mark {
        /// Of which device.
        udid: Udid,
        /// Which step.
        step: StepId,
        /// What they say.
        mark: Mark,
        /// The way back.
        reply: oneshot::Sender<Result<LadderDocument, Refusal>>,
    },
    /// What is known of why a device's iCloud Backup fails.
    Diagnosis {
        /// Which.
        udid: Udid,
        /// The way back.
        reply: oneshot::Sender<Result<DiagnosisDocument, Refusal>>,
    },
    /// Somebody has read what a device noted of its iCloud backups.
    Books {
        /// Which.
        udid: Udid,
        /// What is in them.
        books: Box<Books>,
        /// The way back.
        reply: oneshot::Sender<Result<DiagnosisDocument, Refusal>>,
    },
    /// Listen to a device's log. It ends by itself, or when nobody takes what is heard.
    Listen {
        /// Which.
        udid: Udid,
        /// The way back, and what is heard.
        reply: oneshot::Sender<Result<mpsc::Receiver<ListenEvent>, Refusal>>,
    },
    /// Stop listening to a device.
    StopListening {
        /// Which.
        udid: Udid,
        /// The way back.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Somebody has looked at a backup: keep it in the history, look at the store, and then say what is known.
    Verified {
        /// What was found.
        check: Box<Verification>,
        /// The way back.
        reply: oneshot::Sender<Status>,
    },
    /// Follow the backup that runs, if one does.
    Follow {
        /// Of which device.
        udid: Udid,
        /// The way back.
        reply: oneshot::Sender<Result<Following, Refusal>>,
    },
}

impl Ask {
    /// Whether nothing changes by it but that somebody knows.
    pub(super) fn is_mere_question(&self) -> bool {
        match self {
            Self::Status(_)
            | Self::Places(_)
            | Self::Ladder { .. }
            | Self::Diagnosis { .. }
            | Self::Follow { .. } => true,
            Self::Check { .. }
            | Self::Configure { .. }
            | Self::Backup { .. }
            | Self::Cancel { .. }
            | Self::Pair { .. }
            | Self::Snooze { .. }
            | Self::LocalOnly { .. }
            | Self::TestNotice(_)
            | Self::Mark { .. }
            | Self::Books { .. }
            | Self::Listen { .. }
            | Self::StopListening { .. }
            | Self::Verified { .. } => false,
        }
    }
}

/// A running backup, as its followers see it.
#[derive(Debug, Clone)]
pub struct Following {
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
    /// How it ended, once it has.
    pub end: watch::Receiver<Option<RunReport>>,
}

/// Why the loop does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows this device.
    #[error("no device with this UDID is known")]
    UnknownDevice,
    /// It is not attached.
    #[error("the device is not connected")]
    NotAttached,
    /// A backup cannot begin yet.
    #[error("the backup cannot begin yet: it waits for {waiting_for}")]
    NotNow {
        /// For what, in words.
        waiting_for: String,
    },
    /// The folder for backups cannot be used.
    #[error("the backup cannot begin: {why}")]
    NoStore {
        /// Why, in words.
        why: String,
    },
    /// Somebody listens already.
    #[error("somebody listens to this device already")]
    Listening,
    /// Nobody listens.
    #[error("nobody listens to this device")]
    NotListening,
    /// There is no backup to be stopped.
    #[error("no backup of this device is running")]
    NoBackup,
    /// The loop ends.
    #[error("the agent is ending")]
    Ending,
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::NotAttached => "not_attached",
            Self::NotNow { .. } => "not_now",
            Self::NoStore { .. } => "no_store",
            Self::Listening => "listening",
            Self::NotListening => "not_listening",
            Self::NoBackup => "no_backup",
            Self::Ending => "ending",
        }
    }

    /// What the person can do.
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::UnknownDevice => {
                Some("Connect it, or see `backupwatch status` for the devices that are known.")
            }
            Self::NotAttached => Some("Connect it with a cable."),
            Self::NotNow { .. } => Some("It begins by itself if that happens within half an hour."),
            Self::NoStore { .. } => Some(
                "Connect the disk, or choose another folder: backup.root in the configuration.",
            ),
            Self::Listening => Some("Let it finish: it ends by itself within ten minutes."),
            Self::NotListening | Self::NoBackup | Self::Ending => None,
        }
    }
}

/// Where questions are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk(mpsc::Sender<Ask>);

impl Desk {
    /// A desk, and where its questions arrive.
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (asks, receiver) = mpsc::channel(QUEUE);
        (Self(asks), receiver)
    }

    /// Where backups go.
    pub async fn places(&self) -> Result<Places, Refusal> {
        self.ask(Ask::Places).await
    }

    /// What is known.
    pub async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Ask::Status).await
    }

    /// Visits what is attached, and then says what is known.
    pub async fn check(
        &self,
        listed: Option<Result<Vec<Attached>, String>>,
    ) -> Result<Status, Refusal> {
        self.ask(|reply| Ask::Check { listed, reply }).await
    }

    /// Starts a backup, or joins the one that runs.
    pub async fn backup(&self, udid: Udid, full: bool) -> Result<Following, Refusal> {
        self.ask(|reply| Ask::Backup { udid, full, reply }).await?
    }

    /// Stops a backup.
    pub async fn cancel(&self, udid: Udid) -> Result<(), Refusal> {
        self.ask(|reply| Ask::Cancel { udid, reply }).await?
    }

    /// Has this configuration hold from now on, as far as it can without a new start.
    pub async fn configure(&self, config: Config) -> Result<Status, Refusal> {
        let config = Box::new(config);
        self.ask(|reply| Ask::Configure { config, reply }).await
    }

    /// Asks a device for trust and waits for the person at it.
    pub async fn pair(&self, udid: Udid) -> Result<Trust, Refusal> {
        self.ask(|reply| Ask::Pair { udid, reply }).await?
    }

    /// Is silent about a device until then.
    pub async fn snooze(&self, udid: Udid, until: HostTime) -> Result<Status, Refusal> {
        self.ask(|reply| Ask::Snooze { udid, until, reply }).await?
    }

    /// Says whether local backups are enough for a device.
    pub async fn local_only(&self, udid: Udid, chosen: bool) -> Result<Status, Refusal> {
        self.ask(|reply| Ask::LocalOnly {
            udid,
            chosen,
            reply,
        })
        .await?
    }

    /// Shows one harmless notice, and says how to learn whether it came onto the screen.
    pub async fn test_notice(&self) -> Result<Posted, Refusal> {
        self.ask(Ask::TestNotice).await
    }

    /// Why a device's iCloud Backup fails, and what to do.
    pub async fn ladder(&self, udid: Udid) -> Result<LadderDocument, Refusal> {
        self.ask(|reply| Ask::Ladder { udid, reply }).await?
    }

    /// Says something of a step, and what follows from it.
    pub async fn mark(
        &self,
        udid: Udid,
        step: StepId,
        mark: Mark,
    ) -> Result<LadderDocument, Refusal> {
        self.ask(|reply| Ask::Mark {
            udid,
            step,
            mark,
            reply,
        })
        .await?
    }

    /// What is known of why a device's iCloud Backup fails.
    pub async fn diagnosis(&self, udid: Udid) -> Result<DiagnosisDocument, Refusal> {
        self.ask(|reply| Ask::Diagnosis { udid, reply }).await?
    }

    /// Tells what a device noted of its iCloud backups, and what follows from it.
    pub async fn books(&self, udid: Udid, books: Books) -> Result<DiagnosisDocument, Refusal> {
        let books = Box::new(books);
        self.ask(|reply| Ask::Books { udid, books, reply }).await?
    }

    /// Listens to a device's log; what it means comes as it is heard.
    pub async fn listen(&self, udid: Udid) -> Result<mpsc::Receiver<ListenEvent>, Refusal> {
        self.ask(|reply| Ask::Listen { udid, reply }).await?
    }

    /// Stops listening; the follower sees it end.
    pub async fn stop_listening(&self, udid: Udid) -> Result<(), Refusal> {
        self.ask(|reply| Ask::StopListening { udid, reply }).await?
    }

    /// Tells of a look at a backup, and waits until it is known.
    pub async fn verified(&self, check: Verification) -> Result<Status, Refusal> {
        let check = Box::new(check);
        self.ask(|reply| Ask::Verified { check, reply }).await
    }

    /// Follows the backup that runs.
    pub async fn follow(&self, udid: Udid) -> Result<Following, Refusal> {
        self.ask(|reply| Ask::Follow { udid, reply }).await?
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0
            .send(question(reply))
            .await
            .map_err(|_| Refusal::Ending)?;
        answer.await.map_err(|_| Refusal::Ending)
    }
}
