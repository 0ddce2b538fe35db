//! One look at the store at a time, however many want one: what is asked for meanwhile is one more look afterwards.

use std::collections::BTreeSet;

use backupwatch_core::{Now, Udid};

use super::{Act, Mind};

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

impl Mind {
    /// A look at the store for every device.
    pub(super) fn scan_all(&mut self, now: &Now, acts: &mut Vec<Act>) {
        let udids = self
            .watcher
            .devices(now)
            .into_iter()
            .map(|view| view.udid)
            .collect();
        self.scan(udids, acts);
    }

    /// A look at the store for these devices, as soon as none is under way. The first one after the store (re)appeared
    /// also finishes what a crash cut short; not while a backup runs, because that needs the store for itself.
    pub(super) fn scan(&mut self, udids: BTreeSet<Udid>, acts: &mut Vec<Act>) {
        if self.looking.under_way {
            let wanted = self.looking.wanted.get_or_insert_default();
            if wanted.len() < MOST {
                wanted.extend(udids);
            }
            return;
        }
        let heal = !self.looking.healed && self.backups.is_empty();
        self.looking.healed |= heal;
        self.looking.under_way = true;
        self.looking.begun = self.looking.begun.saturating_add(1);
        acts.push(Act::Scan { udids, heal });
    }

    /// The look that was wanted last, for [`Self::has_looked`].
    pub(super) fn last_look(&self) -> u64 {
        let queued = u64::from(self.looking.wanted.is_some());
        self.looking.begun.saturating_add(queued)
    }

    /// Whether that look has ended.
    pub(super) fn has_looked(&self, look: u64) -> bool {
        self.looking.ended >= look
    }

    /// A backup has ended, and its report says what the store has of the device.
    pub(super) fn reported(&mut self, udid: &Udid) {
        if self.looking.under_way {
            self.looking.outdated.insert(udid.clone());
        }
    }

    /// Whether what a look saw of a device still counts.
    pub(super) fn counts(&self, udid: &Udid) -> bool {
        !self.backups.contains_key(udid) && !self.looking.outdated.contains(udid)
    }

    /// The look under way has ended, and what it saw was taken in.
    pub(super) fn looked(&mut self, found: bool, acts: &mut Vec<Act>) {
        self.looking.under_way = false;
        self.looking.ended = self.looking.begun;
        self.looking.outdated.clear();
        self.looking.healed &= found;
        if let Some(udids) = self.looking.wanted.take() {
            self.scan(udids, acts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use backupwatch_core::run::RunEnd;
    use backupwatch_core::watcher::{Attachment, Event};
    use backupwatch_core::{Level, LinkKind, LocalCopy};

    use super::*;
    use crate::config::Config;
    use crate::jobs::{self, Done, Place, Scan};
    use crate::medium::{Known, Origin};

    fn found(udid: &Udid, copy: Option<LocalCopy>) -> Done {
        let known = Known {
            root: "/backups".into(),
            id: "1".to_owned(),
        };
        Done::Scanned(Scan::Ready {
            known,
            free: None,
            limit: None,
            copies: vec![(udid.clone(), copy.map(|copy| (copy, None)))],
        })
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
        let (nobody, nothing) = (Vec::new(), Vec::new());
        Mind::new(Config::default(), true, place, nobody, None, nothing, now)
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

        let copy = LocalCopy {
            level: Level::L2,
            at: now.host,
            encrypted: true,
            bytes: 1,
            files: 1,
        };
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
}
