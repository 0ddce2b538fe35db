//! The user's systemd, by `systemctl --user`.

use super::{
    Loaded, Place, Started, UNIT,
    port::{Port, Said},
    unit::Wrote,
};
use crate::failure::Failure;
use backupwatch_agent::exit::ExitCode;
use std::{fs, io, os::unix::fs::symlink, path::PathBuf, time::Duration};

const SYSTEMCTL: &str = "systemctl";
const QUICK: Duration = Duration::from_secs(10);
/// For what waits until the agent has ended: it ends a backup politely within 25 s, and is killed after 30.
const PATIENT: Duration = Duration::from_secs(60);

/// The manager of one user.
struct Systemctl<'p, P> {
    port: &'p P,
}

/// What came of asking it.
enum Answer {
    Said(Said),
    /// No manager runs for this user now.
    Nobody(String),
}

impl<P: Port> Systemctl<'_, P> {
    fn run(&self, arguments: &[&str], limit: Duration) -> Result<Answer, Failure> {
        let always = ["--user", "--no-pager", "--no-ask-password"];
        let arguments = [&always, arguments].concat();
        let said = self
            .port
            .run(SYSTEMCTL, &arguments, limit)
            .map_err(|error| unheard(&error))?;
        let nobody = [
            "Failed to connect to",
            "Failed to get D-Bus connection",
            "has not been booted with systemd",
        ];
        if !said.ok() && nobody.iter().any(|words| said.err.contains(words)) {
            return Ok(Answer::Nobody(format!(
                "no systemd runs for this user now: {}.",
                said.complaint()
            )));
        }
        Ok(Answer::Said(said))
    }

    fn loaded(&self) -> Result<Loaded, Failure> {
        let keys = "--property=LoadState,ActiveState,UnitFileState,MainPID";
        Ok(match self.run(&["show", keys, UNIT], QUICK)? {
            Answer::Said(said) if said.ok() => loaded_as(&said.out),
            Answer::Said(said) => Loaded::Unknown(format!("systemctl says: {}.", said.complaint())),
            Answer::Nobody(why) => Loaded::Unknown(why),
        })
    }

    /// Does it, or says why nobody can now.
    fn order(&self, what: &str, arguments: &[&str]) -> Result<Option<String>, Failure> {
        match self.run(arguments, PATIENT)? {
            Answer::Said(said) if said.ok() => Ok(None),
            Answer::Said(said) => Err(Failure::new(
                ExitCode::Internal,
                "systemd",
                format!("systemd did not {what}: {}", said.complaint()),
            )
            .next(format!("`systemctl --user status {UNIT}` says more."))),
            Answer::Nobody(why) => Ok(Some(why)),
        }
    }
}

/// Whether there is a systemd on this computer at all.
pub fn is_here(port: &impl Port) -> bool {
    let asked = port.run(SYSTEMCTL, &["--version"], QUICK);
    !matches!(asked, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

pub fn missing() -> Failure {
    Failure::new(
        ExitCode::Usage,
        "no_manager",
        "there is no systemd on this computer, so nothing here can start the agent at login",
    )
    .next("Have `backupwatch agent` started by whatever starts your other programs.")
}

pub fn loaded(port: &impl Port) -> Loaded {
    Systemctl { port }
        .loaded()
        .unwrap_or_else(|failure| Loaded::Unknown(format!("{}.", failure.message)))
}

/// After the file was written, or found to have come with the package.
pub fn install(port: &impl Port, place: &Place, wrote: Wrote) -> Result<Started, Failure> {
    let systemctl = Systemctl { port };
    if let Some(why) = systemctl.order("read its units again", &["daemon-reload"])? {
        link(place)?;
        return Ok(Started::AtLogin(why));
    }
    let before = systemctl.loaded()?;
    if before == Loaded::NotLoaded {
        // Its own idea of where units are came with the login.
        return Err(Failure::new(
            ExitCode::Usage,
            "not_found",
            format!("systemd does not find {}", place.unit.display()),
        )
        .next("XDG_CONFIG_HOME is another one here than at login. Unset it, and try again."));
    }
    systemctl.order("start the service", &["enable", "--now", UNIT])?;
    match (before, wrote) {
        (Loaded::Running { .. }, Wrote::Same | Wrote::Packaged) => Ok(Started::Before),
        (Loaded::Running { .. }, Wrote::New | Wrote::Changed) => restart(port),
        (Loaded::Loaded | Loaded::Disabled | Loaded::NotLoaded | Loaded::Unknown(_), _) => {
            Ok(Started::Now)
        }
    }
}

/// Before the file is removed.
pub fn uninstall(port: &impl Port, place: &Place) -> Result<(), Failure> {
    let stopped = Systemctl { port }.order("end the service", &["disable", "--now", UNIT])?;
    if stopped.is_some() {
        // Nobody is there to start it either; what would start it at the next login goes.
        unlink(place)?;
    }
    Ok(())
}

/// Somebody has removed the file while it ran.
pub fn end_forgotten(port: &impl Port) -> Result<(), Failure> {
    let systemctl = Systemctl { port };
    if let Loaded::Running { .. } = systemctl.loaded()? {
        systemctl.order("end the service", &["stop", UNIT])?;
    }
    Ok(())
}

/// After it was removed. Where no manager runs there is nothing to forget.
pub fn forget(port: &impl Port) -> Result<(), Failure> {
    Systemctl { port }
        .order("read its units again", &["daemon-reload"])
        .map(drop)
}

pub fn restart(port: &impl Port) -> Result<Started, Failure> {
    let away = Systemctl { port }.order("start the service again", &["restart", UNIT])?;
    Ok(away.map_or(Started::Now, Started::AtLogin))
}

/// What `systemctl enable` does, which needs a manager that runs: the unit is started with the user's others.
fn link(place: &Place) -> Result<(), Failure> {
    let link = wish(place);
    let made = link.parent().map_or(Ok(()), fs::create_dir_all);
    match made.and_then(|()| symlink(&place.unit, &link)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make the link", &link, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn unlink(place: &Place) -> Result<(), Failure> {
    let link = wish(place);
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove the link", &link, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// As `WantedBy=` of the template says it.
fn wish(place: &Place) -> PathBuf {
    place.units.join("default.target.wants").join(UNIT)
}

fn failed(what: &str, path: &std::path::Path, error: &io::Error) -> Failure {
    let message = format!("failed to {what} {}: {error}", path.display());
    Failure::new(ExitCode::Usage, "write", message)
}

fn unheard(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return missing();
    }
    let message = format!("systemctl cannot be asked: {error}");
    Failure::new(ExitCode::Internal, "systemctl", message)
}

fn loaded_as(shown: &str) -> Loaded {
    let value = |key: &str| {
        shown.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name == key).then(|| value.trim())
        })
    };
    let pid = value("MainPID").and_then(|pid| pid.parse().ok());
    match (value("LoadState"), value("ActiveState"), pid) {
        (_, Some("active"), Some(pid)) if pid > 0 => Loaded::Running { pid },
        (Some("not-found"), _, _) => Loaded::NotLoaded,
        (Some("masked"), _, _) => Loaded::Disabled,
        (Some(_), _, _) if value("UnitFileState") == Some("disabled") => Loaded::Disabled,
        (Some(_), _, _) => Loaded::Loaded,
        (None, _, _) => Loaded::Unknown("systemctl said nothing of the service.".to_owned()),
    }
}
