//! What is known of one device over time: the newest facts, and what earlier contacts add to them.
//!
//! Facts alone cannot tell "switched off yesterday" from "always off", or "new" from "never backed up". This keeps what
//! makes the difference, and nothing else; meaning is given by `judge`.

use crate::facts::{Facts, NoAnswer, Reading, Setup, Trust};
use crate::policy::CloudPolicy;
use crate::text::plain;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{Check, LocalCopy};
use serde::{Deserialize, Serialize};

/// When a night is over, in seconds since local midnight.
pub(crate) const MORNING: i64 = 7 * 3_600;

/// What is left of a night that still counts as one: a phone plugged in at dawn has had no chance.
const SHORTEST_NIGHT: Period = Period::hours(6);

/// Longest name that is kept, in characters.
const NAME_LIMIT: usize = 48;

/// Everything that a verdict is made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// The first time that the device was there, whether or not it told anything.
    pub first_seen: Option<HostTime>,
    /// The newest facts. A contact that ended before iCloud's state was told does not replace them.
    pub facts: Option<Facts>,
    /// The last attempt to ask ended with a lost link.
    pub silent: bool,
    /// Whether the device lets us in, as last heard.
    pub trust: Option<Trust>,
    /// The last contact that told both the switch and what goes with it.
    pub last_judged: Option<HostTime>,
    /// The last name that the device gave, made harmless.
    pub name: Option<String>,
    /// The last readable iCloud date.
    pub cloud_last: Option<DeviceTime>,
    /// The last readable switch.
    pub cloud_enabled: Option<bool>,
    /// When the switch was seen to have gone from off to on.
    pub switched_on: Option<HostTime>,
    /// When the switch was seen to have gone from on to off.
    pub switched_off: Option<HostTime>,
    /// Since when it is on without a date.
    pub dateless_since: Option<HostTime>,
    /// The last moment at which a restore or Setup Assistant was seen running.
    pub set_up: Option<SetUp>,
    /// The present stretch of contacts.
    pub stretch: Option<Stretch>,
    /// A growing first upload.
    pub upload: Option<Upload>,
    /// A person said whether local backups are enough.
    pub local_only: Option<bool>,
    /// Our newest verified copy, as the store last told.
    pub copy: Option<LocalCopy>,
    /// What a later look at that copy found.
    pub check: Option<Check>,
}

/// A restore or Setup Assistant, seen running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    /// By our clock.
    pub seen: HostTime,
    /// On the scale of the device's dates. Dates before it came with the restore (trap 3).
    pub dates_before: DeviceTime,
}

/// Contacts without a long absence between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The end of its first night: before that the device had no chance to back up.
    pub morning: HostTime,
    /// It follows an absence before which iCloud worked.
    pub after_healthy_absence: bool,
}

/// A first upload to iCloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// When it was first seen.
    pub since: HostTime,
    /// When it last got further.
    pub grew: HostTime,
    /// How far, from 0 to 1000.
    pub permille: u16,
}

impl Past {
    /// Takes in what a contact told. Returns whether it counts as a contact at all: when the link was lost before iCloud's
    /// state was told, the last state stays, with its own time.
    pub fn absorb(&mut self, mut facts: Facts, policy: &CloudPolicy, now: &Now) -> bool {
        if [
            facts.cloud_enabled.as_ref().err(),
            facts.cloud_last.as_ref().err(),
        ]
        .contains(&Some(&NoAnswer::LinkLost))
        {
            self.silent = true;
            return false;
        }
        self.silent = false;
        // Nothing is seen later than now, whatever the reader's clock did meanwhile.
        facts.seen_at = facts.seen_at.min(now.host);
        self.note_contact(facts.seen_at, policy, now);
        self.note_set_up(&facts);
        self.note_switch(&facts);
        self.note_date(&facts);
        if let Ok(name) = &facts.name {
            let name = plain(name, NAME_LIMIT);
            if !name.is_empty() {
                self.name = Some(name);
            }
        }
        self.note_trust(facts.trust);
        if facts.cloud_enabled.is_ok()
            && !matches!(facts.cloud_last, Err(NoAnswer::Unreadable { .. }))
        {
            self.last_judged = Some(facts.seen_at);
        }
        if let Some(old) = self.facts.take() {
            keep_identity(&mut facts, old);
        }
        self.facts = Some(facts);
        true
    }

    /// Takes in how far a first upload is.
    pub fn note_upload(&mut self, permille: u16, now: &Now) {
        let grown = match self.upload {
            Some(upload) if permille <= upload.permille => return,
            Some(upload) => Upload {
                grew: now.host,
                permille,
                ..upload
            },
            None => Upload {
                since: now.host,
                grew: now.host,
                permille,
            },
        };
        self.upload = Some(grown);
    }

    /// Whether the device is meant to live on local backups.
    pub fn is_local_only(&self, by_policy: bool) -> bool {
        self.local_only.unwrap_or(by_policy)
    }

    /// Takes in what the device thinks of us. "Not trusted" does not hide why.
    pub fn note_trust(&mut self, trust: Trust) {
        let known_better = match self.trust {
            Some(
                Trust::DialogPending
                | Trust::Denied
                | Trust::LockedForPairing
                | Trust::ManagedForbids
                | Trust::CableNeeded
                | Trust::Expired,
            ) => true,
            Some(Trust::Trusted | Trust::NotTrusted) | None => false,
        };
        if trust != Trust::NotTrusted || !known_better {
            self.trust = Some(trust);
        }
    }

    fn note_contact(&mut self, seen: HostTime, policy: &CloudPolicy, now: &Now) {
        self.first_seen.get_or_insert(seen);
        let returned = self
            .facts
            .as_ref()
            .is_some_and(|facts| seen.since(facts.seen_at) >= policy.unseen);
        if returned || self.stretch.is_none() {
            let after_healthy_absence = returned && self.was_healthy(policy);
            self.stretch = Some(Stretch {
                morning: end_of_next_night(now),
                after_healthy_absence,
            });
        }
    }

    /// Whether the newest facts, at their own time, showed a working iCloud Backup.
    fn was_healthy(&self, policy: &CloudPolicy) -> bool {
        self.facts
            .as_ref()
            .is_some_and(|facts| match (&facts.cloud_enabled, &facts.cloud_last) {
                (Ok(true), Ok(date)) => device_now(facts).since(*date) < policy.stale,
                _ => false,
            })
    }

    fn note_set_up(&mut self, facts: &Facts) {
        if matches!(facts.setup, Ok(Setup::InProgress | Setup::Restoring)) {
            // A clock that runs ahead during set-up must not make every later date look like an old one.
            let dates_before = device_now(facts).min(DeviceTime(facts.seen_at.0));
            self.set_up = Some(SetUp {
                seen: facts.seen_at,
                dates_before,
            });
        }
    }

    fn note_switch(&mut self, facts: &Facts) {
        let Ok(enabled) = facts.cloud_enabled else {
            return;
        };
        match (self.cloud_enabled, enabled) {
            (Some(true), false) => self.switched_off = Some(facts.seen_at),
            (Some(false), true) => self.switched_on = Some(facts.seen_at),
            (None, _) | (Some(true), true) | (Some(false), false) => {}
        }
        if enabled {
            self.switched_off = None;
        } else {
            self.switched_on = None;
            self.upload = None;
        }
        self.cloud_enabled = Some(enabled);
    }

    fn note_date(&mut self, facts: &Facts) {
        match (&facts.cloud_enabled, &facts.cloud_last) {
            (_, Ok(date)) => {
                if self.cloud_last != Some(*date) {
                    // A moved date ends whatever upload there was.
                    self.upload = None;
                }
                self.cloud_last = Some(*date);
                self.dateless_since = None;
            }
            (Ok(true), Err(NoAnswer::Missing)) => {
                self.dateless_since.get_or_insert(facts.seen_at);
            }
            (Ok(false), Err(_)) => self.dateless_since = None,
            (Ok(true) | Err(_), Err(_)) => {}
        }
    }
}

/// The device's clock at the contact; ours where it gave none.
pub fn device_now(facts: &Facts) -> DeviceTime {
    match &facts.device_clock {
        Ok(clock) => *clock,
        Err(_) => DeviceTime(facts.seen_at.0),
    }
}

/// What cannot change between two contacts is kept when the newer one did not tell it.
fn keep_identity(facts: &mut Facts, old: Facts) {
    let keep = |new: &mut Reading<String>, old: Reading<String>| {
        if new.is_err() && old.is_ok() {
            *new = old;
        }
    };
    keep(&mut facts.name, old.name);
    keep(&mut facts.model, old.model);
    keep(&mut facts.device_class, old.device_class);
    keep(&mut facts.os_version, old.os_version);
    keep(&mut facts.build, old.build);
}

/// The end of the next night that is long enough to be one.
pub(crate) fn end_of_next_night(now: &Now) -> HostTime {
    let morning = now.next_at(MORNING);
    if morning.since(now.host) >= SHORTEST_NIGHT {
        morning
    } else {
        morning.plus(Period::days(1))
    }
}
