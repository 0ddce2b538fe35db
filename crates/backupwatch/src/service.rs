//! The agent as a service of this user: a LaunchAgent of launchd, or a unit of the user's systemd.
//!
//! What is *not* here: what the agent does, and what of this is said to a person (`commands`).

mod launchd;
mod port;
mod systemd;

use crate::setup::Setup;
use backupwatch_agent::paths::{Base, System as Kind};
use port::{Port, System};
use std::path::PathBuf;

/// What the service is called by launchd. Not the identifier of the bundle: macOS keeps a record for each label, and one that was
/// written by a differently signed program keeps it from starting.
pub const LABEL: &str = "dev.backupwatch.agent";
/// What it is called by systemd.
pub const UNIT: &str = "backupwatch.service";

/// Who starts the agent at login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    Launchd,
    Systemd,
}

impl Manager {
    pub fn code(self) -> &'static str {
        match self {
            Self::Launchd => "launchd",
            Self::Systemd => "systemd",
        }
    }
}

/// How the manager has the service.
#[expect(
    clippy::enum_variant_names,
    reason = "to be loaded is the managers' own word, and they have its opposite too"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// Its process.
    Running { pid: u32 },
    /// It is known and will be started, but does not run now: it was ended, or it cannot start.
    Loaded,
    /// Somebody has switched it off: it stays away until it is switched on again.
    Disabled,
    /// The manager knows of no such service.
    NotLoaded,
    /// The manager cannot be asked. A sentence why.
    Unknown(String),
}

impl Loaded {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Loaded => "loaded",
            Self::Disabled => "disabled",
            Self::NotLoaded => "not_loaded",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What is known of the service, without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// None where there is no manager that is known here.
    pub manager: Option<Manager>,
    /// The file by which the manager knows of it, if it is there.
    pub unit: Option<PathBuf>,
    /// The program that this file has started.
    pub program: Option<PathBuf>,
    pub loaded: Loaded,
}

/// Asks the manager of this user. Takes as long as its program does, some seconds at the most; it blocks.
pub fn look(setup: &Setup) -> State {
    look_by(&System, &Place::of(&setup.base))
}

fn look_by(port: &impl Port, place: &Place) -> State {
    match place.manager {
        Manager::Launchd => launchd::look(port, place),
        Manager::Systemd => systemd::look(port, place),
    }
}

/// Where the manager of a user looks for services, and who the user is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    manager: Manager,
    /// Our file.
    unit: PathBuf,
    uid: u32,
}

impl Place {
    fn of(base: &Base) -> Self {
        match base.system {
            Kind::MacOs => Self {
                manager: Manager::Launchd,
                unit: base.launch_agents().join(format!("{LABEL}.plist")),
                uid: base.uid,
            },
            Kind::Xdg => Self {
                manager: Manager::Systemd,
                unit: base.systemd_units().join(UNIT),
                uid: base.uid,
            },
        }
    }
}
