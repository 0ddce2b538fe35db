//! Manifest.db: a file of a phone, and a database. What `verify` says of it is held against a reading of our own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_backup::verify::{Deep, Sample, VerifyReport, deep, verify};
use backupwatch_core::Level;
use rusqlite::{Connection, OpenFlags, params};

use super::place::{Place, memory, tree};

/// What the first byte of an input chooses.
const WHOLE_FILE: u8 = 0;
const ENCRYPTED: u8 = 1;

pub fn target(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    let place = Place::with_backup();
    let folder = place.current();
    let manifest = folder.join("Manifest.db");
    match choice % 3 {
        WHOLE_FILE => fs::write(&manifest, input).unwrap(),
        ENCRYPTED => {
            encrypt(&folder.join("Manifest.plist"));
            fs::write(&manifest, input).unwrap();
        }
        // Rows of the input's own in a manifest that is one.
        _ => rows(&manifest, input),
    }
    let before = tree(&folder);
    let report =
        verify(&folder, place.udid()).expect("whatever a file holds is no error of the disk");
    let deep = look_deep(&place);
    assert!(tree(&folder) == before, "a check changes nothing");
    for report in [&report, &deep] {
        assert_eq!(report.wrong == 0, report.findings.is_empty());
        assert!(report.missing <= report.wrong);
    }
    assert!(
        deep.wrong > 0 || report.wrong == 0,
        "{report:?} and {deep:?}"
    );
    if report.is_verified() && !report.encrypted {
        let known = ids(&manifest);
        let there = blobs(&folder);
        assert_eq!(known, there, "called verified: {report:?}");
    }
}

/// Everything that can be checked without hashes and password.
fn look_deep(place: &Place) -> VerifyReport {
    let how = Deep {
        level: Level::L4,
        password: None,
        sample: Sample::All,
        ledger: None,
        scratch: &memory(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    deep(&place.current(), place.udid(), &how, &|_| {}, &stop).expect("a readable disk")
}

fn encrypt(path: &Path) {
    let mut list = plist::Value::from_file(path).unwrap();
    let dictionary = list.as_dictionary_mut().unwrap();
    for key in ["BackupKeyBag", "ManifestKey"] {
        dictionary.insert(key.to_owned(), plist::Value::Data(vec![1]));
    }
    dictionary.insert("IsEncrypted".to_owned(), true.into());
    list.to_file_binary(path).unwrap();
}

/// Each row is a byte for what it is, one for the length of its archive, and the archive.
fn rows(manifest: &Path, mut input: &[u8]) {
    let db = Connection::open(manifest).unwrap();
    // One commit for all rows, and nobody waits for a disk.
    db.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY; BEGIN")
        .unwrap();
    while let [kind, length, rest @ ..] = input {
        let (archive, rest) = rest.split_at(rest.len().min((*length).into()));
        let id = format!("{kind:02x}{:038x}", length);
        let flags = i64::from(kind % 6);
        let path = String::from_utf8_lossy(archive);
        // The same name twice is what the database itself refuses.
        let _ = db.execute(
            "INSERT OR REPLACE INTO Files (fileID, domain, relativePath, flags, file) VALUES (?1, 'HomeDomain', ?2, ?3, ?4)",
            params![id, path, flags, archive],
        );
        input = rest;
    }
    db.execute_batch("COMMIT; PRAGMA journal_mode=DELETE")
        .unwrap();
    db.close().unwrap();
}

/// The files that the manifest names, as SQLite reads it without our care.
fn ids(manifest: &Path) -> BTreeSet<String> {
    let db = Connection::open_with_flags(manifest, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query = db
        .prepare("SELECT fileID FROM Files WHERE flags = 1")
        .unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn blobs(folder: &Path) -> BTreeSet<String> {
    let names = tree(folder).into_keys().filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        (name.len() == 40).then_some(name)
    });
    names.collect()
}
