//! Backups that end well, of a phone that speaks the real protocol: what is on the disk is what the phone sent.

mod common;

use backupwatch_backup::RunOptions;
use backupwatch_core::Level;
use backupwatch_core::run::{Phase, RunKind};
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
