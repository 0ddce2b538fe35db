//! The USB bus against usbmuxd's list: who hangs on the cable and is not seen, who waits in recovery mode, and whose cable is
//! the slow one.

use super::phones::{Phones, timeouts};
use backupwatch_agent::doctor::{Check, LIMIT, limited};
use backupwatch_device::{
    MuxAddress, Timeouts,
    bus::{self, BusError, Found, Listed, Mode},
};

const ID: &str = "usb";

/// What was found on it.
pub struct Scan {
    found: Result<Result<Vec<Found>, BusError>, Check>,
    /// Whether the usbmuxd that was asked is the one that has this computer's cables: another one need not list what is on them.
    has_cables: bool,
}

/// Looks at it. Without an address nobody can be asked whom usbmuxd lists.
pub async fn look(address: Option<&MuxAddress>) -> Option<Scan> {
    let address = address?.clone();
    let has_cables = address.is_the_systems();
    let cure = "Unplug what hangs on USB and plug it in again.";
    let found = limited(ID, "The USB bus", cure, async move {
        let timeouts = Timeouts {
            mux: LIMIT / 2,
            ..timeouts()
        };
        bus::look(&address, &timeouts).await
    });
    Some(Scan {
        found: found.await,
        has_cables,
    })
}

/// The worst of it only: one cable has one cure.
pub fn judge(scan: Scan, phones: &Phones) -> Check {
    let found = match scan.found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            return Check::warn(
                ID,
                format!("The USB bus cannot be looked at: {error}."),
                "Run this on the computer itself, not in a container.",
            );
        }
        Err(silent) => return silent,
    };
    let asleep = found.iter().find_map(not_awake);
    let slow = || found.iter().find_map(|one| slow(one, phones));
    let unseen = || unlisted(&found).or_else(|| unknown(&found));
    asleep
        .or_else(|| scan.has_cables.then(unseen).flatten())
        .or_else(slow)
        .unwrap_or_else(|| {
            Check::pass(
                ID,
                match found.len() {
                    0 => "No iPhone or iPad hangs on a USB cable.".to_owned(),
                    1 => "One iPhone or iPad hangs on a USB cable, and nothing is wrong with it."
                        .to_owned(),
                    many => format!(
                        "{many} devices hang on USB cables, and nothing is wrong with them."
                    ),
                },
            )
        })
}

fn not_awake(one: &Found) -> Option<Check> {
    let mode = match one.phone.mode {
        Mode::Normal => return None,
        Mode::Recovery => "recovery mode",
        Mode::Dfu => "DFU mode",
        Mode::Wtf => "WTF mode",
    };
    Some(Check::fail(
        ID,
        format!(
            "A device on the USB cable (port {}) is in {mode}: it waits to be restored, and nothing on it can be read or backed up.",
            one.phone.port
        ),
        "Do not restore it yet; restart it: press volume up, then volume down, then hold the side button until the Apple logo appears.",
    ))
}

fn unlisted(found: &[Found]) -> Option<Check> {
    let cure = if cfg!(target_os = "macos") {
        "Unlock it, unplug it, plug it in again, and choose Allow where the Mac asks about the accessory."
    } else {
        "Unlock it, unplug it and plug it in again."
    };
    let count = found.iter().filter(|one| one.listed == Listed::Not).count();
    let says = match count {
        0 => return None,
        1 => "A device hangs on the USB cable that usbmuxd does not see.".to_owned(),
        many => format!("{many} devices hang on USB cables that usbmuxd does not see."),
    };
    Some(Check::fail(ID, says, cure))
}

/// usbmuxd could not be asked, which is a check of its own.
fn unknown(found: &[Found]) -> Option<Check> {
    let count = found
        .iter()
        .filter(|one| one.listed == Listed::Unknown)
        .count();
    let says = match count {
        0 => return None,
        1 => "A device hangs on the USB cable, and cannot be seen without usbmuxd.".to_owned(),
        many => format!("{many} devices hang on USB cables, and cannot be seen without usbmuxd."),
    };
    Some(Check::warn(ID, says, "Cure usbmuxd first: see above."))
}

fn slow(one: &Found, phones: &Phones) -> Option<Check> {
    let Listed::As(udid) = &one.listed else {
        return None;
    };
    let speed = one.phone.speed?;
    let best = bus::could_be(phones.model(udid)?, speed)?;
    let name = phones.name(udid)?;
    Some(Check::warn(
        ID,
        format!(
            "The cable of {name} carries {}, and the device could do {}: backups take longer than they must.",
            speed, best
        ),
        "Use a USB 3 cable, in a USB 3 port of the computer itself.",
    ))
}
