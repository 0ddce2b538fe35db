//! The one door to the disk: every operation of this crate that opens, reads, looks at, makes, writes, syncs, renames,
//! exchanges, links or removes goes through here, and `clippy.toml` of this crate refuses those that go past it.
//!
//! Built for people these are the calls of the system and nothing else. In the crate's own tests an observer can stand at the
//! door (see [`watch`]): it lets the n-th operation fail, or writes down what a power cut at that moment would leave.
//!
//! Names are looked up from an open folder; [`CWD`] with a whole path does where no folder is open.
//!
//! Not here: which operations make a step that survives a crash (`store::durable`), and what stays inside a folder (`jail`).

#![cfg_attr(
    not(test),
    expect(clippy::disallowed_methods, reason = "this is the door")
)]

use std::fs::{self, File, ReadDir};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, DirEntry, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat,
};
use rustix::io::Errno;
use rustix::path::Arg;

pub(crate) use rustix::fs::CWD;

#[cfg(test)]
pub(crate) mod watch;

#[cfg(test)]
use watch::{Op, What};

/// A name or path that can be used more than once.
pub(crate) trait Name: Arg + Copy {}
impl<T: Arg + Copy> Name for T {}

/// The work, with the tests' observer asked before it and told after it.
macro_rules! observed {
    ($op:expr, $work:expr) => {{
        #[cfg(test)]
        let done = watch::observed(|| $op, || $work);
        #[cfg(not(test))]
        let done = $work;
        done
    }};
}

/// Opens what is there; `flags` do not make anything.
pub(crate) fn open(at: impl AsFd, name: impl Name, flags: OFlags) -> Result<OwnedFd, Errno> {
    observed!(
        Op::at(What::Open, &at, name),
        rustix::fs::openat(&at, name, flags | OFlags::CLOEXEC, Mode::empty())
    )
}

/// As [`open`], with no way out of the folder and through no link, in one step.
#[cfg(target_os = "linux")]
pub(crate) fn open_beneath(
    at: impl AsFd,
    name: impl Name,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    observed!(
        Op::at(What::Open, &at, name),
        rustix::fs::openat2(&at, name, flags | OFlags::CLOEXEC, Mode::empty(), rules)
    )
}

/// Makes a file to write to, of a name that nothing has.
pub(crate) fn create(at: impl AsFd, name: impl Name) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    observed!(
        Op::at(What::Create, &at, name),
        rustix::fs::openat(&at, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    )
}

/// Opens a file that is never written to, or makes it.
pub(crate) fn open_or_create(at: impl AsFd, name: impl Name) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    observed!(
        Op::at(What::Create, &at, name),
        rustix::fs::openat(&at, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    )
}

/// The first `max` bytes of a file. A link is followed, and a pipe is not waited for.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = File::from(open(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK)?);
    let mut bytes = Vec::new();
    Reading(&file).take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is in a folder.
pub(crate) fn list(path: &Path) -> io::Result<Entries> {
    let entries = observed!(Op::at(What::Open, CWD, path), std::fs::read_dir(path))?;
    Ok(Entries {
        entries,
        #[cfg(test)]
        path: path.to_owned(),
    })
}

/// See [`list`].
#[derive(Debug)]
pub(crate) struct Entries {
    entries: ReadDir,
    #[cfg(test)]
    path: PathBuf,
}

impl Iterator for Entries {
    type Item = io::Result<fs::DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = observed!(
            Op::at(What::Read, CWD, self.path.as_path()),
            self.entries.next().transpose()
        );
        next.transpose()
    }
}

/// The names in an open folder.
pub(crate) fn names(folder: OwnedFd) -> Result<Names, Errno> {
    Dir::new(folder).map(Names)
}

/// See [`names`].
pub(crate) struct Names(Dir);

impl Iterator for Names {
    type Item = Result<DirEntry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        #[cfg(test)]
        let op = {
            let path = self.0.fd().map(|folder| Op::on(What::Read, folder));
            path.unwrap_or_else(|_| Op::at(What::Read, CWD, "."))
        };
        let next = observed!(op, self.0.read().transpose());
        next.transpose()
    }
}

/// An open file, to be read from where it stands.
pub(crate) struct Reading<'a>(pub(crate) &'a File);

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        observed!(Op::on(What::Read, self.0), (&mut &*self.0).read(buffer))
    }
}

/// Fills the buffer with what stands at a place of a file.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    observed!(Op::on(What::Read, file), file.read_exact_at(buffer, at))
}

/// Goes back to where a file begins.
pub(crate) fn rewind(file: &File) -> io::Result<()> {
    observed!(Op::on(What::Read, file), (&mut &*file).rewind())
}

/// What an open file or folder is.
pub(crate) fn look_at(file: impl AsFd) -> Result<Stat, Errno> {
    observed!(Op::on(What::Look, &file), rustix::fs::fstat(&file))
}

/// How long an open file is.
pub(crate) fn len(file: &File) -> io::Result<u64> {
    observed!(
        Op::on(What::Look, file),
        file.metadata().map(|meta| meta.len())
    )
}

/// How much room a file system has for us.
pub(crate) fn room(anything_on_it: impl AsFd) -> Result<u64, Errno> {
    observed!(
        Op::on(What::Look, &anything_on_it),
        free_bytes(&anything_on_it)
    )
}

/// statvfs has 32-bit counts on Apple's systems and wraps above 4 TB; statfs does not.
#[cfg(target_vendor = "apple")]
fn free_bytes(fd: impl AsFd) -> Result<u64, Errno> {
    let stat = rustix::fs::fstatfs(fd)?;
    Ok(stat.f_bavail.saturating_mul(u64::from(stat.f_bsize)))
}

/// f_bavail counts in f_frsize, not in f_bsize (libimobiledevice 1b09adc had that wrong).
#[cfg(not(target_vendor = "apple"))]
fn free_bytes(fd: impl AsFd) -> Result<u64, Errno> {
    let stat = rustix::fs::fstatvfs(fd)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// One more descriptor of what is open.
pub(crate) fn again(open: impl AsFd) -> io::Result<OwnedFd> {
    observed!(Op::on(What::Open, &open), open.as_fd().try_clone_to_owned())
}

/// Whether there is a folder, or a link to one. That it cannot be told is a no.
pub(crate) fn is_folder(path: &Path) -> bool {
    let found = observed!(
        Op::at(What::Look, CWD, path),
        rustix::fs::stat(path).map_err(io::Error::from)
    );
    found.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The path without links in it.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    observed!(Op::at(What::Look, CWD, path), path.canonicalize())
}

/// What a name stands for; a link is not followed.
pub(crate) fn look(at: impl AsFd, name: impl Name) -> Result<Stat, Errno> {
    observed!(
        Op::at(What::Look, &at, name),
        rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW)
    )
}

/// Whether there is anything of that name. That it cannot be told is not the same as no.
pub(crate) fn exists(path: &Path) -> Result<bool, Errno> {
    match look(CWD, path) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Writes to a file that was made here.
pub(crate) fn write(file: &File, bytes: &[u8]) -> io::Result<()> {
    observed!(Op::on(What::Write, file), (&mut &*file).write_all(bytes))
}

/// Writes what another file holds.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<u64> {
    observed!(Op::on(What::Write, to), io::copy(&mut &*from, &mut &*to))
}

/// Makes a file of the same content that takes no room of its own until one of them changes. Not every file system can.
#[cfg(target_os = "linux")]
pub(crate) fn clone_file(from: &File, at: impl AsFd, name: impl Name) -> Result<(), Errno> {
    let to = create(&at, name)?;
    let cloned = observed!(
        Op::on(What::Write, &to),
        rustix::fs::ioctl_ficlone(&to, from)
    );
    if cloned.is_err() {
        remove_file(&at, name)?;
    }
    cloned
}

/// Makes a file of the same content that takes no room of its own until one of them changes. Not every file system can.
#[cfg(target_vendor = "apple")]
pub(crate) fn clone_file(from: &File, at: impl AsFd, name: impl Name) -> Result<(), Errno> {
    observed!(
        Op::at(What::Create, &at, name),
        rustix::fs::fclonefileat(from, &at, name, rustix::fs::CloneFlags::NOOWNERCOPY)
    )
}

/// No other system has clones that we know how to ask for.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn clone_file(_: &File, _: impl AsFd, _: impl Name) -> Result<(), Errno> {
    Err(Errno::NOTSUP)
}

/// Makes a folder for us alone.
pub(crate) fn make_folder(at: impl AsFd, name: impl Name) -> Result<(), Errno> {
    observed!(
        Op::at(What::MakeFolder, &at, name),
        rustix::fs::mkdirat(&at, name, Mode::RWXU)
    )
}

/// Gives a file one more name.
pub(crate) fn link(
    from_at: impl AsFd,
    from: impl Name,
    to_at: impl AsFd,
    to: impl Name,
) -> Result<(), Errno> {
    observed!(
        Op::two(What::Link, &from_at, from, &to_at, to),
        rustix::fs::linkat(&from_at, from, &to_at, to, AtFlags::empty())
    )
}

/// Moves a name, in the place of what has the new one.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    observed!(
        Op::two(What::Rename, CWD, from, CWD, to),
        std::fs::rename(from, to)
    )
}

/// As [`rename`], by names in open folders.
pub(crate) fn rename_at(
    from_at: impl AsFd,
    from: impl Name,
    to_at: impl AsFd,
    to: impl Name,
) -> Result<(), Errno> {
    observed!(
        Op::two(What::Rename, &from_at, from, &to_at, to),
        rustix::fs::renameat(&from_at, from, &to_at, to)
    )
}

/// As [`rename`], but never in the place of anything. Not every file system can.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    observed!(
        Op::two(What::Rename, CWD, from, CWD, to),
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
    )
}

/// Swaps two names in one step. Not every file system can.
pub(crate) fn exchange(a: &Path, b: &Path) -> Result<(), Errno> {
    observed!(
        Op::two(What::Exchange, CWD, a, CWD, b),
        rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
    )
}

/// Removes a name that is not a folder's.
pub(crate) fn remove_file(at: impl AsFd, name: impl Name) -> Result<(), Errno> {
    observed!(
        Op::at(What::Remove, &at, name),
        rustix::fs::unlinkat(&at, name, AtFlags::empty())
    )
}

/// Removes a folder in which nothing is.
pub(crate) fn remove_folder(at: impl AsFd, name: impl Name) -> Result<(), Errno> {
    observed!(
        Op::at(What::Remove, &at, name),
        rustix::fs::unlinkat(&at, name, AtFlags::REMOVEDIR)
    )
}

/// Hands a file, or the names in a folder, to the drive. On Linux that includes the medium.
pub(crate) fn sync(file: impl AsFd) -> Result<(), Errno> {
    observed!(Op::on(What::Sync, &file), rustix::fs::fsync(&file))
}

/// As [`sync`], and on Apple's systems waits for the medium and all that was handed to the drive before.
pub(crate) fn sync_to_medium(file: &File) -> io::Result<()> {
    observed!(Op::on(What::Sync, file), file.sync_all())
}

/// Waits until all that was written to a file system is on the medium.
#[cfg(target_os = "linux")]
pub(crate) fn sync_all(anything_on_it: impl AsFd) -> Result<(), Errno> {
    observed!(
        Op::on(What::SyncAll, &anything_on_it),
        rustix::fs::syncfs(&anything_on_it)
    )
}

/// Takes the lock on a file, or says `EWOULDBLOCK`.
pub(crate) fn try_lock(file: &File) -> Result<(), Errno> {
    observed!(
        Op::on(What::Lock, file),
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    )
}

/// As [`try_lock`], beside others who take it in this way.
pub(crate) fn try_lock_shared(file: &File) -> Result<(), Errno> {
    observed!(
        Op::on(What::Lock, file),
        rustix::fs::flock(file, FlockOperation::NonBlockingLockShared)
    )
}

/// A question to SQLite, which reads in its own way: each is one operation here.
#[cfg_attr(
    not(test),
    expect(unused_variables, reason = "only an observer asks for the path")
)]
pub(crate) fn query<T>(
    path: &Path,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    observed!(Op::at(What::Read, CWD, path), work())
}

/// A step of SQLite's on the file of a ledger. It has its own way to the disk, so each step is one operation here.
#[cfg_attr(
    not(test),
    expect(unused_variables, reason = "only an observer asks for the path")
)]
pub(crate) fn ledger<T>(
    path: &Path,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    observed!(Op::at(What::Ledger, CWD, path), work())
}
