//! P1 at each step that a run takes on the disk: the process is killed as it makes a system call, once for each call, and the
//! store is what it was before or what it was to become.
//!
//! By `strace`, where it is; where it is not, `interrupted` kills at moments of its own. With `BACKUPWATCH_TEST_THOROUGH` in
//! the environment all calls that change names are gone through and not only the decisive ones, which takes many minutes.

#![expect(clippy::unwrap_used, reason = "a helper of tests may fail as tests do")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backupwatch_backup::{Store, verify};
use backupwatch_core::Udid;
use common::{CONTENTS, UDID, World, persona, tree, verified};

/// Renames, the one exchange and the one sync of all.
const DECISIVE: [&str; 3] = ["rename", "renameat2", "syncfs"];
const THOROUGH: [&str; 10] = [
    "renameat",
    "unlink",
    "unlinkat",
    "linkat",
    "mkdir",
    "fsync",
    "pwrite64",
    "copy_file_range",
    "fchmod",
    "flock",
];

/// The child: backs up a phone whose contents depend on the seed. What it does on the disk, it does on one thread: the
/// calls are counted thread by thread.
#[test]
#[ignore = "run by another test, in a process that can be killed"]
fn child() {
    let Ok(root) = std::env::var("BACKUPWATCH_TEST_ROOT") else {
        return;
    };
    let seed = std::env::var("BACKUPWATCH_TEST_SEED").unwrap();
    let mut persona = persona();
    persona.contents =
        toml::from_str(&CONTENTS.replace("seed = 7", &format!("seed = {seed}"))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        verified(&World::at(persona, Path::new(&root)).back_up().await);
    });
}

fn child_of(command: &mut Command, root: &Path, seed: u32) -> bool {
    command
        .args(["child", "--exact", "--ignored"])
        .env("BACKUPWATCH_TEST_ROOT", root)
        .env("BACKUPWATCH_TEST_SEED", seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn run(root: &Path, seed: u32) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    assert!(child_of(&mut command, root, seed), "a run without a kill");
}

/// False when the call was not made that often.
fn run_and_kill(root: &Path, seed: u32, call: &str, number: usize) -> bool {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:signal=KILL:when={number}"))
        .arg(std::env::current_exe().unwrap());
    !child_of(&mut command, root, seed)
}

fn can_kill() -> bool {
    Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", "trace=rename"])
        .args(["-e", "inject=rename:signal=KILL:when=1", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What the store promises, as far as it can be seen in the folders.
struct Kept {
    current: BTreeMap<PathBuf, Vec<u8>>,
    versions: Vec<BTreeMap<PathBuf, Vec<u8>>>,
}

fn kept(root: &Path) -> Kept {
    let versions = root.join(".backupwatch/versions").join(UDID);
    let versions = std::fs::read_dir(versions).into_iter().flatten();
    Kept {
        current: tree(&root.join(UDID)),
        versions: versions.map(|entry| tree(&entry.unwrap().path())).collect(),
    }
}

#[test]
fn killed_at_each_system_call() {
    if !can_kill() {
        assert!(
            std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_none(),
            "strace cannot be used"
        );
        eprintln!("SKIPPED: strace is not here, or may not be used");
        return;
    }
    let udid = Udid::parse(UDID).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (base, root) = (dir.path().join("base"), dir.path().join("root"));
    run(&base, 7);
    run(&base, 8);
    let before = kept(&base);
    assert_eq!(before.versions.len(), 1);
    let thorough = std::env::var_os("BACKUPWATCH_TEST_THOROUGH").is_some();
    let calls = DECISIVE.iter().chain(THOROUGH.iter().filter(|_| thorough));
    let (mut kills, mut committed) = (0, 0);
    for call in calls {
        for number in 1.. {
            let _ = std::fs::remove_dir_all(&root);
            let copied = Command::new("cp").arg("-a").args([&base, &root]).status();
            assert!(copied.unwrap().success());
            if !run_and_kill(&root, 9, call, number) {
                break;
            }
            kills += 1;
            let what = format!("killed at {call} number {number}");
            let store = Store::open(&root).unwrap();
            store.reconcile().unwrap();
            store.reconcile().unwrap();
            let after = kept(&root);
            assert!(store.current(&udid).unwrap().is_some(), "{what}");
            if after.current == before.current {
                assert!(after.versions == before.versions, "{what}: no version");
            } else {
                committed += 1;
                let report = verify(&root.join(UDID), &udid).unwrap();
                assert!(report.is_verified(), "{what}: {report:?}");
                let kept = before.versions.iter().chain([&before.current]);
                assert!(
                    kept.into_iter().all(|tree| after.versions.contains(tree)),
                    "{what}: the backups before are not the versions"
                );
            }
            if number % 4 == 1 {
                run(&root, 10);
                assert!(kept(&root).versions.len() > 1, "{what}, and then a run");
            }
        }
    }
    eprintln!("{kills} kills, {committed} of them after the backup was made");
    assert!(kills >= 6 && committed >= 1 && committed < kills);
}
