//! Writing so that it is there after a power cut: small files as a whole, names, and a whole tree at once.
//!
//! On Apple's systems `File::sync_all` is `F_FULLFSYNC`, which stalls the disk, and plain `fsync` only hands the data to the
//! drive. So files of a tree get plain `fsync` as they arrive, and one full sync at the end covers them all (fcntl(2):
//! it drains the drive's whole queue). On Linux one `syncfs` does for all of them, and since 5.8 it reports what could
//! not be written since its descriptor was opened: hence [`Barrier`] is opened before the first byte.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Whether each new file of a tree must be synced as it arrives.
pub(crate) const SYNC_EACH_FILE: bool = !cfg!(target_os = "linux");

/// Replaces `path` by a file of these bytes, in one step that survives a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file; one that is not there is not an error.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a folder with those above it, for us alone.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Everything written to a file system since this was opened can be made durable by it.
#[derive(Debug)]
pub(crate) struct Barrier(File);

impl Barrier {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        File::open(folder).map(Self)
    }

    /// Waits until all of it, the names in `tree` included, is on the medium.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait(&self, _tree: &crate::jail::Jail) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
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
        self.0.sync_all()
    }
}
