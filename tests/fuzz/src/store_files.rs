//! The store's own files: somebody's disk, perhaps damaged, perhaps written by nobody's friend. What they say must never cost
//! the current backup.

use std::fs;
use std::path::PathBuf;

use super::place::{Place, UDID, tree};
use super::script;

pub fn target(input: &[u8]) {
    let Some((which, content)) = input.split_first() else {
        return;
    };
    let place = Place::broken_off();
    let Some(path) = files(&place).into_iter().nth((which % 5).into()) else {
        return;
    };
    fs::write(&path, content).unwrap();

    let before = tree(&place.current());
    let Ok(store) = backupwatch_backup::Store::open(place.store().root()) else {
        return;
    };
    let _ = (
        store.phones(),
        store.current(place.udid()),
        store.reconcile(),
    );
    assert!(
        tree(&place.current()) == before,
        "what is current was changed before any run"
    );
    let surroundings = place.surroundings();
    let (report, _) = place.run(script::changed(), None);
    assert!(place.surroundings() == surroundings);
    place.judge(&report, &before);
}

/// The marker, the journal, the hashes of the attempt, and what was verified of the current tree: its hashes and its record.
fn files(place: &Place) -> Vec<PathBuf> {
    let copies = fs::read_dir(place.ours("copies").join(UDID)).unwrap();
    let mut copies: Vec<PathBuf> = copies.map(|entry| entry.unwrap().path()).collect();
    copies.sort();
    let first = [
        place.ours("marker.json"),
        place.ours("journal").join(format!("{UDID}.json")),
        place.ours("work").join(format!("{UDID}.ledger")),
    ];
    first.into_iter().chain(copies).collect()
}
