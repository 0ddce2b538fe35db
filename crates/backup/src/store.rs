//! The store: a folder in which each phone has one current, verified backup, and everything that keeps that true.
//!
//! Not here: what a phone does to a work tree (`engine`) and whether the result is whole (`verify`).

mod begin;
mod checked;
mod durable;
mod error;
mod export;
mod heal;
mod identity;
mod journal;
mod layout;
mod linktree;
mod locks;
mod record;
mod roll;
mod run;
pub(crate) mod space;
mod versions;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use backupwatch_core::{LocalCopy, Udid};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::disk::{self, CWD};

pub(crate) use begin::{Begin, Claim, Planned};
pub use checked::LookError;
pub(crate) use durable::SYNC_EACH_FILE;
pub use error::StoreError;
pub use export::{Export, ExportError, Exported, Exporting, export};
pub(crate) use heal::read as read_file;
pub use roll::{Reconciled, RolledForward};
pub(crate) use run::{Run, WorkTree};
pub use space::ROOM;
pub use versions::{Held, Measured, Pruning, Version, Which};

use error::Context as _;
use identity::TreeId;
use layout::Layout;
use locks::{LOCK_PAUSE, try_lock};
use record::Record;

/// Version of the marker.
const MARKER_VERSION: u32 = 1;

/// How often a store is looked for that another process is making.
const CREATE_TRIES: u32 = 250;

/// A folder of backups that is there, and is ours.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
    id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    /// Random; tells this medium from another one mounted in its place.
    id: String,
}

/// Longest marker; what is longer is cut, and so is none.
const MAX_MARKER: u64 = 64 << 10;

impl Store {
    /// Opens a store that was made by [`Store::create`].
    ///
    /// # Errors
    /// [`StoreError::RootMissing`] and [`StoreError::NotAStore`] when its disk is likely not attached; nothing is made then.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let layout = Layout::new(real_folder(root)?);
        match disk::read(&layout.marker(), MAX_MARKER) {
            Ok(bytes) => {
                let marker: Marker =
                    serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged {
                        path: layout.marker(),
                    })?;
                if marker.version != MARKER_VERSION {
                    return Err(StoreError::Damaged {
                        path: layout.marker(),
                    });
                }
                Ok(Self {
                    layout,
                    id: marker.id,
                })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::NotAStore {
                path: layout.root().to_owned(),
            }),
            Err(e) => Err(StoreError::io("read", &layout.marker(), e)),
        }
    }

    /// Makes a folder a store, the folder itself too where it is missing, or opens the store that is there already. Backups
    /// that other programs made in it stay where they are and count as not verified.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        durable::make_folder(root).context("make", root)?;
        for _ in 0..CREATE_TRIES {
            match Self::open(root) {
                Err(StoreError::NotAStore { .. }) => {}
                done => return done,
            }
            let layout = Layout::new(real_folder(root)?);
            durable::make_folder(&layout.locks()).context("make", &layout.locks())?;
            if let Some(_alone) = try_lock(&layout.marker_lock())? {
                return match Self::open(root) {
                    // Nobody made it before the lock was ours, and nobody makes it now.
                    Err(StoreError::NotAStore { .. }) => Self::mark(layout),
                    done => done,
                };
            }
            thread::sleep(LOCK_PAUSE);
        }
        Err(StoreError::BeingMade {
            path: root.to_owned(),
        })
    }

    /// Gives a folder its marker. The caller has the lock.
    fn mark(layout: Layout) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|e| StoreError::io("name", layout.root(), io::Error::other(e)))?;
        let id = id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let marker = Marker {
            version: MARKER_VERSION,
            id,
        };
        let bytes = serde_json::to_vec_pretty(&marker).map_err(io::Error::from);
        bytes
            .and_then(|bytes| durable::replace(&layout.marker(), &bytes))
            .context("write", &layout.marker())?;
        Ok(Self {
            layout,
            id: marker.id,
        })
    }

    /// Whether the store is still there: its disk may have been taken away, or another one put in its place.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn check(&self) -> Result<(), StoreError> {
        let there = Self::open(self.root())?;
        if there.id == self.id {
            Ok(())
        } else {
            Err(StoreError::NotAStore {
                path: self.root().to_owned(),
            })
        }
    }

    /// The folder, with all symbolic links on the way to it resolved once and for all (protocol.md 12.9).
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Random identity of this store, to tell its disk from another one that is mounted at the same place.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the current backup of a phone is, or will be.
    #[must_use]
    pub fn folder(&self, udid: &Udid) -> PathBuf {
        self.layout.current(udid)
    }

    /// The current backup of a phone, if it is one that we verified and that is not known to be damaged. A folder that another
    /// program made or changed is none.
    ///
    /// # Errors
    /// When the store cannot be read; that is not the same as having no backup.
    pub fn current(&self, udid: &Udid) -> Result<Option<LocalCopy>, StoreError> {
        let record = self.record_of(udid, &self.layout.current(udid))?;
        Ok(record.and_then(|record| record.copy()))
    }

    /// Bytes that the disk has for us.
    ///
    /// # Errors
    /// When the disk is gone.
    pub fn free(&self) -> Result<u64, StoreError> {
        let folder = disk::open(CWD, self.root(), OFlags::RDONLY | OFlags::DIRECTORY);
        folder
            .map_err(io::Error::from)
            .and_then(space::free)
            .context("look at", self.root())
    }

    /// The phones that have a folder of their own in this store, finished or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn phones(&self) -> Result<Vec<Udid>, StoreError> {
        let mut phones = Vec::new();
        for folder in [
            self.root().to_owned(),
            self.layout.works(),
            self.layout.journals(),
        ] {
            let entries = match disk::list(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && folder != self.root() => continue,
                other => other.context("list", &folder)?,
            };
            for entry in entries {
                let name = entry.context("list", &folder)?.file_name();
                let name = name.to_string_lossy();
                let name = name.strip_suffix(".json").unwrap_or(&name);
                phones.extend(Udid::parse(name).ok());
            }
        }
        phones.sort();
        phones.dedup();
        Ok(phones)
    }

    /// What was verified of the tree that is in `folder` now.
    fn record_of(&self, udid: &Udid, folder: &Path) -> Result<Option<Record>, StoreError> {
        let Some(tree) = TreeId::of(folder).context("read", folder)? else {
            return Ok(None);
        };
        Record::read(&self.layout, udid, &tree)
    }
}

fn real_folder(root: &Path) -> Result<PathBuf, StoreError> {
    let real = match disk::resolve(root) {
        Ok(real) => real,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::RootMissing {
                path: root.to_owned(),
            });
        }
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(StoreError::NotAFolder {
                path: root.to_owned(),
            });
        }
        Err(e) => return Err(StoreError::io("open", root, e)),
    };
    if disk::is_folder(&real) {
        Ok(real)
    } else {
        Err(StoreError::NotAFolder { path: real })
    }
}

#[cfg(test)]
mod tests;
