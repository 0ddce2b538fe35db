//! The user's systemd, by `systemctl --user`.

use super::{
    Loaded, Manager, Place, State, UNIT,
    port::{Port, Said},
};
use std::{io, time::Duration};

const SYSTEMCTL: &str = "systemctl";
const QUICK: Duration = Duration::from_secs(10);

/// The manager of one user.
struct Systemctl<'p, P> {
    port: &'p P,
}

impl<P: Port> Systemctl<'_, P> {
    fn run(&self, arguments: &[&str], limit: Duration) -> io::Result<Said> {
        let always = ["--user", "--no-pager", "--no-ask-password"];
        let arguments = [&always, arguments].concat();
        self.port.run(SYSTEMCTL, &arguments, limit)
    }

    fn loaded(&self) -> (Option<Manager>, Loaded) {
        let keys = "--property=LoadState,ActiveState,UnitFileState,MainPID";
        match self.run(&["show", keys, UNIT], QUICK) {
            Ok(said) if said.ok() => (Some(Manager::Systemd), loaded(&said.out)),
            Ok(said) => {
                let words = format!("systemctl says: {}.", said.complaint());
                (Some(Manager::Systemd), Loaded::Unknown(words))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (
                None,
                Loaded::Unknown("there is no systemd on this computer.".to_owned()),
            ),
            Err(error) => (
                Some(Manager::Systemd),
                Loaded::Unknown(format!("systemctl cannot be asked: {error}.")),
            ),
        }
    }
}

pub fn look(port: &impl Port, place: &Place) -> State {
    let (manager, loaded) = Systemctl { port }.loaded();
    State {
        manager,
        unit: place.unit.exists().then(|| place.unit.clone()),
        program: None,
        loaded,
    }
}

fn loaded(shown: &str) -> Loaded {
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
