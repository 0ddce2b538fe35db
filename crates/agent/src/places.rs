//! Where each device is backed up to. Most share one place; a device may have one of its own, in the configuration. Two devices with
//! the same place share its store; two places are two stores, and nothing that is the matter with one concerns the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use backupwatch_core::Udid;

use crate::jobs::Place;
use crate::keeper::Write;
use crate::medium::{Known, Origin};

/// Stores that are known again, so that a disk that comes back after long is no stranger.
const MOST_KNOWN: usize = 64;

/// All places for backups.
#[derive(Debug, Clone)]
pub struct Places {
    shared: Place,
    /// Those of single devices, each once.
    others: Vec<Place>,
    own: BTreeMap<Udid, PathBuf>,
    /// Stores that were seen in places of single devices, now or earlier; the newest last.
    known: Vec<Known>,
}

impl Places {
    /// The place that is shared, these devices with their own roots, and the stores that were seen in such.
    pub fn new(shared: Place, own: &BTreeMap<Udid, PathBuf>, known: Vec<Known>) -> Self {
        let mut places = Self {
            shared,
            others: Vec::new(),
            own: BTreeMap::new(),
            known,
        };
        places.set_own(own);
        places
    }

    /// From now on these devices have places of their own.
    pub fn set_own(&mut self, own: &BTreeMap<Udid, PathBuf>) {
        let own = own.iter().filter(|(_, root)| **root != self.shared.root);
        self.own = own
            .map(|(udid, root)| (udid.clone(), root.clone()))
            .collect();
        let before = std::mem::take(&mut self.others);
        for root in roots(&self.own) {
            let known = before.iter().find(|place| place.root == root);
            let known = known.and_then(|place| place.known.clone());
            let mut seen = self.known.iter().rev().chain(&self.shared.known);
            let known = known.or_else(|| seen.find(|known| known.root == root).cloned());
            self.others.push(Place {
                root: root.to_owned(),
                origin: Origin::Configured,
                known,
            });
        }
    }

    /// The root of this device.
    pub fn of(&self, udid: &Udid) -> &Place {
        let root = self.own.get(udid);
        let place = root.and_then(|root| self.others.iter().find(|place| place.root == *root));
        place.unwrap_or(&self.shared)
    }

    /// The place with this root.
    pub fn at(&self, root: &Path) -> Option<&Place> {
        self.all().find(|place| place.root == root)
    }

    /// Each place once, the shared one first.
    pub fn all(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.shared).chain(&self.others)
    }

    /// The one that devices without one of their own share.
    pub fn shared(&self) -> &Place {
        &self.shared
    }

    /// The devices with a place of their own, and its root.
    pub fn own(&self) -> &BTreeMap<Udid, PathBuf> {
        &self.own
    }

    /// A store was seen. What is to be written, if it is another than the one that was known.
    pub fn seen(&mut self, known: Known) -> Option<Write> {
        let places = self.others.iter_mut().chain([&mut self.shared]);
        let place = places.into_iter().find(|place| place.root == known.root)?;
        if place.known.as_ref() == Some(&known) {
            return None;
        }
        place.known = Some(known.clone());
        if known.root == self.shared.root {
            return Some(Write::Store(known));
        }
        self.known.retain(|other| other.root != known.root);
        self.known.push(known);
        let surplus = self.known.len().saturating_sub(MOST_KNOWN);
        self.known.drain(..surplus);
        Some(Write::OwnStores(self.known.clone()))
    }
}

/// Each root once.
pub fn roots(own: &BTreeMap<Udid, PathBuf>) -> Vec<&Path> {
    let mut roots: Vec<&Path> = own.values().map(PathBuf::as_path).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// The devices that have another place than before.
pub(crate) fn moved(
    before: &BTreeMap<Udid, PathBuf>,
    now: &BTreeMap<Udid, PathBuf>,
) -> BTreeSet<Udid> {
    let udids = before.keys().chain(now.keys());
    let moved = udids.filter(|udid| before.get(*udid) != now.get(*udid));
    moved.cloned().collect()
}

/// What is wrong with a root for one device, in itself.
pub(crate) fn unfit(root: &Path) -> Option<&'static str> {
    let is_plain = root.components().all(|part| {
        use std::path::Component;
        match part {
            Component::RootDir | Component::Normal(_) => true,
            Component::CurDir | Component::ParentDir | Component::Prefix(_) => false,
        }
    });
    (!root.is_absolute() || !is_plain)
        .then_some("a device’s own `backup.root` is a whole path, from / on and without `..`")
}

/// The device whose root lies inside another place or around it, and why that must not be. A store inside a store would be a phone
/// of the outer one, and be counted, linked and removed with it.
pub fn entangled(shared: &Path, own: &BTreeMap<Udid, PathBuf>) -> Option<(Udid, String)> {
    own.iter().find_map(|(udid, root)| {
        let others = own.values().map(PathBuf::as_path).chain([shared]);
        let mut others = others.filter(|other| *other != root);
        let words = |inner: &Path, outer: &Path| {
            let (inner, outer) = (inner.display(), outer.display());
            format!(
                "{inner} lies inside {outer}, where other backups go; choose a folder outside of it"
            )
        };
        let why = others.find_map(|other| {
            if root.starts_with(other) {
                Some(words(root, other))
            } else {
                other.starts_with(root).then(|| words(other, root))
            }
        });
        Some((udid.clone(), why?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udid(number: u8) -> Udid {
        Udid::parse(&format!("00008110-00000000000000{number:02}")).unwrap()
    }

    fn own(roots: &[(u8, &str)]) -> BTreeMap<Udid, PathBuf> {
        let own = roots.iter();
        own.map(|(number, root)| (udid(*number), PathBuf::from(root)))
            .collect()
    }

    fn known(root: &str, id: &str) -> Known {
        Known {
            root: root.into(),
            id: id.to_owned(),
        }
    }

    fn shared() -> Place {
        Place {
            root: "/backups".into(),
            origin: Origin::OurOwn,
            known: None,
        }
    }

    #[test]
    fn each_device_has_a_place_and_each_place_is_there_once() {
        let own = own(&[(1, "/photos"), (2, "/photos/"), (3, "/backups")]);
        let mut places = Places::new(shared(), &own, vec![known("/photos", "7")]);
        let all: Vec<&Path> = places.all().map(|place| place.root.as_path()).collect();
        assert_eq!(all, [Path::new("/backups"), Path::new("/photos")]);
        let root = |places: &Places, number| places.of(&udid(number)).root.clone();
        assert_eq!(root(&places, 1), root(&places, 2));
        assert_eq!(root(&places, 3), Path::new("/backups"));
        assert_eq!(root(&places, 4), Path::new("/backups"));
        assert_eq!(places.own().len(), 2, "the third has what all have");
        assert_eq!(places.of(&udid(1)).known, Some(known("/photos", "7")));
        assert_eq!(places.of(&udid(1)).origin, Origin::Configured);

        places.set_own(&BTreeMap::new());
        assert_eq!(root(&places, 1), Path::new("/backups"));
        places.set_own(&own);
        assert_eq!(
            places.of(&udid(1)).known,
            Some(known("/photos", "7")),
            "a place that comes back is known again"
        );
    }

    #[test]
    fn what_was_seen_is_written_once() {
        let mut places = Places::new(shared(), &own(&[(1, "/photos")]), Vec::new());
        for (store, is_shared) in [
            (known("/photos", "1"), false),
            (known("/backups", "2"), true),
        ] {
            let write = places.seen(store.clone());
            assert_eq!(
                matches!(write, Some(Write::Store(_))),
                is_shared,
                "{write:?}"
            );
            assert!(write.is_some());
            assert!(places.seen(store).is_none());
        }
        assert!(places.seen(known("/elsewhere", "3")).is_none());
        let all = places.all().filter_map(|place| place.known.clone());
        assert_eq!(all.count(), 2);
    }

    #[test]
    fn who_has_another_place_than_before_has_moved() {
        let before = own(&[(1, "/photos"), (2, "/disk"), (3, "/stays")]);
        let now = own(&[(2, "/other"), (3, "/stays"), (4, "/new")]);
        let moved = moved(&before, &now);
        assert_eq!(moved, [1, 2, 4].map(udid).into());
    }

    #[test]
    fn no_store_lies_in_another() {
        let shared = Path::new("/disk/backups");
        for (roots, words) in [
            (own(&[(1, "/disk/photos"), (2, "/disk/backups2")]), None),
            (own(&[(1, "/disk/backups"), (2, "/disk/photos")]), None),
            (
                own(&[(1, "/disk/backups/photos")]),
                Some("/disk/backups/photos lies inside /disk/backups,"),
            ),
            (
                own(&[(1, "/disk")]),
                Some("/disk/backups lies inside /disk,"),
            ),
            (
                own(&[(1, "/photos"), (2, "/photos/ben")]),
                Some("/photos/ben lies inside /photos,"),
            ),
        ] {
            let found = entangled(shared, &roots).map(|(_, why)| why);
            match words {
                None => assert_eq!(found, None),
                Some(words) => assert!(found.as_ref().unwrap().starts_with(words), "{found:?}"),
            }
        }
    }

    #[test]
    fn a_root_is_a_whole_path() {
        for (root, fits) in [
            ("/photos", true),
            ("/photos/./ben/", true),
            ("photos", false),
            ("~/photos", false),
            ("/disk/../photos", false),
            ("", false),
        ] {
            assert_eq!(unfit(Path::new(root)).is_none(), fits, "{root}");
        }
    }
}
