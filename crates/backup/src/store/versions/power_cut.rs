//! The power goes after each change that a pruning or an export makes on the disk, and the disk is left as such a moment can
//! leave it: every backup that is there is whole, the ones to be kept are there, and the next attempt ends well.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::tests::{keep_last, udid};
use super::failing::{Exporting, contents, export_into, exported, tree, versions_of_four};
use crate::breaking::{Recorder, copy_tree, cuts};
use crate::disk::watch::Watch;
use crate::store::Store;

/// Cuts `work` on a copy of `base` short, each time one change later, and has `check` look at what is left of it.
fn after_each_change(base: &Path, work: impl Fn(&Path), check: impl Fn(&Path, &str)) {
    let dir = crate::breaking::in_memory();
    let home = dir.path().canonicalize().unwrap();
    let mut cases = 0;
    for number in 1.. {
        let copy = home.join(format!("copy {number}"));
        copy_tree(base, &copy);
        let recorder = Arc::new(Mutex::new(Recorder::new(&copy, number)));
        let watch = Watch::over(&copy, recorder.clone());
        work(&copy);
        drop(watch);
        let recorder = Arc::into_inner(recorder).unwrap().into_inner().unwrap();
        for cut in cuts(u64::try_from(number).unwrap()) {
            let what = format!("after change {number}, {:?}, {cut:?}", recorder.last());
            let after = home.join("after");
            recorder.cut(cut, &after);
            check(&after, &what);
            cases += 1;
            std::fs::remove_dir_all(&after).unwrap();
        }
        std::fs::remove_dir_all(&copy).unwrap();
        if recorder.is_through() {
            break;
        }
    }
    eprintln!("{cases} cases");
    assert!(cases > 60, "{cases}");
}

#[test]
fn no_power_cut_while_versions_are_deleted_leaves_half_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (base, before) = versions_of_four(dir.path());
    let kept: Vec<_> = before.keys().skip(2).cloned().collect();
    after_each_change(
        &base,
        |root| {
            let _ = Store::open(root).and_then(|store| store.prune(&udid(), &keep_last(1), 0));
        },
        |root, what| {
            Store::open(root).unwrap().reconcile().unwrap();
            let after = contents(root);
            for (name, content) in &after {
                assert!(content == &before[name], "{what}: {name}");
            }
            assert!(kept.iter().all(|name| after.contains_key(name)), "{what}");
            let store = Store::open(root).unwrap();
            store.prune(&udid(), &keep_last(1), 0).unwrap();
            assert!(contents(root).keys().eq(&kept), "{what}, and then no cut");
            let copies = std::fs::read_dir(store.layout.copies(&udid()))
                .unwrap()
                .count();
            assert_eq!(copies, 4, "{what}: records and hashes");
        },
    );
}

#[test]
fn no_power_cut_while_a_backup_is_exported_leaves_half_of_one_or_harms_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let Exporting {
        base,
        udid,
        older,
        whole,
    } = Exporting::over_an_older_one(dir.path());
    after_each_change(
        &base,
        |home| {
            let _ = export_into(home, &udid);
        },
        |home, what| {
            let there = exported(home);
            assert!(there.contains(&older), "{what}: the older one");
            assert!(
                there.iter().all(|tree| *tree == older || *tree == whole),
                "{what}"
            );
            assert!(
                tree(&home.join("root").join(udid.as_str())) == whole,
                "{what}"
            );
            if !there.contains(&whole) {
                export_into(home, &udid).unwrap();
            }
            assert!(exported(home).contains(&whole), "{what}, and then no cut");
            let left = std::fs::read_dir(home.join("to")).unwrap().count();
            assert_eq!(left, 2, "{what}, and then no cut");
        },
    );
}
