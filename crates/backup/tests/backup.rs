//! Backups that end well, of a phone that speaks the real protocol: what is on the disk is what the phone sent.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use backupwatch_backup::RunOptions;
use backupwatch_backup::verify::{Finding, ManifestFault};
use backupwatch_core::Level;
use backupwatch_core::run::{Phase, RunKind};
use backupwatch_sim::persona::Persona;
use common::{World, encrypted, persona, verified};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_first_backup_is_whole_and_verified() {
    let world = World::new(persona());
    let (report, progress) = world
        .back_up_with(RunOptions::default(), CancellationToken::new())
        .await;
    let copy = verified(&report);
    assert_eq!(
        (copy.level, copy.encrypted, report.kind),
        (Level::L2, false, RunKind::Full)
    );
    let verdict = world.handle().verdict(&world.root);
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(copy.files, verdict.files as u64);
    assert_eq!(progress.last().unwrap().percent, Some(100.0));
    let mut phases: Vec<Phase> = progress.iter().map(|at| at.phase).collect();
    phases.dedup();
    assert!(
        phases.ends_with(&[Phase::Moving, Phase::Verifying, Phase::Committing]),
        "{phases:?}"
    );
    assert_eq!(
        world.handle().phone().backup().violations(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_incremental_backup_sends_what_changed_and_keeps_the_version_before() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    world.handle().phone().backup().change(|catalog| {
        catalog.mutate(10.0);
        catalog.delete("HomeDomain", "Library/empty").unwrap();
        catalog.add("HomeDomain", "Library/new", 70_000).unwrap();
    });
    let report = world.back_up().await;
    verified(&report);
    assert_eq!(report.kind, RunKind::Incremental);
    assert!(report.files < 20, "{} files", report.files);
    let verdict = world.handle().verdict(&world.root);
    assert!(verdict.is_whole(), "{verdict}");
    let versions = world.root.join(".backupwatch/versions").join(common::UDID);
    let names: Vec<_> = std::fs::read_dir(&versions)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(names.len(), 1);
    assert!(
        common::tree(&names[0]) == before,
        "the version is the backup before, byte for byte"
    );
}

#[tokio::test]
async fn an_encrypted_backup_is_verified_by_its_hashes() {
    let world = World::new(encrypted());
    let copy = world.good_backup().await;
    assert_eq!((copy.level, copy.encrypted), (Level::L1, true));
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    world.good_backup().await;
}

/// A copy of a good tree with one thing wrong, and what is said of it.
type Damage = (&'static str, fn(&Path), fn(&Finding) -> bool);

fn a_blob(tree: &Path, at_least: u64) -> PathBuf {
    let all = common::tree(tree).into_keys();
    let mut blobs: Vec<PathBuf> = all.map(|path| tree.join(path)).collect();
    blobs.retain(|path| {
        path.is_file() && path.parent() != Some(tree) && path.metadata().unwrap().len() >= at_least
    });
    blobs.sort();
    blobs.swap_remove(0)
}

fn plist(tree: &Path, name: &str, change: fn(&mut plist::Dictionary)) {
    let path = tree.join(name);
    let mut value = plist::Value::from_file(&path).unwrap();
    change(value.as_dictionary_mut().unwrap());
    value.to_file_binary(&path).unwrap();
}

const PLAIN: [Damage; 14] = [
    (
        "a blob is gone",
        |t| fs::remove_file(a_blob(t, 0)).unwrap(),
        |f| matches!(f, Finding::BlobMissing { .. }),
    ),
    (
        "a blob is short",
        |t| {
            File::options()
                .write(true)
                .open(a_blob(t, 9))
                .unwrap()
                .set_len(8)
                .unwrap()
        },
        |f| matches!(f, Finding::BlobSize { found: 8, .. }),
    ),
    (
        "a blob too many",
        |t| fs::write(t.join("00/0000000000000000000000000000000000000000"), b"").unwrap(),
        |f| matches!(f, Finding::Stray { .. }),
    ),
    (
        "a folder is gone",
        |t| fs::remove_dir_all(a_blob(t, 0).parent().unwrap()).unwrap(),
        |f| matches!(f, Finding::BlobMissing { .. }),
    ),
    (
        "Snapshot is still there",
        |t| fs::create_dir(t.join("Snapshot")).unwrap(),
        |f| matches!(f, Finding::Stray { .. }),
    ),
    (
        "no Status.plist",
        |t| fs::remove_file(t.join("Status.plist")).unwrap(),
        |f| {
            matches!(
                f,
                Finding::FileMissing {
                    name: "Status.plist"
                }
            )
        },
    ),
    (
        "not finished",
        |t| {
            plist(t, "Status.plist", |d| {
                drop(d.insert("SnapshotState".into(), "moving".into()))
            })
        },
        |f| matches!(f, Finding::NotFinished { .. }),
    ),
    (
        "Manifest.plist is empty",
        |t| fs::write(t.join("Manifest.plist"), b"").unwrap(),
        |f| {
            matches!(
                f,
                Finding::FileUnreadable {
                    name: "Manifest.plist",
                    ..
                }
            )
        },
    ),
    (
        "another phone's Info.plist",
        |t| {
            plist(t, "Info.plist", |d| {
                drop(d.insert("Unique Identifier".into(), "X".into()))
            })
        },
        |f| matches!(f, Finding::WrongPhone { name: "Info.plist" }),
    ),
    (
        "no Info.plist",
        |t| fs::remove_file(t.join("Info.plist")).unwrap(),
        |f| matches!(f, Finding::FileMissing { name: "Info.plist" }),
    ),
    (
        "Manifest.db is empty",
        |t| fs::write(t.join("Manifest.db"), b"").unwrap(),
        |f| matches!(f, Finding::Manifest(ManifestFault::Empty)),
    ),
    (
        "Manifest.db is gone",
        |t| fs::remove_file(t.join("Manifest.db")).unwrap(),
        |f| {
            matches!(
                f,
                Finding::FileMissing {
                    name: "Manifest.db"
                }
            )
        },
    ),
    (
        "Manifest.db is cut",
        |t| {
            File::options()
                .write(true)
                .open(t.join("Manifest.db"))
                .unwrap()
                .set_len(8192)
                .unwrap()
        },
        |f| matches!(f, Finding::Manifest(_) | Finding::Stray { .. }),
    ),
    (
        "Manifest.db is noise",
        |t| fs::write(t.join("Manifest.db"), [7; 4096]).unwrap(),
        |f| matches!(f, Finding::Manifest(ManifestFault::Encrypted)),
    ),
];

const ENCRYPTED: [Damage; 3] = [
    (
        "Manifest.db is plain",
        |t| fs::write(t.join("Manifest.db"), b"SQLite format 3\0rest").unwrap(),
        |f| matches!(f, Finding::Manifest(ManifestFault::Plain)),
    ),
    (
        "Manifest.db is cut",
        |t| {
            File::options()
                .write(true)
                .open(t.join("Manifest.db"))
                .unwrap()
                .set_len(17)
                .unwrap()
        },
        |f| matches!(f, Finding::Manifest(ManifestFault::Cut)),
    ),
    (
        "no key",
        |t| plist(t, "Manifest.plist", |d| drop(d.remove("ManifestKey"))),
        |f| {
            matches!(
                f,
                Finding::FileUnreadable {
                    name: "Manifest.plist",
                    ..
                }
            )
        },
    ),
];

async fn every_damage_is_found(persona: Persona, damages: &[Damage]) {
    let world = World::new(persona);
    world.good_backup().await;
    let good = world.store.folder(&world.udid());
    assert!(
        backupwatch_backup::verify(&good, &world.udid())
            .unwrap()
            .is_verified()
    );
    for (name, damage, said) in damages {
        let copy = world.outside.path().join(name.replace(' ', "-"));
        for (path, content) in common::tree(&good) {
            let (from, to) = (good.join(&path), copy.join(&path));
            fs::create_dir_all(if from.is_dir() {
                &to
            } else {
                to.parent().unwrap()
            })
            .unwrap();
            if !from.is_dir() {
                fs::write(to, content).unwrap();
            }
        }
        damage(&copy);
        let report = backupwatch_backup::verify(&copy, &world.udid()).unwrap();
        assert!(!report.is_verified(), "{name}: {report:?}");
        assert!(report.findings.iter().any(said), "{name}: {report:?}");
    }
}

#[tokio::test]
async fn every_damage_of_a_plain_tree_is_found() {
    every_damage_is_found(persona(), &PLAIN).await;
}

#[tokio::test]
async fn every_damage_of_an_encrypted_tree_that_shows_without_its_password_is_found() {
    every_damage_is_found(encrypted(), &ENCRYPTED).await;
}
