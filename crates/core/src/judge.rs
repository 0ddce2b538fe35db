//! From evidence to verdict: `design.md` section 3 with the traps of `remediation.md` 4.3.
//!
//! Pure: the same past, policy and moment give the same verdict. Three rules outrank the rest: an age is the device's
//! clock minus the date; evidence that has grown old says nothing; and nothing but a date inside its threshold, or a
//! checked copy on this disk, is ever called protection.

use crate::facts::{Facts, NoAnswer, Setup, Trust};
use crate::past::{Past, device_now};
use crate::policy::{CloudPolicy, Policy};
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{
    Check, CloudState, CloudVerdict, Concern, Flag, Level, LocalCopy, Protection, SafetyNet,
    UnknownWhy, Verdict,
};
use crate::words;

#[cfg(test)]
mod tests;

/// Clocks that differ by more than this are mentioned (trap 9).
pub const SKEW_MENTIONED: Period = Period::minutes(10);

/// Clocks that differ by more than this are called wrong (trap 9).
pub const SKEW_WRONG: Period = Period::days(1);

/// A first upload that has not grown for this long has stopped (trap 10).
const UPLOAD_STALLED: Period = Period::days(1);

/// The folder or disk for backups, as far as a verdict cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// There, or never heard to be missing.
    There,
    /// Not there.
    Missing,
}

/// The judgement of a device at `now`.
pub fn judge(past: &Past, policy: &Policy, medium: Medium, now: &Now) -> Verdict {
    let net = safety_net(past, medium, now);
    let (state, flags) = cloud_state(past, &policy.icloud, now);
    let age = past
        .facts
        .as_ref()
        .zip(past.cloud_last)
        .map(|(facts, date)| device_now(facts).since(date).or_zero());
    let mut cloud = CloudVerdict {
        concern: Concern::None,
        enabled: past.cloud_enabled,
        last: past.cloud_last,
        age_s: age.map(Period::as_seconds),
        state,
        flags,
    };
    cloud.concern = concern(past, policy, &cloud, &net, now);
    let protection = protection(past, policy, &cloud, &net);
    let scene = words::Scene {
        past,
        policy,
        cloud: &cloud,
        net: &net,
        protection,
        medium,
        now,
    };
    let (reason, next) = (words::reason(&scene), words::next_step(&scene));
    let as_of = past.facts.as_ref().map(|facts| facts.seen_at);
    Verdict {
        as_of,
        cloud,
        net,
        protection,
        reason,
        next,
    }
}

/// Whether evidence of `seen` still speaks of the present: two polls may have been missed, not more.
pub fn is_current(seen: HostTime, policy: &Policy, now: &Now) -> bool {
    now.host.since(seen) <= policy.poll.interval.times(2).max(Period::hours(1))
}

pub(crate) fn cloud_state(past: &Past, policy: &CloudPolicy, now: &Now) -> (CloudState, Vec<Flag>) {
    let unknown = |why| (CloudState::Unknown(why), Vec::new());
    let Some(facts) = &past.facts else {
        return unknown(if past.silent {
            UnknownWhy::LinkLost
        } else {
            UnknownWhy::NeverAsked
        });
    };
    let unseen = now.host.since(facts.seen_at);
    if unseen >= policy.unseen {
        return unknown(UnknownWhy::NotSeen {
            since: facts.seen_at,
        });
    }
    if unseen < Period::ZERO && unseen.abs() > SKEW_MENTIONED {
        // Our own clock was set back: nobody can say how old this evidence is.
        return unknown(UnknownWhy::ClockWrong);
    }
    if matches!(facts.setup, Ok(Setup::InProgress | Setup::Restoring)) {
        return unknown(UnknownWhy::SettingUp);
    }
    let mut flags = caveats(facts, past, now);
    let state = match (&facts.cloud_enabled, &facts.cloud_last) {
        (Err(why), _) => CloudState::Unknown(no_switch(why, facts.trust)),
        (Ok(false), _) => CloudState::Off,
        (Ok(true), Err(NoAnswer::Missing)) => without_date(past),
        (Ok(true), Err(why)) => CloudState::Unknown(no_date(why)),
        (Ok(true), Ok(date))
            if past
                .set_up
                .is_some_and(|set_up| *date < set_up.dates_before) =>
        {
            flags.push(Flag::BeforeRestore);
            CloudState::NoneYet
        }
        (Ok(true), Ok(date)) => dated(facts, *date, unseen, policy, &mut flags),
    };
    (state, flags)
}

fn caveats(facts: &Facts, past: &Past, now: &Now) -> Vec<Flag> {
    let mut flags = Vec::new();
    let skew = skew(facts);
    if skew > SKEW_WRONG {
        flags.push(Flag::ClockWrong);
    } else if skew > SKEW_MENTIONED {
        flags.push(Flag::ClockSkewed);
    }
    // Apple marks beta builds by a final small letter, as in 23A5260n.
    if facts
        .build
        .as_ref()
        .is_ok_and(|build| build.ends_with(|c: char| c.is_ascii_lowercase()))
    {
        flags.push(Flag::BetaOs);
    }
    if facts.managed == Ok(true) {
        flags.push(Flag::MainAccountOnly);
    }
    if past
        .upload
        .is_some_and(|upload| now.host.since(upload.grew) < UPLOAD_STALLED)
    {
        flags.push(Flag::Uploading);
    }
    flags
}

fn skew(facts: &Facts) -> Period {
    device_now(facts).since(DeviceTime(facts.seen_at.0)).abs()
}

fn no_switch(why: &NoAnswer, trust: Trust) -> UnknownWhy {
    match why {
        NoAnswer::NotTrusted => UnknownWhy::NotTrusted,
        NoAnswer::Locked => UnknownWhy::Locked,
        NoAnswer::NeverUnlocked => UnknownWhy::NeverUnlocked,
        NoAnswer::LinkLost => UnknownWhy::LinkLost,
        NoAnswer::Prohibited | NoAnswer::Missing if trust != Trust::Trusted => {
            UnknownWhy::NotTrusted
        }
        NoAnswer::Prohibited => UnknownWhy::Prohibited,
        NoAnswer::Missing => UnknownWhy::NoSwitch,
        NoAnswer::Unreadable { raw } => UnknownWhy::Unreadable { raw: raw.clone() },
    }
}

fn no_date(why: &NoAnswer) -> UnknownWhy {
    match why {
        NoAnswer::NotTrusted => UnknownWhy::NotTrusted,
        NoAnswer::Locked => UnknownWhy::Locked,
        NoAnswer::NeverUnlocked => UnknownWhy::NeverUnlocked,
        NoAnswer::LinkLost => UnknownWhy::LinkLost,
        NoAnswer::Prohibited => UnknownWhy::Prohibited,
        NoAnswer::Missing => UnknownWhy::NoDate,
        NoAnswer::Unreadable { raw } => UnknownWhy::Unreadable { raw: raw.clone() },
    }
}

/// An absent key is not "never" (trap 5): that needs something else that shows it.
fn without_date(past: &Past) -> CloudState {
    if past.switched_on.is_some() || past.set_up.is_some() {
        CloudState::NoneYet
    } else {
        CloudState::Unknown(UnknownWhy::NoDate)
    }
}

fn dated(
    facts: &Facts,
    date: DeviceTime,
    unseen: Period,
    policy: &CloudPolicy,
    flags: &mut Vec<Flag>,
) -> CloudState {
    let clock = device_now(facts);
    let age = clock.since(date);
    if age < Period::ZERO {
        if age.abs() > Period::days(1) {
            return CloudState::Unknown(UnknownWhy::Unreadable {
                raw: date.to_string(),
            });
        }
        flags.push(Flag::DateAhead);
    }
    if age >= policy.stale {
        // Bad as of the last contact, and it stays so until the device is seen again: an absence escalates nothing.
        return ladder(age, policy);
    }
    let by_our_clock = facts.seen_at.since(HostTime(date.0));
    if flags.contains(&Flag::ClockWrong) && by_our_clock >= policy.stale {
        return CloudState::Unknown(UnknownWhy::ClockWrong);
    }
    // Good news ages: what was fresh at the last contact may be due by now, and only a new contact can tell.
    let age = age.or_zero().plus(unseen.or_zero());
    if age >= policy.stale && unseen > Period::hours(1) {
        return CloudState::Unknown(UnknownWhy::NotSeen {
            since: facts.seen_at,
        });
    }
    ladder(age, policy)
}

fn ladder(age: Period, policy: &CloudPolicy) -> CloudState {
    if age < policy.late {
        CloudState::Fresh
    } else if age < policy.stale {
        CloudState::Late
    } else if age < policy.alarm {
        CloudState::Stale
    } else if age < policy.critical {
        CloudState::Alarm
    } else {
        CloudState::Critical
    }
}

/// Since when a device without a date could have made one; none when it has a date.
pub fn dateless_since(past: &Past) -> Option<HostTime> {
    let set_up = past.set_up.map(|set_up| set_up.seen);
    [past.dateless_since, past.switched_on, set_up]
        .into_iter()
        .flatten()
        .max()
}

fn concern(
    past: &Past,
    policy: &Policy,
    cloud: &CloudVerdict,
    net: &SafetyNet,
    now: &Now,
) -> Concern {
    let steps = &policy.icloud;
    let (age, base) = match &cloud.state {
        CloudState::Fresh | CloudState::Off => return Concern::None,
        CloudState::Late => return Concern::Watch,
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => {
            let age = Period::seconds(cloud.age_s.unwrap_or(0));
            (age, Concern::Stale)
        }
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate) => {
            let waited = dateless_since(past).map_or(Period::ZERO, |since| now.host.since(since));
            (
                waited,
                if waited < steps.grace {
                    Concern::Watch
                } else {
                    Concern::Stale
                },
            )
        }
        CloudState::Unknown(_) => return Concern::None,
    };
    let by_age = if age >= steps.critical {
        Concern::Critical
    } else if age >= steps.alarm {
        Concern::Alarm
    } else if age >= steps.warn {
        Concern::Warn
    } else {
        base
    };
    if by_age >= Concern::Stale
        && (is_uploading(past, policy, cloud, now) || is_in_grace(past, by_age, now))
    {
        return Concern::Watch;
    }
    // A week of a phone's life is then nowhere but on the phone.
    if by_age >= Concern::Warn && !is_young(net, policy) {
        Concern::Critical
    } else {
        by_age
    }
}

/// Trap 10: a first upload may take days, and says so by growing.
fn is_uploading(past: &Past, policy: &Policy, cloud: &CloudVerdict, now: &Now) -> bool {
    cloud.flags.contains(&Flag::Uploading)
        && past
            .upload
            .is_some_and(|upload| now.host.since(upload.since) < policy.icloud.upload)
}

/// Before its first night here a device had no chance. It counts against a date that is only just too old, and after
/// an absence (trap 1) against any.
fn is_in_grace(past: &Past, by_age: Concern, now: &Now) -> bool {
    past.stretch.is_some_and(|stretch| {
        now.host < stretch.morning && (by_age == Concern::Stale || stretch.after_healthy_absence)
    })
}

fn safety_net(past: &Past, medium: Medium, now: &Now) -> SafetyNet {
    if let Some(copy) = &past.copy {
        return net_of(copy, past.check.as_ref(), medium, now);
    }
    match past.facts.as_ref().map(|facts| (facts, &facts.local_last)) {
        Some((facts, Ok(at))) => {
            let unseen = now.host.since(facts.seen_at).or_zero();
            let age_s = device_now(facts)
                .since(*at)
                .or_zero()
                .plus(unseen)
                .as_seconds();
            SafetyNet::Elsewhere { at: *at, age_s }
        }
        Some((_, Err(_))) | None => SafetyNet::None,
    }
}

/// What our own copy is worth. Damage outlives the disk that it was found on: a disk that is away does not heal.
fn net_of(copy: &LocalCopy, check: Option<&Check>, medium: Medium, now: &Now) -> SafetyNet {
    let age = now.host.since(copy.at);
    let (at, age_s) = (copy.at, age.or_zero().as_seconds());
    if let Some(check) = check.filter(|check| check.found_damage()) {
        return SafetyNet::Damaged {
            at,
            age_s,
            found: check.at,
            damaged: check.damaged,
        };
    }
    let deep_enough = copy.level >= if copy.encrypted { Level::L1 } else { Level::L2 };
    let datable = age >= Period::ZERO || age.abs() <= SKEW_MENTIONED;
    let deeper = check.filter(|check| check.level >= copy.level);
    match medium {
        Medium::Missing => SafetyNet::Unverified {
            at,
            age_s,
            medium_missing: true,
        },
        Medium::There if deep_enough && datable => SafetyNet::Verified {
            level: deeper.map_or(copy.level, |check| check.level),
            at,
            age_s,
            checked: deeper.map(|check| check.at),
        },
        Medium::There => SafetyNet::Unverified {
            at,
            age_s,
            medium_missing: false,
        },
    }
}

/// A checked copy that is young enough to stand in.
pub fn is_young(net: &SafetyNet, policy: &Policy) -> bool {
    verified_age(net).is_some_and(|age| age < policy.backup.net_age)
}

/// How old our checked copy is, if there is one.
pub fn verified_age(net: &SafetyNet) -> Option<Period> {
    match net {
        SafetyNet::Verified { age_s, .. } => Some(Period::seconds(*age_s)),
        // Trap 16: another computer's backup is none until its folder was checked here.
        SafetyNet::Damaged { .. }
        | SafetyNet::Unverified { .. }
        | SafetyNet::Elsewhere { .. }
        | SafetyNet::None => None,
    }
}

fn protection(past: &Past, policy: &Policy, cloud: &CloudVerdict, net: &SafetyNet) -> Protection {
    let young = is_young(net, policy);
    let fallback = if young {
        Protection::AtRisk
    } else {
        Protection::Unprotected
    };
    match &cloud.state {
        CloudState::Fresh | CloudState::Late => Protection::Protected,
        CloudState::Off | CloudState::Unknown(_)
            if past.is_local_only(policy.backup.local_only) =>
        {
            match verified_age(net) {
                Some(_) if young => Protection::Protected,
                Some(age) if age < policy.icloud.critical => Protection::AtRisk,
                Some(_) | None => Protection::Unprotected,
            }
        }
        CloudState::Stale => {
            let days = Period::seconds(cloud.age_s.unwrap_or(i64::MAX));
            if days < policy.icloud.warn {
                Protection::AtRisk
            } else {
                fallback
            }
        }
        CloudState::Alarm | CloudState::Critical | CloudState::Off => fallback,
        CloudState::NoneYet if cloud.concern <= Concern::Stale => Protection::AtRisk,
        CloudState::Unknown(UnknownWhy::NoDate) if cloud.concern < Concern::Stale => {
            Protection::Unknown
        }
        CloudState::Unknown(UnknownWhy::NoDate) if cloud.concern == Concern::Stale => {
            Protection::AtRisk
        }
        CloudState::NoneYet | CloudState::Unknown(UnknownWhy::NoDate) => fallback,
        CloudState::Unknown(_) => Protection::Unknown,
    }
}
