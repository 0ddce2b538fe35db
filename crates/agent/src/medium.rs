//! Is the folder for backups there, and is it the one we know? A disk that is not plugged in is a state, and never looks
//! like "no backups": its mount point may well be there, empty, on the system disk.

use std::path::{Path, PathBuf};

use backupwatch_backup::{Store, StoreError};
use serde::{Deserialize, Serialize};

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

/// Opens the store, or says in words for the person why it is not there.
pub fn open(root: &Path, origin: Origin, known: Option<&Known>) -> Result<Store, String> {
    let known = known.filter(|known| known.root == root);
    let shown = root.display();
    match Store::open(root) {
        Ok(store) => match known {
            Some(known) if known.id != store.id() => Err(format!(
                "{shown} is another disk or folder than the one with the backups"
            )),
            Some(_) | None => Ok(store),
        },
        Err(error @ (StoreError::RootMissing { .. } | StoreError::NotAStore { .. })) => {
            let parent_is_there = root.parent().is_some_and(Path::is_dir);
            match (origin, known) {
                (Origin::Configured, Some(_)) => Err(format!(
                    "the backups are not at {shown}; is the disk connected?"
                )),
                (Origin::Configured, None) if !parent_is_there => Err(format!(
                    "{shown} cannot be made because the folder above it is missing; is the disk connected?"
                )),
                (Origin::Configured, None) | (Origin::OurOwn, _) => {
                    tracing::debug!(%error, "making the store");
                    Store::create(root).map_err(|error| in_full(&error))
                }
            }
        }
        Err(error) => Err(in_full(&error)),
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

    /// A story of one configured disk: first use, unplugged, another disk in its place, back again.
    #[test]
    fn a_disk_that_is_away_is_not_an_empty_store() {
        let mounts = tempfile::tempdir().unwrap();
        let root = mounts.path().join("disk/phones");
        let away = open(&root, Origin::Configured, None).unwrap_err();
        assert!(away.contains("is the disk connected?"), "{away}");
        assert!(!root.exists());

        std::fs::create_dir(mounts.path().join("disk")).unwrap();
        let store = open(&root, Origin::Configured, None).unwrap();
        let known = Known {
            root: root.clone(),
            id: store.id().to_owned(),
        };
        assert_eq!(
            open(&root, Origin::Configured, Some(&known)).unwrap().id(),
            known.id
        );

        std::fs::rename(mounts.path().join("disk"), mounts.path().join("pocket")).unwrap();
        std::fs::create_dir_all(&root).unwrap();
        let empty = open(&root, Origin::Configured, Some(&known)).unwrap_err();
        assert!(empty.contains("is the disk connected?"), "{empty}");
        assert_eq!(
            std::fs::read_dir(&root).unwrap().count(),
            0,
            "nothing is made on the mount point"
        );

        Store::create(&root).unwrap();
        let other = open(&root, Origin::Configured, Some(&known)).unwrap_err();
        assert!(other.contains("another disk"), "{other}");

        std::fs::remove_dir_all(mounts.path().join("disk")).unwrap();
        std::fs::rename(mounts.path().join("pocket"), mounts.path().join("disk")).unwrap();
        assert_eq!(
            open(&root, Origin::Configured, Some(&known)).unwrap().id(),
            known.id
        );
    }

    #[test]
    fn our_own_folder_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("a/b/backups");
        let store = open(&root, Origin::OurOwn, None).unwrap();
        let known = Known {
            root: root.clone(),
            id: store.id().to_owned(),
        };
        std::fs::remove_dir_all(&root).unwrap();
        open(&root, Origin::OurOwn, Some(&known)).unwrap();
    }
}
