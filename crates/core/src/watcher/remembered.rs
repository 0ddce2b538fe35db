//! What must survive a restart, one value per device, stored as JSON by the agent.
//!
//! Fields are only ever added, with a default; a change of meaning is a new schema number, and the old form then gets a
//! file of its own that imports nothing living.

use crate::evidence::Evidence;
use crate::ladder::Ladder;
use crate::notice::NoticeKind;
use crate::past::Past;
use crate::reread::Reread;
use crate::time::{HostTime, Now, Period};
use crate::udid::Udid;
use crate::verdict::Concern;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema that this program writes.
pub const SCHEMA: u32 = 1;

/// The memory of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Which form this is.
    pub schema: u32,
    /// Which device.
    pub udid: Udid,
    /// What verdicts are made from.
    #[serde(default)]
    pub past: Past,
    /// What the person has been told.
    #[serde(default)]
    pub told: BTreeMap<NoticeKind, Told>,
    /// Failed backups since the last good one.
    #[serde(default)]
    pub failures: Failures,
    /// No notices and no automatic backups until then.
    #[serde(default)]
    pub snoozed_until: Option<HostTime>,
    /// How many notices there have been, so that each has a name of its own.
    #[serde(default)]
    pub notices: u64,
    /// Notices about the verdict today.
    #[serde(default)]
    pub today: Today,
    /// What of its backup was read again when.
    #[serde(default)]
    pub reread: Reread,
    /// What the device knows of its iCloud backups.
    #[serde(default)]
    pub evidence: Evidence,
    /// What the person tried.
    #[serde(default)]
    pub ladder: Ladder,
}

/// A device that changes its mind with every question is a change of verdict each time. Beyond this many a day nobody
/// is told any more.
const DAILY: u32 = 6;

/// Notices about the verdict within one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Today {
    /// When the first of them was posted.
    pub since: Option<HostTime>,
    /// How many there were.
    pub count: u32,
}

impl Today {
    /// Whether there were enough of them.
    pub(super) fn is_spent(&self, now: &Now) -> bool {
        self.is_today(now) && self.count >= DAILY
    }

    /// Counts some more.
    pub(super) fn spend(&mut self, notices: usize, now: &Now) {
        if notices == 0 {
            return;
        }
        if !self.is_today(now) {
            *self = Self {
                since: Some(now.host),
                count: 0,
            };
        }
        self.count = self
            .count
            .saturating_add(u32::try_from(notices).unwrap_or(u32::MAX));
    }

    fn is_today(&self, now: &Now) -> bool {
        self.since
            .is_some_and(|since| now.host.since(since).abs() < Period::days(1))
    }
}

/// What the person was told about one matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When, the last time.
    pub at: HostTime,
    /// How often since the matter began.
    pub times: u32,
    /// The highest urgency at which it was told.
    pub concern: Concern,
}

/// Failed backups since the last good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    /// How many in a row.
    pub in_a_row: u32,
    /// No automatic attempt before.
    pub not_before: Option<HostTime>,
    /// Bytes that the last attempt needed on this computer's disk and did not find.
    pub need: Option<u64>,
}

impl Remembered {
    /// The memory of a device that nobody has met.
    pub fn new(udid: Udid) -> Self {
        Self {
            schema: SCHEMA,
            udid,
            past: Past::default(),
            told: BTreeMap::new(),
            failures: Failures::default(),
            snoozed_until: None,
            notices: 0,
            today: Today::default(),
            reread: Reread::default(),
            evidence: Evidence::default(),
            ladder: Ladder::default(),
        }
    }
}
