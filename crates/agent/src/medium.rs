//! Is the folder for backups there, and is it the one we know, and can it take another backup? A disk that is not plugged in is
//! a state, and never looks like "no backups": its mount point may well be there, empty, on the system disk.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use backupwatch_backup::store::ROOM;
use backupwatch_backup::{Store, StoreError};
use backupwatch_core::Udid;
use backupwatch_core::watcher::Disk;
use backupwatch_core::words::{ended, size};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::purgeable;
use crate::state::{State, StateError};

/// Where the root of the backups came from, which decides whether it may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Our own default folder, or one that a person named just now: made when it is missing.
    OurOwn,
    /// From the configuration: made once, inside a folder that is there; afterwards it must be there.
    Configured,
}

/// What is kept about the store, so that another one in its place is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its root.
    pub root: PathBuf,
    /// Its random identity.
    pub id: String,
}

/// The store that was in use, as it was kept.
pub fn known(state: &State) -> Result<Option<Known>, StateError> {
    let text = state.kept("store")?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The stores of single devices that were in use, as they were kept.
pub fn known_own(state: &State) -> Result<Vec<Known>, StateError> {
    let text = state.kept("own_stores")?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// In which own root the backups of a device are that the state tells of; those of all others are in the shared one.
pub fn lay(state: &State) -> Result<BTreeMap<Udid, PathBuf>, StateError> {
    let text = state.kept("own_roots")?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// How the place for backups is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No backup was ever made there; the first one makes it.
    New,
    /// Backups can be read and made.
    Ready,
    /// It is not there, and its disk probably not connected.
    Missing,
    /// A folder is there, and the backups that were in it are not: a mount point without its disk.
    Empty,
    /// Another folder or disk than the one with the backups is in its place.
    Other,
    /// Backups can be read, and none can be made.
    ReadOnly,
    /// The same, for want of room.
    NoRoom,
    /// The system keeps us out.
    NotPermitted,
    /// Something else is wrong with it.
    Unusable,
}

impl Condition {
    /// The stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ready => "ready",
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::Other => "other",
            Self::ReadOnly => "read_only",
            Self::NoRoom => "no_room",
            Self::NotPermitted => "not_permitted",
            Self::Unusable => "unusable",
        }
    }
}

/// Why the place cannot be used, or not for another backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub condition: Condition,
    /// For the person, without its full stop.
    pub words: String,
}

impl Trouble {
    fn new(condition: Condition, words: String) -> Self {
        Self { condition, words }
    }

    /// What the person can do.
    pub fn next(&self) -> &'static str {
        match self.condition {
            Condition::New
            | Condition::Ready
            | Condition::Missing
            | Condition::Empty
            | Condition::Other => "Connect the disk with the local backups.",
            Condition::ReadOnly => {
                "Let the disk be written to, or choose another folder: backup.root in the configuration."
            }
            Condition::NoRoom => {
                "Make room on the disk, or choose another folder: backup.root in the configuration."
            }
            Condition::NotPermitted => {
                "Let backupwatch use the folder: its permissions, and on a Mac System Settings > Privacy & Security."
            }
            Condition::Unusable => "Choose another folder: backup.root in the configuration.",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> Self {
        trouble.words
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let condition = match &error {
            StoreError::RootMissing { .. } => Condition::Missing,
            StoreError::NotAStore { .. } => Condition::Empty,
            StoreError::ReadOnly { .. } => Condition::ReadOnly,
            StoreError::NoSpace { .. } => Condition::NoRoom,
            StoreError::NotPermitted { .. } => Condition::NotPermitted,
            StoreError::NotAFolder { .. }
            | StoreError::BeingMade { .. }
            | StoreError::NoLinks { .. }
            | StoreError::InUse { .. }
            | StoreError::NoVersion { .. }
            | StoreError::Needed { .. }
            | StoreError::BaseDamaged
            | StoreError::Damaged { .. }
            | StoreError::Stopped
            | StoreError::Io { .. } => Condition::Unusable,
        };
        Self::new(condition, in_full(&error))
    }
}

/// The place, as it was at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Where it is.
    pub root: PathBuf,
    /// How it is.
    pub condition: Condition,
    /// Bytes that its disk has for us, where that can be told.
    pub free: Option<u64>,
    /// Which disk that is.
    pub disk: Option<Disk>,
    /// What is the matter with it.
    pub trouble: Option<Trouble>,
}

impl Medium {
    /// Nothing can be read there.
    pub fn away(root: PathBuf, trouble: Trouble) -> Self {
        Self {
            root,
            condition: trouble.condition,
            free: None,
            disk: None,
            trouble: Some(trouble),
        }
    }

    /// Its backups can be read.
    pub fn there(root: PathBuf, free: Option<u64>, limit: Option<Trouble>) -> Self {
        Self {
            root,
            condition: limit
                .as_ref()
                .map_or(Condition::Ready, |limit| limit.condition),
            free,
            disk: None,
            trouble: limit,
        }
    }

    /// On this disk.
    pub fn on(self, disk: Option<Disk>) -> Self {
        Self { disk, ..self }
    }

    /// Its disk does not answer.
    pub fn silent(root: PathBuf) -> Self {
        let words = format!("the disk of {} does not answer", root.display());
        Self::away(root, Trouble::new(Condition::Unusable, words))
    }

    /// Why the backups in it cannot be looked at.
    pub fn is_away(&self) -> Option<&Trouble> {
        match self.condition {
            Condition::New | Condition::Ready | Condition::ReadOnly | Condition::NoRoom => None,
            Condition::Missing
            | Condition::Empty
            | Condition::Other
            | Condition::NotPermitted
            | Condition::Unusable => self.trouble.as_ref(),
        }
    }

    /// A sentence for the person, when anything is the matter.
    pub fn remark(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        Some(format!("Backups cannot be made: {}", ended(&trouble.words)))
    }

    /// The same, where only these devices are backed up to it.
    pub fn remark_of(&self, names: &[String]) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        let (names, why) = (names.join(", "), ended(&trouble.words));
        Some(format!("Backups of {names} cannot be made: {why}"))
    }
}

/// Opens the store, and makes it where it may be made.
pub fn open(root: &Path, origin: Origin, known: Option<&Known>) -> Result<Store, Trouble> {
    match find(root, origin, known)? {
        Some(store) => Ok(store),
        None => {
            tracing::debug!("making the store");
            Ok(Store::create(root)?)
        }
    }
}

/// How the place is, without making anything.
pub fn look(root: &Path, origin: Origin, known: Option<&Known>) -> Medium {
    let root_of = || root.to_owned();
    match find(root, origin, known) {
        Ok(None) => Medium {
            condition: Condition::New,
            ..Medium::there(root_of(), None, None)
        },
        Ok(Some(store)) => {
            let free = purgeable::free(&store);
            Medium::there(root_of(), free, limit(&store, free))
        }
        Err(trouble) => Medium::away(root_of(), trouble),
    }
}

/// The disk that a store is on.
pub fn disk(root: &Path) -> Option<Disk> {
    let looked = std::fs::metadata(root).ok()?;
    Some(Disk(looked.dev()))
}

/// What keeps a store that is there from taking another backup.
pub fn limit(store: &Store, free: Option<u64>) -> Option<Trouble> {
    let root = store.root();
    // What else there may be comes out when it is written to.
    if let Err(error) = access(root, Access::WRITE_OK | Access::EXEC_OK)
        && let Some(closed) = closed(root, error)
    {
        return Some(closed);
    }
    let free = free.filter(|free| *free < ROOM)?;
    let words = format!(
        "the disk of {} is full ({} free)",
        root.display(),
        size(free)
    );
    Some(Trouble::new(Condition::NoRoom, words))
}

/// What an error says of a place that cannot be written to, if it is the place.
pub(crate) fn closed(root: &Path, error: Errno) -> Option<Trouble> {
    let path = root.to_owned();
    match error {
        Errno::ROFS => Some(StoreError::ReadOnly { path }.into()),
        Errno::ACCESS | Errno::PERM => Some(StoreError::NotPermitted { path }.into()),
        _ => None,
    }
}

/// The store that is there, or nothing where it is to be made.
fn find(root: &Path, origin: Origin, known: Option<&Known>) -> Result<Option<Store>, Trouble> {
    let known = known.filter(|known| known.root == root);
    let shown = root.display();
    let missing = |words: String| Err(Trouble::new(Condition::Missing, words));
    match Store::open(root) {
        Ok(store) if known.is_some_and(|known| known.id != store.id()) => Err(Trouble::new(
            Condition::Other,
            format!("{shown} is another disk or folder than the one with the backups"),
        )),
        Ok(store) => Ok(Some(store)),
        // A link to a disk that is away.
        Err(StoreError::RootMissing { .. }) if root.is_symlink() => missing(format!(
            "{shown} leads to a folder that is not there; is the disk connected?"
        )),
        Err(StoreError::RootMissing { .. }) => match (origin, known) {
            (Origin::Configured, Some(_)) => missing(format!(
                "the backups are not at {shown}; is the disk connected?"
            )),
            (Origin::Configured, None) if !root.parent().is_some_and(Path::is_dir) => {
                missing(format!(
                    "{shown} cannot be made because the folder above it is missing; is the disk connected?"
                ))
            }
            (Origin::Configured, None) | (Origin::OurOwn, _) => Ok(None),
        },
        // Wherever the folder came from: nobody removes what is in it and leaves it there, but an unmounted disk does.
        Err(StoreError::NotAStore { .. }) if known.is_some() => Err(Trouble::new(
            Condition::Empty,
            format!(
                "the folder {shown} is there, but the backups are not in it; is the disk connected?"
            ),
        )),
        Err(StoreError::NotAStore { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The words of an error and of what is behind it.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(store: &Store) -> Known {
        Known {
            root: store.root().to_owned(),
            id: store.id().to_owned(),
        }
    }

    /// A story of one disk: first use, unplugged, another disk in its place, back again. The same for a folder of our own, which
    /// may be a mount point as well.
    #[test]
    fn a_disk_that_is_away_is_not_an_empty_store() {
        for origin in [Origin::Configured, Origin::OurOwn] {
            let mounts = tempfile::tempdir().unwrap();
            let mounts = mounts.path().canonicalize().unwrap();
            let (disk, pocket) = (mounts.join("disk"), mounts.join("pocket"));
            let root = disk.join("phones");
            let is = |known: Option<&Known>| look(&root, origin, known).condition;
            let before = is(None);
            match origin {
                Origin::Configured => assert_eq!(before, Condition::Missing, "nothing is made"),
                Origin::OurOwn => assert_eq!(before, Condition::New),
            }
            assert!(!root.exists(), "a look makes nothing");

            std::fs::create_dir(&disk).unwrap();
            assert_eq!(is(None), Condition::New);
            let known = known(&open(&root, origin, None).unwrap());
            assert_eq!(open(&root, origin, Some(&known)).unwrap().id(), known.id);
            assert_eq!(is(Some(&known)), Condition::Ready);

            std::fs::rename(&disk, &pocket).unwrap();
            if origin == Origin::Configured {
                assert_eq!(is(Some(&known)), Condition::Missing);
            }
            std::fs::create_dir_all(&root).unwrap();
            let empty = open(&root, origin, Some(&known)).unwrap_err();
            assert_eq!(empty.condition, Condition::Empty);
            assert!(empty.words.contains("is the disk connected?"), "{empty}");
            let made = std::fs::read_dir(&root).unwrap().count();
            assert_eq!(made, 0, "nothing is made on the mount point");

            Store::create(&root).unwrap();
            let other = open(&root, origin, Some(&known)).unwrap_err();
            assert_eq!(other.condition, Condition::Other);
            assert!(other.words.contains("another disk"), "{other}");

            std::fs::remove_dir_all(&disk).unwrap();
            std::fs::rename(&pocket, &disk).unwrap();
            assert_eq!(open(&root, origin, Some(&known)).unwrap().id(), known.id);
        }
    }

    #[test]
    fn a_link_to_a_disk_that_is_away_is_not_replaced_by_a_folder() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("backups");
        std::os::unix::fs::symlink(home.path().join("disk/phones"), &root).unwrap();
        let away = open(&root, Origin::OurOwn, None).unwrap_err();
        assert_eq!(away.condition, Condition::Missing);
        assert!(root.is_symlink());
    }

    #[test]
    fn a_full_disk_holds_backups_and_takes_none() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::create(home.path()).unwrap();
        for (free, condition) in [
            (Some(0), Some(Condition::NoRoom)),
            (Some(ROOM - 1), Some(Condition::NoRoom)),
            (Some(ROOM), None),
            (None, None),
        ] {
            let limit = limit(&store, free).map(|trouble| trouble.condition);
            assert_eq!(limit, condition, "{free:?}");
        }
    }

    #[test]
    fn our_own_folder_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("a/b/backups");
        let known = known(&open(&root, Origin::OurOwn, None).unwrap());
        std::fs::remove_dir_all(&known.root).unwrap();
        open(&root, Origin::OurOwn, Some(&known)).unwrap();
    }
}
