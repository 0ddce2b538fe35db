//! What a face may show of a device. Nothing is decided here.

use crate::facts::{Facts, LinkKind, Trust};
use crate::ladder::Climb;
use crate::policy::Policy;
use crate::run::Phase;
use crate::steps::StepId;
use crate::time::{HostTime, Now};
use crate::udid::Udid;
use crate::verdict::{NextCode, NextStep, Verdict};
use crate::watcher::StoreState;
use crate::watcher::device::Device;
use crate::watcher::disks::Traffic;
use crate::watcher::due;
use crate::words;
use serde::{Deserialize, Serialize};

/// What a face shows of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Which device.
    pub udid: Udid,
    /// The last name that it gave.
    pub name: Option<String>,
    /// The links that are up now, the preferred one first. Empty: not attached.
    pub links: Vec<LinkKind>,
    /// Trust as last heard.
    pub trust: Option<Trust>,
    /// The last contact.
    pub seen_at: Option<HostTime>,
    /// The newest facts.
    pub facts: Option<Facts>,
    /// The judgement now.
    pub verdict: Verdict,
    /// The local backup.
    pub backup: BackupView,
    /// When every file of its local backup had been read again once more.
    #[serde(default)]
    pub reread_at: Option<HostTime>,
    /// A person has chosen that local backups are enough for it.
    #[serde(default)]
    pub local_only: bool,
    /// No notices and no automatic backups until then.
    pub snoozed_until: Option<HostTime>,
    /// Since when a person wants no notices about it.
    #[serde(default)]
    pub muted_since: Option<HostTime>,
    /// The step of the ladder to take now.
    #[serde(default)]
    pub step: Option<StepId>,
    /// The likeliest cause: its code.
    #[serde(default)]
    pub cause: Option<String>,
}

/// What a face shows of a device's local backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BackupView {
    /// None is needed.
    NotDue,
    /// One is needed, or asked for, and does not begin yet.
    Due {
        /// Why it is needed.
        reasons: Vec<String>,
        /// What it waits for, in words; empty when it begins with the next answer of the device.
        waiting_for: String,
    },
    /// One is being made.
    Running {
        /// Where it is.
        phase: Phase,
    },
}

pub(super) fn view(
    device: &Device,
    verdict: Verdict,
    climb: &Climb,
    policy: &Policy,
    store: &StoreState,
    traffic: Traffic,
    now: &Now,
) -> DeviceView {
    let past = &device.memory.past;
    let mut verdict = verdict;
    let backup = backup(device, &verdict, policy, store, traffic, now);
    if let Some(run) = device.running {
        verdict.next = while_running(device, run.phase);
    }
    DeviceView {
        udid: device.udid().clone(),
        name: past.name.clone(),
        links: device.link_kinds(),
        trust: past.trust,
        seen_at: past.facts.as_ref().map(|facts| facts.seen_at),
        facts: past.facts.clone(),
        backup,
        verdict,
        reread_at: device.memory.reread.whole,
        local_only: past.local_only == Some(true),
        snoozed_until: device
            .memory
            .snoozed_until
            .filter(|until| now.host < *until),
        muted_since: policy.muted_since,
        step: climb.next().map(|rung| rung.step),
        cause: climb.causes.first().map(|cause| cause.code.clone()),
    }
}

/// A running backup has a next step of its own.
fn while_running(device: &Device, phase: Phase) -> NextStep {
    let code = match phase {
        Phase::WaitingForPasscode => NextCode::EnterPasscode,
        Phase::Opening
        | Phase::Preparing
        | Phase::Transferring
        | Phase::Moving
        | Phase::Verifying
        | Phase::Committing => NextCode::KeepConnected,
    };
    NextStep {
        code,
        words: words::next_words(code, &device.memory.past),
    }
}

fn backup(
    device: &Device,
    verdict: &Verdict,
    policy: &Policy,
    store: &StoreState,
    traffic: Traffic,
    now: &Now,
) -> BackupView {
    if let Some(run) = device.running {
        return BackupView::Running { phase: run.phase };
    }
    let mut reasons = due::reasons(device, verdict, policy, store, now);
    if device.is_wished(now) {
        reasons.push("asked for".to_owned());
    }
    if reasons.is_empty() {
        return BackupView::NotDue;
    }
    let hold = due::hold(device, policy, store, traffic, now);
    BackupView::Due {
        reasons,
        waiting_for: hold.map(|hold| hold.words(now)).unwrap_or_default(),
    }
}
