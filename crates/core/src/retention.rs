//! Which backups before the current one are kept, as a plan that prints itself with its reasons before anything is done.
//!
//! The rules are those of other backup programs: so many of the last, and the newest of each of so many days, weeks and
//! months that have one. The current backup is no version: it is never in a plan, and no rule counts it.
//!
//! Above all rules stands that nothing goes unless a newer verified backup stays (P5). So as long as the current backup is not
//! verified, the newest verified version stays, and with it all that came after.
//!
//! Not here: what a backup is, where it lies and how it is deleted (`backup::store`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::time::HostTime;
use crate::words;

/// How many versions are kept, and how much room is left to others.
///
/// A version costs what changed between it and the next one, some hundred megabytes of a phone in daily use: the manifest and
/// the databases of messages and photos. The defaults keep about a dozen where a backup is made each day, and seven where it is
/// made every third day, so a few gigabytes; and they reach back far enough to find what was deleted by mistake last month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// The last so many.
    pub last: u16,
    /// The newest of each of the last so many days that have one.
    pub daily: u16,
    /// The same of weeks, which begin on Monday.
    pub weekly: u16,
    /// The same of months.
    pub monthly: u16,
    /// Bytes that stay free on the disk; where they are not, the oldest versions go in spite of the rules.
    pub keep_free: u64,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            last: 3,
            daily: 7,
            weekly: 4,
            monthly: 3,
            keep_free: 10_000_000_000,
        }
    }
}

/// A backup before the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// When it was made.
    pub at: HostTime,
    /// We checked it on this disk.
    pub verified: bool,
}

/// Which bytes go with which versions: versions share what did not change between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares(BTreeMap<Vec<usize>, u64>);

impl Shares {
    /// Bytes that are freed once all of `members`, numbers of versions in rising order, are gone.
    pub fn add(&mut self, members: Vec<usize>, bytes: u64) {
        let sum = self.0.entry(members).or_default();
        *sum = sum.saturating_add(bytes);
    }

    /// What is freed when these are deleted together.
    pub fn freed(&self, gone: &BTreeSet<usize>) -> u64 {
        self.0
            .iter()
            .filter(|(members, _)| members.iter().all(|member| gone.contains(member)))
            .fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// What is freed when only this one is deleted.
    pub fn alone(&self, version: usize) -> u64 {
        self.freed(&BTreeSet::from([version]))
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Oldest first. Their order is what counts as newer, not their dates.
    pub versions: &'a [Version],
    /// There is a current backup, and it is verified.
    pub current_verified: bool,
    /// What they share, where that was measured.
    pub shares: Option<&'a Shares>,
    /// Bytes free on the disk now.
    pub free: u64,
    /// Seconds east of Greenwich, for days, weeks and months.
    pub utc_offset_s: i32,
}

/// What is to become of each version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the versions: oldest first.
    pub fates: Vec<(Version, Fate)>,
    /// What the deletions free together, where that was measured.
    pub frees: Option<u64>,
    /// What will be free after it is too little all the same, and no other version may go or would help.
    pub short: Option<Short>,
    utc_offset_s: i32,
}

/// What becomes of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for at least one reason.
    Keep(Vec<Reason>),
    /// It goes.
    Delete {
        /// Why.
        cause: Cause,
        /// What that frees when the older ones of the plan are gone already.
        frees: Option<u64>,
    },
}

/// Why a version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is the newest verified backup: the current one is not verified.
    NewestVerified,
    /// It is not verified, and nothing newer is either.
    NothingNewerVerified,
    /// One of the last so many.
    Last,
    /// The newest of its day.
    Day,
    /// The newest of its week.
    Week,
    /// The newest of its month.
    Month,
}

/// Why a version goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No rule keeps it.
    Rules {
        /// How many newer versions are kept.
        newer: usize,
    },
    /// The disk has too little room.
    Room,
}

/// A disk that stays too full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Short {
    /// Bytes that should be free.
    pub keep_free: u64,
    /// Bytes that will be.
    pub free: u64,
}

/// Versions before this number may be deleted as far as P5 goes: a newer verified backup stays behind each of them.
pub fn expendable(versions: &[Version], current_verified: bool) -> usize {
    if current_verified {
        return versions.len();
    }
    versions
        .iter()
        .rposition(|version| version.verified)
        .unwrap_or(0)
}

/// Decides what becomes of each version.
pub fn plan(scene: &Scene<'_>, policy: &RetentionPolicy) -> Plan {
    let Scene {
        versions, shares, ..
    } = *scene;
    let expendable = expendable(versions, scene.current_verified);
    let reasons = reasons(scene, policy, expendable);
    let numbers = 0..versions.len();
    let mut gone: BTreeSet<_> = numbers
        .zip(&reasons)
        .filter_map(|(number, reasons)| reasons.is_empty().then_some(number))
        .collect();
    make_room(scene, policy.keep_free, expendable, &mut gone);

    let mut newer = versions.len() - gone.len();
    let (mut before, mut freed) = (BTreeSet::new(), 0);
    let fates = versions.iter().zip(reasons).enumerate();
    let fates = fates.map(|(number, (version, reasons))| {
        if !gone.contains(&number) {
            newer -= 1;
            return (*version, Fate::Keep(reasons));
        }
        let cause = if reasons.is_empty() {
            Cause::Rules { newer }
        } else {
            Cause::Room
        };
        before.insert(number);
        let frees = shares.map(|shares| shares.freed(&before) - freed);
        freed += frees.unwrap_or(0);
        (*version, Fate::Delete { cause, frees })
    });
    let fates = fates.collect();
    let free = scene.free_without(&gone);
    Plan {
        fates,
        frees: shares.map(|shares| shares.freed(&gone)),
        short: (free < policy.keep_free).then_some(Short {
            keep_free: policy.keep_free,
            free,
        }),
        utc_offset_s: scene.utc_offset_s,
    }
}

/// Adds the oldest versions to `gone`, whatever the rules say, until there is room. Those that bring nothing stay.
fn make_room(scene: &Scene<'_>, keep_free: u64, expendable: usize, gone: &mut BTreeSet<usize>) {
    let mut free = scene.free_without(gone);
    let mut added = Vec::new();
    for number in 0..expendable {
        if free >= keep_free {
            break;
        }
        if gone.insert(number) {
            added.push(number);
            free = scene.free_without(gone);
        }
    }
    for number in added.into_iter().rev() {
        gone.remove(&number);
        if scene.free_without(gone) < free {
            gone.insert(number);
        }
    }
}

impl Scene<'_> {
    /// Bytes that are free without these versions.
    fn free_without(&self, gone: &BTreeSet<usize>) -> u64 {
        let freed = self.shares.map_or(0, |shares| shares.freed(gone));
        self.free.saturating_add(freed)
    }
}

/// Numbers of the day, week or month of a date.
type NumbersOf = fn(Date) -> (i16, i16);

/// Why each version stays, leaving the room on the disk aside; no reason means that it goes.
fn reasons(scene: &Scene<'_>, policy: &RetentionPolicy, expendable: usize) -> Vec<Vec<Reason>> {
    let Scene { versions, .. } = *scene;
    let periods: [(_, _, NumbersOf); 3] = [
        (Reason::Day, policy.daily, |date| {
            (date.year(), date.day_of_year())
        }),
        (Reason::Week, policy.weekly, |date| {
            let week = date.iso_week_date();
            (week.year(), i16::from(week.week()))
        }),
        (Reason::Month, policy.monthly, |date| {
            (date.year(), i16::from(date.month()))
        }),
    ];
    let mut periods = periods.map(|(reason, count, of)| (reason, count, of, BTreeSet::new()));
    let mut verified = 0;
    let mut reasons = vec![Vec::new(); versions.len()];
    for (number, (version, reasons)) in versions.iter().zip(&mut reasons).enumerate().rev() {
        let newer = versions.len() - number - 1;
        if !version.verified {
            // What another program made takes no place from what was checked.
            if number >= expendable {
                reasons.push(Reason::NothingNewerVerified);
            }
            if newer < usize::from(policy.last) {
                reasons.push(Reason::Last);
            }
            continue;
        }
        if number >= expendable {
            reasons.push(Reason::NewestVerified);
        }
        if verified < policy.last {
            reasons.push(Reason::Last);
        }
        verified = verified.saturating_add(1);
        let date = local(version.at, scene.utc_offset_s).date();
        for (reason, count, of, seen) in &mut periods {
            if seen.len() < usize::from(*count) && seen.insert(of(date)) {
                reasons.push(*reason);
            }
        }
    }
    reasons
}

fn local(at: HostTime, utc_offset_s: i32) -> DateTime {
    let offset = Offset::from_seconds(utc_offset_s).unwrap_or(Offset::UTC);
    TimeZone::fixed(offset).to_datetime(at.0)
}

impl Plan {
    /// Numbers of the versions that go, oldest first.
    pub fn deletions(&self) -> impl Iterator<Item = usize> + '_ {
        let fates = self.fates.iter().enumerate();
        fates.filter_map(|(number, (_, fate))| match fate {
            Fate::Delete { .. } => Some(number),
            Fate::Keep(_) => None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewestVerified => "the newest verified backup",
            Self::NothingNewerVerified => "nothing newer is verified",
            Self::Last => "one of the last",
            Self::Day => "newest of its day",
            Self::Week => "newest of its week",
            Self::Month => "newest of its month",
        })
    }
}

/// `one of the last, newest of its day`, or `5 newer ones are kept, frees 3.1 GB`.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(reasons) => {
                let reasons: Vec<_> = reasons.iter().map(Reason::to_string).collect();
                f.write_str(&reasons.join(", "))
            }
            Self::Delete { cause, frees } => {
                match cause {
                    Cause::Rules { newer: 0 } => f.write_str("no rule keeps it")?,
                    Cause::Rules { newer: 1 } => f.write_str("1 newer one is kept")?,
                    Cause::Rules { newer } => write!(f, "{newer} newer ones are kept")?,
                    Cause::Room => f.write_str("the disk has too little room")?,
                }
                match frees {
                    Some(frees) => write!(f, ", frees {}", words::size(*frees)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A line for each version, the newest first, and one for all of them.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (version, fate) in self.fates.iter().rev() {
            let verb = match fate {
                Fate::Keep(_) => "keep",
                Fate::Delete { .. } => "delete",
            };
            let at = local(version.at, self.utc_offset_s).strftime("%Y-%m-%d %H:%M");
            writeln!(f, "{verb} {at}: {fate}")?;
        }
        match (self.deletions().count(), self.frees) {
            (0, _) => f.write_str("nothing is to be deleted")?,
            (count, None) => write!(f, "{count} to be deleted")?,
            (count, Some(frees)) => {
                write!(f, "{count} to be deleted, frees {}", words::size(frees))?;
            }
        }
        if let Some(short) = self.short {
            write!(
                f,
                "\n{} will be free instead of {}, and deleting other versions is not permitted or does not help",
                words::size(short.free),
                words::size(short.keep_free)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
