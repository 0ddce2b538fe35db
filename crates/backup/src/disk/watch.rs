//! An observer at the door to the disk, for tests: asked before each operation below one folder, told after it.
//!
//! While it is asked, the operation is done and it is told, nobody else gets past it. So operations have an order, even where
//! threads make them.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::Name;

/// One operation, by the paths that its names have at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Op {
    pub(crate) what: What,
    pub(crate) path: PathBuf,
    /// The second name of a link, rename or exchange.
    pub(crate) to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Open,
    /// Of bytes, or of the next name in a folder.
    Read,
    Look,
    Create,
    Write,
    MakeFolder,
    Link,
    Rename,
    Exchange,
    Remove,
    Sync,
    SyncAll,
    Lock,
    Ledger,
}

impl Op {
    pub(super) fn at(what: What, at: impl AsFd, name: impl Name) -> Self {
        let path = place(at.as_fd(), name);
        Self {
            what,
            path,
            to: None,
        }
    }

    pub(super) fn on(what: What, file: impl AsFd) -> Self {
        let path = path_of(file.as_fd());
        Self {
            what,
            path,
            to: None,
        }
    }

    pub(super) fn two(
        what: What,
        from_at: impl AsFd,
        from: impl Name,
        to_at: impl AsFd,
        to: impl Name,
    ) -> Self {
        Self {
            to: Some(place(to_at.as_fd(), to)),
            ..Self::at(what, from_at, from)
        }
    }
}

/// Who stands at the door.
pub(crate) trait Observer: Send {
    /// Whether the operation has to wait, and is asked about again; others go on meanwhile.
    fn holds(&mut self, _: &Op) -> bool {
        false
    }

    /// The operation is not done, and fails, when this does.
    fn before(&mut self, op: &Op) -> Result<(), Errno>;

    fn after(&mut self, op: &Op, done: bool);
}

struct Watched {
    folder: PathBuf,
    observer: Arc<Mutex<dyn Observer>>,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// As long as this lives, the observer sees all that happens below the folder.
#[must_use]
#[derive(Debug)]
pub(crate) struct Watch {
    folder: PathBuf,
}

impl Watch {
    /// `folder`: with all links on the way to it resolved.
    pub(crate) fn over(folder: &Path, observer: Arc<Mutex<dyn Observer>>) -> Self {
        let folder = folder.to_owned();
        lock(&WATCHED).push(Watched {
            folder: folder.clone(),
            observer,
        });
        COUNT.fetch_add(1, Ordering::SeqCst);
        Self { folder }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&WATCHED).retain(|watched| watched.folder != self.folder);
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An error that can be one of the system.
pub(super) trait Fails {
    fn with(errno: Errno) -> Self;
}

impl Fails for Errno {
    fn with(errno: Errno) -> Self {
        errno
    }
}

impl Fails for io::Error {
    fn with(errno: Errno) -> Self {
        errno.into()
    }
}

impl Fails for rusqlite::Error {
    /// As SQLite says it.
    fn with(errno: Errno) -> Self {
        use rusqlite::ffi;
        let code = match errno {
            Errno::NOSPC => ffi::SQLITE_FULL,
            Errno::ACCESS => ffi::SQLITE_PERM,
            Errno::MFILE => ffi::SQLITE_CANTOPEN,
            _ => ffi::SQLITE_IOERR,
        };
        Self::SqliteFailure(ffi::Error::new(code), None)
    }
}

pub(super) fn observed<T, E: Fails>(
    op: impl FnOnce() -> Op,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return work();
    }
    let op = op();
    let observer = {
        let watched = lock(&WATCHED);
        let sees = |watched: &&Watched| {
            let below = |path: &Path| path.starts_with(&watched.folder);
            below(&op.path) || op.to.as_deref().is_some_and(below)
        };
        watched.iter().find(sees).map(|it| Arc::clone(&it.observer))
    };
    let Some(observer) = observer else {
        return work();
    };
    let mut observer = loop {
        let mut asked = lock(&observer);
        if !asked.holds(&op) {
            break asked;
        }
        drop(asked);
        std::thread::sleep(Duration::from_millis(1));
    };
    observer.before(&op).map_err(E::with)?;
    let done = work();
    observer.after(&op, done.is_ok());
    done
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(at: BorrowedFd<'_>, name: impl Name) -> PathBuf {
    let name = PathBuf::from(name.to_string_lossy().into_owned());
    if name.is_absolute() || at.as_raw_fd() == super::CWD.as_raw_fd() {
        return name;
    }
    if name == Path::new(".") {
        return path_of(at);
    }
    path_of(at).join(name)
}

/// The path that an open file or folder has now.
#[cfg(not(target_vendor = "apple"))]
fn path_of(file: BorrowedFd<'_>) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

/// The path that an open file or folder has now.
#[cfg(target_vendor = "apple")]
fn path_of(file: BorrowedFd<'_>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(file).map(|path| path.into_bytes());
    PathBuf::from(std::ffi::OsString::from_vec(path.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{self, CWD};

    #[derive(Default)]
    struct OnlyLooks(Vec<(What, bool)>);

    impl Observer for OnlyLooks {
        fn before(&mut self, op: &Op) -> Result<(), Errno> {
            if op.what == What::Look {
                Ok(())
            } else {
                Err(Errno::ACCESS)
            }
        }

        fn after(&mut self, op: &Op, done: bool) {
            self.0.push((op.what, done));
        }
    }

    #[test]
    fn an_observer_decides_below_its_folder_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().canonicalize().unwrap().join("inside");
        disk::make_folder(CWD, inside.as_path()).unwrap();
        let opened = disk::open(CWD, inside.as_path(), rustix::fs::OFlags::RDONLY).unwrap();
        let observer = Arc::new(Mutex::new(OnlyLooks::default()));
        let watch = Watch::over(&inside, observer.clone());
        assert_eq!(disk::look(&opened, "there").unwrap_err(), Errno::NOENT);
        assert_eq!(
            disk::make_folder(&opened, "there"),
            Err(Errno::ACCESS),
            "by a name in an open folder too"
        );
        disk::make_folder(CWD, dir.path().join("outside").as_path()).unwrap();
        drop(watch);
        disk::make_folder(&opened, "there").unwrap();
        assert_eq!(lock(&observer).0, [(What::Look, false)]);
    }
}
