//! One look at each store at a time, however many want one: what is asked for meanwhile is one more look afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use backupwatch_core::watcher::Event;
use backupwatch_core::{Now, Udid};

use super::{Act, Mind};
use crate::jobs::Place;
use crate::keeper::Write;
use crate::places::moved;

/// Devices whose copies are asked for at once. The store's own phones come on top, so nothing that has a copy is missed.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Looking {
    under_way: bool,
    wanted: Option<BTreeSet<Udid>>,
    /// Devices whose backup ended while the look was under way: what it saw of them may be older than the report.
    outdated: BTreeSet<Udid>,
    healed: bool,
    begun: u64,
    ended: u64,
}

/// The last look at each store, by its root.
pub(super) type Looks = BTreeMap<PathBuf, u64>;

impl Mind {
    /// With copies of these devices in roots of their own, and of all others in the shared one.
    pub(in crate::agent) fn with_copies_in(self, lay: BTreeMap<Udid, PathBuf>) -> Self {
        Self { lay, ..self }
    }

    /// A look at every store for every device.
    pub(super) fn scan_all(&mut self, now: &Now, acts: &mut Vec<Act>) {
        self.move_out(now, acts);
        let views = self.watcher.devices(now).into_iter();
        let mut udids: BTreeSet<Udid> = views.map(|view| view.udid).collect();
        let places: Vec<Place> = self.places.all().cloned().collect();
        for place in places {
            let here = udids
                .extract_if(.., |udid| self.places.of(udid).root == place.root)
                .collect();
            self.scan_at(&place, here, acts);
        }
    }

    /// Devices are backed up elsewhere from now on. A backup that runs goes on to where it began.
    pub(super) fn places_changed(
        &mut self,
        own: BTreeMap<Udid, PathBuf>,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        let before = self.places.own().clone();
        self.places.set_own(&own);
        if *self.places.own() == before {
            return;
        }
        self.config.roots = own;
        let places = &self.places;
        self.mediums.retain(|root, _| places.at(root).is_some());
        self.watcher.set_apart(self.places.own().keys().cloned());
        // Of places that stay, what is known holds on until the look that follows.
        for root in self.mediums.keys().cloned().collect::<Vec<_>>() {
            self.tell_of(&root, now, acts);
        }
        self.scan_all(now, acts);
    }

    /// Tells the watcher how a place is, for those who are backed up to it.
    pub(super) fn tell_of(&mut self, root: &Path, now: &Now, acts: &mut Vec<Act>) {
        let Some(medium) = self.mediums.get(root) else {
            return;
        };
        let away = medium.is_away().map(|trouble| trouble.words.clone());
        let (free, disk) = (medium.free, medium.disk);
        if root == self.places.shared().root {
            self.watcher.on_disk(disk);
            let event = match away {
                Some(why) => Event::StoreMissing { why },
                None => Event::StoreReady { free },
            };
            self.tell(event, now, acts);
            return;
        }
        let own = self.places.own().iter();
        let own = own.filter(|(_, other)| other.as_path() == root);
        let own: Vec<Udid> = own.map(|(udid, _)| udid.clone()).collect();
        for udid in own {
            self.watcher.own_on_disk(&udid, disk);
            let event = match away.clone() {
                Some(why) => Event::OwnStoreMissing { udid, why },
                None => Event::OwnStoreReady { udid, free },
            };
            self.tell(event, now, acts);
        }
    }

    /// What was backed up elsewhere than a device is backed up to now is not its backup any more. It stays where it is.
    fn move_out(&mut self, now: &Now, acts: &mut Vec<Act>) {
        let own = self.places.own().clone();
        if own == self.lay {
            return;
        }
        let lay = std::mem::replace(&mut self.lay, own.clone());
        for udid in moved(&lay, &own) {
            self.forget_copy(udid, now, acts);
        }
        acts.push(Act::Write(Write::OwnRoots(own)));
    }

    /// Nothing is known of a backup of this device, until the next look.
    pub(super) fn forget_copy(&mut self, udid: Udid, now: &Now, acts: &mut Vec<Act>) {
        let event = Event::StoreScanned {
            udid,
            copy: None,
            check: None,
        };
        self.tell(event, now, acts);
    }

    /// A look at the store of this device.
    pub(super) fn scan(&mut self, udid: Udid, acts: &mut Vec<Act>) {
        let place = self.places.of(&udid).clone();
        self.scan_at(&place, BTreeSet::from([udid]), acts);
    }

    /// A look at a store for these devices, as soon as none is under way. The first one after the store (re)appeared
    /// also finishes what a crash cut short; not while a backup runs, because that needs the store for itself.
    fn scan_at(&mut self, place: &Place, udids: BTreeSet<Udid>, acts: &mut Vec<Act>) {
        let looking = self.looking.entry(place.root.clone()).or_default();
        if looking.under_way {
            let wanted = looking.wanted.get_or_insert_default();
            if wanted.len() < MOST {
                wanted.extend(udids);
            }
            return;
        }
        let heal = !looking.healed && self.backups.is_empty();
        looking.healed |= heal;
        looking.under_way = true;
        looking.begun = looking.begun.saturating_add(1);
        acts.push(Act::Scan {
            place: Box::new(place.clone()),
            udids,
            heal,
        });
    }

    /// The looks that were wanted last, for [`Self::has_looked`].
    pub(super) fn last_looks(&self) -> Looks {
        let last = |(root, looking): (&PathBuf, &Looking)| (root.clone(), looking.last());
        self.looking.iter().map(last).collect()
    }

    /// The same of the store of one device.
    pub(super) fn last_look_for(&self, udid: &Udid) -> Looks {
        let root = &self.places.of(udid).root;
        let looking = self.looking.get(root);
        let last = looking.map(|looking| (root.clone(), looking.last()));
        last.into_iter().collect()
    }

    /// Whether those looks have ended. One at a place that nobody has any more need not.
    pub(super) fn has_looked(&self, looks: &Looks) -> bool {
        looks.iter().all(|(root, look)| {
            let looking = self.looking.get(root);
            looking.is_none_or(|looking| looking.ended >= *look)
        })
    }

    /// A backup has ended, and its report says what the store has of the device.
    pub(super) fn reported(&mut self, udid: &Udid) {
        let root = &self.places.of(udid).root;
        if let Some(looking) = self.looking.get_mut(root)
            && looking.under_way
        {
            looking.outdated.insert(udid.clone());
        }
    }

    /// Whether what a look at this place saw of a device counts, and does so still.
    pub(super) fn counts(&self, root: &Path, udid: &Udid) -> bool {
        let looking = self.looking.get(root);
        self.places.of(udid).root == root
            && !self.backups.contains_key(udid)
            && !looking.is_some_and(|looking| looking.outdated.contains(udid))
    }

    /// The look under way has ended, and what it saw was taken in.
    pub(super) fn looked(&mut self, root: &Path, found: bool, acts: &mut Vec<Act>) {
        let Some(looking) = self.looking.get_mut(root) else {
            return;
        };
        looking.under_way = false;
        looking.ended = looking.begun;
        looking.outdated.clear();
        looking.healed &= found;
        let wanted = looking.wanted.take();
        let Some(place) = self.places.at(root).cloned() else {
            self.looking.remove(root);
            self.mediums.remove(root);
            return;
        };
        if let Some(udids) = wanted {
            self.scan_at(&place, udids, acts);
        }
    }
}

impl Looking {
    /// The look that was wanted last.
    fn last(&self) -> u64 {
        let queued = u64::from(self.wanted.is_some());
        self.begun.saturating_add(queued)
    }
}

#[cfg(test)]
mod tests;
