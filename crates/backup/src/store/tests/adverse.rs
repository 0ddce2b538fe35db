//! Damage, crashes and other programs at the worst moment: each of them once made a store that needed a person, or called a
//! tree verified that was none.

#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;

use super::*;
use crate::store::identity::TreeId;
use crate::store::journal::{Found, Journal};

/// Goes on or begins anew, as the next run of an agent does.
pub(super) fn next_run(store: &Store, second: i64) -> Result<(Run, Ledger), StoreError> {
    let begin = Begin {
        now: at(second),
        force_full: false,
    };
    Claim::take(store, &udid())?.prepare(&begin, &GO)
}

fn damage_the_journal(store: &Store) {
    fs::write(store.layout.journal(&udid()), b"{\"version\":").unwrap();
}

/// A work tree begins as links of the current backup, property lists included: for a while its identity is that of a
/// verified tree, and only the journal tells that it is none.
#[test]
fn a_damaged_journal_makes_no_backup_of_a_tree_that_is_being_worked_on() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    run.tree().remove("ab/abc").unwrap();
    drop((run, ledger));
    damage_the_journal(&store);
    store.reconcile().unwrap();
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
    backup(&store, 30, "two");
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "two");
}

#[test]
fn nor_when_another_program_has_written_into_the_current_one() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    run.tree().remove("ab/abc").unwrap();
    drop((run, ledger));
    let status = store.folder(&udid()).join("Status.plist");
    fs::remove_file(&status).unwrap();
    fs::write(&status, b"theirs").unwrap();
    damage_the_journal(&store);
    store.reconcile().unwrap();
    assert_eq!(read(&status), "theirs");
    assert_eq!(store.current(&udid()).unwrap(), None);
}

/// But a tree that was verified is found without it.
#[test]
fn a_damaged_journal_does_not_lose_a_verified_tree() {
    for exchanged in [false, true] {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        let (run, ledger) = begin(&store, 20);
        put(&run.tree(), "Status.plist", "run 20");
        put(&run.tree(), "ab/abc", "two");
        let (work, current) = (run.folder(), store.folder(&udid()));
        run.seal(ledger, &copy(20)).unwrap();
        drop(run);
        if exchanged {
            crate::disk::exchange(&work, &current).unwrap();
        }
        damage_the_journal(&store);
        store.reconcile().unwrap();
        assert_eq!(read(&current.join("ab/abc")), "two", "{exchanged}");
        assert_eq!(store.current(&udid()).unwrap(), Some(copy(20)));
        assert_eq!(versions(&store).len(), 1);
    }
}

/// What cannot be removed is in nobody's way: the new backup is the current one, and the next one is made as well.
#[test]
fn an_old_version_that_cannot_be_removed_stops_nothing() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    backup(&store, 20, "two");
    let version = store
        .layout
        .versions(&udid())
        .join(versions(&store).pop().unwrap());
    // Deeper than anything that is made here.
    fs::create_dir_all(version.join(vec!["d"; 60].join("/"))).unwrap();
    backup(&store, 30, "three");
    backup(&store, 40, "four");
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(40)));
    store.retain(&udid(), &keep_last(1), 0).unwrap();
    assert_eq!(versions(&store).len(), 1);
    assert!(!store.layout.journal(&udid()).exists());
}

/// The hashes are moved to their tree before the journal says so. If that is as far as it goes (a full disk), they are found
/// again, or a backup of hours would be worth nothing.
#[test]
fn a_commit_that_fails_leaves_a_tree_to_go_on_with() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    put(&run.tree(), "cd/cde", "new");
    hashed(&mut ledger, "cd/cde", "new");
    let tree = TreeId::of(&run.folder()).unwrap().unwrap();
    let in_the_way = store.layout.record(&udid(), &tree);
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    assert!(run.commit(ledger, &copy(20)).is_err());
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
    fs::remove_dir_all(in_the_way).unwrap();

    let (run, ledger) = next_run(&store, 30).unwrap();
    assert!(run.resumed() > 0, "what arrived is not thrown away");
    assert_eq!(read(&run.folder().join("cd/cde")), "new");
    assert!(ledger.get("cd/cde").unwrap().is_some());
    assert!(ledger.get("ab/abc").unwrap().is_some());
}

/// A kill loses the last changes of the ledger, removals too. A file of the current backup that is in the ledger and not in
/// the tree was removed by the phone; the check must not miss it.
#[test]
fn a_run_that_broke_off_misses_no_file_that_the_phone_removed() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    run.tree().remove("ab/abc").unwrap();
    drop((run, ledger));
    let (run, ledger) = next_run(&store, 30).unwrap();
    assert!(run.resumed() > 0);
    assert_eq!(ledger.get("ab/abc").unwrap(), None);
}

/// One that arrived in the run and is gone was lost: the phone would not send it again.
#[test]
fn a_file_that_arrived_and_is_gone_ends_the_attempt() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    hashed(&mut ledger, "cd/cde", "arrived");
    ledger.close().unwrap();
    drop(run);
    let (run, _ledger) = next_run(&store, 30).unwrap();
    assert_eq!(run.resumed(), 0);
}

/// What has no hash is taken out of `Snapshot` so that the phone sends it again. Once the phone moves, it does not: the file
/// of the backup before stays in its place and passes for the new one, and so do the manifests.
#[test]
fn what_the_phone_no_longer_sends_is_not_taken_away() {
    for (state, goes_on) in [("uploading", true), ("moving", false), ("removing", false)] {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        let (run, ledger) = begin(&store, 20);
        put(&run.tree(), "Status.plist", &status(state));
        put(&run.tree(), "Snapshot/ab/abc", "two");
        drop((run, ledger));
        let (run, _ledger) = next_run(&store, 30).unwrap();
        assert_eq!(run.resumed() > 0, goes_on, "{state}");
        assert!(!run.folder().join("Snapshot/ab/abc").exists(), "{state}");
        assert_eq!(read(&run.folder().join("ab/abc")), "one");
    }
}

/// A tree that nobody can list is begun anew, and does not fail each run from then on.
#[test]
fn a_tree_that_cannot_be_healed_is_begun_anew() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    let folder = run.folder().join("Snapshot");
    fs::create_dir(&folder).unwrap();
    for number in 0..=crate::jail::MAX_LISTED {
        fs::File::create(folder.join(number.to_string())).unwrap();
    }
    drop((run, ledger));
    let (run, _ledger) = next_run(&store, 30).unwrap();
    assert_eq!(run.resumed(), 0);
    assert!(!run.folder().join("Snapshot").exists());
}

/// Names that are no text come from other programs; a backup has none. Apple's file systems refuse them.
#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_no_text_is_left_out_and_stops_nothing() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff name");
    fs::write(store.folder(&udid()).join(odd), b"x").unwrap();
    fs::create_dir(store.folder(&udid()).join("ab").join(odd)).unwrap();
    fs::write(store.folder(&udid()).join("ab").join(odd).join(odd), b"x").unwrap();
    backup(&store, 20, "two");
    backup(&store, 30, "three");
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "three");
    store.retain(&udid(), &keep_last(1), 0).unwrap();
    assert_eq!(versions(&store).len(), 1, "and what has it can be removed");
    // The same in a tree that a kill left.
    let (run, ledger) = begin(&store, 40);
    fs::create_dir(run.folder().join(odd)).unwrap();
    fs::write(run.folder().join(odd).join(odd), b"x").unwrap();
    drop((run, ledger));
    next_run(&store, 50).unwrap();
}

/// A ledger that rotted says nothing about its tree, and must not fail each run from then on.
#[test]
fn a_damaged_ledger_leads_to_a_full_backup() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let tree = TreeId::of(&store.folder(&udid())).unwrap().unwrap();
    fs::write(store.layout.ledger(&udid(), &tree), vec![7; 8192]).unwrap();
    let (run, ledger) = next_run(&store, 20).unwrap();
    assert!(
        !run.folder().join("ab/abc").exists(),
        "nothing is gone on from that cannot be proved"
    );
    ledger.close().unwrap();
    run.pause(false).unwrap();
    // So does one of an attempt that was put away in order.
    fs::write(store.layout.work_ledger(&udid()), vec![7; 8192]).unwrap();
    let (run, _ledger) = next_run(&store, 30).unwrap();
    assert_eq!(run.resumed(), 0);
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
}

/// Where a link is refused the file is cloned, and has an inode of its own. After a kill it is known by its hash.
#[test]
fn a_clone_is_as_good_as_a_link_after_a_kill() {
    for (content, goes_on) in [("one", true), ("bad", false)] {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        let (run, ledger) = begin(&store, 20);
        let link = run.folder().join("ab/abc");
        fs::remove_file(&link).unwrap();
        fs::write(&link, content).unwrap();
        drop((run, ledger));
        let (run, ledger) = next_run(&store, 30).unwrap();
        assert_eq!(run.resumed() > 0, goes_on, "{content}");
        assert!(ledger.get("ab/abc").unwrap().is_some());
        assert_eq!(read(&run.folder().join("ab/abc")), "one");
    }
}

/// A power cut tears a ledger in its middle, where it is not looked at before half of the work is done.
#[test]
fn a_torn_ledger_is_found_before_the_phone_is_asked() {
    let (_dir, store) = store();
    let (run, mut ledger) = begin(&store, 10);
    for number in 0..2000 {
        hashed(&mut ledger, &format!("ab/{number:040x}"), "x");
    }
    ledger.close().unwrap();
    drop(run);
    let path = store.layout.work_ledger(&udid());
    let mut torn = fs::read(&path).unwrap();
    let middle = (torn.len() / 2) & !0xFFF;
    torn[middle..middle + 4096].fill(0);
    fs::write(&path, torn).unwrap();
    assert!(Ledger::open(&path).is_ok(), "it does not show at once");
    let error = Ledger::open_doubted(&path).unwrap_err();
    assert!(error.is_damage());
    let (run, ledger) = next_run(&store, 20).unwrap();
    assert_eq!(run.resumed(), 0);
    assert!(ledger.in_folder("ab").unwrap().is_empty());
}

#[test]
fn two_phones_can_begin_at_once() {
    let (_dir, store) = store();
    let begun = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let udid = Udid::parse(&format!("00008110-{number:016X}")).unwrap();
                    (0..50).all(|_| Claim::take(store, &udid).is_ok())
                })
            })
            .collect();
        threads.into_iter().all(|thread| thread.join().unwrap())
    });
    assert!(begun, "one phone's test of the disk was in the other's way");
}

/// Whoever can write to the disk could lead our folders elsewhere: into the current backup, for example.
#[test]
fn folders_of_ours_that_are_links_are_refused() {
    for (name, to) in [("work", ".."), ("trash", "../.."), ("versions", "/tmp")] {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        backup(&store, 20, "two");
        let folder = store.layout.ours().join(name);
        let _ = fs::remove_dir_all(&folder);
        symlink(to, &folder).unwrap();
        let refused = next_run(&store, 30);
        assert!(
            matches!(refused, Err(StoreError::NotAFolder { .. })),
            "{name}: {refused:?}"
        );
        assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "two");
    }
}

/// Every state that a crash can leave between the steps of a commit, on both kinds of file systems.
#[test]
fn a_crash_between_any_two_steps_of_a_commit_is_rolled_forward() {
    type Step = fn(&Store);
    fn to_version(store: &Store, tree: PathBuf) {
        let versions = store.layout.versions(&udid());
        fs::create_dir_all(&versions).unwrap();
        fs::rename(tree, versions.join("before")).unwrap();
    }
    let swapping: [Step; 3] = [
        |store| crate::disk::exchange(&store.layout.work(&udid()), &store.folder(&udid())).unwrap(),
        |store| to_version(store, store.layout.work(&udid())),
        |store| fs::remove_file(store.layout.journal(&udid())).unwrap(),
    ];
    let renaming: [Step; 3] = [
        |store| to_version(store, store.folder(&udid())),
        |store| fs::rename(store.layout.work(&udid()), store.folder(&udid())).unwrap(),
        |store| fs::remove_file(store.layout.journal(&udid())).unwrap(),
    ];
    for (name, steps) in [("swap", swapping), ("renames", renaming)] {
        for done in 0..=steps.len() {
            let (_dir, store) = store();
            backup(&store, 10, "one");
            let (run, mut ledger) = begin(&store, 20);
            put(&run.tree(), "Status.plist", "run 20");
            put(&run.tree(), "ab/abc", "two");
            hashed(&mut ledger, "ab/abc", "two");
            run.seal(ledger, &copy(20)).unwrap();
            drop(run);
            for step in &steps[..done] {
                step(&store);
            }
            let what = format!("{name}, {done} steps");
            // Twice: rolling forward can itself be cut short, and must find nothing to do when it is done.
            store.reconcile().unwrap();
            store.reconcile().unwrap();
            let current = store.folder(&udid());
            assert_eq!(read(&current.join("ab/abc")), "two", "{what}");
            assert_eq!(store.current(&udid()).unwrap(), Some(copy(20)), "{what}");
            let [version] = versions(&store).try_into().unwrap();
            let version = store.layout.versions(&udid()).join(version);
            assert_eq!(read(&version.join("ab/abc")), "one", "{what}");
            assert!(!store.layout.work(&udid()).exists(), "{what}");
            let journal = Journal::read(&store.layout.journal(&udid())).unwrap();
            assert!(matches!(journal, Found::Nothing), "{what}");
            let (run, ledger) = next_run(&store, 30).unwrap();
            assert!(ledger.get("ab/abc").unwrap().is_some(), "{what}");
            assert_eq!(run.resumed(), 0);
        }
    }
}

/// A phone can make a folder where its status belongs, and whoever can write to the disk other things: none of that is a
/// verified tree, and none ends all backups, of this phone or of the others.
#[test]
fn what_is_in_the_place_of_a_property_list_stops_nothing() {
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 3] = [
        ("a folder", |path| fs::create_dir(path).unwrap()),
        ("a link", |path| symlink("/etc/passwd", path).unwrap()),
        ("a pipe", |path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        }),
    ];
    for (name, plant) in plants {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        let (run, ledger) = begin(&store, 20);
        run.tree().remove("Status.plist").unwrap();
        plant(&run.folder().join("Status.plist"));
        ledger.close().unwrap();
        run.pause(false).unwrap();
        store.reconcile().unwrap();
        assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)), "{name}");
        let (run, ledger) = next_run(&store, 30).unwrap();
        drop((run, ledger));
        // The same in the current backup.
        fs::remove_file(store.folder(&udid()).join("Status.plist")).unwrap();
        plant(&store.folder(&udid()).join("Status.plist"));
        assert_eq!(store.current(&udid()).unwrap(), None, "{name}");
        let (run, ledger) = begin(&store, 40);
        let _ = run.tree().remove("Status.plist");
        put(&run.tree(), "Status.plist", "run 40");
        run.commit(ledger, &copy(40)).unwrap();
        assert_eq!(store.current(&udid()).unwrap(), Some(copy(40)), "{name}");
    }
}

/// What is wrong with one phone's folders is not in the way of another's.
#[test]
fn each_phone_is_reconciled_by_itself() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    put(&run.tree(), "ab/abc", "two");
    run.seal(ledger, &copy(20)).unwrap();
    drop(run);
    let broken = Udid::parse("00000000-0000000000000000").unwrap();
    fs::write(store.layout.journal(&broken), b"{}").unwrap();
    symlink("/tmp", store.layout.copies(&broken)).unwrap();
    assert!(store.reconcile().is_err(), "it is told");
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(20)));
}

/// A disk that is exchanged for another one during a run: what was verified on the one says nothing about the other.
#[test]
fn another_disk_in_the_place_of_the_first_gets_nothing() {
    type End = fn(Run, Ledger) -> Result<(), StoreError>;
    let ends: [(&str, End); 3] = [
        ("commit", |run, ledger| run.commit(ledger, &copy(20))),
        ("pause", |run, ledger| {
            ledger.close().unwrap();
            run.pause(false)
        }),
        ("condemn", |run, _| run.condemn()),
    ];
    for (name, end) in ends {
        let (dir, store) = store();
        backup(&store, 10, "one");
        let (run, ledger) = begin(&store, 20);
        put(&run.tree(), "Status.plist", "run 20");
        let root = dir.path().join("root");
        fs::rename(&root, dir.path().join("away")).unwrap();
        let other = Store::create(&root).unwrap();
        backup(&other, 30, "theirs");
        let (theirs, their_ledger) = begin(&other, 40);
        put(&theirs.tree(), "ab/abc", "half");
        their_ledger.close().unwrap();
        theirs.pause(false).unwrap();
        assert!(end(run, ledger).is_err(), "{name}");
        other.reconcile().unwrap();
        assert_eq!(other.current(&udid()).unwrap(), Some(copy(30)), "{name}");
        assert_eq!(
            read(&other.folder(&udid()).join("ab/abc")),
            "theirs",
            "{name}"
        );
        let (theirs, _ledger) = next_run(&other, 50).unwrap();
        assert_eq!(theirs.resumed(), 1, "{name}: its attempt is still there");
    }
}

/// Somebody who only looks has the lock for a moment.
#[test]
fn a_lock_that_is_soon_given_back_is_waited_for() {
    let (_dir, store) = store();
    let claim = Claim::take(&store, &udid()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(claim);
        });
        assert!(Claim::take(&store, &udid()).is_ok());
    });
}
