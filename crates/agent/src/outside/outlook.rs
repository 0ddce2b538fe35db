//! Whether all is looked after, for a service that knows two answers and silence. What is a yes here is in `docs/adr/0016`.

use backupwatch_core::{HostTime, Period, Protection};

use crate::status::{DeviceStatus, Status};

/// A round may be late by a computer that is busy.
const SLACK: Period = Period::minutes(5);

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// The agent does its work, and each device has a backup, or has been without one for days only.
    Well,
    /// A device is unprotected.
    Bad,
    /// Nobody can say. That is no yes.
    Unclear,
}

/// What keeps the agent from knowing anything now.
pub(super) fn blind(
    status: &Status,
    now: HostTime,
    interval: Period,
    writes: bool,
) -> Option<&'static str> {
    let polled = status.agent.last_poll.map(HostTime);
    let late = |polled: HostTime| now.since(polled) > interval.times(2).plus(SLACK);
    if status.agent.usbmuxd != Some(true) || polled.is_none_or(late) {
        Some("Phones cannot be seen from this computer.")
    } else if !writes {
        Some("What happens cannot be recorded on this computer.")
    } else {
        None
    }
}

/// Of all devices, with a sentence that has no name in it.
pub(super) fn of_all(devices: &[DeviceStatus], blind: Option<&str>) -> (Outlook, String) {
    let count = |word| {
        devices
            .iter()
            .filter(|device| device.protection() == word)
            .count()
    };
    let [bad, risk, unknown, well] = [
        Protection::Unprotected,
        Protection::AtRisk,
        Protection::Unknown,
        Protection::Protected,
    ]
    .map(count);
    let outlook = match (bad, unknown) {
        (1.., _) => Outlook::Bad,
        (0, 0) if blind.is_none() && !devices.is_empty() => Outlook::Well,
        (0, _) => Outlook::Unclear,
    };
    let counted = match devices.len() {
        0 => "No device is known yet.".to_owned(),
        all => format!(
            "Devices: {all}. Protected: {well}, at risk: {risk}, unprotected: {bad}, not known: {unknown}."
        ),
    };
    let words = blind.map_or_else(|| counted.clone(), |blind| format!("{blind} {counted}"));
    (outlook, words)
}

/// Of one device.
pub(super) fn of_one(device: Option<&DeviceStatus>, blind: Option<&str>) -> (Outlook, String) {
    let protection = device.map_or(Protection::Unknown, DeviceStatus::protection);
    let outlook = match protection {
        Protection::Unprotected => Outlook::Bad,
        Protection::Protected | Protection::AtRisk if blind.is_none() => Outlook::Well,
        Protection::Protected | Protection::AtRisk | Protection::Unknown => Outlook::Unclear,
    };
    let words = match protection {
        Protection::Protected => "The device is protected.",
        Protection::AtRisk => "The device is at risk.",
        Protection::Unprotected => "The device is unprotected.",
        Protection::Unknown => "How the device is, is not known.",
    };
    let words = blind.map_or_else(|| words.to_owned(), |blind| format!("{blind} {words}"));
    (outlook, words)
}
