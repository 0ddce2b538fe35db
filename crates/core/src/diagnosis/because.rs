//! The sentences of a diagnosis: each begins with "because", tells since when, and names nothing that belongs to anybody.
//!
//! No text of the phone stands in them, for they go into notices. An unknown error is told by its number; its text travels beside
//! it, in `Cause::says`.

use super::tables::{MOBILE_BACKUP, Tables};
use crate::evidence::{Attempt, Books, ErrorCode, Window};
use crate::facts::Facts;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::words;

/// Parts of a backup that one sentence names.
const NAMED_PARTS: usize = 3;
/// Longest name of an error domain that is told to a person.
const LONGEST_DOMAIN: usize = 32;

/// What every sentence needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller<'a> {
    pub noun: &'static str,
    pub tables: &'a Tables,
    pub now: &'a Now,
}

impl Teller<'_> {
    /// With the kind of device in it.
    pub fn fill(&self, words: &str) -> String {
        words.replace("{noun}", self.noun)
    }

    pub fn day(&self, moment: DeviceTime) -> String {
        words::day(moment.0, self.now)
    }

    fn host_day(&self, moment: HostTime) -> String {
        words::day(moment.0, self.now)
    }

    /// "because the last attempt of this iPhone, on 22 November 2026, failed with error 303, as did 8 before"; with what the error
    /// means where the title does not say that already.
    pub fn attempt(&self, told: &Told<'_>) -> String {
        let which = if told.newest {
            format!("the last attempt of this {}", self.noun)
        } else {
            "an earlier attempt".to_owned()
        };
        let is_title = words::capital(told.means) == told.title;
        let how = match told.number {
            Some(error) if error.is_nameless() => " without saying why".to_owned(),
            Some(error) if is_title => format!(" with {}", self.number(error)),
            Some(error) => format!(": {} ({})", self.fill(told.means), self.number(error)),
            None => String::new(),
        };
        let before = match told.before {
            0 => String::new(),
            1 => ", as did one before".to_owned(),
            more => format!(", as did {more} before"),
        };
        let day = self.day(told.attempt.at);
        format!("because {which}, on {day}, failed{how}{before}")
    }

    /// "error 303", "error 25 of CKErrorDomain".
    pub fn number(&self, error: &ErrorCode) -> String {
        let plain = error.domain.len() <= LONGEST_DOMAIN
            && error.domain.bytes().all(|byte| byte.is_ascii_alphabetic());
        if error.domain == MOBILE_BACKUP || !plain {
            format!("error {}", error.code)
        } else {
            format!("error {} of {}", error.code, error.domain)
        }
    }

    /// "; the largest parts of its backup are …", as far as they have names among people.
    pub fn largest(&self, books: &Books) -> String {
        let parts: Vec<String> = books
            .largest
            .iter()
            .filter(|part| part.bytes > 0)
            .filter_map(|part| {
                let name = self.tables.part(&part.domain)?;
                Some(format!("{name} ({})", words::size(part.bytes)))
            })
            .take(NAMED_PARTS)
            .collect();
        match parts.as_slice() {
            [] => String::new(),
            [only] => format!("; the largest part of its backup is {only}"),
            [first @ .., last] => format!(
                "; the largest parts of its backup are {} and {last}",
                first.join(", ")
            ),
        }
    }

    /// "had 1.2 GB of its 64.0 GB left on 22 November 2026".
    pub fn room(&self, facts: &Facts) -> Option<String> {
        let disk = facts.disk.as_ref().ok()?;
        Some(format!(
            "had {} of its {} left on {}",
            words::size(disk.free),
            words::size(disk.total),
            self.host_day(facts.seen_at)
        ))
    }

    /// "; it runs iOS 16.1".
    pub fn version(&self, facts: Option<&Facts>) -> String {
        let version = facts.and_then(|facts| facts.os_version.as_ref().ok());
        let plain = |text: &&String| {
            text.len() <= 12
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let system = if self.noun == "iPad" { "iPadOS" } else { "iOS" };
        version
            .filter(plain)
            .map(|version| format!("; it runs {system} {version}"))
            .unwrap_or_default()
    }

    /// "in the week before 12 September 2026 it was …, 12 times, for 7 minutes at most: it was unlocked each time".
    pub fn week(&self, week: &Week) -> String {
        let before = format!(
            "in the week before {} this {} was",
            self.host_day(week.until),
            self.noun
        );
        let state = "on the charger, on Wi-Fi and locked";
        if week.count == 0 {
            return format!("{before} never {state}, all three at once");
        }
        let least = if week.more { "at least " } else { "" };
        let times = match week.count {
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            many => format!("{many} times"),
        };
        let longest = if week.longest < Period::minutes(1) {
            "for less than a minute".to_owned()
        } else if week.count == 1 {
            format!("for {}", words::lasting(week.longest))
        } else {
            format!("for {} at most", words::lasting(week.longest))
        };
        let end = match &week.end {
            Some((end, true)) if week.count == 1 => format!(", until {}", end.words()),
            Some((end, true)) => format!(", each time until {}", end.words()),
            Some((end, false)) => format!(", mostly until {}", end.words()),
            None => String::new(),
        };
        format!("{before} {state} {least}{times}, {longest}{end}")
    }
}

/// What is told of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub attempt: &'a Attempt,
    /// The last one, or an earlier one.
    pub newest: bool,
    /// The title of its cause, which stands above the sentence.
    pub title: &'a str,
    pub means: &'a str,
    pub number: Option<&'a ErrorCode>,
    /// How many failed of the same cause before.
    pub before: u32,
}

/// What ended a stretch on charger and Wi-Fi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Unlocked,
    Unplugged,
    NoWifi,
    SwitchedOff,
}

impl End {
    pub fn of(window: &Window) -> Option<Self> {
        [
            (window.locked, Self::Unlocked),
            (window.on_power, Self::Unplugged),
            (window.on_wifi, Self::NoWifi),
            (window.enabled, Self::SwitchedOff),
        ]
        .into_iter()
        .find_map(|(holds, end)| (!holds).then_some(end))
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Unlocked => "it was unlocked",
            Self::Unplugged => "it was taken off the charger",
            Self::NoWifi => "it lost its Wi-Fi",
            Self::SwitchedOff => "iCloud Backup was switched off",
        }
    }
}

/// The stretches of the week before the books were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Week {
    pub until: HostTime,
    /// With those that the phone itself ignored as too short.
    pub count: u64,
    /// The phone keeps no more, so there may have been more.
    pub more: bool,
    pub longest: Period,
    /// What ended most of them, and whether all.
    pub end: Option<(End, bool)>,
}

impl Week {
    const LENGTH: Period = Period::days(7);

    /// None when the phone told no windows in a form that is known.
    pub fn of(books: &Books) -> Option<Self> {
        let windows = books.windows.as_ref()?;
        let until = DeviceTime(books.at.0);
        let recent: Vec<&Window> = windows
            .iter()
            .filter(|window| {
                let age = until.since(window.start);
                age <= Self::LENGTH && age >= Period::days(-1)
            })
            .collect();
        let ends: Vec<End> = recent.iter().filter_map(|window| End::of(window)).collect();
        let times = |end: End| ends.iter().filter(|other| **other == end).count();
        let end = [End::Unlocked, End::Unplugged, End::NoWifi, End::SwitchedOff]
            .into_iter()
            .max_by_key(|end| (times(*end), *end == End::Unlocked))
            .filter(|end| times(*end) * 2 > recent.len())
            .map(|end| (end, times(end) == recent.len()));
        Some(Self {
            until: books.at,
            count: recent
                .iter()
                .map(|window| 1 + u64::from(window.ignored))
                .sum(),
            more: recent.len() >= crate::evidence::MOST_WINDOWS,
            longest: recent
                .iter()
                .map(|window| window.length)
                .max()
                .unwrap_or(Period::ZERO),
            end,
        })
    }
}
