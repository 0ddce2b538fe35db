//! P1: whatever ends a run at whatever point, the backup that was current before stays as it is, byte for byte, and the next
//! run ends well.

#![expect(clippy::panic, reason = "a helper of tests may fail as tests do")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use backupwatch_backup::RunOptions;
use backupwatch_core::run::{RunEnd, RunFailure, RunReport};
use backupwatch_sim::persona::Persona;
use common::{CONTENTS, UDID, World, encrypted, failure, persona, tree, verified};
use tokio_util::sync::CancellationToken;

/// A world with one good backup, and a phone that has changed since.
async fn changed(persona: Persona) -> World {
    let world = World::new(persona);
    world.good_backup().await;
    change(&world);
    world
}

fn change(world: &World) {
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(30.0));
}

/// Bytes that an incremental run of a changed phone sends, measured.
async fn bytes_of_a_run(persona: fn() -> Persona) -> u64 {
    let world = changed(persona()).await;
    world.set_faults("stall_after = 0");
    world.no_faults();
    let report = world.back_up().await;
    verified(&report);
    report.bytes
}

async fn unplugged_everywhere(persona: fn() -> Persona, steps: u64) {
    let total = bytes_of_a_run(persona).await + 60_000;
    let world = changed(persona()).await;
    let mut before = world.current();
    let surroundings = world.surroundings();
    let mut unplugged = 0;
    for step in 0..steps {
        let after = total * step / steps;
        world.set_faults(&format!("unplug_after = {after}"));
        let report = world.back_up().await;
        world.handle().plug();
        match report.end {
            RunEnd::Failed(failure) => {
                assert_eq!(failure, RunFailure::Unplugged, "after {after} bytes");
                assert!(
                    world.current() == before,
                    "the current backup changed, after {after} bytes"
                );
                unplugged += 1;
            }
            // It went on from the attempts before, and had less to send than it takes to be unplugged.
            RunEnd::Verified(_) => {
                let verdict = world.handle().verdict(&world.root);
                assert!(verdict.is_whole(), "after {after} bytes: {verdict}");
                before = world.current();
                change(&world);
            }
        }
        // Every few times the phone loses its side of the attempt too.
        if step % 3 == 0 {
            world.set_faults("forget_snapshot = true");
        }
    }
    assert!(unplugged > steps / 2, "{unplugged} of {steps}");
    world.no_faults();
    world.good_backup().await;
    assert_eq!(world.surroundings(), surroundings);
}

#[tokio::test]
async fn unplugged_at_any_byte() {
    unplugged_everywhere(persona, 40).await;
}

#[tokio::test]
async fn unplugged_at_any_byte_of_an_encrypted_backup() {
    unplugged_everywhere(encrypted, 20).await;
}

#[tokio::test]
async fn unplugged_at_any_byte_of_the_first_backup() {
    let world = World::new(persona());
    for step in 0..20_u64 {
        world.set_faults(&format!(
            "unplug_after = {}\nforget_snapshot = true",
            step * 34_000
        ));
        let report = world.back_up().await;
        assert_eq!(failure(&report), RunFailure::Unplugged, "step {step}");
        assert!(
            !world.store.folder(&world.udid()).exists(),
            "there is no backup before there is a verified one"
        );
        assert_eq!(world.store.current(&world.udid()).unwrap(), None);
        world.handle().plug();
    }
    world.no_faults();
    world.good_backup().await;
}

/// A run after one that was dropped: the threads of that one have the lock until they have ended.
async fn when_free(world: &World) -> RunReport {
    for _ in 0..100 {
        let report = world.back_up().await;
        if report.end != RunEnd::Failed(RunFailure::StoreInUse) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the lock is never given back");
}

/// The future is dropped between two messages, as when the agent is stopped hard: no goodbye, no journal entry.
#[tokio::test]
async fn dropped_at_any_message() {
    let world = changed(persona()).await;
    let before = world.current();
    let mut steps = 1;
    let mut dropped = 0;
    loop {
        world.handle().single_step(true);
        let run = when_free(&world);
        let stepping = async {
            let handle = world.handle();
            for _ in 0..steps {
                handle.step().await;
            }
        };
        let ended = tokio::select! {
            report = run => Some(report),
            () = stepping => None,
        };
        world.handle().single_step(false);
        if let Some(report) = ended {
            verified(&report);
            break;
        }
        assert!(
            world.current() == before,
            "the current backup changed, at message {steps}"
        );
        dropped += 1;
        steps = steps * 5 / 4 + 1;
    }
    assert!(dropped > 15, "{dropped} interruptions");
    let verdict = world.handle().verdict(&world.root);
    assert!(verdict.is_whole(), "{verdict}");
}

#[tokio::test]
async fn checklist_42_the_next_run_goes_on_from_an_interrupted_one() {
    let world = World::new(persona());
    world.set_faults("unplug_after = 550_000");
    let first = world.back_up().await;
    assert_eq!(failure(&first), RunFailure::Unplugged);
    let work = tree(&world.root.join(".backupwatch/work").join(UDID));
    assert!(
        work.keys().any(|path| path.ends_with("Status.plist")),
        "the phone's status stays"
    );
    assert!(
        work.keys().any(|path| path.starts_with("Snapshot")),
        "and what it sent"
    );
    world.no_faults();
    world.handle().plug();
    let second = world.back_up().await;
    verified(&second);
    assert!(
        second.bytes + first.bytes / 2 < first.bytes + 550_000,
        "{} then {}",
        first.bytes,
        second.bytes
    );
    assert!(world.handle().verdict(&world.root).is_whole());
}

/// The last thing that the phone heard on the link of the backup.
fn last_message(world: &World) -> String {
    let seen = world.handle().seen().into_iter().rev();
    let mut names = seen.map(|seen| seen.name);
    names
        .find(|name| name == "Backup" || name.starts_with("DLMessage"))
        .unwrap_or_default()
}

#[tokio::test]
async fn cancelling_is_polite_and_resumable() {
    let world = changed(persona()).await;
    let before = world.current();
    // Before the backup is asked for, and in the middle of it.
    for moment in ["Browse", "DLMessageStatusResponse"] {
        world.set_faults("stall_after = 200_000");
        let cancel = CancellationToken::new();
        let (handle, later) = (world.handle(), cancel.clone());
        let seen = |handle: &backupwatch_sim::phone::PhoneHandle| {
            handle
                .seen()
                .iter()
                .filter(|seen| seen.name == moment)
                .count()
        };
        let earlier = seen(&handle);
        let watching = async {
            while seen(&handle) == earlier {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            later.cancel();
        };
        let run = world.back_up_with(RunOptions::default(), cancel);
        let ((report, _), ()) = tokio::join!(run, watching);
        assert!(
            matches!(failure(&report), RunFailure::Cancelled { .. }),
            "{moment}: {report:?}"
        );
        assert!(world.current() == before, "{moment}");
        let phone = world.handle().phone().clone();
        assert!(
            !phone.sync_locked(),
            "{moment}: the sync lock was given back"
        );
        // In the middle of a stream of files, and of a message, there is no place for a goodbye, and the link just ends: the
        // phone hears nothing more. Otherwise it hears one, a moment after we have said it.
        let heard = async {
            while last_message(&world) != "DLMessageDisconnect" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let polite = tokio::time::timeout(Duration::from_secs(2), heard).await;
        let last = last_message(&world);
        assert!(
            polite.is_ok() || last == "DLMessageStatusResponse" || last == "Backup",
            "{moment}: {last}"
        );
        world.no_faults();
    }
    world.good_backup().await;
}

/// The child of [`killed_at_any_moment`]: backs a phone up, of which the contents depend on the argument.
#[tokio::test]
#[ignore = "run by another test, in a process that can be killed"]
async fn child() {
    let Ok(root) = std::env::var("BACKUPWATCH_TEST_ROOT") else {
        return;
    };
    let mut persona = persona();
    let seed = std::env::var("BACKUPWATCH_TEST_SEED").unwrap();
    persona.contents =
        toml::from_str(&CONTENTS.replace("seed = 7", &format!("seed = {seed}"))).unwrap();
    persona.backup.batch = 4;
    let world = World::at(persona, std::path::Path::new(&root));
    world.set_faults(&std::env::var("BACKUPWATCH_TEST_FAULTS").unwrap_or_default());
    verified(&world.back_up().await);
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let start = |seed: &str, faults: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored"])
            .env("BACKUPWATCH_TEST_ROOT", &root)
            .env("BACKUPWATCH_TEST_SEED", seed)
            .env("BACKUPWATCH_TEST_FAULTS", faults)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let begun = std::time::Instant::now();
    assert!(start("7", "").wait().unwrap().success());
    let whole = begun.elapsed();
    let current = root.join(UDID);
    let mut killed = 0;
    let mut last = tree(&current);
    for round in 1..=20_u32 {
        // Another seed is another phone with the same files: all of them are sent anew.
        let mut child = start(
            &round.to_string(),
            if round % 2 == 0 {
                "drip = 4_000_000"
            } else {
                ""
            },
        );
        // Spread over the run, in no order; a busy machine may have made the first run a slow one.
        std::thread::sleep(whole * (1 + round * 7 % 20) / 24);
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        // What a start of the agent does.
        let store = backupwatch_backup::Store::open(&root).unwrap();
        store.reconcile().unwrap();
        let now = tree(&current);
        let udid = backupwatch_core::Udid::parse(UDID).unwrap();
        assert!(
            store.current(&udid).unwrap().is_some(),
            "round {round}: the current backup is a verified one"
        );
        if now != last {
            let report = backupwatch_backup::verify(&current, &udid).unwrap();
            assert!(report.is_verified(), "round {round}: {report:?}");
            last = now;
        }
    }
    assert!(killed >= 5, "{killed} of 20 were killed");
    assert!(start("99", "").wait().unwrap().success());
}
