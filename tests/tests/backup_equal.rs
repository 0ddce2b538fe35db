//! Our backup of a phone is the backup that others make of it: file by file, byte by byte.
//!
//! One phone is backed up by `backupwatch` and by idevicebackup2 in turn, each into a folder of its own, first whole and then
//! after something changed on it. It is one phone and not two from one seed, so that nothing that the phone chooses for itself
//! (keys, inodes, dates of files) can differ. What a phone makes anew for each snapshot does differ, honestly: `Status.plist`
//! names the snapshot and its date, and `Manifest.plist` the date of the first backup in that folder. Nothing else may.

use backupwatch_e2e::{
    peers,
    table::{Table, encrypted, plain},
    tree::Tree,
};
use backupwatch_sim::{mobilebackup2::How, persona::Persona};
use plist::{Dictionary, Value};
use std::path::{Path, PathBuf};

/// Files of a backup that are not blobs, and hold something that two backups may not share.
const STATUS: &str = "Status.plist";
const MANIFEST: &str = "Manifest.plist";
const INFO: &str = "Info.plist";

/// Keys of `Status.plist` that are the snapshot's own.
const OF_THE_SNAPSHOT: [&str; 2] = ["UUID", "Date"];
/// Key of `Manifest.plist` that the phone sets with the first backup in a folder.
const OF_THE_FOLDER: [&str; 1] = ["Date"];
/// Keys of `Info.plist` that each computer makes for itself.
const OF_THE_COMPUTER: [&str; 2] = ["GUID", "Last Backup Date"];
/// Finder writes it and idevicebackup2 does not.
const OURS_ALONE: &str = "Product Name";

fn dictionary(tree: &Tree, file: &str) -> Dictionary {
    let bytes = tree
        .bytes(file)
        .unwrap_or_else(|| panic!("there is no {file}"));
    Value::from_reader(std::io::Cursor::new(bytes))
        .ok()
        .and_then(Value::into_dictionary)
        .unwrap_or_else(|| panic!("{file} is no property list"))
}

/// The same keys, and the same values but for those of `aside`.
#[track_caller]
fn assert_same_plist(ours: &Tree, theirs: &Tree, file: &str, aside: &[&str]) {
    let (mut ours, theirs) = (dictionary(ours, file), dictionary(theirs, file));
    if file == INFO {
        assert!(ours.remove(OURS_ALONE).is_some(), "{OURS_ALONE:?}");
    }
    let names = |dictionary: &Dictionary| {
        let mut names: Vec<String> = dictionary.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&ours), names(&theirs), "the keys of {file}");
    for (key, value) in &ours {
        if !aside.contains(&key.as_str()) {
            assert_eq!(Some(value), theirs.get(key), "{key:?} of {file}");
        }
    }
}

/// `ours` and `theirs` are one backup. The number of blobs that were compared comes back.
#[track_caller]
fn assert_same(ours: &Path, theirs: &Path) -> usize {
    let (ours, theirs) = (Tree::of(ours), Tree::of(theirs));
    let named: Vec<_> = ours.names();
    assert_eq!(named, theirs.names(), "the names in the two trees");
    let mut compared = 0;
    for path in ours.0.keys() {
        if [STATUS, MANIFEST, INFO].contains(&path.as_str()) {
            continue;
        }
        // Manifest.db is among them, encrypted or not: the phone writes the same one for the same contents and keys.
        assert!(
            ours.bytes(path) == theirs.bytes(path),
            "the bytes of {path}"
        );
        compared += usize::from(path.contains('/'));
    }
    assert_same_plist(&ours, &theirs, STATUS, &OF_THE_SNAPSHOT);
    assert_same_plist(&ours, &theirs, MANIFEST, &OF_THE_FOLDER);
    assert_same_plist(&ours, &theirs, INFO, &OF_THE_COMPUTER);
    compared
}

fn how(table: &Table) -> (How, usize) {
    let finished = table.phone().phone().backup().finished();
    let finished = finished.expect("a backup has ended well");
    (finished.how, finished.uploaded)
}

/// Backs up with idevicebackup2 into a folder of its own.
fn they_back_up(table: &Table, tool: &Path) -> PathBuf {
    let root = table.home().join("theirs");
    std::fs::create_dir_all(&root).unwrap();
    let said = table.stranger(tool, &["backup", root.to_str().unwrap()]);
    assert!(
        said.ok() && said.out.contains("Backup Successful."),
        "{said:?}"
    );
    root.join(table.udid())
}

fn live_on(table: &Table) {
    table.phone().phone().backup().change(|catalog| {
        assert!(catalog.mutate(5.0) > 5);
        catalog
            .add("HomeDomain", "Library/new 🆕 Zoe\u{308}.txt", 777)
            .unwrap();
        catalog.delete("HomeDomain", "Library/empty").unwrap();
        catalog
            .rename("HomeDomain", "Library/note.txt", "Library/renamed.txt")
            .unwrap();
    });
}

fn in_turn(persona: Persona) {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(persona);
    let all = table.phone().phone().backup().catalog().files().count();

    table.back_up_well(&[]);
    assert_eq!(how(&table), (How::Full, all));
    let theirs = they_back_up(&table, &tool);
    assert_eq!(how(&table), (How::Full, all));
    assert_eq!(assert_same(&table.tree(), &theirs), all);

    live_on(&table);
    table.back_up_well(&[]);
    let (kind, sent) = how(&table);
    assert_eq!(kind, How::Incremental);
    assert!(
        (2..all / 4).contains(&sent),
        "{sent} of {all} files were sent"
    );
    let theirs = they_back_up(&table, &tool);
    assert_eq!(how(&table), (How::Incremental, sent));
    assert_same(&table.tree(), &theirs);

    // Nothing has changed: still the same, and nothing was sent.
    table.back_up_well(&[]);
    assert_eq!(how(&table), (How::Incremental, 0));
    assert_same(&table.tree(), &theirs);

    table.back_up_well(&["--full"]);
    assert_eq!(how(&table).0, How::Full);
    assert_same(&table.tree(), &theirs);
}

#[test]
fn a_plain_phone_has_one_backup_whoever_makes_it() {
    in_turn(plain());
}

#[test]
fn an_encrypted_phone_has_one_backup_whoever_makes_it() {
    in_turn(encrypted());
}

/// A person who comes from another program, or goes back to it: each goes on with the other's folder, incrementally.
#[test]
fn one_goes_on_where_the_other_stopped() {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    for persona in [plain(), encrypted()] {
        let table = Table::unix(persona);
        let root = table.root();
        std::fs::create_dir_all(&root).unwrap();
        let they = || {
            let said = table.stranger(&tool, &["backup", root.to_str().unwrap()]);
            assert!(said.out.contains("Backup Successful."), "{said:?}");
            table.assert_whole();
        };
        they();
        let first = Tree::of(&table.tree());
        live_on(&table);
        table.back_up_well(&[]);
        assert_eq!(how(&table).0, How::Incremental);
        // The version before ours is theirs, as it was.
        let versions = root.join(".backupwatch/versions").join(table.udid());
        let version = std::fs::read_dir(&versions).unwrap().next().unwrap();
        first.assert_untouched(&Tree::of(&version.unwrap().path()), "their backup");

        table
            .phone()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(5.0));
        they();
        assert_eq!(how(&table).0, How::Incremental);
        table.back_up_well(&[]);
        assert_eq!(how(&table), (How::Incremental, 0));
    }
}
