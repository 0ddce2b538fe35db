//! All backups of a phone: the current one and the versions before it, listed, held for reading, and taken away.
//!
//! Whoever reads a tree holds it: a shared `flock` on the tree's own folder, which goes with it wherever it is renamed to. So
//! a reader of hours keeps no backup waiting, because a run only renames trees; and whoever takes a tree away must have that
//! lock alone first. Where a disk knows no locks on folders, nobody is known to read.
//!
//! Not here: which versions are to go (`core::retention`).

mod prune;
mod sizes;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use backupwatch_core::{HostTime, LocalCopy, Udid};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Store;
use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::layout::Layout;
use super::record::Record;
use crate::disk::{self, CWD};
use crate::jail::Jail;

pub use prune::{Measured, Pruning};

/// How versions are named: the moment of their verification. No colons: they are separators in the Finder's eyes, and not
/// allowed on some disks.
const NAME: &str = "%Y-%m-%dT%H%M%SZ";

/// How often a tree that moves while it is being opened is looked for.
const TRIES: u32 = 5;

/// One backup of a phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub which: Which,
    /// When it was made.
    pub at: HostTime,
    /// What was verified of it; `None` for a tree that another program made or changed, and for one that proved damaged.
    pub copy: Option<LocalCopy>,
    /// A look at it after it was made found damage.
    pub damaged: bool,
    /// Where it is now.
    pub path: PathBuf,
    pub(crate) tree: TreeId,
    /// Counts up with each verified tree: which of two is newer does not depend on a clock.
    pub(crate) serial: Option<u64>,
}

/// Which backup of a phone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The current one.
    Current,
    /// The version of that name.
    Before(String),
}

impl Which {
    /// `current`, or the version's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Current => "current",
            Self::Before(name) => name,
        }
    }
}

/// A backup that nobody takes away as long as this lives. It may still be renamed: the current one becomes a version when a
/// newer one is verified.
#[derive(Debug)]
pub struct Held {
    version: Version,
    layout: Layout,
    udid: Udid,
    jail: Jail,
    _lock: File,
}

impl Held {
    /// What it was when it was opened.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    pub(crate) fn udid(&self) -> &Udid {
        &self.udid
    }

    /// The store that it is in.
    pub(crate) fn root(&self) -> &Path {
        self.layout.root()
    }

    /// The tree itself, wherever it is by now.
    #[must_use]
    pub fn tree(&self) -> &Jail {
        &self.jail
    }

    /// Where it is now, for those who need a path (SQLite); good for the moment.
    ///
    /// # Errors
    /// When it is not in the store any more.
    pub fn folder(&self) -> Result<PathBuf, StoreError> {
        if self.is_at(&self.version.path) {
            return Ok(self.version.path.clone());
        }
        let found = list(&self.layout, &self.udid)?
            .into_iter()
            .find(|version| self.is_at(&version.path));
        found
            .map(|version| version.path)
            .ok_or_else(|| self.version.gone(&self.udid))
    }

    /// The hashes of its files, taken when they arrived; `None` when it has none.
    #[must_use]
    pub fn ledger(&self) -> Option<PathBuf> {
        let path = self.layout.ledger(&self.udid, &self.version.tree);
        // Where that cannot be told, opening it says why.
        disk::exists(&path).unwrap_or(true).then_some(path)
    }

    fn is_at(&self, path: &Path) -> bool {
        self.jail.is_at(path).unwrap_or(false)
    }
}

impl Version {
    fn gone(&self, udid: &Udid) -> StoreError {
        StoreError::NoVersion {
            udid: udid.clone(),
            name: self.which.name().to_owned(),
        }
    }
}

impl Store {
    /// The backups of a phone that are there, oldest first; the current one is the last.
    ///
    /// # Errors
    /// When the store cannot be read; that is not the same as having no backup.
    pub fn versions(&self, udid: &Udid) -> Result<Vec<Version>, StoreError> {
        self.check()?;
        list(&self.layout, udid)
    }

    /// Opens one backup for reading, and keeps it from being taken away.
    ///
    /// # Errors
    /// [`StoreError::NoVersion`] when there is none like that, and what reading it needs.
    pub fn open_version(&self, udid: &Udid, which: &Which) -> Result<Held, StoreError> {
        self.check()?;
        // Between the look and the lock, a run may rename it.
        for _ in 0..TRIES {
            let found = list(&self.layout, udid)?
                .into_iter()
                .find(|version| version.which == *which);
            let Some(version) = found else { break };
            if let Some(held) = self.hold(udid, version)? {
                return Ok(held);
            }
        }
        Err(StoreError::NoVersion {
            udid: udid.clone(),
            name: which.name().to_owned(),
        })
    }

    /// `None` when the tree is not there any more, or on its way out.
    fn hold(&self, udid: &Udid, version: Version) -> Result<Option<Held>, StoreError> {
        let path = &version.path;
        let jail = match Jail::open(path) {
            Ok(jail) => jail,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        let Some(lock) = lock_tree(path, Hold::Read)? else {
            return Ok(None);
        };
        let there = jail.is_at(path).unwrap_or(false)
            && TreeId::of(path).context("read", path)?.as_ref() == Some(&version.tree);
        Ok(there.then(|| Held {
            version,
            layout: self.layout.clone(),
            udid: udid.clone(),
            jail,
            _lock: lock,
        }))
    }
}

/// What the lock of a tree is for.
#[derive(Clone, Copy, Debug)]
enum Hold {
    /// Reading, beside others who do.
    Read,
    /// Taking it away.
    Alone,
}

/// The lock of a tree; `None` when somebody has it in a way that does not permit this one.
fn lock_tree(path: &Path, how: Hold) -> Result<Option<File>, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let folder = match disk::open(CWD, path, flags) {
        Ok(folder) => File::from(folder),
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(StoreError::io("open", path, e.into())),
    };
    let locked = match how {
        Hold::Read => disk::try_lock_shared(&folder),
        Hold::Alone => disk::try_lock(&folder),
    };
    match locked {
        Err(Errno::WOULDBLOCK) => Ok(None),
        // Some network disks lock files only.
        Ok(()) | Err(Errno::NOTSUP | Errno::BADF | Errno::NOLCK | Errno::INVAL | Errno::ISDIR) => {
            Ok(Some(folder))
        }
        Err(e) => Err(StoreError::io("lock", path, e.into())),
    }
}

/// See [`Store::versions`].
pub(super) fn list(layout: &Layout, udid: &Udid) -> Result<Vec<Version>, StoreError> {
    let folder = layout.versions(udid);
    let entries = match disk::list(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .context("list", &folder)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        // None of ours has such a name, and nobody could ask for it.
        if let Ok(name) = entry.file_name().into_string() {
            all.extend(describe(layout, udid, Which::Before(name), entry.path())?);
        }
    }
    let mut all = in_order(all);
    all.extend(describe(
        layout,
        udid,
        Which::Current,
        layout.current(udid),
    )?);
    Ok(all)
}

fn describe(
    layout: &Layout,
    udid: &Udid,
    which: Which,
    path: PathBuf,
) -> Result<Option<Version>, StoreError> {
    let Some(tree) = TreeId::of(&path).context("read", &path)? else {
        return Ok(None);
    };
    let record = Record::read(layout, udid, &tree)?;
    let at = match &record {
        Some(record) => record.at,
        None => named_at(which.name()).unwrap_or_else(|| changed_at(&path)),
    };
    Ok(Some(Version {
        which,
        at,
        serial: record.as_ref().map(|record| record.serial),
        damaged: record
            .as_ref()
            .and_then(Record::check)
            .is_some_and(|check| check.found_damage()),
        copy: record.and_then(|record| record.copy()),
        path,
        tree,
    }))
}

/// Oldest first. Of two that were verified the serial decides; one that was not goes by its date.
fn in_order(all: Vec<Version>) -> Vec<Version> {
    let (mut verified, mut others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|version| version.serial.is_some());
    verified.sort_by_key(|version| version.serial);
    others.sort_by_key(|version| version.at);
    for other in others {
        let place = verified.partition_point(|version| version.at <= other.at);
        verified.insert(place, other);
    }
    verified
}

/// A free name for a version that was made `at`.
pub(super) fn free_place(
    layout: &Layout,
    udid: &Udid,
    at: HostTime,
) -> Result<PathBuf, StoreError> {
    let versions = layout.versions(udid);
    let name = at.0.strftime(NAME).to_string();
    let mut path = versions.join(&name);
    let mut number = 2_u32;
    while disk::exists(&path).context("look at", &path)? {
        path = versions.join(format!("{name}-{number}"));
        number = number.saturating_add(1);
    }
    Ok(path)
}

/// The moment in a name that [`free_place`] made.
fn named_at(name: &str) -> Option<HostTime> {
    let (moment, _) = name.split_once('Z')?;
    let moment = jiff::civil::DateTime::strptime("%Y-%m-%dT%H%M%S", moment).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(HostTime(moment.timestamp()))
}

/// When somebody last changed what is in a folder.
pub(super) fn changed_at(folder: &Path) -> HostTime {
    let at = std::fs::metadata(folder)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    HostTime(at.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod failing;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod tests;
