//! Runs what was decided: every command becomes a joined job, and every end of a job, its panic too, comes back as a value.
//! Nothing here decides or retries.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backupwatch_backup::{Store, Which};
use backupwatch_core::evidence::Books;
use backupwatch_core::reread::Slice;
use backupwatch_core::retention::RetentionPolicy;
use backupwatch_core::run::{CancelledBy, Phase, Progress, RunEnd, RunFailure, RunReport};
use backupwatch_core::verdict::Check;
use backupwatch_core::watcher::{Attachment, Disk, Event, Job};
use backupwatch_core::{Facts, HostTime, LocalCopy, NoAnswer, Trust, Udid};
use backupwatch_device::bus::Found;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::diagnosis::ListenEvent;
use crate::errand::{self, Errand, Run};
use crate::listening::{self, Outcome};
use crate::medium::{self, Condition, Known, Origin, Trouble};
use crate::phones::{Attached, Order, Phones};
use crate::power::Power;
use crate::purgeable;
use crate::verification::{self, Stretch};

/// A visit ends by itself long before. One that does not must not keep others from their turn.
pub const VISIT: Duration = Duration::from_secs(90);

/// How a job ended.
#[derive(Debug)]
pub enum Done {
    /// A visit.
    Probed(Udid, Result<Box<Facts>, NoAnswer>),
    /// The question for trust.
    Paired(Udid, Trust),
    /// Listening to one phone.
    ObserveEnded(Udid),
    /// A backup.
    BackedUp(Box<RunReport>),
    /// A look at the store below this root.
    Scanned(PathBuf, Scan),
    /// Reading a part of a backup again.
    Reread(Udid, Stretch),
    /// Looking for the phone's notes in a backup.
    NotesRead(Udid, Result<Box<Books>, String>),
    /// Listening to a phone's log.
    Listened(Udid, Box<Outcome>),
    /// Listening to usbmuxd. Only ever because of shutdown, or with the loop.
    ListenEnded,
    /// A look at the cables.
    CablesSeen(Vec<Found>),
    /// Nobody tells any more who is plugged in.
    PluggedEnded,
    /// The program after a backup.
    Ran(Box<Run>),
    /// A page was opened, or not.
    PageOpened(Result<(), String>),
    /// A job broke.
    Panicked(What, String),
}

/// What a look at the store found.
#[derive(Debug)]
pub enum Scan {
    /// It is there.
    Ready {
        /// For the next time.
        known: Known,
        /// Bytes its disk has for us.
        free: Option<u64>,
        /// Which disk that is.
        disk: Option<Disk>,
        /// What keeps it from taking another backup.
        limit: Option<Trouble>,
        /// Each phone's current backup, and what a later look at it found.
        copies: Vec<(Udid, Option<Standing>)>,
    },
    /// It cannot be used.
    Missing(Trouble),
}

/// A backup of ours, and what a later look at it found.
pub type Standing = (LocalCopy, Option<Check>);

/// Which job, for the report of its panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One that the watcher asked for.
    Asked(Job, Option<Udid>),
    /// A look at the store below this root.
    Scan(PathBuf),
    /// Listening to usbmuxd.
    Listen,
    /// Looking at the cables.
    Cables,
    /// Waiting for what is plugged in.
    Plugged,
    /// Looking for a phone's notes.
    Notes,
    /// Listening to a phone's log.
    Log(Udid),
    /// The program after a backup.
    Program(Udid),
    /// Opening a page.
    Page,
}

/// Where the store is, and what is known about it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its root.
    pub root: PathBuf,
    /// Whether it may be made.
    pub origin: Origin,
    /// What was kept about it.
    pub known: Option<Known>,
}

/// The reins of a running backup.
#[derive(Debug)]
pub struct Reins {
    cancel: CancellationToken,
    by: Arc<OnceLock<CancelledBy>>,
}

impl Reins {
    /// Stops it politely; the first who does it is named in the report.
    pub fn cancel(&self, by: CancelledBy) {
        self.by.get_or_init(|| by);
        self.cancel.cancel();
    }
}

/// All running jobs.
pub struct Jobs<P> {
    phones: Arc<P>,
    clock: Arc<dyn Clock>,
    power: Power,
    news: mpsc::Sender<Event>,
    set: JoinSet<Done>,
    what: HashMap<Id, What>,
    /// Of each root. One at a time opens the store: the first to come makes it.
    stores: HashMap<PathBuf, Arc<Semaphore>>,
    /// One at a time runs after a backup: what copies backups elsewhere may not bear a second one beside it.
    programs: Arc<Semaphore>,
    listening: HashMap<Attachment, CancellationToken>,
    shutdown: CancellationToken,
}

impl<P: Phones> Jobs<P> {
    /// None yet. What jobs notice on their way goes to `news`; `shutdown` ends the ones that would go on for ever.
    pub fn new(
        phones: Arc<P>,
        clock: Arc<dyn Clock>,
        power: Power,
        news: mpsc::Sender<Event>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            phones,
            clock,
            power,
            news,
            set: JoinSet::new(),
            what: HashMap::new(),
            stores: HashMap::new(),
            programs: Arc::new(Semaphore::new(1)),
            listening: HashMap::new(),
            shutdown,
        }
    }

    /// The next job that ended. Never while none runs. May be dropped and called again.
    pub async fn next(&mut self) -> Done {
        match self.set.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, done))) => {
                self.what.remove(&id);
                done
            }
            Some(Err(error)) => self.broken(error),
        }
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Ends every job at its next await.
    pub fn abort_all(&mut self) {
        self.set.abort_all();
    }

    fn broken(&mut self, error: JoinError) -> Done {
        let what = self.what.remove(&error.id()).unwrap_or(What::Page);
        if error.is_cancelled() {
            return Done::Panicked(what, "it was ended".to_owned());
        }
        let payload = error.into_panic();
        let words = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without words".to_owned());
        Done::Panicked(what, words)
    }

    fn start(&mut self, what: What, job: impl Future<Output = Done> + Send + 'static) {
        let handle = self.set.spawn(job);
        self.what.insert(handle.id(), what);
    }

    /// A disk that hangs keeps nobody from another one.
    fn gate(&mut self, place: &Place) -> Arc<Semaphore> {
        let gate = self.stores.entry(place.root.clone());
        Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(1))))
    }

    /// Listens to usbmuxd until shutdown, after a pause.
    pub fn listen(&mut self, pause: Duration) {
        let (phones, news, cancel) = (
            Arc::clone(&self.phones),
            self.news.clone(),
            self.shutdown.clone(),
        );
        self.start(What::Listen, async move {
            tokio::time::sleep(pause).await;
            phones.listen(news, cancel).await;
            Done::ListenEnded
        });
    }

    /// Tells `hint` who plugs and unplugs, until shutdown.
    pub fn plugged(&mut self, hint: Arc<Notify>) {
        let (phones, cancel) = (Arc::clone(&self.phones), self.shutdown.clone());
        self.start(What::Plugged, async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = phones.plugged(|| hint.notify_one()) => {}
            }
            Done::PluggedEnded
        });
    }

    /// Looks at the cables.
    pub fn look_at_cables(&mut self) {
        let phones = Arc::clone(&self.phones);
        self.start(What::Cables, async move {
            Done::CablesSeen(phones.cables().await)
        });
    }

    /// Visits a phone.
    pub fn probe(&mut self, attached: Attached) {
        let (phones, clock) = (Arc::clone(&self.phones), Arc::clone(&self.clock));
        let what = What::Asked(Job::Probe, Some(attached.udid.clone()));
        self.start(what, async move {
            let told = tokio::time::timeout(VISIT, phones.probe(&attached, clock)).await;
            let told = told.unwrap_or(Err(NoAnswer::LinkLost));
            Done::Probed(attached.udid, told.map(Box::new))
        });
    }

    /// Asks a phone for trust.
    pub fn pair(&mut self, attached: Attached) {
        let (phones, clock, cancel) = (
            Arc::clone(&self.phones),
            Arc::clone(&self.clock),
            self.shutdown.clone(),
        );
        let what = What::Asked(Job::Pair, Some(attached.udid.clone()));
        self.start(what, async move {
            let trust = phones.pair(&attached, clock, cancel).await;
            Done::Paired(attached.udid, trust)
        });
    }

    /// Listens to a phone until it is detached.
    pub fn observe(&mut self, attached: Attached) {
        let cancel = self.shutdown.child_token();
        if let Some(before) = self.listening.insert(attached.attachment, cancel.clone()) {
            before.cancel();
        }
        let (phones, news) = (Arc::clone(&self.phones), self.news.clone());
        let what = What::Asked(Job::Observe, Some(attached.udid.clone()));
        self.start(what, async move {
            phones.observe(&attached, news, cancel).await;
            Done::ObserveEnded(attached.udid)
        });
    }

    /// Nothing is to be heard over that attachment any more.
    pub fn detached(&mut self, attachment: Attachment) {
        if let Some(cancel) = self.listening.remove(&attachment) {
            cancel.cancel();
        }
    }

    /// Makes a backup.
    pub fn back_up(
        &mut self,
        udid: Udid,
        place: Place,
        full: bool,
        retention: RetentionPolicy,
        progress: watch::Sender<Progress>,
        started: HostTime,
    ) -> Reins {
        let reins = Reins {
            cancel: CancellationToken::new(),
            by: Arc::default(),
        };
        let (cancel, by) = (reins.cancel.clone(), Arc::clone(&reins.by));
        let (phones, clock, news) = (
            Arc::clone(&self.phones),
            Arc::clone(&self.clock),
            self.news.clone(),
        );
        let (gate, power) = (self.gate(&place), self.power.clone());
        self.start(What::Asked(Job::Backup, Some(udid.clone())), async move {
            // Given back with this future, however that ends.
            let _awake = power.hold().await;
            let follow = tell_phases(udid.clone(), progress.subscribe(), news);
            let run = async move {
                let permit = gate.acquire_owned().await;
                let opened = tokio::task::spawn_blocking(move || {
                    medium::open(&place.root, place.origin, place.known.as_ref())
                })
                .await;
                drop(permit);
                let failure = match opened {
                    Ok(Ok(store)) => {
                        let order = Order {
                            udid,
                            store,
                            full,
                            retention,
                        };
                        return phones.back_up(order, clock, progress, cancel).await;
                    }
                    Ok(Err(why)) => {
                        tracing::warn!(%why, "there is no folder for the backup");
                        RunFailure::StoreMissing
                    }
                    Err(error) => RunFailure::Internal(error.to_string()),
                };
                failed(udid, started, clock.now(), failure)
            };
            let mut report = with(run, follow).await;
            if let (RunEnd::Failed(RunFailure::Cancelled { by: who }), Some(real)) =
                (&mut report.end, by.get())
            {
                *who = *real;
            }
            Done::BackedUp(Box::new(report))
        });
        reins
    }

    /// Looks at the store, for these phones and those that it knows itself. `heal` first finishes what a crash cut short;
    /// only for the first look, because it needs the store for itself.
    pub fn scan(&mut self, place: Place, udids: BTreeSet<Udid>, heal: bool) {
        let (gate, root) = (self.gate(&place), place.root.clone());
        self.start(What::Scan(root.clone()), async move {
            let _permit = gate.acquire_owned().await;
            let looked = tokio::task::spawn_blocking(move || scan(&place, udids, heal)).await;
            let scan = looked.unwrap_or_else(|error| {
                Scan::Missing(Trouble {
                    condition: Condition::Unusable,
                    words: error.to_string(),
                })
            });
            Done::Scanned(root, scan)
        });
    }

    /// Reads a part of a current backup again. It stops at the end of the token, and with the loop.
    pub fn reread(&mut self, udid: Udid, place: Place, slice: Slice) -> CancellationToken {
        let cancel = self.shutdown.child_token();
        let (clock, cancelled) = (Arc::clone(&self.clock), cancel.clone());
        let what = What::Asked(Job::Reread, Some(udid.clone()));
        self.start(what, async move {
            let stop = Arc::new(AtomicBool::new(false));
            let (device, halt) = (udid.clone(), Arc::clone(&stop));
            let reading = tokio::task::spawn_blocking(move || {
                verification::read_again(&place, &device, slice, &*clock, &halt)
            });
            // A thread cannot be dropped, only asked.
            let asking = async move {
                cancelled.cancelled().await;
                stop.store(true, Ordering::Relaxed);
            };
            let stretch = with(reading, asking).await.unwrap_or_else(|error| {
                tracing::error!(%error, "reading a backup again broke");
                Stretch::default()
            });
            Done::Reread(udid, stretch)
        });
        cancel
    }

    /// Looks for the phone's notes in its current backup.
    pub fn read_notes(&mut self, udid: Udid, place: Place) {
        let gate = self.gate(&place);
        self.start(What::Notes, async move {
            let _permit = gate.acquire_owned().await;
            let device = udid.clone();
            let reading = tokio::task::spawn_blocking(move || read_notes(&place, &device));
            let read = reading.await.map_err(|error| error.to_string());
            Done::NotesRead(udid, read.and_then(|read| read))
        });
    }

    /// Listens to a phone's log. It ends with the loop at the latest.
    pub fn listen_to(
        &mut self,
        attached: Attached,
        follower: mpsc::Sender<ListenEvent>,
        cancel: CancellationToken,
    ) {
        let (phones, clock) = (Arc::clone(&self.phones), Arc::clone(&self.clock));
        let what = What::Log(attached.udid.clone());
        self.start(what, async move {
            let outcome = listening::listen(&*phones, &attached, clock, follower, cancel).await;
            Done::Listened(attached.udid, Box::new(outcome))
        });
    }

    /// Runs the person's program for a device's newest backup. It ends with the loop at the latest.
    pub fn run_program(&mut self, errand: Errand, place: Place) {
        let (gate, clock) = (Arc::clone(&self.programs), Arc::clone(&self.clock));
        let cancel = self.shutdown.clone();
        self.start(What::Program(errand.udid.clone()), async move {
            // The semaphore is never closed, and a run without a permit would still be right.
            let _permit = gate.acquire_owned().await;
            Done::Ran(Box::new(errand::run(errand, place, &*clock, cancel).await))
        });
    }

    /// Opens the page for the person.
    pub fn open_page(
        &mut self,
        link: String,
        open: impl FnOnce(&str) -> io::Result<()> + Send + 'static,
    ) {
        self.start(What::Page, async move {
            let opened = tokio::task::spawn_blocking(move || open(&link)).await;
            Done::PageOpened(match opened {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            })
        });
    }
}

/// A report of a run that did not reach the phone.
pub fn failed(udid: Udid, started: HostTime, ended: HostTime, failure: RunFailure) -> RunReport {
    RunReport {
        udid,
        started,
        ended,
        end: RunEnd::Failed(failure),
        kind: backupwatch_core::run::RunKind::Incremental,
        bytes: 0,
        files: 0,
        refused: Vec::new(),
        warnings: Vec::new(),
    }
}

fn scan(place: &Place, mut udids: BTreeSet<Udid>, heal: bool) -> Scan {
    let store: Store = match medium::open(&place.root, place.origin, place.known.as_ref()) {
        Ok(store) => store,
        Err(why) => return Scan::Missing(why),
    };
    let look = || -> Result<Vec<(Udid, Option<Standing>)>, backupwatch_backup::StoreError> {
        if heal {
            for one in store.reconcile()? {
                tracing::info!(udid = one.udid.short(), what = ?one.what, "an unfinished backup was found");
            }
        }
        udids.extend(store.phones()?);
        // One phone's unreadable record is not the absence of all backups: nothing is said of that phone.
        let one = |udid: Udid| match store.standing(&udid) {
            Ok(copy) => Some((udid, copy)),
            Err(error) => {
                tracing::warn!(
                    udid = udid.short(),
                    error = medium::in_full(&error),
                    "a backup cannot be looked at"
                );
                None
            }
        };
        Ok(udids.into_iter().filter_map(one).collect())
    };
    match look() {
        Ok(copies) => {
            let free = purgeable::free(&store);
            Scan::Ready {
                known: Known {
                    root: place.root.clone(),
                    id: store.id().to_owned(),
                },
                free,
                disk: medium::disk(&place.root),
                limit: medium::limit(&store, free),
                copies,
            }
        }
        Err(error) => Scan::Missing(error.into()),
    }
}

fn read_notes(place: &Place, udid: &Udid) -> Result<Box<Books>, String> {
    let store = medium::open(&place.root, place.origin, place.known.as_ref())?;
    let held = store
        .open_version(udid, &Which::Current)
        .map_err(|error| medium::in_full(&error))?;
    // Without a password nothing is decrypted, so there is nothing to be put anywhere.
    let read = held.books(None, std::path::Path::new(""), &Arc::default());
    read.map(Box::new).map_err(|error| medium::in_full(&error))
}

/// Tells the loop when a backup enters another phase; its bytes are for those who follow it.
async fn tell_phases(
    udid: Udid,
    mut progress: watch::Receiver<Progress>,
    news: mpsc::Sender<Event>,
) {
    // Not the phase of the first look: the run may already be further, and each change is news.
    let mut phase = Phase::Opening;
    loop {
        let now = progress.borrow_and_update().phase;
        if now != phase {
            phase = now;
            let event = Event::BackupPhase {
                udid: udid.clone(),
                phase,
            };
            if news.send(event).await.is_err() {
                return;
            }
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}

/// The work's result, with `beside` running as long as the work does.
async fn with<T>(work: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    tokio::pin!(work, beside);
    let mut over = false;
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = &mut beside, if !over => over = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The run may be at the passcode before anybody looks; the person must still be told.
    #[tokio::test]
    async fn a_phase_that_was_entered_before_the_first_look_is_told() {
        let started = HostTime(jiff::Timestamp::UNIX_EPOCH);
        let phase = Phase::WaitingForPasscode;
        let (progress, follow) = watch::channel(Progress {
            phase,
            percent: None,
            bytes: 0,
            files: 0,
            started,
        });
        let (news, mut told) = mpsc::channel(4);
        let udid = Udid::parse("00008110-0000000000000001").unwrap();
        let telling = tokio::spawn(tell_phases(udid.clone(), follow, news));
        assert_eq!(
            told.recv().await,
            Some(Event::BackupPhase {
                udid: udid.clone(),
                phase
            })
        );
        progress.send_modify(|now| now.bytes = 1);
        progress.send_modify(|now| now.phase = Phase::Transferring);
        assert_eq!(
            told.recv().await,
            Some(Event::BackupPhase {
                udid,
                phase: Phase::Transferring
            }),
            "and only changes"
        );
        drop(progress);
        telling.await.unwrap();
        assert_eq!(told.recv().await, None);
    }
}
