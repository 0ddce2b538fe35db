//! A work tree whose run broke off without a word: a kill, a crash, a power cut. What arrived last may be cut or not be on the
//! medium, and the phone, which goes by names, would not send it again. So every file that is not a link of the current
//! backup is read once, and stays only if its hash is the one taken when it arrived.
//!
//! Not here: runs that ended in order, however badly; they make their tree durable themselves.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_wire::codec::{self, Limits};
use plist::Value;
use rustix::io::Errno;

use crate::disk;
use crate::jail::{Entry, Jail, Kind, inode, is_part};
use crate::ledger::{Change, Ledger, Seen};
use crate::verify::is_file_id;

/// Bytes that are read between two looks at whether to go on.
const STRETCH: u64 = 16 << 20;

/// Longest Status.plist that is read; honest ones have some hundred bytes.
const MAX_STATUS: usize = 64 << 10;

/// Whether a work tree can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// A file is not the one that arrived, and the phone would not replace it.
    Broken,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum HealError {
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

impl From<Errno> for HealError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// The current backup that a work tree was linked from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base<'a> {
    pub(super) jail: &'a Jail,
    /// Whether each of its files has a hash.
    pub(super) hashed: bool,
}

/// Heals `work`, of which `base` is the current backup that it was linked from.
pub(super) fn heal(
    work: &Jail,
    base: Option<&Base<'_>>,
    ledger: &mut Ledger,
    stop: &AtomicBool,
) -> Result<Health, HealError> {
    match walk(work, base, ledger, stop) {
        Err(HealError::Io(e)) if is_the_trees(&e) => Ok(Health::Broken),
        done => done,
    }
}

/// Whether an error comes from what is in the tree, so that it would be there at each attempt: names that nobody can use,
/// more of them than anybody can list, bad blocks.
fn is_the_trees(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::NOENT
                | Errno::NOTDIR
                | Errno::ISDIR
                | Errno::LOOP
                | Errno::INVAL
                | Errno::NAMETOOLONG
                | Errno::OVERFLOW
                | Errno::ILSEQ
                | Errno::IO
        )
    )
}

fn walk(
    work: &Jail,
    base: Option<&Base<'_>>,
    ledger: &mut Ledger,
    stop: &AtomicBool,
) -> Result<Health, HealError> {
    let still_sends = still_sends(work)?;
    for prefix in 0..=u8::MAX {
        let folder = format!("{prefix:02x}");
        if heal_gone(work, base, &folder, ledger)? == Health::Broken
            || !still_sends && is_lost(work, base, &folder, ledger)?
        {
            return Ok(Health::Broken);
        }
    }
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let linked = linked_from(base, &folder)?;
        let is_hashed = base.is_some_and(|base| base.hashed) && folder.len() == 2;
        for entry in work.list_with_parts(&folder)? {
            if stop.load(Ordering::Relaxed) {
                return Err(HealError::Stopped);
            }
            let path = if folder.is_empty() {
                entry.name.clone()
            } else {
                format!("{folder}/{}", entry.name)
            };
            match entry.kind {
                Kind::Folder => folders.push(path),
                Kind::Other => work.remove(&path)?,
                Kind::File if is_part(&entry.name) => work.remove(&path)?,
                Kind::File if is_in_place(work, &path, &entry)? => work.remove(&path)?,
                Kind::File if linked.get(&entry.name) == Some(&entry.inode) => {
                    // The ledger itself was cut, and would be filled with what the disk holds now.
                    if is_hashed && is_file_id(&entry.name) && ledger.get(&path)?.is_none() {
                        return Ok(Health::Broken);
                    }
                }
                Kind::File => {
                    if heal_file(work, &path, still_sends, ledger, stop)? == Health::Broken {
                        return Ok(Health::Broken);
                    }
                }
            }
        }
    }
    ledger.commit()?;
    Ok(Health::Good)
}

/// Whether a file has been put in its place and still has the name under which it came: the run broke off in the middle of
/// moving it.
fn is_in_place(work: &Jail, path: &str, entry: &Entry) -> Result<bool, Errno> {
    let Some(place) = path.strip_prefix("Snapshot/") else {
        return Ok(false);
    };
    match work.stat(place) {
        Ok(there) => Ok(inode(&there) == entry.inode),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Files that are in the ledger and not in the tree. One of the current backup was removed by the phone, and the ledger did
/// not hear of it any more; one that arrived in the run was lost.
fn heal_gone(
    work: &Jail,
    base: Option<&Base<'_>>,
    folder: &str,
    ledger: &mut Ledger,
) -> Result<Health, HealError> {
    let hashed = ledger.in_folder(folder)?;
    if hashed.is_empty() {
        return Ok(Health::Good);
    }
    let there = match work.list(folder) {
        Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
        Err(Errno::NOENT) => HashSet::new(),
        Err(e) => return Err(e.into()),
    };
    let linked = linked_from(base, folder)?;
    for (name, _) in hashed {
        if there.contains(&name) {
            continue;
        }
        if !linked.contains_key(&name) {
            return Ok(Health::Broken);
        }
        ledger.apply(&Change::Removed {
            path: format!("{folder}/{name}"),
        })?;
    }
    Ok(Health::Good)
}

/// Whether a file that had arrived is neither where it came to nor where it belongs. Of the two names that it has for a moment
/// when it is moved, a power cut may take the new one and leave the end of the old one.
fn is_lost(
    work: &Jail,
    base: Option<&Base<'_>>,
    folder: &str,
    ledger: &Ledger,
) -> Result<bool, HealError> {
    let arrived = ledger.in_folder(&format!("Snapshot/{folder}"))?;
    if arrived.is_empty() {
        return Ok(false);
    }
    let still_there = inodes(work, &format!("Snapshot/{folder}"))?;
    let moved = inodes(work, folder)?;
    let linked = linked_from(base, folder)?;
    Ok(arrived.iter().any(|(name, _)| {
        let is_moved = moved
            .get(name)
            .is_some_and(|it| linked.get(name) != Some(it));
        !is_moved && !still_there.contains_key(name)
    }))
}

fn heal_file(
    work: &Jail,
    path: &str,
    still_sends: bool,
    ledger: &mut Ledger,
    stop: &AtomicBool,
) -> Result<Health, HealError> {
    let seen = read(work, path, stop)?.ok_or(HealError::Stopped)?;
    if ledger.get(path)? == Some(seen) {
        return Ok(Health::Good);
    }
    if path.starts_with("Snapshot/") {
        if !still_sends {
            return Ok(Health::Broken);
        }
        // The phone lists this folder and sends what is not in it.
        work.remove(path)?;
        ledger.apply(&Change::Removed {
            path: path.to_owned(),
        })?;
        return Ok(Health::Good);
    }
    let from = format!("Snapshot/{path}");
    if ledger.get(&from)? == Some(seen) {
        // It was moved, and the ledger did not hear of it any more.
        ledger.apply(&Change::Moved {
            from,
            to: path.to_owned(),
        })?;
        return Ok(Health::Good);
    }
    if !path.contains('/') {
        // The files of the tree itself are synced before they get their names, so they are whole.
        ledger.apply(&Change::Put {
            path: path.to_owned(),
            seen,
        })?;
        return Ok(Health::Good);
    }
    Ok(Health::Broken)
}

/// Whether the phone sends again what is not in `Snapshot/`. Once it moves, it takes what is there for all that there is, and
/// the file of the backup before, left in its place, would pass for the new one (protocol.md 9.8). A finished status is that of
/// a backup on which the phone builds anew.
fn still_sends(work: &Jail) -> io::Result<bool> {
    let file = match work.open_file("Status.plist") {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(true),
        Err(e) => return Err(e.into()),
    };
    let mut bytes = Vec::new();
    disk::Reading(&file)
        .take(MAX_STATUS as u64)
        .read_to_end(&mut bytes)?;
    let status = codec::decode(&bytes, Limits::of_bytes(MAX_STATUS)).ok();
    let state = status
        .as_ref()
        .and_then(Value::as_dictionary)
        .and_then(|status| status.get("SnapshotState")?.as_string());
    Ok(matches!(state, Some("uploading" | "finished")))
}

/// Names and inodes of the same folder of the current backup.
fn linked_from(
    base: Option<&Base<'_>>,
    folder: &str,
) -> Result<HashMap<String, (u64, u64)>, Errno> {
    base.map_or_else(|| Ok(HashMap::new()), |base| inodes(base.jail, folder))
}

/// Names and inodes of a folder, which need not be there.
fn inodes(jail: &Jail, folder: &str) -> Result<HashMap<String, (u64, u64)>, Errno> {
    match jail.list(folder) {
        Ok(entries) => Ok(entries
            .into_iter()
            .map(|entry| (entry.name, entry.inode))
            .collect()),
        Err(Errno::NOENT) => Ok(HashMap::new()),
        Err(e) => Err(e),
    }
}

/// Length and hash of a file as it is on disk; `None` when it was stopped.
pub(crate) fn read(jail: &Jail, path: &str, stop: &AtomicBool) -> io::Result<Option<Seen>> {
    let file = jail.open_file(path)?;
    let mut hasher = blake3::Hasher::new();
    loop {
        // A film takes minutes, and a person who cancels does not wait for its end.
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let before = hasher.count();
        hasher.update_reader(disk::Reading(&file).take(STRETCH))?;
        if hasher.count() == before {
            return Ok(Some(Seen {
                len: hasher.count(),
                hash: hasher.finalize(),
            }));
        }
    }
}
