//! What the item in the menu bar shows, from the status document, and how often.
//!
//! Not here: what the lines look like and how they get onto the screen (`backupwatch_notify::menu`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::notice::Action;
use backupwatch_core::words::{lasting, size};
use backupwatch_core::{Period, Protection};
use backupwatch_notify::menu::{Menu, MenuBar, MenuDevice};
use tokio::time::Instant;

use crate::api::words::Progress;
use crate::page::words::phase;
use crate::status::{DeviceStatus, Status};

/// Devices with a line of their own.
const LISTED: usize = 12;
/// The item is drawn no more often. Five hundred phones that are attached at once are one picture, not five hundred.
const PAUSE: Duration = Duration::from_secs(1);
/// What an estimate of the time left is made of, at least.
const MEASURED: Duration = Duration::from_secs(5);

/// The item, and what it shows now. Without a backup under way, and when nothing happens, it asks for no time at all.
pub(crate) struct Face {
    bar: Arc<dyn MenuBar>,
    shown: Option<Menu>,
    /// Whether something may have changed since.
    stale: bool,
    not_before: Instant,
    paces: Paces,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Face")
            .field("shown", &self.shown)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl Face {
    pub(crate) fn new(bar: Arc<dyn MenuBar>, now: Instant) -> Self {
        Self {
            bar,
            shown: None,
            stale: true,
            not_before: now,
            paces: Paces::default(),
        }
    }

    /// Why there is no item.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.bar.trouble()
    }

    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.stale = true;
    }

    /// When [`Self::look`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stale.then_some(self.not_before)
    }

    /// Draws what has changed, if it is time. How far a running backup is, nobody tells: it is looked at again.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        is_backing_up: bool,
        status: impl FnOnce() -> Status,
    ) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.stale = is_backing_up;
        self.not_before = now + PAUSE;
        let menu = menu(&status(), &mut self.paces, now);
        if self.shown.as_ref() != Some(&menu) {
            self.bar.show(&menu);
            self.shown = Some(menu);
        }
    }
}

/// Where the transfer of each running backup was when it was seen first.
type Paces = BTreeMap<String, (Instant, f32)>;

fn menu(status: &Status, paces: &mut Paces, now: Instant) -> Menu {
    let mut devices: Vec<(Protection, &DeviceStatus)> = status
        .devices
        .iter()
        .map(|device| (device.protection(), device))
        .collect();
    devices.sort_by(|one, other| worst_first(*one, *other));
    paces.retain(|udid, _| {
        let running = |device: &&DeviceStatus| device.backup.as_ref().is_some_and(is_transfer);
        status
            .devices
            .iter()
            .filter(running)
            .any(|one| one.udid == *udid)
    });
    let has_store = |device: &DeviceStatus| {
        let store = status.store_of(device);
        store.is_none_or(|store| store.words.is_none())
    };
    let entries: Vec<MenuDevice> = devices
        .iter()
        .take(LISTED)
        .filter_map(|(protection, device)| {
            Some(MenuDevice {
                udid: device.udid.parse().ok()?,
                name: name(device).to_owned(),
                protection: *protection,
                reason: device.reason.clone(),
                progress: device
                    .backup
                    .as_ref()
                    .map(|progress| running(progress, left(&device.udid, progress, paces, now))),
                actions: actions(device, *protection, has_store(device)),
            })
        })
        .collect();
    Menu {
        worst: devices.first().map(|(protection, _)| *protection),
        trouble: (status.agent.usbmuxd == Some(false))
            .then(|| "Phones cannot be seen: usbmuxd does not answer.".to_owned()),
        more: devices.len().saturating_sub(entries.len()),
        devices: entries,
    }
}

/// A backup that runs stands before others of its verdict, so that it can be followed.
fn worst_first(
    (protection, device): (Protection, &DeviceStatus),
    (other_protection, other): (Protection, &DeviceStatus),
) -> Ordering {
    protection
        .turn()
        .cmp(&other_protection.turn())
        .then_with(|| other.backup.is_some().cmp(&device.backup.is_some()))
        .then_with(|| name(device).cmp(name(other)))
        .then_with(|| device.udid.cmp(&other.udid))
}

fn name(device: &DeviceStatus) -> &str {
    let name = device.nickname.as_deref().or(device.name.as_deref());
    name.unwrap_or_default()
}

/// What makes sense now.
fn actions(device: &DeviceStatus, protection: Protection, has_store: bool) -> Vec<Action> {
    let is_here = !device.links.is_empty() && device.trust == "trusted";
    let can_back_up = is_here && has_store && device.backup.is_none();
    let is_silent = device.snoozed_until.is_some() || device.muted_since.is_some();
    let can_snooze = protection != Protection::Protected && !is_silent;
    [
        can_back_up.then_some(Action::BackUpNow),
        Some(Action::ShowSteps),
        can_snooze.then_some(Action::Snooze),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `Backing up: 42 %, 1.2 GB, about 3 minutes left`, or what it does before and after that.
fn running(progress: &Progress, left: Option<Duration>) -> String {
    if !is_transfer(progress) {
        return phase(&progress.phase).to_owned();
    }
    let percent = progress.percent.filter(|percent| percent.is_finite());
    let percent = percent.map(|percent| format!("{:.0} %", percent.clamp(0.0, 100.0).floor()));
    let came = (progress.bytes > 0).then(|| size(progress.bytes));
    let left = left.map(|left| match left.as_secs() {
        ..60 => "less than a minute left".to_owned(),
        // To the nearest minute.
        seconds => {
            let seconds = i64::try_from(seconds + 30).unwrap_or(i64::MAX);
            format!("about {} left", lasting(Period::seconds(seconds)))
        }
    });
    let parts: Vec<String> = percent.into_iter().chain(came).chain(left).collect();
    if parts.is_empty() {
        "Backing up".to_owned()
    } else {
        format!("Backing up: {}", parts.join(", "))
    }
}

fn is_transfer(progress: &Progress) -> bool {
    progress.phase == "transferring"
}

/// How long a transfer goes on as it went so far.
fn left(udid: &str, progress: &Progress, paces: &mut Paces, now: Instant) -> Option<Duration> {
    let percent = progress.percent.filter(|_| is_transfer(progress))?;
    let (begin, at) = *paces.entry(udid.to_owned()).or_insert((now, percent));
    let measured = now.saturating_duration_since(begin);
    let moved = percent - at;
    if measured < MEASURED || moved <= 1.0 {
        return None;
    }
    let left = measured.as_secs_f32() * ((100.0 - percent).max(0.0) / moved);
    Duration::try_from_secs_f32(left).ok()
}

#[cfg(test)]
mod tests;
