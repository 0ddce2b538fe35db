//! A tree of hard links: the same files under a second folder, at no cost in space. Because the engine never changes a file
//! in place, what happens in the second folder does not show in the first (P1).
//!
//! Where a link is refused, of one file that has too many or by a file system that has none, the file is cloned: it shares its
//! content with the first one, and not its inode.
//!
//! Not here: a copy. Where a file system refuses both, that is said, and nothing is copied in silence.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::disk::{self, CWD};
use crate::jail::{MAX_DEPTH, is_part};

/// Threads that link. Each folder is one's own, so they hardly meet; each has memory of its own, and the phone reads meanwhile.
/// One in the crate's own tests, which are to know what is done first.
const THREADS: usize = if cfg!(test) { 1 } else { 3 };

/// Why there is no tree of links.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The file system has neither hard links nor clones, or will not make one more of some file.
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
        (disk::again(base)?, disk::again(new)?)
    } else {
        // Only names that this walk found itself are joined, so no name on the way is a link.
        disk::make_folder(new, folder)?;
        let open = |at: &OwnedFd| disk::open(at, folder, folder_flags());
        (open(base)?, open(new)?)
    };
    for found in disk::names(disk::open(&from, c".", folder_flags())?)? {
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
            link_file(&from, &to, name)?;
            linked.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The file `name` of one folder in another one.
fn link_file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), LinkError> {
    let refused = match disk::link(from, name, to, name) {
        Ok(()) => return Ok(()),
        Err(e @ (Errno::PERM | Errno::NOTSUP | Errno::MLINK | Errno::XDEV | Errno::NOSYS)) => e,
        Err(e) => return Err(e.into()),
    };
    match clone_file(from, to, name) {
        Ok(()) => Ok(()),
        // What systems say that have no clones, or not here.
        Err(Errno::NOTSUP | Errno::NOTTY | Errno::INVAL | Errno::XDEV | Errno::NOSYS) => {
            Err(LinkError::Refused(refused))
        }
        Err(e) => Err(e.into()),
    }
}

fn clone_file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let source = File::from(disk::open(from, name, flags)?);
    disk::clone_file(&source, to, name)
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::disk::watch::{Observer, Op, Watch, What};

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

    /// Says of one file, or of all, that it has no room for one more link.
    struct NoLinks(&'static str);

    impl Observer for NoLinks {
        fn before(&mut self, op: &Op) -> Result<(), Errno> {
            if op.what == What::Link && op.path.ends_with(self.0) {
                return Err(Errno::MLINK);
            }
            Ok(())
        }

        fn after(&mut self, _: &Op, _: bool) {}
    }

    /// `None` where nothing is cloned.
    fn grow_without_links_of(name: &'static str, folder: &Path) -> Option<PathBuf> {
        let folder = folder.canonicalize().unwrap();
        let (base, new) = (folder.join("base"), folder.join("new"));
        fs::create_dir_all(base.join("ab")).unwrap();
        for name in ["full", "other"] {
            fs::write(base.join("ab").join(name), vec![7; 9000]).unwrap();
        }
        let _watch = Watch::over(&folder, Arc::new(Mutex::new(NoLinks(name))));
        match grow(&base, &new, &AtomicBool::new(false)) {
            Ok(2) => Some(new),
            Err(LinkError::Refused(Errno::MLINK)) => {
                assert!(!new.join("ab").join(name).exists(), "half a clone is left");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_cloned(folder: &Path, new: &Path) {
        let (base, new) = (folder.join("base/ab"), new.join("ab"));
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_ne!(inode(base.join("full")), inode(new.join("full")));
        assert_eq!(inode(base.join("other")), inode(new.join("other")));
        fs::write(new.join("full"), b"changed").unwrap();
        assert_eq!(fs::read(base.join("full")).unwrap(), vec![7; 9000]);
    }

    /// ext4 has no more than 65 000 names for a file, and a blob that never changes has one more with each version.
    #[test]
    fn a_file_with_too_many_links_is_cloned_or_refused_and_never_copied() {
        let dir = tempfile::tempdir().unwrap();
        if let Some(new) = grow_without_links_of("full", dir.path()) {
            is_cloned(dir.path(), &new);
        }
    }

    /// On a file system that certainly clones. It takes root, and a program to make one.
    #[test]
    #[cfg(target_os = "linux")]
    fn on_xfs_it_is_cloned() {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image)
            .unwrap()
            .set_len(300 << 20)
            .unwrap();
        let did = |command: &str, arguments: &[&std::ffi::OsStr]| {
            let mut command = std::process::Command::new(command);
            let command = command.args(arguments).stdout(std::process::Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let is_mounted = did("mkfs.xfs", &["-q".as_ref(), image.as_ref()])
            && did(
                "mount",
                &[
                    "-o".as_ref(),
                    "loop".as_ref(),
                    image.as_ref(),
                    mount.as_ref(),
                ],
            );
        if !is_mounted {
            eprintln!("SKIPPED: no XFS can be made and mounted here");
            return;
        }
        let tried = std::panic::catch_unwind(|| {
            let new = grow_without_links_of("full", &mount).unwrap();
            is_cloned(&mount, &new);
        });
        assert!(did("umount", &[mount.as_ref()]));
        tried.unwrap();
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
