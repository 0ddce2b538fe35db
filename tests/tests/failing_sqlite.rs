//! P1 with the very binary, where SQLite fails: it has its own way to the disk, on which the hashes of a backup are written and
//! its list is read. Each of its calls in turn ends with an error, as from a disk that is broken or full; the backup before is
//! there to the byte, nothing is called verified that is not, the person is told in a sentence, and the next run ends well.
//!
//! A library of a few lines stands between SQLite and the system (`sqlite_fails.c`). The program's own operations on the disk
//! fail one by one in `crates/backup/src/breaking/nth_failure.rs`.
#![cfg(target_os = "linux")]

use backupwatch_backup::Store;
use backupwatch_core::Udid;
use backupwatch_e2e::{
    blow::{Broken, change, few},
    peers,
    table::{PASSWORD, PATIENCE, Said, Table},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Calls of one kind that fail, evenly among all that a run makes: each costs two backups.
const SAMPLES: usize = 10;

/// What a call ends with, and whether all after it do.
#[derive(Debug, Clone, Copy)]
struct Fault {
    name: &'static str,
    errno: u32,
    for_good: bool,
}

const FAULTS: [Fault; 3] = [
    Fault {
        name: "EIO once",
        errno: 5,
        for_good: false,
    },
    Fault {
        name: "EIO from then on",
        errno: 5,
        for_good: true,
    },
    Fault {
        name: "ENOSPC from then on",
        errno: 28,
        for_good: true,
    },
];

/// `None` where no C compiler is; SQLite itself was built by one.
fn library(folder: &Path) -> Option<PathBuf> {
    let compiler = peers::find("cc")?;
    let (source, library) = (
        folder.join("sqlite_fails.c"),
        folder.join("sqlite_fails.so"),
    );
    fs::write(&source, include_str!("../src/sqlite_fails.c")).expect("a file can be written");
    let mut build = Command::new(compiler);
    build
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    let built = peers::run(build.arg("-ldl"), PATIENCE);
    assert!(built.status.success(), "{}", peers::words(&built));
    Some(library)
}

/// A backup in which a call fails, and what SQLite's calls were. Those that failed begin with an exclamation mark.
fn back_up(table: &Table, library: &Path, fault: Fault, at: usize) -> (Said, Vec<String>) {
    let log = table.home().join("sqlite.log");
    let _ = fs::remove_file(&log);
    let mut run = table.ours(&["backup"]);
    run.arg("--root").arg(table.root());
    run.env("LD_PRELOAD", library)
        .env("SQLITE_FAILS_LOG", &log)
        .env("SQLITE_FAILS_AT", at.to_string())
        .env("SQLITE_FAILS_WITH", fault.errno.to_string())
        .env(
            "SQLITE_FAILS_FOR_GOOD",
            u8::from(fault.for_good).to_string(),
        );
    let said = peers::run(&mut run, PATIENCE).into();
    let log = fs::read_to_string(&log).unwrap_or_default();
    (said, log.lines().map(str::to_owned).collect())
}

fn each_call(password: Option<&str>) {
    let table = Table::unix(few(password));
    let Some(library) = library(table.home()) else {
        return;
    };
    table.back_up_well(&[]);
    for fault in FAULTS {
        change(&table);
        let (said, calls) = back_up(&table, &library, fault, 0);
        assert!(said.ok(), "with no failure: {said:?}");
        assert!(calls.len() > SAMPLES, "{}: {calls:?}", fault.name);
        let (mut struck, mut verified) = (0, 0);
        for sample in 0..SAMPLES {
            let at = 1 + sample * (calls.len() - 1) / (SAMPLES - 1);
            change(&table);
            let broken = Broken::expect(&table, format!("{}, call {at}", fault.name));
            let (said, calls) = back_up(&table, &library, fault, at);
            let first = calls.iter().find_map(|call| call.strip_prefix('!'));
            struck += usize::from(first.is_some());
            assert!(
                !said.ok() || !first.is_some_and(|call| counts(call, &table.udid())),
                "{}, {first:?}: {said:?}",
                broken.at()
            );
            verified += usize::from(said.ok());
            assert_told(&said, broken.at());
            broken.assert_kept();
            if said.ok() {
                assert_verified(&table, broken.at());
            }
            broken.assert_well_again(sample % 2 == 1);
        }
        eprintln!(
            "{}: {struck} of {} calls, {verified} runs ended well",
            fault.name,
            calls.len()
        );
        // One change more or less is a page more or less.
        assert!(struck + 2 >= SAMPLES, "{}: {struck}", fault.name);
        assert!(verified < struck, "{}: no run met it", fault.name);
    }
}

/// Whether a run in which this failed proves nothing: a hash was not written down, or the list not read. Without the hashes of
/// the backup before, which have another name, it begins with nothing.
fn counts(call: &str, udid: &str) -> bool {
    let bytes = call.starts_with("read") || call.starts_with("write");
    bytes && (call.contains(udid) || call.contains("Manifest.db"))
}

/// What a person is told of a disk that fails.
const FAILED: [&str; 2] = [
    "on this computer failed",
    "which is not enough for a backup",
];

/// A word of success, or one sentence about what went wrong.
fn assert_told(said: &Said, at: &str) {
    let told = match said.code {
        Some(0) => said.out.contains("was checked on disk"),
        Some(7) => FAILED.iter().any(|words| said.out.contains(words)),
        Some(8) => said.out.contains("found fault"),
        Some(_) | None => false,
    };
    let log = said.err.contains("panicked") || said.err.contains("ERROR");
    assert!(told && !log, "{at}: {said:?}");
}

/// It said so: then it is so.
fn assert_verified(table: &Table, at: &str) {
    table.assert_whole();
    let udid = Udid::parse(&table.udid()).expect("a UDID");
    let copy = Store::open(&table.root()).and_then(|store| store.current(&udid));
    assert!(copy.is_ok_and(|copy| copy.is_some()), "{at}");
}

#[test]
fn each_call_of_sqlite_fails_in_an_incremental_backup() {
    each_call(None);
}

#[test]
fn each_call_of_sqlite_fails_in_an_encrypted_backup() {
    each_call(Some(PASSWORD));
}
