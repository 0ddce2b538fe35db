//! A phone on a table beside a computer: one persona at one socket, a folder for its backups, and a home for our binary and for
//! the strangers. Everything is real but the phone.

use crate::{binary, peers};
use backupwatch_sim::{
    Listen, Sim, SimHandle,
    persona::{Answers, LinkKind, Persona},
    phone::PhoneHandle,
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// How long any one program may take. Far more than it needs: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The password of `backup-encrypted.toml`.
pub const PASSWORD: &str = "correct horse 🐴 battery";

/// See the module. The simulator runs on threads of its own, so that a test reads from top to bottom.
#[derive(Debug)]
pub struct Table {
    // Dropped in this order.
    sim: Option<SimHandle>,
    runtime: Runtime,
    home: tempfile::TempDir,
    /// What speaks to these phones, where it must not be what speaks to the others of this run.
    backend: Option<&'static str>,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Both streams, for looking for a word.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A persona of `fixtures/phones`.
#[must_use]
pub fn persona(name: &str) -> Persona {
    let phones = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/phones");
    Persona::load(&Path::new(phones).join(format!("{name}.toml"))).expect("the persona can be read")
}

/// A phone with something of everything: names with emoji and decomposed letters, empty files, links, lengths at the edges.
#[must_use]
pub fn plain() -> Persona {
    persona("backup-mixed")
}

/// The same with a backup password, [`PASSWORD`].
#[must_use]
pub fn encrypted() -> Persona {
    persona("backup-encrypted")
}

/// Whether it answers on Wi-Fi, and nowhere else.
fn answers_on_wifi(persona: &Persona) -> bool {
    let mut links = persona.link.iter().filter(|link| link.plugged).peekable();
    links.peek().is_some()
        && links.all(|link| link.kind == LinkKind::Network && link.answers == Answers::Yes)
}

impl Table {
    /// The phone hangs on a usbmuxd at a Unix socket.
    #[must_use]
    pub fn unix(persona: Persona) -> Self {
        Self::of(vec![persona])
    }

    /// Any number of phones, also none.
    #[must_use]
    pub fn of(personas: Vec<Persona>) -> Self {
        let home = tempfile::tempdir().expect("a folder can be made");
        let listen = Listen::Unix(home.path().join("usbmuxd"));
        Self::with(personas, listen, home)
    }

    /// The same at a TCP port, for strangers that know nothing else.
    #[must_use]
    pub fn tcp(persona: Persona) -> Self {
        let home = tempfile::tempdir().expect("a folder can be made");
        let listen = Listen::Tcp(([127, 0, 0, 1], 0).into());
        Self::with(vec![persona], listen, home)
    }

    fn with(personas: Vec<Persona>, listen: Listen, home: tempfile::TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime starts");
        // libimobiledevice has phones on Wi-Fi not from usbmuxd but from their own address, and no simulated phone is at any.
        let only_on_wifi = !personas.is_empty() && personas.iter().all(answers_on_wifi);
        let mut table = Self {
            sim: None,
            runtime,
            home,
            backend: only_on_wifi.then_some("idevice"),
        };
        std::fs::write(table.config(), "page.port = 0\nnotify.desktop = false\n")
            .expect("a configuration can be written");
        table.sim = Some(table.sim_of(personas, listen));
        table
    }

    fn sim_of(&self, personas: Vec<Persona>, listen: Listen) -> SimHandle {
        let _inside = self.runtime.enter();
        Sim::start(personas, listen).expect("the simulator starts")
    }

    /// Takes the phone away and lays another one there, or the same one after something happened to it that is no fault of a
    /// backup: a passcode, a profile, a reset.
    pub fn replace(&mut self, persona: Persona) {
        let sim = self.sim.take().expect("a phone is there");
        let listen = sim.listen();
        self.runtime.block_on(sim.stop());
        self.sim = Some(self.sim_of(vec![persona], listen));
    }

    #[must_use]
    pub fn sim(&self) -> &SimHandle {
        self.sim.as_ref().expect("a phone is there")
    }

    #[must_use]
    pub fn phone(&self) -> PhoneHandle {
        self.sim()
            .phones()
            .into_iter()
            .next()
            .expect("a phone is there")
    }

    #[must_use]
    pub fn udid(&self) -> String {
        self.phone().udid().to_owned()
    }

    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where our binary keeps its backups.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.home.path().join("backups")
    }

    /// The current backup of the phone.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.root().join(self.udid())
    }

    /// Our binary's state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The configuration that our binary reads; a test may write another one.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home.path().join("config.toml")
    }

    /// Waits for something of the simulator's.
    pub fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, future).await })
            .unwrap_or_else(|_| panic!("after {PATIENCE:?} it is still not so that {what}"))
    }

    /// Waits until the host has asked the phone for nothing for a while.
    pub fn wait_for_silence(&self) {
        let (mut seen, mut since) = (self.phone().seen().len(), Instant::now());
        let begin = Instant::now();
        while since.elapsed() < Duration::from_millis(600) {
            assert!(begin.elapsed() < PATIENCE, "the host does not fall silent");
            std::thread::sleep(Duration::from_millis(50));
            let now = self.phone().seen().len();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
    }

    /// Our binary with these arguments, in its home, at the usbmuxd of this table.
    #[must_use]
    pub fn ours(&self, arguments: &[&str]) -> Command {
        self.ours_at(&self.state(), arguments)
    }

    /// The same with another state folder, as for another user of this computer.
    #[must_use]
    pub fn ours_at(&self, state: &Path, arguments: &[&str]) -> Command {
        let mut command = binary::command(self.home.path());
        command
            .env("USBMUXD_SOCKET_ADDRESS", self.address())
            .arg("--config")
            .arg(self.config())
            .arg("--state-dir")
            .arg(state)
            .args(arguments);
        if let Some(backend) = self.backend {
            command.env(binary::BACKEND, backend);
        }
        command
    }

    fn backup_command(&self, more: &[&str]) -> Command {
        let mut command = self.ours(&["backup"]);
        command.arg("--root").arg(self.root()).args(more);
        command
    }

    /// `backupwatch backup`, to its end.
    #[must_use]
    pub fn back_up(&self, more: &[&str]) -> Said {
        peers::run(&mut self.backup_command(more), PATIENCE).into()
    }

    /// `backupwatch backup`, which has to end well, with every byte on the disk by the phone's own word.
    pub fn back_up_well(&self, more: &[&str]) -> Said {
        let said = self.back_up(more);
        assert!(
            said.ok() && said.out.contains("was checked on disk"),
            "{said:?}"
        );
        self.assert_whole();
        said
    }

    /// The phone says that the current backup holds every byte that it sent, and that nothing was done which a phone would not
    /// forgive.
    #[track_caller]
    pub fn assert_whole(&self) {
        let phone = self.phone();
        let verdict = phone.verdict(&self.root());
        assert!(verdict.is_whole(), "{verdict}");
        assert_eq!(phone.phone().backup().violations(), Vec::<String>::new());
    }

    /// `backupwatch backup`, just started. It is killed when it is dropped before its end.
    #[must_use]
    pub fn start_backup(&self, more: &[&str]) -> Running {
        Running::start(&mut self.backup_command(more))
    }

    /// A stranger with these arguments, in a home of its own, to its end.
    #[must_use]
    pub fn stranger(&self, program: &Path, arguments: &[&str]) -> Said {
        peers::run(&mut self.stranger_command(program, arguments), PATIENCE).into()
    }

    /// A stranger, just started.
    #[must_use]
    pub fn start_stranger(&self, program: &Path, arguments: &[&str]) -> Running {
        Running::start(&mut self.stranger_command(program, arguments))
    }

    fn stranger_command(&self, program: &Path, arguments: &[&str]) -> Command {
        let home = self.home.path().join("stranger");
        std::fs::create_dir_all(&home).expect("a folder can be made");
        let mut command = Command::new(program);
        command
            .env("USBMUXD_SOCKET_ADDRESS", self.address())
            .env("PYMOBILEDEVICE3_USBMUX", self.address())
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("HOME", home)
            .env("NO_COLOR", "1")
            .env("COLUMNS", "200")
            .args(arguments);
        command
    }

    fn address(&self) -> String {
        self.sim().listen().environment().expect("it has a socket")
    }
}

/// A program while it runs. It is killed when it is dropped before its end.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Starts it.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Self(Some(child))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs")
    }

    /// Whether it is over.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.child().try_wait();
        ended.expect("it can be asked").is_some()
    }

    /// A signal by its name, `INT` or `TERM`.
    pub fn signal(&mut self, name: &str) {
        let id = self.child().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "it has ended already"
        );
    }

    /// Bytes of memory that it holds now. Zero where the system does not tell in `/proc`.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let id = self.0.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// kill -9. True when it was still running.
    pub fn kill(mut self) -> bool {
        let mut child = self.0.take().expect("it runs");
        let ran = child.try_wait().expect("it can be asked").is_none();
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
        ran
    }

    /// Waits for its end.
    #[must_use]
    pub fn end(mut self) -> Said {
        let begin = Instant::now();
        while self.child().try_wait().expect("it can be asked").is_none() {
            // What it says fits into a pipe.
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let child = self.0.take().expect("it ran");
        child
            .wait_with_output()
            .expect("its output can be read")
            .into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // A process that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
