//! What later looks at a backup found, kept beside it: good news with its depth and date, and damage, which follows the
//! damaged bytes into every other tree that shares them.
//!
//! A damaged tree is never counted as verified and no run builds on it (see `run`); both read it off the record. Not here:
//! the looking (`verify::deep`).

use backupwatch_core::verdict::Check;
use backupwatch_core::{HostTime, Level, LocalCopy, Udid};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::layout::Layout;
use super::locks::lock_records;
use super::record::Record;
use super::versions::{self, Held};
use super::{Store, read_file};
use crate::jail::Jail;
use crate::ledger::Ledger;
use crate::verify::{Deep, Progress, VerifyError, VerifyReport, deep_held};

/// Why a backup could not be looked at. What is wrong with it is no error.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Held {
    /// Checks it, with its own hashes. A run may exchange it for a newer one meanwhile; what is said is of this one.
    ///
    /// # Errors
    /// When it cannot be read, or `stop` was set.
    pub fn verify(
        &self,
        how: &Deep<'_>,
        progress: &(dyn Fn(Progress) + Sync),
        stop: &Arc<AtomicBool>,
    ) -> Result<VerifyReport, LookError> {
        Ok(deep_held(self, how, progress, stop)?)
    }

    /// Whether there are hashes that its files can be held against.
    #[must_use]
    pub fn has_hashes(&self) -> bool {
        let ledger = self.ledger().map(|ledger| Ledger::look(&ledger));
        matches!(ledger, Some(Ok(Some(_))))
    }

    /// Whether it has a file as it arrived.
    #[must_use]
    pub fn has_whole(&self, id: &str) -> bool {
        let path = blob(id);
        let seen = self.ledger().and_then(|ledger| {
            let ledger = Ledger::look(&ledger).ok().flatten()?;
            ledger.get(&path).ok().flatten()
        });
        let go = AtomicBool::new(false);
        seen.is_some() && read_file(self.tree(), &path, &go).ok().flatten() == seen
    }
}

impl Store {
    /// The current backup of a phone, if it is one of ours, damaged or not, and what the last look at it found.
    ///
    /// # Errors
    /// When the store cannot be read; that is not the same as having no backup.
    pub fn standing(&self, udid: &Udid) -> Result<Option<(LocalCopy, Option<Check>)>, StoreError> {
        let record = self.record_of(udid, &self.layout.current(udid))?;
        Ok(record.and_then(|record| Some((record.made()?, record.check()))))
    }

    /// Keeps what a look at a backup found, `asked` deep. Damage is also noted of the phone's other backups where they have
    /// the same damaged bytes. Returns what is now known of the backup; `None` when it is not one of ours, of which nothing
    /// is kept.
    ///
    /// # Errors
    /// When the store cannot be read or written to.
    pub fn learn(
        &self,
        held: &Held,
        report: &VerifyReport,
        asked: Level,
        at: HostTime,
    ) -> Result<Option<Check>, StoreError> {
        let (udid, tree) = (held.udid(), &held.version().tree);
        let Some(check) = check(report, asked, at) else {
            let known = Record::read(&self.layout, udid, tree)?;
            return Ok(known.and_then(|record| record.check()));
        };
        let known = self.note(udid, tree, &check)?;
        if check.found_damage() {
            self.spread(held, report, &check)?;
        }
        Ok(known)
    }

    fn note(&self, udid: &Udid, tree: &TreeId, check: &Check) -> Result<Option<Check>, StoreError> {
        let Some(mut record) = Record::read(&self.layout, udid, tree)? else {
            return Ok(None);
        };
        if record.learn(check) {
            // Of two looks that end at once, one finds damage: it must not be the one that is written over.
            let _lock = lock_records(&self.layout, udid)?;
            let Some(newest) = Record::read(&self.layout, udid, tree)? else {
                return Ok(None);
            };
            record = newest;
            if record.learn(check) {
                let path = self.layout.record(udid, tree);
                record.write(&self.layout, udid).context("write", &path)?;
            }
        }
        Ok(record.check())
    }

    /// A blob that did not change between two backups is one file with two names, or two clones of one: what spoilt it
    /// spoilt both.
    fn spread(&self, held: &Held, report: &VerifyReport, check: &Check) -> Result<(), StoreError> {
        let udid = held.udid();
        for other in versions::list(&self.layout, udid)? {
            if other.tree == held.version().tree {
                continue;
            }
            let jail = Jail::open(&other.path).context("open", &other.path)?;
            let shared = report
                .lost
                .iter()
                .filter(|lost| shares(held.tree(), &jail, &lost.id))
                .count();
            if shared > 0 {
                let damaged = u64::try_from(shared).unwrap_or(u64::MAX);
                let check = Check {
                    damaged,
                    ..check.clone()
                };
                self.note(udid, &other.tree, &check)?;
            }
        }
        Ok(())
    }
}

/// Whether a tree is known to be damaged.
pub(super) fn is_damaged(layout: &Layout, udid: &Udid, tree: &TreeId) -> Result<bool, StoreError> {
    let check = Record::read(layout, udid, tree)?.and_then(|record| record.check());
    Ok(check.is_some_and(|check| check.found_damage()))
}

/// What a report says of the whole backup: damage in any part of it, and good news only of all of it.
fn check(report: &VerifyReport, asked: Level, at: HostTime) -> Option<Check> {
    let level = if report.wrong > 0 {
        asked
    } else {
        let whole = report.level < Some(Level::L4) || report.read.files == report.read.of_files;
        report.level.filter(|_| whole)?
    };
    Some(Check {
        level,
        at,
        damaged: report.wrong,
    })
}

/// Whether the blob of both trees is the same, damaged one.
fn shares(damaged: &Jail, other: &Jail, id: &str) -> bool {
    let path = blob(id);
    let (Ok(one), Ok(two)) = (damaged.stat(&path), other.stat(&path)) else {
        return false;
    };
    if (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino) {
        return true;
    }
    if one.st_size != two.st_size {
        return false;
    }
    let go = AtomicBool::new(false);
    match (read_file(damaged, &path, &go), read_file(other, &path, &go)) {
        (Ok(Some(one)), Ok(Some(two))) => one == two,
        _ => false,
    }
}

/// Where a blob is in a tree.
fn blob(id: &str) -> String {
    format!("{}/{id}", id.get(..2).unwrap_or_default())
}

#[cfg(test)]
mod tests;
