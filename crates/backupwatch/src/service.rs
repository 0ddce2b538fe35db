//! The agent as a service of this user: a LaunchAgent of launchd, or a unit of the user's systemd.
//!
//! What is *not* here: what the agent does, and what of this is said to a person (`commands`).

mod launchd;
mod left;
mod port;
mod program;
mod systemd;
#[cfg(test)]
mod tests;
mod unit;

pub use left::{Left, left, purge};
pub use program::Program;
pub use unit::Wrote;

use crate::{cli::Global, failure::Failure, setup::Setup};
use backupwatch_agent::{
    exit::ExitCode,
    paths::{Base, System as Kind},
};
use port::{Port, System};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use unit::{Found, Wanted};

/// What the service is called by launchd. Not the identifier of the bundle: macOS keeps a record for each label, and one that was
/// written by a differently signed program keeps it from starting.
pub const LABEL: &str = "dev.backupwatch.agent";
/// What it is called by systemd.
pub const UNIT: &str = "backupwatch.service";
/// Where packages put units for every user's systemd.
const PACKAGED_UNITS: &str = "/usr/lib/systemd/user";

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

/// Whether the agent runs after it was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It was started.
    Now,
    /// It ran already, and nothing about it has changed.
    Before,
    /// Nobody can start it now. A sentence why; at the next login it is started.
    AtLogin(String),
}

/// What was done to have the agent started at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub manager: Manager,
    pub unit: PathBuf,
    pub program: Program,
    pub wrote: Wrote,
    pub started: Started,
}

/// Asks the manager of this user. Takes as long as its program does, some seconds at the most; it blocks.
pub fn look(setup: &Setup) -> State {
    look_by(&System, &Place::of(&setup.base))
}

/// Has this program started at every login, and now.
pub fn install(setup: &Setup, global: &Global) -> Result<Installed, Failure> {
    let place = Place::of(&setup.base);
    place.belongs_to_its_user(&setup.base)?;
    let program = program::this(place.manager, &setup.base.home)?;
    let wanted = Wanted {
        program: program.path.clone(),
        options: options(global)?,
        logs: setup.paths.logs.clone().unwrap_or_default(),
    };
    let (wrote, unit, started) = install_by(&System, &place, &wanted)?;
    Ok(Installed {
        manager: place.manager,
        unit,
        program,
        wrote,
        started,
    })
}

/// Ends the agent and has it started no more. The file that was removed; none where there was nothing of ours.
pub fn uninstall(base: &Base) -> Result<Option<PathBuf>, Failure> {
    uninstall_by(&System, &Place::of(base))
}

/// Ends the agent and starts it again.
pub fn restart(setup: &Setup) -> Result<Started, Failure> {
    restart_by(&System, &Place::of(&setup.base))
}

fn look_by(port: &impl Port, place: &Place) -> State {
    let (manager, loaded) = match place.manager {
        Manager::Launchd => (Some(Manager::Launchd), launchd::loaded(port, place)),
        Manager::Systemd if systemd::is_here(port) => {
            (Some(Manager::Systemd), systemd::loaded(port))
        }
        Manager::Systemd => (
            None,
            Loaded::Unknown(format!("{}.", systemd::missing().message)),
        ),
    };
    let own = match unit::find(&place.unit) {
        Ok(Found::Ours(text) | Found::Foreign(Some(text))) => Some((place.unit.clone(), text)),
        Ok(Found::Foreign(None)) => Some((place.unit.clone(), String::new())),
        Ok(Found::Nothing) | Err(_) => place.packaged(),
    };
    State {
        manager,
        program: own
            .as_ref()
            .and_then(|(_, text)| unit::program(place.manager, text)),
        unit: own.map(|(unit, _)| unit),
        loaded,
    }
}

fn install_by(
    port: &impl Port,
    place: &Place,
    wanted: &Wanted,
) -> Result<(Wrote, PathBuf, Started), Failure> {
    if place.manager == Manager::Systemd && !systemd::is_here(port) {
        return Err(systemd::missing());
    }
    let text = unit::render(place.manager, wanted)?;
    let found = unit::find(&place.unit).map_err(|error| unreadable(place, &error))?;
    let packaged = place.packaged().filter(|(_, text)| {
        wanted.options.is_empty()
            && unit::program(place.manager, text).as_deref() == Some(&wanted.program)
    });
    let (wrote, unit) = match (found, packaged) {
        (Found::Foreign(text), _) => return Err(foreign(place, text.as_deref(), "start")),
        (Found::Nothing, Some((unit, _))) => (Wrote::Packaged, unit),
        (Found::Ours(before), _) if before == text => (Wrote::Same, place.unit.clone()),
        (Found::Ours(_), _) => (Wrote::Changed, place.unit.clone()),
        (Found::Nothing, None) => (Wrote::New, place.unit.clone()),
    };
    if let Wrote::New | Wrote::Changed = wrote {
        unit::write(&unit, &text)?;
    }
    let place = Place {
        unit: unit.clone(),
        ..place.clone()
    };
    let started = match place.manager {
        Manager::Launchd => {
            // launchd makes the file of a log, but not its folder, and starts nothing whose log it cannot write.
            std::fs::create_dir_all(&wanted.logs).map_err(|error| unreadable(&place, &error))?;
            launchd::install(port, &place, wrote)
        }
        Manager::Systemd => systemd::install(port, &place, wrote),
    };
    Ok((wrote, unit, started?))
}

fn uninstall_by(port: &impl Port, place: &Place) -> Result<Option<PathBuf>, Failure> {
    match unit::find(&place.unit).map_err(|error| unreadable(place, &error))? {
        Found::Foreign(text) => return Err(foreign(place, text.as_deref(), "stop")),
        // Without its file it may still run, until the next login; and the file of the package stays, only switched off.
        Found::Nothing => {
            match place.manager {
                Manager::Launchd => launchd::uninstall(port, place)?,
                Manager::Systemd if !systemd::is_here(port) => {}
                Manager::Systemd if place.packaged().is_some() => systemd::uninstall(port, place)?,
                Manager::Systemd => systemd::end_forgotten(port)?,
            }
            return Ok(None);
        }
        Found::Ours(_) => {}
    }
    match place.manager {
        Manager::Launchd => launchd::uninstall(port, place)?,
        Manager::Systemd => systemd::uninstall(port, place)?,
    }
    std::fs::remove_file(&place.unit).map_err(|error| unreadable(place, &error))?;
    if place.manager == Manager::Systemd {
        systemd::forget(port)?;
    }
    Ok(Some(place.unit.clone()))
}

fn restart_by(port: &impl Port, place: &Place) -> Result<Started, Failure> {
    let state = look_by(port, place);
    if state.unit.is_none() {
        let message = "the agent is not installed as a service";
        return Err(Failure::new(ExitCode::Usage, "not_installed", message)
            .next("Install it with `backupwatch install`."));
    }
    match place.manager {
        Manager::Launchd => launchd::restart(port, place),
        Manager::Systemd => systemd::restart(port),
    }
}

/// Where the manager of a user looks for services, and who the user is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    manager: Manager,
    /// The folder of this user's own files.
    units: PathBuf,
    /// Our file.
    unit: PathBuf,
    /// The one that came with a package for all users, if there is one.
    package: Option<PathBuf>,
    uid: u32,
}

impl Place {
    fn of(base: &Base) -> Self {
        let (manager, units, name, package) = match base.system {
            Kind::MacOs => (
                Manager::Launchd,
                base.launch_agents(),
                format!("{LABEL}.plist"),
                None,
            ),
            Kind::Xdg => (
                Manager::Systemd,
                base.systemd_units(),
                UNIT.to_owned(),
                Some(Path::new(PACKAGED_UNITS).join(UNIT)),
            ),
        };
        Self {
            manager,
            unit: units.join(name),
            units,
            package,
            uid: base.uid,
        }
    }

    fn packaged(&self) -> Option<(PathBuf, String)> {
        let path = self.package.clone()?;
        match unit::find(&path) {
            Ok(Found::Ours(text) | Found::Foreign(Some(text))) => Some((path, text)),
            Ok(Found::Nothing | Found::Foreign(None)) | Err(_) => None,
        }
    }

    /// A service is of the person at the screen, and so must its file be.
    fn belongs_to_its_user(&self, base: &Base) -> Result<(), Failure> {
        let refused = |message: &str| {
            Err(Failure::new(ExitCode::Usage, "wrong_user", message)
                .next("Run it as yourself, without sudo."))
        };
        if self.manager == Manager::Launchd && self.uid == 0 {
            return refused("the administrator has no screen to show a notice on");
        }
        match std::fs::metadata(&base.home) {
            Ok(home) if home.uid() != self.uid => {
                refused("the home folder belongs to another user than the one who runs this")
            }
            // Whatever is wrong with it is said when a file is written there.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// The options of this call that say where things are: the service has to find them there too.
fn options(global: &Global) -> Result<Vec<String>, Failure> {
    let mut options = Vec::new();
    for (name, path) in [
        ("--config", &global.config),
        ("--state-dir", &global.state_dir),
    ] {
        let Some(path) = path else { continue };
        let path = std::path::absolute(path)
            .map_err(|error| Failure::from_error(ExitCode::Usage, "path", &error))?;
        let Some(path) = path.to_str() else {
            let message = format!("the path {path:?} cannot be written into a file");
            return Err(Failure::new(ExitCode::Usage, "path", message));
        };
        options.extend([name.to_owned(), path.to_owned()]);
    }
    Ok(options)
}

fn unreadable(place: &Place, error: &io::Error) -> Failure {
    let message = format!("failed to use {}: {error}", place.unit.display());
    Failure::new(ExitCode::Usage, "unit", message)
        .next("See whose file and folder it is, and try again.")
}

fn foreign(place: &Place, text: Option<&str>, verb: &str) -> Failure {
    let program = text.and_then(|text| unit::program(place.manager, text));
    if program.is_some_and(|program| program::is_homebrew(&program)) {
        return program::homebrew(verb);
    }
    let message = format!("{} was not written by backupwatch", place.unit.display());
    Failure::new(ExitCode::Usage, "foreign", message)
        .next("If you no longer need it, move it away and try again; until then it is left alone.")
}
