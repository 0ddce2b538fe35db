//! Writes the state beside the loop, so that a slow disk never keeps a decision waiting: a bounded queue, and one blocking
//! job at a time that writes what has gathered in one transaction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backupwatch_core::notice::{Notice, Urgency};
use backupwatch_core::run::RunReport;
use backupwatch_core::watcher::{Observation, Remembered};
use backupwatch_core::{HostTime, Period, Udid};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::errand::Run;
use crate::medium::{Known, in_full};
use crate::outside::Record;
use crate::report;
use crate::state::{self, State, StateError};
use crate::verification::Verification;

/// Writes that may wait. The loop waits for room rather than lose one.
const QUEUE: usize = 256;
/// Writes in one transaction.
const BATCH: usize = 64;
/// What is older is pruned, besides the last of each kind.
const KEPT_FOR: Period = Period::days(400);

/// Something to be written.
#[derive(Debug, Clone)]
pub enum Write {
    /// What must survive a restart, as of when.
    Remember(Box<Remembered>, HostTime),
    /// A line of a device's history.
    Record(Box<Observation>),
    /// A run that ended.
    Run(Box<RunReport>),
    /// A later look at a backup.
    Check(Box<Verification>),
    /// A notice that was posted.
    Notice(Box<Notice>),
    /// Everything attached was looked at.
    Polled(HostTime),
    /// The store in use.
    Store(Known),
    /// The stores of single devices.
    OwnStores(Vec<Known>),
    /// In which own roots the backups are that the state tells of.
    OwnRoots(BTreeMap<Udid, PathBuf>),
    /// What those outside are told, and how they were reached.
    Outside(Record),
    /// The program after a backup is to see this device's newest one.
    Owe(Udid, HostTime),
    /// It has run.
    Ran(Box<Run>),
    /// Time to forget what is old.
    Prune(HostTime),
}

/// The queue in front of the state.
#[derive(Debug)]
pub struct Keeper {
    queue: mpsc::Sender<Write>,
    trouble: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Takes over the state.
    pub fn start(state: State, path: &Path) -> Self {
        let (queue, writes) = mpsc::channel(QUEUE);
        let (tell, trouble) = watch::channel(None);
        let task = tokio::spawn(work(state, path.to_owned(), writes, tell));
        Self {
            queue,
            trouble,
            task,
        }
    }

    /// Queues a write; waits while the queue is full.
    pub async fn write(&self, write: Write) {
        // The task only ends after this sender; a panic in it has already been logged.
        let _ended = self.queue.send(write).await;
    }

    /// Why the last writes failed, if they did.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Writes what is queued, and ends.
    pub async fn finish(self) {
        drop(self.queue);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the last writes to the state were lost");
        }
    }
}

async fn work(
    state: State,
    path: PathBuf,
    mut writes: mpsc::Receiver<Write>,
    tell: watch::Sender<Option<String>>,
) {
    let mut state = Some(state);
    let mut batch = Vec::with_capacity(BATCH);
    while writes.recv_many(&mut batch, BATCH).await > 0 {
        let taken = std::mem::take(&mut batch);
        let (current, file) = (state.take(), path.clone());
        let done = tokio::task::spawn_blocking(move || write_batch(current, &file, &taken)).await;
        let (kept, result) = match done {
            Ok((kept, result)) => (kept, result),
            Err(error) => (None, Err(error.to_string())),
        };
        state = kept;
        let now = result.err();
        tell.send_if_modified(|before| {
            let changed = *before != now;
            match &now {
                Some(why) if changed => tracing::error!(why, "the state cannot be written"),
                None if changed => tracing::info!("the state can be written again"),
                Some(_) | None => {}
            }
            *before = now;
            changed
        });
    }
}

/// Writes the batch. A state that turns out damaged is set aside and the batch goes into the new one.
fn write_batch(
    state: Option<State>,
    path: &Path,
    batch: &[Write],
) -> (Option<State>, Result<(), String>) {
    let mut reopened = false;
    let mut state = state;
    loop {
        let mut open = match state.take() {
            Some(state) => state,
            None => match state::open(path) {
                Err(error) => return (None, Err(in_full(&error))),
                Ok(opened) => {
                    if let Some(aside) = opened.set_aside {
                        tracing::error!(aside = %aside.display(), "the state was damaged and begins anew");
                    }
                    opened.state
                }
            },
        };
        let written = write_all(&mut open, batch);
        match written {
            Ok(()) => return (Some(open), Ok(())),
            Err(error) if error.is_damage() && !reopened => reopened = true,
            Err(error) => return (Some(open), Err(in_full(&error))),
        }
    }
}

fn write_all(state: &mut State, batch: &[Write]) -> Result<(), StateError> {
    state.together(|state| batch.iter().try_for_each(|write| write_one(state, write)))?;
    let prune = batch.iter().rev().find_map(|write| match write {
        Write::Prune(now) => Some(*now),
        Write::Remember(..)
        | Write::Record(_)
        | Write::Run(_)
        | Write::Check(_)
        | Write::Notice(_)
        | Write::Polled(_)
        | Write::Store(_)
        | Write::OwnStores(_)
        | Write::OwnRoots(_)
        | Write::Outside(_)
        | Write::Owe(..)
        | Write::Ran(_) => None,
    });
    match prune {
        Some(now) => state.prune(HostTime(now.0.checked_sub(age()).unwrap_or(now.0))),
        None => Ok(()),
    }
}

fn age() -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(KEPT_FOR.as_seconds())
}

fn write_one(state: &State, write: &Write) -> Result<(), StateError> {
    match write {
        Write::Remember(one, at) => state.remember(&one.udid, *at, one),
        Write::Record(line) => state.observe(&line.facts.udid, line.at, line),
        Write::Run(run) => state.add_run(
            &run.udid,
            run.started,
            run.ended,
            report::outcome(&run.end),
            run,
        ),
        Write::Check(check) => state.add_check(&check.udid, check.at, check),
        Write::Notice(notice) => state.add_notice(
            notice.udid.as_ref(),
            notice.at,
            urgency(notice.level),
            &notice.title,
            &notice.body,
        ),
        Write::Polled(at) => state.polled(*at),
        Write::Store(known) => state.keep("store", &serde_json::to_string(known)?),
        Write::OwnStores(known) => state.keep("own_stores", &serde_json::to_string(known)?),
        Write::OwnRoots(roots) => state.keep("own_roots", &serde_json::to_string(roots)?),
        Write::Outside(record) => record.write(state),
        Write::Owe(udid, at) => state.owe(udid, *at),
        Write::Ran(run) => {
            if !run.is_to_be_repeated() {
                state.owe_no_more(&run.udid)?;
            }
            state.add_program_run(&run.udid, run.ended, run)
        }
        // After the transaction: it has its own.
        Write::Prune(_) => Ok(()),
    }
}

fn urgency(level: Urgency) -> &'static str {
    match level {
        Urgency::Quiet => "quiet",
        Urgency::Normal => "normal",
        Urgency::TimeSensitive => "time_sensitive",
    }
}
