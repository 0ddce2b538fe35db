//! Every operation of a pruning and of an export fails, one after the other: whatever is left is whole, and
//! the next attempt ends well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::{fs, io};

use rustix::io::Errno;

use super::super::tests::{backup, commit_tree, keep_last, udid};
use super::super::{Export, ExportError, Exported, export};
use super::*;
use crate::breaking::{copy_tree, in_memory};
use crate::disk::watch::{Observer, Op, Watch};
use crate::store::Store;

static GO: AtomicBool = AtomicBool::new(false);

/// The operation of that number fails, and all after it too where the disk is gone for good.
struct Failing {
    number: usize,
    for_good: bool,
    seen: usize,
    failed: bool,
}

impl Observer for Failing {
    fn before(&mut self, _: &Op) -> Result<(), Errno> {
        let fails = self.seen == self.number || (self.for_good && self.seen > self.number);
        self.seen += 1;
        self.failed |= fails;
        if fails { Err(Errno::IO) } else { Ok(()) }
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

/// Runs `work` on a copy of `base` for each of its operations. `check` is told whether it went well in spite of the failure.
fn at_each_operation<T>(
    base: &Path,
    work: impl Fn(&Path) -> T,
    check: impl Fn(&Path, T, &str),
) -> usize {
    let dir = in_memory();
    let home = dir.path().canonicalize().unwrap();
    let copy = home.join("copy");
    let mut failures = 0;
    for for_good in [false, true] {
        for number in 0.. {
            let _ = fs::remove_dir_all(&copy);
            copy_tree(base, &copy);
            let failing = Arc::new(Mutex::new(Failing {
                number,
                for_good,
                seen: 0,
                failed: false,
            }));
            let watch = Watch::over(&copy, failing.clone());
            let done = work(&copy);
            drop(watch);
            if !failing.lock().unwrap().failed {
                break;
            }
            failures += 1;
            check(
                &copy,
                done,
                &format!("operation {number}, for good: {for_good}"),
            );
        }
    }
    failures
}

/// Everything below a folder, by path.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

pub(super) fn tree(folder: &Path) -> Tree {
    fn walk(folder: &Path, at: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
        for entry in fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(folder, &path, all)?;
            } else {
                let name = path.strip_prefix(folder).map(Path::to_owned).unwrap();
                all.insert(name, fs::read(&path)?);
            }
        }
        Ok(())
    }
    let mut all = BTreeMap::new();
    walk(folder, folder, &mut all).unwrap();
    all
}

/// The content of each backup that a store has.
pub(super) fn contents(root: &Path) -> BTreeMap<String, Tree> {
    let versions = Store::open(root).unwrap().versions(&udid()).unwrap();
    versions
        .iter()
        .map(|version| {
            assert!(version.copy.is_some(), "{version:?} has lost its record");
            (version.which.name().to_owned(), tree(&version.path))
        })
        .collect()
}

/// A store with four backups, and what is in each.
pub(super) fn versions_of_four(folder: &Path) -> (PathBuf, BTreeMap<String, Tree>) {
    let base = folder.join("base");
    let store = Store::create(&base).unwrap();
    for day in 0..4 {
        backup(&store, day * 86_400, &format!("day {day}"));
    }
    let before = contents(&base);
    assert_eq!(before.len(), 4);
    (base, before)
}

/// A store, and a folder with an older backup of its phone.
pub(super) struct Exporting {
    pub(super) base: PathBuf,
    pub(super) udid: Udid,
    pub(super) older: Tree,
    pub(super) whole: Tree,
}

impl Exporting {
    pub(super) fn over_an_older_one(folder: &Path) -> Self {
        let base = folder.join("base");
        let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/backups/plain-good");
        let store = Store::create(&base.join("root")).unwrap();
        let udid = commit_tree(&store, &good.join("tree"));
        let place = base.join("to").join(udid.as_str());
        fs::create_dir_all(&place).unwrap();
        let older = "<plist><dict><key>SnapshotState</key><string>finished</string>\
                     <key>Date</key><date>2001-01-02T00:00:00Z</date></dict></plist>";
        fs::write(place.join("Status.plist"), older).unwrap();
        Self {
            older: tree(&place),
            whole: tree(&store.folder(&udid)),
            base,
            udid,
        }
    }
}

/// Exports what is current in the one folder into the other.
pub(super) fn export_into(home: &Path, udid: &Udid) -> Result<Exported, ExportError> {
    let store = Store::open(&home.join("root"))?;
    let held = store.open_version(udid, &Which::Current)?;
    let wanted = Export {
        held: &held,
        to: &home.join("to"),
        utc_offset_s: 0,
    };
    export(&wanted, &mut |_| {}, &GO)
}

/// The backups that everybody sees in the folder.
pub(super) fn exported(home: &Path) -> Vec<Tree> {
    let entries = fs::read_dir(home.join("to")).unwrap();
    let shown = entries.map(|entry| entry.unwrap()).filter(|entry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with('.')
    });
    shown.map(|entry| tree(&entry.path())).collect()
}

#[test]
fn no_failure_while_versions_are_deleted_leaves_half_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (base, before) = versions_of_four(dir.path());
    let kept: Vec<_> = before.keys().skip(2).cloned().collect();
    let failures = at_each_operation(
        &base,
        |root| Store::open(root)?.prune(&udid(), &keep_last(1), 0),
        |root, _, what| {
            let after = contents(root);
            for (name, content) in &after {
                assert!(content == &before[name], "{what}: {name}");
            }
            assert!(kept.iter().all(|name| after.contains_key(name)), "{what}");
            let store = Store::open(root).unwrap();
            store.prune(&udid(), &keep_last(1), 0).unwrap();
            assert!(
                contents(root).keys().eq(&kept),
                "{what}, and then without one"
            );
            let copies = fs::read_dir(store.layout.copies(&udid())).unwrap().count();
            assert_eq!(copies, 4, "{what}: records and hashes");
        },
    );
    assert!(failures > 50, "{failures}");
}

#[test]
fn no_failure_while_a_backup_is_exported_leaves_half_of_one_or_harms_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let Exporting {
        base,
        udid,
        older,
        whole,
    } = Exporting::over_an_older_one(dir.path());
    let run = |home: &Path| export_into(home, &udid);
    let failures = at_each_operation(&base, run, |home, done: Result<_, ExportError>, what| {
        let there = exported(home);
        assert!(there.contains(&older), "{what}: the older one");
        assert!(
            there.iter().all(|tree| *tree == older || *tree == whole),
            "{what}"
        );
        assert!(done.is_err() || there.contains(&whole), "{what}: {done:?}");
        assert!(
            tree(&home.join("root").join(udid.as_str())) == whole,
            "{what}"
        );
        if !there.contains(&whole) {
            run(home).unwrap();
        }
        let left = fs::read_dir(home.join("to")).unwrap().count();
        assert_eq!(left, 2, "{what}, and then without one");
    });
    assert!(failures > 50, "{failures}");
}
