//! Which stores share a disk: two backups at once make a disk slower than one after the other would.

use super::Watcher;
use crate::run::Phase;
use crate::udid::Udid;
use std::collections::BTreeMap;

/// A disk, as the system numbers it while it is there. Good for nothing but being compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk(pub u64);

/// The disks of the stores: of those that devices have for themselves, and of the one that all others share.
#[derive(Debug, Default)]
pub(super) struct Disks {
    shared: Option<Disk>,
    apart: BTreeMap<Udid, Disk>,
}

/// How many backups are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) everywhere: usize,
    /// To the disk in question.
    pub(super) on_disk: usize,
}

impl Disks {
    pub(super) fn forget_apart(&mut self) {
        self.apart.clear();
    }
}

impl Watcher {
    /// The store that most devices share is on this disk.
    pub fn on_disk(&mut self, disk: Option<Disk>) {
        self.disks.shared = disk;
    }

    /// The store that a device has for itself is on this one.
    pub fn own_on_disk(&mut self, udid: &Udid, disk: Option<Disk>) {
        match disk {
            Some(disk) => self.disks.apart.insert(udid.clone(), disk),
            None => self.disks.apart.remove(udid),
        };
    }

    /// The backups under way, as a device finds them that is to be backed up.
    pub(super) fn traffic(&self, udid: &Udid) -> Traffic {
        let here = self.disk_of(udid);
        let running = self
            .devices
            .values()
            .filter_map(|device| Some((device, device.running.as_ref()?.phase)));
        let mut traffic = Traffic {
            everywhere: 0,
            on_disk: 0,
        };
        for (device, phase) in running {
            traffic.everywhere += 1;
            // Whoever waits for a person, for half an hour perhaps, writes nothing.
            if phase == Phase::WaitingForPasscode {
                continue;
            }
            // A disk that is not known may be any.
            let there = self.disk_of(device.udid());
            let apart = here.zip(there).is_some_and(|(here, there)| here != there);
            traffic.on_disk += usize::from(!apart);
        }
        traffic
    }

    fn disk_of(&self, udid: &Udid) -> Option<Disk> {
        if self.apart.contains_key(udid) {
            self.disks.apart.get(udid).copied()
        } else {
            self.disks.shared
        }
    }
}
