//! The ladder in the life of a phone: what is told when, and what survives.

use super::story::Story;
use crate::evidence::{Heard, Uploading};
use crate::facts::{Facts, LinkKind, NoAnswer};
use crate::fixture::{ANNA, at, attempt, books, earlier, facts, udid, verified};
use crate::ladder::Mark;
use crate::notice::NoticeKind;
use crate::policy::{Mode, Policy, QuietHours};
use crate::steps::StepId;
use crate::time::{DeviceTime, Now, Period};
use crate::verdict::CloudState;
use crate::watcher::{Attachment, Event, Remembered, Watcher};

/// Notices at any hour, backups on demand.
fn asking() -> Policy {
    let mut policy = Policy::default();
    policy.backup.mode = Mode::Ask;
    policy.notify.quiet = QuietHours::NEVER;
    policy
}

/// The phone whose only iCloud backup is of this moment.
fn since(first: Now) -> impl Fn(&Now) -> Facts {
    move |now| facts(now, now.host.since(first.host))
}

fn local_backup(story: &mut Story) {
    story.send(Event::AskBackup { udid: udid(ANNA) });
    let report = verified(&story.wait(Period::minutes(40)).now);
    story.send(Event::BackupFinished(report));
}

fn probed(story: &mut Story, facts: Facts) {
    story.send(Event::DomainChanged { udid: udid(ANNA) });
    story.send(Event::Probed(Box::new(facts)));
}

/// New phone on 25 September, one backup that day, none for a week; deleting the copy in iCloud cured it.
#[test]
fn the_seed_story() {
    let first_day = at("2026-09-25T18:00:00Z");
    let broken = since(first_day);
    let mut story = Story::new(at("2026-10-02T17:00:00Z"), asking());
    story.send(Event::StoreReady {
        free: Some(500_000_000_000),
    });
    let stale = broken(&story.now);
    story.plug_in(stale);
    story.show_ladder();

    story.note("a night on the charger");
    story.mark(StepId::S0, Mark::Did);
    story.live(Period::hours(16), &broken);
    story.show_ladder();

    story.note("restarted long ago; and another network, with Back Up Now");
    story.mark(StepId::S1, Mark::NotForMe);
    story.mark(StepId::S2, Mark::Did);
    story.live(Period::hours(2), &broken);
    story.mark(StepId::S2, Mark::DidNotHelp);
    story.mark(StepId::S3, Mark::NotForMe);
    story.show_ladder();
    story.show();

    story.note("the local backup opens the lock");
    local_backup(&mut story);
    let stale = broken(&story.now);
    story.send(Event::Probed(Box::new(stale)));
    story.show_ladder();
    story.show();

    story.note("turn off and delete, restart, switch on, Back Up Now");
    story.mark(StepId::S4, Mark::Did);
    let off = |now: &Now| Facts {
        cloud_enabled: Ok(false),
        cloud_last: Err(NoAnswer::Missing),
        ..broken(now)
    };
    let gone = off(&story.wait(Period::minutes(2)).now);
    probed(&mut story, gone);
    story.show_ladder();
    story.unplug();
    story.wait(Period::minutes(2)).send(Event::Attached {
        udid: udid(ANNA),
        link: LinkKind::Usb,
        attachment: Attachment(8),
    });
    let on = |now: &Now| Facts {
        cloud_enabled: Ok(true),
        ..off(now)
    };
    let back = on(&story.wait(Period::minutes(1)).now);
    story.send(Event::Probed(Box::new(back)));
    story.show_ladder();
    story.restart();
    story.send(Event::Attached {
        udid: udid(ANNA),
        link: LinkKind::Usb,
        attachment: Attachment(9),
    });
    let back = on(&story.wait(Period::minutes(1)).now);
    story.send(Event::Probed(Box::new(back)));
    story.live(Period::hours(9), on);
    let done = facts(&story.now, Period::minutes(5));
    probed(&mut story, done);
    story.show_ladder();
    story.show();

    story.note("told once; and the next night is nothing special");
    story.live(Period::days(3), |now| facts(now, Period::hours(5)));
    story.show_ladder();
    insta::assert_snapshot!(story.transcript());
}

fn booked(story: &Story, code: i64) -> Event {
    let at = DeviceTime(earlier(&story.now, Period::hours(6)).0);
    Event::BooksRead {
        udid: udid(ANNA),
        books: Box::new(books(&story.now, vec![attempt(at, code)])),
    }
}

/// A full iCloud is no reason to wait for the fourth day, and none to tell it twice.
#[test]
fn what_waiting_will_not_cure_is_told_early() {
    let last = at("2026-10-02T03:00:00Z");
    let broken = since(last);
    let mut story = Story::new(at("2026-10-03T10:00:00Z"), asking());
    let seen = broken(&story.now);
    story.plug_in(seen);
    let full = booked(&story, 303);
    story.send(full);
    story.live(Period::hours(30), &broken);
    assert_eq!(story.state(), CloudState::Late);
    story.show_ladder();
    story.live(Period::days(3), &broken);
    assert_eq!(story.state(), CloudState::Stale);
    let told = story.kinds();
    let stale = told.iter().filter(|kind| **kind == NoticeKind::CloudStale);
    assert_eq!(stale.count(), 1);
    story.mark(StepId::S3, Mark::Did);
    story.wait(Period::hours(3));
    let done = facts(&story.now, Period::minutes(9));
    probed(&mut story, done);
    story.show_ladder();
    insta::assert_snapshot!(story.transcript());
}

#[test]
fn a_deleted_backup_that_is_not_begun_anew_is_reminded_of_once() {
    let mut story = Story::new(at("2026-11-20T17:00:00Z"), asking());
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    local_backup(&mut story);
    let stale = facts(&story.now, Period::days(9));
    story.send(Event::Probed(Box::new(stale)));
    let before = story.notices.len();
    story.mark(StepId::S4, Mark::Did);
    let off = |now: &Now| Facts {
        cloud_enabled: Ok(false),
        cloud_last: Err(NoAnswer::Missing),
        ..facts(now, Period::days(9))
    };
    let gone = off(&story.wait(Period::minutes(2)).now);
    probed(&mut story, gone);
    story.live(Period::days(5), off);
    let told: Vec<NoticeKind> = story.kinds().split_off(before);
    let about_off = told.iter().filter(|kind| **kind != NoticeKind::BackupDue);
    assert_eq!(about_off.collect::<Vec<_>>(), [&NoticeKind::StillOff]);
    assert_eq!(story.climb().next().unwrap().step, StepId::S4);
}

/// Weeks, restarts and a new name: a step that was taken is still watched.
#[test]
fn a_step_survives_restarts_weeks_and_a_new_name() {
    let mut story = Story::new(at("2026-11-01T10:00:00Z"), asking());
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    story.mark(StepId::S2, Mark::Did);
    story.unplug();
    story.restart();
    story.wait(Period::days(20)).restart();
    let climb = story.climb();
    assert_eq!(climb.next().map(|rung| rung.step), Some(StepId::S2));
    let done = Facts {
        name: Ok("Bertha".to_owned()),
        ..facts(&story.now, Period::hours(4))
    };
    story.plug_in(done);
    let climb = story.climb();
    assert_eq!(climb.recovery.unwrap().after, Some(StepId::S2));
    let notice = story.notices.last().unwrap();
    assert_eq!(notice.kind, NoticeKind::CloudWorks);
    assert_eq!(notice.title, "Bertha: iCloud Backup works again");
    assert!(notice.body.contains("after step S2 (Try another network)"));
    story.restart();
    story.live(Period::days(2), |now| facts(now, Period::hours(4)));
    let works = story.kinds();
    let works = works.iter().filter(|kind| **kind == NoticeKind::CloudWorks);
    assert_eq!(works.count(), 1, "told once");
}

/// What `Remembered` of the release before this one looked like.
#[test]
fn a_memory_without_a_ladder_loads_and_gets_one() {
    let mut story = Story::new(at("2026-11-01T10:00:00Z"), asking());
    let stale = facts(&story.now, Period::days(9));
    story.plug_in(stale);
    let mut old = serde_json::to_value(&story.stored[ANNA]).unwrap();
    let fields = old.as_object_mut().unwrap();
    assert!(fields.remove("ladder").is_some() && fields.remove("evidence").is_some());
    let watcher = Watcher::new(asking(), vec![serde_json::from_value(old).unwrap()]);
    let climb = watcher.climb(&udid(ANNA), &story.now).unwrap();
    assert_eq!(climb.next().map(|rung| rung.step), Some(StepId::S0));
}

#[test]
fn that_a_step_did_not_help_is_told_once_and_not_in_a_snooze() {
    let mut story = Story::new(at("2026-11-20T17:00:00Z"), asking());
    let stale = |now: &Now| facts(now, Period::days(9));
    story.plug_in(stale(&at("2026-11-20T17:00:00Z")));
    story.mark(StepId::S0, Mark::Did);
    let until = story.now.host.plus(Period::days(2));
    story.send(Event::Snooze {
        udid: udid(ANNA),
        until,
    });
    let failed = |story: &Story| {
        let told = story.kinds();
        told.iter()
            .filter(|kind| **kind == NoticeKind::StepFailed)
            .count()
    };
    story.live(Period::days(2), stale);
    assert_eq!(failed(&story), 0, "snoozed");
    story.live(Period::days(6), stale);
    assert_eq!(failed(&story), 1);
}

/// The phone's notes tell how far its upload is.
#[test]
fn an_upload_in_the_books_is_waited_for() {
    let mut story = Story::new(at("2026-11-20T17:00:00Z"), asking());
    let dateless = |now: &Now| Facts {
        cloud_last: Err(NoAnswer::Missing),
        ..facts(now, Period::ZERO)
    };
    let seen = dateless(&story.now);
    story.plug_in(seen);
    story.live(Period::days(4), dateless);
    let told = story.notices.len();
    let Event::BooksRead { udid, mut books } = booked(&story, 303) else {
        unreachable!()
    };
    books.attempts.clear();
    books.upload = Some(Uploading {
        permille: 300,
        left: None,
    });
    story.send(Event::BooksRead { udid, books });
    story.live(Period::hours(20), dateless);
    assert_eq!(story.notices.len(), told, "{:?}", story.kinds());
}

/// Where Apple's server wants a backup every other day, five days without one are nothing yet.
#[test]
fn the_plan_of_the_phone_stretches_the_thresholds() {
    let mut story = Story::new(at("2026-11-20T17:00:00Z"), asking());
    let seen = facts(&story.now, Period::days(5));
    story.plug_in(seen);
    assert_eq!(story.state(), CloudState::Stale);
    let Event::BooksRead { udid, mut books } = booked(&story, 0) else {
        unreachable!()
    };
    books.period = Some(Period::days(2));
    story.send(Event::BooksRead { udid, books });
    assert_eq!(story.state(), CloudState::Late);
    story.restart();
    assert_eq!(story.state(), CloudState::Late);
}

#[test]
fn what_a_phone_noted_is_bounded_wherever_it_comes_in() {
    let now = at("2026-11-20T17:00:00Z");
    let mut told = attempt(DeviceTime(now.host.0), 303);
    told.text = Some("cannot open /var/mobile/zebra.txt".to_owned());
    let noted = books(&now, vec![told.clone(); 40]);
    let heard = Heard {
        at: now.host,
        attempt: Some(told),
        conditions: None,
        forbidden: false,
        nothing_due: false,
        put_off: false,
    };
    let mut memory = Remembered::new(udid(ANNA));
    memory.past.first_seen = Some(now.host);
    memory.evidence.books = Some(noted.clone());
    memory.evidence.heard = Some(heard.clone());
    let bounded = memory.evidence.clone().bounded();
    assert_ne!(bounded, memory.evidence);

    let mut watcher = Watcher::new(Policy::default(), vec![memory]);
    assert_eq!(watcher.evidence(&udid(ANNA)), Some(&bounded), "remembered");

    for event in [
        Event::BooksRead {
            udid: udid(ANNA),
            books: Box::new(noted),
        },
        Event::Listened {
            udid: udid(ANNA),
            heard: Box::new(heard),
        },
    ] {
        watcher.handle(&now, event);
        assert_eq!(watcher.evidence(&udid(ANNA)), Some(&bounded), "told");
    }
}
