//! One run of a backup, from the lock to the report: what a phone sends becomes a work tree, the work tree is verified, and
//! only then it becomes the current backup.
//!
//! Not here: when to run and what a failure leads to (`core`), how the phone is reached ([`crate::port`]).

mod attend;
mod chores;
mod end;
mod link;
mod lister;
mod owed;
mod pool;
mod receive;
mod retain;
mod serve;
mod session;
mod stop;
mod tally;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backupwatch_core::run::{Phase, Progress, RunEnd, RunFailure, RunKind, RunReport};
use backupwatch_core::{LocalCopy, Udid};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::info::Extras;
use crate::ledger::{Keeper, Ledger};
use crate::port::{Clock, Opened, Phone};
use crate::services::afc::Afc;
use crate::services::apps;
use crate::services::notifications::Notifications;
use crate::services::sync_lock::SyncLock;
use crate::store::{Begin, Claim, Planned, Run, Store, StoreError};
use attend::Attendant;
use end::{After, finish, put_away};
use link::Link;
use pool::Pool;
pub use retain::Retention;
use stop::Stop;
use tally::Tally;

/// How long the goodbyes may take, when the phone may be gone already.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long the phone may take for its list of apps and its small files; without them Info.plist is a bit shorter.
const EXTRAS: Duration = Duration::from_secs(30);

/// Runs on end that came to nothing with the same work tree, after which it is begun anew.
const STUBBORN: u32 = 2;

/// What a person or the watcher can choose for one run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Begin with nothing, so that the phone sends everything.
    pub force_full: bool,
    /// What the system would free for us beyond what is free, where it can say so (macOS).
    pub purgeable: Option<Purgeable>,
    /// Which versions are kept afterwards; without it all are.
    pub retention: Option<Retention>,
}

/// Asks the system for the bytes that it would make available for something important.
#[derive(Clone)]
pub struct Purgeable(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl Purgeable {
    pub fn new(ask: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    fn ask(&self) -> Option<u64> {
        (self.0)()
    }
}

impl fmt::Debug for Purgeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Purgeable")
    }
}

/// Makes a backup of `phone` in `store`.
///
/// However it ends, the backup that was current before is either still there byte for byte, or it is the version before a
/// new one that was verified. Cancelling the token ends it politely; dropping the future ends it like a crash, which the next
/// run heals.
pub async fn run<P: Phone>(
    phone: &P,
    store: &Store,
    clock: &dyn Clock,
    options: RunOptions,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> RunReport {
    let udid = phone.udid().clone();
    let started = clock.now();
    let first = Progress {
        phase: Phase::Opening,
        percent: None,
        bytes: 0,
        files: 0,
        started,
    };
    let mut attendant = Attendant::new(cancel, first, progress);
    let mut tally = Tally::default();
    let mut notes = Notes {
        kind: RunKind::Full,
        warnings: Vec::new(),
    };
    let outcome = attempt(
        phone,
        store,
        clock,
        &options,
        &mut attendant,
        &mut tally,
        &mut notes,
    )
    .await;
    let Notes { kind, mut warnings } = notes;
    let (bytes, files) = (attendant.progress().bytes, attendant.progress().files);
    tally.seen.prompt = attendant.prompt_seen;
    let end = match outcome {
        Ok(copy) => {
            attendant.done();
            RunEnd::Verified(copy)
        }
        Err(End::Stopped(stop)) => RunEnd::Failed(stop.into_failure(&tally.seen)),
        Err(End::NotWhole(failure)) => RunEnd::Failed(failure),
    };
    let refused = tally.into_report(&mut warnings);
    RunReport {
        udid,
        started,
        ended: clock.now(),
        end,
        kind,
        bytes,
        files,
        refused,
        warnings,
    }
}

/// What a report says beside its end.
struct Notes {
    kind: RunKind,
    warnings: Vec<String>,
}

/// The two ways not to end well.
enum End {
    Stopped(Stop),
    /// The phone called it a success, and the check on disk does not.
    NotWhole(RunFailure),
}

impl<E: Into<Stop>> From<E> for End {
    fn from(stop: E) -> Self {
        Self::Stopped(stop.into())
    }
}

async fn attempt<P: Phone>(
    phone: &P,
    store: &Store,
    clock: &dyn Clock,
    options: &RunOptions,
    attendant: &mut Attendant<P::Stream>,
    tally: &mut Tally,
    notes: &mut Notes,
) -> Result<LocalCopy, End> {
    let udid = phone.udid();
    let cancel = attendant.cancel.clone();
    let begin = Begin {
        now: attendant.progress().started,
        force_full: options.force_full,
    };
    let planned = {
        let (store, udid) = (store.clone(), udid.clone());
        blocking(move || Claim::take(&store, &udid)?.plan(&begin)).await??
    };
    let preview = planned.preview().map(Arc::new);
    // What a crash left is read from end to end, which can take long: no phone waits for that with its services open.
    let tree = if planned.heals() {
        let (run, ledger) = prepare(planned, cancel.clone()).await?;
        Tree::Ready(Box::new(run), ledger)
    } else {
        Tree::Planned(Box::new(planned))
    };
    let opened = tokio::select! {
        () = cancel.cancelled() => Err(Stop::Cancelled),
        opened = phone.open() => opened.map_err(Stop::Open),
    };
    let opened = match (opened, tree) {
        (Ok(opened), tree) => (opened, tree),
        (Err(stop), Tree::Planned(_)) => return Err(stop.into()),
        (Err(stop), Tree::Ready(run, ledger)) => {
            drop(ledger);
            put_away(*run, After::Nothing, notes).await;
            return Err(stop.into());
        }
    };
    let (opened, tree) = opened;
    let Opened {
        about,
        backup,
        notifications,
        afc,
        apps,
        icons,
    } = opened;

    // The work tree is linked while the phone is greeted, asks for its passcode and reads the lists of its last backup.
    let is_there = CancellationToken::new();
    let prepared = async {
        let _told = is_there.clone().drop_guard();
        match tree {
            Tree::Planned(planned) => prepare(*planned, cancel.clone()).await,
            Tree::Ready(run, ledger) => Ok((*run, ledger)),
        }
    };
    let greeting = async {
        let services = (backup, notifications, afc);
        let mut greeted = greet(services, (apps, icons), attendant, &mut notes.warnings).await?;
        let early = session::Early {
            udid,
            tree: preview.as_ref(),
            is_there: &is_there,
        };
        let link = &mut greeted.link;
        let asked = session::ask(link, attendant, &early, options.force_full, tally).await;
        Ok((greeted, asked))
    };
    let (prepared, greeted) = tokio::join!(prepared, greeting);
    let (run, ledger) = match prepared {
        Ok(prepared) => prepared,
        Err(stop) => {
            if let Ok((greeted, _)) = greeted {
                greeted.farewell(attendant, "stopped").await;
            }
            return Err(stop.into());
        }
    };
    notes.kind = run.kind();
    let keeper = match Keeper::start(ledger, run.tree()) {
        Ok(keeper) => keeper,
        Err(e) => return Err(Stop::Internal(e.to_string()).into()),
    };

    let (talked, extras) = match greeted {
        Ok((greeted, Ok(asked))) => {
            talk(
                greeted, asked, attendant, udid, &run, &keeper, options, tally,
            )
            .await
        }
        Ok((greeted, Err(stop))) => (Err(stop), greeted.farewell(attendant, "stopped").await),
        Err(stop) => (Err(stop), Extras::default()),
    };
    let ledger = match blocking(move || keeper.finish()).await? {
        Ok(ledger) => ledger,
        // The tree is as after a crash: without its hashes it must not be called put away in order.
        Err(e) => {
            if e.is_damage() {
                put_away(run, After::NoGood, notes).await;
            }
            return Err(talked
                .err()
                .unwrap_or_else(|| {
                    if e.is_full() {
                        StoreError::io("write to", store.root(), io::ErrorKind::StorageFull.into())
                            .into()
                    } else {
                        Stop::Host(with_cause(&e))
                    }
                })
                .into());
        }
    };
    match talked {
        Ok(()) => {
            let copy = finish(
                run, ledger, clock, attendant, udid, &about, &extras, tally, notes,
            )
            .await?;
            if let Some(retention) = options.retention {
                retain::retain(store, udid, retention).await;
            }
            Ok(copy)
        }
        Err(stop) => {
            drop(ledger);
            // What the phone was refused may be in the way of the next attempt as well.
            let at_odds =
                matches!(stop, Stop::Refused(_)) && tally.refusals() > 0 && !tally.seen.trouble;
            let fruitless = stop.is_the_trees_or_the_phones();
            let stubborn = fruitless && run.fruitless() >= STUBBORN;
            let after = match (stop.condemns() || stubborn || at_odds, fruitless) {
                (true, _) => After::NoGood,
                (false, true) => After::Fruitless,
                (false, false) => After::Nothing,
            };
            put_away(run, after, notes).await;
            Err(stop.into())
        }
    }
}

/// The work tree, before and after it is prepared.
enum Tree {
    Planned(Box<Planned>),
    Ready(Box<Run>, Ledger),
}

async fn prepare(planned: Planned, cancel: CancellationToken) -> Result<(Run, Ledger), Stop> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let mut work = std::pin::pin!(blocking(move || planned.prepare(&told)));
    let prepared = tokio::select! {
        prepared = &mut work => prepared,
        () = cancel.cancelled() => {
            stop.store(true, Ordering::Relaxed);
            work.await
        }
    };
    Ok(prepared??)
}

/// The services after their greetings.
struct Greeted<S> {
    link: Link<S>,
    afc: Afc<S>,
    lock: SyncLock,
    extras: Extras,
}

/// Takes the sync lock, reads what Info.plist wants to know, and greets mobilebackup2.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    (backup, notifications, afc): (S, S, S),
    (apps, icons): (Option<S>, Option<S>),
    attendant: &mut Attendant<S>,
    warnings: &mut Vec<String>,
) -> Result<Greeted<S>, Stop> {
    let mut extras = Extras::default();
    let mut afc = Afc::new(afc);
    let cancel = attendant.cancel.clone();
    let locking = async {
        let mut notifications = Notifications::observe(notifications)
            .await
            .map_err(Stop::from_link)?;
        let lock = SyncLock::take(&mut notifications, &mut afc).await?;
        Ok::<_, Stop>((notifications, lock))
    };
    let (notifications, lock) = tokio::select! {
        () = cancel.cancelled() => return Err(Stop::Cancelled),
        locked = tokio::time::timeout(attend::BETWEEN, locking) => {
            locked.map_err(|_| Stop::Silent(attend::BETWEEN))??
        }
    };
    attendant.notifications = Some(notifications);
    let asking = async {
        extras
            .read_files(&mut afc)
            .await
            .map_err(io::Error::other)?;
        if let Some(apps) = apps {
            extras.apps = apps::browse(apps).await?;
        }
        if let Some(icons) = icons {
            apps::icons(icons, &mut extras.apps).await?;
        }
        Ok(())
    };
    let mut stop = None;
    match attendant.during(EXTRAS, asking).await {
        Ok(()) => {}
        Err(cancel @ (Stop::Cancelled | Stop::CancelledOnPhone)) => stop = Some(cancel),
        Err(_) => warnings.push("the phone did not tell all that Info.plist can hold".to_owned()),
    }
    let mut link = Link::new(backup);
    if stop.is_none() {
        stop = session::greet(&mut link, attendant).await.err();
    }
    let greeted = Greeted {
        link,
        afc,
        lock,
        extras,
    };
    match stop {
        None => Ok(greeted),
        Some(stop) => {
            greeted.farewell(attendant, "stopped").await;
            Err(stop)
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    /// Says goodbye and gives the lock back. A phone that is gone does not hear it, and its lock went with the connection.
    async fn farewell(mut self, attendant: &mut Attendant<S>, reason: &str) -> Extras {
        let goodbye = async {
            let _ = self.link.close(reason).await;
            if let Some(notifications) = &mut attendant.notifications {
                let _ = self.lock.release(notifications, &mut self.afc).await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        self.extras
    }
}

/// The backup itself, and the goodbyes.
#[expect(
    clippy::too_many_arguments,
    reason = "where the phone, its tree and what is told of both come together"
)]
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    greeted: Greeted<S>,
    asked: session::Asked,
    attendant: &mut Attendant<S>,
    udid: &Udid,
    run: &Run,
    keeper: &Keeper,
    options: &RunOptions,
    tally: &mut Tally,
) -> (Result<(), Stop>, Extras) {
    let mut greeted = greeted;
    let link = &mut greeted.link;
    let (tree, handle) = (run.tree(), keeper.handle());
    let talked = match Pool::start(Arc::clone(&tree), handle.clone()) {
        Ok(pool) => {
            let hands = session::Hands {
                udid,
                tree: &tree,
                keeper: &handle,
                pool: &pool,
                purgeable: options.purgeable.as_ref(),
            };
            let talked = session::back_up(link, attendant, &hands, asked, tally).await;
            let ended = blocking(move || pool.end()).await;
            match ended {
                Ok(Ok(())) => talked,
                Ok(Err(e)) => talked.and(Err(Stop::Internal(e.to_string()))),
                Err(stop) => talked.and(Err(stop)),
            }
        }
        Err(e) => Err(Stop::Internal(e.to_string())),
    };
    let reason = if talked.is_ok() { "done" } else { "stopped" };
    let extras = greeted.farewell(attendant, reason).await;
    (talked, extras)
}

/// An error with the error behind it.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Runs work on a thread that may block. A panic in it is an error, not the end of the agent.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Stop>> {
    // It begins now, awaited or not.
    let task = tokio::task::spawn_blocking(work);
    async {
        task.await
            .map_err(|e| Stop::Internal(format!("a job broke: {e}")))
    }
}
