//! What the ladder says: why a step stands as it does, what was seen of it, and where things stand.

use super::climb::{Standing, View, is_general};
use super::{How, RungState, Sign, Trial, lock};
use crate::diagnosis::{Cause, Confidence};
use crate::steps::{Guard, Step, StepId};
use crate::words::{self, Scene, capital, day, day_and_time, noun, size};

/// "Step S4 (Delete the iCloud backup and start a new one)".
fn named(step: &Step) -> String {
    format!("step {} ({})", step.id, step.title)
}

/// "iCloud storage is full", inside a sentence.
pub(crate) fn inner(title: &str) -> String {
    let proper = ["iCloud", "iOS", "iPadOS", "Find My", "Apple"];
    let mut letters = title.chars();
    match letters.next() {
        Some(first) if !proper.iter().any(|name| title.starts_with(name)) => {
            first.to_lowercase().chain(letters).collect()
        }
        Some(_) | None => title.to_owned(),
    }
}

/// "It fails because iCloud storage is full.", as sure as the cause is.
pub(crate) fn fails_because(cause: &Cause) -> String {
    let title = inner(&cause.title);
    // A cause without a name has a sentence for its title.
    if is_general(cause) {
        return match &cause.error {
            Some(error) => format!(
                "The last attempt ended with error {}, which is not known here.",
                error.code
            ),
            None => format!("{}.", capital(&title)),
        };
    }
    match cause.confidence {
        Confidence::Certain => format!("It fails because {title}."),
        Confidence::Likely => format!("It probably fails because {title}."),
        Confidence::Possible => format!("Perhaps it fails because {title}."),
    }
}

/// Where things stand, in one sentence or two.
pub(super) fn standing(
    view: &View<'_>,
    steps: &[Step],
    next: Option<StepId>,
    held: Option<&Step>,
) -> String {
    let scene = view.scene;
    let noun = noun(scene.past);
    let find = |id: StepId| steps.iter().find(|step| step.id == id);
    match view.standing {
        Standing::Works => return works(view, steps),
        Standing::Off => return off(view),
        Standing::Blind => {
            let first = words::next_step(scene).words;
            return format!("{} {first}", words::reason(scene))
                .trim()
                .to_owned();
        }
        Standing::Waits | Standing::Fails => {}
    }
    if let Some(pending) = view.pending()
        && let Some(step) = find(pending.step)
    {
        return format!(
            "{} was taken on {}; whether it helped shows when the date of the last iCloud backup moves.",
            capital(&named(step)),
            day(pending.at.0, scene.now)
        );
    }
    if view.standing == Standing::Waits {
        return format!(
            "{} Leave the {noun} on power and Wi-Fi, locked, for a night; no step is needed before.",
            words::reason(scene)
        );
    }
    if let Some(step) = held {
        let missing = lock::missing(step.guard, scene).unwrap_or_default();
        return format!(
            "{} comes next, but is locked. {missing}",
            capital(&named(step))
        );
    }
    if let Some(step) = next.and_then(find) {
        return match view.cause() {
            Some(cause) => format!("{} Next: {}.", fails_because(cause), named(step)),
            None => format!("The reason is not known. Next: {}.", named(step)),
        };
    }
    match (view.cause(), view.waits_until()) {
        (Some(cause), Some(until)) => format!(
            "{} Only waiting helps: the {noun} tries again after {}.",
            fails_because(cause),
            day_and_time(until.0, scene.now)
        ),
        (Some(cause), None) if cause.steps.is_empty() => {
            let advice = if cause.advice.is_empty() {
                "Only waiting helps."
            } else {
                &cause.advice
            };
            format!("{} {advice}", fails_because(cause))
        }
        (Some(_) | None, _) => format!(
            "Every step that could help was tried. Keep a local backup of the {noun}, and let Apple look at it."
        ),
    }
}

/// "iCloud backup works again, after step S4 (…), on 24 November 2026."
pub(crate) fn recovered(step: Option<&Step>, on: &str) -> String {
    match step {
        Some(step) => format!("iCloud backup works again, after {}, on {on}.", named(step)),
        None => format!("iCloud backup works again, since {on}."),
    }
}

fn works(view: &View<'_>, steps: &[Step]) -> String {
    let scene = view.scene;
    match &view.ladder.recovery {
        Some(recovery) => {
            let step = steps.iter().find(|step| recovery.after == Some(step.id));
            let on = day(recovery.date.0, scene.now);
            format!("{} There is nothing to do.", recovered(step, &on))
        }
        None => format!(
            "iCloud Backup works. {} There is nothing to do.",
            words::reason(scene)
        ),
    }
}

fn off(view: &View<'_>) -> String {
    let scene = view.scene;
    let noun = noun(scene.past);
    if view.ladder.is_off_meant() {
        let step = view.pending().map_or("it", |trial| trial.step.code());
        return format!(
            "iCloud Backup is off now. To finish step {step}, switch it on again and tap Back Up Now: {SWITCH}."
        );
    }
    if scene.past.is_local_only(scene.policy.backup.local_only) {
        return format!("This {noun} is kept by local backups only. No step is needed.");
    }
    format!(
        "iCloud Backup is switched off on this {noun}. Switch it on first: {SWITCH}. If it is meant to be off, choose Local Backups Only."
    )
}

const SWITCH: &str = "Settings > [your name] > iCloud > iCloud Backup";

/// Why a step stands as it does.
pub(super) fn why(
    view: &View<'_>,
    step: &Step,
    state: RungState,
    next: Option<StepId>,
    missing: Option<String>,
) -> String {
    let now = view.scene.now;
    let trial = view.trial(step.id);
    match state {
        RungState::Done => {
            let on = trial
                .and_then(|trial| trial.end)
                .map(|end| day(end.at.0, now));
            format!(
                "It worked: an iCloud backup was made after it, seen on {}.",
                on.unwrap_or_default()
            )
        }
        RungState::Next => match trial.filter(|trial| trial.is_pending()) {
            Some(trial) => format!(
                "You did it on {}. Give it its time: a night on power and Wi-Fi, or one Back Up Now that ends. {}",
                day_and_time(trial.at.0, now),
                step.sign
            ),
            None => view.proposer(step.id).map_or_else(
                || "It is the mildest step that has not been tried.".to_owned(),
                |cause| match cause.confidence {
                    Confidence::Certain | Confidence::Likely => {
                        format!("It comes next, because {}.", inner(&cause.title))
                    }
                    Confidence::Possible => {
                        format!("It comes next, because perhaps {}.", inner(&cause.title))
                    }
                },
            ),
        },
        RungState::Ready => ready(view, step, next),
        RungState::Locked => missing.unwrap_or_default(),
        RungState::Never => view.forbidder(step.id).map_or_else(String::new, |cause| {
            format!(
                "It cannot help and may do harm, because {}.",
                inner(&cause.title)
            )
        }),
        RungState::Tried => trial.map_or_else(String::new, |trial| tried(trial, view.scene)),
    }
}

fn ready(view: &View<'_>, step: &Step, next: Option<StepId>) -> String {
    match (view.standing, next) {
        (Standing::Works, _) => "Not needed: iCloud Backup works.".to_owned(),
        (Standing::Off, _) => "Only once iCloud Backup is switched on.".to_owned(),
        (Standing::Waits, _) => "Not needed yet.".to_owned(),
        (Standing::Blind, _) => "Nothing is known that speaks for it.".to_owned(),
        (Standing::Fails, Some(next)) if next != step.id => {
            format!("May be taken; step {next} comes first.")
        }
        (Standing::Fails, _) => "May be taken.".to_owned(),
    }
}

fn tried(trial: &Trial, scene: &Scene<'_>) -> String {
    let on = |at: crate::time::HostTime| day(at.0, scene.now);
    if !trial.was_taken() {
        return format!("You said on {} that it is not for you.", on(trial.at));
    }
    let came_through = trial.seen.iter().find_map(|seen| match seen.sign {
        Sign::BackedUp { date } => Some(date),
        Sign::SwitchedOff
        | Sign::DateGone
        | Sign::SwitchedOn
        | Sign::FindMyOff
        | Sign::FindMyOn
        | Sign::Away
        | Sign::CameBack
        | Sign::NewSystem { .. }
        | Sign::MoreRoom { .. }
        | Sign::SettingUp
        | Sign::SetUp
        | Sign::ErrorGone
        | Sign::Night
        | Sign::FailedAgain { .. } => None,
    });
    if let Some(date) = came_through {
        return format!(
            "Taken on {}. One backup was made after it, on {}, and none since.",
            on(trial.at),
            day(date.0, scene.now)
        );
    }
    match trial.end {
        Some(end) => match end.how {
            How::SaidSo => format!("You said on {} that it did not help.", on(end.at)),
            How::FailedAgain => format!("Taken on {}; the backup failed again.", on(trial.at)),
            How::TimeIsUp => format!(
                "Taken on {}; no iCloud backup came of it by {}.",
                on(trial.at),
                on(end.at)
            ),
            How::Worked => format!("Taken on {}; it worked then.", on(trial.at)),
        },
        None => format!("Taken on {}.", on(trial.at)),
    }
}

/// What was seen of a step, oldest first.
pub(super) fn seen(trial: &Trial, scene: &Scene<'_>) -> Vec<String> {
    let noun = noun(scene.past);
    let sentences = trial.seen.iter().filter_map(|seen| {
        let what = match &seen.sign {
            Sign::SwitchedOff => "iCloud Backup went off".to_owned(),
            Sign::DateGone => "the date of the old iCloud backup is gone".to_owned(),
            Sign::SwitchedOn => "iCloud Backup came back on".to_owned(),
            Sign::FindMyOff => "Find My went off".to_owned(),
            Sign::FindMyOn => "Find My came back on".to_owned(),
            Sign::Away => return None,
            Sign::CameBack => {
                format!("the {noun} was disconnected and came back, as after a restart")
            }
            Sign::NewSystem { version } => {
                format!("the {noun} runs another system, {version}")
            }
            Sign::MoreRoom { bytes } => {
                format!("the {noun} has {} more room", size(*bytes))
            }
            Sign::SettingUp => format!("the {noun} was being set up"),
            Sign::SetUp => format!("the set-up of the {noun} is finished"),
            Sign::ErrorGone => "the newest attempt no longer ends with the same error".to_owned(),
            Sign::Night => format!("the {noun} spent a night on power here"),
            Sign::FailedAgain { at } => {
                format!(
                    "a backup to iCloud failed on {}",
                    day_and_time(at.0, scene.now)
                )
            }
            Sign::BackedUp { date } => {
                format!(
                    "a backup to iCloud ended on {}",
                    day_and_time(date.0, scene.now)
                )
            }
        };
        Some(format!("{}: {what}.", day_and_time(seen.at.0, scene.now)))
    });
    sentences.collect()
}

/// How to find the place without the path.
pub(super) fn search(step: &Step) -> String {
    if step.search.is_empty() {
        String::new()
    } else {
        format!("Or search Settings for “{}”.", step.search)
    }
}

/// What to read before, as things stand now.
pub(super) fn warnings(step: &Step, scene: &Scene<'_>) -> Vec<String> {
    let mut warnings = step.before.clone();
    let bare = scene.past.copy.is_some() && !lock::is_encrypted(scene);
    if bare && step.guard == Guard::Verified {
        warnings.push(
            "The local backup is not encrypted: saved passwords, Wi-Fi settings, Health data and call history are not in it."
                .to_owned(),
        );
    }
    warnings
}
