//! Rolling forward: from "verified" to "current", in steps each of which can be the last one before a crash.
//!
//! What is to happen is read from the disk each time: the journal names the verified tree, and its identity tells whether it
//! is still the work tree or the current one already. So a second start does only what the first one did not.
//!
//! Not here: what becomes of the versions (`versions`). Rolling forward deletes none.

use std::path::{Path, PathBuf};

use backupwatch_core::Udid;
use rustix::io::Errno;

use super::Store;
use super::durable;
use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::journal::{Found, Journal, Next, State};
use super::layout::Layout;
use super::locks::lock;
use super::record::Record;
use super::versions;
use crate::disk;
use crate::jail;

/// What [`Store::reconcile`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    pub udid: Udid,
    pub what: RolledForward,
}

/// What became of one phone's unfinished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolledForward {
    /// A verified tree became the current one.
    Committed,
    /// An attempt is kept; the phone goes on from it.
    Kept,
    /// Another process is at it.
    Running,
}

impl Store {
    /// Finishes what a crash cut short, for every phone. Current backups are not touched but by a tree that was verified.
    ///
    /// # Errors
    /// When the store cannot be read or written to, or not for one of the phones; the others are seen to all the same.
    pub fn reconcile(&self) -> Result<Vec<Reconciled>, StoreError> {
        let mut all = Vec::new();
        let mut failed = None;
        for udid in self.phones()? {
            let journal = self.layout.journal(&udid);
            let done = match disk::exists(&journal).context("look at", &journal) {
                Ok(false) => continue,
                Ok(true) => lock(&self.layout, &udid)
                    .and_then(|_lock| roll_forward(&self.layout, &udid, false)),
                Err(e) => Err(e),
            };
            let what = match done {
                Ok(true) => RolledForward::Committed,
                Ok(false) => RolledForward::Kept,
                Err(StoreError::InUse { .. }) => RolledForward::Running,
                // The others must not wait for this one.
                Err(e) => {
                    failed.get_or_insert(e);
                    continue;
                }
            };
            all.push(Reconciled { udid, what });
        }
        match failed {
            Some(e) => Err(e),
            None => Ok(all),
        }
    }
}

/// Does what the journal of a phone says is still to be done. True when a tree became the current one by it. The caller holds
/// the lock.
///
/// `plain` forbids the exchange in one step, as file systems without it do.
pub(super) fn roll_forward(layout: &Layout, udid: &Udid, plain: bool) -> Result<bool, StoreError> {
    let (work, current) = (layout.work(udid), layout.current(udid));
    let path = layout.journal(udid);
    let work_id = TreeId::of(&work).context("read", &work)?;
    let current_id = TreeId::of(&current).context("read", &current)?;
    let verified = match Journal::read(&path).context("read", &path)? {
        Found::Journal(Journal {
            state: State::Verified { tree },
            ..
        }) => tree,
        Found::Damaged => {
            // As long as the work tree has a ledger of its own it is worked on. It may then look like a verified one,
            // because it begins as links of one, property lists included.
            let ledger = layout.work_ledger(udid);
            let sealed = !disk::exists(&ledger).context("look at", &ledger)?;
            let work_id = work_id.as_ref().filter(|_| sealed);
            match newer_verified(layout, udid, work_id, current_id.as_ref())? {
                Some(tree) => tree,
                // The work tree may be anything, so the next run does not go on from it.
                None => {
                    condemn_unknown(layout, udid)?;
                    return Ok(false);
                }
            }
        }
        Found::Journal(_) | Found::Nothing => return Ok(false),
    };
    if work_id.as_ref() == Some(&verified) {
        exchange(layout, udid, plain)?;
    } else if current_id.as_ref() != Some(&verified) {
        // Somebody took the tree away after it was verified. What is current stays.
        condemn_unknown(layout, udid)?;
        return Ok(false);
    }
    // From here the current tree is the verified one, and what is left in `work` is the one before it.
    if disk::exists(&work).context("look at", &work)? {
        let version = version_path(layout, udid, &work)?;
        disk::rename(&work, &version).context("keep as a version", &work)?;
        durable::sync_parent(&version).context("sync", &version)?;
    }
    durable::remove_file(&layout.work_ledger(udid)).context("remove", &layout.work_ledger(udid))?;
    Journal::close(&path).context("close", &path)?;
    Ok(true)
}

/// Puts the work tree in the place of the current one. Without a swap in one step the old one becomes a version at once.
fn exchange(layout: &Layout, udid: &Udid, plain: bool) -> Result<(), StoreError> {
    let (work, current) = (layout.work(udid), layout.current(udid));
    if disk::exists(&current).context("look at", &current)? {
        let swapped = if plain {
            Err(Errno::NOTSUP)
        } else {
            disk::exchange(&work, &current)
        };
        match swapped {
            Ok(()) => {
                durable::sync_parent(&current).context("sync", &current)?;
                durable::sync_parent(&work).context("sync", &work)?;
                return Ok(());
            }
            // Not on this file system: two renames, of which the journal tells a later start to do the second.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                let version = version_path(layout, udid, &current)?;
                disk::rename(&current, &version).context("keep as a version", &current)?;
                durable::sync_parent(&version).context("sync", &version)?;
            }
            Err(e) => return Err(StoreError::io("exchange", &current, e.into())),
        }
    }
    disk::rename(&work, &current).context("put in place", &current)?;
    durable::sync_parent(&current).context("sync", &current)?;
    durable::sync_parent(&work).context("sync", &work)
}

/// Without a journal: a work tree that was verified after the current one.
fn newer_verified(
    layout: &Layout,
    udid: &Udid,
    work: Option<&TreeId>,
    current: Option<&TreeId>,
) -> Result<Option<TreeId>, StoreError> {
    let record = |tree: Option<&TreeId>| match tree {
        Some(tree) => Record::read(layout, udid, tree),
        None => Ok(None),
    };
    let (work, current) = (record(work)?, record(current)?);
    let newer = match (work, current) {
        (Some(work), Some(current)) if work.serial > current.serial => work,
        // The exchange happened: what is in `work` is the tree before the current one.
        (Some(_), Some(current)) => current,
        (Some(work), None) => work,
        (None, _) => return Ok(None),
    };
    Ok(Some(newer.tree))
}

fn condemn_unknown(layout: &Layout, udid: &Udid) -> Result<(), StoreError> {
    let path = layout.journal(udid);
    let journal = Journal::new(
        backupwatch_core::HostTime(jiff::Timestamp::UNIX_EPOCH),
        State::Condemned {
            next: Next::Current,
        },
    );
    journal.write(&path).context("write", &path)
}

/// A free name for the version that the tree at `tree` becomes: the moment of its verification, or of its last change.
fn version_path(layout: &Layout, udid: &Udid, tree: &Path) -> Result<PathBuf, StoreError> {
    let folder = layout.versions(udid);
    durable::make_folder(&folder).context("make", &folder)?;
    let record = match TreeId::of(tree).context("read", tree)? {
        Some(id) => Record::read(layout, udid, &id)?,
        None => None,
    };
    let at = record.map_or_else(|| versions::changed_at(tree), |record| record.at);
    versions::free_place(layout, udid, at)
}

/// Takes a tree away: out of sight in one step, then for good.
pub(super) fn discard(layout: &Layout, tree: &Path) -> Result<(), StoreError> {
    let trash = layout.trash();
    durable::make_folder(&trash).context("make", &trash)?;
    for number in 0_u32..1000 {
        let place = trash.join(number.to_string());
        match disk::rename_new(tree, &place) {
            Ok(()) => {
                remove_for_good(&place);
                return Ok(());
            }
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            // Not every file system knows the flag. An empty folder or none in the way is fine.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if disk::exists(&place).context("look at", &place)? {
                    continue;
                }
                disk::rename(tree, &place).context("remove", tree)?;
                remove_for_good(&place);
                return Ok(());
            }
            Err(e) => return Err(StoreError::io("remove", tree, e.into())),
        }
    }
    Err(StoreError::io("remove", tree, Errno::EXIST.into()))
}

/// What stays is out of everybody's way, and each run tries again. That it is out of the way is safe first: a power cut that takes
/// the new name, and not what was removed under it, would leave half of a backup in its old place.
fn remove_for_good(place: &Path) {
    let removed = durable::sync_parent(place).and_then(|()| jail::remove_tree(place));
    if let Err(error) = removed {
        tracing::warn!(%error, "an old tree could not be removed");
    }
}
