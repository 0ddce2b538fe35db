mod adverse;
mod real_disks;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use backupwatch_core::retention::RetentionPolicy;
use backupwatch_core::{HostTime, Level, LocalCopy, Udid};

use rustix::io::Errno;

use super::*;
use crate::disk::watch::{Observer, Op, Watch, What};
use crate::jail::Jail;
use crate::ledger::{Change, Ledger, Seen};

static GO: AtomicBool = AtomicBool::new(false);

pub(super) fn udid() -> Udid {
    Udid::parse("00008110-000A1B2C3D4E5F60").unwrap()
}

pub(super) fn at(second: i64) -> HostTime {
    HostTime(jiff::Timestamp::from_second(1_790_000_000 + second).unwrap())
}

pub(super) fn copy(second: i64) -> LocalCopy {
    LocalCopy {
        level: Level::L2,
        at: at(second),
        encrypted: false,
        bytes: 3,
        files: 1,
    }
}

pub(super) fn begin(store: &Store, second: i64) -> (Run, Ledger) {
    let begin = Begin {
        now: at(second),
        force_full: false,
    };
    Claim::take(store, &udid())
        .unwrap()
        .prepare(&begin, &GO)
        .unwrap()
}

pub(super) fn put(jail: &Jail, path: &str, text: &str) {
    if let Some((folder, _)) = path.rsplit_once('/') {
        let mut made = String::new();
        for name in folder.split('/') {
            made.push_str(name);
            let _ = jail.make_folder(&made);
            made.push('/');
        }
    }
    let mut part = jail.begin(path).unwrap();
    part.write(text.as_bytes()).unwrap();
    part.keep(false).unwrap();
}

pub(super) fn hashed(ledger: &mut Ledger, path: &str, text: &str) {
    let seen = Seen {
        len: text.len() as u64,
        hash: blake3::hash(text.as_bytes()),
    };
    ledger
        .apply(&Change::Put {
            path: path.to_owned(),
            seen,
        })
        .unwrap();
}

/// A whole run that ends with `text` in one file.
pub(super) fn backup(store: &Store, second: i64, text: &str) {
    let (run, mut ledger) = begin(store, second);
    put(&run.tree(), "Status.plist", &format!("run {second}"));
    put(&run.tree(), "ab/abc", text);
    hashed(&mut ledger, "ab/abc", text);
    run.commit(ledger, &copy(second)).unwrap();
}

/// Status.plist as a phone writes it when it goes over to something else.
fn status(state: &str) -> String {
    format!("<plist><dict><key>SnapshotState</key><string>{state}</string></dict></plist>")
}

/// A run that is cut short when its tree is verified, and not yet the current one.
pub(super) fn seal(store: &Store, second: i64, text: &str) {
    let (run, mut ledger) = begin(store, second);
    put(&run.tree(), "Status.plist", &format!("run {second}"));
    put(&run.tree(), "ab/abc", text);
    hashed(&mut ledger, "ab/abc", text);
    run.seal(ledger, &copy(second)).unwrap();
}

/// Makes a finished tree the current backup, as if its phone had sent it.
pub(super) fn commit_tree(store: &Store, tree: &Path) -> Udid {
    let info = plist::Value::from_file(tree.join("Info.plist")).unwrap();
    let mut info = info.into_dictionary().unwrap();
    // The host writes the date, and the trees that are kept as data have none.
    let date = plist::Date::from(std::time::SystemTime::from(at(0).0));
    info.insert("Last Backup Date".to_owned(), plist::Value::Date(date));
    let udid = Udid::parse(info["Unique Identifier"].as_string().unwrap()).unwrap();
    let begin = Begin {
        now: at(0),
        force_full: false,
    };
    let (run, mut ledger) = Claim::take(store, &udid)
        .unwrap()
        .prepare(&begin, &GO)
        .unwrap();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(tree.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                run.tree().make_folder(&name).unwrap();
                folders.push(name);
                continue;
            }
            let path = format!("{folder}/{name}");
            let path = path.trim_start_matches('/').to_owned();
            let mut bytes = fs::read(entry.path()).unwrap();
            if path == "Info.plist" {
                bytes.clear();
                plist::to_writer_xml(&mut bytes, &info).unwrap();
            }
            let mut part = run.tree().begin(&path).unwrap();
            part.write(&bytes).unwrap();
            part.keep(false).unwrap();
            if path != "Info.plist" {
                let seen = Seen {
                    len: bytes.len() as u64,
                    hash: blake3::hash(&bytes),
                };
                ledger.apply(&Change::Put { path, seen }).unwrap();
            }
        }
    }
    run.commit(ledger, &copy(0)).unwrap();
    udid
}

/// The last so many, and no other rule.
pub(super) fn keep_last(last: u16) -> RetentionPolicy {
    RetentionPolicy {
        last,
        daily: 0,
        weekly: 0,
        monthly: 0,
        keep_free: 0,
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn versions(store: &Store) -> Vec<String> {
    let folder = store.layout.versions(&udid());
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("root")).unwrap();
    (dir, store)
}

#[test]
fn a_missing_disk_is_a_state_and_never_no_backups() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("file"), b"").unwrap();
    fs::create_dir_all(path("odd/.backupwatch")).unwrap();
    fs::write(path("odd/.backupwatch/marker.json"), b"{").unwrap();
    assert!(matches!(
        Store::open(&path("gone")),
        Err(StoreError::RootMissing { .. })
    ));
    assert!(matches!(
        Store::open(&path("empty")),
        Err(StoreError::NotAStore { .. })
    ));
    assert!(matches!(
        Store::open(&path("file")),
        Err(StoreError::NotAFolder { .. })
    ));
    assert!(matches!(
        Store::open(&path("file/below")),
        Err(StoreError::NotAFolder { .. })
    ));
    assert!(matches!(
        Store::open(&path("odd")),
        Err(StoreError::Damaged { .. })
    ));
    assert!(!path("gone").exists(), "nothing is made");
    assert_eq!(
        fs::read_dir(path("empty")).unwrap().count(),
        0,
        "nothing is made"
    );
}

#[test]
fn a_store_keeps_its_identity() {
    let (dir, store) = store();
    let again = Store::create(&dir.path().join("root")).unwrap();
    assert_eq!(again.id(), store.id());
    assert_eq!(store.id().len(), 32);
    symlink(dir.path().join("root"), dir.path().join("link")).unwrap();
    let linked = Store::open(&dir.path().join("link")).unwrap();
    assert_eq!(
        linked.root(),
        store.root(),
        "links on the way are resolved once"
    );
}

#[test]
fn a_run_makes_the_current_backup_and_keeps_the_one_before() {
    let (_dir, store) = store();
    assert_eq!(store.current(&udid()).unwrap(), None);
    for (second, text) in [(10, "one"), (20, "two"), (30, "three")] {
        backup(&store, second, text);
        assert_eq!(store.current(&udid()).unwrap(), Some(copy(second)));
        assert_eq!(read(&store.folder(&udid()).join("ab/abc")), text);
    }
    assert_eq!(
        versions(&store),
        ["2026-09-21T141330Z", "2026-09-21T141340Z"]
    );
    let version = store.layout.versions(&udid()).join(&versions(&store)[1]);
    assert_eq!(read(&version.join("ab/abc")), "two");
    assert!(!store.layout.work(&udid()).exists());
    assert!(!store.layout.journal(&udid()).exists());
    let names: Vec<_> = fs::read_dir(store.folder(&udid()))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "none of our files is in it: {names:?}");
    let copies = fs::read_dir(store.layout.copies(&udid())).unwrap().count();
    assert_eq!(
        copies, 6,
        "a record and a ledger for each of the three trees"
    );
}

#[test]
fn without_an_exchange_two_renames_do_it() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    put(&run.tree(), "ab/abc", "two");
    run.without_exchange().commit(ledger, &copy(20)).unwrap();
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "two");
    assert_eq!(versions(&store).len(), 1);
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(20)));
}

#[test]
fn checklist_23_what_a_run_does_does_not_show_in_the_current_backup() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    let old = fs::metadata(store.folder(&udid()).join("ab/abc")).unwrap();
    assert_eq!(
        old.ino(),
        fs::metadata(run.folder().join("ab/abc")).unwrap().ino(),
        "a link, not a copy"
    );
    put(&run.tree(), "ab/abc", "two");
    run.tree().remove("Status.plist").unwrap();
    ledger.close().unwrap();
    run.pause(false).unwrap();
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
}

#[test]
fn checklist_42_an_interrupted_run_is_gone_on_with() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "uploading");
    put(&run.tree(), "Snapshot/ab/abd", "new");
    hashed(&mut ledger, "Snapshot/ab/abd", "new");
    ledger.close().unwrap();
    run.pause(false).unwrap();

    let (run, ledger) = begin(&store, 30);
    assert!(run.resumed() > 0);
    assert_eq!(read(&run.folder().join("Status.plist")), "uploading");
    assert_eq!(read(&run.folder().join("Snapshot/ab/abd")), "new");
    assert!(ledger.get("Snapshot/ab/abd").unwrap().is_some());
    run.commit(ledger, &copy(30)).unwrap();
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
}

#[test]
fn a_run_that_broke_off_keeps_only_what_arrived_whole() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    for (path, on_disk, hashed_as) in [
        ("Snapshot/ab/whole", "whole", Some("whole")),
        ("Snapshot/ab/cut", "cu", Some("cut")),
        ("Snapshot/ab/unheard", "unheard", None),
        ("cd/moved", "moved", None),
        ("Status.plist", &status("uploading"), None),
    ] {
        put(&run.tree(), path, on_disk);
        if let Some(text) = hashed_as {
            hashed(&mut ledger, path, text);
        }
    }
    hashed(&mut ledger, "Snapshot/cd/moved", "moved");
    fs::write(
        run.folder().join("Snapshot/ab/.backupwatch-7.part"),
        b"half",
    )
    .unwrap();
    symlink("/etc/passwd", run.folder().join("Snapshot/ab/planted")).unwrap();
    ledger.close().unwrap();
    drop(run);

    let (run, ledger) = begin(&store, 30);
    assert!(run.resumed() > 0);
    let mut names: Vec<_> = run
        .tree()
        .list_with_parts("Snapshot/ab")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert_eq!(names, ["whole"]);
    assert_eq!(ledger.get("Snapshot/ab/cut").unwrap(), None);
    assert!(
        ledger.get("cd/moved").unwrap().is_some(),
        "the ledger caught up with the move"
    );
    assert_eq!(read(&run.folder().join("ab/abc")), "one");
}

/// To be moved is to have two names for a moment.
#[test]
fn a_move_that_broke_off_is_ended_and_a_file_that_it_lost_is_missed() {
    for (lost, goes_on) in [(false, true), (true, false)] {
        let (_dir, store) = store();
        let (run, mut ledger) = begin(&store, 10);
        put(&run.tree(), "Status.plist", &status("moving"));
        for name in ["first", "second"] {
            put(&run.tree(), &format!("Snapshot/ab/{name}"), name);
            hashed(&mut ledger, &format!("Snapshot/ab/{name}"), name);
        }
        let work = run.folder();
        fs::create_dir(work.join("ab")).unwrap();
        fs::hard_link(work.join("Snapshot/ab/first"), work.join("ab/first")).unwrap();
        if lost {
            fs::remove_file(work.join("Snapshot/ab/second")).unwrap();
        }
        ledger.close().unwrap();
        drop(run);

        let (run, ledger) = begin(&store, 20);
        assert_eq!(run.resumed() > 0, goes_on);
        if goes_on {
            assert_eq!(read(&work.join("ab/first")), "first");
            assert!(!work.join("Snapshot/ab/first").exists());
            assert!(ledger.get("ab/first").unwrap().is_some());
            assert!(ledger.get("Snapshot/ab/first").unwrap().is_none());
            assert_eq!(read(&work.join("Snapshot/ab/second")), "second");
        }
    }
}

/// Its name is that of a whole one, and the phone goes by names.
#[test]
fn a_torn_file_that_cannot_be_removed_keeps_a_run_from_ending_in_order() {
    let (_dir, store) = store();
    let (run, ledger) = begin(&store, 10);
    put(&run.tree(), "Snapshot/ab/whole", "whole");
    let torn = run.folder().join("Snapshot/ab/torn");
    let mut part = run.tree().begin_in_place("Snapshot/ab/torn").unwrap();
    part.write(b"to").unwrap();
    let door = Arc::new(Mutex::new(NoRemoval));
    let watch = Watch::over(&run.folder().canonicalize().unwrap(), door);
    drop(part);
    drop(watch);
    assert!(torn.exists());
    ledger.close().unwrap();
    assert!(matches!(run.pause(false), Err(StoreError::Io { .. })));
    let (run, _ledger) = begin(&store, 20);
    assert!(run.resumed() > 0 && !torn.exists());
}

struct NoRemoval;

impl Observer for NoRemoval {
    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if op.what == What::Remove {
            return Err(Errno::IO);
        }
        Ok(())
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

#[test]
fn a_broken_file_in_its_final_place_ends_the_attempt() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    put(&run.tree(), "cd/moved", "mov");
    hashed(&mut ledger, "Snapshot/cd/moved", "moved");
    ledger.close().unwrap();
    drop(run);
    let (run, _ledger) = begin(&store, 30);
    assert!(run.resumed() == 0);
    assert!(!run.folder().join("cd/moved").exists());
    assert_eq!(read(&run.folder().join("ab/abc")), "one");
}

#[test]
fn a_condemned_tree_is_begun_anew_and_then_from_nothing() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    ledger.close().unwrap();
    run.pause(false).unwrap();
    let (run, ledger) = begin(&store, 30);
    assert!(run.resumed() > 0);
    drop(ledger);
    run.condemn().unwrap();

    let (run, ledger) = begin(&store, 40);
    assert!(run.resumed() == 0);
    assert!(
        run.folder().join("ab/abc").exists(),
        "links of the current backup"
    );
    drop(ledger);
    run.condemn().unwrap();

    let (run, _ledger) = begin(&store, 50);
    assert!(
        !run.folder().join("ab/abc").exists(),
        "everything is asked for again"
    );
    assert_eq!(run.kind(), backupwatch_core::run::RunKind::Full);
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
}

#[test]
fn a_forced_full_run_begins_with_nothing() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let request = Begin {
        now: at(20),
        force_full: true,
    };
    let (run, ledger) = Claim::take(&store, &udid())
        .unwrap()
        .prepare(&request, &GO)
        .unwrap();
    assert_eq!(fs::read_dir(run.folder()).unwrap().count(), 0);
    ledger.close().unwrap();
    run.pause(false).unwrap();
    let (run, _ledger) = begin(&store, 30);
    assert!(run.resumed() > 0, "and is gone on with as such");
    assert!(!run.folder().join("ab").exists());
}

#[test]
fn an_attempt_on_another_current_backup_is_not_gone_on_with() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    put(&run.tree(), "Snapshot/x", "x");
    ledger.close().unwrap();
    run.pause(false).unwrap();
    // Another program writes into the folder.
    fs::remove_file(store.folder(&udid()).join("Status.plist")).unwrap();
    fs::write(store.folder(&udid()).join("Status.plist"), b"theirs").unwrap();
    assert_eq!(
        store.current(&udid()).unwrap(),
        None,
        "and it is not verified any more"
    );
    let (run, _ledger) = begin(&store, 30);
    assert!(run.resumed() == 0);
    assert_eq!(read(&run.folder().join("Status.plist")), "theirs");
}

#[test]
fn checklist_21_one_run_at_a_time_has_a_phones_folders() {
    let (_dir, store) = store();
    let (run, _ledger) = begin(&store, 10);
    assert!(matches!(
        Claim::take(&store, &udid()),
        Err(StoreError::InUse { .. })
    ));
    let other = Udid::parse("00008110-000A1B2C3D4E5F61").unwrap();
    assert!(
        Claim::take(&store, &other).is_ok(),
        "another phone is not in the way"
    );
    assert!(
        !store.folder(&udid()).exists(),
        "the lock is not in the phone's folder"
    );
    assert_eq!(store.reconcile().unwrap()[0].what, RolledForward::Running);
    drop(run);
    assert_eq!(store.reconcile().unwrap()[0].what, RolledForward::Kept);
}

#[test]
fn checklist_22_a_folder_that_cannot_be_written_to_is_found_before_the_phone_is_asked() {
    let (_dir, store) = store();
    fs::create_dir_all(store.layout.works()).unwrap();
    // Root ignores permissions, so the folder is made unusable in another way: a file where a folder must be.
    fs::remove_dir(store.layout.works()).unwrap();
    fs::write(store.layout.works(), b"").unwrap();
    assert!(Claim::take(&store, &udid()).is_err());
    assert!(!store.layout.journal(&udid()).exists());
}

#[test]
fn a_backup_of_another_program_is_begun_from_and_kept_but_never_called_verified() {
    let (_dir, store) = store();
    let folder = store.folder(&udid());
    fs::create_dir_all(folder.join("ab")).unwrap();
    fs::write(folder.join("ab/abc"), b"theirs").unwrap();
    fs::write(folder.join("Status.plist"), b"theirs").unwrap();
    assert_eq!(store.current(&udid()).unwrap(), None);
    let (run, ledger) = begin(&store, 20);
    assert_eq!(read(&run.folder().join("ab/abc")), "theirs");
    put(&run.tree(), "Status.plist", "ours");
    run.commit(ledger, &copy(20)).unwrap();
    assert_eq!(versions(&store).len(), 1);
    let unknown = &store.versions(&udid()).unwrap()[0];
    assert_eq!((&unknown.copy, unknown.serial), (&None, None));
}

#[test]
fn a_current_folder_that_is_a_link_is_refused() {
    let (dir, store) = store();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), store.folder(&udid())).unwrap();
    let request = Begin {
        now: at(10),
        force_full: false,
    };
    let refused = Claim::take(&store, &udid()).unwrap().prepare(&request, &GO);
    assert!(matches!(refused, Err(StoreError::NotAFolder { .. })));
}

/// Two agents that start at once on a new disk: the marker is made once, and both have the store that it names.
#[test]
fn one_marker_is_made_by_however_many() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new/backups");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let maker = || Store::create(&root).unwrap().id().to_owned();
            let makers: Vec<_> = (0..4).map(|_| scope.spawn(maker)).collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        let there = Store::open(&root).unwrap().id().to_owned();
        assert_eq!(ids, vec![there; 4]);
    }
}
