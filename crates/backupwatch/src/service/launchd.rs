//! launchd, by `launchctl`. Its exit codes are its answers; of what it prints only two lines are read, for it says itself that its
//! output is no interface.

use super::{
    LABEL, Loaded, Place, Started,
    port::{Port, Said},
    unit::Wrote,
};
use crate::failure::Failure;
use backupwatch_agent::exit::ExitCode;
use std::{io, time::Duration};

const LAUNCHCTL: &str = "/bin/launchctl";
/// For questions, and for everything that launchd does after it has answered.
const QUICK: Duration = Duration::from_secs(10);

/// "Could not find service": it is not loaded.
const NOT_FOUND: i32 = 113;
/// "No such process": the same, as other verbs say it.
const NO_PROCESS: i32 = 3;
/// "Operation already in progress": it is still being ended.
const IN_PROGRESS: i32 = 37;
/// Anything at all, also that it is still being ended, and that it is loaded already.
const IO: i32 = 5;
/// "Domain does not support specified action": nobody sits at the screen, as over ssh.
const NO_SCREEN: i32 = 125;
/// "Could not find domain": the same.
const NO_DOMAIN: i32 = 112;

/// Between two attempts to start what is still being ended, and how many there are.
const RETRY: Duration = Duration::from_millis(200);
const RETRIES: u32 = 5;
/// The agent ends a backup politely within 25 s, and launchd kills it after 30.
const ENDS_WITHIN: Duration = Duration::from_secs(35);

/// The service of one user in the domain of their screen.
struct Launchctl<'p, P> {
    port: &'p P,
    place: &'p Place,
}

impl<P: Port> Launchctl<'_, P> {
    fn domain(&self) -> String {
        format!("gui/{}", self.place.uid)
    }

    fn target(&self) -> String {
        format!("gui/{}/{LABEL}", self.place.uid)
    }

    fn run(&self, arguments: &[&str]) -> Result<Said, Failure> {
        self.port
            .run(LAUNCHCTL, arguments, QUICK)
            .map_err(|error| unheard(&error))
    }

    fn loaded(&self) -> Result<Loaded, Failure> {
        let said = self.run(&["print", &self.target()])?;
        Ok(match said.code {
            Some(0) => running(&said.out),
            Some(NOT_FOUND) => {
                let said = self.run(&["print-disabled", &self.domain()])?;
                if said.ok() && disabled(&said.out) {
                    Loaded::Disabled
                } else {
                    Loaded::NotLoaded
                }
            }
            Some(NO_DOMAIN | NO_SCREEN) => Loaded::Unknown(NOBODY_THERE.to_owned()),
            Some(_) | None => Loaded::Unknown(format!("launchctl says: {}.", said.complaint())),
        })
    }

    fn is_loaded(&self) -> Result<bool, Failure> {
        Ok(match self.loaded()? {
            Loaded::Running { .. } | Loaded::Loaded => true,
            Loaded::Disabled | Loaded::NotLoaded | Loaded::Unknown(_) => false,
        })
    }

    /// Switches it on and starts it.
    fn start(&self) -> Result<Started, Failure> {
        // That somebody has switched it off outlives the file and every restart, and what is switched off cannot be started.
        let enabled = self.run(&["enable", &self.target()])?;
        if !enabled.ok() {
            return Err(refused("switch the service on", &enabled));
        }
        let unit = self.place.unit.display().to_string();
        let mut attempt = 0;
        loop {
            let said = self.run(&["bootstrap", &self.domain(), &unit])?;
            match said.code {
                Some(0) => return Ok(Started::Now),
                Some(NO_SCREEN | NO_DOMAIN) => {
                    return Ok(Started::AtLogin(NOBODY_THERE.to_owned()));
                }
                Some(IN_PROGRESS | IO) if attempt < RETRIES => {
                    attempt += 1;
                    self.port.pause(RETRY);
                }
                // Somebody else was faster, or it never went away.
                Some(IN_PROGRESS | IO) if self.is_loaded()? => return Ok(Started::Now),
                Some(_) | None => return Err(refused("start the service", &said)),
            }
        }
    }

    /// Ends it, and waits until it has ended: launchd answers before.
    fn end(&self) -> Result<(), Failure> {
        let said = self.run(&["bootout", &self.target()])?;
        if let Some(NOT_FOUND | NO_PROCESS | NO_DOMAIN | NO_SCREEN) = said.code {
            return Ok(());
        }
        // What it says otherwise matters less than whether the service goes away.
        let mut waited = Duration::ZERO;
        while self.is_loaded()? {
            if waited >= ENDS_WITHIN {
                let message = format!(
                    "the agent has not ended {} s after launchd told it to ({})",
                    ENDS_WITHIN.as_secs(),
                    said.complaint()
                );
                return Err(Failure::new(ExitCode::Internal, "launchd", message)
                    .next("Log out and in again, and try again."));
            }
            self.port.pause(RETRY);
            waited += RETRY;
        }
        Ok(())
    }
}

const NOBODY_THERE: &str = "nobody is logged in at this Mac’s screen, and the agent runs only where a notice can be shown.";

pub fn loaded(port: &impl Port, place: &Place) -> Loaded {
    Launchctl { port, place }
        .loaded()
        .unwrap_or_else(|failure| Loaded::Unknown(format!("{}.", failure.message)))
}

/// After the file was written.
pub fn install(port: &impl Port, place: &Place, wrote: Wrote) -> Result<Started, Failure> {
    let launchctl = Launchctl { port, place };
    match (launchctl.loaded()?, wrote) {
        (Loaded::Running { .. }, Wrote::Same | Wrote::Packaged) => return Ok(Started::Before),
        // It is known by what the file said before.
        (Loaded::Running { .. } | Loaded::Loaded, _) => launchctl.end()?,
        (Loaded::Disabled | Loaded::NotLoaded | Loaded::Unknown(_), _) => {}
    }
    launchctl.start()
}

/// Before the file is removed.
pub fn uninstall(port: &impl Port, place: &Place) -> Result<(), Failure> {
    Launchctl { port, place }.end()
}

/// Ends it and starts it again, or starts it where it was ended.
pub fn restart(port: &impl Port, place: &Place) -> Result<Started, Failure> {
    let launchctl = Launchctl { port, place };
    let said = launchctl.run(&["kickstart", "-k", &launchctl.target()])?;
    match said.code {
        Some(0) => Ok(Started::Now),
        Some(NOT_FOUND | NO_PROCESS) => launchctl.start(),
        Some(NO_SCREEN | NO_DOMAIN) => Ok(Started::AtLogin(NOBODY_THERE.to_owned())),
        Some(_) | None => Err(refused("start the service again", &said)),
    }
}

fn unheard(error: &io::Error) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "launchctl",
        format!("launchctl cannot be asked: {error}"),
    )
}

fn refused(what: &str, said: &Said) -> Failure {
    let message = format!("launchd did not {what}: {}", said.complaint());
    let failure = Failure::new(ExitCode::Internal, "launchd", message);
    match said.code {
        Some(code) => failure.next(format!(
            "`launchctl error {code}` says more; in System Settings > General > Login Items & Extensions, Backupwatch must be allowed."
        )),
        None => failure,
    }
}

/// The first `state =` and the first `pid =`; the same words come again further down, of parts of the service.
fn running(printed: &str) -> Loaded {
    let first = |key: &str| {
        printed.lines().find_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    match (
        first("state"),
        first("pid").and_then(|pid| pid.parse().ok()),
    ) {
        (Some("running"), Some(pid)) => Loaded::Running { pid },
        (_, _) => Loaded::Loaded,
    }
}

/// `"label" => true` until macOS 13, `=> disabled` since.
fn disabled(printed: &str) -> bool {
    printed.lines().any(|line| {
        line.split_once("=>").is_some_and(|(label, value)| {
            label.trim().trim_matches('"') == LABEL && ["true", "disabled"].contains(&value.trim())
        })
    })
}
