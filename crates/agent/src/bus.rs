//! The phones on this computer's own cables, beside those that usbmuxd lists: when to look, and what a person should know.
//!
//! Not here: the look itself (`device::bus`). Between two changes nothing is looked at: whatever plugs, unplugs, starts or stops is a
//! hint, and a moment later, when usbmuxd has had its turn, one look is enough for all the hints until then.

use backupwatch_core::{HostTime, Period, Udid};
use backupwatch_device::bus::{Found, Listed, Mode, could_be};

/// How long usbmuxd may take to list a phone that was plugged in: it starts with the first one, and asks each for its name.
const SETTLING: Period = Period::seconds(15);
/// A wall of phones in trouble is one trouble.
const MOST_REMARKS: usize = 8;

/// What is known of the cables.
#[derive(Debug, Default)]
pub struct Cables {
    due: Option<HostTime>,
    is_looking: bool,
    found: Vec<Found>,
}

impl Cables {
    /// Something may have changed.
    pub fn hint(&mut self, now: HostTime) {
        self.due.get_or_insert(now.plus(SETTLING));
    }

    /// When the next look is due. One at a time: while one is under way, its end is waited for.
    pub fn due(&self) -> Option<HostTime> {
        self.due.filter(|_| !self.is_looking)
    }

    /// Whether to look now; whoever hears *yes* must look, and tell what was [found](Self::found).
    pub fn begin(&mut self, now: HostTime) -> bool {
        let begins = self.due().is_some_and(|due| due <= now);
        if begins {
            self.due = None;
            self.is_looking = true;
        }
        begins
    }

    /// A look ended.
    pub fn found(&mut self, found: Vec<Found>) {
        self.is_looking = false;
        if found != self.found {
            for Found { phone, listed } in &found {
                tracing::info!(port = phone.port, mode = ?phone.mode, speed = ?phone.speed, listed = word(listed), "on the cable");
            }
        }
        self.found = found;
    }

    /// What a person should know of phones that cannot be reached, each with the next step.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for remark in self.found.iter().filter_map(remark) {
            if remarks.len() < MOST_REMARKS && !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
        remarks
    }

    /// What to know of the cable of the phone that usbmuxd lists by this UDID, where the model could be faster on another one.
    pub fn slow(&self, udid: &Udid, model: &str, name: &str) -> Option<String> {
        let is_it = |found: &&Found| match &found.listed {
            Listed::As(listed) => listed.as_str().eq_ignore_ascii_case(udid.as_str()),
            Listed::Not | Listed::Unknown => false,
        };
        let speed = self.found.iter().find(is_it)?.phone.speed?;
        let best = could_be(model, speed)?;
        Some(format!(
            "{name} is connected at {}, and this model could have {}: its backups take longer than they must. Use a USB 3 cable, \
             which the one from its box may not be, and a USB 3 port of this computer.",
            speed, best
        ))
    }
}

fn word(listed: &Listed) -> &'static str {
    match listed {
        Listed::As(_) => "yes",
        Listed::Not => "no",
        Listed::Unknown => "unknown",
    }
}

fn remark(found: &Found) -> Option<String> {
    let what = found.phone.family();
    match (found.phone.mode, &found.listed) {
        (Mode::Normal, Listed::As(_)) => None,
        (Mode::Normal, Listed::Not) => Some(format!(
            "An {what} is on the cable, but this computer's usbmuxd does not list it, so it can be neither watched nor backed up. \
             Unplug it, unlock it, and plug it in again; a virtual machine that has taken it must give it back first."
        )),
        (Mode::Normal, Listed::Unknown) => Some(format!(
            "An {what} is on the cable, but usbmuxd does not answer, so it can be neither watched nor backed up. {START_USBMUXD}"
        )),
        (Mode::Recovery, _) => Some(stuck(what, "recovery mode (its screen shows a cable)")),
        (Mode::Dfu, _) => Some(stuck(what, "DFU mode (its screen stays black)")),
        (Mode::Wtf, _) => Some(stuck(what, "WTF mode (its screen stays black)")),
    }
}

#[cfg(target_os = "macos")]
const START_USBMUXD: &str = "Restart this Mac.";
#[cfg(not(target_os = "macos"))]
const START_USBMUXD: &str = "See that it is installed, and start it: sudo systemctl start usbmuxd.";

/// A phone whose boot loader waits; a restart by the buttons leads out of it and erases nothing (support.apple.com/118106).
fn stuck(what: &str, mode: &str) -> String {
    format!(
        "An {what} on the cable is in {mode}, so it can be neither watched nor backed up. Unless it is being updated just now, restart \
         it by its buttons: press volume up and let go, press volume down and let go, then hold the side or top button until the Apple \
         logo shows; with a Home button, hold that and the side or top button. This erases nothing. If the same comes back, let Finder \
         on a Mac update it; do not choose Restore, which erases it."
    )
}

#[cfg(test)]
mod tests;
