//! What speaks to the devices, and the system's libimobiledevice, whether or not it is in use.

use backupwatch_agent::doctor::{Check, limited_blocking};
use backupwatch_core::words::capital;
use backupwatch_device::{Backend, LibraryError, Transport};

const ID: &str = "backend";
const LIBRARY: &str = "libimobiledevice";
const CURE: &str =
    "Set device.backend = \"idevice\" in the configuration, or mend libimobiledevice.";

type Found = Result<Result<String, LibraryError>, Check>;

/// Loads the library. Without a transport nobody knows what is wanted of it.
pub async fn look(transport: Option<&Transport>) -> Option<Found> {
    let transport = transport?.clone();
    Some(limited_blocking(ID, LIBRARY, CURE, move || transport.library_found()).await)
}

/// Once the phones were visited.
pub fn judge(found: Found, transport: &Transport) -> Check {
    let found = match found {
        Ok(found) => found,
        Err(silent) => return silent,
    };
    match (transport.backend(), found) {
        (Backend::Idevice, Ok(library)) => Check::pass(
            ID,
            format!("Devices are spoken to with idevice; {library} is here, too."),
        ),
        (Backend::Idevice, Err(_)) => Check::pass(
            ID,
            "Devices are spoken to with idevice; libimobiledevice is not here, and not needed.",
        ),
        (Backend::Libimobiledevice, Ok(library)) => {
            Check::pass(ID, format!("Devices are spoken to with {library}."))
        }
        (Backend::Libimobiledevice, Err(error)) => {
            Check::fail(ID, format!("No device can be spoken to: {error}."), CURE)
        }
        (Backend::Auto, Ok(library)) => {
            let now = match transport.fallen_back() {
                0 => String::new(),
                1 => ", as now one".to_owned(),
                many => format!(", as now {many}"),
            };
            Check::pass(
                ID,
                format!(
                    "Devices are spoken to with idevice, and with {library} where it does not understand them{now}."
                ),
            )
        }
        (Backend::Auto, Err(error)) => Check::warn(
            ID,
            format!(
                "Devices are spoken to with idevice, and there is nothing else for those that it does not understand. {}.",
                capital(&error.to_string())
            ),
            CURE,
        ),
    }
}
