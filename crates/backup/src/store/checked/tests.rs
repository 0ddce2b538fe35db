use std::fs;

use backupwatch_core::run::RunKind;

use super::super::tests::{at, backup, begin, copy, hashed, put, store, udid};
use super::super::versions::Which;
use super::*;
use crate::verify::{Finding, LostFile, PasswordSays, Reread};

fn found(level: Level, lost: &[&str]) -> VerifyReport {
    let lost: Vec<_> = lost.iter().map(|id| (*id).to_owned()).collect();
    let wrong = lost.len() as u64;
    VerifyReport {
        level: Some(level),
        findings: lost
            .iter()
            .cloned()
            .map(|id| Finding::Changed { id })
            .collect(),
        wrong,
        missing: wrong,
        lost: lost
            .into_iter()
            .map(|id| LostFile { id, place: None })
            .collect(),
        encrypted: false,
        files: 1,
        bytes: 3,
        password: PasswordSays::NotNeeded,
        read: Reread::default(),
        unchecked: Vec::new(),
        notes: Vec::new(),
    }
}

fn learn(store: &Store, which: &Which, report: &VerifyReport, asked: Level, second: i64) {
    let held = store.open_version(&udid(), which).unwrap();
    store.learn(&held, report, asked, at(second)).unwrap();
}

fn check_of(store: &Store) -> Option<(Level, HostTime, u64)> {
    let (_, check) = store.standing(&udid()).unwrap().unwrap();
    check.map(|check| (check.level, check.at, check.damaged))
}

/// What a tree is known for after one look after the other.
#[test]
fn what_is_learnt() {
    let good = |level| (found(level, &[]), level);
    let bad = |asked| (found(Level::L2, &["abc"]), asked);
    let part = {
        let mut report = found(Level::L4, &[]);
        report.read = Reread {
            files: 5,
            of_files: 100,
            ..Reread::default()
        };
        (report, Level::L4)
    };
    let table = [
        ("nothing new", vec![good(Level::L1)], None),
        (
            "the same again",
            vec![good(Level::L2)],
            Some((Level::L2, 1, 0)),
        ),
        ("deeper", vec![good(Level::L4)], Some((Level::L4, 1, 0))),
        (
            "not as deep as before",
            vec![good(Level::L4), good(Level::L2)],
            Some((Level::L4, 1, 0)),
        ),
        ("a part is not the whole", vec![part.clone()], None),
        ("damage", vec![bad(Level::L4)], Some((Level::L4, 1, 1))),
        (
            "a glance does not heal",
            vec![bad(Level::L4), good(Level::L2)],
            Some((Level::L4, 1, 1)),
        ),
        (
            "nor does a part",
            vec![bad(Level::L4), part],
            Some((Level::L4, 1, 1)),
        ),
        (
            "as deep a look does",
            vec![bad(Level::L4), good(Level::L4)],
            Some((Level::L4, 2, 0)),
        ),
        (
            "damage after good news",
            vec![good(Level::L4), bad(Level::L2)],
            Some((Level::L2, 2, 1)),
        ),
    ];
    for (name, looks, known) in table {
        let (_dir, store) = store();
        backup(&store, 10, "one");
        for (second, (report, asked)) in (1..).zip(&looks) {
            learn(&store, &Which::Current, report, *asked, second);
        }
        let known = known.map(|(level, second, damaged)| (level, at(second), damaged));
        assert_eq!(check_of(&store), known, "{name}");
        let counts = known.is_none_or(|(_, _, damaged)| damaged == 0);
        let level = store.current(&udid()).unwrap().map(|copy| copy.level);
        let deepest = known.map_or(Level::L2, |(level, ..)| level);
        assert_eq!(level, counts.then_some(deepest), "{name}");
    }
}

/// An agent and a person may look at the same moment.
#[test]
fn of_looks_at_once_none_is_lost() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    std::thread::scope(|scope| {
        for second in 1..=16 {
            let (report, asked) = match second % 2 {
                0 => (found(Level::L2, &["abc"]), Level::L4),
                _ => (found(Level::L3, &[]), Level::L3),
            };
            let store = &store;
            scope.spawn(move || learn(store, &Which::Current, &report, asked, second));
        }
    });
    assert_eq!(store.current(&udid()).unwrap(), None, "it is damaged");
}

/// A run that puts `text` into a file, or leaves it as it was.
fn run(store: &Store, second: i64, path: &str, text: Option<&str>) {
    let (run, mut ledger) = begin(store, second);
    put(&run.tree(), "Status.plist", &format!("run {second}"));
    if let Some(text) = text {
        put(&run.tree(), path, text);
        hashed(&mut ledger, path, text);
    }
    run.commit(ledger, &copy(second)).unwrap();
}

#[test]
fn damage_follows_the_bytes_into_the_other_trees() {
    let id = "ab00000000000000000000000000000000000000";
    let path = format!("ab/{id}");
    for (name, second, old_too) in [
        ("one file with two names", None, true),
        ("another file of that name", Some("two"), false),
    ] {
        let (_dir, store) = store();
        run(&store, 10, &path, Some("one"));
        run(&store, 20, &path, second);
        let report = found(Level::L2, &[id]);
        learn(&store, &Which::Current, &report, Level::L4, 30);
        let all = store.versions(&udid()).unwrap();
        let damaged: Vec<_> = all.iter().map(|version| version.copy.is_none()).collect();
        assert_eq!(damaged, [old_too, true], "{name}");
    }
}

/// A run after damage was found: everything is sent again, whatever was begun before.
#[test]
fn what_is_damaged_is_not_built_upon() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, _) = begin(&store, 20);
    assert_eq!(run.kind(), RunKind::Incremental);
    run.pause(false).unwrap();
    learn(
        &store,
        &Which::Current,
        &found(Level::L2, &["abc"]),
        Level::L4,
        30,
    );

    let (run, _) = begin(&store, 40);
    assert_eq!(run.kind(), RunKind::Full, "what was begun is given up");
    assert_eq!(run.resumed(), 0);
    assert_eq!(run.tree().list("").unwrap().len(), 0);
    put(&run.tree(), "Status.plist", "half");
    run.pause(false).unwrap();
    let (run, mut ledger) = begin(&store, 50);
    assert_eq!(run.resumed(), 1, "what began from nothing is gone on with");
    put(&run.tree(), "Status.plist", "run 50");
    put(&run.tree(), "ab/abc", "one");
    hashed(&mut ledger, "ab/abc", "one");
    run.commit(ledger, &copy(50)).unwrap();
    assert!(store.current(&udid()).unwrap().is_some());
    let kept = &store.versions(&udid()).unwrap()[0];
    assert_eq!(kept.copy, None, "the version kept aside is not counted");
    let (run, _ledger) = begin(&store, 60);
    assert_eq!(run.kind(), RunKind::Incremental, "as usual");
    drop(run);
}

#[test]
fn damage_that_is_found_while_a_run_builds_on_it_ends_that_run() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    learn(
        &store,
        &Which::Current,
        &found(Level::L2, &["abc"]),
        Level::L4,
        30,
    );
    let refused = run.commit(ledger, &copy(20)).unwrap_err();
    assert!(matches!(refused, StoreError::BaseDamaged), "{refused}");
    assert!(store.current(&udid()).unwrap().is_none());
    let (run, _ledger) = begin(&store, 40);
    assert_eq!(run.kind(), RunKind::Full);
}

#[test]
fn what_nobody_verified_is_not_written_about() {
    let (_dir, store) = store();
    let folder = store.folder(&udid());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Status.plist"), "Finder's").unwrap();
    let held = store.open_version(&udid(), &Which::Current).unwrap();
    let known = store
        .learn(&held, &found(Level::L1, &["abc"]), Level::L4, at(10))
        .unwrap();
    assert_eq!(known, None);
    assert_eq!(store.standing(&udid()).unwrap(), None);
}
