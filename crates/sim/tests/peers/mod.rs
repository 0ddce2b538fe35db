//! The strangers that our phones are shown to: programs nobody here wrote, found or loudly missed.
//!
//! The same rules as in the end-to-end tests, written again because this crate depends on nothing above the wire.

#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// How long a stranger may take for anything short.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the peers' Python environment or on the PATH. `None` means that the test must return at once: the skip
/// has been said. With `BACKUPWATCH_REQUIRE_PEERS=1` it panics instead.
pub fn find(program: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("BACKUPWATCH_PEERS_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/venv"),
        PathBuf::from,
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(venv.join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(program);
    }
    found
}

fn skip(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(
        !required,
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

/// A stranger at work on the usbmuxd at `address`, in a home of its own.
pub fn command(program: &Path, address: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("USBMUXD_SOCKET_ADDRESS", address)
        .env("PYMOBILEDEVICE3_USBMUX", address)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "200")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What a stranger said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

/// Runs a stranger to its end.
pub async fn run(mut command: Command, patience: Duration) -> Said {
    let output: Output = tokio::time::timeout(patience, command.output())
        .await
        .unwrap_or_else(|_| panic!("{command:?} did not end within {patience:?}"))
        .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    Said {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
