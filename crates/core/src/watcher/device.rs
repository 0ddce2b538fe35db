//! One device as the watcher holds it: memory, links, and which jobs of it are under way.
//!
//! Only bookkeeping. What follows from it is decided in `due`, `telling` and the watcher itself.

use crate::diagnosis::Cause;
use crate::facts::{LinkKind, Trust};
use crate::ladder::{Ladder, Look, Mark};
use crate::policy::{Policy, PollPolicy};
use crate::run::Phase;
use crate::steps::StepId;
use crate::time::{HostTime, Now, Period};
use crate::udid::Udid;
use crate::watcher::event::Attachment;
use crate::watcher::remembered::{Failures, Remembered};
use crate::watcher::telling::Outlook;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Hints of the device (its domain changed, it was unlocked) are followed at once, but not more often than this: a
/// device that repeats them without end must not be asked without end.
const HINT_GAP: Period = Period::seconds(10);

/// A question that has had no answer for this long is taken to be lost. Jobs end by themselves long before.
const PROBE_FUSE: Period = Period::minutes(10);

/// The same for the question of trust, which waits for a person.
const PAIR_FUSE: Period = Period::hours(1);

/// How long a wish for a backup waits for its device.
pub(super) const WISH: Period = Period::minutes(30);

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) memory: Remembered,
    /// What the agent has been told to remember last.
    pub(super) stored: Option<Remembered>,
    pub(super) links: BTreeMap<Attachment, LinkKind>,
    pub(super) probing: Probing,
    pub(super) pairing: Pairing,
    /// The attachment that is listened to.
    pub(super) observing: Option<Attachment>,
    /// The last moment at which somebody was likely at the device.
    pub(super) presence: Option<HostTime>,
    /// When a person asked for a backup that has not begun.
    pub(super) wish: Option<HostTime>,
    pub(super) running: Option<Running>,
    /// usbmuxd went away while the device was attached: its return is no arrival.
    pub(super) mux_lost: bool,
}

/// Questions for facts.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// When the one under way began.
    in_flight: Option<HostTime>,
    /// When the last one began.
    last: Option<HostTime>,
    /// When the next one is to begin.
    next: Option<HostTime>,
    /// Failures in a row.
    failures: u32,
}

/// The question of trust.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    in_flight: Option<HostTime>,
    /// Asked since the device came by cable.
    asked: bool,
}

/// A backup under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) phase: Phase,
    pub(super) asked: bool,
    pub(super) passcode_told: bool,
}

impl Device {
    /// A device that nobody has met.
    pub(super) fn new(udid: Udid) -> Self {
        Self::with(Remembered::new(udid), None)
    }

    /// A device that the agent remembers.
    pub(super) fn remembered(mut memory: Remembered) -> Self {
        // What comes out of a file is a stranger's, whoever wrote it.
        memory.evidence = memory.evidence.bounded();
        Self::with(memory.clone(), Some(memory))
    }

    fn with(memory: Remembered, stored: Option<Remembered>) -> Self {
        Self {
            stored,
            memory,
            links: BTreeMap::new(),
            probing: Probing::default(),
            pairing: Pairing::default(),
            observing: None,
            presence: None,
            wish: None,
            running: None,
            mux_lost: false,
        }
    }

    pub(super) fn udid(&self) -> &Udid {
        &self.memory.udid
    }

    /// When the newest backup was made that is known of, to iCloud or here. A date that is wrong only costs the device its turn.
    pub(super) fn safe_since(&self) -> Option<Timestamp> {
        let past = &self.memory.past;
        let cloud = past.cloud_last.map(|at| at.0);
        cloud.max(past.copy.as_ref().map(|copy| copy.at.0))
    }

    pub(super) fn is_attached(&self) -> bool {
        !self.links.is_empty()
    }

    /// Lets the ladder see what is known now.
    pub(super) fn watch_steps(&mut self, at: &Outlook<'_>, causes: &[Cause]) {
        self.with_ladder(at, causes, |ladder, look| ladder.watch(look));
    }

    /// Takes in what a person says of a step.
    pub(super) fn mark_step(&mut self, step: StepId, mark: Mark, at: &Outlook<'_>) {
        let causes = at.causes(&self.memory);
        self.with_ladder(at, &causes, |ladder, look| ladder.mark(step, mark, look));
    }

    fn with_ladder(
        &mut self,
        at: &Outlook<'_>,
        causes: &[Cause],
        change: impl FnOnce(&mut Ladder, &Look<'_>),
    ) {
        let mut ladder = std::mem::take(&mut self.memory.ladder);
        // When usbmuxd went away, the device did not.
        let attached = self.is_attached() || self.mux_lost;
        change(&mut ladder, &at.look(&self.memory, causes, attached));
        self.memory.ladder = ladder;
    }

    /// The link to use: a cable before Wi-Fi, and the newest of a kind.
    pub(super) fn best_link(&self) -> Option<(Attachment, LinkKind)> {
        self.links
            .iter()
            .map(|(attachment, kind)| (*attachment, *kind))
            .min_by_key(|(attachment, kind)| (*kind, std::cmp::Reverse(*attachment)))
    }

    /// The kinds of links that are up, the preferred one first, each once.
    pub(super) fn link_kinds(&self) -> Vec<LinkKind> {
        let mut kinds: Vec<LinkKind> = self.links.values().copied().collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// A link came. Returns false when it was known already.
    pub(super) fn attach(&mut self, attachment: Attachment, kind: LinkKind, now: &Now) -> bool {
        if self.links.get(&attachment) == Some(&kind) {
            return false;
        }
        let returned_with_mux = std::mem::take(&mut self.mux_lost);
        self.links.insert(attachment, kind);
        if kind == LinkKind::Usb && !returned_with_mux {
            // Somebody has just plugged it in.
            self.presence = Some(now.host);
            self.pairing.asked = false;
        }
        self.memory.past.first_seen.get_or_insert(now.host);
        self.probing.failures = 0;
        self.probing.soon(now);
        true
    }

    /// A link ended.
    pub(super) fn detach(&mut self, attachment: Attachment) {
        self.links.remove(&attachment);
        if self.observing == Some(attachment) {
            self.observing = None;
        }
        if self.links.is_empty() {
            self.probing.next = None;
        }
    }

    /// Whether nothing would be lost by forgetting the device: a visitor that never told anything.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_blank()
            && !self.is_attached()
            && self.running.is_none()
            && self.wish.is_none()
            && self.probing.in_flight.is_none()
            && self.pairing.in_flight.is_none()
    }

    /// Whether there is nothing worth remembering, and nothing remembered.
    pub(super) fn is_blank(&self) -> bool {
        let past = &self.memory.past;
        self.stored.is_none()
            && past.facts.is_none()
            && past.copy.is_none()
            && past.local_only.is_none()
            && self.memory.told.is_empty()
            && self.memory.snoozed_until.is_none()
            && self.memory.failures == Failures::default()
    }

    /// Whether a face should show the device although it is away: a visitor that never let us in is not shown.
    pub(super) fn is_known(&self) -> bool {
        let past = &self.memory.past;
        past.last_judged.is_some()
            || past.copy.is_some()
            || past
                .facts
                .as_ref()
                .is_some_and(|facts| facts.trust == Trust::Trusted)
    }

    pub(super) fn is_snoozed(&self, now: &Now) -> bool {
        self.memory
            .snoozed_until
            .is_some_and(|until| now.host < until)
    }

    pub(super) fn is_wished(&self, now: &Now) -> bool {
        self.wish.is_some_and(|at| now.host.since(at).abs() < WISH)
    }

    pub(super) fn somebody_is_there(&self, policy: &Policy, now: &Now) -> bool {
        self.presence
            .is_some_and(|at| now.host.since(at).abs() < policy.backup.presence)
    }
}

impl Probing {
    /// As soon as possible.
    pub(super) fn soon(&mut self, now: &Now) {
        self.next = Some(now.host);
    }

    /// On a hint of the device.
    pub(super) fn hinted(&mut self, now: &Now) {
        let gap_ends = self
            .last
            .map(|last| last.plus(HINT_GAP))
            .filter(|end| end.since(now.host) <= HINT_GAP);
        let at = gap_ends.map_or(now.host, |end| end.max(now.host));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Whether one is to begin now; if so, it has.
    pub(super) fn begin(&mut self, now: &Now) -> bool {
        // A clock that was set back must not leave a question waiting for its old time.
        let burnt = self
            .in_flight
            .is_some_and(|since| now.host.since(since).abs() >= PROBE_FUSE);
        let due =
            burnt || (self.in_flight.is_none() && self.next.is_some_and(|next| next <= now.host));
        if !due {
            return false;
        }
        *self = Self {
            in_flight: Some(now.host),
            last: Some(now.host),
            next: None,
            failures: self.failures,
        };
        true
    }

    /// The one under way was answered.
    pub(super) fn answered(&mut self, attached: bool, policy: &PollPolicy, now: &Now) {
        self.in_flight = None;
        self.failures = 0;
        self.plan(attached, policy.interval, now);
    }

    /// The one under way learnt nothing.
    pub(super) fn failed(&mut self, attached: bool, policy: &PollPolicy, now: &Now) {
        self.in_flight = None;
        let wait = policy
            .retry
            .times(1 << self.failures.min(20))
            .min(policy.interval);
        self.failures = self.failures.saturating_add(1);
        self.plan(attached, wait, now);
    }

    fn plan(&mut self, attached: bool, wait: Period, now: &Now) {
        let regular = now.host.plus(wait);
        self.next = attached.then(|| self.next.map_or(regular, |next| next.min(regular)));
    }

    /// When something is to be done about it.
    pub(super) fn deadline(&self) -> Option<HostTime> {
        self.in_flight
            .map(|since| since.plus(PROBE_FUSE))
            .or(self.next)
    }

    /// Whether the device has had its chance and did not answer.
    pub(super) fn is_failing(&self) -> bool {
        self.failures >= 3
    }

    /// Whether the newest facts are of this attachment, and the last question was answered.
    pub(super) fn is_settled(&self, now: &Now) -> bool {
        self.in_flight.is_none()
            && self.failures == 0
            && self.next.is_some_and(|next| next > now.host)
    }

    /// After a clock was set back, the next question must not wait for the old time.
    pub(super) fn pull_in(&mut self, policy: &PollPolicy, now: &Now) {
        let latest = now.host.plus(policy.interval);
        self.next = self.next.map(|next| next.min(latest));
    }
}

impl Pairing {
    /// Whether to ask now; if so, it is asked.
    pub(super) fn begin(&mut self, now: &Now) -> bool {
        let burnt = self
            .in_flight
            .is_some_and(|since| now.host.since(since).abs() >= PAIR_FUSE);
        if self.asked || (self.in_flight.is_some() && !burnt) {
            return false;
        }
        *self = Self {
            in_flight: Some(now.host),
            asked: true,
        };
        true
    }

    /// The question was answered. On a locked phone it was never shown, so it may be asked again.
    pub(super) fn answered(&mut self, trust: Option<Trust>) {
        self.in_flight = None;
        if trust == Some(Trust::LockedForPairing) {
            self.asked = false;
        }
    }

    /// A person wants it asked again.
    pub(super) fn ask_again(&mut self) {
        self.asked = false;
    }
}
