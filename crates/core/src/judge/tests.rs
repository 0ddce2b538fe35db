//! Tables of single judgements. The false-positive traps have their own, in `watcher::tests::traps`.

use super::*;
use crate::facts::LinkKind;
use crate::fixture::{at, copy, earlier, facts, later};
use crate::verdict::{LocalCopy, NextCode};

const DAY: Period = Period::days(1);

fn noon() -> Now {
    at("2026-11-20T10:00:00Z")
}

/// Known for a year, in touch now.
fn past(facts: Facts) -> Past {
    let now = noon();
    let mut past = Past {
        first_seen: Some(earlier(&now, Period::days(365))),
        ..Past::default()
    };
    past.absorb(facts, &CloudPolicy::default(), &now);
    past.stretch = Some(crate::past::Stretch {
        morning: earlier(&now, DAY),
        after_healthy_absence: false,
    });
    past
}

fn verdict(past: &Past) -> Verdict {
    judge(past, &Policy::default(), Medium::There, &noon())
}

#[test]
fn the_ladder_of_ages() {
    let second = Period::seconds(-1);
    let table = [
        ("just now", Period::ZERO, CloudState::Fresh, Concern::None),
        (
            "almost 2 d",
            Period::days(2).plus(second),
            CloudState::Fresh,
            Concern::None,
        ),
        ("2 d", Period::days(2), CloudState::Late, Concern::Watch),
        (
            "almost 4 d",
            Period::days(4).plus(second),
            CloudState::Late,
            Concern::Watch,
        ),
        ("4 d", Period::days(4), CloudState::Stale, Concern::Stale),
        (
            "almost 7 d",
            Period::days(7).plus(second),
            CloudState::Stale,
            Concern::Stale,
        ),
        ("7 d", Period::days(7), CloudState::Stale, Concern::Warn),
        (
            "almost 14 d",
            Period::days(14).plus(second),
            CloudState::Stale,
            Concern::Warn,
        ),
        ("14 d", Period::days(14), CloudState::Alarm, Concern::Alarm),
        (
            "almost 30 d",
            Period::days(30).plus(second),
            CloudState::Alarm,
            Concern::Alarm,
        ),
        (
            "30 d",
            Period::days(30),
            CloudState::Critical,
            Concern::Critical,
        ),
        (
            "five years",
            Period::days(5 * 365),
            CloudState::Critical,
            Concern::Critical,
        ),
    ];
    for (name, age, state, concern) in table {
        let mut past = past(facts(&noon(), age));
        past.copy = Some(copy(earlier(&noon(), DAY)));
        let verdict = verdict(&past);
        assert_eq!(
            (verdict.cloud.state, verdict.cloud.concern),
            (state, concern),
            "{name}"
        );
        assert_eq!(verdict.cloud.age_s, Some(age.as_seconds()), "{name}");
        assert_eq!(verdict.as_of, Some(noon().host), "{name}");
    }
}

#[test]
fn a_week_that_is_nowhere_but_on_the_phone_is_critical() {
    let table = [
        (
            "iCloud 6 d, no copy",
            6,
            None,
            Concern::Stale,
            Protection::AtRisk,
        ),
        (
            "iCloud 8 d, no copy",
            8,
            None,
            Concern::Critical,
            Protection::Unprotected,
        ),
        (
            "iCloud 8 d, copy 6 d",
            8,
            Some(6),
            Concern::Warn,
            Protection::AtRisk,
        ),
        (
            "iCloud 8 d, copy 7 d",
            8,
            Some(7),
            Concern::Critical,
            Protection::Unprotected,
        ),
        (
            "iCloud 20 d, copy 1 d",
            20,
            Some(1),
            Concern::Alarm,
            Protection::AtRisk,
        ),
        (
            "iCloud 58 d, copy 1 d",
            58,
            Some(1),
            Concern::Critical,
            Protection::AtRisk,
        ),
        (
            "iCloud 58 d, no copy",
            58,
            None,
            Concern::Critical,
            Protection::Unprotected,
        ),
    ];
    for (name, cloud, local, concern, protection) in table {
        let mut past = past(facts(&noon(), Period::days(cloud)));
        past.copy = local.map(|days| copy(earlier(&noon(), Period::days(days))));
        let verdict = verdict(&past);
        assert_eq!(
            (verdict.cloud.concern, verdict.protection),
            (concern, protection),
            "{name}"
        );
    }
}

#[test]
fn every_kind_of_no_answer_is_told_apart() {
    let no = |why: NoAnswer| move |facts: &mut Facts| facts.cloud_enabled = Err(why.clone());
    type Change = Box<dyn Fn(&mut Facts)>;
    let table: Vec<(&str, Change, UnknownWhy, NextCode)> = vec![
        (
            "not trusted",
            Box::new(no(NoAnswer::NotTrusted)),
            UnknownWhy::NotTrusted,
            NextCode::Trust,
        ),
        (
            "locked",
            Box::new(no(NoAnswer::Locked)),
            UnknownWhy::Locked,
            NextCode::Unlock,
        ),
        (
            "never unlocked",
            Box::new(no(NoAnswer::NeverUnlocked)),
            UnknownWhy::NeverUnlocked,
            NextCode::Unlock,
        ),
        (
            "prohibited",
            Box::new(no(NoAnswer::Prohibited)),
            UnknownWhy::Prohibited,
            NextCode::ShowSteps,
        ),
        (
            "no switch",
            Box::new(no(NoAnswer::Missing)),
            UnknownWhy::NoSwitch,
            NextCode::ShowSteps,
        ),
        (
            "no date",
            Box::new(|facts| facts.cloud_last = Err(NoAnswer::Missing)),
            UnknownWhy::NoDate,
            NextCode::Wait,
        ),
        (
            "unreadable date",
            Box::new(|facts| {
                facts.cloud_last = Err(NoAnswer::Unreadable {
                    raw: "1747341447".into(),
                })
            }),
            UnknownWhy::Unreadable {
                raw: "1747341447".into(),
            },
            NextCode::ShowSteps,
        ),
        (
            "prohibited, and not trusted",
            Box::new(|facts| {
                facts.cloud_enabled = Err(NoAnswer::Prohibited);
                facts.trust = Trust::NotTrusted;
            }),
            UnknownWhy::NotTrusted,
            NextCode::Trust,
        ),
        (
            "forbidden by management",
            Box::new(|facts| {
                facts.cloud_enabled = Err(NoAnswer::NotTrusted);
                facts.trust = Trust::ManagedForbids;
            }),
            UnknownWhy::NotTrusted,
            NextCode::AskAdministrator,
        ),
        (
            "setting up",
            Box::new(|facts| facts.setup = Ok(Setup::Restoring)),
            UnknownWhy::SettingUp,
            NextCode::Wait,
        ),
    ];
    for (name, change, why, next) in table {
        let mut facts = facts(&noon(), DAY);
        change(&mut facts);
        let verdict = verdict(&past(facts));
        assert_eq!(verdict.cloud.state, CloudState::Unknown(why), "{name}");
        assert_eq!(verdict.protection, Protection::Unknown, "{name}");
        assert_eq!(verdict.next.code, next, "{name}");
        assert!(
            !verdict.reason.contains("never backed up"),
            "{name}: {}",
            verdict.reason
        );
    }
}

#[test]
fn a_device_that_never_answered() {
    let verdict = judge(&Past::default(), &Policy::default(), Medium::There, &noon());
    assert_eq!(
        verdict.cloud.state,
        CloudState::Unknown(UnknownWhy::NeverAsked)
    );
    assert_eq!(
        (verdict.as_of, verdict.protection),
        (None, Protection::Unknown)
    );
}

#[test]
fn a_device_that_is_there_and_silent_is_not_asked_to_be_connected() {
    let mut past = Past::default();
    let young = facts(&noon(), DAY);
    let udid = young.udid.clone();
    let lost = Facts::unanswered(
        udid,
        noon().host,
        vec![LinkKind::Usb],
        Trust::Trusted,
        &NoAnswer::LinkLost,
    );
    past.absorb(lost, &Policy::default().icloud, &noon());
    let verdict = judge(&past, &Policy::default(), Medium::There, &noon());
    assert_eq!(
        verdict.cloud.state,
        CloudState::Unknown(UnknownWhy::LinkLost)
    );
    assert_eq!(verdict.next.code, NextCode::Reconnect);
    past.absorb(young, &Policy::default().icloud, &noon());
    let verdict = judge(&past, &Policy::default(), Medium::There, &noon());
    assert_eq!(verdict.cloud.state, CloudState::Fresh);
}

#[test]
fn evidence_ages() {
    // (age when read, hours since then, what it says now)
    let since = |hours| UnknownWhy::NotSeen {
        since: earlier(&noon(), Period::hours(hours)),
    };
    let table = [
        ("fresh, just read", 5, 0, CloudState::Fresh),
        ("fresh, would be late by now", 40, 20, CloudState::Late),
        (
            "late, would be stale by now",
            90,
            10,
            CloudState::Unknown(since(10)),
        ),
        ("late, a poll ago", 95, 1, CloudState::Stale),
        ("fresh, 2 d ago", 1, 48, CloudState::Unknown(since(48))),
        ("fresh, 3 d ago", 1, 72, CloudState::Unknown(since(72))),
        (
            "stale, not escalated by absence",
            13 * 24,
            36,
            CloudState::Stale,
        ),
        (
            "critical, 2 d ago",
            58 * 24,
            48,
            CloudState::Unknown(since(48)),
        ),
    ];
    for (name, age_h, unseen_h, state) in table {
        let then = Now {
            host: earlier(&noon(), Period::hours(unseen_h)),
            utc_offset_s: 7_200,
        };
        let mut past = past(facts(&then, Period::hours(age_h)));
        past.stretch = None;
        let verdict = verdict(&past);
        assert_eq!(verdict.cloud.state, state, "{name}");
        assert_eq!(verdict.as_of, Some(then.host), "{name}");
        if unseen_h >= 48 {
            assert_eq!(verdict.protection, Protection::Unknown, "{name}");
            assert!(
                verdict.reason.starts_with("Not seen since"),
                "{name}: {}",
                verdict.reason
            );
        }
    }
}

#[test]
fn evidence_from_the_future_is_none() {
    let then = later(&noon(), Period::days(300));
    let mut past = Past::default();
    past.absorb(facts(&then, DAY), &CloudPolicy::default(), &then);
    assert_eq!(
        verdict(&past).cloud.state,
        CloudState::Unknown(UnknownWhy::ClockWrong)
    );
}

#[test]
fn safety_nets() {
    let made = earlier(&noon(), Period::days(2));
    let base = || past(facts(&noon(), DAY));
    let shallow = |level, encrypted| LocalCopy {
        level,
        encrypted,
        ..copy(made)
    };
    let verified = |level| SafetyNet::Verified {
        level,
        at: made,
        age_s: 172_800,
        checked: None,
    };
    let unverified = |medium_missing| SafetyNet::Unverified {
        at: made,
        age_s: 172_800,
        medium_missing,
    };
    let table = [
        (
            "plain, L2",
            Some(shallow(Level::L2, false)),
            Medium::There,
            verified(Level::L2),
        ),
        (
            "plain, L1 is not enough",
            Some(shallow(Level::L1, false)),
            Medium::There,
            unverified(false),
        ),
        (
            "encrypted, L1",
            Some(shallow(Level::L1, true)),
            Medium::There,
            verified(Level::L1),
        ),
        (
            "encrypted, L0 is not enough",
            Some(shallow(Level::L0, true)),
            Medium::There,
            unverified(false),
        ),
        (
            "disk away",
            Some(shallow(Level::L4, false)),
            Medium::Missing,
            unverified(true),
        ),
        ("none", None, Medium::There, SafetyNet::None),
        ("none, disk away", None, Medium::Missing, SafetyNet::None),
    ];
    for (name, copy, medium, net) in table {
        let mut past = base();
        past.copy = copy;
        assert_eq!(
            judge(&past, &Policy::default(), medium, &noon()).net,
            net,
            "{name}"
        );
    }
    let check = |level, damaged| Check {
        level,
        at: noon().host,
        damaged,
    };
    let damaged = SafetyNet::Damaged {
        at: made,
        age_s: 172_800,
        found: noon().host,
        damaged: 3,
    };
    let deeper = SafetyNet::Verified {
        level: Level::L4,
        at: made,
        age_s: 172_800,
        checked: Some(noon().host),
    };
    let looked = [
        ("read again", check(Level::L4, 0), Medium::There, deeper),
        (
            "a shallower look adds nothing",
            check(Level::L1, 0),
            Medium::There,
            verified(Level::L2),
        ),
        (
            "read again, disk away",
            check(Level::L4, 0),
            Medium::Missing,
            unverified(true),
        ),
        (
            "damaged",
            check(Level::L4, 3),
            Medium::There,
            damaged.clone(),
        ),
        (
            "damaged at a glance",
            check(Level::L1, 3),
            Medium::There,
            damaged.clone(),
        ),
        (
            "damaged, disk away",
            check(Level::L4, 3),
            Medium::Missing,
            damaged,
        ),
    ];
    for (name, check, medium, net) in looked {
        let mut past = base();
        past.copy = Some(shallow(Level::L2, false));
        past.check = Some(check);
        assert_eq!(
            judge(&past, &Policy::default(), medium, &noon()).net,
            net,
            "{name}"
        );
    }
    let mut elsewhere = facts(&noon(), DAY);
    elsewhere.local_last = Ok(DeviceTime(made.0));
    assert_eq!(
        verdict(&past(elsewhere)).net,
        SafetyNet::Elsewhere {
            at: DeviceTime(made.0),
            age_s: 172_800
        }
    );
}

#[test]
fn off_on_purpose_is_protected_by_local_copies_alone() {
    let table = [
        ("asked nobody, copy 1 d", None, Some(1), Protection::AtRisk),
        ("asked nobody, no copy", None, None, Protection::Unprotected),
        (
            "chosen, copy 1 d",
            Some(true),
            Some(1),
            Protection::Protected,
        ),
        ("chosen, copy 8 d", Some(true), Some(8), Protection::AtRisk),
        (
            "chosen, copy 40 d",
            Some(true),
            Some(40),
            Protection::Unprotected,
        ),
        ("chosen, no copy", Some(true), None, Protection::Unprotected),
        (
            "refused, copy 1 d",
            Some(false),
            Some(1),
            Protection::AtRisk,
        ),
    ];
    for (name, chosen, local, protection) in table {
        let mut facts = facts(&noon(), Period::days(100));
        facts.cloud_enabled = Ok(false);
        let mut past = past(facts);
        past.local_only = chosen;
        past.copy = local.map(|days| copy(earlier(&noon(), Period::days(days))));
        let verdict = verdict(&past);
        assert_eq!(
            (verdict.cloud.state, verdict.protection),
            (CloudState::Off, protection),
            "{name}"
        );
    }
}

#[test]
fn sentences() {
    let now = noon();
    let mut lines = Vec::new();
    let mut say = |name: &str, past: &Past, medium: Medium| {
        let verdict = judge(past, &Policy::default(), medium, &now);
        lines.push(format!(
            "{name}\n  {} | {} {}\n",
            verdict.protection.code(),
            verdict.reason,
            verdict.next.words
        ));
    };
    let with = |age: Period, change: &dyn Fn(&mut Facts)| {
        let mut facts = facts(&now, age);
        change(&mut facts);
        past(facts)
    };
    say("fresh", &with(Period::hours(5), &|_| {}), Medium::There);
    say("late", &with(Period::hours(70), &|_| {}), Medium::There);
    say(
        "stale, no copy",
        &with(Period::days(5), &|_| {}),
        Medium::There,
    );
    let mut critical = with(Period::days(58), &|_| {});
    critical.copy = Some(copy(earlier(&now, Period::days(9))));
    say("critical, old copy", &critical, Medium::There);
    say("critical, disk away", &critical, Medium::Missing);
    critical.copy = Some(copy(earlier(&now, Period::hours(3))));
    say("critical, new copy", &critical, Medium::There);
    say(
        "off",
        &with(Period::days(58), &|f| f.cloud_enabled = Ok(false)),
        Medium::There,
    );
    let mut local = with(Period::days(58), &|f| f.cloud_enabled = Ok(false));
    local.local_only = Some(true);
    local.copy = Some(copy(earlier(&now, Period::days(2))));
    say("local only", &local, Medium::There);
    say(
        "no date",
        &with(DAY, &|f| f.cloud_last = Err(NoAnswer::Missing)),
        Medium::There,
    );
    say(
        "not trusted",
        &with(DAY, &|f| f.cloud_enabled = Err(NoAnswer::NotTrusted)),
        Medium::There,
    );
    say(
        "restarted",
        &with(DAY, &|f| f.cloud_enabled = Err(NoAnswer::NeverUnlocked)),
        Medium::There,
    );
    say(
        "unreadable",
        &with(DAY, &|f| {
            f.cloud_last = Err(NoAnswer::Unreadable {
                raw: "1747341447".into(),
            })
        }),
        Medium::There,
    );
    say(
        "beta",
        &with(Period::days(5), &|f| f.build = Ok("23C5027f".into())),
        Medium::There,
    );
    say(
        "managed",
        &with(Period::days(5), &|f| f.managed = Ok(true)),
        Medium::There,
    );
    say(
        "clock wrong",
        &with(Period::days(5), &|f| {
            f.device_clock = Ok(DeviceTime(later(&now, Period::days(3)).host.0))
        }),
        Medium::There,
    );
    let mut away = with(Period::hours(5), &|_| {});
    if let Some(facts) = &mut away.facts {
        facts.seen_at = earlier(&now, Period::days(3));
    }
    say("away", &away, Medium::There);
    say("never asked", &Past::default(), Medium::There);
    insta::assert_snapshot!(lines.concat());
}
