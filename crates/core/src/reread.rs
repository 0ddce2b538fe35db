//! Which part of a local backup is read again, and when, so that every file is read within `verify.period`.
//!
//! The files of a backup are cut into 32 parts by their hashed names, so the parts are even and a file never changes its
//! part. They are read in a circle. Every part that is read pays for its share of the period; what the agent owes after a
//! pause (it was off, the disk was away, a backup ran) is what was not paid for. So the promise holds for every file: read
//! again within the period, and the time in which nobody could read.
//!
//! The circle belongs to the phone, not to one backup of it: an unchanged file of a new backup is the same file on the disk,
//! and one that has just arrived was hashed on its way. Pure: reading is the agent's business.

use crate::time::{HostTime, Period};
use serde::{Deserialize, Serialize};

/// How many parts a backup is cut into.
pub const PARTS: u8 = 32;

/// Not more often than this something is read: a little less than a day, so that a round of an agent that looks every few
/// minutes does not slip by a day.
const PAUSE: Period = Period::hours(23);

/// Taken off the period, for what a pause adds.
const DAY: Period = Period::days(1);

/// How far the circle is, for one phone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reread {
    /// The part that is next.
    next: u8,
    /// Up to here is paid. None before the first backup.
    paid: Option<HostTime>,
    /// When every part had been read once more.
    pub whole: Option<HostTime>,
}

/// Parts that are to be read, in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slice {
    /// The first.
    pub first: u8,
    /// How many, 1 to [`PARTS`].
    pub parts: u8,
}

impl Slice {
    /// Their numbers, in the order in which they are read.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..self.parts.min(PARTS)).map(move |step| self.first.wrapping_add(step) % PARTS)
    }
}

impl Reread {
    /// There is a backup. From the first one on time is owed for.
    pub fn begin(&mut self, at: HostTime) {
        self.paid.get_or_insert(at);
    }

    /// A clock that was set back must not stop the circle for as long.
    pub fn forgive_clock(&mut self, now: HostTime) {
        self.paid = self.paid.map(|paid| paid.min(now));
    }

    /// Up to when is paid; of several backups the one that waits longest is read first.
    pub fn paid(&self) -> Option<HostTime> {
        self.paid
    }

    /// What is to be read now. A period of nothing is never.
    pub fn owed(&self, period: Period, now: HostTime) -> Option<Slice> {
        let (since, share) = (now.since(self.paid?), share(period));
        if period <= Period::ZERO || since < PAUSE.max(share) {
            return None;
        }
        let parts = since.as_seconds() / share.as_seconds();
        Some(Slice {
            first: self.next % PARTS,
            parts: u8::try_from(parts).unwrap_or(PARTS).min(PARTS),
        })
    }

    /// So many parts of what was owed were read.
    pub fn read(&mut self, parts: u8, period: Period, now: HostTime) {
        let Some(paid) = self.paid else {
            return;
        };
        let parts = parts.min(PARTS);
        // Nobody owes more than one whole round, however long the pause was.
        let round = share(period).times(i64::from(PARTS));
        let oldest = now.plus(Period::seconds(-round.as_seconds()));
        let paid = paid.max(oldest).plus(share(period).times(i64::from(parts)));
        self.paid = Some(paid.min(now));
        let next = self.next % PARTS + parts;
        if next >= PARTS {
            self.whole = Some(now);
        }
        self.next = next % PARTS;
    }
}

/// The time that one part pays for.
fn share(period: Period) -> Period {
    let round = Period::seconds(period.as_seconds() - DAY.as_seconds()).max(DAY);
    Period::seconds(round.as_seconds() / i64::from(PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begun() -> (Reread, HostTime) {
        let start = HostTime("2026-10-04T09:41:00Z".parse().unwrap());
        let mut reread = Reread::default();
        reread.begin(start);
        (reread, start)
    }

    #[test]
    fn what_is_owed() {
        let month = Period::days(30);
        let table = [
            ("just made", month, Period::ZERO, None),
            ("not a day", month, Period::hours(22), None),
            ("a day", month, Period::hours(24), Some(1)),
            ("a week off", month, Period::days(7), Some(7)),
            ("a year off", month, Period::days(365), Some(32)),
            (
                "once a year, too early",
                Period::days(365),
                Period::days(11),
                None,
            ),
            ("once a year", Period::days(365), Period::days(12), Some(1)),
            ("never", Period::ZERO, Period::days(365), None),
            ("every two days", Period::days(2), Period::days(1), Some(32)),
            ("the clock was set back", month, Period::days(-3), None),
        ];
        for (name, period, later, parts) in table {
            let (reread, start) = begun();
            let owed = reread.owed(period, start.plus(later));
            assert_eq!(owed.map(|slice| slice.parts), parts, "{name}");
        }
        assert_eq!(
            Reread::default().owed(month, begun().1),
            None,
            "there is no backup"
        );
    }

    #[test]
    fn a_circle_has_no_end() {
        let (mut reread, start) = begun();
        let day = start.plus(Period::days(1));
        reread.read(30, Period::days(30), day);
        assert_eq!(reread.whole, None);
        let slice = reread
            .owed(Period::days(30), start.plus(Period::days(40)))
            .unwrap();
        assert_eq!(slice.numbers().take(4).collect::<Vec<_>>(), [30, 31, 0, 1]);
        let later = start.plus(Period::days(3));
        reread.read(3, Period::days(30), later);
        assert_eq!(reread.whole, Some(later), "the last part was among them");
        let json = serde_json::to_string(&reread).unwrap();
        assert_eq!(serde_json::from_str::<Reread>(&json).unwrap(), reread);
    }

    /// A day of the model: how long after the day before somebody looks, and what keeps them from it.
    #[derive(Debug, Clone)]
    struct Visit {
        after: Period,
        /// Nobody could read in all that time.
        off: bool,
        /// The stretch is broken off after so many parts.
        stopped: Option<u8>,
    }

    fn visits() -> impl Strategy<Value = Vec<Visit>> {
        let visit = (
            // As often as the agent looks, or a gap of up to two weeks in which it did not run.
            prop_oneof![400 => Just((60, false)), 1 => (60_i64..20_000).prop_map(|minutes| (minutes, true))],
            prop_oneof![300 => Just(None), 1 => (0_u8..5).prop_map(Some)],
        );
        let visit = visit.prop_map(|((minutes, off), stopped)| Visit {
            after: Period::minutes(minutes),
            off,
            stopped,
        });
        prop::collection::vec(visit, 100..1500)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// The promise: between two readings of a part lies no more than the period and the time in which nobody could
        /// read. What is broken off is tried again an hour later, so it counts as such an hour.
        #[test]
        fn every_part_is_read_within_the_period(days in 2_i64..90, visits in visits(), repeat in 4_usize..8) {
            let (mut reread, start) = begun();
            let period = Period::days(days);
            let mut now = start;
            let mut off = Period::ZERO;
            // When each part was read last, and how much time off there had been by then.
            let mut last = vec![(start, Period::ZERO); usize::from(PARTS)];
            for visit in visits.iter().cycle().take(visits.len() * repeat) {
                let mut pause = visit.after;
                if visit.off {
                    off = off.plus(pause);
                }
                now = now.plus(pause);
                if let Some(slice) = reread.owed(period, now) {
                    let done = slice.parts.min(visit.stopped.unwrap_or(PARTS));
                    if done < slice.parts {
                        pause = Period::hours(1);
                        off = off.plus(pause);
                    }
                    for number in slice.numbers().take(usize::from(done)) {
                        let (read, off_then) = std::mem::replace(&mut last[usize::from(number)], (now, off));
                        let allowed = period.plus(Period::seconds(off.as_seconds() - off_then.as_seconds()));
                        prop_assert!(now.since(read) <= allowed, "part {number}: {} of {allowed}", now.since(read));
                    }
                    reread.read(done, period, now);
                    if done < slice.parts {
                        now = now.plus(pause);
                    }
                    // The agent may have been restarted.
                    let kept = serde_json::to_string(&reread).unwrap();
                    reread = serde_json::from_str(&kept).unwrap();
                }
            }
            for (number, (read, off_then)) in last.iter().enumerate() {
                let allowed = period.plus(Period::seconds(off.as_seconds() - off_then.as_seconds()));
                prop_assert!(now.since(*read) <= allowed, "part {number} waits: {} of {allowed}", now.since(*read));
            }
        }
    }
}
