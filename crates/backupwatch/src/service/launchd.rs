//! launchd, by `launchctl`. Its exit codes are its answers; of what it prints only two lines are read, for it says itself that its
//! output is no interface.

use super::{
    LABEL, Loaded, Manager, Place, State,
    port::{Port, Said},
};
use std::{io, time::Duration};

const LAUNCHCTL: &str = "/bin/launchctl";
/// For questions and for everything that launchd does later.
const QUICK: Duration = Duration::from_secs(10);
/// "Could not find service": it is not loaded.
const NOT_FOUND: i32 = 113;

/// The service of one user in the domain of their screen.
struct Launchctl<'p, P> {
    port: &'p P,
    uid: u32,
}

impl<P: Port> Launchctl<'_, P> {
    fn domain(&self) -> String {
        format!("gui/{}", self.uid)
    }

    fn target(&self) -> String {
        format!("gui/{}/{LABEL}", self.uid)
    }

    fn run(&self, arguments: &[&str]) -> io::Result<Said> {
        self.port.run(LAUNCHCTL, arguments, QUICK)
    }

    fn loaded(&self) -> Loaded {
        let said = match self.run(&["print", &self.target()]) {
            Ok(said) => said,
            Err(error) => return Loaded::Unknown(format!("launchctl cannot be asked: {error}.")),
        };
        match said.code {
            Some(0) => running(&said.out),
            Some(NOT_FOUND) => match self.run(&["print-disabled", &self.domain()]) {
                Ok(said) if said.ok() && disabled(&said.out) => Loaded::Disabled,
                Ok(_) | Err(_) => Loaded::NotLoaded,
            },
            Some(_) | None => Loaded::Unknown(format!("launchctl says: {}.", said.complaint())),
        }
    }
}

pub fn look(port: &impl Port, place: &Place) -> State {
    let launchctl = Launchctl {
        port,
        uid: place.uid,
    };
    State {
        manager: Some(Manager::Launchd),
        unit: place.unit.exists().then(|| place.unit.clone()),
        program: None,
        loaded: launchctl.loaded(),
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
