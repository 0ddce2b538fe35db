//! Ages and codes as the page says them. Dates are written as in notices and on the command line.

pub(super) use backupwatch_core::words::{ago_at as ago, date as day, date_and_time as moment};
use backupwatch_core::words::{files, size};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::words::Progress;
use crate::status::{CloudStatus, DeviceStatus, LocalStatus};

/// What the person calls it, else what its owner called it.
pub(super) fn name(device: &DeviceStatus) -> &str {
    let name = device.nickname.as_deref().or(device.name.as_deref());
    name.unwrap_or("A device without a name")
}

/// `iPhone`, `iPad` or `device`, as a person says it.
pub(super) fn noun(device: &DeviceStatus) -> &'static str {
    match device.model.as_deref() {
        Some(model) if model.starts_with("iPhone") => "iPhone",
        Some(model) if model.starts_with("iPad") => "iPad",
        Some(_) | None => "device",
    }
}

pub(super) fn protection(code: &str) -> &'static str {
    match code {
        "protected" => "Protected",
        "at_risk" => "At risk",
        "unprotected" => "Unprotected",
        _ => "Not known",
    }
}

pub(super) fn step_state(code: &str, marked: bool) -> &'static str {
    match code {
        "done" => "It worked",
        "next" if marked => "Has its time",
        "next" => "Do this now",
        "ready" => "May be tried",
        "locked" => "Not yet",
        "never" => "Would not help",
        _ => "Tried",
    }
}

pub(super) fn confidence(code: &str) -> &'static str {
    match code {
        "certain" => "The phone itself says so",
        "likely" => "Most signs point to it",
        _ => "It fits, and other things do too",
    }
}

/// What a running backup does.
pub(crate) fn phase(code: &str) -> &'static str {
    match code {
        "opening" => "Talking to the phone",
        "waiting_for_passcode" => "Enter the passcode on the phone",
        "preparing" => "The phone prepares its backup",
        "transferring" => "The backup is coming in",
        "moving" => "The phone sorts what it has sent",
        "verifying" => "Checking every file on this disk",
        _ => "Almost done",
    }
}

/// `1.2 GB in 3,400 files so far`; empty before anything came.
pub(super) fn amount(progress: &Progress) -> String {
    match progress.files {
        0 => String::new(),
        count => format!("{} in {} so far", size(progress.bytes), files(count)),
    }
}

/// The iCloud backup in a few words.
pub(super) fn icloud(cloud: &CloudStatus, now: Timestamp, zone: &TimeZone) -> String {
    let switch = match cloud.enabled {
        Some(true) => "",
        Some(false) => "Switched off. ",
        None => "It is not known whether it is on. ",
    };
    match cloud.last {
        Some(last) => format!(
            "{switch}Last one {} ({})",
            ago(last, now),
            moment(last, zone)
        ),
        None => format!("{switch}No date is known"),
    }
}

/// The local backup in a few words.
pub(super) fn local(local: &LocalStatus, now: Timestamp, zone: &TimeZone) -> String {
    let made = local.last.map(|last| ago(last, now)).unwrap_or_default();
    let sort = match local.encrypted {
        Some(true) => ", encrypted",
        Some(false) => ", not encrypted",
        None => "",
    };
    match (local.state.as_str(), local.damaged) {
        ("verified", _) => {
            let level = local.level.as_deref().unwrap_or_default();
            let checked = local.verified_at.map(|at| format!(" on {}", day(at, zone)));
            let checked = checked.unwrap_or_default();
            format!("Made {made}{sort}. Checked on this disk{checked} (level {level})")
        }
        (_, Some(damaged)) => format!("Made {made}, and damaged since: {}", files(damaged)),
        ("unverified", None) => format!("Made {made}{sort}. It cannot be vouched for now"),
        ("elsewhere", None) => {
            format!("Another computer made one {made}. Nobody has checked it here")
        }
        ("none", None) => "None on this computer".to_owned(),
        _ => "Nobody can look at the folder for backups now".to_owned(),
    }
}
