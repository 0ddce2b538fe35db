use backupwatch_core::{HostTime, Udid};
use std::fs;

use std::collections::BTreeSet;

use backupwatch_core::retention::{Cause, Fate, RetentionPolicy};

use super::super::tests::{backup, keep_last, store, udid};
use super::*;
use crate::store::Claim;

fn names(store: &Store) -> Vec<String> {
    let versions = store.versions(&udid()).unwrap();
    versions.iter().map(|v| v.which.name().to_owned()).collect()
}

#[test]
fn the_backups_of_a_phone_oldest_first() {
    let (_dir, store) = store();
    assert_eq!(names(&store), [""; 0]);
    backup(&store, 10, "one");
    backup(&store, 20, "two");
    assert_eq!(names(&store), ["2026-09-21T141330Z", "current"]);
    let versions = store.versions(&udid()).unwrap();
    assert!(versions.iter().all(|version| version.copy.is_some()));
    assert!(versions[0].serial < versions[1].serial);
}

#[test]
fn a_tree_that_is_read_is_followed_when_a_newer_one_takes_its_place() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let held = store.open_version(&udid(), &Which::Current).unwrap();
    assert_eq!(held.folder().unwrap(), store.folder(&udid()));
    backup(&store, 20, "two");
    let folder = held.folder().unwrap();
    assert!(
        folder.ends_with("2026-09-21T141330Z"),
        "{}",
        folder.display()
    );
    assert_eq!(fs::read_to_string(folder.join("ab/abc")).unwrap(), "one");
    assert!(held.tree().stat("ab/abc").is_ok());
    assert!(held.ledger().is_some());
}

#[test]
fn what_is_not_there_is_said_by_name() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let nobody = Udid::parse("00008110-000A1B2C3D4E5F61").unwrap();
    for (udid, which) in [
        (nobody, Which::Current),
        (udid(), Which::Before("2026-09-21T141330Z".to_owned())),
        (udid(), Which::Before("../../../etc".to_owned())),
        (udid(), Which::Before(String::new())),
    ] {
        let refused = store.open_version(&udid, &which).unwrap_err();
        assert!(
            matches!(refused, StoreError::NoVersion { .. }),
            "{which:?}: {refused}"
        );
    }
}

#[test]
fn a_name_tells_when_it_was_made() {
    let at = |text: &str| Some(HostTime(text.parse().unwrap()));
    for (name, wanted) in [
        ("2026-09-21T141330Z", at("2026-09-21T14:13:30Z")),
        ("2026-09-21T141330Z-2", at("2026-09-21T14:13:30Z")),
        ("2026-09-21", None),
        ("current", None),
        ("9999-99-99T999999Z", None),
    ] {
        assert_eq!(named_at(name), wanted, "{name}");
    }
}

/// Backups a day apart.
fn days(store: &Store, count: i64) {
    for day in 0..count {
        backup(store, day * 86_400, &format!("day {day}"));
    }
}

/// What another program does to a backup that it goes on with.
fn change_current(store: &Store) {
    let status = store.folder(&udid()).join("Status.plist");
    fs::remove_file(&status).unwrap();
    fs::write(&status, b"theirs").unwrap();
}

fn copies(store: &Store) -> usize {
    fs::read_dir(store.layout.copies(&udid())).unwrap().count()
}

#[test]
fn pruning_does_what_its_plan_says() {
    let (_dir, store) = store();
    days(&store, 5);
    let before = names(&store);
    let planned = store.plan_pruning(&udid(), &keep_last(2), 0).unwrap();
    assert_eq!(names(&store), before, "a plan changes nothing");
    let done = store.prune(&udid(), &keep_last(2), 0).unwrap();
    assert_eq!(done.plan, planned.plan);
    assert_eq!(names(&store), before[2..]);
    assert_eq!(
        copies(&store),
        6,
        "a record and a ledger for each that is left"
    );
    let again = store.prune(&udid(), &keep_last(2), 0).unwrap();
    assert_eq!(again.plan.deletions().count(), 0);
    let trash = fs::read_dir(store.layout.trash()).unwrap().count();
    assert_eq!(trash, 0);
}

#[test]
fn nothing_goes_while_the_current_backup_is_not_verified_but_what_is_older_than_a_verified_one() {
    let (_dir, store) = store();
    days(&store, 4);
    change_current(&store);
    let before = names(&store);
    let greedy = RetentionPolicy {
        keep_free: u64::MAX,
        ..keep_last(0)
    };
    let done = store.prune(&udid(), &greedy, 0).unwrap();
    assert_eq!(names(&store), before[2..], "{}", done.plan);
    assert!(done.plan.short.is_some());
    // And by name: the last look decides, not the plan.
    let newest = &store.versions(&udid()).unwrap()[0];
    let refused = prune::delete(&store.layout, &udid(), newest).unwrap_err();
    assert!(matches!(refused, StoreError::Needed { .. }), "{refused}");
}

#[test]
fn a_plan_that_was_right_a_moment_ago_deletes_nothing_that_is_needed_now() {
    let (_dir, store) = store();
    days(&store, 2);
    let planned = store.plan_pruning(&udid(), &keep_last(0), 0).unwrap();
    assert_eq!(planned.plan.deletions().count(), 1);
    change_current(&store);
    let refused = prune::delete(&store.layout, &udid(), &planned.versions[0]).unwrap_err();
    assert!(matches!(refused, StoreError::Needed { .. }), "{refused}");
    // Another tree under the name of the plan.
    backup(&store, 200_000, "x");
    let other = &planned.versions[0];
    fs::write(other.path.join("Info.plist"), b"another").unwrap();
    assert!(prune::delete(&store.layout, &udid(), other).is_err());
    assert!(other.path.exists());
}

#[test]
fn what_is_being_read_stays_until_it_is_let_go_of() {
    let (_dir, store) = store();
    days(&store, 2);
    // Current now, a version later: the hold goes with the tree.
    let held = store.open_version(&udid(), &Which::Current).unwrap();
    backup(&store, 200_000, "newer");
    let done = store.prune(&udid(), &keep_last(0), 0).unwrap();
    assert_eq!(done.being_read.len(), 1);
    assert_eq!(names(&store).len(), 2, "the other one went");
    let folder = held.folder().unwrap();
    assert_eq!(fs::read_to_string(folder.join("ab/abc")).unwrap(), "day 1");
    assert!(held.ledger().is_some(), "with its hashes");
    drop(held);
    store.prune(&udid(), &keep_last(0), 0).unwrap();
    assert_eq!(names(&store), ["current"]);
}

#[test]
fn a_run_and_pruning_do_not_meet() {
    let (_dir, store) = store();
    days(&store, 2);
    let claim = Claim::take(&store, &udid()).unwrap();
    let refused = store.prune(&udid(), &keep_last(0), 0).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    drop(claim);
    store.prune(&udid(), &keep_last(0), 0).unwrap();
}

/// Each state that a crash can leave while a version is deleted.
#[test]
fn a_crash_in_the_middle_of_a_deletion_is_harmless() {
    for step in [
        "in the trash",
        "half removed",
        "removed",
        "its record removed",
    ] {
        let (_dir, store) = store();
        days(&store, 3);
        let version = store.versions(&udid()).unwrap().remove(0);
        let place = store.layout.trash().join("0");
        fs::create_dir_all(store.layout.trash()).unwrap();
        fs::rename(&version.path, &place).unwrap();
        if step != "in the trash" {
            fs::remove_file(place.join("ab/abc")).unwrap();
        }
        if step.ends_with("removed") && step != "half removed" {
            fs::remove_dir_all(&place).unwrap();
        }
        if step.starts_with("its") {
            fs::remove_file(store.layout.record(&udid(), &version.tree)).unwrap();
        }
        store.reconcile().unwrap();
        assert_eq!(names(&store).len(), 2, "{step}");
        let versions = store.versions(&udid()).unwrap();
        assert!(versions.iter().all(|v| v.copy.is_some()), "{step}");
        backup(&store, 300_000, "after");
        store.retain(&udid(), &keep_last(9), 0).unwrap();
        assert_eq!(copies(&store), 6, "{step}: what is left over is gone");
        assert_eq!(
            fs::read_dir(store.layout.trash()).unwrap().count(),
            0,
            "{step}"
        );
    }
}

/// A commit that was cut short before the exchange: its record is of a tree that is neither current nor a version.
#[test]
fn pruning_first_finishes_what_a_crash_cut_short() {
    let (_dir, store) = store();
    days(&store, 2);
    super::super::tests::seal(&store, 200_000, "sealed");
    store.prune(&udid(), &keep_last(9), 0).unwrap();
    assert_eq!(names(&store).len(), 3);
    let current = store.folder(&udid()).join("ab/abc");
    assert_eq!(fs::read_to_string(current).unwrap(), "sealed");
}

#[test]
fn sizes_count_what_goes_with_the_last_name() {
    const K: usize = 100 << 10;
    let dir = tempfile::tempdir().unwrap();
    let tree = |name: &str| dir.path().join(name);
    let put = |path: &str| fs::write(dir.path().join(path), vec![7; K]).unwrap();
    let link = |from: &str, to: &str| fs::hard_link(tree(from), tree(to)).unwrap();
    for folder in ["a/00", "b/00", "b/01", "c/00", "current/00"] {
        fs::create_dir_all(tree(folder)).unwrap();
    }
    put("a/00/own");
    put("a/00/of-a-and-b");
    link("a/00/of-a-and-b", "b/00/of-a-and-b");
    put("a/00/of-all");
    for other in ["b", "c"] {
        link("a/00/of-all", &format!("{other}/00/of-all"));
    }
    put("c/00/of-c-and-current");
    link("c/00/of-c-and-current", "current/00/of-c-and-current");
    put("b/00/twice");
    link("b/00/twice", "b/00/twice-here");
    put("b/01/elsewhere");
    link("b/01/elsewhere", "b/00/elsewhere");
    std::os::unix::fs::symlink("/etc/passwd", tree("c/planted")).unwrap();
    let trees = [tree("a"), tree("b"), tree("c"), tree("gone")];
    let trees: Vec<_> = trees.iter().map(std::path::PathBuf::as_path).collect();
    let shares = sizes::measure(&trees).unwrap();
    let table = [
        (vec![], 0),
        (vec![0], 1),
        (vec![1], 1),
        (vec![2], 0),
        (vec![3], 0),
        (vec![0, 1], 3),
        (vec![0, 2], 1),
        (vec![0, 1, 2, 3], 4),
    ];
    let unit = shares.alone(0);
    assert!((K as u64..2 * K as u64).contains(&unit), "{unit}");
    for (gone, files) in table {
        let freed = shares.freed(&gone.iter().copied().collect::<BTreeSet<_>>());
        assert_eq!(freed, files * unit, "{gone:?}");
    }
}

#[test]
fn a_disk_that_fills_up_loses_the_oldest_version_first() {
    let (_dir, store) = store();
    for day in 0..4 {
        backup(
            &store,
            day * 86_400,
            &"x".repeat(1 << 20 | usize::try_from(day).unwrap()),
        );
    }
    let measured = store.measure(&udid()).unwrap();
    let alone = measured.shares.alone(0);
    assert!(alone >= 1 << 20, "{alone}");
    let policy = RetentionPolicy {
        // Other tests write to the same disk: what one version frees does not reach, what all free is too little by far.
        keep_free: u64::MAX,
        ..keep_last(9)
    };
    let pruning = store.plan_pruning(&udid(), &policy, 0).unwrap();
    let fates: Vec<_> = pruning.plan.fates.iter().map(|(_, fate)| fate).collect();
    assert_eq!(fates.len(), 3);
    for fate in fates {
        assert!(
            matches!(
                fate,
                Fate::Delete {
                    cause: Cause::Room,
                    frees: Some(1048576..)
                }
            ),
            "{fate}"
        );
    }
    assert!(pruning.plan.short.is_some());
}
