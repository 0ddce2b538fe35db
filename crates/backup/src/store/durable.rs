//! Writing so that it is there after a power cut: small files as a whole, names, and a whole tree at once.
//!
//! On Apple's systems `File::sync_all` is `F_FULLFSYNC`, which stalls the disk, and plain `fsync` only hands the data to the
//! drive. So files of a tree get plain `fsync` as they arrive, and one full sync at the end covers them all (fcntl(2):
//! it drains the drive's whole queue). On Linux one `syncfs` does for all of them, and since 5.8 it reports what could
//! not be written since its descriptor was opened: hence [`Barrier`] is opened before the first byte.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

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
        Err(e) if !disk::is_folder(path) => Err(e.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open_folder(path: &Path) -> Result<File, Errno> {
    disk::open(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY).map(File::from)
}

/// Everything written to a file system since this was opened can be made durable by it.
#[derive(Debug)]
pub(crate) struct Barrier {
    folder: File,
    ahead: Ahead,
}

impl Barrier {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: open_folder(folder)?,
            ahead: Ahead::open(folder)?,
        })
    }

    /// What makes waiting short.
    pub(crate) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Waits until all of it, the names in `tree` included, is on the medium.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait(&self, _tree: &crate::jail::Jail) -> io::Result<()> {
        self.ahead.end();
        Ok(disk::sync_all(&self.folder)?)
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
        self.ahead.end();
        disk::sync_to_medium(&self.folder)
    }
}

/// Bytes that may come together before they are sent on their way.
const STRETCH: u64 = 64 << 20;

/// Bytes for which that is not worth a thread: the barrier has them written in no time.
const LITTLE: u64 = 16 << 20;

/// What a name costs on the medium, about.
const NAME: u64 = 4 << 10;

/// Sends what was written on its way to the medium while a run goes on, so that little is left for its [`Barrier`]. That one
/// alone says whether all of it arrived: this has a descriptor of its own, because each hears of a failure once. A run that is
/// dropped does not wait for it.
#[derive(Debug)]
pub(crate) struct Ahead {
    folder: File,
    unwritten: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ahead {
    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: open_folder(folder)?,
            unwritten: AtomicU64::new(0),
            thread: Mutex::default(),
        })
    }

    /// So many bytes and names more were written.
    pub(crate) fn written(&self, bytes: u64, names: u64) {
        let more = bytes.saturating_add(names.saturating_mul(NAME));
        let before = self.unwritten.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) >= STRETCH {
            self.begin();
        }
    }

    /// Nothing more of its kind comes for now.
    pub(crate) fn begin(&self) {
        let mut thread = lock(&self.thread);
        let busy = thread.as_ref().is_some_and(|it| !it.is_finished());
        if SYNC_EACH_FILE || busy || self.unwritten.load(Ordering::Relaxed) < LITTLE {
            return;
        }
        self.unwritten.store(0, Ordering::Relaxed);
        // Where there is no thread to be had, the barrier has more to do.
        *thread = disk::again(&self.folder).ok().and_then(|folder| {
            let name = "syncer".to_owned();
            let work = move || write_out(&folder);
            std::thread::Builder::new().name(name).spawn(work).ok()
        });
    }

    fn end(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// What fails here fails at the barrier too.
#[cfg(target_os = "linux")]
fn write_out(folder: &OwnedFd) {
    let _ = disk::sync_all(folder);
}

/// Each file was synced by itself.
#[cfg(not(target_os = "linux"))]
fn write_out(_folder: &OwnedFd) {}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
