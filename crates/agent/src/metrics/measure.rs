//! From what is known to a sheet. Pure: the status says what is true, the tally what was done, and what neither knows is absent.
//! Never a zero for something unknown, and never a date that somebody's wrong clock has made.

use std::collections::BTreeMap;

use backupwatch_core::Protection;
use backupwatch_core::text::plain;
use jiff::Timestamp;

use super::families as of;
use super::sheet::{Label, Sheet, truth};
use crate::report;
use crate::state::Tally;
use crate::status::{CloudStatus, DeviceStatus, LocalStatus, Status};

/// Devices with numbers of their own; a school has some hundred. Each has about thirty.
const DEVICES: usize = 1_000;
/// Characters of a name. Names come from phones.
const NAME: usize = 64;

const PROTECTIONS: [Protection; 4] = [
    Protection::Protected,
    Protection::AtRisk,
    Protection::Unprotected,
    Protection::Unknown,
];
const CLOUD: [&str; 8] = [
    "fresh", "late", "stale", "alarm", "critical", "off", "none_yet", "unknown",
];
const LOCAL: [&str; 5] = ["verified", "unverified", "elsewhere", "none", "unknown"];

/// What only the agent knows of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    pub(super) started: Timestamp,
    pub(super) turns: u64,
}

/// The sheet of a running agent.
pub(super) fn measure(
    status: &Status,
    tallies: &BTreeMap<String, Tally>,
    health: Health,
    names: bool,
) -> Sheet {
    let mut sheet = Sheet::default();
    agent(&mut sheet, status, health);
    let mut devices: Vec<&DeviceStatus> = status.devices.iter().collect();
    // Who needs somebody is not left out.
    devices.sort_by_key(|device| device.protection().turn());
    devices.truncate(DEVICES);
    for one in devices {
        if let Some(labels) = labels(one, names) {
            device(&mut sheet, status.as_of, one, &labels);
            if let Some(tally) = tallies.get(&one.udid) {
                runs(&mut sheet, tally, &labels);
            }
        }
    }
    sheet
}

/// What is left of it when the agent ends: nothing that somebody could take for a verdict of today.
pub(super) fn farewell(now: Timestamp) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.note(of::AGENT_UP, &[], Some(0.0));
    sheet.note(of::AS_OF, &[], Some(seconds(now)));
    sheet
}

fn agent(sheet: &mut Sheet, status: &Status, health: Health) {
    let release = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    sheet.note(of::AGENT_UP, &[], Some(1.0));
    sheet.note(of::BUILD_INFO, &release, Some(1.0));
    sheet.note(of::AS_OF, &[], Some(seconds(status.as_of)));
    sheet.note(of::AGENT_START, &[], Some(seconds(health.started)));
    sheet.note(of::LAST_POLL, &[], status.agent.last_poll.map(seconds));
    sheet.note(of::TURNS, &[], Some(number(health.turns)));
    let remarks = u64::try_from(status.agent.remarks.len()).unwrap_or(u64::MAX);
    sheet.note(of::REMARKS, &[], Some(number(remarks)));
    sheet.note(of::USBMUXD_UP, &[], status.agent.usbmuxd.map(truth));
    if let Some(store) = &status.store {
        // Of several stores the worst counts.
        let stores = || std::iter::once(store).chain(&status.stores);
        let usable = stores().all(|store| store.words.is_none());
        sheet.note(of::STORE_USABLE, &[], Some(truth(usable)));
        let free = stores().filter_map(|store| store.free).min();
        sheet.note(of::STORE_FREE, &[], free.map(number));
    }
    for protection in PROTECTIONS {
        let those = status.devices.iter();
        let those = those.filter(|device| device.protection() == protection);
        let labels = [("protection", protection.code().to_owned())];
        let count = u64::try_from(those.count()).unwrap_or(u64::MAX);
        sheet.note(of::DEVICES, &labels, Some(number(count)));
    }
    let left_out = status.devices.len().saturating_sub(DEVICES);
    let left_out = u64::try_from(left_out).unwrap_or(u64::MAX);
    sheet.note(of::LEFT_OUT, &[], Some(number(left_out)));
}

/// A device without an alias has no label that may be told.
fn labels(device: &DeviceStatus, names: bool) -> Option<Vec<Label>> {
    let mut labels = vec![("device", device.alias.clone()?)];
    if names {
        let name = device.nickname.as_ref().or(device.name.as_ref());
        let name = name.map(|name| plain(name, NAME)).unwrap_or_default();
        labels.push(("name", name));
    }
    Some(labels)
}

fn device(sheet: &mut Sheet, as_of: Timestamp, device: &DeviceStatus, labels: &[Label]) {
    let all = PROTECTIONS.map(Protection::code);
    let is = device.protection().code();
    sheet.note_one_of(of::PROTECTION, labels, "protection", &all, is);
    sheet.note(of::LAST_CONTACT, labels, device.seen_at.map(seconds));
    sheet.note(of::MUTED, labels, Some(truth(device.muted_since.is_some())));
    icloud(sheet, as_of, &device.icloud, labels);
    local(sheet, &device.local, labels);
    sheet.note(of::RUNNING, labels, Some(truth(device.backup.is_some())));
    sheet.note(of::DUE, labels, Some(truth(device.due.is_some())));
}

fn icloud(sheet: &mut Sheet, as_of: Timestamp, cloud: &CloudStatus, labels: &[Label]) {
    sheet.note_one_of(of::ICLOUD_STATE, labels, "state", &CLOUD, &cloud.state);
    sheet.note(of::ICLOUD_ENABLED, labels, cloud.enabled.map(truth));
    // A clock that is wrong, or a date that nobody can read, must not make a backup young.
    let doubted = matches!(cloud.why.as_deref(), Some("clock_wrong" | "unreadable"));
    let last = cloud.last.filter(|last| !doubted && *last <= as_of);
    sheet.note(of::ICLOUD_LAST, labels, last.map(seconds));
}

fn local(sheet: &mut Sheet, local: &LocalStatus, labels: &[Label]) {
    sheet.note_one_of(of::LOCAL_STATE, labels, "state", &LOCAL, &local.state);
    // What another computer has made is neither here nor checked.
    if local.state != "elsewhere" {
        sheet.note(of::LOCAL_LAST, labels, local.last.map(seconds));
    }
    let level = local.level.as_deref().and_then(report::depth);
    sheet.note(of::LOCAL_LEVEL, labels, level.map(f64::from));
    sheet.note(of::LOCAL_VERIFIED, labels, local.verified_at.map(seconds));
    sheet.note(of::LOCAL_DAMAGED, labels, local.damaged.map(number));
}

fn runs(sheet: &mut Sheet, tally: &Tally, labels: &[Label]) {
    for (outcome, count) in &tally.outcomes {
        let mut labels = labels.to_vec();
        labels.push(("outcome", outcome.clone()));
        sheet.note(of::RUNS, &labels, Some(number(*count)));
    }
    sheet.note(of::RECEIVED, labels, Some(tally.received));
    let failures = number(tally.failures_in_a_row);
    sheet.note(of::FAILURES_IN_A_ROW, labels, Some(failures));
    if let Some(last) = &tally.last {
        sheet.note(of::LAST_RUN_END, labels, Some(seconds(last.ended.0)));
        sheet.note(of::LAST_RUN_GOOD, labels, Some(truth(last.is_verified)));
        let took = last.ended.0.duration_since(last.started.0).as_secs_f64();
        // A clock that was set back in between tells nothing.
        let took = Some(took).filter(|took| *took >= 0.0);
        sheet.note(of::LAST_RUN_DURATION, labels, took);
        sheet.note(of::LAST_RUN_SIZE, labels, last.received);
    }
}

/// Seconds since 1970, to the millisecond that the state keeps.
fn seconds(at: Timestamp) -> f64 {
    jiff::SignedDuration::from_millis(at.as_millisecond()).as_secs_f64()
}

/// As near as a double comes, which is exact up to nine thousand terabytes.
#[expect(
    clippy::cast_precision_loss,
    reason = "every format of metrics has doubles only"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
