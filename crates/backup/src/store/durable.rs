//! Writing so that it is there after a power cut: small files as a whole, names, and a whole tree at once.
//!
//! On Apple's systems `File::sync_all` is `F_FULLFSYNC`, which stalls the disk, and plain `fsync` only hands the data to the
//! drive. So files of a tree get plain `fsync` as they arrive, and one full sync at the end covers them all (fcntl(2):
//! it drains the drive's whole queue). On Linux one `syncfs` does for all of them, and since 5.8 it reports what could
//! not be written since its descriptor was opened: hence [`Barrier`] is opened before the first byte.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::disk::{self, CWD};

/// Whether each new file of a tree must be synced as it arrives.
pub(crate) const SYNC_EACH_FILE: bool = !cfg!(target_os = "linux");

/// Replaces `path` by a file of these bytes, in one step that survives a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // One that a crash left, or a link to anywhere.
    remove_file(&temporary)?;
    let written = disk::create(CWD, temporary.as_path())
        .map_err(io::Error::from)
        .and_then(|file| {
            disk::write(&file, bytes)?;
            disk::sync_to_medium(&file)?;
            disk::rename(&temporary, path)
        });
    if written.is_err() {
        let _ = remove_file(&temporary);
    }
    written?;
    sync_parent(path)
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => disk::sync_to_medium(&open_folder(folder)?),
        None => Ok(()),
    }
}

/// Removes a file; one that is not there is not an error.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match disk::remove_file(CWD, path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Makes a folder with those above it, for us alone.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut made = disk::make_folder(CWD, path);
    if made == Err(Errno::NOENT)
        && let Some(above) = path.parent()
    {
        make_folder(above)?;
        made = disk::make_folder(CWD, path);
    }
    match made {
        // Somebody else may have made it by now.
        Err(e) if !path.is_dir() => Err(e.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open_folder(path: &Path) -> Result<File, Errno> {
    disk::open(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY).map(File::from)
}

/// Everything written to a file system since this was opened can be made durable by it.
#[derive(Debug)]
pub(crate) struct Barrier(File);

impl Barrier {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(open_folder(folder)?))
    }

    /// Waits until all of it, the names in `tree` included, is on the medium.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait(&self, _tree: &crate::jail::Jail) -> io::Result<()> {
        Ok(disk::sync_all(&self.0)?)
    }

    /// Waits until all of it, the names in `tree` included, is on the medium.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn wait(&self, tree: &crate::jail::Jail) -> io::Result<()> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in tree.list(&folder)? {
                if entry.kind == crate::jail::Kind::Folder {
                    let separator = if folder.is_empty() { "" } else { "/" };
                    folders.push(format!("{folder}{separator}{}", entry.name));
                }
            }
            tree.sync_folder(&folder)?;
        }
        disk::sync_to_medium(&self.0)
    }
}
