//! Devices that are backed up to a folder or disk of their own: what is heard of one store says nothing of another.

use crate::fixture::{ANNA, BEN, at, copy, facts, failed, udid};
use crate::policy::Policy;
use crate::run::RunFailure;
use crate::time::{Now, Period};
use crate::verdict::{Protection, SafetyNet};
use crate::watcher::{Attachment, BackupView, Command, DeviceView, Disk, Event, Watcher};
use crate::{LinkKind, Udid};

/// Anna's phone shares the store, Ben's has one of its own; iCloud has had nothing of either for long.
struct Household {
    watcher: Watcher,
    now: Now,
}

impl Household {
    fn new() -> Self {
        let mut watcher = Watcher::new(Policy::default(), Vec::new());
        watcher.set_apart([udid(BEN)]);
        watcher.on_disk(Some(Disk(1)));
        watcher.own_on_disk(&udid(BEN), Some(Disk(2)));
        Self {
            watcher,
            now: at("2026-11-20T17:00:00Z"),
        }
    }

    fn send(&mut self, event: Event) -> Vec<Command> {
        self.watcher.handle(&self.now, event)
    }

    /// Who is backed up now.
    fn started(commands: &[Command]) -> Vec<&Udid> {
        let started = commands.iter().filter_map(|command| {
            let Command::StartBackup { plan, .. } = command else {
                return None;
            };
            Some(&plan.udid)
        });
        started.collect()
    }

    fn plug_in(&mut self, number: u32, device: &str) -> Vec<Command> {
        self.send(Event::Attached {
            udid: udid(device),
            link: LinkKind::Usb,
            attachment: Attachment(number),
        });
        let mut stale = facts(&self.now, Period::days(58));
        stale.udid = udid(device);
        self.send(Event::Probed(Box::new(stale)))
    }

    fn view(&self, device: &str) -> DeviceView {
        let mut views = self.watcher.devices(&self.now).into_iter();
        views.find(|view| view.udid == udid(device)).unwrap()
    }
}

fn gone(device: &str) -> Event {
    Event::OwnStoreMissing {
        udid: udid(device),
        why: "gone".to_owned(),
    }
}

fn there(device: &str) -> Event {
    Event::OwnStoreReady {
        udid: udid(device),
        free: None,
    }
}

#[test]
fn one_disk_that_is_away_keeps_nobody_else_from_a_backup() {
    let mut home = Household::new();
    home.send(Event::StoreReady { free: None });
    home.send(gone(BEN));
    let begun = home.plug_in(1, ANNA);
    assert_eq!(Household::started(&begun), [&udid(ANNA)]);
    let begun = home.plug_in(2, BEN);
    assert!(Household::started(&begun).is_empty(), "{begun:?}");
    let BackupView::Due { waiting_for, .. } = home.view(BEN).backup else {
        panic!("{:?}", home.view(BEN));
    };
    assert_eq!(waiting_for, "the folder for backups to be usable");
    let begun = home.send(there(BEN));
    assert_eq!(Household::started(&begun), [&udid(BEN)]);
}

#[test]
fn the_shared_disk_says_nothing_of_one_of_its_own() {
    let mut home = Household::new();
    for device in [ANNA, BEN] {
        home.send(Event::StoreScanned {
            udid: udid(device),
            copy: Some(copy(home.now.host)),
            check: None,
        });
    }
    home.send(there(BEN));
    home.send(Event::StoreMissing {
        why: "gone".to_owned(),
    });
    let net = |home: &Household, device| home.view(device).verdict.net;
    assert!(
        matches!(net(&home, BEN), SafetyNet::Verified { .. }),
        "{:?}",
        net(&home, BEN)
    );
    assert_ne!(home.view(BEN).verdict.protection, Protection::Unprotected);
    let SafetyNet::Unverified { medium_missing, .. } = net(&home, ANNA) else {
        panic!("{:?}", net(&home, ANNA));
    };
    assert!(medium_missing);
    // The other way round.
    home.send(Event::StoreReady { free: None });
    home.send(gone(BEN));
    assert!(matches!(net(&home, ANNA), SafetyNet::Verified { .. }));
    assert!(matches!(net(&home, BEN), SafetyNet::Unverified { .. }));
    // What is heard of a store that nobody has any more changes nothing.
    home.watcher.set_apart([]);
    assert!(home.send(gone(BEN)).is_empty());
    assert!(matches!(net(&home, BEN), SafetyNet::Verified { .. }));
}

/// A run that does not find its store says so of this store alone.
#[test]
fn a_run_without_its_disk_leaves_the_other_disk_alone() {
    let mut home = Household::new();
    home.send(Event::StoreReady { free: None });
    home.send(there(BEN));
    home.plug_in(2, BEN);
    let mut report = failed(&home.now, RunFailure::StoreMissing);
    report.udid = udid(BEN);
    home.send(Event::BackupFinished(report));
    let begun = home.plug_in(1, ANNA);
    assert_eq!(Household::started(&begun), [&udid(ANNA)]);
}

/// Only what lies on a disk that is there is read again, and one that goes away is not read from.
#[test]
fn each_copy_is_read_again_where_it_lies() {
    let mut home = Household::new();
    home.send(Event::StoreScanned {
        udid: udid(BEN),
        copy: Some(copy(home.now.host)),
        check: None,
    });
    home.now = at("2026-11-22T17:00:00Z");
    let reads = |commands: &[Command]| -> Vec<bool> {
        let begins = |command: &Command| matches!(command, Command::Reread { .. });
        let ends = |command: &Command| matches!(command, Command::StopReread { .. });
        let reads = commands.iter().filter(|one| begins(one) || ends(one));
        reads.map(begins).collect()
    };
    let begun = home.send(Event::StoreReady { free: None });
    assert!(
        reads(&begun).is_empty(),
        "the shared disk has nothing of it"
    );
    let begun = home.send(there(BEN));
    assert_eq!(reads(&begun), [true]);
    let ended = home.send(Event::StoreMissing {
        why: "gone".to_owned(),
    });
    assert!(reads(&ended).is_empty(), "that is another disk");
    let ended = home.send(gone(BEN));
    assert_eq!(reads(&ended), [false]);
}
