//! Who is visited next, when more phones wait than may be visited at a time.
//!
//! They are taken in waves: all that wait when a wave is used up are the next one. In a wave whoever is at risk for longest
//! comes first, and who comes meanwhile belongs to the next. So the order follows the risk, and yet each phone has its turn once
//! in a wave, however often another one comes back.

use std::collections::BTreeMap;

use backupwatch_core::watcher::Attachment;
use backupwatch_core::{NoAnswer, Udid};

use super::{Act, Event, Mind, VecDeque};
use crate::phones::Attached;

#[derive(Debug, Default)]
pub(super) struct Visits {
    under_way: usize,
    /// The next one last.
    wave: Vec<Attached>,
    later: Vec<Attached>,
}

impl Visits {
    /// One that is to be visited. Returns false where it waits already; then it is visited over this link.
    fn add(&mut self, one: Attached) -> bool {
        let mut waiting = self.wave.iter_mut().chain(&mut self.later);
        match waiting.find(|other| other.udid == one.udid) {
            Some(other) => {
                *other = one;
                false
            }
            None => {
                self.later.push(one);
                true
            }
        }
    }

    /// The next one, if there is a place for it.
    fn next(&mut self, places: u8, by_risk: impl FnOnce() -> Vec<Udid>) -> Option<Attached> {
        if self.under_way >= usize::from(places) {
            return None;
        }
        if self.wave.is_empty() {
            self.wave = std::mem::take(&mut self.later);
            if self.wave.len() > 1 {
                let rank: BTreeMap<Udid, usize> = by_risk().into_iter().zip(0..).collect();
                self.wave
                    .sort_by_key(|one| std::cmp::Reverse(rank.get(&one.udid).copied()));
            }
        }
        let next = self.wave.pop()?;
        self.under_way += 1;
        Some(next)
    }

    /// A visit ended.
    fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Nobody can be visited over these links any more. Returns who waited for that.
    fn gone(&mut self, is_gone: impl Fn(Attachment) -> bool) -> Vec<Udid> {
        let mut gone = Vec::new();
        for waiting in [&mut self.wave, &mut self.later] {
            let left = waiting.extract_if(.., |one| is_gone(one.attachment));
            gone.extend(left.map(|one| one.udid));
        }
        gone
    }
}

impl Mind {
    /// A phone is to be visited, when its turn comes.
    pub(super) fn wants_visit(&mut self, one: Attached) {
        let udid = one.udid.clone();
        if self.visits.add(one) {
            *self.probing.entry(udid).or_default() += 1;
        }
    }

    /// Begins as many visits as there are places for.
    pub(super) fn begin_visits(&mut self, acts: &mut Vec<Act>) {
        let places = self.config.policies.general.poll.parallel;
        while let Some(one) = self.visits.next(places, || self.watcher.by_risk()) {
            acts.push(Act::Probe(one));
        }
    }

    /// A visit ended, with an answer or without.
    pub(super) fn visit_ended(&mut self, udid: &Udid) {
        self.visits.ended();
        self.no_longer_probing(udid);
    }

    /// These links are gone, and with them the visits that waited for their turn.
    pub(super) fn no_visits(
        &mut self,
        is_gone: impl Fn(Attachment) -> bool,
        events: &mut VecDeque<Event>,
    ) {
        for udid in self.visits.gone(is_gone) {
            self.no_longer_probing(&udid);
            let why = NoAnswer::LinkLost;
            events.push_back(Event::ProbeFailed { udid, why });
        }
    }

    fn no_longer_probing(&mut self, udid: &Udid) {
        if let Some(count) = self.probing.get_mut(udid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.probing.remove(udid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use backupwatch_core::LinkKind;

    use super::*;

    fn udid(n: u32) -> Udid {
        Udid::parse(&format!("00008110-{n:016X}")).unwrap()
    }

    fn phone(n: u32, attachment: u32) -> Attached {
        Attached {
            udid: udid(n),
            link: LinkKind::Usb,
            attachment: Attachment(attachment),
        }
    }

    /// The higher the number, the higher the risk.
    fn by_risk() -> Vec<Udid> {
        (0..100).rev().map(udid).collect()
    }

    fn numbers(visits: &mut Visits, places: u8) -> Vec<u32> {
        std::iter::from_fn(|| visits.next(places, by_risk))
            .map(|one| one.attachment.0)
            .collect()
    }

    #[test]
    fn in_a_wave_the_highest_risk_is_first_and_who_comes_later_waits_for_the_next() {
        let mut visits = Visits::default();
        for n in [3, 9, 1] {
            assert!(visits.add(phone(n, n)));
        }
        assert_eq!(numbers(&mut visits, 1), [9], "one place");
        for n in [50, 60] {
            assert!(visits.add(phone(n, n)));
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            visits.ended();
            order.extend(numbers(&mut visits, 1));
        }
        assert_eq!(order, [3, 1, 60, 50]);
        assert_eq!(visits.under_way, 0);
    }

    #[test]
    fn who_waits_already_waits_once_and_is_visited_over_the_newest_link() {
        let mut visits = Visits::default();
        assert!(visits.add(phone(1, 1)));
        assert!(!visits.add(phone(1, 7)));
        assert_eq!(numbers(&mut visits, 9), [7]);
        assert!(visits.add(phone(1, 8)), "another one while it is visited");
    }

    #[test]
    fn who_is_unplugged_waits_no_more() {
        let mut visits = Visits::default();
        for n in 1..=4 {
            visits.add(phone(n, n));
        }
        assert_eq!(numbers(&mut visits, 1), [4]);
        visits.add(phone(5, 5));
        assert_eq!(visits.gone(|it| it.0 % 2 == 1), [1, 3, 5].map(udid));
        visits.ended();
        assert_eq!(numbers(&mut visits, 9), [2]);
    }
}
