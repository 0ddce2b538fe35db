//! The strangers: programs nobody here wrote, found or loudly missed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

/// A program on the PATH, or in the Python environment of the peers. `None` means the test must
/// return at once: the skip has been recorded. With `BACKUPWATCH_REQUIRE_PEERS=1` it panics instead.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let venv = folder().join("bin").join(program);
    if venv.is_file() {
        return Some(venv);
    }
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    });
    if on_path.is_none() {
        missed(program);
    }
    on_path
}

/// The Python of the peers' environment, with `module` importable.
#[must_use]
pub fn python(module: &str) -> Option<PathBuf> {
    let python = folder().join("bin/python");
    let here = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if here {
        Some(python)
    } else {
        missed(&format!("Python with {module}"));
        None
    }
}

/// The environment of the peers that no package manager of the system has.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("BACKUPWATCH_PEERS_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv"),
        PathBuf::from,
    )
}

/// Records that a test cannot be made here; an error with `BACKUPWATCH_REQUIRE_PEERS=1`.
pub fn missed(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_none_or(|value| value != "1"),
        "{test} needs {what}, and BACKUPWATCH_REQUIRE_PEERS=1"
    );
    let line = format!("{test}: no {what} here\n");
    if let Some(log) = std::env::var_os("BACKUPWATCH_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
    {
        // A skip that cannot be written down is still said on the next line.
        let _ = log.write_all(line.as_bytes());
    }
    eprint!("SKIPPED {line}");
}

/// Run a program to its end, or kill it after `limit` and panic with what it had said.
pub fn run(command: &mut Command, limit: Duration) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to start {name}: {error}"));
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let output = child.wait_with_output();
        // The receiver is gone only after a panic, which tells more than this would.
        let _ = sender.send(());
        output
    });
    let in_time = receiver.recv_timeout(limit).is_ok();
    if !in_time {
        let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
    }
    let output = waiter
        .join()
        .expect("the waiting thread ended")
        .expect("the program's output can be read");
    assert!(
        in_time,
        "{name} did not end within {limit:?}\n{}",
        words(&output)
    );
    output
}

/// What a program said, both streams, for a failing assertion.
#[must_use]
pub fn words(output: &Output) -> String {
    format!(
        "status {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
