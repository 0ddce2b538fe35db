//! Honest sizes: what deleting versions would free. Their files are links of one another, so that the sum of their lengths says
//! nothing; a file goes with the last of its names.
//!
//! All trees are walked together, one folder at a time: a file has the same path in each tree that shares it, so what must be
//! remembered is one folder, however many files there are. A file with a name anywhere else counts as not freed: what is said
//! is never too much.
//!
//! Not here: what clones share. No file system tells that in a way that others have too.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use backupwatch_core::retention::Shares;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::{self, CWD};
use crate::jail::{MAX_DEPTH, MAX_LISTED};

/// The unit of `st_blocks`, whatever the file system's own blocks are.
const BLOCK: u64 = 512;

/// A file with several names.
struct Linked {
    bytes: u64,
    /// Names that were not met yet.
    left: u64,
    /// Numbers of the trees that have it.
    trees: Vec<usize>,
}

/// Which bytes go with which of these trees. A tree that is not there has none.
pub(super) fn measure(trees: &[&Path]) -> Result<Shares, Errno> {
    let mut shares = Shares::default();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let mut below = BTreeSet::new();
        let mut linked = HashMap::new();
        for (number, tree) in trees.iter().enumerate() {
            let alone = look_into(tree, &folder, number, &mut linked, &mut below)?;
            if alone > 0 {
                shares.add(vec![number], alone);
            }
        }
        for file in linked.into_values().filter(|file| file.left == 0) {
            shares.add(file.trees, file.bytes);
        }
        folders.extend(below);
    }
    Ok(shares)
}

/// One folder of one tree. Gives the bytes of the files that have no other name.
fn look_into(
    tree: &Path,
    folder: &str,
    number: usize,
    linked: &mut HashMap<(u64, u64), Linked>,
    below: &mut BTreeSet<String>,
) -> Result<u64, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let open = || {
        let root = disk::open(CWD, tree, flags)?;
        if folder.is_empty() {
            return Ok(root);
        }
        disk::open(root, folder, flags)
    };
    let opened = match open() {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(0),
        other => other?,
    };
    let mut alone = 0_u64;
    // No backup has a fuller folder; what else may be in one of another's making is not counted.
    let readable = disk::open(&opened, c".", flags)?;
    for found in disk::names(readable)?.take(MAX_LISTED) {
        let found = found?;
        let name = found.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match disk::look(&opened, name) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        match (FileType::from_raw_mode(stat.st_mode), name.to_str()) {
            (FileType::Directory, Ok(name)) if folder.split('/').count() < MAX_DEPTH => {
                let separator = if folder.is_empty() { "" } else { "/" };
                below.insert(format!("{folder}{separator}{name}"));
            }
            (FileType::RegularFile, _) => {
                let file = file(&stat);
                if file.links <= 1 {
                    alone = alone.saturating_add(file.bytes);
                    continue;
                }
                let file = linked.entry(file.inode).or_insert(Linked {
                    bytes: file.bytes,
                    left: file.links,
                    trees: Vec::new(),
                });
                file.left = file.left.saturating_sub(1);
                if file.trees.last() != Some(&number) {
                    file.trees.push(number);
                }
            }
            _ => {}
        }
    }
    Ok(alone)
}

/// What tells one file from another, and its size.
struct File {
    inode: (u64, u64),
    links: u64,
    bytes: u64,
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the widths differ from system to system, and some are right on each"
)]
fn file(stat: &Stat) -> File {
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    File {
        inode: (stat.st_dev as u64, stat.st_ino as u64),
        links: stat.st_nlink as u64,
        bytes: blocks.saturating_mul(BLOCK),
    }
}
