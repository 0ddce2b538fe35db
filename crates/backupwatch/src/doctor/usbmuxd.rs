//! usbmuxd: without it no phone can be seen.

use super::phones::{Listed, Phones};
use crate::{failure::Failure, setup::Setup};
use backupwatch_agent::doctor::Check;
use backupwatch_device::{DeviceError, MuxAddress, MuxError};
use rustix::io::Errno;

const ID: &str = "usbmuxd";

/// What came of asking it for its list.
pub fn judge(setup: &Setup, address: Result<MuxAddress, Failure>, phones: &Phones) -> Check {
    let address = match address {
        Ok(address) => address,
        Err(failure) => {
            let says = format!("{}.", backupwatch_core::words::capital(&failure.message));
            return Check::fail(ID, says, failure.next.unwrap_or_default());
        }
    };
    let error = match &phones.listed {
        Listed::There(_) => return Check::pass(ID, "usbmuxd answers."),
        Listed::Not(error) => error,
        Listed::Silent(check) => {
            return Check::fail(ID, check.says.clone(), Cures::of(setup).dead);
        }
        Listed::NotAsked => return Check::fail(ID, "usbmuxd was not asked.", INSTALL),
    };
    let cures = Cures::of(setup);
    let DeviceError::Mux(error) = error else {
        let says = format!("usbmuxd could not be asked: {error}.");
        return Check::fail(ID, says, cures.dead);
    };
    let (says, cure) = match error {
        MuxError::Unreachable { source, .. } => match Errno::from_io_error(source) {
            Some(Errno::NOENT) => (
                format!("usbmuxd is not there: nothing is at {address}."),
                cures.missing,
            ),
            Some(Errno::CONNREFUSED) => (
                format!("usbmuxd is not running: nobody listens at {address}."),
                cures.dead,
            ),
            Some(Errno::ACCESS | Errno::PERM) => (
                format!("usbmuxd may not be used by this user: {address} is closed to it."),
                cures.closed,
            ),
            Some(_) | None => (
                format!("usbmuxd cannot be reached at {address}: {source}."),
                cures.dead,
            ),
        },
        MuxError::Silent { after } => (
            format!("usbmuxd did not answer within {} s.", after.as_secs()),
            cures.dead,
        ),
        MuxError::Lost { .. } => (
            format!("What listens at {address} hung up: it is not usbmuxd."),
            cures.other,
        ),
        MuxError::Frame(_) | MuxError::Message(_) => (
            format!("What listens at {address} does not speak usbmuxd’s language."),
            cures.other,
        ),
        MuxError::Refused { request, .. } => {
            (format!("usbmuxd refuses to answer {request}."), cures.dead)
        }
    };
    Check::fail(ID, says, cure)
}

/// What helps, which depends on who starts usbmuxd.
struct Cures {
    missing: String,
    dead: String,
    closed: String,
    other: String,
}

const INSTALL: &str = "sudo apt install usbmuxd";

impl Cures {
    fn of(setup: &Setup) -> Self {
        let variable =
            std::env::var("USBMUXD_SOCKET_ADDRESS").is_ok_and(|text| !text.trim().is_empty());
        if variable {
            let all =
                "Correct or remove the variable USBMUXD_SOCKET_ADDRESS, which names this place.";
            return Self::all(all);
        }
        if setup.config.own.usbmuxd.address.is_some() {
            return Self::all("Correct or remove usbmuxd.address in the configuration.");
        }
        if cfg!(target_os = "macos") {
            // launchd starts it again.
            return Self::all("sudo killall usbmuxd");
        }
        Self {
            missing: INSTALL.to_owned(),
            dead: "sudo systemctl restart usbmuxd".to_owned(),
            closed: "sudo systemctl restart usbmuxd".to_owned(),
            other: "sudo systemctl restart usbmuxd".to_owned(),
        }
    }

    fn all(cure: &str) -> Self {
        Self {
            missing: cure.to_owned(),
            dead: cure.to_owned(),
            closed: cure.to_owned(),
            other: cure.to_owned(),
        }
    }
}
