//! A tree of hard links: the same files under a second folder, at no cost in space. Because the engine never changes a file
//! in place, what happens in the second folder does not show in the first (P1).
//!
//! Not here: a copy. Where a file system refuses links, that is said, and nothing is copied in silence.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use crate::disk::{self, CWD};
use crate::jail::{MAX_DEPTH, is_part};

/// Threads that link. Each folder is one's own, so they hardly meet; more than this do not help on any disk tried. One in the
/// crate's own tests, which are to know what is done first.
const THREADS: usize = if cfg!(test) { 1 } else { 4 };

/// Why there is no tree of links.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The file system has no hard links, or will not make one more of some file.
    #[error("hard links are refused ({0})")]
    Refused(Errno),
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for LinkError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Makes `new`, which must not exist, a tree of links to the files of `base`. What is neither a file nor a folder, a planted
/// symbolic link for example, is left out, and so is a name that is no text: no backup has one.
pub(crate) fn grow(base: &Path, new: &Path, stop: &AtomicBool) -> Result<u64, LinkError> {
    let base = disk::open(CWD, base, folder_flags())?;
    disk::make_folder(CWD, new)?;
    let new = disk::open(CWD, new, folder_flags())?;
    let linked = AtomicU64::new(0);
    let mut level = vec![String::new()];
    for _ in 0..=MAX_DEPTH {
        if level.is_empty() {
            return Ok(linked.into_inner());
        }
        let share = level.len().div_ceil(THREADS);
        let mut next = Vec::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> = level
                .chunks(share)
                .map(|folders| {
                    let (base, new, linked) = (&base, &new, &linked);
                    scope.spawn(move || {
                        let mut below = Vec::new();
                        for folder in folders {
                            link_folder(base, new, folder, stop, linked, &mut below)?;
                        }
                        Ok::<_, LinkError>(below)
                    })
                })
                .collect();
            for worker in workers {
                let below = worker
                    .join()
                    .map_err(|_| io::Error::other("a linking thread broke"))?;
                next.append(&mut below?);
            }
            Ok::<_, LinkError>(())
        })?;
        level = next;
    }
    Err(Errno::NAMETOOLONG.into())
}

fn link_folder(
    base: &OwnedFd,
    new: &OwnedFd,
    folder: &str,
    stop: &AtomicBool,
    linked: &AtomicU64,
    below: &mut Vec<String>,
) -> Result<(), LinkError> {
    let (from, to) = if folder.is_empty() {
        (base.try_clone()?, new.try_clone()?)
    } else {
        // Only names that this walk found itself are joined, so no name on the way is a link.
        disk::make_folder(new, folder)?;
        let open = |at: &OwnedFd| disk::open(at, folder, folder_flags());
        (open(base)?, open(new)?)
    };
    for found in Dir::new(disk::open(&from, c".", folder_flags())?)? {
        let found = found?;
        let name = found.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(LinkError::Stopped);
        }
        let Ok(text) = name.to_str() else {
            continue;
        };
        let mut kind = found.file_type();
        if kind == FileType::Unknown {
            let stat = disk::look(&from, name)?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        if kind == FileType::Directory {
            let separator = if folder.is_empty() { "" } else { "/" };
            below.push(format!("{folder}{separator}{text}"));
        } else if kind == FileType::RegularFile && !is_part(text) {
            match disk::link(&from, name, &to, name) {
                Ok(()) => {
                    linked.fetch_add(1, Ordering::Relaxed);
                }
                Err(
                    e @ (Errno::PERM | Errno::NOTSUP | Errno::MLINK | Errno::XDEV | Errno::NOSYS),
                ) => return Err(LinkError::Refused(e)),
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn every_file_has_a_second_name_and_links_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        for folder in ["", "00", "ff", "ff/deep"] {
            fs::create_dir(base.join(folder)).unwrap();
            fs::write(base.join(folder).join("f"), folder).unwrap();
        }
        fs::write(base.join("ff/.backupwatch-1.part"), b"half").unwrap();
        symlink("/etc", base.join("planted")).unwrap();
        let new = dir.path().join("new");
        assert_eq!(grow(&base, &new, &AtomicBool::new(false)).unwrap(), 4);
        for folder in ["", "00", "ff", "ff/deep"] {
            let (a, b) = (base.join(folder).join("f"), new.join(folder).join("f"));
            assert_eq!(
                fs::metadata(a).unwrap().ino(),
                fs::metadata(b).unwrap().ino(),
                "{folder}"
            );
        }
        assert!(fs::symlink_metadata(new.join("planted")).is_err());
        assert!(!new.join("ff/.backupwatch-1.part").exists());
    }

    #[test]
    fn it_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("base")).unwrap();
        fs::write(dir.path().join("base/f"), b"").unwrap();
        let stopped = grow(
            &dir.path().join("base"),
            &dir.path().join("new"),
            &AtomicBool::new(true),
        );
        assert!(matches!(stopped, Err(LinkError::Stopped)));
    }
}
