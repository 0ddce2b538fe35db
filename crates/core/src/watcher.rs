//! The machine that decides: events and `now` go in, commands come out.
//!
//! No I/O, no clock, no waiting. It is the only place that decides and the only one that retries; everything else
//! either tells it what happened or does what it says.

pub mod event;
pub mod remembered;

pub use crate::time::Now;
pub use event::{Attachment, Command, Event, Job, Observation};
pub use remembered::Remembered;

use crate::facts::{Facts, LinkKind, Trust};
use crate::policy::Policies;
use crate::run::Phase;
use crate::time::HostTime;
use crate::udid::Udid;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug)]
pub struct Watcher {
    policies: Policies,
    remembered: Vec<Remembered>,
}

/// What a face shows of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Which device.
    pub udid: Udid,
    /// The last name that it gave.
    pub name: Option<String>,
    /// The links that are up now, the preferred one first. Empty: not attached.
    pub links: Vec<LinkKind>,
    /// Trust as of the last contact.
    pub trust: Option<Trust>,
    /// The last contact.
    pub seen_at: Option<HostTime>,
    /// The newest facts.
    pub facts: Option<Facts>,
    /// The judgement now.
    pub verdict: Verdict,
    /// The local backup.
    pub backup: BackupView,
    /// No notices and no automatic backups until then.
    pub snoozed_until: Option<HostTime>,
}

/// What a face shows of a device's local backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BackupView {
    /// None is needed.
    NotDue,
    /// One is needed and does not begin yet.
    Due {
        /// Why it is needed.
        reasons: Vec<String>,
        /// Why it does not begin, in words.
        waiting_for: String,
    },
    /// One is being made.
    Running {
        /// Where it is.
        phase: Phase,
    },
}

impl Watcher {
    /// A machine that knows what `remembered` holds.
    pub fn new(policies: impl Into<Policies>, remembered: Vec<Remembered>) -> Self {
        Self {
            policies: policies.into(),
            remembered,
        }
    }

    /// Takes in what happened and says what is to be done, in this order.
    pub fn handle(&mut self, now: &Now, event: Event) -> Vec<Command> {
        let _ = (now, event, &self.policies);
        Vec::new()
    }

    /// When to send [`Event::Tick`] at the latest. Always after `now`.
    pub fn poll_timeout(&self, now: &Now) -> Option<HostTime> {
        let _ = now;
        None
    }

    /// All devices, judged now, in the order of their UDIDs.
    pub fn devices(&self, now: &Now) -> Vec<DeviceView> {
        let _ = (now, &self.remembered);
        Vec::new()
    }
}
