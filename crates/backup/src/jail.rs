//! One folder, and no way out of it: every file operation that a device can cause goes through a [`Jail`].
//!
//! The folder is opened once; each operation walks from that descriptor, one plain name at a time, and follows no symbolic
//! link on the way nor at the end (P4). So an escaping path cannot be expressed, and a link planted in the tree leads nowhere.
//! Nothing here ever opens an existing file for writing: the files may be hard links of the verified backup (P1). What is
//! new arrives in a [`Part`], under a temporary name or where nothing is.
//!
//! Not here: what a device may ask for and how it is answered (`engine::chores`), and the layout of the store.

mod part;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::PoisonError;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::{self, CWD};
pub use part::{Part, is_part};

/// Deepest path below the folder. A backup's own paths are three deep.
pub const MAX_DEPTH: usize = 32;

/// Most names that one listing gives; a backup of four million files has 16 000 in its fullest folder.
/// Fewer in tests, which are to reach it.
pub const MAX_LISTED: usize = if cfg!(test) { 2048 } else { 65_536 };

/// Most files and folders that one copy makes: as many as the fullest folder of a big backup has. Phones are not known to
/// copy folders at all.
const MAX_COPIED: usize = if cfg!(test) { 512 } else { 16_384 };

/// See the module.
#[derive(Debug)]
pub struct Jail {
    root: OwnedFd,
    litter: part::Litter,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: Kind,
    pub len: u64,
    /// Unix seconds.
    pub modified: i64,
    /// Device and inode: tells whether two names are one file.
    pub inode: (u64, u64),
}

/// What a name stands for; links are named, never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
    Other,
}

/// A folder on the way: the jail's own, or one opened below it.
enum Step<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Step<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => *fd,
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

fn owned(step: Step<'_>) -> Result<OwnedFd, Errno> {
    match step {
        Step::Root(fd) => disk::again(fd).map_err(|e| errno(&e)),
        Step::Below(fd) => Ok(fd),
    }
}

impl Jail {
    /// Opens `folder`, which must be a real folder and not a link to one.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let root = disk::open(CWD, folder, folder_flags())?;
        Ok(Self {
            root,
            litter: part::Litter::default(),
        })
    }

    /// The folder itself, for calls that speak of the file system it is on.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Whether the folder at this path is still the one that was opened.
    pub(crate) fn is_at(&self, folder: &Path) -> Result<bool, Errno> {
        let there = disk::look(CWD, folder)?;
        Ok(same_file(&there, &disk::look_at(&self.root)?))
    }

    /// Makes one folder.
    ///
    /// # Errors
    /// `EEXIST` when something of that name is there, and what else the file system says.
    pub fn make_folder(&self, inside: &str) -> Result<(), Errno> {
        let (folder, name) = self.parent(inside)?;
        not_ours(name)?;
        disk::make_folder(&folder, name)
    }

    /// What is at `inside`, of which the last name is not followed if it is a link.
    ///
    /// # Errors
    /// `ENOENT` when nothing is there.
    pub fn stat(&self, inside: &str) -> Result<Stat, Errno> {
        if inside.is_empty() {
            return disk::look_at(&self.root);
        }
        let (folder, name) = self.parent(inside)?;
        disk::look(&folder, name)
    }

    /// Opens a regular file to read.
    ///
    /// # Errors
    /// `ELOOP` for a link, `EISDIR` for a folder, `EINVAL` for a pipe, socket or device.
    pub fn open_file(&self, inside: &str) -> Result<File, Errno> {
        let (folder, name) = self.parent(inside)?;
        open_file_at(folder.as_fd(), name)
    }

    /// Begins a new file that will be called `inside` when it is whole.
    ///
    /// # Errors
    /// `ENOENT` when its folder is not there, and what else the file system says.
    pub fn begin(&self, inside: &str) -> Result<Part, Errno> {
        let (folder, name) = self.parent(inside)?;
        not_ours(name)?;
        Part::create(owned(folder)?, name, self.litter.clone())
    }

    /// As [`Jail::begin`], but where nothing has the name it has it from the beginning, which saves a rename. For files that are
    /// known to be torn when they are, by whoever finds them after a crash.
    ///
    /// # Errors
    /// As [`Jail::begin`].
    pub fn begin_in_place(&self, inside: &str) -> Result<Part, Errno> {
        let (folder, name) = self.parent(inside)?;
        not_ours(name)?;
        Part::create_in_place(owned(folder)?, name, self.litter.clone())
    }

    /// Whether all files that did not become whole are gone.
    ///
    /// # Errors
    /// Why one could not be removed.
    pub(crate) fn is_clean(&self) -> Result<(), Errno> {
        let litter = *self.litter.lock().unwrap_or_else(PoisonError::into_inner);
        litter.map_or(Ok(()), Err)
    }

    /// Makes a file to write to, of a name that nothing has. Not for a tree that a phone works on: it has its name before it is
    /// whole.
    pub(crate) fn create(&self, inside: &str) -> Result<File, Errno> {
        let (folder, name) = self.parent(inside)?;
        disk::create(&folder, name)
    }

    /// Makes a clone of a file under a name that nothing has.
    pub(crate) fn clone_in(&self, from: &File, inside: &str) -> Result<(), Errno> {
        let (folder, name) = self.parent(inside)?;
        disk::clone_file(from, &folder, name)
    }

    /// Moves `from` to `to`, taking the place of what is there.
    ///
    /// # Errors
    /// `ENOENT` when `from` is not there; `EINVAL` when a folder would come to lie deeper than it was, which no phone asks
    /// for and which would let the tree grow without bound, or when one of the two lies in the other.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        let (from_folder, from_name) = self.parent(from)?;
        let (to_folder, to_name) = self.parent(to)?;
        not_ours(to_name)?;
        #[cfg(target_os = "linux")]
        if move_to_nothing(
            (from_folder.as_fd(), from_name),
            (to_folder.as_fd(), to_name),
        )? {
            return Ok(());
        }
        let source = disk::look(&from_folder, from_name)?;
        let is_folder = FileType::from_raw_mode(source.st_mode) == FileType::Directory;
        if is_folder && depth(to) > depth(from)
            || from != to && (inside_of(from, to) || inside_of(to, from))
        {
            return Err(Errno::INVAL);
        }
        // A file with one name has nothing to do with what is there; only a folder in its place is to be cleared away first.
        if !is_folder && source.st_nlink == 1 {
            match disk::rename_at(&from_folder, from_name, &to_folder, to_name) {
                Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {}
                done => return done,
            }
        }
        let there = disk::look(&to_folder, to_name);
        if let Ok(there) = there {
            if same_file(&source, &there) {
                if from == to {
                    return Ok(());
                }
                // POSIX: renaming one name of a file to another name of it does nothing, and leaves both. Where `A` is
                // `a` they may be one name, so neither is removed before the other is there.
                let aside = part::temporary_name()?;
                let aside = aside.as_str();
                disk::rename_at(&from_folder, from_name, &from_folder, aside)?;
                disk::rename_at(&from_folder, aside, &to_folder, to_name)?;
                return match disk::remove_file(&from_folder, aside) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(e) => Err(e),
                };
            }
            let onto_folder = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
            if onto_folder || is_folder {
                remove_at(to_folder.as_fd(), &terminated(to_name)?, MAX_DEPTH)?;
            }
        }
        disk::rename_at(&from_folder, from_name, &to_folder, to_name)
    }

    /// Gives the file or folder `from` a second name `to`, in the place of what is there. Files are never changed in place,
    /// so a second name is as good as a copy.
    ///
    /// # Errors
    /// `EOVERFLOW` for a folder with more than [`MAX_COPIED`] entries in all, of which it then has a part; `EINVAL` when one
    /// of the two lies in the other or deeper; and what else the file system says.
    pub fn copy(&self, from: &str, to: &str) -> Result<(), Errno> {
        let mut left = MAX_COPIED;
        self.copy_at_most(from, to, &mut left)
    }

    fn copy_at_most(&self, from: &str, to: &str, left: &mut usize) -> Result<(), Errno> {
        // Copies of copies double with each request.
        *left = left.checked_sub(1).ok_or(Errno::OVERFLOW)?;
        let source = self.stat(from)?;
        if FileType::from_raw_mode(source.st_mode) != FileType::Directory {
            return self.copy_file(from, to);
        }
        if depth(to) > depth(from) || inside_of(to, from) {
            return Err(Errno::INVAL);
        }
        self.make_folder(to)
            .or_else(|e| if e == Errno::EXIST { Ok(()) } else { Err(e) })?;
        for entry in self.list(from)? {
            self.copy_at_most(
                &format!("{from}/{}", entry.name),
                &format!("{to}/{}", entry.name),
                left,
            )?;
        }
        Ok(())
    }

    fn copy_file(&self, from: &str, to: &str) -> Result<(), Errno> {
        let (from_folder, from_name) = self.parent(from)?;
        let (to_folder, to_name) = self.parent(to)?;
        not_ours(to_name)?;
        if from == to {
            return Ok(());
        }
        match disk::remove_file(&to_folder, to_name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
        disk::link(&from_folder, from_name, &to_folder, to_name)
    }

    /// Removes a file, or a folder with all that is in it. Links are removed, not followed.
    ///
    /// # Errors
    /// `ENOENT` when nothing is there; `EINVAL` for the folder itself.
    pub fn remove(&self, inside: &str) -> Result<(), Errno> {
        let (folder, name) = self.parent(inside)?;
        remove_at(folder.as_fd(), &terminated(name)?, MAX_DEPTH + 1)
    }

    /// Lists a folder; the empty path lists the jail's own. Files that have not arrived whole are not listed.
    ///
    /// # Errors
    /// `ENOENT` when it is not there; `EOVERFLOW` when it holds more than [`MAX_LISTED`] names.
    pub fn list(&self, inside: &str) -> Result<Vec<Entry>, Errno> {
        let folder = self.walk(inside)?;
        list_at(folder.as_fd(), false)
    }

    /// As [`Jail::list`], with the parts that never became whole.
    pub(crate) fn list_with_parts(&self, inside: &str) -> Result<Vec<Entry>, Errno> {
        let folder = self.walk(inside)?;
        list_at(folder.as_fd(), true)
    }

    /// Makes the names in a folder durable, where that is not done for the file system as a whole.
    #[cfg_attr(
        target_os = "linux",
        expect(dead_code, reason = "there syncfs does it for all")
    )]
    pub(crate) fn sync_folder(&self, inside: &str) -> Result<(), Errno> {
        let folder = self.walk(inside)?;
        let folder = disk::open(&folder, c".", readable_folder_flags())?;
        disk::sync(folder)
    }

    /// The folder that holds `inside`, and the last name.
    fn parent<'a>(&self, inside: &'a str) -> Result<(Step<'_>, &'a str), Errno> {
        let (above, name) = inside.rsplit_once('/').unwrap_or(("", inside));
        check_name(name)?;
        Ok((self.walk(above)?, name))
    }

    fn walk(&self, inside: &str) -> Result<Step<'_>, Errno> {
        let mut at = Step::Root(self.root.as_fd());
        if inside.is_empty() {
            return Ok(at);
        }
        for (depth, name) in inside.split('/').enumerate() {
            check_name(name)?;
            if depth >= MAX_DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
        }
        #[cfg(target_os = "linux")]
        if let Some(folder) = self.walk_at_once(inside)? {
            return Ok(Step::Below(folder));
        }
        for name in inside.split('/') {
            at = Step::Below(disk::open(&at, name, folder_flags())?);
        }
        Ok(at)
    }

    /// The whole way in one call, under the same rules. `None` where the kernel does not have it or does not permit it.
    #[cfg(target_os = "linux")]
    fn walk_at_once(&self, inside: &str) -> Result<Option<OwnedFd>, Errno> {
        match disk::open_beneath(&self.root, inside, folder_flags()) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// The paths were parsed already; this is the second lock on the same door.
fn check_name(name: &str) -> Result<(), Errno> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Errno::INVAL);
    }
    Ok(())
}

/// A name of a part would not be listed, and could be that of one on its way.
fn not_ours(name: &str) -> Result<(), Errno> {
    if is_part(name) {
        return Err(Errno::INVAL);
    }
    Ok(())
}

fn terminated(name: &str) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

fn depth(inside: &str) -> usize {
    inside.split('/').count()
}

fn inside_of(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    a.st_dev == b.st_dev && a.st_ino == b.st_ino
}

/// The flags of a folder on the way. On Linux a descriptor that can only be walked from is the cheapest.
fn folder_flags() -> OFlags {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    #[cfg(target_os = "linux")]
    let flags = flags | OFlags::PATH;
    flags
}

fn readable_folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW
}

/// Moves a file to a name that nothing has, by a second name and then the end of the first: Linux lets only one thread of a whole
/// file system rename between folders, and all files of a first backup are moved. No, where that cannot be: the name is
/// taken, it is a folder, or there are no hard links. A crash between the two leaves both names (see `store::heal`).
#[cfg(target_os = "linux")]
fn move_to_nothing(
    (from_folder, from): (BorrowedFd<'_>, &str),
    (to_folder, to): (BorrowedFd<'_>, &str),
) -> Result<bool, Errno> {
    match disk::link(from_folder, from, to_folder, to) {
        Ok(()) => {}
        Err(Errno::EXIST | Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
            return Ok(false);
        }
        Err(e) => return Err(e),
    }
    match disk::remove_file(from_folder, from) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(e) => {
            // It is where it was, then.
            let _ = disk::remove_file(to_folder, to);
            Err(e)
        }
    }
}

fn open_file_at(folder: BorrowedFd<'_>, name: &str) -> Result<File, Errno> {
    // NONBLOCK: a pipe that somebody planted must not hang us before we see what it is.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = disk::open(folder, name, flags)?;
    let stat = disk::look_at(&fd)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::RegularFile {
        Ok(File::from(fd))
    } else if kind == FileType::Directory {
        Err(Errno::ISDIR)
    } else {
        Err(Errno::INVAL)
    }
}

fn list_at(folder: BorrowedFd<'_>, with_parts: bool) -> Result<Vec<Entry>, Errno> {
    let readable = disk::open(folder, c".", readable_folder_flags())?;
    let mut entries = Vec::new();
    for found in disk::names(readable)? {
        let found = found?;
        let raw = found.file_name();
        if raw == c"." || raw == c".." {
            continue;
        }
        let name = raw.to_string_lossy().into_owned();
        if !with_parts && is_part(&name) {
            continue;
        }
        if entries.len() >= MAX_LISTED {
            return Err(Errno::OVERFLOW);
        }
        let stat = match disk::look(folder, raw) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(e),
        };
        entries.push(entry(name, &stat));
    }
    Ok(entries)
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the widths differ from system to system, and some are right on each"
)]
fn entry(name: String, stat: &Stat) -> Entry {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let kind = if kind == FileType::Directory {
        Kind::Folder
    } else if kind == FileType::RegularFile {
        Kind::File
    } else {
        Kind::Other
    };
    Entry {
        name,
        kind,
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified: stat.st_mtime as i64,
        inode: inode(stat),
    }
}

/// See [`Entry::inode`].
#[expect(
    clippy::unnecessary_cast,
    reason = "the widths differ from system to system, and some are right on each"
)]
pub(crate) fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Removes a name and what hangs on it. The depth of a tree is bounded by [`MAX_DEPTH`]: nothing deeper can be made here.
fn remove_at(folder: BorrowedFd<'_>, name: &CStr, levels: usize) -> Result<(), Errno> {
    match disk::remove_file(folder, name) {
        // Linux says EISDIR for a folder, POSIX and Apple EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let Some(levels) = levels.checked_sub(1) else {
        return Err(Errno::NAMETOOLONG);
    };
    let below = disk::open(folder, name, readable_folder_flags())?;
    for name in &names_in(&below)? {
        match disk::remove_file(&below, name.as_c_str()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                remove_at(below.as_fd(), name, levels)?;
            }
            Err(e) => return Err(e),
        }
    }
    disk::remove_folder(folder, name)
}

/// Removes a whole folder that is ours, for example an old work tree. The folder itself is not followed if it is a link.
///
/// # Errors
/// As the file system says; a folder that is not there is not an error.
pub(crate) fn remove_tree(folder: &Path) -> io::Result<()> {
    let (Some(parent), Some(Ok(name))) = (
        folder.parent(),
        folder.file_name().map(|name| CString::new(name.as_bytes())),
    ) else {
        return Err(Errno::INVAL.into());
    };
    let parent = match disk::open(CWD, parent, folder_flags()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    if REMOVERS > 1 {
        // What they leave is removed below, or said why not.
        let _ = empty_at(parent.as_fd(), &name, REMOVERS);
    }
    match remove_at(parent.as_fd(), &name, MAX_DEPTH + 2) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Threads that remove a whole tree. One in the crate's own tests, which are to know what goes first.
const REMOVERS: usize = if cfg!(test) { 1 } else { 4 };

/// Removes what is in a folder, its entries shared out to threads: those of a file system with a million names to take away hardly
/// meet, because each folder is one's own.
fn empty_at(folder: BorrowedFd<'_>, name: &CStr, threads: usize) -> Result<(), Errno> {
    let below = disk::open(folder, name, readable_folder_flags())?;
    let names = names_in(&below)?;
    let share = names.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut removers = Vec::with_capacity(threads);
        for names in names.chunks(share) {
            let below = &below;
            let remove = move || {
                for name in names {
                    let _ = remove_at(below.as_fd(), name, MAX_DEPTH + 1);
                }
            };
            let remover = std::thread::Builder::new().name("remover".to_owned());
            // Where there is no thread to be had, one does all of it.
            removers.extend(remover.spawn_scoped(scope, remove));
        }
        // The scope waits for what a thread does, and not until it has put away what it had.
        for remover in removers {
            let _ = remover.join();
        }
    });
    Ok(())
}

/// The names are taken first: what readdir gives while entries go away is not defined.
fn names_in(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for found in disk::names(disk::open(folder, c".", readable_folder_flags())?)? {
        let found = found?;
        if found.file_name() != c"." && found.file_name() != c".." {
            names.push(found.file_name().to_owned());
        }
    }
    Ok(names)
}

pub(crate) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests;
