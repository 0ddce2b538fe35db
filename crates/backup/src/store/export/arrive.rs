//! The copy on its way: a hidden folder beside its place, which goes when it does not come to its end. One that a crash left is
//! taken away by the next export into the same folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_core::Udid;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::super::durable::SYNC_EACH_FILE;
use super::super::error::{Context as _, StoreError};
use super::{ExportError, Exporting, at, place};
use crate::disk::{self, CWD};
use crate::jail::{self, Jail, Kind};
use crate::ledger::{Ledger, Seen};

/// Bytes that are copied at once.
const STRETCH: usize = 1 << 20;

/// The one file that is not in the ledger; the identity of the tree vouches for it.
const INFO: &str = "Info.plist";

/// The smallest of the files that each backup has, to try whether the disk can clone.
const TRIED: &str = "Status.plist";

/// See the module.
pub(super) struct Arriving {
    path: PathBuf,
    tree: Jail,
    cloning: bool,
    /// Kept until it has its name, so that no other export takes it for what a crash left.
    _lock: File,
    settled: bool,
}

impl Arriving {
    pub(super) fn begin(to: &Path, udid: &Udid) -> Result<Self, ExportError> {
        let path = to.join(format!(".backupwatch-export-{udid}"));
        match disk::make_folder(CWD, path.as_path()) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let left = lock(&path)?;
                jail::remove_tree(&path).context("remove", &path)?;
                drop(left);
                disk::make_folder(CWD, path.as_path()).context("make", &path)?;
            }
            Err(e) => return Err(at("make", &path, e)),
        }
        let lock = lock(&path)?;
        let tree = Jail::open(&path).context("open", &path)?;
        Ok(Self {
            path,
            tree,
            cloning: false,
            _lock: lock,
            settled: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn tree(&self) -> &Jail {
        &self.tree
    }

    pub(super) fn cloned(&self) -> bool {
        self.cloning
    }

    /// Tries it with one file.
    pub(super) fn can_clone(&mut self, from: &Jail) -> Result<bool, ExportError> {
        let file = from
            .open_file(TRIED)
            .map_err(|e| at("read", &self.path, e))?;
        self.cloning = disk::clone_file(&file, self.tree.as_fd(), TRIED).is_ok();
        if self.cloning {
            self.tree
                .remove(TRIED)
                .map_err(|e| at("write to", &self.path, e))?;
        }
        Ok(self.cloning)
    }

    /// Copies what is of the backup. What the ledger does not know, and what desktops leave in every folder, stays.
    pub(super) fn copy(
        &self,
        from: &Jail,
        ledger: &Ledger,
        mut so_far: Exporting,
        progress: &mut dyn FnMut(Exporting),
        stop: &AtomicBool,
    ) -> Result<Exporting, ExportError> {
        let mut buffer = vec![0; STRETCH];
        let top = list(from, "")?;
        let folders = top.iter().filter(|entry| is_of_blobs(entry));
        for folder in std::iter::once("").chain(folders.map(|entry| entry.name.as_str())) {
            let mut wanted: BTreeMap<String, Option<Seen>> = BTreeMap::new();
            if folder.is_empty() {
                wanted.insert(INFO.to_owned(), None);
                for entry in &top {
                    if let Some(seen) = ledger.get(&entry.name).map_err(ledger_failed)? {
                        wanted.insert(entry.name.clone(), Some(seen));
                    }
                }
            } else {
                let hashed = ledger.in_folder(folder).map_err(ledger_failed)?;
                wanted.extend(hashed.into_iter().map(|(name, seen)| (name, Some(seen))));
                self.tree
                    .make_folder(folder)
                    .map_err(|e| at("make a folder in", &self.path, e))?;
            }
            for (name, seen) in wanted {
                let path = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                let mut told = |bytes: u64| {
                    so_far.bytes = so_far.bytes.saturating_add(bytes);
                    progress(so_far);
                };
                let arrived = self.copy_one(from, &path, &mut buffer, &mut told, stop)?;
                if seen.is_some_and(|seen| seen != arrived) {
                    return Err(ExportError::Rotten { path });
                }
                so_far.files += 1;
            }
        }
        progress(so_far);
        Ok(so_far)
    }

    /// Copies one file; gives what was read of it.
    fn copy_one(
        &self,
        from: &Jail,
        path: &str,
        buffer: &mut [u8],
        told: &mut dyn FnMut(u64),
        stop: &AtomicBool,
    ) -> Result<Seen, ExportError> {
        let source = match from.open_file(path) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::INVAL) => {
                let path = path.to_owned();
                return Err(ExportError::Rotten { path });
            }
            Err(e) => return Err(at("read", Path::new(path), e)),
        };
        let failed = |e: io::Error| StoreError::io("write to", &self.path, e);
        let target = if self.cloning {
            self.tree
                .clone_in(&source, path)
                .map_err(|e| failed(e.into()))?;
            None
        } else {
            let target = self.tree.create(path).map_err(|e| failed(e.into()))?;
            Some(target)
        };
        let mut hasher = blake3::Hasher::new();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(ExportError::Stopped);
            }
            let read = disk::Reading(&source)
                .read(buffer)
                .map_err(|e| StoreError::io("read", Path::new(path), e))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            hasher.update(bytes);
            if let Some(target) = &target {
                disk::write(target, bytes).map_err(failed)?;
            }
            told(read as u64);
        }
        if SYNC_EACH_FILE && let Some(target) = &target {
            disk::sync(target).map_err(|e| failed(e.into()))?;
        }
        Ok(Seen {
            len: hasher.count(),
            hash: hasher.finalize(),
        })
    }

    /// Gives it its name, which nothing has.
    pub(super) fn settle(mut self, place: &Path) -> Result<(), ExportError> {
        place::rename_new(&self.path, place).map_err(|e| at("put in place", place, e))?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.settled
            && let Err(error) = jail::remove_tree(&self.path)
        {
            tracing::warn!(%error, "what was exported so far could not be removed");
        }
    }
}

/// One of the 256 folders that have the blobs.
fn is_of_blobs(entry: &jail::Entry) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    entry.kind == Kind::Folder && entry.name.len() == 2 && entry.name.bytes().all(hex)
}

/// Adds up what there is to copy.
pub(super) fn count(from: &Jail, whole: &mut Exporting) -> Result<(), Errno> {
    for top in from.list("")? {
        let below = match top.kind {
            Kind::File => vec![top],
            Kind::Folder if is_of_blobs(&top) => from.list(&top.name)?,
            Kind::Folder | Kind::Other => Vec::new(),
        };
        for entry in below.iter().filter(|entry| entry.kind == Kind::File) {
            whole.of_files += 1;
            whole.of_bytes = whole.of_bytes.saturating_add(entry.len);
        }
    }
    Ok(())
}

fn list(from: &Jail, folder: &str) -> Result<Vec<jail::Entry>, ExportError> {
    from.list(folder)
        .map_err(|e| at("read", Path::new(folder), e))
}

fn ledger_failed(error: crate::ledger::LedgerError) -> ExportError {
    StoreError::io("read the hashes of", Path::new("the backup"), error.into()).into()
}

/// The lock of a folder on its way.
fn lock(path: &Path) -> Result<File, ExportError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let folder = disk::open(CWD, path, flags).map_err(|e| at("open", path, e))?;
    let folder = File::from(folder);
    match disk::try_lock(&folder) {
        Err(Errno::WOULDBLOCK) => Err(ExportError::Busy {
            path: path.parent().unwrap_or(path).to_owned(),
        }),
        // Some network disks lock files only.
        Ok(()) | Err(_) => Ok(folder),
    }
}
