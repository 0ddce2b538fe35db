//! How a run begins: the lock, what an earlier run left to be done, and the work tree, gone on with or linked anew.
//!
//! Everything here blocks on the disk; the engine calls it from threads that may. Not here: how a run ends (`run`).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_core::run::RunKind;
use backupwatch_core::{HostTime, Udid};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Store;
use super::checked;
use super::durable::{self, Barrier};
use super::error::{Context as _, StoreError};
use super::heal::{self, Base, HealError, Health};
use super::identity::TreeId;
use super::journal::{Found, Journal, Next, Origin, State};
use super::layout::Layout;
use super::linktree::{self, LinkError};
use super::locks::lock;
use super::roll;
use super::run::{Run, WorkTree};
use super::space;
use crate::disk::{self, CWD};
use crate::jail::{self, Jail};
use crate::ledger::Ledger;

/// How a run begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) now: HostTime,
    /// Begin with an empty tree: the certain way to a full backup (protocol.md 9.2).
    pub(crate) force_full: bool,
}

/// The right to work on a phone's folders: the disk can be written to, and nobody else is at it.
#[derive(Debug)]
pub(crate) struct Claim {
    layout: Layout,
    udid: Udid,
    barrier: Barrier,
    lock: File,
}

/// What the work tree will be made of.
#[derive(Debug)]
pub(crate) struct Planned {
    claim: Claim,
    now: HostTime,
    /// The current backup, if a tree may be linked to it.
    base: Option<TreeId>,
    plan: Plan,
}

impl Claim {
    /// Takes the lock, and finishes what an earlier run left to be done.
    pub(crate) fn take(store: &Store, udid: &Udid) -> Result<Self, StoreError> {
        store.check()?;
        let layout = store.layout.clone();
        let lock = lock(&layout, udid)?;
        // First, because what is swept may be what fills the disk.
        sweep(&layout, udid)?;
        check_writable(&layout, udid)?;
        let barrier = Barrier::open(layout.root()).context("open", layout.root())?;
        roll::roll_forward(&layout, udid, false)?;
        check_room(layout.root())?;
        Ok(Self {
            layout,
            udid: udid.clone(),
            barrier,
            lock,
        })
    }

    /// Decides what the work tree is made of: the one of an interrupted run, or links to the current backup.
    pub(crate) fn plan(self, begin: &Begin) -> Result<Planned, StoreError> {
        let (layout, udid) = (&self.layout, &self.udid);
        let current = layout.current(udid);
        let base = TreeId::of(&current).context("read", &current)?;
        if base.is_none() && disk::exists(&current).context("look at", &current)? {
            return Err(StoreError::NotAFolder { path: current });
        }
        // What is damaged is not built upon: its blobs would be linked into the new tree, and the phone, which knows them to
        // be there, would not send them again.
        let base = match base {
            Some(tree) if checked::is_damaged(layout, udid, &tree)? => None,
            base => base,
        };
        let path = layout.journal(udid);
        let plan = match Journal::read(&path).context("read", &path)? {
            _ if begin.force_full => Plan::Fresh(Next::Empty),
            Found::Journal(journal) => plan(journal, base.as_ref()),
            Found::Damaged | Found::Nothing => Plan::Fresh(Next::Current),
        };
        // Before the phone is told of what the tree begins with: a tree that turns out to be empty would be no good to it.
        let plan = match (plan, &base) {
            (Plan::Fresh(Next::Current), Some(tree)) if !can_be_proved(layout, udid, tree)? => {
                Plan::Fresh(Next::Empty)
            }
            (plan, _) => plan,
        };
        Ok(Planned {
            claim: self,
            now: begin.now,
            base,
            plan,
        })
    }

    #[cfg(test)]
    pub(crate) fn prepare(
        self,
        begin: &Begin,
        stop: &AtomicBool,
    ) -> Result<(Run, Ledger), StoreError> {
        self.plan(begin)?.prepare(stop)
    }
}

impl Planned {
    /// Whether what a crash left is to be read first, from end to end.
    pub(crate) fn heals(&self) -> bool {
        matches!(self.plan, Plan::Resume { heal: true, .. })
    }

    /// The current backup, where the work tree begins as the same: what is in the one can be told before the other is there.
    pub(crate) fn preview(&self) -> Option<Jail> {
        let same = matches!(self.plan, Plan::Fresh(Next::Current)) && self.base.is_some();
        if !same {
            return None;
        }
        // Where it cannot be opened, preparing says why.
        Jail::open(&self.claim.layout.current(&self.claim.udid)).ok()
    }

    /// Prepares the work tree.
    pub(crate) fn prepare(self, stop: &AtomicBool) -> Result<(Run, Ledger), StoreError> {
        let Self {
            claim:
                Claim {
                    layout,
                    udid,
                    barrier,
                    lock,
                },
            now,
            base,
            plan,
        } = self;
        let udid = &udid;
        let (resumed, next) = match plan {
            Plan::Resume {
                origin,
                begun,
                heal,
            } => {
                let resumed = resume(&layout, udid, origin, begun, heal, stop)?;
                (resumed.map(|origin| (origin, begun)), Next::Current)
            }
            Plan::Fresh(next) => (None, next),
        };
        let begin_anew = |next| {
            let origin = fresh(&layout, udid, base.clone(), next, now, &barrier, stop)?;
            Ok::<_, StoreError>((origin, now))
        };
        let (mut origin, mut begun) = match resumed {
            Some(resumed) => resumed,
            None => begin_anew(next)?,
        };
        let ledger_path = layout.work_ledger(udid);
        let ledger = match Ledger::open(&ledger_path) {
            // Without its hashes nothing that was gone on with can be proved.
            Err(e) if e.is_damage() => {
                tracing::warn!(
                    udid = udid.short(),
                    "the hashes of the interrupted backup are damaged, so it is begun with nothing"
                );
                (origin, begun) = begin_anew(Next::Empty)?;
                Ledger::open(&ledger_path)
            }
            opened => opened,
        };
        let ledger = ledger.map_err(|e| StoreError::io("open", &ledger_path, e.into()))?;
        let work = layout.work(udid);
        let jail = Jail::open(&work).context("open", &work)?;
        let kind = if jail.stat("Status.plist").is_ok() {
            RunKind::Incremental
        } else {
            RunKind::Full
        };
        let run = Run {
            layout,
            udid: udid.clone(),
            begun,
            origin,
            tree: Arc::new(WorkTree::new(jail, barrier, lock)),
            kind,
            plain_renames: false,
        };
        Ok((run, ledger))
    }
}

#[derive(Debug)]
enum Plan {
    Resume {
        origin: Origin,
        begun: HostTime,
        heal: bool,
    },
    Fresh(Next),
}

/// What the journal of an earlier run means now that `base` is the current tree.
fn plan(journal: Journal, base: Option<&TreeId>) -> Plan {
    let begun = journal.begun;
    match journal.state {
        // The current backup is another one by now: what was linked to the old one is worth nothing.
        State::Paused(origin) | State::Working(origin)
            if origin.base.is_some() && origin.base.as_ref() != base =>
        {
            Plan::Fresh(Next::Current)
        }
        State::Paused(origin) => Plan::Resume {
            origin,
            begun,
            heal: false,
        },
        State::Working(origin) => Plan::Resume {
            origin,
            begun,
            heal: true,
        },
        State::Condemned { next } => Plan::Fresh(next),
        State::Verified { .. } => Plan::Fresh(Next::Current),
    }
}

/// Whether the hashes of a tree can be trusted, or there never were any.
fn can_be_proved(layout: &Layout, udid: &Udid, tree: &TreeId) -> Result<bool, StoreError> {
    let path = layout.ledger(udid, tree);
    match Ledger::look(&path) {
        Ok(_) => Ok(true),
        Err(e) if e.is_damage() => {
            tracing::warn!(
                udid = udid.short(),
                "the hashes of the backup are damaged, so it is begun with nothing"
            );
            Ok(false)
        }
        Err(e) => Err(StoreError::io("open", &path, e.into())),
    }
}

/// Goes on with the work tree of an interrupted run, if it is there and sound.
fn resume(
    layout: &Layout,
    udid: &Udid,
    origin: Origin,
    begun: HostTime,
    heal: bool,
    stop: &AtomicBool,
) -> Result<Option<Origin>, StoreError> {
    let work = layout.work(udid);
    let jail = match Jail::open(&work) {
        Ok(jail) => jail,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io("open", &work, e)),
    };
    if !find_ledger(layout, udid)? {
        return Ok(None);
    }
    if heal {
        let base = match origin.base {
            Some(_) => {
                Some(Jail::open(&layout.current(udid)).context("open", &layout.current(udid))?)
            }
            None => None,
        };
        let hashed = match &origin.base {
            Some(tree) => {
                let ledger = layout.ledger(udid, tree);
                disk::exists(&ledger).context("look at", &ledger)?
            }
            None => false,
        };
        let base = base.as_ref().map(|jail| Base { jail, hashed });
        let healed = match Ledger::open_doubted(&layout.work_ledger(udid)) {
            Ok(mut ledger) => heal::heal(&jail, base.as_ref(), &mut ledger, stop),
            Err(e) => Err(e.into()),
        };
        match healed {
            Ok(Health::Good) => {}
            // Without its hashes nothing can be said about the tree.
            Ok(Health::Broken) | Err(HealError::Ledger(_)) => {
                tracing::warn!(
                    udid = udid.short(),
                    "the interrupted backup is damaged and is begun anew"
                );
                return Ok(None);
            }
            Err(HealError::Stopped) => return Err(StoreError::Stopped),
            Err(HealError::Io(e)) => return Err(StoreError::io("read", &work, e)),
        }
    }
    let origin = Origin {
        resumed: origin.resumed.saturating_add(1),
        ..origin
    };
    let path = layout.journal(udid);
    Journal::new(begun, State::Working(origin.clone()))
        .write(&path)
        .context("write", &path)?;
    Ok(Some(origin))
}

/// A new work tree.
fn fresh(
    layout: &Layout,
    udid: &Udid,
    base: Option<TreeId>,
    next: Next,
    now: HostTime,
    barrier: &Barrier,
    stop: &AtomicBool,
) -> Result<Origin, StoreError> {
    let (work, nascent, ledger) = (
        layout.work(udid),
        layout.nascent_work(udid),
        layout.work_ledger(udid),
    );
    roll::discard(layout, &work)?;
    remove_ledger(&ledger)?;
    let base = base.filter(|_| next == Next::Current);
    let origin = Origin {
        base,
        resumed: 0,
        fruitless: 0,
    };
    let path = layout.journal(udid);
    Journal::new(now, State::Working(origin.clone()))
        .write(&path)
        .context("write", &path)?;
    match &origin.base {
        Some(tree) => {
            let current = layout.current(udid);
            match linktree::grow(&current, &nascent, stop) {
                Ok(_) => {}
                Err(LinkError::Refused(_)) => {
                    return Err(StoreError::NoLinks {
                        path: layout.root().to_owned(),
                    });
                }
                Err(LinkError::Stopped) => return Err(StoreError::Stopped),
                Err(LinkError::Io(e)) => return Err(StoreError::io("link", &current, e)),
            }
            copy_ledger(&layout.ledger(udid, tree), &ledger)?;
        }
        None => durable::make_folder(&nascent).context("make", &nascent)?,
    }
    // A tree that has its name has all its links and all its hashes. A link that a power cut took would be one that the phone
    // removed, for all that could be told afterwards.
    let jail = Jail::open(&nascent).context("open", &nascent)?;
    barrier.wait(&jail).context("sync", &nascent)?;
    disk::rename(&nascent, &work).context("make", &work)?;
    Ok(origin)
}

/// Whether the ledger of the work tree is there. A commit that was cut short has already put it with those of the verified
/// trees; then it is copied back, because the current tree may have the same identity and need it too.
fn find_ledger(layout: &Layout, udid: &Udid) -> Result<bool, StoreError> {
    let (ledger, work) = (layout.work_ledger(udid), layout.work(udid));
    if disk::exists(&ledger).context("look at", &ledger)? {
        return Ok(true);
    }
    let Some(tree) = TreeId::of(&work).context("read", &work)? else {
        return Ok(false);
    };
    copy_ledger(&layout.ledger(udid, &tree), &ledger)
}

/// False when there is none to copy.
fn copy_ledger(from: &Path, to: &Path) -> Result<bool, StoreError> {
    let source = match disk::open(CWD, from, OFlags::RDONLY | OFlags::NOFOLLOW) {
        Ok(source) => File::from(source),
        Err(Errno::NOENT) => return Ok(false),
        Err(e) => return Err(StoreError::io("open", from, e.into())),
    };
    disk::create(CWD, to)
        .map_err(io::Error::from)
        .and_then(|target| {
            disk::copy(&source, &target)?;
            if durable::SYNC_EACH_FILE {
                disk::sync(&target)?;
            }
            Ok(true)
        })
        .context("copy", to)
}

fn remove_ledger(path: &Path) -> Result<(), StoreError> {
    durable::remove_file(path).context("remove", path)?;
    let rollback = path.with_extension("ledger-journal");
    durable::remove_file(&rollback).context("remove", &rollback)
}

/// The test that finds a read-only disk and macOS's silent refusals before a phone is asked for anything (protocol.md 12.9):
/// list, create and rename.
///
/// Its files are the phone's own, because another phone's run may begin at the same moment.
fn check_writable(layout: &Layout, udid: &Udid) -> Result<(), StoreError> {
    let root = layout.root();
    disk::list(root).context("list", root)?;
    for folder in [layout.ours(), layout.works(), layout.journals()] {
        durable::make_folder(&folder).context("make", &folder)?;
    }
    let probe = |end| layout.ours().join(format!("probe-{udid}{end}"));
    let (a, b) = (probe(".tmp"), probe(""));
    // Never what is there already, which could be a link to anywhere.
    durable::remove_file(&a).context("remove in", root)?;
    let file = disk::create(CWD, a.as_path()).context("write to", root)?;
    disk::write(&file, b"probe").context("write to", root)?;
    disk::rename(&a, &b).context("rename in", root)?;
    durable::remove_file(&b).context("remove in", root)
}

/// Nobody is asked for a passcode for a backup that has no room to begin. Apple's systems make room when it is wanted, so what is
/// free there says less; they are asked when the phone asks.
fn check_room(root: &Path) -> Result<(), StoreError> {
    let free = space::free_at(root).context("look at", root)?;
    if free < space::ROOM && !cfg!(target_vendor = "apple") {
        return Err(StoreError::NoSpace {
            path: root.to_owned(),
            free,
        });
    }
    Ok(())
}

/// Removes what earlier runs could not: half-made trees and what was on its way out.
fn sweep(layout: &Layout, udid: &Udid) -> Result<(), StoreError> {
    let nascent = layout.nascent_work(udid);
    if jail::remove_tree(&nascent).is_err() {
        roll::discard(layout, &nascent)?;
    }
    let Ok(trash) = disk::list(&layout.trash()) else {
        return Ok(());
    };
    for entry in trash.map_while(Result::ok) {
        // Another phone's run may be at the same; what stays is swept the next time.
        let _ = jail::remove_tree(&entry.path());
    }
    Ok(())
}
