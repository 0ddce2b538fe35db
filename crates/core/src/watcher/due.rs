//! Whether a local backup is due, with its reasons, and what keeps it from beginning now.

use crate::facts::{Setup, Trust};
use crate::judge::verified_age;
use crate::policy::{Mode, Policy};
use crate::time::{HostTime, Now, Period};
use crate::verdict::{CloudState, Concern, SafetyNet, UnknownWhy, Verdict};
use crate::watcher::StoreState;
use crate::watcher::device::Device;
use crate::watcher::disks::Traffic;
use crate::words;

/// In alarm a backup is made weekly at least, whatever `backup.max_age` says (`remediation.md` 4.2).
const WEEKLY: Period = Period::days(7);

/// Why a due backup does not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    NotAttached,
    NotTrusted,
    SettingUp,
    StoreMissing,
    StoreFull { need: u64 },
    ModeOff,
    Snoozed { until: HostTime },
    BackingOff { until: HostTime },
    QuietHours,
    LowBattery { percent: u8 },
    ModeAsk,
    NobodyThere,
    OthersRunning,
    DiskBusy,
}

impl Hold {
    /// Why, for a face.
    pub(super) fn words(self, now: &Now) -> String {
        match self {
            Self::NotAttached => "the device to be connected".to_owned(),
            Self::NotTrusted => "the device to trust this computer".to_owned(),
            Self::SettingUp => "the device to finish its set-up or restore".to_owned(),
            Self::StoreMissing => "the folder for backups to be usable".to_owned(),
            Self::StoreFull { need } => format!(
                "{} of free space on the disk for backups",
                words::size(need)
            ),
            Self::ModeOff => "somebody to ask for it (backup.mode is off)".to_owned(),
            Self::Snoozed { until } => {
                format!("the snooze to end on {}", words::day_and_time(until.0, now))
            }
            Self::BackingOff { until } => {
                format!(
                    "the pause after the last try, until {}",
                    words::day_and_time(until.0, now)
                )
            }
            Self::QuietHours => "the quiet hours to end".to_owned(),
            Self::LowBattery { percent } => format!("power, with the battery at {percent} %"),
            Self::ModeAsk => "somebody to choose Back Up Now".to_owned(),
            Self::NobodyThere => "somebody to plug in or unlock the device".to_owned(),
            Self::OthersRunning => "another device's backup to finish".to_owned(),
            Self::DiskBusy => "another device's backup to the same disk to finish".to_owned(),
        }
    }
}

/// Why a backup is due, as the plan will print it; empty when none is.
pub(super) fn reasons(
    device: &Device,
    verdict: &Verdict,
    policy: &Policy,
    store: &StoreState,
    now: &Now,
) -> Vec<String> {
    let Some(cloud) = cloud_reason(device, verdict, policy, now) else {
        return Vec::new();
    };
    let in_alarm = matches!(
        verdict.cloud.state,
        CloudState::Alarm | CloudState::Critical
    );
    let max_age = if in_alarm {
        policy.backup.max_age.min(WEEKLY)
    } else {
        policy.backup.max_age
    };
    match verified_age(&verdict.net) {
        Some(age) if age < max_age => Vec::new(),
        Some(age) => vec![
            cloud,
            format!("newest verified copy {} old", words::short_age(age)),
        ],
        None => vec![cloud, no_copy(&verdict.net, store).to_owned()],
    }
}

fn no_copy(net: &SafetyNet, store: &StoreState) -> &'static str {
    match net {
        SafetyNet::None if *store == StoreState::Missing => "no copy known on this computer",
        SafetyNet::Verified { .. } | SafetyNet::None => "no copy on this computer",
        SafetyNet::Damaged { .. } => "the copy on this computer is damaged",
        SafetyNet::Unverified {
            medium_missing: true,
            ..
        } => "the copy here cannot be looked at",
        SafetyNet::Unverified {
            medium_missing: false,
            ..
        } => "the copy on this computer is not verified",
        SafetyNet::Elsewhere { .. } => "no verified copy on this computer",
    }
}

fn cloud_reason(device: &Device, verdict: &Verdict, policy: &Policy, now: &Now) -> Option<String> {
    let past = &device.memory.past;
    match &verdict.cloud.state {
        CloudState::Fresh | CloudState::Late => None,
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => {
            let age = Period::seconds(verdict.cloud.age_s.unwrap_or(0));
            Some(format!("iCloud {} old", words::short_age(age)))
        }
        CloudState::Off if past.is_local_only(policy.backup.local_only) => {
            Some("local backups only".to_owned())
        }
        CloudState::Off => Some("iCloud Backup is off".to_owned()),
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate) => {
            (verdict.cloud.concern >= Concern::Stale).then(|| "no iCloud backup known".to_owned())
        }
        CloudState::Unknown(UnknownWhy::SettingUp) => None,
        CloudState::Unknown(_) => {
            let since = past.last_judged.or(past.first_seen)?;
            let for_long = now.host.since(since) >= policy.icloud.stale;
            for_long.then(|| format!("iCloud unknown for {}", words::short_since(since, now)))
        }
    }
}

/// What keeps a backup from beginning now. The first of them, from what only a person can change to what time will.
pub(super) fn hold(
    device: &Device,
    policy: &Policy,
    store: &StoreState,
    traffic: Traffic,
    now: &Now,
) -> Option<Hold> {
    let past = &device.memory.past;
    let facts = past.facts.as_ref();
    let wished = device.is_wished(now);
    if !device.is_attached() {
        return Some(Hold::NotAttached);
    }
    if past.trust != Some(Trust::Trusted) {
        return Some(Hold::NotTrusted);
    }
    if facts.is_some_and(|facts| matches!(facts.setup, Ok(Setup::InProgress | Setup::Restoring))) {
        return Some(Hold::SettingUp);
    }
    match store {
        StoreState::Missing => return Some(Hold::StoreMissing),
        // A person's wish is not refused on an estimate: the engine will say what is lacking.
        StoreState::Ready { free: Some(free) } if !wished => {
            let need = policy
                .backup
                .min_free
                .max(device.memory.failures.need.unwrap_or(0));
            if *free < need {
                return Some(Hold::StoreFull { need });
            }
        }
        StoreState::Ready { .. } | StoreState::NotHeardOf => {}
    }
    if !wished && let Some(hold) = hold_unwished(device, policy, now) {
        return Some(hold);
    }
    if traffic.everywhere >= usize::from(policy.backup.parallel) {
        return Some(Hold::OthersRunning);
    }
    (traffic.on_disk >= usize::from(policy.backup.per_disk)).then_some(Hold::DiskBusy)
}

/// What holds only a backup that nobody has asked for.
fn hold_unwished(device: &Device, policy: &Policy, now: &Now) -> Option<Hold> {
    if policy.backup.mode == Mode::Off {
        return Some(Hold::ModeOff);
    }
    if let Some(until) = device
        .memory
        .snoozed_until
        .filter(|until| now.host < *until)
    {
        return Some(Hold::Snoozed { until });
    }
    if let Some(until) = device
        .memory
        .failures
        .not_before
        .filter(|until| now.host < *until)
    {
        return Some(Hold::BackingOff { until });
    }
    if policy.backup.quiet.holds(now.second_of_day()) {
        return Some(Hold::QuietHours);
    }
    let battery = device
        .memory
        .past
        .facts
        .as_ref()
        .and_then(|facts| facts.battery.as_ref().ok());
    if let Some(battery) =
        battery.filter(|battery| battery.percent < policy.backup.min_battery && !battery.on_power)
    {
        return Some(Hold::LowBattery {
            percent: battery.percent,
        });
    }
    if policy.backup.mode == Mode::Ask {
        return Some(Hold::ModeAsk);
    }
    (!device.somebody_is_there(policy, now)).then_some(Hold::NobodyThere)
}
