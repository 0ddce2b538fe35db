//! The main stories, from event to command, word for word.

use super::story::Story;
use crate::facts::{Facts, LinkKind, NoAnswer, Setup, Trust};
use crate::fixture::{ANNA, BEN, at, copy, earlier, facts, failed, later, udid, verified};
use crate::notice::NoticeKind;
use crate::policy::{Mode, Policy};
use crate::run::{Phase, RunFailure};
use crate::time::{Now, Period};
use crate::udid::Udid;
use crate::verdict::{Check, CloudState, Level, Protection};
use crate::watcher::{Attachment, Command, Event, Job, Watcher};

fn evening() -> Now {
    at("2026-11-20T17:00:00Z")
}

fn asking() -> Policy {
    let mut policy = Policy::default();
    policy.backup.mode = Mode::Ask;
    policy
}

#[test]
fn a_phone_that_has_not_backed_up_for_58_days() {
    let mut story = Story::new(evening(), Policy::default());
    story.send(Event::MuxUp);
    story.send(Event::StoreReady {
        free: Some(500_000_000_000),
    });
    let stale = facts(&story.now, Period::days(58));
    story.plug_in(stale);
    story.show();
    story
        .wait(Period::seconds(3))
        .send(Event::BackupStarted { udid: udid(ANNA) });
    story.wait(Period::seconds(2)).send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::WaitingForPasscode,
    });
    story.send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::WaitingForPasscode,
    });
    story.show();
    story.wait(Period::seconds(50)).send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::Transferring,
    });
    story.wait(Period::minutes(40));
    let report = verified(&story.now);
    story.send(Event::BackupFinished(report));
    let stale = facts(&story.now, Period::days(58));
    story.send(Event::Probed(Box::new(stale)));
    story.show();
    story.note("a day later the steps have helped");
    story.live(Period::hours(20), |now| facts(now, Period::days(59)));
    let fresh = facts(&story.now, Period::hours(1));
    story.send(Event::DomainChanged { udid: udid(ANNA) });
    story.send(Event::Probed(Box::new(fresh)));
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn nobody_enters_the_passcode() {
    let mut story = Story::new(evening(), Policy::default());
    let stale = facts(&story.now, Period::days(20));
    story.plug_in(stale);
    story.send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::WaitingForPasscode,
    });
    story.wait(Period::minutes(30));
    let report = failed(&story.now, RunFailure::PasscodeTimeout);
    story.send(Event::BackupFinished(report));
    let mut unlocked = facts(&story.now, Period::days(20));
    unlocked.locked = Ok(false);
    story.send(Event::Probed(Box::new(unlocked)));
    story.note("unlocked, but the pause holds; and the agent's restart does not end it");
    story.show();
    story.restart();
    let mut unlocked = facts(&story.now, Period::days(20));
    unlocked.locked = Ok(false);
    story.plug_in(unlocked);
    story.note("a person may always ask");
    story.send(Event::AskBackup { udid: udid(ANNA) });
    let report = failed(&story.now, RunFailure::PasscodeCancelled);
    story.send(Event::BackupFinished(report));
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_phone_that_does_not_trust_us() {
    let mut story = Story::new(evening(), Policy::default());
    let anna = || udid(ANNA);
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(7),
    });
    story.wait(Period::seconds(1)).send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.show();
    story.wait(Period::seconds(20)).send(Event::PairAnswer {
        udid: anna(),
        trust: Trust::Denied,
    });
    story.wait(Period::seconds(10)).send(Event::Tick);
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.note("not asked again before it is plugged in anew, and no second notice then");
    story.show();
    story.unplug();
    story.wait(Period::minutes(5));
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(8),
    });
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.wait(Period::seconds(20)).send(Event::PairAnswer {
        udid: anna(),
        trust: Trust::Trusted,
    });
    let fresh = facts(&story.now, Period::hours(9));
    story.send(Event::Probed(Box::new(fresh)));
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_locked_phone_is_asked_for_trust_when_it_can_show_the_question() {
    let mut story = Story::new(evening(), Policy::default());
    let anna = || udid(ANNA);
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(7),
    });
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.send(Event::PairAnswer {
        udid: anna(),
        trust: Trust::LockedForPairing,
    });
    story.show();
    story.wait(Period::seconds(30)).send(Event::Tick);
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.send(Event::PairAnswer {
        udid: anna(),
        trust: Trust::DialogPending,
    });
    story.wait(Period::minutes(1)).send(Event::Tick);
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::NotTrusted,
    });
    story.send(Event::Paired {
        attachment: Attachment(7),
    });
    insta::assert_snapshot!(story.transcript());
}

/// It tells its name and no more, and it cannot say when it is unlocked: no session, no notifications.
#[test]
fn a_phone_that_is_shut_is_asked_again_soon() {
    for why in [
        NoAnswer::NeverUnlocked,
        NoAnswer::Locked,
        NoAnswer::NotTrusted,
    ] {
        let mut story = Story::new(evening(), Policy::default());
        let shut = |now: &Now| Facts {
            cloud_enabled: Err(why.clone()),
            cloud_last: Err(why.clone()),
            ..facts(now, Period::days(1))
        };
        let first = shut(&story.now);
        story.plug_in(first);
        for wait in [30, 60, 120] {
            let probes = |commands: Vec<Command>| {
                commands
                    .iter()
                    .any(|command| matches!(command, Command::Probe { .. }))
            };
            let early = story.wait(Period::seconds(wait - 1)).send(Event::Tick);
            assert!(!probes(early), "{why:?} is asked before {wait} s");
            let soon = story.wait(Period::seconds(1)).send(Event::Tick);
            assert!(probes(soon), "{why:?} is not asked after {wait} s");
            let again = shut(&story.now);
            story.send(Event::Probed(Box::new(again)));
        }
        let open = facts(&story.now, Period::days(1));
        story.send(Event::Probed(Box::new(open)));
        assert_eq!(story.state(), CloudState::Fresh);
    }
}

#[test]
fn cable_and_wifi_are_one_phone() {
    let mut story = Story::new(evening(), Policy::default());
    let anna = || udid(ANNA);
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Network,
        attachment: Attachment(3),
    });
    let fresh = facts(&story.now, Period::hours(9));
    story.send(Event::Probed(Box::new(fresh)));
    story.note("plugged in as well: asked at once, by cable");
    story.wait(Period::minutes(1)).send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(9),
    });
    story.note("the same attachment again changes nothing");
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(9),
    });
    let fresh = facts(&story.now, Period::hours(9));
    story.send(Event::Probed(Box::new(fresh)));
    story.note("unplugged: Wi-Fi goes on");
    story.wait(Period::minutes(1)).send(Event::Detached {
        attachment: Attachment(9),
    });
    story.wait(Period::minutes(14)).send(Event::Tick);
    story.note("usbmuxd restarts: one question under way stays one");
    story.send(Event::MuxDown {
        why: "connection reset".to_owned(),
    });
    story.send(Event::MuxUp);
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Network,
        attachment: Attachment(1),
    });
    story.send(Event::ProbeFailed {
        udid: anna(),
        why: NoAnswer::LinkLost,
    });
    story.wait(Period::seconds(30)).send(Event::Tick);
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_device_that_cannot_be_asked_is_asked_less_and_less() {
    let mut story = Story::new(evening(), Policy::default());
    let anna = || udid(ANNA);
    story.send(Event::Attached {
        udid: anna(),
        link: LinkKind::Usb,
        attachment: Attachment(7),
    });
    let mut waits = Vec::new();
    for _ in 0..8 {
        story.send(Event::ProbeFailed {
            udid: anna(),
            why: NoAnswer::LinkLost,
        });
        let next = story.watcher.poll_timeout(&story.now).unwrap();
        waits.push(next.since(story.now.host).as_seconds());
        story.now.host = next;
        story.send(Event::Tick);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    story.note("four days later nobody knows anything, and a person hears of it once");
    for _ in 0..500 {
        story.send(Event::ProbeFailed {
            udid: anna(),
            why: NoAnswer::LinkLost,
        });
        story.now.host = story.watcher.poll_timeout(&story.now).unwrap();
        story.send(Event::Tick);
    }
    assert_eq!(story.kinds(), [crate::notice::NoticeKind::UnknownForLong]);
    insta::assert_snapshot!(
        story
            .notices
            .iter()
            .map(|n| format!("{}\n{}\n", n.title, n.body))
            .collect::<String>()
    );
}

#[test]
fn asked_first() {
    let mut story = Story::new(evening(), asking());
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story.show();
    story
        .wait(Period::minutes(2))
        .send(Event::AskBackup { udid: udid(ANNA) });
    story.wait(Period::minutes(10));
    let report = verified(&story.now);
    story.send(Event::BackupFinished(report));
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn local_backups_only() {
    let mut story = Story::new(evening(), asking());
    let off = |now: &crate::time::Now| {
        let mut off = facts(now, Period::days(40));
        off.cloud_enabled = Ok(false);
        off
    };
    let first = off(&story.now);
    story.plug_in(first);
    story.show();
    story.wait(Period::minutes(1)).send(Event::LocalOnly {
        udid: udid(ANNA),
        chosen: true,
    });
    story.show();
    let made = copy(story.now.host);
    story.send(Event::StoreScanned {
        udid: udid(ANNA),
        copy: Some(made),
        check: None,
    });
    story.show();
    story.note("ten days pass without another copy");
    story.live(Period::days(10), off);
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn the_disk_for_backups_is_away() {
    let mut story = Story::new(evening(), Policy::default());
    story.send(Event::StoreMissing {
        why: "not mounted".to_owned(),
    });
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story.show();
    story.live(Period::days(1), |now| facts(now, Period::days(9)));
    story.note("the disk comes back while somebody is at the phone");
    story.unplug();
    let stale = facts(&story.now, Period::days(10));
    story.plug_in(stale);
    story.wait(Period::minutes(1)).send(Event::StoreReady {
        free: Some(1_000_000_000_000),
    });
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_full_disk_is_not_tried_again_before_there_is_room() {
    let mut story = Story::new(evening(), Policy::default());
    story.send(Event::StoreReady {
        free: Some(30_000_000_000),
    });
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story.wait(Period::minutes(2));
    let report = failed(
        &story.now,
        RunFailure::HostNoSpace {
            need: 45_000_000_000,
            free: 30_000_000_000,
        },
    );
    story.send(Event::BackupFinished(report));
    story.unplug();
    story.wait(Period::hours(2));
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story.show();
    story.send(Event::StoreReady {
        free: Some(60_000_000_000),
    });
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn quiet_hours_snooze_and_an_empty_battery() {
    let mut story = Story::new(at("2026-11-20T21:00:00Z"), Policy::default());
    let stale = facts(&story.now, Period::days(20));
    story.plug_in(stale);
    story.show();
    story.note("in the morning the notice follows; nobody is at the phone");
    story.live(Period::hours(9), |now| facts(now, Period::days(20)));
    story.show();
    story.send(Event::Snooze {
        udid: udid(ANNA),
        until: later(&story.now, Period::days(1)).host,
    });
    story.unplug();
    story.wait(Period::hours(1));
    let stale = facts(&story.now, Period::days(20));
    story.plug_in(stale);
    story.show();
    story.unplug();
    story.wait(Period::days(1));
    let mut empty = facts(&story.now, Period::days(21));
    empty.battery = Ok(crate::facts::Battery {
        percent: 12,
        on_power: false,
    });
    story.plug_in(empty);
    story.show();
    insta::assert_snapshot!(story.transcript());
}

/// Nothing is told of it, and nothing else is other than of a phone that is not muted; afterwards what is still true is told.
#[test]
fn a_muted_phone_is_watched_and_backed_up_in_silence() {
    let noon = at("2026-11-20T12:00:00Z");
    let muted = Policy {
        muted_since: Some(noon.host),
        ..Policy::default()
    };
    let mut story = Story::new(noon, muted);
    let stale = facts(&story.now, Period::days(20));
    let commands = story.plug_in(stale);
    assert!(
        commands
            .iter()
            .any(|command| matches!(command, Command::StartBackup { .. })),
        "{commands:?}"
    );
    story.send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::WaitingForPasscode,
    });
    let report = failed(&story.now, RunFailure::PasscodeTimeout);
    story.send(Event::BackupFinished(report));
    story.live(Period::hours(3), |now| facts(now, Period::days(20)));
    let shown = &story.watcher.devices(&story.now)[0];
    assert_eq!(shown.verdict.protection, Protection::Unprotected);
    assert_eq!(shown.muted_since, Some(noon.host));
    assert!(story.notices.is_empty(), "{:#?}", story.notices);

    story.watcher.set_policies(Policy::default());
    story.live(Period::minutes(30), |now| facts(now, Period::days(20)));
    let kinds: Vec<NoticeKind> = story.notices.iter().map(|notice| notice.kind).collect();
    assert_eq!(kinds, [NoticeKind::CloudStale]);
}

#[test]
fn a_restoring_phone_is_left_alone() {
    let mut story = Story::new(evening(), Policy::default());
    let mut restoring = facts(&story.now, Period::days(58));
    restoring.setup = Ok(Setup::Restoring);
    story.plug_in(restoring);
    story.send(Event::AskBackup { udid: udid(ANNA) });
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn jobs_that_break_are_over() {
    let mut story = Story::new(evening(), Policy::default());
    story.send(Event::Attached {
        udid: udid(ANNA),
        link: LinkKind::Usb,
        attachment: Attachment(7),
    });
    story.send(Event::JobPanicked {
        what: Job::Probe,
        udid: Some(udid(ANNA)),
    });
    story.wait(Period::seconds(30)).send(Event::Tick);
    let stale = facts(&story.now, Period::days(9));
    story.send(Event::Probed(Box::new(stale)));
    story.send(Event::JobPanicked {
        what: Job::Backup,
        udid: Some(udid(ANNA)),
    });
    story.show();
    story.send(Event::JobPanicked {
        what: Job::Observe,
        udid: Some(udid(BEN)),
    });
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn two_at_a_time_and_the_third_follows() {
    let mut policy = Policy::default();
    policy.backup.per_disk = 2;
    let mut story = Story::new(evening(), policy);
    for (number, device) in [ANNA, BEN, "00008120-000C3D4E5F607182"]
        .into_iter()
        .enumerate()
    {
        let attachment = Attachment(u32::try_from(number).unwrap());
        story.send(Event::Attached {
            udid: udid(device),
            link: LinkKind::Usb,
            attachment,
        });
        let mut stale = facts(&story.now, Period::days(9));
        stale.udid = udid(device);
        stale.name = Ok(format!("Phone {number}"));
        story.send(Event::Probed(Box::new(stale)));
    }
    story.wait(Period::minutes(5));
    let report = verified(&story.now);
    story.send(Event::BackupFinished(report));
    insta::assert_snapshot!(story.transcript());
}

/// A wall of phones and two places on the disk: whose backup is oldest comes first, and everybody's turn comes.
#[test]
fn of_a_hundred_the_oldest_risk_is_first() {
    let mut policy = Policy::default();
    policy.backup.presence = Period::days(1);
    policy.backup.per_disk = 2;
    let mut watcher = Watcher::new(policy, Vec::new());
    let now = evening();
    let missing = "away".to_owned();
    watcher.handle(&now, Event::StoreMissing { why: missing });
    // Ages in an order that is not the one of the names.
    let age = |number: u32| i64::from((number * 37) % 100) + 10;
    for number in 0..100 {
        let device = udid(&format!("00008110-{number:016X}"));
        watcher.handle(
            &now,
            Event::Attached {
                udid: device.clone(),
                link: LinkKind::Usb,
                attachment: Attachment(number),
            },
        );
        let mut stale = facts(&now, Period::days(age(number)));
        stale.udid = device;
        watcher.handle(&now, Event::Probed(Box::new(stale)));
    }
    let started = |commands: Vec<Command>| -> Vec<Udid> {
        let mut udids = Vec::new();
        for command in commands {
            if let Command::StartBackup { plan, .. } = command {
                udids.push(plan.udid);
            }
        }
        udids
    };
    let ready = watcher.handle(&now, Event::StoreReady { free: None });
    let mut running = started(ready);
    assert_eq!(running.len(), 2, "{running:?}");
    let mut order = running.clone();
    while let Some(done) = running.pop() {
        let mut report = verified(&now);
        report.udid = done;
        let next = started(watcher.handle(&now, Event::BackupFinished(report)));
        assert!(running.len() + next.len() <= 2, "{next:?}");
        order.extend(next.iter().cloned());
        running.extend(next);
    }
    let ages: Vec<i64> = order
        .iter()
        .map(|device| {
            let number = device.as_str().rsplit('-').next().unwrap();
            age(u32::from_str_radix(number, 16).unwrap())
        })
        .collect();
    assert_eq!(ages, (10..110).rev().collect::<Vec<i64>>());
}

#[test]
fn cancelled_by_the_person() {
    let mut story = Story::new(evening(), Policy::default());
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story
        .wait(Period::minutes(1))
        .send(Event::AskCancel { udid: udid(ANNA) });
    let report = failed(
        &story.now,
        RunFailure::Cancelled {
            by: crate::run::CancelledBy::Person,
        },
    );
    story.send(Event::BackupFinished(report));
    let stale = facts(&story.now, Period::days(9));
    story.send(Event::Probed(Box::new(stale)));
    story.show();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_due_backup_prints_its_reasons() {
    let mut story = Story::new(evening(), Policy::default());
    let made = copy(earlier(&story.now, Period::days(9)));
    story.send(Event::StoreScanned {
        udid: udid(ANNA),
        copy: Some(made),
        check: None,
    });
    let stale = facts(&story.now, Period::days(58));
    let commands = story.plug_in(stale);
    let mut plans = Vec::new();
    for command in commands {
        if let Command::StartBackup { plan, .. } = command {
            plans.push(plan.to_string());
        }
    }
    assert_eq!(
        plans,
        ["backup due: iCloud 58 d old, newest verified copy 9 d old"]
    );
}

#[test]
fn a_phone_that_hints_without_end_is_not_asked_without_end() {
    let mut story = Story::new(evening(), Policy::default());
    let fresh = facts(&story.now, Period::hours(9));
    story.plug_in(fresh);
    let mut probes = 0;
    for _ in 0..600 {
        story.wait(Period::seconds(1));
        let mut commands = story.send(Event::DomainChanged { udid: udid(ANNA) });
        commands.extend(story.send(Event::Tick));
        for command in commands {
            if let Command::Probe { .. } = command {
                probes += 1;
                let fresh = facts(&story.now, Period::hours(9));
                story.send(Event::Probed(Box::new(fresh)));
            }
        }
    }
    assert_eq!(probes, 60, "once in ten seconds");
}

#[test]
fn a_device_that_changes_its_mind_with_every_question_is_heard_six_times_a_day() {
    let mut story = Story::new(at("2026-11-20T06:00:00Z"), asking());
    let fresh = facts(&story.now, Period::hours(9));
    story.plug_in(fresh);
    for turn in 0..50 {
        story.wait(Period::minutes(15)).send(Event::Tick);
        let mut odd = facts(&story.now, Period::hours(9));
        odd.cloud_enabled = Ok(turn % 2 == 1);
        story.send(Event::Probed(Box::new(odd)));
    }
    assert_eq!(story.notices.len(), 6);
}

#[test]
fn a_restart_of_usbmuxd_is_no_arrival() {
    let mut story = Story::new(evening(), Policy::default());
    let refuse = |story: &mut Story, attachment| {
        story.send(Event::Attached {
            udid: udid(ANNA),
            link: LinkKind::Usb,
            attachment: Attachment(attachment),
        });
        story.send(Event::ProbeFailed {
            udid: udid(ANNA),
            why: NoAnswer::NotTrusted,
        })
    };
    let asks = |commands: &[Command]| {
        commands
            .iter()
            .any(|command| matches!(command, Command::Pair { .. }))
    };
    assert!(asks(&refuse(&mut story, 7)));
    story.send(Event::PairAnswer {
        udid: udid(ANNA),
        trust: Trust::Denied,
    });
    story.wait(Period::hours(1)).send(Event::MuxDown {
        why: "restarted".to_owned(),
    });
    story.send(Event::MuxUp);
    assert!(
        !asks(&refuse(&mut story, 1)),
        "nobody has plugged it in anew"
    );
    // Nor does it mean that somebody is at the phone.
    let stale = facts(&story.now, Period::days(9));
    let commands = story.send(Event::Probed(Box::new(stale)));
    assert!(
        !commands
            .iter()
            .any(|command| matches!(command, Command::StartBackup { .. }))
    );
    story.send(Event::Detached {
        attachment: Attachment(1),
    });
    assert!(asks(&refuse(&mut story, 2)));
}

fn found(now: &Now, damaged: u64) -> Option<Check> {
    Some(Check {
        level: Level::L4,
        at: now.host,
        damaged,
    })
}

/// iCloud works, the phone is away, it is night: the copy on the disk is broken all the same. Told once, in the morning.
#[test]
fn a_copy_that_rots_is_told_once() {
    let mut story = Story::new(evening(), Policy::default());
    let made = copy(earlier(&story.now, Period::days(47)));
    let fresh = facts(&story.now, Period::hours(9));
    let scan = |story: &mut Story, check| {
        story.send(Event::StoreScanned {
            udid: udid(ANNA),
            copy: Some(made.clone()),
            check,
        });
    };
    scan(&mut story, None);
    story.plug_in(fresh);
    story.unplug();
    story.show();
    story.wait(Period::hours(6));
    let check = found(&story.now, 3);
    scan(&mut story, check.clone());
    story.wait(Period::hours(9));
    scan(&mut story, check.clone());
    story.show();
    story.restart();
    story.wait(Period::days(20));
    scan(&mut story, check);
    story.note("the next backup is another one");
    let report = verified(&story.now);
    story.send(Event::BackupFinished(report));
    story.show();
    assert_eq!(
        story.kinds(),
        [NoticeKind::BackupDamaged, NoticeKind::BackupVerified]
    );
    insta::assert_snapshot!(story.transcript());
}

/// A part of the copy each day; never beside a backup, and not from a disk that is away.
#[test]
fn what_is_backed_up_is_read_again() {
    let mut story = Story::new(evening(), Policy::default());
    let made = copy(story.now.host);
    story.send(Event::StoreReady { free: None });
    story.send(Event::StoreScanned {
        udid: udid(ANNA),
        copy: Some(made),
        check: None,
    });
    let ended = |parts| Event::RereadEnded {
        udid: udid(ANNA),
        parts,
    };
    story.wait(Period::days(1));
    story.send(Event::StoreReady { free: None });
    story.note("a backup begins");
    let old = facts(&story.now, Period::days(9));
    story.plug_in(old);
    story.send(Event::AskBackup { udid: udid(ANNA) });
    story.send(ended(0));
    let report = verified(&story.now);
    story.send(Event::BackupFinished(report));
    story.note("it is gone on with after an hour");
    story.unplug();
    story.wait(Period::minutes(59));
    story.send(Event::StoreReady { free: None });
    story.wait(Period::minutes(1));
    story.send(Event::StoreReady { free: None });
    story.send(ended(1));
    story.note("the disk is away for a week, and is unplugged again while it is read");
    story.wait(Period::days(7));
    story.send(Event::StoreMissing {
        why: "gone".to_owned(),
    });
    story.send(Event::StoreReady { free: None });
    story.send(Event::StoreMissing {
        why: "gone".to_owned(),
    });
    story.send(ended(0));
    story.send(Event::StoreReady { free: None });
    insta::assert_snapshot!(story.transcript());
}
