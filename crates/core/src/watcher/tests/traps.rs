//! The sixteen false-positive traps of `remediation.md` 4.3, one named row each, more where a trap has several sides.

use super::story::Story;
use crate::date::{self, RawDate};
use crate::facts::{Facts, LinkKind, NoAnswer, Setup, Trust};
use crate::fixture::{ANNA, BEN, at, copy, earlier, facts, later, udid};
use crate::notice::NoticeKind;
use crate::policy::Policy;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{CloudState, Concern, Flag, Protection, SafetyNet, UnknownWhy};
use crate::watcher::{Attachment, Command, Event};

const DAY: Period = Period::days(1);

const TRAPS: &[(u8, &str, fn())] = &[
    (
        1,
        "a device in a drawer is not escalated",
        away_is_not_escalated,
    ),
    (1, "back from holiday it gets one night", back_from_holiday),
    (
        1,
        "what failed before the holiday gets none",
        failing_before_the_holiday,
    ),
    (
        2,
        "a new phone without a date has three days",
        new_phone_without_a_date,
    ),
    (
        2,
        "one backup on the first day and none for a week is told",
        seed_case,
    ),
    (3, "a date older than the restore is no date", restored_date),
    (4, "always off is asked about once", always_off),
    (
        4,
        "switched off is told once and reminded once",
        switched_off,
    ),
    (5, "an absent date is not never", absent_is_not_never),
    (
        6,
        "a refusal is unknown, whatever was known before",
        refusals,
    ),
    (7, "the zone changes nothing", zones),
    (
        8,
        "a Unix time stamp is unreadable, not thirty years old or fresh",
        epochs,
    ),
    (
        9,
        "a skewed device clock is the one to subtract from",
        skewed_clock,
    ),
    (
        9,
        "a device clock that is a year slow proves no freshness",
        slow_clock,
    ),
    (9, "a date slightly ahead is fresh and flagged", date_ahead),
    (
        9,
        "our own clock set back brings neither notices nor green",
        our_clock_set_back,
    ),
    (
        10,
        "a first upload that grows is let be, for a week",
        slow_first_upload,
    ),
    (11, "a managed device shows its main account only", managed),
    (12, "a beta is worded softly", beta),
    (
        13,
        "no backup of ours in the phone's own window",
        our_own_backup_at_night,
    ),
    (
        14,
        "a night's sleep of the computer is one wake",
        sleep_of_the_computer,
    ),
    (
        15,
        "each device has its own state, and a new name keeps the history",
        many_devices,
    ),
    (
        16,
        "a date moved by Finder is no verified copy",
        moved_by_finder,
    ),
];

#[test]
fn sixteen_traps() {
    let mut numbers: Vec<u8> = TRAPS.iter().map(|(number, _, _)| *number).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=16).collect::<Vec<u8>>());
    for (number, name, trap) in TRAPS {
        // The name of the row that fails is the last line of the test's output.
        println!("trap {number}: {name}");
        trap();
    }
}

fn morning() -> Now {
    at("2026-11-20T07:00:00Z")
}

/// No backups of its own, so that only notices about iCloud are heard.
fn watching() -> Policy {
    let mut policy = Policy::default();
    policy.backup.mode = crate::policy::Mode::Off;
    policy
}

/// A story with a phone that has been known for a day and is attached.
fn known(age: Period) -> Story {
    let mut story = Story::new(morning(), watching());
    let first = facts(&story.now, age);
    story.plug_in(first);
    story.live(DAY, move |now| facts(now, age));
    story.notices.clear();
    story
}

/// Facts of a phone whose last backup ended at `last`.
fn since(now: &Now, last: HostTime) -> Facts {
    facts(now, now.host.since(last))
}

fn send(story: &mut Story, facts: Facts) {
    story.send(Event::Probed(Box::new(facts)));
}

fn away_is_not_escalated() {
    let mut story = known(Period::hours(5));
    story.unplug();
    for _ in 0..60 {
        story.wait(DAY).send(Event::Tick);
        assert!(matches!(
            story.state(),
            CloudState::Unknown(UnknownWhy::NotSeen { .. }) | CloudState::Fresh
        ));
    }
    let view = story.view();
    assert_eq!(view.verdict.protection, Protection::Unknown);
    assert!(
        view.verdict
            .reason
            .starts_with("Not seen since 21 November 2026"),
        "{}",
        view.verdict.reason
    );
    assert_eq!(story.kinds(), []);
}

fn back_from_holiday() {
    let mut story = known(Period::hours(5));
    let last = earlier(&story.now, Period::hours(5));
    story.unplug();
    story.wait(Period::days(12)).wait(Period::hours(9));
    let stale = since(&story.now, last);
    story.plug_in(stale);
    assert_eq!(
        (story.state(), story.view().verdict.cloud.concern),
        (CloudState::Stale, Concern::Watch)
    );
    story.live(Period::hours(12), |now| since(now, last));
    assert_eq!(story.kinds(), [], "the night is not over");
    story.live(Period::hours(6), |now| since(now, last));
    assert_eq!(story.kinds(), [NoticeKind::CloudStale]);
}

fn failing_before_the_holiday() {
    let mut story = known(Period::days(6));
    let last = earlier(&story.now, Period::days(6));
    story.unplug();
    story.wait(Period::days(12));
    let stale = since(&story.now, last);
    story.plug_in(stale);
    assert_eq!(story.kinds(), [NoticeKind::CloudStale]);
}

fn new_phone_without_a_date() {
    let dateless = |now: &Now| Facts {
        cloud_last: Err(NoAnswer::Missing),
        ..facts(now, DAY)
    };
    let mut story = Story::new(morning(), watching());
    let setting_up = Facts {
        setup: Ok(Setup::InProgress),
        ..dateless(&story.now)
    };
    story.plug_in(setting_up);
    assert_eq!(story.state(), CloudState::Unknown(UnknownWhy::SettingUp));
    story.live(Period::hours(60), dateless);
    assert_eq!(story.state(), CloudState::NoneYet);
    assert_eq!(story.kinds(), []);
    story.live(Period::hours(36), dateless);
    assert_eq!(
        story.kinds(),
        [NoticeKind::CloudStale],
        "the grace ends on day 4"
    );
}

fn seed_case() {
    let mut story = Story::new(morning(), watching());
    let setting_up = Facts {
        setup: Ok(Setup::InProgress),
        ..facts(&story.now, DAY)
    };
    story.plug_in(setting_up);
    let last = later(&story.now, Period::hours(8)).host;
    story.wait(Period::hours(10));
    story.live(Period::days(3), |now| since(now, last));
    assert_eq!(story.kinds(), []);
    story.live(Period::days(4), |now| since(now, last));
    assert_eq!(story.kinds().first(), Some(&NoticeKind::CloudStale));
}

fn restored_date() {
    let mut story = Story::new(morning(), watching());
    let old = earlier(&story.now, Period::days(40));
    let restoring = Facts {
        setup: Ok(Setup::Restoring),
        ..since(&story.now, old)
    };
    story.plug_in(restoring);
    story.wait(Period::hours(1));
    let restored = since(&story.now, old);
    send(&mut story, restored);
    let cloud = story.view().verdict.cloud;
    assert_eq!(
        (cloud.state, cloud.flags),
        (CloudState::NoneYet, vec![Flag::BeforeRestore])
    );
    story.live(Period::days(2), |now| since(now, old));
    assert_eq!(story.kinds(), []);
    let new = story.now.host;
    story.wait(Period::hours(3));
    let backed_up = since(&story.now, new);
    send(&mut story, backed_up);
    assert_eq!(story.state(), CloudState::Fresh);
}

fn always_off() {
    let off = |now: &Now| Facts {
        cloud_enabled: Ok(false),
        ..facts(now, Period::days(40))
    };
    let mut story = Story::new(morning(), watching());
    let first = off(&story.now);
    story.plug_in(first);
    story.live(Period::days(60), off);
    story.restart();
    let again = off(&story.now);
    story.plug_in(again);
    assert_eq!(story.kinds(), [NoticeKind::OffOnPurpose]);
    assert_eq!(story.state(), CloudState::Off);
}

fn switched_off() {
    let off = |now: &Now| Facts {
        cloud_enabled: Ok(false),
        ..facts(now, Period::hours(20))
    };
    let mut story = known(Period::hours(5));
    story.live(Period::days(60), off);
    assert_eq!(
        story.kinds(),
        [NoticeKind::SwitchedOff, NoticeKind::StillOff]
    );
    let pause = story.notices[1].at.since(story.notices[0].at);
    assert!((DAY..Period::hours(36)).contains(&pause), "{pause}");
    story.live(DAY, |now| facts(now, Period::hours(2)));
    story.live(DAY, off);
    let news = [NoticeKind::CloudWorks, NoticeKind::SwitchedOff];
    assert_eq!(story.kinds()[2..], news, "off once more is a new change");
}

fn absent_is_not_never() {
    let dateless = |now: &Now| Facts {
        cloud_last: Err(NoAnswer::Missing),
        ..facts(now, DAY)
    };
    let mut story = Story::new(morning(), watching());
    let first = dateless(&story.now);
    story.plug_in(first);
    assert_eq!(story.state(), CloudState::Unknown(UnknownWhy::NoDate));
    assert_eq!(story.view().verdict.protection, Protection::Unknown);
    story.live(Period::days(3), dateless);
    assert_eq!(story.kinds(), [], "the same grace as a new phone");
    story.live(Period::days(2), dateless);
    assert_eq!(story.kinds(), [NoticeKind::CloudStale]);
    let words = format!("{} {}", story.notices[0].title, story.notices[0].body);
    assert!(
        !words.contains("never") && words.contains("tells no date"),
        "{words}"
    );
}

fn refusals() {
    for why in [
        NoAnswer::Prohibited,
        NoAnswer::NotTrusted,
        NoAnswer::Locked,
        NoAnswer::NeverUnlocked,
    ] {
        for whole in [false, true] {
            let mut story = known(Period::days(3));
            story.wait(Period::minutes(20));
            if whole {
                story.send(Event::ProbeFailed {
                    udid: udid(ANNA),
                    why: why.clone(),
                });
            } else {
                let refused = Facts {
                    cloud_enabled: Err(why.clone()),
                    cloud_last: Err(why.clone()),
                    ..facts(&story.now, DAY)
                };
                send(&mut story, refused);
            }
            let verdict = story.view().verdict;
            assert!(
                matches!(verdict.cloud.state, CloudState::Unknown(_)),
                "{why:?}"
            );
            assert_eq!(verdict.protection, Protection::Unknown);
            assert_eq!(verdict.as_of, Some(story.now.host));
            assert!(!story.kinds().contains(&NoticeKind::CloudStale));
        }
    }
    // A lost link is no reading at all: the last state stays, with its own time.
    let mut story = known(Period::hours(5));
    let (before, state) = (story.view().verdict.as_of, story.state());
    story.wait(Period::minutes(20)).send(Event::ProbeFailed {
        udid: udid(ANNA),
        why: NoAnswer::LinkLost,
    });
    assert_eq!((story.view().verdict.as_of, story.state()), (before, state));
}

fn zones() {
    let verdict = |utc_offset_s| {
        let now = Now {
            utc_offset_s,
            ..morning()
        };
        let mut story = Story::new(now, watching());
        let stale = facts(&now, Period::hours(47));
        story.plug_in(stale);
        story.view().verdict.cloud
    };
    let here = verdict(0);
    for offset in [-43_200, -14_400, 20_700, 50_400] {
        assert_eq!(verdict(offset), here);
    }
}

fn epochs() {
    let now = morning();
    let unix = RawDate::Integer(i128::from(now.host.0.as_second()) - 3_600);
    let mut story = Story::new(now, watching());
    let odd = Facts {
        cloud_last: date::read(&unix, DeviceTime(now.host.0)),
        ..facts(&now, DAY)
    };
    story.plug_in(odd);
    let raw = (now.host.0.as_second() - 3_600).to_string();
    assert_eq!(
        story.state(),
        CloudState::Unknown(UnknownWhy::Unreadable { raw })
    );
    assert_eq!(story.view().verdict.protection, Protection::Unknown);
}

fn with_clock(now: &Now, ahead: Period, age: Period) -> Facts {
    let clock = DeviceTime(now.host.0).plus(ahead);
    let last = clock.plus(Period::seconds(-age.as_seconds()));
    Facts {
        device_clock: Ok(clock),
        cloud_last: Ok(last),
        ..facts(now, age)
    }
}

fn skewed_clock() {
    let table = [
        (Period::minutes(5), vec![]),
        (Period::hours(3), vec![Flag::ClockSkewed]),
        (Period::hours(-3), vec![Flag::ClockSkewed]),
        (Period::days(3), vec![Flag::ClockWrong]),
    ];
    for (ahead, flags) in table {
        let mut story = Story::new(morning(), watching());
        let skewed = with_clock(&story.now, ahead, Period::hours(47));
        story.plug_in(skewed);
        let cloud = story.view().verdict.cloud;
        assert_eq!(
            (cloud.state, cloud.age_s, cloud.flags),
            (CloudState::Fresh, Some(47 * 3_600), flags),
            "{ahead}"
        );
    }
}

fn slow_clock() {
    let mut story = Story::new(morning(), watching());
    let slow = with_clock(&story.now, Period::days(-365), Period::hours(2));
    story.plug_in(slow);
    assert_eq!(story.state(), CloudState::Unknown(UnknownWhy::ClockWrong));
    assert_ne!(story.view().verdict.protection, Protection::Protected);
    // A slow clock does not hide bad news.
    let slow = with_clock(&story.now, Period::days(-365), Period::days(20));
    send(&mut story, slow);
    assert_eq!(story.state(), CloudState::Alarm);
}

fn date_ahead() {
    let mut story = Story::new(morning(), watching());
    let ahead = facts(&story.now, Period::hours(-20));
    story.plug_in(ahead);
    let cloud = story.view().verdict.cloud;
    assert_eq!(
        (cloud.state, cloud.age_s, cloud.flags),
        (CloudState::Fresh, Some(0), vec![Flag::DateAhead])
    );
}

fn our_clock_set_back() {
    let mut story = known(Period::days(9));
    story.live(DAY, |now| facts(now, Period::days(9)));
    let told = story.notices.len();
    story.now.host = earlier(&story.now, Period::days(400));
    story.send(Event::Tick);
    assert_eq!(story.state(), CloudState::Unknown(UnknownWhy::ClockWrong));
    assert_ne!(story.view().verdict.protection, Protection::Protected);
    story.send(Event::Tick);
    let next = story.watcher.poll_timeout(&story.now).unwrap();
    assert!(
        next.since(story.now.host) <= Period::minutes(15),
        "the next poll does not wait for the old time"
    );
    assert_eq!(story.notices.len(), told);
}

fn slow_first_upload() {
    let dateless = |now: &Now| Facts {
        cloud_last: Err(NoAnswer::Missing),
        ..facts(now, DAY)
    };
    let mut story = Story::new(morning(), watching());
    let first = dateless(&story.now);
    story.plug_in(first);
    for day in 1..7 {
        story.send(Event::UploadProgress {
            udid: udid(ANNA),
            permille: day * 100,
        });
        story.live(Period::hours(23), dateless);
        assert_eq!(story.kinds(), [], "day {day}");
    }
    story.note("it has stopped growing");
    story.live(Period::hours(12), dateless);
    assert_eq!(story.kinds(), [NoticeKind::CloudStale]);
}

fn managed() {
    let mut story = Story::new(morning(), watching());
    let managed = Facts {
        managed: Ok(true),
        ..facts(&story.now, Period::days(9))
    };
    story.plug_in(managed);
    assert!(
        story.notices[0]
            .body
            .contains("only its main account is visible here")
    );
}

fn beta() {
    for (build, soft) in [("23C5027f", true), ("23B85", false)] {
        let mut story = Story::new(morning(), watching());
        let beta = Facts {
            build: Ok(build.to_owned()),
            ..facts(&story.now, Period::days(9))
        };
        story.plug_in(beta);
        assert_eq!(story.notices[0].body.contains("beta"), soft, "{build}");
    }
}

fn our_own_backup_at_night() {
    let unlocked = |now: &Now| Facts {
        locked: Ok(false),
        ..facts(now, Period::days(9))
    };
    let mut story = Story::new(at("2026-11-20T23:30:00Z"), Policy::default());
    let first = unlocked(&story.now);
    let starts = |commands: &[Command]| {
        commands
            .iter()
            .any(|c| matches!(c, Command::StartBackup { .. }))
    };
    assert!(!starts(&story.plug_in(first)));
    let due = story.now.next_at(7 * 3_600).since(story.now.host);
    story.wait(due).send(Event::Tick);
    let awake = unlocked(&story.now);
    assert!(starts(&story.send(Event::Probed(Box::new(awake)))));
}

fn sleep_of_the_computer() {
    let mut story = known(Period::days(9));
    story.live(DAY, |now| facts(now, Period::days(10)));
    story.notices.clear();
    story.wait(Period::hours(72));
    let probes = |commands: &[Command]| {
        commands
            .iter()
            .filter(|c| matches!(c, Command::Probe { .. }))
            .count()
    };
    assert_eq!(probes(&story.send(Event::Woke)), 1);
    assert_eq!(
        probes(&story.send(Event::Woke)),
        0,
        "one question is under way"
    );
    assert_eq!(story.kinds(), [], "nothing is told before the answer");
    let answer = facts(&story.now, Period::days(13));
    send(&mut story, answer);
    assert!(story.kinds().len() <= 1, "{:?}", story.kinds());
}

fn many_devices() {
    let mut story = Story::new(morning(), watching());
    let first = facts(&story.now, Period::days(40));
    story.plug_in(first);
    story.send(Event::Attached {
        udid: udid(BEN),
        link: LinkKind::Usb,
        attachment: Attachment(8),
    });
    let mut ben = facts(&story.now, Period::hours(1));
    ben.udid = udid(BEN);
    send(&mut story, ben);
    let states: Vec<CloudState> = story
        .watcher
        .devices(&story.now)
        .into_iter()
        .map(|view| view.verdict.cloud.state)
        .collect();
    assert_eq!(states, [CloudState::Critical, CloudState::Fresh]);
    story.wait(Period::hours(2));
    let renamed = Facts {
        name: Ok("Anna 2\u{202e}\n".to_owned()),
        ..facts(&story.now, Period::days(40))
    };
    send(&mut story, renamed);
    assert_eq!(story.view().name.as_deref(), Some("Anna 2"));
    assert_eq!(
        story.kinds(),
        [NoticeKind::CloudStale],
        "the same device, told already"
    );
}

fn moved_by_finder() {
    let mut story = Story::new(morning(), Policy::default());
    let finder = Facts {
        local_last: Ok(DeviceTime(earlier(&story.now, Period::hours(2)).0)),
        ..facts(&story.now, Period::days(40))
    };
    let commands = story.plug_in(finder);
    let verdict = story.view().verdict;
    assert!(matches!(verdict.net, SafetyNet::Elsewhere { .. }));
    assert_eq!(verdict.protection, Protection::Unprotected);
    assert!(
        commands
            .iter()
            .any(|command| matches!(command, Command::StartBackup { .. }))
    );
    let ours = copy(story.now.host);
    story.send(Event::StoreScanned {
        udid: udid(ANNA),
        copy: Some(ours),
        check: None,
    });
    assert_eq!(story.view().verdict.protection, Protection::AtRisk);
    assert_eq!(story.view().trust, Some(Trust::Trusted));
}
