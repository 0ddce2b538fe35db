//! The store's locks: each goes with the process that has it, and nobody waits for one without end.
//!
//! Not here: the lock of a tree that is being read, which is on the tree itself (`versions`).

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use backupwatch_core::Udid;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::durable;
use super::error::{Context as _, StoreError};
use super::layout::Layout;
use crate::disk::{self, CWD};

/// How often a lock that is taken is tried (the one of the records is held while a small file is synced), and the pause between.
const LOCK_TRIES: u32 = 25;
const RECORDS_TRIES: u32 = 500;
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock of a phone's folders, or says that another process has it.
pub(super) fn lock(layout: &Layout, udid: &Udid) -> Result<File, StoreError> {
    // It is held for a moment by who only looks whether there is something to finish, and by a process that this one is
    // just starting.
    take(layout, udid, &layout.lock(udid), LOCK_TRIES)
}

/// Takes the lock of who changes what is known of a phone's trees, which nobody has for long.
pub(super) fn lock_records(layout: &Layout, udid: &Udid) -> Result<File, StoreError> {
    take(layout, udid, &layout.records_lock(udid), RECORDS_TRIES)
}

fn take(layout: &Layout, udid: &Udid, path: &Path, tries: u32) -> Result<File, StoreError> {
    check_folders(layout, udid)?;
    durable::make_folder(&layout.locks()).context("make", &layout.locks())?;
    for _ in 0..tries {
        match try_lock(path)? {
            Some(file) => return Ok(file),
            None => std::thread::sleep(LOCK_PAUSE),
        }
    }
    Err(StoreError::InUse { udid: udid.clone() })
}

/// Takes a lock that goes with the process, or nothing when another one has it.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = disk::open_or_create(CWD, path).context("open", path)?;
    match disk::try_lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(StoreError::io("lock", path, e.into())),
    }
}

/// Our folders are folders: a link in the place of one would lead what is done there elsewhere, into the current backup for
/// example.
fn check_folders(layout: &Layout, udid: &Udid) -> Result<(), StoreError> {
    for path in layout.folders(udid) {
        match disk::look(CWD, path.as_path()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(_) => return Err(StoreError::NotAFolder { path }),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(StoreError::io("look at", &path, e.into())),
        }
    }
    Ok(())
}
