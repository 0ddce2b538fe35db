//! One run's hold on the store: the work tree, and the ways to end: paused, condemned or committed.
//!
//! Everything here blocks on the disk; the engine calls it from threads that may. Not here: how a run begins (`begin`).

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use backupwatch_core::run::RunKind;
use backupwatch_core::{HostTime, LocalCopy, Udid};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::checked;
use super::durable::{self, Ahead, Barrier};
use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::journal::{Journal, Next, Origin, State};
use super::layout::Layout;
use super::record::Record;
use super::roll;
use crate::disk::{self, CWD};
use crate::jail::Jail;
use crate::ledger::Ledger;

/// The work tree, open. The lock lasts as long as anybody has it, so a writer that is late is never alone with a tree that
/// somebody else uses by now.
#[derive(Debug)]
pub(crate) struct WorkTree {
    jail: Arc<Jail>,
    barrier: Barrier,
    _lock: File,
}

impl WorkTree {
    pub(super) fn new(jail: Jail, barrier: Barrier, lock: File) -> Self {
        Self {
            jail: Arc::new(jail),
            barrier,
            _lock: lock,
        }
    }

    /// For those who only read.
    pub(crate) fn jail(&self) -> &Arc<Jail> {
        &self.jail
    }

    /// Waits until everything that was done to the tree is on the medium.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.barrier.wait(&self.jail)
    }

    /// What leaves little to wait for.
    pub(crate) fn ahead(&self) -> &Ahead {
        self.barrier.ahead()
    }
}

impl std::ops::Deref for WorkTree {
    type Target = Jail;

    fn deref(&self) -> &Jail {
        &self.jail
    }
}

/// See the module. Dropped without an end, it leaves what a crash would leave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) layout: Layout,
    pub(super) udid: Udid,
    pub(super) begun: HostTime,
    pub(super) origin: Origin,
    pub(super) tree: Arc<WorkTree>,
    pub(super) kind: RunKind,
    pub(super) plain_renames: bool,
}

impl Run {
    /// The work tree.
    pub(crate) fn tree(&self) -> Arc<WorkTree> {
        Arc::clone(&self.tree)
    }

    /// Where the work tree is.
    pub(crate) fn folder(&self) -> PathBuf {
        self.layout.work(&self.udid)
    }

    /// Whether the work tree has something to go on from.
    pub(crate) fn kind(&self) -> RunKind {
        self.kind
    }

    /// How many runs on end came to nothing with this work tree before this one.
    pub(crate) fn fruitless(&self) -> u32 {
        self.origin.fruitless
    }

    /// How many times it was gone on with after an interruption.
    #[cfg(test)]
    pub(crate) fn resumed(&self) -> u32 {
        self.origin.resumed
    }

    /// Ends before the time, in order: what arrived is made durable, and the phone goes on from it next time. The ledger is
    /// closed by then; when it could not be, call nothing: the next run heals the tree.
    /// `fruitless`: the reason may lie in the tree, so it is not gone on with for ever.
    pub(crate) fn pause(self, fruitless: bool) -> Result<(), StoreError> {
        self.check_place()?;
        self.check_clean()?;
        self.sync_ledger()?;
        self.tree.settle().context("sync", &self.folder())?;
        let before = self.origin.fruitless;
        self.write_journal(State::Paused(Origin {
            fruitless: if fruitless {
                before.saturating_add(1)
            } else {
                0
            },
            ..self.origin.clone()
        }))
    }

    /// Ends with a tree that is no good. The next run begins from the current backup; if this one did so already, from
    /// nothing: the fault may be in what was linked (a resumed tree proves nothing about that).
    pub(crate) fn condemn(self) -> Result<(), StoreError> {
        self.check_place()?;
        let next = if self.origin.resumed == 0 && self.origin.base.is_some() {
            Next::Empty
        } else {
            Next::Current
        };
        self.write_journal(State::Condemned { next })?;
        roll::discard(&self.layout, &self.folder())
    }

    /// Ends well: the work tree, which was verified as `copy` says, becomes the current backup. When this fails, a later
    /// start finishes it.
    pub(crate) fn commit(self, ledger: Ledger, copy: &LocalCopy) -> Result<(), StoreError> {
        self.seal(ledger, copy)?;
        roll::roll_forward(&self.layout, &self.udid, self.plain_renames)?;
        Ok(())
    }

    /// The part of a commit that says, durably, that the work tree is verified.
    pub(super) fn seal(&self, ledger: Ledger, copy: &LocalCopy) -> Result<(), StoreError> {
        self.check_place()?;
        self.check_clean()?;
        self.check_base()?;
        let (layout, udid, work) = (&self.layout, &self.udid, self.folder());
        let from = layout.work_ledger(udid);
        ledger
            .close()
            .map_err(|e| StoreError::io("close", &from, e.into()))?;
        self.sync_ledger()?;
        self.tree.settle().context("sync", &work)?;
        let Some(tree) = TreeId::of(&work).context("read", &work)? else {
            return Err(StoreError::NotAFolder { path: work });
        };
        let copies = layout.copies(udid);
        durable::make_folder(&copies).context("make", &copies)?;
        let kept = layout.ledger(udid, &tree);
        disk::rename(&from, &kept).context("keep", &from)?;
        let told = self.tell(tree, copy);
        if told.is_err() {
            // The next run goes on with this tree, and needs its hashes.
            let _ = disk::rename(&kept, &from);
        }
        told
    }

    fn tell(&self, tree: TreeId, copy: &LocalCopy) -> Result<(), StoreError> {
        let (layout, udid) = (&self.layout, &self.udid);
        let copies = layout.copies(udid);
        let records = Record::all(layout, udid).context("read", &copies)?;
        let serial = records
            .iter()
            .map(|record| record.serial)
            .max()
            .unwrap_or(0)
            .saturating_add(1);
        Record::new(tree.clone(), serial, copy)
            .write(layout, udid)
            .context("write", &copies)?;
        durable::sync_parent(&copies).context("sync", &copies)?;
        self.write_journal(State::Verified { tree })
    }

    /// What follows goes by names. By now they may be those of another disk, mounted in the place of the first one, with a
    /// tree of its own that nobody verified.
    fn check_place(&self) -> Result<(), StoreError> {
        let path = self.folder();
        match self.tree.is_at(&path) {
            Ok(true) => Ok(()),
            Ok(false) | Err(Errno::NOENT) => Err(StoreError::RootMissing {
                path: self.layout.root().to_owned(),
            }),
            Err(e) => Err(StoreError::io("look at", &path, e.into())),
        }
    }

    /// A file that did not arrive whole and could not be removed has the name of a whole one. It is left as a crash would leave
    /// it: the next run reads everything and removes it.
    fn check_clean(&self) -> Result<(), StoreError> {
        let removed = self.tree.is_clean().map_err(io::Error::from);
        removed.context("remove part of", &self.folder())
    }

    /// Somebody may have looked at the current backup while this run was at work, and found damage that is linked into its
    /// tree. The next run begins from nothing.
    fn check_base(&self) -> Result<(), StoreError> {
        match &self.origin.base {
            Some(tree) if checked::is_damaged(&self.layout, &self.udid, tree)? => {
                Err(StoreError::BaseDamaged)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn sync_ledger(&self) -> Result<(), StoreError> {
        if durable::SYNC_EACH_FILE {
            let path = self.layout.work_ledger(&self.udid);
            disk::open(CWD, path.as_path(), OFlags::RDONLY)
                .and_then(disk::sync)
                .context("sync", &path)?;
        }
        Ok(())
    }

    fn write_journal(&self, state: State) -> Result<(), StoreError> {
        let path = self.layout.journal(&self.udid);
        Journal::new(self.begun, state)
            .write(&path)
            .context("write", &path)
    }

    /// As on a file system that cannot exchange two names in one step.
    #[cfg(test)]
    pub(crate) fn without_exchange(mut self) -> Self {
        self.plain_renames = true;
        self
    }
}
