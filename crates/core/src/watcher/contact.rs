//! What contacts with a device tell: answers to probes, refusals, and whether it lets us in.

use super::telling::{self, Cadence, Outlook};
use super::{Touched, Watcher};
use crate::facts::{Facts, LinkKind, NoAnswer, Trust};
use crate::notice::NoticeKind;
use crate::time::Now;
use crate::udid::Udid;
use crate::verdict::{Concern, Verdict};
use crate::watcher::device::Device;
use crate::watcher::event::{Command, Observation};
use crate::watcher::scale::scaled;
use crate::words::notices;

impl Watcher {
    /// The device answered.
    pub(super) fn probed(
        &mut self,
        facts: Facts,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let udid = facts.udid.clone();
        let unlocked = facts.locked == Ok(false);
        let shut = is_shut(&facts);
        self.device(&udid);
        let before = self.judge(&udid, now);
        let told = self.absorb(facts, now);
        // A phone that needs its owner's hand is asked again soon: it can say by nothing else that the hand was there.
        self.plan_next(&udid, told && !shut, now);
        if told {
            self.record(&udid, before, now, commands);
        }
        if unlocked && let Some(device) = self.devices.get_mut(&udid) {
            device.presence = Some(now.host);
        }
        self.ask_for_trust(&udid, now, commands);
        Touched::One(udid)
    }

    /// The device did not answer, or refused.
    pub(super) fn probe_failed(
        &mut self,
        udid: &Udid,
        why: &NoAnswer,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let Some(device) = self.devices.get_mut(udid) else {
            return Touched::Nobody;
        };
        let trust = if *why == NoAnswer::NotTrusted {
            Trust::NotTrusted
        } else {
            device.memory.past.trust.unwrap_or(Trust::NotTrusted)
        };
        // A refusal is a contact that told this much; a lost link is none.
        let links = device.link_kinds();
        self.absorb(
            Facts::unanswered(udid.clone(), now.host, links, trust, why),
            now,
        );
        self.plan_next(udid, false, now);
        self.ask_for_trust(udid, now, commands);
        Touched::One(udid.clone())
    }

    /// Takes facts in. Returns whether they were news at all.
    fn absorb(&mut self, facts: Facts, now: &Now) -> bool {
        let Some(device) = self.devices.get_mut(&facts.udid) else {
            return false;
        };
        let policy = scaled(self.policies.of(&facts.udid), &device.memory.evidence);
        device.memory.past.absorb(facts, &policy.icloud, now)
    }

    /// The question under way has ended, with an answer or without.
    fn plan_next(&mut self, udid: &Udid, answered: bool, now: &Now) {
        let policy = &self.policies.of(udid).poll;
        let Some(device) = self.devices.get_mut(udid) else {
            return;
        };
        let attached = device.is_attached();
        if answered {
            device.probing.answered(attached, policy, now);
        } else {
            device.probing.failed(attached, policy, now);
        }
    }

    fn record(&self, udid: &Udid, before: Option<Verdict>, now: &Now, commands: &mut Vec<Command>) {
        let facts = self
            .devices
            .get(udid)
            .and_then(|device| device.memory.past.facts.clone());
        let Some((facts, verdict)) = facts.zip(self.judge(udid, now)) else {
            return;
        };
        let changed = before.is_none_or(|before| {
            before.as_of.is_none()
                || before.cloud.state.code() != verdict.cloud.state.code()
                || before.protection != verdict.protection
        });
        let observation = Observation {
            at: now.host,
            facts,
            verdict,
            changed,
        };
        commands.push(Command::Record(Box::new(observation)));
    }

    /// Asks for trust, once for each time that the device came by cable.
    fn ask_for_trust(&mut self, udid: &Udid, now: &Now, commands: &mut Vec<Command>) {
        let (Some(verdict), medium) = (self.judge(udid, now), self.medium(udid)) else {
            return;
        };
        let Some(device) = self.devices.get_mut(udid) else {
            return;
        };
        let policy = &*scaled(self.policies.of(udid), &device.memory.evidence);
        let Some((attachment, LinkKind::Usb)) = device.best_link() else {
            return;
        };
        if !lacks_trust(device) || !device.pairing.begin(now) {
            return;
        }
        commands.push(Command::Pair {
            udid: udid.clone(),
            attachment,
        });
        let cadence = Cadence::usual(&policy.notify.repeat);
        let outlook = Outlook {
            verdict: &verdict,
            policy,
            medium,
            now,
        };
        if policy.muted_since.is_none()
            && !device.is_snoozed(now)
            && telling::may_tell(
                &mut device.memory,
                NoticeKind::PairingNeeded,
                Concern::None,
                cadence,
                now,
            )
        {
            let draft = notices::pairing_needed(&outlook.scene(&device.memory));
            commands.push(Command::Notify(Box::new(telling::post(
                &mut device.memory,
                draft,
                now,
            ))));
        }
    }
}

/// Whether the device let us in no further than its door.
fn is_shut(facts: &Facts) -> bool {
    matches!(
        facts.cloud_enabled,
        Err(NoAnswer::NotTrusted | NoAnswer::Locked | NoAnswer::NeverUnlocked)
    )
}

/// Whether asking on the device's screen could help.
fn lacks_trust(device: &Device) -> bool {
    match device.memory.past.trust {
        Some(
            Trust::NotTrusted
            | Trust::Expired
            | Trust::Denied
            | Trust::DialogPending
            | Trust::LockedForPairing,
        ) => true,
        Some(Trust::ManagedForbids | Trust::CableNeeded | Trust::Trusted) | None => false,
    }
}
