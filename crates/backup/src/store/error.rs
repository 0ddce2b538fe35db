//! Why a store cannot be used, or an operation on it did not happen.

use std::io;
use std::path::{Path, PathBuf};

use backupwatch_core::Udid;
use rustix::io::Errno;

/// Each says what a person can do about it; none means "there are no backups".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the backup folder {} is not there; is its disk attached?", .path.display())]
    RootMissing { path: PathBuf },
    #[error("{} is not a folder", .path.display())]
    NotAFolder { path: PathBuf },
    /// The folder is there, but it was never made a store: an empty mount point looks like this.
    #[error("{} is not a folder of backups made by backupwatch; is its disk attached?", .path.display())]
    NotAStore { path: PathBuf },
    #[error("another process has been making a folder of backups of {} for too long", .path.display())]
    BeingMade { path: PathBuf },
    #[error("{} cannot be written to: it is read-only", .path.display())]
    ReadOnly { path: PathBuf },
    #[error("the system does not permit backupwatch to use {}", .path.display())]
    NotPermitted { path: PathBuf },
    #[error("there is no room left on the disk of {} ({free} bytes free)", .path.display())]
    NoSpace { path: PathBuf, free: u64 },
    /// exFAT and many network disks.
    #[error(
        "the disk of {} has no hard links, so the backup that is there could not be kept safe while a new one is made; \
         use a disk formatted as APFS, HFS+, ext4 or similar", .path.display()
    )]
    NoLinks { path: PathBuf },
    #[error("another backup of {} into this folder is running", .udid.short())]
    InUse { udid: Udid },
    #[error("there is no backup \u{201c}{name}\u{201d} of {}", .udid.short())]
    NoVersion { udid: Udid, name: String },
    #[error("the backup \u{201c}{name}\u{201d} of {} stays, because no newer one is verified", .udid.short())]
    Needed { udid: Udid, name: String },
    #[error("the store's own file {} is damaged", .path.display())]
    Damaged { path: PathBuf },
    #[error(
        "while it was made, the backup that it builds on was found to be damaged; the next one begins from nothing"
    )]
    BaseDamaged,
    #[error("the backup was stopped")]
    Stopped,
    #[error("failed to {what} {}: {source}", .path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl StoreError {
    /// What an I/O error at `path` means.
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::ROFS) => Self::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::NotPermitted { path },
            Some(Errno::NOSPC | Errno::DQUOT) => {
                let free = super::space::free_at(&path).unwrap_or(0);
                Self::NoSpace { path, free }
            }
            // SQLite says it without a number.
            None if source.kind() == io::ErrorKind::StorageFull => {
                let free = super::space::free_at(&path).unwrap_or(0);
                Self::NoSpace { path, free }
            }
            Some(_) | None => Self::Io { what, path, source },
        }
    }
}

/// Adds what was being done to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|e| StoreError::io(what, path, e))
    }
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|e| StoreError::io(what, path, e.into()))
    }
}
