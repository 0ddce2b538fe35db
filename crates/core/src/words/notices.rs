//! What notices say. Each tells what is wrong, since when, what was done already, and the one next step.
//!
//! Whether and when one is posted is decided in `watcher::telling`. Texts from the phone's own errors never stand here:
//! they can hold file paths (`protocol.md` section 10).

use super::{Scene, ago, capital, failures, lasting, name, next_step, noun, reason, size, steps};
use crate::facts::Trust;
use crate::judge::Medium;
use crate::ladder::{Climb, Recovery, recovered};
use crate::notice::{Action, Notice, NoticeKind, Urgency};
use crate::run::RunFailure;
use crate::steps::StepId;
use crate::time::{HostTime, Period};
use crate::verdict::{CloudState, Concern, LocalCopy, NextCode, UnknownWhy};

/// The words of one notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub kind: NoticeKind,
    /// How loudly.
    pub level: Urgency,
    /// One line.
    pub title: String,
    /// A few sentences.
    pub body: String,
    /// Buttons.
    pub actions: Vec<Action>,
}

/// What was tried already, for "what we already did".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing yet.
    Nothing,
    /// A backup is being made right now.
    BackingUp,
    /// The last attempts failed; the next is not before this.
    Failed(HostTime),
}

/// iCloud has not backed up for too long.
pub fn cloud_stale(scene: &Scene<'_>, climb: &Climb, done: Done) -> Draft {
    let concern = scene.cloud.concern;
    let age = Period::seconds(scene.cloud.age_s.unwrap_or(0));
    let title = match scene.cloud.state {
        CloudState::Late | CloudState::Stale | CloudState::Alarm | CloudState::Critical => {
            format!(
                "{}: no iCloud backup for {}",
                capital(&name(scene.past)),
                lasting(age)
            )
        }
        CloudState::Fresh | CloudState::Off | CloudState::NoneYet | CloudState::Unknown(_) => {
            format!(
                "{}: no iCloud backup that we know of",
                capital(&name(scene.past))
            )
        }
    };
    let mut sentences = vec![reason(scene)];
    sentences.extend(steps::because(climb));
    sentences.extend(deletion(scene, age));
    sentences.extend(done_already(scene, done));
    let backing_up = done == Done::BackingUp;
    let no_store = scene.medium == Medium::Missing;
    sentences.push(if backing_up {
        format!(
            "Have the {} at hand: it will ask for its passcode.",
            noun(scene.past)
        )
    } else {
        steps::next_step(scene, climb).words
    });
    // A local backup comes before any repair.
    let copy_first = matches!(
        next_step(scene).code,
        NextCode::BackUpNow | NextCode::ConnectStore
    );
    if backing_up || copy_first {
        sentences.extend(steps::afterwards(climb));
    }
    Draft {
        kind: NoticeKind::CloudStale,
        level: loudness(concern),
        title,
        body: join(sentences),
        actions: if backing_up || no_store {
            vec![Action::ShowSteps, Action::Snooze]
        } else {
            vec![Action::BackUpNow, Action::ShowSteps, Action::Snooze]
        },
    }
}

fn loudness(concern: Concern) -> Urgency {
    match concern {
        Concern::None | Concern::Watch | Concern::Stale => Urgency::Quiet,
        Concern::Warn => Urgency::Normal,
        Concern::Alarm | Concern::Critical => Urgency::TimeSensitive,
    }
}

/// A step had its time, and iCloud still fails.
pub fn step_failed(scene: &Scene<'_>, climb: &Climb, step: StepId) -> Draft {
    let tried = climb.rung(step).map(|rung| rung.why.clone());
    Draft {
        kind: NoticeKind::StepFailed,
        level: loudness(scene.cloud.concern).max(Urgency::Normal),
        title: format!("{}: step {step} did not help", capital(&name(scene.past))),
        body: join(vec![tried.unwrap_or_default(), climb.words.clone()]),
        actions: if climb.held.is_some() && scene.medium == Medium::There {
            vec![Action::BackUpNow, Action::ShowSteps, Action::Snooze]
        } else {
            vec![Action::ShowSteps, Action::Snooze]
        },
    }
}

fn deletion(scene: &Scene<'_>, age: Period) -> Option<String> {
    let policy = &scene.policy.icloud;
    if age < policy.expiry {
        return None;
    }
    let left = Period::seconds(policy.deletion.as_seconds() - age.as_seconds());
    Some(if left > Period::ZERO {
        format!("Apple may delete the old iCloud copy in {}.", lasting(left))
    } else {
        format!(
            "Apple may have deleted the old iCloud copy: it is older than {}.",
            lasting(policy.deletion)
        )
    })
}

fn done_already(scene: &Scene<'_>, done: Done) -> Option<String> {
    match done {
        Done::Nothing => None,
        Done::BackingUp => Some("A backup to this computer is being made now.".to_owned()),
        Done::Failed(next) => Some(format!(
            "The last try to back up to this computer failed; the next is not before {}.",
            super::day_and_time(next.0, scene.now)
        )),
    }
}

/// The old copy of a device whose iCloud Backup is off.
pub fn cloud_expiry(scene: &Scene<'_>) -> Draft {
    let noun = noun(scene.past);
    let age = Period::seconds(scene.cloud.age_s.unwrap_or(0));
    Draft {
        kind: NoticeKind::CloudExpiry,
        level: Urgency::Normal,
        title: format!(
            "{}: the old iCloud copy will be deleted",
            capital(&name(scene.past))
        ),
        body: join(vec![
            format!(
                "iCloud Backup is off on this {noun}, and its last iCloud backup is {} old.",
                lasting(age)
            ),
            deletion(scene, age).unwrap_or_default(),
            "If you still need that copy, switch iCloud Backup on again.".to_owned(),
        ]),
        actions: vec![Action::ShowSteps, Action::LocalOnly],
    }
}

/// It was on, and is off now.
pub fn switched_off(scene: &Scene<'_>) -> Draft {
    let noun = noun(scene.past);
    let since = scene
        .past
        .switched_off
        .map_or(Period::ZERO, |since| scene.now.host.since(since));
    Draft {
        kind: NoticeKind::SwitchedOff,
        level: Urgency::Normal,
        title: format!(
            "{}: iCloud Backup was switched off",
            capital(&name(scene.past))
        ),
        body: format!(
            "It was on when the {noun} was last seen; the change was noticed {}. If that was not meant, switch it on again: \
             Settings, your name, iCloud, iCloud Backup. If it was, choose Local Backups Only.",
            ago(since)
        ),
        actions: vec![Action::ShowSteps, Action::LocalOnly, Action::BackUpNow],
    }
}

/// The one reminder.
pub fn still_off(scene: &Scene<'_>, half_done: Option<StepId>) -> Draft {
    let since = scene
        .past
        .switched_off
        .map_or(Period::ZERO, |since| scene.now.host.since(since));
    Draft {
        kind: NoticeKind::StillOff,
        level: Urgency::Normal,
        title: format!("{}: iCloud Backup is still off", capital(&name(scene.past))),
        body: match half_done {
            Some(step) => format!(
                "It has been off for {}, so step {step} is only half done. Switch it on again and tap Back Up Now: Settings, \
                 your name, iCloud, iCloud Backup. You will not be reminded again.",
                lasting(since)
            ),
            None => format!(
                "It has been off for {}. Switch it on again, or choose Local Backups Only. You will not be reminded again.",
                lasting(since)
            ),
        },
        actions: vec![Action::ShowSteps, Action::LocalOnly, Action::BackUpNow],
    }
}

/// Off when first seen.
pub fn off_on_purpose(scene: &Scene<'_>) -> Draft {
    let noun = noun(scene.past);
    Draft {
        kind: NoticeKind::OffOnPurpose,
        level: Urgency::Quiet,
        title: format!(
            "{}: iCloud Backup is off. Is that meant?",
            capital(&name(scene.past))
        ),
        body: format!(
            "If it is, choose Local Backups Only, and this computer alone will keep the {noun} safe. If not, switch it on: \
             Settings, your name, iCloud, iCloud Backup. You will not be asked again."
        ),
        actions: vec![Action::LocalOnly, Action::ShowSteps, Action::BackUpNow],
    }
}

/// The date has moved.
pub fn cloud_works(scene: &Scene<'_>, recovery: Option<&Recovery>) -> Draft {
    Draft {
        kind: NoticeKind::CloudWorks,
        level: Urgency::Normal,
        title: format!("{}: iCloud Backup works again", capital(&name(scene.past))),
        body: join(vec![
            recovery.map_or_else(String::new, |recovery| after_step(scene, recovery)),
            reason(scene),
            match next_step(scene).words {
                none if none.is_empty() => "There is nothing more to do.".to_owned(),
                step => step,
            },
        ]),
        actions: Vec::new(),
    }
}

/// "iCloud backup works again, after step S4 (…), on 24 November 2026."; nothing where no step was taken.
fn after_step(scene: &Scene<'_>, recovery: &Recovery) -> String {
    let step = recovery.after.and_then(crate::steps::find);
    step.map_or_else(String::new, |step| {
        let step = step.told_for(super::handset(scene.past));
        recovered(Some(&step), &super::day(recovery.date.0, scene.now))
    })
}

/// Attached, and still nothing is known.
pub fn unknown_for_long(scene: &Scene<'_>, since: HostTime) -> Draft {
    let why = match &scene.cloud.state {
        // It is attached, so "not seen" would be wrong, and "connect it" no help.
        CloudState::Unknown(
            UnknownWhy::NotSeen { .. } | UnknownWhy::NeverAsked | UnknownWhy::LinkLost,
        ) => join(vec![
            format!(
                "It is connected, but it has not answered for {}.",
                lasting(scene.now.host.since(since))
            ),
            format!(
                "Unlock the {}, unplug it and plug it in again.",
                noun(scene.past)
            ),
        ]),
        CloudState::Fresh
        | CloudState::Late
        | CloudState::Stale
        | CloudState::Alarm
        | CloudState::Critical
        | CloudState::Off
        | CloudState::NoneYet
        | CloudState::Unknown(_) => join(vec![reason(scene), next_step(scene).words]),
    };
    Draft {
        kind: NoticeKind::UnknownForLong,
        level: Urgency::Normal,
        title: format!(
            "{}: nobody knows whether it is backed up",
            capital(&name(scene.past))
        ),
        body: why,
        actions: vec![Action::ShowSteps, Action::Snooze],
    }
}

/// The question of trust is about to stand on the phone's screen.
pub fn pairing_needed(scene: &Scene<'_>) -> Draft {
    let noun = noun(scene.past);
    let again = match scene.past.trust {
        Some(Trust::Expired) => "It has forgotten this computer. ",
        Some(
            Trust::Trusted
            | Trust::NotTrusted
            | Trust::DialogPending
            | Trust::Denied
            | Trust::LockedForPairing
            | Trust::ManagedForbids
            | Trust::CableNeeded,
        )
        | None => "",
    };
    Draft {
        kind: NoticeKind::PairingNeeded,
        level: Urgency::Normal,
        title: format!(
            "{} does not trust this computer yet",
            capital(&name(scene.past))
        ),
        body: format!(
            "{again}Unlock the {noun}, tap Trust and enter its passcode. Until then nobody here can tell whether it is backed up."
        ),
        actions: Vec::new(),
    }
}

/// Due, and the person wants to be asked.
pub fn backup_due(scene: &Scene<'_>, reasons: &[String]) -> Draft {
    Draft {
        kind: NoticeKind::BackupDue,
        level: Urgency::Normal,
        title: format!(
            "{}: time for a backup to this computer",
            capital(&name(scene.past))
        ),
        body: join(vec![
            format!("It is due: {}.", reasons.join(", ")),
            format!(
                "Have the {} at hand: it will ask for its passcode.",
                noun(scene.past)
            ),
        ]),
        actions: vec![Action::BackUpNow, Action::ShowSteps, Action::Snooze],
    }
}

/// The phone asks, now.
pub fn passcode_wanted(scene: &Scene<'_>) -> Draft {
    let noun = noun(scene.past);
    Draft {
        kind: NoticeKind::PasscodeWanted,
        level: Urgency::TimeSensitive,
        title: format!("Enter the passcode on {}", name(scene.past)),
        body: format!(
            "A backup to this computer is about to begin, and the {noun} asks for its passcode on its own screen. It waits for \
             up to 30 minutes; after that it will be tried again another time."
        ),
        actions: Vec::new(),
    }
}

/// Done and checked.
pub fn backup_verified(
    scene: &Scene<'_>,
    climb: &Climb,
    copy: &LocalCopy,
    refused: usize,
) -> Draft {
    let mut sentences = vec![format!(
        "{}, {}, checked on this disk{}.",
        capital(&super::files(copy.files)),
        size(copy.bytes),
        if copy.encrypted {
            ", protected by the backup password"
        } else {
            ""
        }
    )];
    if refused > 0 {
        sentences.push(format!(
            "{} could not be copied; the history says how many.",
            capital(&super::files(u64::try_from(refused).unwrap_or(u64::MAX)))
        ));
    }
    if scene.cloud.concern >= Concern::Stale {
        sentences.push("iCloud Backup still needs attention.".to_owned());
        sentences.extend(steps::untaken(climb));
    }
    Draft {
        kind: NoticeKind::BackupVerified,
        level: Urgency::Quiet,
        title: format!(
            "{} is backed up to this computer",
            capital(&name(scene.past))
        ),
        body: join(sentences),
        actions: if scene.cloud.concern >= Concern::Stale {
            vec![Action::ShowSteps]
        } else {
            Vec::new()
        },
    }
}

/// Not done: what happened, and what happens next.
pub fn backup_failed(scene: &Scene<'_>, failure: &RunFailure, next: Option<HostTime>) -> Draft {
    let (what, step) = failures::words(failure, noun(scene.past));
    let after = next.map(|next| {
        format!(
            "The next try is not before {}.",
            super::day_and_time(next.0, scene.now)
        )
    });
    Draft {
        kind: NoticeKind::BackupFailed,
        level: Urgency::Normal,
        title: format!("{}: the backup did not finish", capital(&name(scene.past))),
        body: join(vec![
            format!("{}.", capital(&what)),
            "The copy before it is untouched.".to_owned(),
            step,
            after.unwrap_or_default(),
        ]),
        actions: vec![Action::BackUpNow, Action::ShowSteps],
    }
}

/// A part of the copy on this computer is not what it was when it was made.
pub fn backup_damaged(scene: &Scene<'_>, made: HostTime, damaged: u64) -> Draft {
    let no_store = scene.medium == Medium::Missing;
    Draft {
        kind: NoticeKind::BackupDamaged,
        level: Urgency::TimeSensitive,
        title: format!(
            "{}: the backup on this computer is damaged",
            capital(&name(scene.past))
        ),
        body: join(vec![
            format!(
                "The local backup of {} is damaged: {}.",
                super::day(made.0, scene.now),
                super::files(damaged)
            ),
            format!(
                "Make a new backup now; the {} will send everything again. `backupwatch verify` names what is damaged.",
                noun(scene.past)
            ),
        ]),
        actions: if no_store {
            vec![Action::ShowSteps, Action::Snooze]
        } else {
            vec![Action::BackUpNow, Action::ShowSteps, Action::Snooze]
        },
    }
}

/// A backup is due and has nowhere to go.
pub fn store_missing(scene: &Scene<'_>, reasons: &[String]) -> Draft {
    Draft {
        kind: NoticeKind::StoreMissing,
        level: Urgency::Normal,
        title: "The disk for backups is not connected".to_owned(),
        body: join(vec![
            format!(
                "A backup of {} is due: {}.",
                name(scene.past),
                reasons.join(", ")
            ),
            "Connect the disk, or choose another folder.".to_owned(),
        ]),
        actions: vec![Action::ShowSteps, Action::Snooze],
    }
}

/// The one that only shows that notices arrive. Nobody decided it, so no throttle holds it back.
pub fn test(now: HostTime) -> Notice {
    Notice {
        id: format!("test-{}", now.0.as_millisecond()),
        replaces: "test".to_owned(),
        kind: NoticeKind::Test,
        udid: None,
        at: now,
        level: Urgency::Normal,
        title: "backupwatch is watching".to_owned(),
        body: "Connect your iPhone or iPad with a cable, unlock it, and tap Trust. You hear from backupwatch here when iCloud \
               stops backing it up, and before a backup to this computer begins. As long as all is well it is silent."
            .to_owned(),
        actions: Vec::new(),
    }
}

fn join(sentences: Vec<String>) -> String {
    sentences
        .into_iter()
        .filter(|sentence| !sentence.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
