//! P1 by breaking: the disk fails at each single operation of a run, or the power does. Whatever happens, the last verified
//! backup is there byte for byte, the store says nothing that is not so, and the next run ends well.
//!
//! One small phone in this process, and a store with one verified backup of it. The phone has changed since: a file has new
//! bytes of the same length, so that nothing but its content tells the new one from the old one; one is new and one is gone.
//!
//! What is in order: a run in these tests has one thread that writes and one that links, and no two operations are done at
//! the same time, so what they change, they change in the same order each time. But the ledger is kept by a thread of its own,
//! the phone reads while the tree is linked, and folders are listed before anybody asks for them: those are in order among
//! themselves and lie anywhere between the others. So an operation is known by what it is and not by its place.

mod nth_failure;
pub(crate) mod phone;
mod platter;
mod power_cut;

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use backupwatch_core::run::{RunEnd, RunFailure, RunReport};
use backupwatch_core::{LocalCopy, Udid};
use backupwatch_sim::contents::Catalog;
use backupwatch_sim::persona::Persona;
use plist::Value;

use crate::Store;
use crate::store::RolledForward;
use common::{UDID, World, tree};
use phone::{Files, Phone};
pub(crate) use power_cut::{Recorder, cuts};

const CONTENTS: &str = r#"
seed = 7
[[files]]
domain = "HomeDomain"
path = "stays"
size = 300
[[files]]
domain = "HomeDomain"
path = "changes"
size = 70_000
[[files]]
domain = "HomeDomain"
path = "goes"
size = 20
"#;

/// Everything below a folder, by path.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// What a simulated phone sent, once and then again after a change.
struct Sent {
    first: Files,
    second: Files,
    status: Vec<u8>,
}

impl Sent {
    async fn by(mut persona: Persona) -> Self {
        persona.contents = toml::from_str(CONTENTS).unwrap();
        let world = World::new(persona);
        world.good_backup().await;
        let (first, status) = files_of(world.current());
        world.handle().change_contents(change);
        world.good_backup().await;
        let (second, _) = files_of(world.current());
        Self {
            first,
            second,
            status,
        }
    }
}

/// One file has other bytes of the same length, one comes and one goes.
fn change(contents: &mut Catalog) {
    let of = |contents: &Catalog| contents.get("HomeDomain", "changes").cloned().unwrap();
    let (before, old) = (contents.clone(), of(contents));
    // Which file changes, and by how much it grows, is the phone's chance.
    for skipped in 0.. {
        *contents = before.clone();
        for _ in 0..skipped {
            contents.mutate(0.0);
        }
        contents.mutate(30.0);
        let new = of(contents);
        if new != old && new.size() == old.size() {
            break;
        }
    }
    contents.add("HomeDomain", "comes", 500).unwrap();
    contents.delete("HomeDomain", "goes").unwrap();
}

/// The files of a tree, and its status.
fn files_of(tree: Tree) -> (Files, Vec<u8>) {
    let mut files = Files::new();
    for (path, content) in tree {
        let path = path.into_os_string().into_string().unwrap();
        if path.contains(['/', '.']) {
            files.insert(path, content);
        }
    }
    files.remove("Info.plist");
    let status = files.remove("Status.plist").unwrap();
    (files, status)
}

/// A phone, and a store that can be put back to how it was.
struct Bench {
    /// On a disk in memory, where there is one: what a sync means here is what an observer makes of it.
    dir: tempfile::TempDir,
    phone: Phone,
    /// The store as it is at the beginning of each case.
    before: PathBuf,
    /// Its current backup, if there is one.
    tree: Tree,
    copy: Option<LocalCopy>,
}

impl Bench {
    /// A store without a backup.
    async fn first(persona: Persona) -> Self {
        let sent = Sent::by(persona).await;
        let dir = in_memory();
        let before = dir.path().join("before");
        Store::create(&before).unwrap();
        Self {
            before,
            phone: Phone::new(udid(), Files::new(), sent.first, &sent.status),
            dir,
            tree: Tree::new(),
            copy: None,
        }
    }

    /// A store with one backup, and a phone that has changed since.
    async fn changed(persona: Persona) -> Self {
        let sent = Sent::by(persona).await;
        let dir = in_memory();
        let before = dir.path().join("before");
        let store = Store::create(&before).unwrap();
        let phone = Phone::new(udid(), Files::new(), sent.first.clone(), &sent.status);
        let report = phone.back_up(&store).await;
        assert!(matches!(report.end, RunEnd::Verified(_)), "{report:#?}");
        Self {
            tree: tree(&store.folder(&udid())),
            copy: store.current(&udid()).unwrap(),
            before,
            phone: Phone::new(udid(), sent.first, sent.second, &sent.status),
            dir,
        }
    }

    /// The store as it was, in a new place.
    fn fresh(&self, name: &str) -> Store {
        let root = self.dir.path().join(name);
        copy_tree(&self.before, &root);
        Store::open(&root).unwrap()
    }

    /// Whether a run that says so has a whole backup on the disk.
    fn must_be_true(&self, report: &RunReport, store: &Store, what: &str) {
        match &report.end {
            RunEnd::Verified(copy) => {
                let said = store.current(&udid()).unwrap();
                assert_eq!(said.as_ref(), Some(copy), "{what}");
                self.must_be_whole(&tree(&store.folder(&udid())), what);
            }
            // However the disk fails, no thread breaks.
            RunEnd::Failed(RunFailure::Internal(why)) => {
                assert!(!why.contains("broke"), "{what}: {why}");
            }
            RunEnd::Failed(_) => {}
        }
    }

    /// What must hold after whatever happened to a run, and then for the next one. `what` tells which case it is.
    async fn must_be_well(&self, root: &Path, phone: &Phone, what: &str) -> Kept {
        let store = Store::open(root).unwrap_or_else(|e| panic!("{what}: {e}"));
        let done = store.reconcile();
        let done = done.unwrap_or_else(|e| panic!("{what}, reconcile: {e}"));
        let kept = self.must_be_old_or_whole(&store, what);
        let again = store.reconcile().unwrap();
        assert!(
            again.iter().all(|one| one.what != RolledForward::Committed),
            "{what}: {done:?}, and again {again:?}"
        );
        assert_eq!(self.must_be_old_or_whole(&store, what), kept, "{what}");

        let before = tree(&store.folder(&udid()));
        let report = phone.back_up(&store).await;
        assert!(
            matches!(report.end, RunEnd::Verified(_)),
            "{what}, the next run: {report:#?}"
        );
        self.must_be_true(&report, &store, &format!("{what}, the next run"));
        if kept != Kept::Nothing {
            assert!(versions(&store).contains(&before), "{what}: P5");
        }
        must_be_tidy(&store, what);
        kept
    }

    /// The current backup is the one before, byte for byte, or a new one that is whole, and the store says which.
    fn must_be_old_or_whole(&self, store: &Store, what: &str) -> Kept {
        let said = store.current(&udid());
        let said = said.unwrap_or_else(|e| panic!("{what}: {e}"));
        let there = tree(&store.folder(&udid()));
        if said == self.copy {
            assert!(there == self.tree, "{what}: the last backup has changed");
            return said.map_or(Kept::Nothing, |_| Kept::Old);
        }
        assert!(said.is_some(), "{what}: there is no verified backup");
        self.must_be_whole(&there, what);
        if self.copy.is_some() {
            assert!(
                versions(store).contains(&self.tree),
                "{what}: the backup before is no version"
            );
        }
        Kept::New
    }

    /// Every byte that the phone sent is there, and nothing else.
    fn must_be_whole(&self, tree: &Tree, what: &str) {
        assert!(tree.contains_key(Path::new("Info.plist")), "{what}");
        let (files, status) = files_of(tree.clone());
        let status = Value::from_reader(Cursor::new(status)).unwrap();
        let state = status.as_dictionary().unwrap()["SnapshotState"].as_string();
        assert_eq!(state, Some("finished"), "{what}");
        for (path, content) in self.phone.files() {
            let there = files.get(path);
            assert!(
                there.is_some(),
                "{what}, called verified: {path} is missing"
            );
            assert!(
                there == Some(content),
                "{what}, called verified: {path} is wrong"
            );
        }
        assert_eq!(files.len(), self.phone.files().len(), "{what}: strays");
    }
}

/// Which backup is current after a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Nothing,
    Old,
    New,
}

fn udid() -> Udid {
    Udid::parse(UDID).unwrap()
}

fn versions(store: &Store) -> Vec<Tree> {
    let folder = store.root().join(".backupwatch/versions").join(UDID);
    let versions = std::fs::read_dir(folder).into_iter().flatten();
    versions.map(|entry| tree(&entry.unwrap().path())).collect()
}

/// Nothing is left over after a run that ended well, but for records of trees that are gone: those go when versions do.
fn must_be_tidy(store: &Store, what: &str) {
    for (path, _) in tree(&store.root().join(".backupwatch")) {
        let name = path.to_string_lossy();
        let left = ["work/", "trash/", "journal/", "probe"];
        let left = left.iter().any(|folder| name.starts_with(folder));
        assert!(
            !left
                && !name.contains(".part")
                && (!name.ends_with(".tmp") || name.starts_with("copies/")),
            "{what}: {name} is left over"
        );
    }
}

pub(crate) fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
