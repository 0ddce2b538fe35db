//! When a person is told: one notice per change of verdict, then at most the cadence of `notify.repeat` (promise P6).
//!
//! Only a device that is in contact now is told about: an absence escalates nothing (trap 1). What is held back by quiet
//! hours, a snooze or a person who muted the device is not marked as told, so it follows when they end and is still true.

use crate::diagnosis::{Cause, diagnose};
use crate::judge::{Medium, is_current};
use crate::ladder::{Climb, Look, is_hard};
use crate::notice::{Notice, NoticeKind};
use crate::policy::{Policy, Repeat};
use crate::time::{HostTime, Now, Period};
use crate::verdict::{CloudState, Concern, SafetyNet, UnknownWhy, Verdict};
use crate::watcher::device::Device;
use crate::watcher::due::Hold;
use crate::watcher::remembered::{Remembered, Told};
use crate::words::Scene;
use crate::words::notices::{self, Done, Draft};

/// A moment's judgement of one device, and what it was made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook<'a> {
    pub(super) verdict: &'a Verdict,
    pub(super) policy: &'a Policy,
    pub(super) medium: Medium,
    pub(super) now: &'a Now,
}

impl<'a> Outlook<'a> {
    /// What sentences are made from.
    pub(super) fn scene(&self, memory: &'a Remembered) -> Scene<'a> {
        Scene {
            past: &memory.past,
            policy: self.policy,
            cloud: &self.verdict.cloud,
            net: &self.verdict.net,
            protection: self.verdict.protection,
            medium: self.medium,
            now: self.now,
        }
    }

    /// Why iCloud Backup fails, the likeliest first. That takes longer than all the rest, so it is asked once a moment.
    pub(super) fn causes(&self, memory: &Remembered) -> Vec<Cause> {
        diagnose(
            &memory.past,
            &memory.evidence,
            &self.policy.icloud,
            self.now,
        )
    }

    /// What the ladder looks at.
    pub(super) fn look<'b>(
        &'b self,
        memory: &'b Remembered,
        causes: &'b [Cause],
        attached: bool,
    ) -> Look<'b> {
        Look {
            past: &memory.past,
            evidence: &memory.evidence,
            causes,
            verdict: self.verdict,
            policy: self.policy,
            attached,
            now: self.now,
        }
    }

    /// The ladder as it stands.
    pub(super) fn climb(&self, memory: &Remembered, causes: Vec<Cause>) -> Climb {
        memory.ladder.climb(causes, &self.scene(memory))
    }
}

/// What is decided about a backup in the same moment.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    pub(super) reasons: &'a [String],
    pub(super) hold: Option<Hold>,
    /// One begins right now.
    pub(super) starting: bool,
}

/// All notices that are due now, marked as told.
pub(super) fn tell(
    device: &mut Device,
    at: &Outlook<'_>,
    causes: &[Cause],
    decided: &Decided<'_>,
) -> Vec<Notice> {
    let now = at.now;
    let in_contact = device.is_attached();
    // Before the next answer is heard, nothing is told that it may correct.
    let settled = device.probing.is_settled(now);
    let current = settled
        && at
            .verdict
            .as_of
            .is_some_and(|seen| is_current(seen, at.policy, now));
    let mut drafts = Vec::new();
    forgive_clock(&mut device.memory, now);
    // What is not told is not marked as told either: it follows when a person wants to hear again.
    if at.policy.muted_since.is_some() || device.memory.today.is_spent(now) {
        return Vec::new();
    }
    if current {
        drafts.extend(good_news(device, at));
    }
    let silent = device.is_snoozed(now) || at.policy.notify.quiet.holds(now.second_of_day());
    if !silent {
        if current {
            drafts.extend(cloud(device, at, causes, decided));
            drafts.extend(switch(device, at));
        }
        if in_contact {
            drafts.extend(unknown(device, at, current));
        }
        if settled {
            drafts.extend(backup(device, at, decided));
        }
        drafts.extend(damage(device, at));
    }
    device.memory.today.spend(drafts.len(), now);
    drafts
        .into_iter()
        .map(|draft| post(&mut device.memory, draft, now))
        .collect()
}

/// A notice with a name of its own.
pub(super) fn post(memory: &mut Remembered, draft: Draft, now: &Now) -> Notice {
    memory.notices = memory.notices.saturating_add(1);
    Notice {
        id: format!(
            "{}-{}-{}",
            memory.udid,
            now.host.0.as_second(),
            memory.notices
        ),
        replaces: format!("{}-{}", memory.udid, matter(draft.kind)),
        kind: draft.kind,
        udid: Some(memory.udid.clone()),
        at: now.host,
        level: draft.level,
        title: draft.title,
        body: draft.body,
        actions: draft.actions,
    }
}

/// Notices of one matter replace each other on the screen.
fn matter(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::CloudStale
        | NoticeKind::CloudExpiry
        | NoticeKind::SwitchedOff
        | NoticeKind::StillOff
        | NoticeKind::OffOnPurpose
        | NoticeKind::CloudWorks
        | NoticeKind::StepFailed
        | NoticeKind::UnknownForLong => "cloud",
        NoticeKind::PairingNeeded => "pairing",
        NoticeKind::BackupDue
        | NoticeKind::PasscodeWanted
        | NoticeKind::BackupVerified
        | NoticeKind::BackupFailed
        | NoticeKind::BackupDamaged
        | NoticeKind::StoreMissing => "backup",
        NoticeKind::Test => "test",
    }
}

/// Marks `kind` as told if it may be told now.
pub(super) fn may_tell(
    memory: &mut Remembered,
    kind: NoticeKind,
    concern: Concern,
    cadence: Cadence,
    now: &Now,
) -> bool {
    let told = memory.told.get(&kind).copied();
    let allowed = told.is_none_or(|told| {
        concern > told.concern
            || cadence
                .after(told.times)
                .is_some_and(|pause| now.host.since(told.at) >= pause)
    });
    if allowed {
        let (times, before) = told.map_or((0, concern), |told| (told.times, told.concern));
        memory.told.insert(
            kind,
            Told {
                at: now.host,
                times: times.saturating_add(1),
                concern: concern.max(before),
            },
        );
    }
    allowed
}

/// How often an unchanged matter is told again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cadence {
    /// Never.
    Once,
    /// After the first pause, then after the other.
    Twice(Period, Period),
}

impl Cadence {
    /// The usual one.
    pub(super) fn usual(repeat: &Repeat) -> Self {
        Self::Twice(repeat.first, repeat.then)
    }

    fn of(concern: Concern, repeat: &Repeat) -> Self {
        match concern {
            Concern::None | Concern::Watch | Concern::Stale => Self::Once,
            Concern::Warn | Concern::Alarm => Self::usual(repeat),
            Concern::Critical => Self::Twice(repeat.critical, repeat.critical),
        }
    }

    fn after(self, times: u32) -> Option<Period> {
        match self {
            Self::Once => None,
            Self::Twice(first, _) if times <= 1 => Some(first),
            Self::Twice(_, then) => Some(then),
        }
    }
}

/// A clock that was set back would keep notices away for as long: what was told in the future was told now.
fn forgive_clock(memory: &mut Remembered, now: &Now) {
    for told in memory.told.values_mut() {
        told.at = told.at.min(now.host);
    }
}

/// iCloud works: what was told before is settled, and a person who was worried hears of it.
fn good_news(device: &mut Device, at: &Outlook<'_>) -> Option<Draft> {
    let told = &mut device.memory.told;
    match at.verdict.cloud.state {
        // The date has not moved: nothing is better than it was.
        CloudState::Fresh | CloudState::Late if device.memory.ladder.failure.is_some() => {
            return None;
        }
        CloudState::Fresh | CloudState::Late => {}
        CloudState::Off => {
            told.remove(&NoticeKind::CloudStale);
            told.remove(&NoticeKind::UnknownForLong);
            told.remove(&NoticeKind::PairingNeeded);
            return None;
        }
        CloudState::Stale | CloudState::Alarm | CloudState::Critical | CloudState::NoneYet => {
            told.remove(&NoticeKind::UnknownForLong);
            told.remove(&NoticeKind::PairingNeeded);
            return None;
        }
        CloudState::Unknown(_) => return None,
    }
    let worried = [
        NoticeKind::CloudStale,
        NoticeKind::SwitchedOff,
        NoticeKind::StillOff,
        NoticeKind::OffOnPurpose,
        NoticeKind::CloudExpiry,
    ]
    .map(|kind| told.remove(&kind).is_some());
    told.remove(&NoticeKind::UnknownForLong);
    told.remove(&NoticeKind::PairingNeeded);
    let worried = worried.contains(&true);
    let recovery = device.memory.ladder.tell_recovery(worried);
    let scene = at.scene(&device.memory);
    (worried || recovery.is_some()).then(|| notices::cloud_works(&scene, recovery.as_ref()))
}

/// The ladder of ages, and that a step did not help.
fn cloud(
    device: &mut Device,
    at: &Outlook<'_>,
    causes: &[Cause],
    decided: &Decided<'_>,
) -> Option<Draft> {
    let concern = match at.verdict.cloud.state {
        // Waiting will not cure it, so why wait (`remediation.md` 4.2).
        CloudState::Late if is_hard(causes) => Concern::Stale,
        CloudState::Fresh
        | CloudState::Late
        | CloudState::Stale
        | CloudState::Alarm
        | CloudState::Critical
        | CloudState::Off
        | CloudState::NoneYet
        | CloudState::Unknown(_) => at.verdict.cloud.concern,
    };
    if concern < Concern::Stale {
        return None;
    }
    let failed = device.memory.ladder.tell_failed();
    let cadence = Cadence::of(concern, &at.policy.notify.repeat);
    let due = may_tell(
        &mut device.memory,
        NoticeKind::CloudStale,
        concern,
        cadence,
        at.now,
    );
    if let Some(step) = failed {
        // It says as much as the other would.
        let climb = at.climb(&device.memory, causes.to_vec());
        return Some(notices::step_failed(
            &at.scene(&device.memory),
            &climb,
            step,
        ));
    }
    if !due {
        return None;
    }
    let failures = device.memory.failures;
    let done = match failures
        .not_before
        .filter(|next| at.now.host < *next && failures.in_a_row > 0)
    {
        _ if decided.starting || device.running.is_some() => Done::BackingUp,
        Some(next) => Done::Failed(next),
        None => Done::Nothing,
    };
    let climb = at.climb(&device.memory, causes.to_vec());
    Some(notices::cloud_stale(
        &at.scene(&device.memory),
        &climb,
        done,
    ))
}

/// Off: told once when it changed and reminded once, or asked once when it was always so (trap 4).
fn switch(device: &mut Device, at: &Outlook<'_>) -> Option<Draft> {
    let Device { memory, .. } = device;
    if at.verdict.cloud.state != CloudState::Off {
        return None;
    }
    forget_older_change(memory);
    let once = |kind, memory: &mut Remembered| {
        may_tell(memory, kind, Concern::None, Cadence::Once, at.now)
    };
    let local_only = memory.past.is_local_only(at.policy.backup.local_only);
    // Whoever takes such a step knows that it is off; that it stays so they may have forgotten.
    let half_done = memory
        .ladder
        .pending()
        .filter(|_| memory.ladder.is_off_meant())
        .map(|trial| trial.step);
    let draft = match memory.past.switched_off {
        Some(since) if !local_only => {
            let known = half_done.is_some() || memory.told.contains_key(&NoticeKind::SwitchedOff);
            let remind = known && at.now.host.since(since) >= at.policy.notify.off_reminder;
            if half_done.is_none() && once(NoticeKind::SwitchedOff, memory) {
                Some(notices::switched_off(&at.scene(memory)))
            } else if remind && once(NoticeKind::StillOff, memory) {
                Some(notices::still_off(&at.scene(memory), half_done))
            } else {
                None
            }
        }
        None if memory.past.local_only.is_none() && !local_only => {
            once(NoticeKind::OffOnPurpose, memory)
                .then(|| notices::off_on_purpose(&at.scene(memory)))
        }
        Some(_) | None => None,
    };
    let age = Period::seconds(at.verdict.cloud.age_s.unwrap_or(0));
    let expires = (at.policy.icloud.expiry..at.policy.icloud.deletion).contains(&age);
    match draft {
        None if expires && once(NoticeKind::CloudExpiry, memory) => {
            Some(notices::cloud_expiry(&at.scene(memory)))
        }
        other => other,
    }
}

/// Switched on and off again since it was told: that is a new change.
fn forget_older_change(memory: &mut Remembered) {
    let told = memory
        .told
        .get(&NoticeKind::SwitchedOff)
        .map(|told| told.at);
    if told
        .zip(memory.past.switched_off)
        .is_some_and(|(told, change)| told < change)
    {
        memory.told.remove(&NoticeKind::SwitchedOff);
        memory.told.remove(&NoticeKind::StillOff);
    }
}

/// In contact, and still nothing is known.
fn unknown(device: &mut Device, at: &Outlook<'_>, current: bool) -> Option<Draft> {
    let Device {
        memory, probing, ..
    } = device;
    // A device that has only just come has not had its chance to answer.
    if !current && !probing.is_failing() {
        return None;
    }
    let told_elsewhere = match &at.verdict.cloud.state {
        CloudState::Unknown(
            UnknownWhy::NotTrusted | UnknownWhy::NoDate | UnknownWhy::SettingUp,
        ) => true,
        CloudState::Unknown(_) => false,
        CloudState::Fresh
        | CloudState::Late
        | CloudState::Stale
        | CloudState::Alarm
        | CloudState::Critical
        | CloudState::Off
        | CloudState::NoneYet => true,
    };
    let since: HostTime = memory.past.last_judged.or(memory.past.first_seen)?;
    if told_elsewhere || at.now.host.since(since) < at.policy.icloud.stale {
        return None;
    }
    let cadence = Cadence::usual(&at.policy.notify.repeat);
    may_tell(
        memory,
        NoticeKind::UnknownForLong,
        Concern::None,
        cadence,
        at.now,
    )
    .then(|| notices::unknown_for_long(&at.scene(memory), since))
}

/// The copy on this computer is damaged. That is about the disk, so it is told of a device that is away too; once, and
/// again only of another copy.
fn damage(device: &mut Device, at: &Outlook<'_>) -> Option<Draft> {
    let SafetyNet::Damaged {
        at: made, damaged, ..
    } = at.verdict.net
    else {
        device.memory.told.remove(&NoticeKind::BackupDamaged);
        return None;
    };
    may_tell(
        &mut device.memory,
        NoticeKind::BackupDamaged,
        Concern::None,
        Cadence::Once,
        at.now,
    )
    .then(|| notices::backup_damaged(&at.scene(&device.memory), made, damaged))
}

/// A backup is due and needs a person: a click, or a disk.
fn backup(device: &mut Device, at: &Outlook<'_>, decided: &Decided<'_>) -> Option<Draft> {
    let Device {
        memory, running, ..
    } = device;
    if decided.reasons.is_empty() || running.is_some() {
        return None;
    }
    let (kind, words): (_, fn(&Scene<'_>, &[String]) -> Draft) = match decided.hold {
        Some(Hold::ModeAsk) => (NoticeKind::BackupDue, notices::backup_due),
        Some(Hold::StoreMissing) => (NoticeKind::StoreMissing, notices::store_missing),
        Some(
            Hold::NotAttached
            | Hold::NotTrusted
            | Hold::SettingUp
            | Hold::StoreFull { .. }
            | Hold::ModeOff
            | Hold::Snoozed { .. }
            | Hold::BackingOff { .. }
            | Hold::QuietHours
            | Hold::LowBattery { .. }
            | Hold::NobodyThere
            | Hold::OthersRunning
            | Hold::DiskBusy,
        )
        | None => return None,
    };
    // A notice about iCloud of the same day says the same and has the same button.
    let said = [
        NoticeKind::CloudStale,
        NoticeKind::SwitchedOff,
        NoticeKind::StillOff,
        NoticeKind::OffOnPurpose,
    ]
    .iter()
    .filter_map(|kind| memory.told.get(kind))
    .any(|told| at.now.host.since(told.at) < Period::days(1));
    if said {
        return None;
    }
    let cadence = Cadence::usual(&at.policy.notify.repeat);
    may_tell(memory, kind, Concern::None, cadence, at.now)
        .then(|| words(&at.scene(memory), decided.reasons))
}
