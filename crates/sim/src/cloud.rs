//! The phone's iCloud Backup: what is broken, what heals it, and what the phone notes of its attempts.
//!
//! Values and decisions only; `hands` moves them and tells lockdown and the log. Nothing here speaks to a cloud, and what a
//! host asks never changes any of it.

mod absurd;
mod hands;
mod plists;
mod words;

use jiff::{SignedDuration, Timestamp};

use crate::persona::{Cure, EndedBy, ErrorLink, Failure, Persona, Upload};
use crate::phone::seconds;

pub use hands::CloudAttempt;
pub(crate) use plists::{Note, notes};
pub(crate) use words::note_conditions;

/// More than these the phone does not keep.
const KEPT: usize = 10;
/// The code of a file without its key, which has a counter of its own (remediation.md 1.2.4).
const MISSING_KEY: i64 = 209;
/// Shorter windows are only counted.
const LEAST_WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How many days ago the last night was.
const LAST_NIGHT: f64 = 0.4;
/// The first retry after a failure; it grows, and never beyond a week (remediation.md 4.1).
const RETRY: SignedDuration = SignedDuration::from_hours(24);

/// The part of a phone that backs up to iCloud.
#[derive(Debug)]
pub(crate) struct Cloud {
    cure: Cure,
    failure: Failure,
    /// The hand that deletes the copy has been there; switching on again completes it.
    deleted: bool,
    signed_out: bool,
    wifi: bool,
    conditions: Option<Conditions>,
    /// Since when all conditions have held.
    on_since: Option<Timestamp>,
    notes: Notes,
}

/// What a phone needs to begin a backup by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub enabled: bool,
    pub locked: bool,
    pub on_power: bool,
    pub on_wifi: bool,
}

impl Conditions {
    pub const fn hold(self) -> bool {
        self.enabled && self.locked && self.on_power && self.on_wifi
    }
}

/// What the phone has noted, with dates instead of ages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    attempts: Vec<Attempt>,
    failures: u32,
    missing_key_failures: u32,
    retry_after: Option<Timestamp>,
    windows: Option<Vec<Window>>,
    /// Windows too short to be noted, since the last one that was.
    ignored: u32,
    account_enabled: Option<Timestamp>,
    /// When it was restored, and whether from iCloud.
    restored: Option<(Timestamp, bool)>,
    upload: Option<Upload>,
    /// Whether the last attempt was made by hand.
    by_hand: bool,
}

#[derive(Clone, Debug)]
struct Attempt {
    at: Timestamp,
    failure: Failure,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Timestamp,
    length: SignedDuration,
    /// The state at its end.
    end: Conditions,
    ignored: u32,
}

impl Cloud {
    pub fn new(persona: &Persona, now: Timestamp) -> Self {
        let ago = |days: f64| now.checked_sub(seconds(days * 86_400.0)).unwrap_or(now);
        let books = persona.books.clone().unwrap_or_default();
        let attempts = books.attempts.into_iter().map(|past| Attempt {
            at: ago(past.days_ago),
            failure: Failure {
                chain: past.chain,
                text: past.text,
                app: past.app,
            },
        });
        let nights = (0..books.failed_nights).rev().map(|night| Attempt {
            at: ago(f64::from(night) + LAST_NIGHT),
            failure: persona.icloud.failure.clone(),
        });
        let mut attempts: Vec<Attempt> = attempts.chain(nights).collect();
        keep_last(&mut attempts);
        let windows = books.windows.map(|windows| {
            let window = |past: &crate::persona::PastWindow| Window {
                start: ago(past.days_ago),
                length: SignedDuration::try_from(seconds(past.length_s)).unwrap_or_default(),
                end: Conditions::without(past.ended_by),
                ignored: past.ignored,
            };
            windows.iter().map(window).collect()
        });
        let retry_after = books
            .retry_in_h
            .and_then(|hours| now.checked_add(seconds(hours * 3_600.0)).ok());
        Self {
            cure: persona.icloud.cure,
            failure: persona.icloud.failure.clone(),
            deleted: false,
            signed_out: false,
            wifi: true,
            conditions: None,
            on_since: None,
            notes: Notes {
                attempts,
                failures: books.failures,
                missing_key_failures: books.missing_key_failures,
                retry_after,
                windows,
                ignored: 0,
                account_enabled: books.account_enabled_days_ago.map(ago),
                restored: books
                    .restored
                    .map(|past| (ago(past.days_ago), past.from_icloud)),
                upload: books.upload,
                by_hand: false,
            },
        }
    }

    /// A hand that heals what it is the cure of.
    fn treat(&mut self, hand: Cure) {
        if self.cure == hand {
            self.cure = Cure::None;
        }
    }

    /// What the next attempt comes to.
    fn outcome(&self) -> Result<(), Failure> {
        if !self.wifi {
            return Err(no_network());
        }
        match self.cure {
            Cure::None | Cure::Conditions => Ok(()),
            Cure::Restart
            | Cure::Network
            | Cure::IcloudRoom
            | Cure::PhoneRoom
            | Cure::Delete
            | Cure::Account
            | Cure::SignIn
            | Cure::ResetNetwork
            | Cure::App
            | Cure::Never => Err(self.failure.clone()),
        }
    }

    /// An attempt is over.
    fn note_attempt(&mut self, at: Timestamp, outcome: &Result<(), Failure>, by_hand: bool) {
        let notes = &mut self.notes;
        let failure = outcome.clone().err().unwrap_or_default();
        match failure.chain.first().map(|link| link.code) {
            None => {
                notes.failures = 0;
                notes.missing_key_failures = 0;
            }
            Some(MISSING_KEY) => {
                notes.missing_key_failures = notes.missing_key_failures.saturating_add(1);
            }
            Some(_) => notes.failures = notes.failures.saturating_add(1),
        }
        notes.retry_after = outcome.is_err().then(|| {
            let times = i32::try_from(notes.failures.clamp(1, 7)).unwrap_or(7);
            at.checked_add(RETRY.saturating_mul(times)).unwrap_or(at)
        });
        notes.upload = None;
        notes.by_hand = by_hand;
        notes.attempts.push(Attempt { at, failure });
        keep_last(&mut notes.attempts);
    }

    /// Takes in the conditions of this moment. Answers what they were before, when they have changed, and how long all of
    /// them had held, when they no longer do.
    fn observe(&mut self, now: Timestamp, seen: Conditions) -> Option<Change> {
        let before = self.conditions.replace(seen);
        if before == Some(seen) {
            return None;
        }
        let held = if seen.hold() {
            self.on_since.get_or_insert(now);
            None
        } else {
            self.on_since
                .take()
                .map(|since| (since, now.duration_since(since)))
        };
        if let Some((start, length)) = held {
            if length < LEAST_WINDOW {
                self.notes.ignored = self.notes.ignored.saturating_add(1);
            } else {
                let ignored = std::mem::take(&mut self.notes.ignored);
                let windows = self.notes.windows.get_or_insert_default();
                windows.push(Window {
                    start,
                    length,
                    end: seen,
                    ignored,
                });
                keep_last(windows);
            }
        }
        Some(Change {
            before,
            seen,
            held: held.map(|(_, length)| length),
        })
    }

    /// Signing out takes the notes along (remediation.md 1.2.5).
    fn wipe(&mut self) {
        self.notes = Notes {
            windows: self.notes.windows.take(),
            restored: self.notes.restored,
            ..Notes::default()
        };
    }
}

/// A change of the conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// None: nobody had looked before.
    before: Option<Conditions>,
    seen: Conditions,
    /// How long they had held.
    held: Option<SignedDuration>,
}

impl Conditions {
    const fn without(lost: EndedBy) -> Self {
        Self {
            enabled: !matches!(lost, EndedBy::SwitchedOff),
            locked: !matches!(lost, EndedBy::Unlocked),
            on_power: !matches!(lost, EndedBy::Power),
            on_wifi: !matches!(lost, EndedBy::Wifi),
        }
    }
}

/// What a phone without Wi-Fi says to Back Up Now.
fn no_network() -> Failure {
    let link = |domain: &str, code| ErrorLink {
        domain: domain.to_owned(),
        code,
    };
    Failure {
        chain: vec![link("MBErrorDomain", 308), link("CKErrorDomain", 3)],
        ..Failure::default()
    }
}

fn keep_last<T>(list: &mut Vec<T>) {
    let surplus = list.len().saturating_sub(KEPT);
    list.drain(..surplus);
}

#[cfg(test)]
mod tests;
