//! Real programs: who may be run, how they end, and that nothing of them is left.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::*;

/// A script that only its owner can change, in a folder that is.
fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    mode(&path, 0o700);
    path
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn order(dir: &Path, program: &Path, limit: u64) -> Order {
    Order {
        words: vec![program.display().to_string(), "one word".to_owned()],
        environment: vec![("BACKUPWATCH_DEVICE_NAME", "Ada's $HOME; rm -rf /".into())],
        folder: dir.to_owned(),
        limit: Duration::from_secs(limit),
    }
}

#[test]
fn only_a_program_that_nobody_else_can_change_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "exit 0");
    assert!(check(&path).is_ok());
    for bad in [0o720, 0o702, 0o777] {
        mode(&path, bad);
        assert!(
            matches!(check(&path), Err(UnsafeProgram::Others { .. })),
            "{bad:o}"
        );
    }
    mode(&path, 0o600);
    assert!(matches!(
        check(&path),
        Err(UnsafeProgram::NotAProgram { .. })
    ));
    mode(&path, 0o700);
    mode(dir.path(), 0o770);
    assert!(
        matches!(check(&path), Err(UnsafeProgram::Others { .. })),
        "the folder"
    );
    mode(dir.path(), 0o700);
    assert!(matches!(
        check(dir.path()),
        Err(UnsafeProgram::NotAProgram { .. })
    ));
    assert!(matches!(
        check(&dir.path().join("missing")),
        Err(UnsafeProgram::Io { .. })
    ));

    // A link that somebody else could turn round.
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    mode(&open, 0o777);
    std::os::unix::fs::symlink(&path, open.join("link")).unwrap();
    assert!(matches!(
        check(&open.join("link")),
        Err(UnsafeProgram::Others { .. })
    ));
}

#[tokio::test]
async fn what_it_is_told_and_how_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(
        dir.path(),
        "env > told; echo \"$1\" >> told; pwd >> told; cat >> told; echo it broke >&2; exit 3",
    );
    let end = run(order(dir.path(), &path, 10), CancellationToken::new()).await;
    assert_eq!(
        end.to_string(),
        "failed with code 3; its last words: it broke"
    );
    let told = std::fs::read_to_string(dir.path().join("told")).unwrap();
    let mut names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    // The shell adds the last two by itself.
    names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
    assert_eq!(names, ["BACKUPWATCH_DEVICE_NAME", "HOME", "PATH"], "{told}");
    assert!(
        told.contains("BACKUPWATCH_DEVICE_NAME=Ada's $HOME; rm -rf /\n"),
        "{told}"
    );
    assert!(told.contains("\none word\n"), "{told}");
    assert!(
        told.ends_with(&format!(
            "{}\n",
            dir.path().canonicalize().unwrap().display()
        )),
        "{told}"
    );

    let path = script(dir.path(), "exit 0");
    let end = run(order(dir.path(), &path, 10), CancellationToken::new()).await;
    assert_eq!(end.to_string(), "ended well");
    let end = run(
        order(dir.path(), &dir.path().join("missing"), 10),
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(end, End::NotStarted(_)), "{end:?}");
}

/// Its children too, even those that do not want to.
#[tokio::test]
async fn what_takes_too_long_is_ended_with_its_children() {
    for cancelled in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = script(
            dir.path(),
            "(trap '' TERM; echo $$ > /dev/null; sh -c 'echo $PPID > child; exec sleep 60' ; sleep 60) & echo begun; wait",
        );
        let cancel = CancellationToken::new();
        let order = order(dir.path(), &path, if cancelled { 60 } else { 1 });
        let begin = Instant::now();
        let stop = async {
            if cancelled {
                tokio::time::sleep(Duration::from_millis(500)).await;
                cancel.cancel();
            }
        };
        let (end, ()) = tokio::join!(run(order, cancel.clone()), stop);
        assert_eq!(end, if cancelled { End::CutShort } else { End::Late });
        assert!(
            begin.elapsed() < Duration::from_secs(8),
            "{:?}",
            begin.elapsed()
        );
        let child = std::fs::read_to_string(dir.path().join("child")).unwrap();
        let gone = || {
            // A zombie that nobody has waited for yet is not alive.
            let about = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            about.map_or(true, |about| about.contains(") Z "))
        };
        for _ in 0..100 {
            if gone() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(gone(), "a child is left");
    }
}

/// A program that never stops talking fills neither memory nor the log, and its end is seen.
#[tokio::test]
async fn endless_words_are_heard_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(
        dir.path(),
        "head -c 20000000 /dev/zero | tr '\\0' x; yes | head -n 500000; head -c 300000 /dev/zero | tr '\\0' y >&2; exit 4",
    );
    let end = run(order(dir.path(), &path, 30), CancellationToken::new()).await;
    let words = end.to_string();
    assert!(
        words.starts_with("failed with code 4; its last words: yyy"),
        "{words}"
    );
    assert!(words.len() < 400, "{}", words.len());
}

/// A child that stays behind and holds the pipe keeps nobody waiting.
#[tokio::test]
async fn who_is_left_behind_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "sleep 20 & exit 0");
    let begin = Instant::now();
    let end = run(order(dir.path(), &path, 30), CancellationToken::new()).await;
    assert!(
        matches!(end, End::Status(status, _) if status.success()),
        "{end:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
}
