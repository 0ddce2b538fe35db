//! Every sentence that a person reads about a verdict. Notices have theirs in `words::notices`.
//!
//! For a worried parent, not an engineer: what is wrong, since when, and one next step. A device's name may appear;
//! nothing else personal does. What the wording claims is no more than the evidence says: an absent date is never
//! called "never backed up".

pub mod failures;
pub mod notices;
pub mod steps;

use crate::facts::Trust;
use crate::judge::{Medium, is_young, verified_age};
use crate::past::Past;
use crate::policy::Policy;
use crate::steps::Handset;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{
    CloudState, CloudVerdict, Concern, Flag, NextCode, NextStep, Protection, SafetyNet, UnknownWhy,
};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// What a sentence is about.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The device.
    pub past: &'a Past,
    /// What holds for it.
    pub policy: &'a Policy,
    /// iCloud.
    pub cloud: &'a CloudVerdict,
    /// The local copy.
    pub net: &'a SafetyNet,
    /// The one word.
    pub protection: Protection,
    /// The folder or disk for backups.
    pub medium: Medium,
    /// The moment of speaking.
    pub now: &'a Now,
}

/// `iPhone`, `iPad`, `iPod`, or `device` while nothing is known.
pub fn noun(past: &Past) -> &'static str {
    let class = past.facts.as_ref().and_then(|facts| {
        facts
            .device_class
            .as_ref()
            .ok()
            .or(facts.model.as_ref().ok())
    });
    match class {
        Some(class) if class.starts_with("iPhone") => "iPhone",
        Some(class) if class.starts_with("iPad") => "iPad",
        Some(class) if class.starts_with("iPod") => "iPod",
        Some(_) | None => "device",
    }
}

/// The device as the steps are told for it.
pub fn handset(past: &Past) -> Handset {
    let version = past
        .facts
        .as_ref()
        .and_then(|facts| facts.os_version.as_ref().ok());
    Handset {
        noun: noun(past),
        ios: version.and_then(|version| version.split('.').next()?.parse().ok()),
    }
}

/// The name that its owner gave it, or "this iPhone".
pub fn name(past: &Past) -> String {
    past.name
        .clone()
        .unwrap_or_else(|| format!("this {}", noun(past)))
}

/// "58 days", "5 hours", "1 minute".
pub fn lasting(period: Period) -> String {
    let seconds = period.or_zero().as_seconds();
    let (count, unit) = match seconds {
        0..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// "no files", "1 file", "51,203 files".
pub fn files(count: u64) -> String {
    match count {
        0 => "no files".to_owned(),
        1 => "1 file".to_owned(),
        many => format!("{} files", grouped(many)),
    }
}

/// `1,234`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "5 hours ago", "just now".
pub fn ago(period: Period) -> String {
    if period < Period::minutes(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", lasting(period))
    }
}

/// The same of a moment. What is ahead of `now` is "just now", for two clocks rarely agree.
pub fn ago_at(moment: Timestamp, now: Timestamp) -> String {
    ago(HostTime(now).since(HostTime(moment)))
}

/// "4 October 2026", where the person is.
pub fn day(moment: Timestamp, now: &Now) -> String {
    date(moment, &zone(now))
}

/// "4 October 2026, 11:41", where the person is.
pub fn day_and_time(moment: Timestamp, now: &Now) -> String {
    date_and_time(moment, &zone(now))
}

fn zone(now: &Now) -> TimeZone {
    TimeZone::fixed(Offset::from_seconds(now.utc_offset_s).unwrap_or(Offset::UTC))
}

/// "4 October 2026", in this zone.
pub fn date(moment: Timestamp, zone: &TimeZone) -> String {
    let moment = moment.to_zoned(zone.clone());
    moment.strftime("%-d %B %Y").to_string()
}

/// "4 October 2026, 11:41", in this zone.
pub fn date_and_time(moment: Timestamp, zone: &TimeZone) -> String {
    let moment = moment.to_zoned(zone.clone());
    moment.strftime("%-d %B %Y, %H:%M").to_string()
}

/// One sentence why the verdict is what it is.
pub fn reason(scene: &Scene<'_>) -> String {
    let Scene {
        past,
        policy,
        cloud,
        net,
        now,
        ..
    } = scene;
    let noun = noun(past);
    let age = Period::seconds(cloud.age_s.unwrap_or(0));
    let local_only = past.is_local_only(policy.backup.local_only);
    let core = match &cloud.state {
        CloudState::Fresh => format!(
            "the last iCloud backup ended {}{}",
            since_last(past, now),
            damage_clause(net)
        ),
        CloudState::Late => format!(
            "the last iCloud backup ended {}, which is later than usual{}",
            since_last(past, now),
            damage_clause(net)
        ),
        CloudState::Stale | CloudState::Alarm | CloudState::Critical
            if cloud.flags.contains(&Flag::Uploading) =>
        {
            format!(
                "the {noun} is uploading to iCloud; its last finished backup is {} old",
                lasting(age)
            )
        }
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => {
            let since = cloud
                .last
                .map(|last| format!(" (since {})", day(last.0, now)))
                .unwrap_or_default();
            format!(
                "iCloud has not backed up this {noun} for {}{since}{}",
                lasting(age),
                net_clause(scene)
            )
        }
        CloudState::Off if local_only => format!(
            "this {noun} is kept by local backups only{}",
            net_clause(scene)
        ),
        CloudState::Off => format!(
            "iCloud Backup is switched off on this {noun}{}",
            net_clause(scene)
        ),
        CloudState::NoneYet => {
            let after = if cloud.flags.contains(&Flag::BeforeRestore) || past.switched_on.is_none()
            {
                format!("since this {noun} was set up")
            } else {
                "since it was switched on".to_owned()
            };
            format!(
                "iCloud Backup is on, but no backup is known {after}{}",
                net_clause(scene)
            )
        }
        CloudState::Unknown(why) => unknown(why, scene),
    };
    format!("{}{}.", capital(&core), caveats(cloud, noun))
}

fn unknown(why: &UnknownWhy, scene: &Scene<'_>) -> String {
    let Scene {
        past, cloud, now, ..
    } = scene;
    let noun = noun(past);
    let unanswered = |because: &str| format!("{because}{}", history(cloud.last, now));
    match why {
        UnknownWhy::NeverAsked => format!("this {noun} has not answered yet"),
        UnknownWhy::NotSeen { since } => {
            unanswered(&format!("not seen since {}", day_and_time(since.0, now)))
        }
        UnknownWhy::NotTrusted => unanswered(&format!("this {noun} does not trust this computer")),
        UnknownWhy::Locked => unanswered(&format!("this {noun} is locked and tells nothing")),
        UnknownWhy::NeverUnlocked => unanswered(&format!(
            "this {noun} has restarted and has not been unlocked since"
        )),
        UnknownWhy::Prohibited => {
            unanswered(&format!("this {noun} refuses to tell about iCloud Backup"))
        }
        UnknownWhy::NoSwitch => unanswered(&format!(
            "this {noun} does not say whether iCloud Backup is on"
        )),
        UnknownWhy::NoDate => {
            format!(
                "iCloud Backup is on, but this {noun} tells no date of a backup{}",
                net_clause(scene)
            )
        }
        UnknownWhy::Unreadable { raw } => {
            format!("what this {noun} tells about its iCloud Backup makes no sense ({raw})")
        }
        UnknownWhy::LinkLost => unanswered(&format!(
            "the connection to this {noun} ended before it answered"
        )),
        UnknownWhy::SettingUp => format!("this {noun} is being set up or restored"),
        UnknownWhy::ClockWrong => unanswered(&format!(
            "the clocks of this computer and this {noun} differ too much to judge a date"
        )),
    }
}

fn history(last: Option<DeviceTime>, now: &Now) -> String {
    last.map(|last| {
        format!(
            "; the last iCloud backup known ended on {}",
            day(last.0, now)
        )
    })
    .unwrap_or_default()
}

fn since_last(past: &Past, now: &Now) -> String {
    let age = past
        .facts
        .as_ref()
        .zip(past.cloud_last)
        .map(|(facts, last)| {
            crate::past::device_now(facts)
                .since(last)
                .or_zero()
                .plus(now.host.since(facts.seen_at).or_zero())
        });
    age.map_or_else(|| "at an unknown time".to_owned(), ago)
}

/// Beside good news of iCloud the copy here is only worth a word when it is broken.
fn damage_clause(net: &SafetyNet) -> &'static str {
    if is_damaged(net) {
        "; the copy on this computer is damaged"
    } else {
        ""
    }
}

fn is_damaged(net: &SafetyNet) -> bool {
    matches!(net, SafetyNet::Damaged { .. })
}

fn net_clause(scene: &Scene<'_>) -> String {
    let aged = |age_s: i64| lasting(Period::seconds(age_s));
    match scene.net {
        SafetyNet::Verified { age_s, .. } => {
            format!(
                "; the newest verified copy on this computer was made {}",
                ago(Period::seconds(*age_s))
            )
        }
        SafetyNet::Damaged { age_s, .. } => {
            format!("; the copy made {} ago is damaged", aged(*age_s))
        }
        SafetyNet::Unverified {
            age_s,
            medium_missing: true,
            ..
        } => {
            format!(
                "; the copy made {} ago cannot be looked at now",
                aged(*age_s)
            )
        }
        SafetyNet::Unverified {
            age_s,
            medium_missing: false,
            ..
        } => {
            format!("; the copy made {} ago is not verified", aged(*age_s))
        }
        SafetyNet::Elsewhere { age_s, .. } => {
            format!(
                "; a computer backed it up {} ago, but that copy is not verified here",
                aged(*age_s)
            )
        }
        SafetyNet::None if scene.medium == Medium::Missing => {
            ", and nobody can look now whether there is a copy on this computer".to_owned()
        }
        SafetyNet::None => ", and there is no copy on this computer".to_owned(),
    }
}

fn caveats(cloud: &CloudVerdict, noun: &str) -> String {
    let notes: Vec<String> = cloud
        .flags
        .iter()
        .filter_map(|flag| caveat(*flag, noun))
        .collect();
    if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join("; "))
    }
}

fn caveat(flag: Flag, noun: &str) -> Option<String> {
    match flag {
        Flag::ClockSkewed => None,
        Flag::ClockWrong => Some(format!(
            "the clock of the {noun} is wrong by more than a day"
        )),
        Flag::DateAhead => Some(format!("that time lies ahead of the {noun}'s own clock")),
        Flag::BeforeRestore => None,
        Flag::BetaOs => Some("a beta of iOS may misreport this".to_owned()),
        Flag::MainAccountOnly => Some("only its main account is visible here".to_owned()),
        Flag::Uploading => None,
    }
}

/// The one thing to do next.
pub fn next_step(scene: &Scene<'_>) -> NextStep {
    let code = next_code(scene);
    NextStep {
        code,
        words: next_words(code, scene.past),
    }
}

fn next_code(scene: &Scene<'_>) -> NextCode {
    let Scene {
        past,
        policy,
        cloud,
        net,
        ..
    } = scene;
    let local_only = past.is_local_only(policy.backup.local_only);
    match &cloud.state {
        CloudState::Fresh | CloudState::Late if is_damaged(net) => {
            copy_first(scene, NextCode::BackUpNow)
        }
        CloudState::Fresh => NextCode::Nothing,
        CloudState::Late => NextCode::Wait,
        CloudState::Stale | CloudState::Alarm | CloudState::Critical
            if cloud.concern < Concern::Stale =>
        {
            NextCode::Wait
        }
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => {
            copy_first(scene, NextCode::ShowSteps)
        }
        CloudState::Off if local_only => {
            let young = verified_age(net).is_some_and(|age| age < policy.backup.max_age);
            if young {
                NextCode::Nothing
            } else {
                copy_first(scene, NextCode::Nothing)
            }
        }
        CloudState::Off => NextCode::SwitchOn,
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate)
            if cloud.concern < Concern::Stale =>
        {
            NextCode::Wait
        }
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate) => {
            copy_first(scene, NextCode::ShowSteps)
        }
        CloudState::Unknown(UnknownWhy::NeverAsked | UnknownWhy::NotSeen { .. }) => {
            NextCode::Connect
        }
        CloudState::Unknown(UnknownWhy::LinkLost) => NextCode::Reconnect,
        CloudState::Unknown(UnknownWhy::NotTrusted) => match past.trust {
            Some(Trust::ManagedForbids) => NextCode::AskAdministrator,
            Some(Trust::LockedForPairing) => NextCode::Unlock,
            Some(Trust::CableNeeded) => NextCode::Connect,
            Some(
                Trust::Trusted
                | Trust::NotTrusted
                | Trust::DialogPending
                | Trust::Denied
                | Trust::Expired,
            )
            | None => NextCode::Trust,
        },
        CloudState::Unknown(UnknownWhy::Locked | UnknownWhy::NeverUnlocked) => NextCode::Unlock,
        CloudState::Unknown(
            UnknownWhy::Prohibited | UnknownWhy::NoSwitch | UnknownWhy::Unreadable { .. },
        ) => NextCode::ShowSteps,
        CloudState::Unknown(UnknownWhy::SettingUp) => NextCode::Wait,
        CloudState::Unknown(UnknownWhy::ClockWrong) => NextCode::FixClock,
    }
}

/// A finished local backup comes before any repair (`remediation.md` 3.1).
fn copy_first(scene: &Scene<'_>, then: NextCode) -> NextCode {
    match scene.medium {
        Medium::Missing => NextCode::ConnectStore,
        Medium::There if is_young(scene.net, scene.policy) && then != NextCode::Nothing => then,
        Medium::There => NextCode::BackUpNow,
    }
}

pub(crate) fn next_words(code: NextCode, past: &Past) -> String {
    let noun = noun(past);
    match code {
        NextCode::Nothing => String::new(),
        NextCode::Wait => format!("Leave the {noun} on power and Wi-Fi, locked, for a night."),
        NextCode::Connect => format!("Connect the {noun} to this computer by cable."),
        NextCode::Reconnect => {
            format!("Unplug the {noun}, connect it again by cable and unlock it.")
        }
        NextCode::Trust if past.trust == Some(Trust::Denied) => {
            format!("Unplug the {noun}, plug it in again, unlock it and tap Trust.")
        }
        NextCode::Trust => format!("Unlock the {noun}, tap Trust and enter its passcode."),
        NextCode::Unlock => format!("Unlock the {noun} once while it is connected."),
        NextCode::BackUpNow => {
            format!("Back up to this computer now; the {noun} will ask for its passcode.")
        }
        NextCode::ShowSteps => "Follow the steps that bring iCloud Backup back.".to_owned(),
        NextCode::SwitchOn => {
            format!(
                "Switch iCloud Backup on in the settings of the {noun}, or choose local backups only."
            )
        }
        NextCode::FixClock => {
            format!("Set date and time to automatic on the {noun} and on this computer.")
        }
        NextCode::ConnectStore => "Connect the disk with the local backups.".to_owned(),
        NextCode::EnterPasscode => format!("Enter the passcode on the {noun}."),
        NextCode::KeepConnected => format!("Leave the {noun} connected until the backup is done."),
        NextCode::AskAdministrator => {
            format!("Ask whoever manages the {noun} to allow connecting to computers.")
        }
    }
}

/// With a full stop, unless it ends by itself.
pub fn ended(why: &str) -> String {
    if why.ends_with(['?', '.', '!']) {
        why.to_owned()
    } else {
        format!("{why}.")
    }
}

/// With a capital at the beginning, but for Apple's own spellings.
pub fn capital(text: &str) -> String {
    if text.starts_with("iCloud") || text.starts_with("iP") {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// For a plan: "iCloud 58 d old".
pub fn short_age(period: Period) -> String {
    let seconds = period.or_zero().as_seconds();
    if seconds < 172_800 {
        format!("{} h", seconds / 3_600)
    } else {
        format!("{} d", seconds / 86_400)
    }
}

/// For a plan: "3 h" since a moment.
pub fn short_since(moment: HostTime, now: &Now) -> String {
    short_age(now.host.since(moment))
}

/// "2.1 GB", in the units that disks are sold in.
pub fn size(bytes: u64) -> String {
    const STEPS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    STEPS
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .map_or_else(
            || format!("{bytes} bytes"),
            |(unit, word)| {
                let tenths = u128::from(bytes) * 10 / u128::from(unit);
                format!("{}.{} {word}", tenths / 10, tenths % 10)
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_as_people_count() {
        for (number, words) in [
            (0, "no files"),
            (1, "1 file"),
            (2, "2 files"),
            (999, "999 files"),
            (1_000, "1,000 files"),
            (1_234_567, "1,234,567 files"),
        ] {
            assert_eq!(files(number), words);
        }
    }
}
