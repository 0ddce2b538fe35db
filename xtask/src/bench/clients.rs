//! Who is measured: our binary on both of its ways to a phone, three peers, and two floors.

use super::{Bench, cases::Work};
use crate::peers;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Client {
    Backupwatch,
    /// A floor: what our tree costs when no phone is there, and it is only written (`floor`).
    Copy,
    /// A floor: answers the phone and writes nothing.
    Drain,
    Idevice,
    Idevicebackup2,
    /// Our binary, which speaks to the phone with libimobiledevice.
    Libimobiledevice,
    Pymobiledevice3,
}

/// Where a client finds the phone, and where it keeps what is its own.
pub(super) struct Place<'a> {
    release: &'a Path,
    socket: &'a Path,
    udid: &'a str,
    home: &'a Path,
}

impl<'a> Place<'a> {
    pub(super) fn new(bench: &'a Bench, socket: &'a Path, udid: &'a str, home: &'a Path) -> Self {
        let release = &bench.release;
        Self {
            release,
            socket,
            udid,
            home,
        }
    }

    /// Where our own client has its backups.
    pub(super) fn ours(&self) -> PathBuf {
        let home = self.home.with_file_name(Client::Backupwatch.name());
        home.join("backups")
    }

    /// Where it writes its backups.
    pub(super) fn root(&self) -> PathBuf {
        self.home.join("backups")
    }
}

impl Client {
    pub(super) const ALL: [Self; 7] = [
        Self::Backupwatch,
        Self::Copy,
        Self::Drain,
        Self::Idevice,
        Self::Idevicebackup2,
        Self::Libimobiledevice,
        Self::Pymobiledevice3,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backupwatch => "backupwatch",
            Self::Copy => "copy",
            Self::Drain => "drain",
            Self::Idevice => "idevice",
            Self::Idevicebackup2 => "idevicebackup2",
            Self::Libimobiledevice => "backupwatch by libimobiledevice",
            Self::Pymobiledevice3 => "pymobiledevice3",
        }
    }

    pub(super) fn is_peer(self) -> bool {
        match self {
            Self::Backupwatch | Self::Copy | Self::Drain | Self::Libimobiledevice => false,
            Self::Idevice | Self::Idevicebackup2 | Self::Pymobiledevice3 => true,
        }
    }

    /// Why it cannot be measured here.
    pub(super) fn missing(self) -> Option<String> {
        let there = match self {
            Self::Backupwatch | Self::Copy | Self::Drain | Self::Idevice => true,
            // The tool comes with the library.
            Self::Idevicebackup2 | Self::Libimobiledevice => {
                peers::find(Self::Idevicebackup2.name()).is_some()
            }
            Self::Pymobiledevice3 => pymobiledevice3().exists(),
        };
        (!there).then(|| format!("{} is not here (cargo xtask peers)", self.name()))
    }

    /// A backup by this client; `Copy` writes what our own client wrote just before.
    pub(super) fn backup(self, place: &Place<'_>, work: Work) -> Command {
        let mut command = match self {
            Self::Backupwatch | Self::Libimobiledevice => {
                let mut command = backupwatch(place);
                if self == Self::Libimobiledevice {
                    command.env("BACKUPWATCH_BACKEND", "libimobiledevice");
                }
                command.args(["backup", place.udid, "--root"]);
                command
            }
            Self::Copy => {
                // This very program: see `Options::copy`.
                let own = std::env::current_exe().unwrap_or_else(|_| "cargo-xtask".into());
                let mut command = Command::new(own);
                command.arg("bench");
                match work {
                    Work::Full | Work::Verify => command.arg("--copy").arg(place.ours()),
                    Work::Incremental => command.arg("--copy-again").arg(place.home),
                };
                command
            }
            Self::Drain | Self::Idevice => {
                let mut command = Command::new(place.release.join("examples/bench_client"));
                command.arg(self.name()).arg(place.socket).arg(place.udid);
                command
            }
            Self::Idevicebackup2 => {
                let mut command = Command::new(self.name());
                command.args(["-u", place.udid, "backup"]);
                command
            }
            Self::Pymobiledevice3 => {
                let mut command = Command::new(pymobiledevice3());
                command.args(["backup2", "backup", "--udid", place.udid]);
                command
            }
        };
        // Each of them takes it last.
        command.arg(place.root());
        surroundings(&mut command, place);
        command
    }

    /// Which one it is, for the page. The floors are of our own tree.
    pub(super) fn version(self) -> String {
        let said = match self {
            Self::Backupwatch | Self::Copy | Self::Drain | Self::Libimobiledevice => {
                let mut git = Command::new("git");
                output(
                    git.args(["describe", "--always", "--dirty"])
                        .current_dir(crate::root()),
                )
            }
            Self::Idevice => locked("idevice"),
            Self::Idevicebackup2 => output(Command::new(self.name()).arg("--version")),
            Self::Pymobiledevice3 => output(Command::new(pymobiledevice3()).arg("version")),
        };
        let words = said.unwrap_or_default();
        let number = words.split_whitespace().next_back();
        number.unwrap_or("of an unknown version").to_owned()
    }
}

/// Our binary, with a state and a configuration of its own.
pub(super) fn backupwatch(place: &Place<'_>) -> Command {
    let config = place.home.join("config.toml");
    let text = format!(
        "[notify]\ndesktop = false\n[backup]\nroot = {:?}\n",
        place.root()
    );
    // When that fails the program says so, and its cell of the table with it.
    let _ = fs::write(&config, text);
    let mut command = Command::new(place.release.join("backupwatch"));
    command.arg("--config").arg(config);
    command.arg("--state-dir").arg(place.home.join("state"));
    surroundings(&mut command, place);
    command
}

fn surroundings(command: &mut Command, place: &Place<'_>) {
    command
        .env(
            "USBMUXD_SOCKET_ADDRESS",
            format!("UNIX:{}", place.socket.display()),
        )
        .env("PYMOBILEDEVICE3_USBMUX", place.socket)
        .env("XDG_CONFIG_HOME", place.home.join("xdg"))
        .env("HOME", place.home)
        .env("NO_COLOR", "1");
}

fn pymobiledevice3() -> PathBuf {
    peers::venv().join("bin/pymobiledevice3")
}

fn output(command: &mut Command) -> Option<String> {
    let out = command.output().ok()?;
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> Option<String> {
    let lock = fs::read_to_string(crate::root().join("Cargo.lock")).ok()?;
    let after = lock
        .split(&format!("name = \"{name}\"\nversion = \""))
        .nth(1)?;
    after.split('"').next().map(str::to_owned)
}
