//! What a look at a store says, and of whom: looks that are late, of a place that was another one's, or beside a backup.

use std::collections::BTreeMap;

use backupwatch_core::run::{Phase, Progress, RunEnd};
use backupwatch_core::watcher::{Attachment, Event};
use backupwatch_core::{Level, LinkKind, LocalCopy};

use super::super::Backup;
use super::*;
use crate::agent::ask::Following;
use crate::config::Config;
use crate::jobs::{self, Done, Place, Scan};
use crate::medium::{Known, Origin};
use crate::places::Places;

fn found(udid: &Udid, copy: Option<LocalCopy>) -> Done {
    found_at("/backups", udid, copy)
}

fn found_at(root: &str, udid: &Udid, copy: Option<LocalCopy>) -> Done {
    let known = Known {
        root: root.into(),
        id: root.to_owned(),
    };
    let scan = Scan::Ready {
        known,
        free: None,
        disk: None,
        limit: None,
        copies: vec![(udid.clone(), copy.map(|copy| (copy, None)))],
    };
    Done::Scanned(root.into(), scan)
}

fn copy(now: &Now) -> LocalCopy {
    LocalCopy {
        level: Level::L2,
        at: now.host,
        encrypted: true,
        bytes: 1,
        files: 1,
    }
}

fn looks(acts: &mut Vec<Act>) -> usize {
    let looks = acts
        .iter()
        .filter(|act| matches!(act, Act::Scan { .. }))
        .count();
    acts.clear();
    looks
}

fn mind(now: &Now) -> Mind {
    let place = Place {
        root: "/backups".into(),
        origin: Origin::OurOwn,
        known: None,
    };
    let places = Places::new(place, &BTreeMap::new(), Vec::new());
    let (nobody, nothing) = (Vec::new(), Vec::new());
    Mind::new(Config::default(), true, places, nobody, None, nothing, now)
}

/// The first look is under way, and another one is wanted.
fn with_a_phone(now: &Now) -> (Mind, Udid) {
    let mut mind = mind(now);
    let udid = Udid::parse("00008110-0000000000000001").unwrap();
    let mut acts = Vec::new();
    mind.on_time(now, &mut acts);
    let attached = Event::Attached {
        udid: udid.clone(),
        link: LinkKind::Usb,
        attachment: Attachment(1),
    };
    mind.on_event(attached, now, &mut acts);
    (mind, udid)
}

#[test]
fn a_look_that_is_older_than_a_backup_does_not_undo_it() {
    let now = Now::new("2026-11-22T10:00:00Z".parse().unwrap(), 0);
    let mut mind = mind(&now);
    let (mut acts, udid) = (
        Vec::new(),
        Udid::parse("00008110-0000000000000001").unwrap(),
    );
    mind.on_time(&now, &mut acts);
    assert_eq!(looks(&mut acts), 1, "the first look");
    let attached = Event::Attached {
        udid: udid.clone(),
        link: LinkKind::Usb,
        attachment: Attachment(1),
    };
    mind.on_event(attached, &now, &mut acts);
    assert_eq!(looks(&mut acts), 0, "one at a time");

    let copy = copy(&now);
    let mut report = jobs::failed(
        udid.clone(),
        now.host,
        now.host,
        backupwatch_core::run::RunFailure::Busy,
    );
    report.end = RunEnd::Verified(copy.clone());
    mind.on_done(Done::BackedUp(Box::new(report)), &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::from([(udid.clone(), copy.clone())]));
    mind.on_done(found(&udid, None), &now, &mut acts);
    assert_eq!(
        mind.copies,
        BTreeMap::from([(udid.clone(), copy)]),
        "what it saw was older"
    );
    assert_eq!(looks(&mut acts), 1, "the one that was asked for meanwhile");
    mind.on_done(found(&udid, None), &now, &mut acts);
    assert_eq!(
        mind.copies,
        BTreeMap::new(),
        "this one is newer than the report: the copy is gone"
    );
}

/// What lies where a device is not backed up to any more is not its backup, whoever finds it there.
#[test]
fn a_backup_counts_where_its_device_is_backed_up_to_and_nowhere_else() {
    let now = Now::new("2026-11-22T10:00:00Z".parse().unwrap(), 0);
    let (mut mind, udid) = with_a_phone(&now);
    let mut acts = Vec::new();
    let known = BTreeMap::from([(udid.clone(), copy(&now))]);
    for _ in 0..2 {
        mind.on_done(found(&udid, Some(copy(&now))), &now, &mut acts);
    }
    assert_eq!(mind.copies, known);
    acts.clear();

    let own = BTreeMap::from([(udid.clone(), PathBuf::from("/photos"))]);
    mind.places_changed(own.clone(), &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::new(), "at once");
    let kept = acts
        .iter()
        .any(|act| matches!(act, Act::Write(Write::OwnRoots(roots)) if *roots == own));
    assert!(kept, "the next process does not know it");
    mind.on_done(found(&udid, Some(copy(&now))), &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::new(), "it is in the old place");
    let there = found_at("/photos", &udid, Some(copy(&now)));
    mind.on_done(there, &now, &mut acts);
    assert_eq!(mind.copies, known);

    // And the other way round; what the place that nobody has any more says of itself concerns nobody.
    mind.places_changed(BTreeMap::new(), &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::new());
    let late = found_at("/photos", &udid, Some(copy(&now)));
    mind.on_done(late, &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::new());
    mind.on_done(found(&udid, Some(copy(&now))), &now, &mut acts);
    assert_eq!(mind.copies, known);
}

/// The watcher hears of a place whose devices it is of, also when they got it a moment ago.
#[test]
fn a_place_of_its_own_that_is_away_is_told_of_its_device() {
    let now = Now::new("2026-11-22T10:00:00Z".parse().unwrap(), 0);
    let (mut mind, udid) = with_a_phone(&now);
    let mut acts = Vec::new();
    let own = BTreeMap::from([(udid.clone(), PathBuf::from("/photos"))]);
    mind.places_changed(own, &now, &mut acts);
    let there = found_at("/photos", &udid, Some(copy(&now)));
    mind.on_done(there, &now, &mut acts);
    let net = |mind: &Mind| mind.status(&now, &[]).devices[0].local.state.clone();
    assert_eq!(net(&mind), "verified");
    let gone = crate::medium::open(
        std::path::Path::new("/nowhere/photos"),
        Origin::Configured,
        None,
    );
    let gone = Scan::Missing(gone.unwrap_err());
    mind.on_done(Done::Scanned("/photos".into(), gone), &now, &mut acts);
    assert_eq!(net(&mind), "unverified");
}

/// Between two of its steps there may be none, or one that is not verified.
#[test]
fn a_look_while_a_backup_runs_says_nothing_of_its_device() {
    let now = Now::new("2026-11-22T10:00:00Z".parse().unwrap(), 0);
    let (mut mind, udid) = with_a_phone(&now);
    let mut acts = Vec::new();
    for _ in 0..2 {
        mind.on_done(found(&udid, Some(copy(&now))), &now, &mut acts);
    }
    let progress = tokio::sync::watch::channel(Progress {
        phase: Phase::Opening,
        percent: None,
        bytes: 0,
        files: 0,
        started: now.host,
    });
    let (end, ended) = tokio::sync::watch::channel(None);
    let following = Following {
        progress: progress.1,
        end: ended,
    };
    let backup = Backup {
        root: "/backups".into(),
        following,
        end,
    };
    mind.backups.insert(udid.clone(), backup);
    mind.scan_all(&now, &mut acts);
    mind.on_done(found(&udid, None), &now, &mut acts);
    assert_eq!(mind.copies, BTreeMap::from([(udid, copy(&now))]));
}

#[test]
fn a_check_waits_for_the_store_but_not_for_a_disk_that_hangs() {
    let now = Now::new("2026-11-22T10:00:00Z".parse().unwrap(), 0);
    let later = Now::new("2026-11-22T10:00:05Z".parse().unwrap(), 0);
    for (answers, at) in [(true, &now), (false, &later)] {
        let mut mind = mind(&now);
        let mut acts = Vec::new();
        mind.on_time(&now, &mut acts);
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let check = crate::agent::ask::Ask::Check {
            listed: Some(Ok(Vec::new())),
            reply,
        };
        mind.on_ask(check, &now, &[], &mut acts);
        let udid = Udid::parse("00008110-0000000000000001").unwrap();
        if answers {
            // The look of the start began before the check; the one that follows is the one that counts.
            mind.on_done(found(&udid, None), &now, &mut acts);
            mind.settle(&now, &[]);
            assert!(answer.try_recv().is_err(), "an older look is taken for it");
            mind.on_done(found(&udid, None), &now, &mut acts);
        } else {
            mind.settle(&now, &[]);
            assert!(answer.try_recv().is_err(), "it does not wait");
            assert_eq!(mind.wake_at(), later.host);
        }
        mind.settle(at, &[]);
        assert!(answer.try_recv().is_ok(), "it waits for ever");
    }
}
