//! What must survive a restart, one value per device, stored as JSON by the agent.
//!
//! Fields are only ever added, with `serde(default)`; a change of meaning is a new schema number and a new file for the
//! old one.

use crate::facts::Facts;
use crate::notice::NoticeKind;
use crate::time::{DeviceTime, HostTime};
use crate::udid::Udid;
use crate::verdict::{Concern, LocalCopy};
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
    /// What a verdict needs beside the newest facts.
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
}

/// What a verdict needs beside the newest facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Past {
    /// The first contact ever.
    pub first_seen: Option<HostTime>,
    /// The last contact, whether or not it told anything.
    pub last_contact: Option<HostTime>,
    /// The newest facts that the device told itself.
    pub facts: Option<Facts>,
    /// The last contact at which iCloud's state could be judged.
    pub last_judged: Option<HostTime>,
    /// The last name that the device gave, for when it gives none.
    pub name: Option<String>,
    /// The newest readable iCloud date.
    pub cloud_last: Option<DeviceTime>,
    /// The last readable switch.
    pub cloud_enabled: Option<bool>,
    /// When the switch was seen to go from off to on.
    pub switched_on: Option<HostTime>,
    /// When the switch was seen to go from on to off.
    pub switched_off: Option<HostTime>,
    /// Since when it is on without a readable date.
    pub dateless_since: Option<HostTime>,
    /// The last time that a restore or Setup Assistant was seen running.
    pub set_up: Option<DeviceTime>,
    /// The same by our clock.
    pub set_up_seen: Option<HostTime>,
    /// Back after a long absence: ages are not told before this.
    pub return_grace: Option<HostTime>,
    /// When a growing first upload was first and last seen, and how far it was.
    pub upload: Option<Upload>,
    /// A person said that local backups are enough.
    pub local_only: Option<bool>,
    /// Our newest verified copy.
    pub copy: Option<LocalCopy>,
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

/// What the person was told about one matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When, the last time.
    pub at: HostTime,
    /// How often without a change.
    pub times: u32,
    /// How urgent it was then.
    pub concern: Concern,
}

/// Failed backups since the last good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failures {
    /// How many in a row.
    pub in_a_row: u32,
    /// No automatic attempt before.
    pub not_before: Option<HostTime>,
    /// Bytes that the last attempt lacked on this computer's disk.
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
        }
    }
}
