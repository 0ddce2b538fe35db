//! A stage for the tests: a simulated phone behind a real socket, and a process of its own that has the library.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::PhoneHandle;
use backupwatch_sim::{Listen, Sim, SimHandle};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub const UDID: &str = "00008101-000A11112222F1E5";

/// How long anything may take, under valgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Stage {
    pub sim: SimHandle,
    address: String,
    dir: tempfile::TempDir,
}

impl Stage {
    /// One phone whose persona has these lines beside its identity.
    pub fn with(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(dir.path().join("usbmuxd"));
        Self::on(lines, listen, dir)
    }

    pub fn tcp(lines: &str) -> Self {
        let listen = Listen::Tcp("127.0.0.1:0".parse().unwrap());
        Self::on(lines, listen, tempfile::tempdir().unwrap())
    }

    fn on(lines: &str, listen: Listen, dir: tempfile::TempDir) -> Self {
        let text = format!("[identity]\nudid = \"{UDID}\"\nname = \"Ada’s iPhone\"\n{lines}");
        let sim = Sim::start(vec![Persona::parse(&text).unwrap()], listen).unwrap();
        let address = sim.listen().environment().unwrap();
        Self { sim, address, dir }
    }

    pub fn phone(&self) -> PhoneHandle {
        self.sim.phone(UDID).unwrap()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program that finds this phone's usbmuxd.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("USBMUXD_SOCKET_ADDRESS", &self.address)
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// What a program printed that ended well.
    pub async fn output(&self, program: &Path, arguments: &[&str]) -> String {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null());
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn exercise(&self, arguments: &[&str]) -> Exercise {
        let mut command = self.command(&example("exercise"));
        command.args(arguments);
        Exercise::start(command)
    }
}

/// A running `exercise`.
pub struct Exercise {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Exercise {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("it says nothing").unwrap()
    }

    pub async fn says(&mut self, expected: &str) {
        assert_eq!(self.next().await.as_deref(), Some(expected));
    }

    pub async fn go_on(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").await.unwrap();
    }

    pub async fn ends_well(mut self) {
        assert_eq!(self.next().await, None);
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(status.expect("it does not end").unwrap().success());
    }
}

/// An example of this crate, which cargo builds beside its tests.
pub fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// A program on the PATH. `None` means that the test must return at once: the skip has been said. With
/// `BACKUPWATCH_REQUIRE_PEERS=1` it panics instead.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(program);
    }
    found
}

/// Whether the library is here.
pub fn library_is_here() -> bool {
    let loaded = backupwatch_imobiledevice::Library::load();
    if matches!(loaded, Err(backupwatch_imobiledevice::LoadError::Missing)) {
        skip("libimobiledevice");
    }
    loaded.is_ok()
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
