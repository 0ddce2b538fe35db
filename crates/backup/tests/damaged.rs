//! What disks and cables do over the years: no damage may make each backup from then on fail, and no bad luck may throw away
//! what arrived.

#![expect(clippy::unwrap_used, reason = "a helper of tests may fail as tests do")]

mod common;

use std::path::PathBuf;

use backupwatch_core::run::{RunEnd, RunFailure, RunKind};
use common::{CONTENTS, UDID, World, encrypted, failure, persona, tree, verified};

/// The hashes of the current backup.
fn ledger(world: &World) -> PathBuf {
    let copies = world.root.join(".backupwatch/copies").join(UDID);
    let mut ledgers = std::fs::read_dir(copies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "ledger"));
    let one = ledgers.next().unwrap();
    assert!(ledgers.next().is_none());
    one
}

/// Rot in the hashes, at its head or only in a page, is got over by a full backup, at once: the phone is not told of files that the new tree will not begin with.
#[tokio::test]
async fn damaged_hashes_do_not_end_all_backups() {
    for (mut persona, page) in [(persona(), 0), (persona(), 3), (encrypted(), 3)] {
        persona.contents = toml::from_str(&CONTENTS.replace("count = 40", "count = 400")).unwrap();
        let world = World::new(persona);
        world.good_backup().await;
        let path = ledger(&world);
        let mut bytes = std::fs::read(&path).unwrap();
        let damaged = bytes.chunks_mut(4096).nth(page).expect("many pages");
        damaged.fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        world
            .handle()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(5.0));
        let report = world.back_up().await;
        verified(&report);
        assert_eq!(report.kind, RunKind::Full, "page {page}");
        assert!(world.handle().verdict(&world.root).is_whole());
        world.good_backup().await;
    }
}

/// A ledger that is gone, as when somebody tidied up: the backup is not.
#[tokio::test]
async fn without_its_hashes_a_backup_is_gone_on_from_all_the_same() {
    let world = World::new(persona());
    world.good_backup().await;
    std::fs::remove_file(ledger(&world)).unwrap();
    world.good_backup().await;
}

fn arrived(world: &World) -> usize {
    tree(&world.root.join(".backupwatch/work").join(UDID))
        .keys()
        .filter(|path| path.starts_with("Snapshot") && path.components().count() == 3)
        .count()
}

/// A bad cable, and then one misunderstanding: hours of a first backup are not thrown away for that.
#[tokio::test]
async fn a_tree_is_begun_anew_only_after_failures_on_end_that_may_be_its_own() {
    let world = World::new(persona());
    for after in [300_000, 450_000, 100_000] {
        world.set_faults(&format!("unplug_after = {after}"));
        assert_eq!(failure(&world.back_up().await), RunFailure::Unplugged);
        world.handle().plug();
    }
    let rubbish = "[[rogue]]\nat = \"moving\"\nsend = \"rubbish\"";
    let has_arrived = arrived(&world);
    assert!(has_arrived > 0);
    for round in 1..=3 {
        world.set_faults(rubbish);
        let failure = failure(&world.back_up().await);
        assert!(matches!(failure, RunFailure::Protocol(_)), "{failure:?}");
        world.handle().plug();
        assert_eq!(arrived(&world) >= has_arrived, round < 3, "round {round}");
    }
    world.no_faults();
    verified(&world.back_up().await);
}

/// In an encrypted backup, files that another program received can be read and no more: that is said with the backup.
#[tokio::test]
async fn what_another_program_received_is_told_apart() {
    for (persona, told) in [(persona(), false), (encrypted(), true)] {
        let world = World::new(persona);
        world.good_backup().await;
        std::fs::remove_dir_all(world.root.join(".backupwatch/copies")).unwrap();
        assert_eq!(world.store.current(&world.udid()).unwrap(), None);
        let report = world.back_up().await;
        verified(&report);
        let tells = |text: &String| text.contains("received by another program");
        assert_eq!(report.warnings.iter().any(tells), told, "{report:?}");
        let report = world.back_up().await;
        assert!(!report.warnings.iter().any(tells), "once: {report:?}");
    }
}

fn chattr(flag: &str, folder: &std::path::Path) -> bool {
    std::process::Command::new("chattr")
        .arg(flag)
        .arg(folder)
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn thaw(folders: &[PathBuf]) {
    for folder in folders {
        chattr("-i", folder);
    }
}

/// This computer's own trouble, which may be gone the next time, is no reason to throw away what arrived.
#[tokio::test]
async fn a_tree_outlives_the_trouble_of_this_computer() {
    let world = World::new(persona());
    world.set_faults("unplug_after = 450_000");
    assert_eq!(failure(&world.back_up().await), RunFailure::Unplugged);
    world.handle().plug();
    world.no_faults();
    let snapshot = world
        .root
        .join(".backupwatch/work")
        .join(UDID)
        .join("Snapshot");
    let folders: Vec<_> = (0..=255_u8)
        .map(|n| snapshot.join(format!("{n:02x}")))
        .collect();
    if !folders.iter().all(|folder| chattr("+i", folder)) {
        thaw(&folders);
        eprintln!("SKIPPED: files cannot be made immutable here");
        return;
    }
    let has_arrived = arrived(&world);
    let report = world.back_up().await;
    thaw(&folders);
    assert!(matches!(report.end, RunEnd::Failed(_)), "{report:?}");
    assert!(!report.refused.is_empty());
    assert_eq!(arrived(&world), has_arrived);
    verified(&world.back_up().await);
}
