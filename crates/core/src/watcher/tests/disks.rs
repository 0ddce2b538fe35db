//! Backups at the same time, and the disks that they go to.

use crate::fixture::{ANNA, BEN, at, facts, udid, verified};
use crate::policy::Policy;
use crate::run::Phase;
use crate::time::{Now, Period};
use crate::watcher::{Attachment, BackupView, Command, Disk, Event, Watcher};
use crate::{LinkKind, Udid};

const CARL: &str = "00008120-000C3D4E5F607182";

/// Three phones that are due. Ben's and Carl's have stores of their own.
struct Wall {
    watcher: Watcher,
    now: Now,
    running: Vec<Udid>,
}

impl Wall {
    fn new(parallel: u8, per_disk: u8) -> Self {
        let mut policy = Policy::default();
        policy.backup.parallel = parallel;
        policy.backup.per_disk = per_disk;
        let mut watcher = Watcher::new(policy, Vec::new());
        watcher.set_apart([udid(BEN), udid(CARL)]);
        let now = at("2026-11-20T17:00:00Z");
        Self {
            watcher,
            now,
            running: Vec::new(),
        }
    }

    /// The disks of Anna's, Ben's and Carl's stores.
    fn on(mut self, disks: [Option<u64>; 3]) -> Self {
        let [anna, ben, carl] = disks.map(|disk| disk.map(Disk));
        self.watcher.on_disk(anna);
        self.watcher.own_on_disk(&udid(BEN), ben);
        self.watcher.own_on_disk(&udid(CARL), carl);
        self
    }

    fn send(&mut self, event: Event) {
        for command in self.watcher.handle(&self.now, event) {
            if let Command::StartBackup { plan, .. } = command {
                self.running.push(plan.udid);
            }
        }
    }

    fn plug_in_all(&mut self) {
        for (attachment, device) in (1..).map(Attachment).zip([ANNA, BEN, CARL]) {
            self.send(Event::Attached {
                udid: udid(device),
                link: LinkKind::Usb,
                attachment,
            });
            let mut stale = facts(&self.now, Period::days(58));
            stale.udid = udid(device);
            self.send(Event::Probed(Box::new(stale)));
        }
    }

    fn finish(&mut self, device: &str) {
        self.running.retain(|running| *running != udid(device));
        let mut report = verified(&self.now);
        report.udid = udid(device);
        self.send(Event::BackupFinished(report));
    }

    fn waits_for(&self, device: &str) -> String {
        let mut views = self.watcher.devices(&self.now).into_iter();
        let backup = views.find(|view| view.udid == udid(device)).unwrap().backup;
        let BackupView::Due { waiting_for, .. } = backup else {
            panic!("{device} does not wait: {backup:?}")
        };
        waiting_for
    }
}

#[test]
fn how_many_begin_is_a_matter_of_their_disks() {
    let (none, one, two) = (None, Some(1), Some(2));
    for (parallel, per_disk, disks, begun) in [
        (3, 1, [one, one, one], vec![ANNA]),
        (3, 2, [one, one, one], vec![ANNA, BEN]),
        (3, 1, [one, two, one], vec![ANNA, BEN]),
        (3, 1, [one, two, two], vec![ANNA, BEN]),
        (3, 1, [one, two, Some(3)], vec![ANNA, BEN, CARL]),
        (2, 1, [one, two, Some(3)], vec![ANNA, BEN]),
        (1, 9, [one, two, Some(3)], vec![ANNA]),
        // What is not known may be the same.
        (3, 1, [none, none, none], vec![ANNA]),
        (3, 1, [one, none, two], vec![ANNA, CARL]),
    ] {
        let mut wall = Wall::new(parallel, per_disk).on(disks);
        wall.plug_in_all();
        let begun: Vec<Udid> = begun.into_iter().map(udid).collect();
        assert_eq!(wall.running, begun, "{parallel} {per_disk} {disks:?}");
    }
}

#[test]
fn who_waits_for_a_disk_says_so_and_has_it_next() {
    let mut wall = Wall::new(2, 1).on([Some(1), Some(2), Some(1)]);
    wall.plug_in_all();
    assert_eq!(wall.running, [udid(ANNA), udid(BEN)]);
    assert_eq!(wall.waits_for(CARL), "another device's backup to finish");
    wall.finish(BEN);
    assert_eq!(wall.running, [udid(ANNA)], "its disk is still busy");
    assert_eq!(
        wall.waits_for(CARL),
        "another device's backup to the same disk to finish"
    );
    // A person's wish makes no disk faster.
    wall.send(Event::AskBackup { udid: udid(CARL) });
    assert_eq!(wall.running, [udid(ANNA)]);
    wall.finish(ANNA);
    assert_eq!(wall.running, [udid(CARL)]);
}

#[test]
fn who_waits_for_a_passcode_keeps_nobody_from_the_disk() {
    let mut wall = Wall::new(2, 1).on([Some(1), Some(1), Some(1)]);
    wall.plug_in_all();
    assert_eq!(wall.running, [udid(ANNA)]);
    wall.send(Event::BackupPhase {
        udid: udid(ANNA),
        phase: Phase::WaitingForPasscode,
    });
    assert_eq!(wall.running, [udid(ANNA), udid(BEN)]);
}

#[test]
fn the_disk_of_a_store_that_a_device_had_for_itself_is_forgotten_with_it() {
    let mut wall = Wall::new(3, 1).on([Some(1), Some(2), Some(3)]);
    wall.watcher.set_apart([udid(CARL)]);
    wall.plug_in_all();
    assert_eq!(wall.running, [udid(ANNA)], "Ben's is Anna's now");
    wall.watcher.own_on_disk(&udid(CARL), Some(Disk(3)));
    wall.send(Event::OwnStoreReady {
        udid: udid(CARL),
        free: None,
    });
    assert_eq!(wall.running, [udid(ANNA), udid(CARL)]);
}
