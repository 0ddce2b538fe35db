//! usbmuxd: without it no phone can be seen.

use super::phones::{Listed, Phones};
use crate::{failure::Failure, setup::Setup};
use backupwatch_agent::doctor::Check;
use backupwatch_device::{DeviceError, MuxAddress, MuxError, Transport};
use rustix::io::Errno;

const ID: &str = "usbmuxd";

/// What came of asking it for its list.
pub fn judge(setup: &Setup, transport: Result<&Transport, &Failure>, phones: &Phones) -> Check {
    let address = match transport {
        Ok(transport) => transport.address(),
        Err(failure) => {
            let says = format!("{}.", backupwatch_core::words::capital(&failure.message));
            return Check::fail(ID, says, failure.next.clone().unwrap_or_default());
        }
    };
    let error = match &phones.listed {
        Listed::There(_) => return Check::pass(ID, "usbmuxd answers."),
        Listed::Not(error) => error,
        Listed::Silent(check) => {
            return Check::fail(ID, check.says.clone(), cure(setup, true));
        }
        Listed::NotAsked => return Check::fail(ID, "usbmuxd was not asked.", INSTALL),
    };
    let DeviceError::Mux(error) = error else {
        let says = format!("usbmuxd could not be asked: {error}.");
        return Check::fail(ID, says, cure(setup, true));
    };
    let mut is_there = true;
    let says = match error {
        MuxError::Unreachable { source, .. } => match Errno::from_io_error(source) {
            Some(Errno::NOENT) => {
                is_there = false;
                format!("usbmuxd is not there: nothing is at {address}.")
            }
            Some(Errno::CONNREFUSED) => {
                format!("usbmuxd is not running: nobody listens at {address}.")
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                format!("usbmuxd may not be used by this user: {address} is closed to it.")
            }
            Some(_) | None => format!("usbmuxd cannot be reached at {address}: {source}."),
        },
        MuxError::Silent { after } => {
            format!("usbmuxd did not answer within {} s.", after.as_secs())
        }
        MuxError::Lost { .. } => {
            format!("What listens at {address} hung up: it is not usbmuxd.")
        }
        MuxError::Frame(_) | MuxError::Message(_) => {
            format!("What listens at {address} does not speak usbmuxd’s language.")
        }
        MuxError::Refused { request, .. } => format!("usbmuxd refuses to answer {request}."),
    };
    Check::fail(ID, says, cure(setup, is_there))
}

const INSTALL: &str = "sudo apt install usbmuxd";

/// What helps, which depends on who starts usbmuxd, and on whether it is there.
fn cure(setup: &Setup, is_there: bool) -> &'static str {
    // For libimobiledevice the variable may say what the configuration says (`reach::tell_libusbmuxd`).
    let address = |text: &str| MuxAddress::resolve(Some(text)).ok();
    let configured = setup.config.own.usbmuxd.address.as_deref();
    let variable = std::env::var("USBMUXD_SOCKET_ADDRESS").is_ok_and(|text| {
        !text.trim().is_empty() && address(&text) != configured.and_then(address)
    });
    if variable {
        "Correct or remove the variable USBMUXD_SOCKET_ADDRESS, which names this place."
    } else if setup.config.own.usbmuxd.address.is_some() {
        "Correct or remove usbmuxd.address in the configuration."
    } else if cfg!(target_os = "macos") {
        // launchd starts it again.
        "sudo killall usbmuxd"
    } else if is_there {
        "sudo systemctl restart usbmuxd"
    } else {
        INSTALL
    }
}
