//! The floor that the disk sets: what our store asks of the file system, and nothing else. No phone is there, no hash is taken
//! and nothing is checked; the bytes are made up, so that they need not be read from a disk that is busy taking them.
//!
//! A first backup is files that arrive under another name and one sync, with what was written sent on its way before. An
//! incremental one is links to all of the tree before, the changed files anew, the syncs where our store has them
//! (`docs/adr/0002`), and the exchange.

use super::disk;
use anyhow::{Context as _, Result};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

/// As many as our store links with.
const THREADS: usize = 4;
/// Bytes that come together before they are sent on their way, and what a name counts: as in our store.
const STRETCH: u64 = 64 << 20;
const NAME: u64 = 4 << 10;
const PIECE: usize = 1 << 20;

/// Our store's folder for what is no backup of a phone.
const NOTES: &str = ".backupwatch";
/// Where a list of what changed lies beside a floor's own backups.
const CHANGES: &str = "changes";

/// Writes files of the names and lengths that the backups in `from` have.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut writer = Writer::new(to)?;
    copy_folder(from, to, &mut writer)?;
    writer.end();
    disk::sync(to)
}

fn copy_folder(from: &Path, to: &Path, writer: &mut Writer) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            if name != NOTES {
                fs::create_dir(&target)?;
                copy_folder(&entry.path(), &target, writer)?;
            }
        } else {
            writer.file(&to.join("part"), &target, entry.metadata()?.len(), false)?;
        }
    }
    Ok(())
}

/// Notes for [`again`] which files our newest backup has not from the one before, and how many versions ours keeps.
pub(super) fn note_changes(ours: &Path, udid: &str, home: &Path) -> Result<()> {
    let versions = ours.join(NOTES).join("versions").join(udid);
    let names = sorted(&versions)?;
    let before = names.last().context("ours has no version before")?;
    let mut list = format!("{udid}\n{}\n", names.len());
    changed_in(&ours.join(udid), before, "", &mut list)?;
    fs::write(home.join(CHANGES), list)?;
    Ok(())
}

fn changed_in(now: &Path, before: &Path, folder: &str, list: &mut String) -> Result<()> {
    for entry in fs::read_dir(now.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let separator = if folder.is_empty() { "" } else { "/" };
        let path = format!("{folder}{separator}{}", name.to_string_lossy());
        let is = entry.metadata()?;
        if is.is_dir() {
            changed_in(now, before, &path, list)?;
        } else if !fs::metadata(before.join(&path)).is_ok_and(|was| was.ino() == is.ino()) {
            writeln!(list, "{} {path}", is.len())?;
        }
    }
    Ok(())
}

/// A backup on top of the one before: what `home` has noted is new, and all else is linked.
pub(super) fn again(home: &Path, root: &Path) -> Result<()> {
    let noted = fs::read_to_string(home.join(CHANGES)).context("failed to read what changed")?;
    let mut lines = noted.lines();
    let udid = lines.next().context("a list of nothing")?;
    let kept: usize = lines.next().context("a list of nothing")?.parse()?;
    let changed: Vec<(u64, &str)> = lines
        .map(|line| line.split_once(' ').context("a line of no file"))
        .map(|line| line.and_then(|(len, path)| Ok((len.parse()?, path))))
        .collect::<Result<_>>()?;
    let (current, next, versions) = (root.join(udid), root.join("next"), root.join("versions"));
    let (nascent, snapshot) = (root.join("next.new"), next.join("Snapshot"));

    // What our store writes down of a run, so that a crash finds it.
    let notes = root.join("notes");
    fs::create_dir_all(&notes)?;
    fs::create_dir_all(&versions)?;
    note(&notes)?;
    link(&current, &nascent)?;
    disk::sync(root)?;
    fs::rename(&nascent, &next)?;
    let mut writer = Writer::new(root)?;
    writer.status(&next)?;
    for (len, path) in &changed {
        let target = snapshot.join(path);
        let folder = target.parent().context("a path of no folder")?;
        fs::create_dir_all(folder)?;
        writer.file(&folder.join("part"), &target, *len, !path.contains('/'))?;
    }
    writer.end();
    writer.status(&next)?;
    for (_, path) in &changed {
        fs::rename(snapshot.join(path), next.join(path))?;
    }
    writer.status(&next)?;
    fs::remove_dir_all(&snapshot)?;
    writer.status(&next)?;
    disk::sync(root)?;

    for _ in ["that it is verified", "that it takes its place"] {
        note(&notes)?;
    }
    exchange(&current, &next)?;
    File::open(root)?.sync_all()?;
    let mut there = sorted(&versions)?;
    let number = there
        .last()
        .and_then(|last| last.file_name()?.to_str()?.parse().ok());
    let version = versions.join(format!("{:09}", number.map_or(0, |number: u32| number + 1)));
    fs::rename(&next, &version)?;
    there.push(version);
    File::open(&versions)?.sync_all()?;
    fs::remove_file(notes.join("note"))?;
    File::open(&notes)?.sync_all()?;
    for expired in there.iter().take(there.len().saturating_sub(kept)) {
        fs::remove_dir_all(expired)?;
    }
    Ok(())
}

/// What is in a folder.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut there: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    there.sort();
    Ok(there)
}

/// A small file that is safe when this returns, and its name with it.
fn note(folder: &Path) -> Result<()> {
    let part = folder.join("part");
    let mut sink = File::create(&part)?;
    sink.write_all(&[b'n'; 200])?;
    sink.sync_all()?;
    fs::rename(part, folder.join("note"))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// A tree of links, each folder by one thread.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    let mut folders = vec![PathBuf::new()];
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.file_name().into());
        }
    }
    let share = folders.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let link = |folder: &PathBuf| -> Result<()> {
            let (from, to) = (from.join(folder), to.join(folder));
            if !folder.as_os_str().is_empty() {
                fs::create_dir(&to)?;
            }
            for entry in fs::read_dir(&from)? {
                let entry = entry?;
                if !entry.file_type()?.is_dir() {
                    fs::hard_link(entry.path(), to.join(entry.file_name()))?;
                }
            }
            Ok(())
        };
        let threads: Vec<_> = folders
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().try_for_each(link)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let done = thread.join();
            done.unwrap_or_else(|_| anyhow::bail!("a thread broke"))
        })
    })
}

fn exchange(one: &Path, other: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Writes files of made-up bytes, and sends them on their way as they come together.
struct Writer {
    bytes: Vec<u8>,
    root: PathBuf,
    unwritten: u64,
    ahead: Option<JoinHandle<()>>,
}

impl Writer {
    fn new(root: &Path) -> Result<Self> {
        // Nothing that a file system could make smaller.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        Ok(Self {
            bytes: words
                .take(PIECE / size_of::<u64>())
                .flat_map(u64::to_le_bytes)
                .collect(),
            root: root.canonicalize()?,
            unwritten: 0,
            ahead: None,
        })
    }

    /// Under the name `part` first.
    fn file(&mut self, part: &Path, target: &Path, len: u64, sync: bool) -> Result<()> {
        let mut sink = File::create_new(part)?;
        let mut left = len;
        while left > 0 {
            let count = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            sink.write_all(self.bytes.get(..count).unwrap_or_default())?;
            left -= count as u64;
            self.written(count as u64);
        }
        self.written(NAME);
        if sync {
            sink.sync_all()?;
        }
        fs::rename(part, target)?;
        Ok(())
    }

    /// What the phone writes when a part of its work is done: all before it is safe first.
    fn status(&mut self, tree: &Path) -> Result<()> {
        disk::sync(tree)?;
        self.file(&tree.join("part"), &tree.join("Status.plist"), 189, true)
    }

    fn written(&mut self, bytes: u64) {
        self.unwritten += bytes;
        let busy = self.ahead.as_ref().is_some_and(|it| !it.is_finished());
        if self.unwritten >= STRETCH && !busy {
            self.unwritten = 0;
            let root = self.root.clone();
            self.ahead = Some(thread::spawn(move || {
                // What fails here fails at the sync that counts.
                let _ = disk::sync(&root);
            }));
        }
    }

    /// Waits for what is on its way.
    fn end(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            let _ = ahead.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_copy_has_every_file_and_none_of_our_notes() {
        let folder = folder("copy");
        let (from, to) = (folder.join("from"), folder.join("to"));
        for name in ["UDID/00", "UDID/ff", ".backupwatch/state"] {
            fs::create_dir_all(from.join(name)).unwrap();
        }
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("UDID/00/one"), vec![7; (1 << 20) + 3]).unwrap();
        fs::write(from.join("UDID/Status.plist"), "state").unwrap();
        copy(&from, &to).unwrap();
        for (name, len) in [("UDID/00/one", (1 << 20) + 3), ("UDID/Status.plist", 5)] {
            assert_eq!(fs::metadata(to.join(name)).unwrap().len(), len);
        }
        assert!(to.join("UDID/ff").is_dir() && !to.join(".backupwatch").exists());
        assert!(!to.join("UDID/00/part").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_backup_on_top_of_another_writes_what_changed_in_ours_and_links_the_rest() {
        let folder = folder("again");
        let (ours, home) = (folder.join("ours"), folder.join("copy"));
        let (root, before) = (
            home.join("backups"),
            ours.join(".backupwatch/versions/UDID/1"),
        );
        for path in [&ours.join("UDID/00"), &before.join("00"), &root] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(before.join("00/stays"), "same").unwrap();
        fs::write(before.join("00/changes"), "old").unwrap();
        fs::create_dir(root.join("UDID")).unwrap();
        copy(&before, &root.join("UDID")).unwrap();
        fs::hard_link(before.join("00/stays"), ours.join("UDID/00/stays")).unwrap();
        fs::write(ours.join("UDID/00/changes"), "newer").unwrap();
        fs::write(ours.join("UDID/Manifest.db"), "list").unwrap();

        for round in 1..=3 {
            note_changes(&ours, "UDID", &home).unwrap();
            again(&home, &root).unwrap();
            let (now, kept) = (root.join("UDID"), fs::read_dir(root.join("versions")));
            let kept: Vec<_> = kept.unwrap().map(|entry| entry.unwrap().path()).collect();
            assert_eq!(kept.len(), 1, "as many as ours keeps, in round {round}");
            let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
            let same = |name| inode(now.join(name)) == inode(kept[0].join(name));
            assert!(same("00/stays") && !same("00/changes"));
            let len = |name| fs::metadata(now.join(name)).unwrap().len();
            assert_eq!((len("00/changes"), len("Manifest.db")), (5, 4));
            assert!(!now.join("Snapshot").exists() && !root.join("next").exists());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
