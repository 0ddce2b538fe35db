//! The status document, schema 1: one shape for the local API, `status --json` and the page. A contract with scripts:
//! additive changes only, pinned by snapshots. Verdicts come from `core`; here they are only put into words that stay.

use std::collections::BTreeMap;

use backupwatch_core::run::Progress;
use backupwatch_core::verdict::{CloudState, NextCode, SafetyNet, UnknownWhy};
use backupwatch_core::watcher::{BackupView, DeviceView, Event, Remembered, Watcher};
use backupwatch_core::{HostTime, LinkKind, LocalCopy, Now, Protection, Trust, Udid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alias::Aliases;
use crate::config::{Alone, Config, Managed};
use crate::exit::ExitCode;
use crate::medium::{self, Medium, Trouble};
use crate::places::moved;
use crate::report;
use crate::state::{State, StateError};

mod stores;

pub(crate) use stores::remarks;
pub use stores::{OwnStores, own_stores};

/// The schema number of this document.
pub const SCHEMA: u32 = 1;

/// What is known about every device, as of a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The number of this shape.
    pub schema: u32,
    /// When this was computed. Ages count up to here.
    pub as_of: Timestamp,
    /// Who watches.
    pub agent: AgentStatus,
    /// Where local backups are; absent until somebody has looked.
    #[serde(default)]
    pub store: Option<StoreStatus>,
    /// The places of single devices that have one of their own, each once; absent where nobody has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreStatus>,
    /// One entry a device, in the order of their UDIDs.
    pub devices: Vec<DeviceStatus>,
}

/// The agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentStatus {
    /// Whether one runs now.
    pub running: bool,
    /// When it last looked at what is attached.
    pub last_poll: Option<Timestamp>,
    /// Whether usbmuxd answers; absent when no agent runs.
    pub usbmuxd: Option<bool>,
    /// Why usbmuxd does not answer, the damaged state that was set aside, and the like: one sentence each.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// What the person has not configured, but whoever looks after this computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
}

/// The place for local backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreStatus {
    /// Its folder.
    pub root: String,
    /// `new`, `ready`, `missing`, `empty`, `other`, `read_only`, `no_room`, `not_permitted` or `unusable`.
    pub state: String,
    /// Why no backup can be made there; absent when one can.
    pub words: Option<String>,
    /// Bytes free for backups, where that can be told.
    pub free: Option<u64>,
}

impl From<&Medium> for StoreStatus {
    fn from(medium: &Medium) -> Self {
        Self {
            root: medium.root.display().to_string(),
            state: medium.condition.code().to_owned(),
            words: medium.trouble.as_ref().map(ToString::to_string),
            free: medium.free,
        }
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceStatus {
    /// Its identifier.
    pub udid: String,
    /// What it is called in metrics, made for this installation; absent until an agent or a command has given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The name its owner gave it.
    pub name: Option<String>,
    /// What the person calls it in the configuration.
    #[serde(default)]
    pub nickname: Option<String>,
    /// The product type, such as `iPhone14,4`.
    pub model: Option<String>,
    /// Its iOS or iPadOS version.
    pub os_version: Option<String>,
    /// How it is attached now: `usb`, `network`; empty when it is not.
    pub links: Vec<String>,
    /// `trusted`, or what stands in the way.
    pub trust: String,
    /// When it last answered.
    pub seen_at: Option<Timestamp>,
    /// Its iCloud backup.
    pub icloud: CloudStatus,
    /// The safety net on this computer.
    pub local: LocalStatus,
    /// `protected`, `at_risk`, `unprotected` or `unknown`.
    pub protection: String,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do next.
    pub next: NextStatus,
    /// The step of the ladder to take now, `S0` to `S9`; absent when there is none.
    #[serde(default)]
    pub step: Option<String>,
    /// Why iCloud Backup probably fails, a stable code; absent when nothing is known to be wrong.
    #[serde(default)]
    pub cause: Option<String>,
    /// A person has chosen that local backups are enough for it; absent when nobody has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_only: bool,
    /// Nothing is said about it until then.
    pub snoozed_until: Option<Timestamp>,
    /// Since when a person wants no notices about it; absent when they want them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_since: Option<Timestamp>,
    /// The folder that it alone is backed up to, or shares with few; absent where it is the one of `store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The thresholds that hold for it alone; absent where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, String>,
    /// A local backup that is needed and has not begun.
    #[serde(default)]
    pub due: Option<DueStatus>,
    /// The backup that runs now.
    pub backup: Option<crate::api::words::Progress>,
}

impl DeviceStatus {
    /// The verdict, by its code; one that this release does not know says nothing.
    pub fn protection(&self) -> Protection {
        [
            Protection::Protected,
            Protection::AtRisk,
            Protection::Unprotected,
        ]
        .into_iter()
        .find(|protection| protection.code() == self.protection)
        .unwrap_or(Protection::Unknown)
    }
}

/// A local backup that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DueStatus {
    /// Why.
    pub reasons: Vec<String>,
    /// Why it has not begun, in words.
    pub waiting_for: String,
}

/// The iCloud backup of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloudStatus {
    /// `fresh`, `late`, `stale`, `alarm`, `critical`, `off`, `none_yet` or `unknown`.
    pub state: String,
    /// Why it is unknown, a stable code; absent otherwise.
    pub why: Option<String>,
    /// Whether iCloud Backup is switched on; absent when the device does not say.
    pub enabled: Option<bool>,
    /// When the last one ended, by the device's clock.
    pub last: Option<Timestamp>,
    /// Its age in seconds when it was read off the device, plus the time since.
    pub age_s: Option<i64>,
}

/// The local backup of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LocalStatus {
    /// `verified`, `unverified`, `elsewhere` or `none`; `unknown` while nobody can look.
    pub state: String,
    /// How deep it was checked, `L0` to `L4`.
    pub level: Option<String>,
    /// When it was made.
    pub last: Option<Timestamp>,
    /// Its age in seconds.
    pub age_s: Option<i64>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
    /// When it was checked as deep as `level` says; absent unless verified.
    #[serde(default)]
    pub verified_at: Option<Timestamp>,
    /// When each of its files had been read again once more, part by part in the background.
    #[serde(default)]
    pub reread_at: Option<Timestamp>,
    /// How many of its files are not what they were when it was made; absent unless it is damaged.
    #[serde(default)]
    pub damaged: Option<u64>,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NextStatus {
    /// A stable code.
    pub code: String,
    /// The same for people.
    pub words: String,
}

/// What only somebody knows who looks now.
#[derive(Debug, Clone, Default)]
pub struct Live<'a> {
    /// How the place for backups is.
    pub medium: Option<&'a Medium>,
    /// The same of devices with a place of their own.
    pub own: OwnStores<'a>,
    /// Running backups.
    pub progress: BTreeMap<&'a Udid, Progress>,
    /// Gives devices their aliases.
    pub aliases: Option<&'a Aliases>,
    /// What holds for single devices alone.
    pub alone: Option<&'a Alone>,
}

impl Status {
    /// Where this device is backed up to, once somebody has looked there.
    pub fn store_of(&self, device: &DeviceStatus) -> Option<&StoreStatus> {
        match &device.root {
            None => self.store.as_ref(),
            Some(root) => self.stores.iter().find(|store| store.root == *root),
        }
    }
}

/// The document of these views.
pub fn document(
    now: HostTime,
    agent: AgentStatus,
    views: &[DeviceView],
    copies: &BTreeMap<Udid, LocalCopy>,
    nicknames: &BTreeMap<Udid, String>,
    live: &Live<'_>,
) -> Status {
    let devices = views
        .iter()
        .map(|view| DeviceStatus {
            nickname: nicknames.get(&view.udid).cloned(),
            alias: live.aliases.map(|aliases| aliases.of(view.udid.as_str())),
            backup: live.progress.get(&view.udid).map(report::progress),
            root: live
                .own
                .get(&view.udid)
                .map(|(root, _)| root.display().to_string()),
            own: live
                .alone
                .and_then(|alone| alone.get(&view.udid))
                .cloned()
                .unwrap_or_default(),
            ..device(view, copies.get(&view.udid))
        })
        .zip(views)
        .map(|(device, view)| {
            let own = live.own.get(&view.udid);
            let medium = own.map_or(live.medium, |(_, medium)| *medium);
            match medium.and_then(Medium::is_away) {
                Some(trouble) => out_of_reach(device, trouble),
                None => device,
            }
        })
        .collect();
    Status {
        schema: SCHEMA,
        as_of: now.0,
        agent,
        store: live.medium.map(StoreStatus::from),
        stores: stores::statuses(&live.own),
        devices,
    }
}

/// What is said of a device while nobody can look at its backups.
fn out_of_reach(mut device: DeviceStatus, trouble: &Trouble) -> DeviceStatus {
    if device.local.state == "none" {
        device.local.state = "unknown".to_owned();
    }
    if device.next.code == NextCode::ConnectStore.code() {
        device.next.words = trouble.next().to_owned();
    }
    device
}

/// The document of a state folder on which no agent runs: the newest evidence there is, judged now, with the place for backups
/// as it is now.
pub fn status_from_state(
    state: &State,
    config: &Config,
    medium: Option<&Medium>,
    own: &OwnStores<'_>,
    now: &Now,
) -> Result<Status, StateError> {
    let remembered: Vec<Remembered> = state
        .devices()?
        .into_iter()
        .map(|device| device.remembered)
        .collect();
    let copies = copies(&remembered);
    let mut watcher = Watcher::new(config.policies.clone(), remembered);
    if let Some(trouble) = medium.and_then(Medium::is_away) {
        let why = trouble.words.clone();
        // What it wants to be done is for an agent to do.
        watcher.handle(now, Event::StoreMissing { why });
    }
    watcher.set_apart(own.keys().copied().cloned());
    for (udid, (_, medium)) in own {
        if let Some(trouble) = medium.and_then(Medium::is_away) {
            let (udid, why) = (Udid::clone(udid), trouble.words.clone());
            watcher.handle(now, Event::OwnStoreMissing { udid, why });
        }
    }
    let own_roots = own
        .iter()
        .map(|(udid, (root, _))| (Udid::clone(udid), root.to_path_buf()));
    for udid in moved(&medium::lay(state)?, &own_roots.collect()) {
        // It is backed up elsewhere now, and nobody has looked there yet.
        let (copy, check) = (None, None);
        watcher.handle(now, Event::StoreScanned { udid, copy, check });
    }
    let views = watcher.devices(now);
    let agent = AgentStatus {
        running: false,
        last_poll: state.agent()?.last_poll.map(|at| at.0),
        usbmuxd: None,
        remarks: stores::remarks(medium, own, &views, &config.nicknames),
        managed: config.managed.clone(),
    };
    let aliases = Aliases::kept(state)?;
    let alone = config.alone().unwrap_or_default();
    let live = Live {
        medium,
        own: own.clone(),
        alone: Some(&alone),
        aliases: aliases.as_ref(),
        ..Live::default()
    };
    Ok(document(
        now.host,
        agent,
        &views,
        &copies,
        &config.nicknames,
        &live,
    ))
}

/// The newest verified copy of each device, as it was remembered.
pub(crate) fn copies(remembered: &[Remembered]) -> BTreeMap<Udid, LocalCopy> {
    remembered
        .iter()
        .filter_map(|one| Some((one.udid.clone(), one.past.copy.clone()?)))
        .collect()
}

/// The exit code that says how these devices are: the worst one counts.
pub fn exit_code(status: &Status) -> ExitCode {
    let any = |word: Protection| {
        status
            .devices
            .iter()
            .any(|device| device.protection == word.code())
    };
    if status.devices.is_empty() {
        ExitCode::NoDevice
    } else if any(Protection::Unprotected) {
        ExitCode::Unprotected
    } else if any(Protection::AtRisk) || any(Protection::Unknown) {
        ExitCode::AtRisk
    } else {
        ExitCode::Ok
    }
}

fn device(view: &DeviceView, copy: Option<&LocalCopy>) -> DeviceStatus {
    let facts = view.facts.as_ref();
    let verdict = &view.verdict;
    DeviceStatus {
        udid: view.udid.to_string(),
        alias: None,
        name: view.name.clone(),
        nickname: None,
        model: facts.and_then(|facts| facts.model.clone().ok()),
        os_version: facts.and_then(|facts| facts.os_version.clone().ok()),
        links: view
            .links
            .iter()
            .map(|link| link_code(*link).to_owned())
            .collect(),
        trust: view.trust.map_or("unknown", trust_code).to_owned(),
        seen_at: view.seen_at.map(|at| at.0),
        icloud: CloudStatus {
            state: verdict.cloud.state.code().to_owned(),
            why: match &verdict.cloud.state {
                CloudState::Unknown(why) => Some(why_code(why).to_owned()),
                CloudState::Fresh
                | CloudState::Late
                | CloudState::Stale
                | CloudState::Alarm
                | CloudState::Critical
                | CloudState::Off
                | CloudState::NoneYet => None,
            },
            enabled: verdict.cloud.enabled,
            last: verdict.cloud.last.map(|at| at.0),
            age_s: verdict.cloud.age_s,
        },
        local: local(&verdict.net, copy, view.reread_at),
        protection: verdict.protection.code().to_owned(),
        reason: verdict.reason.clone(),
        next: NextStatus {
            code: verdict.next.code.code().to_owned(),
            words: verdict.next.words.clone(),
        },
        step: view.step.map(|step| step.code().to_owned()),
        cause: view.cause.clone(),
        local_only: view.local_only,
        snoozed_until: view.snoozed_until.map(|at| at.0),
        muted_since: view.muted_since.map(|at| at.0),
        root: None,
        own: BTreeMap::new(),
        due: match &view.backup {
            BackupView::NotDue | BackupView::Running { .. } => None,
            BackupView::Due {
                reasons,
                waiting_for,
            } => Some(DueStatus {
                reasons: reasons.clone(),
                waiting_for: waiting_for.clone(),
            }),
        },
        backup: None,
    }
}

fn local(net: &SafetyNet, copy: Option<&LocalCopy>, reread_at: Option<HostTime>) -> LocalStatus {
    let of = |at: HostTime| copy.filter(|copy| copy.at == at).map(|copy| copy.encrypted);
    let none = LocalStatus {
        state: "none".to_owned(),
        level: None,
        last: None,
        age_s: None,
        encrypted: None,
        verified_at: None,
        reread_at: None,
        damaged: None,
    };
    match net {
        SafetyNet::Verified {
            level,
            at,
            age_s,
            checked,
        } => LocalStatus {
            state: "verified".to_owned(),
            level: Some(report::level(*level).to_owned()),
            last: Some(at.0),
            age_s: Some(*age_s),
            encrypted: of(*at),
            verified_at: Some(checked.unwrap_or(*at).0),
            reread_at: reread_at.map(|at| at.0),
            ..none
        },
        // Not a state of its own: whoever knows four of them must not take a fifth for good news.
        SafetyNet::Damaged {
            at,
            age_s,
            found: _,
            damaged,
        } => LocalStatus {
            state: "unverified".to_owned(),
            last: Some(at.0),
            age_s: Some(*age_s),
            encrypted: of(*at),
            damaged: Some(*damaged),
            ..none
        },
        SafetyNet::Unverified {
            at,
            age_s,
            medium_missing: _,
        } => LocalStatus {
            state: "unverified".to_owned(),
            last: Some(at.0),
            age_s: Some(*age_s),
            encrypted: of(*at),
            ..none
        },
        SafetyNet::Elsewhere { at, age_s } => LocalStatus {
            state: "elsewhere".to_owned(),
            last: Some(at.0),
            age_s: Some(*age_s),
            ..none
        },
        SafetyNet::None => none,
    }
}

fn link_code(link: LinkKind) -> &'static str {
    match link {
        LinkKind::Usb => "usb",
        LinkKind::Network => "network",
    }
}

/// The stable code of a device's trust.
pub fn trust_code(trust: Trust) -> &'static str {
    match trust {
        Trust::Trusted => "trusted",
        Trust::NotTrusted => "not_trusted",
        Trust::DialogPending => "dialog_pending",
        Trust::Denied => "denied",
        Trust::LockedForPairing => "locked_for_pairing",
        Trust::ManagedForbids => "managed_forbids",
        Trust::CableNeeded => "cable_needed",
        Trust::Expired => "expired",
    }
}

fn why_code(why: &UnknownWhy) -> &'static str {
    match why {
        UnknownWhy::NeverAsked => "never_asked",
        UnknownWhy::NotSeen { .. } => "not_seen",
        UnknownWhy::NotTrusted => "not_trusted",
        UnknownWhy::Locked => "locked",
        UnknownWhy::NeverUnlocked => "never_unlocked",
        UnknownWhy::Prohibited => "prohibited",
        UnknownWhy::NoSwitch => "no_switch",
        UnknownWhy::NoDate => "no_date",
        UnknownWhy::Unreadable { .. } => "unreadable",
        UnknownWhy::LinkLost => "link_lost",
        UnknownWhy::SettingUp => "setting_up",
        UnknownWhy::ClockWrong => "clock_wrong",
    }
}

#[cfg(test)]
mod tests;
