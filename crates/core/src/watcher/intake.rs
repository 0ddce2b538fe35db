//! What each event changes in the watcher's books, and the few commands that answer it directly.

use super::{StoreState, Touched, Watcher, ask_for_trust, telling};
use crate::facts::{Facts, NoAnswer, Trust};
use crate::judge::judge;
use crate::notice::{NoticeKind, Urgency};
use crate::policy::BackupPolicy;
use crate::run::{CancelledBy, Phase, RunEnd, RunFailure, RunReport};
use crate::time::{Now, Period};
use crate::udid::Udid;
use crate::verdict::{Concern, Verdict};
use crate::watcher::device::{Device, Running};
use crate::watcher::event::{Attachment, Command, Event, Job, Observation};
use crate::watcher::remembered::Remembered;
use crate::words::notices;

/// More attachments than this are no household; what claims them is not believed.
const MOST_ATTACHMENTS: usize = 4_096;

impl Watcher {
    pub(super) fn take_in(
        &mut self,
        now: &Now,
        event: Event,
        commands: &mut Vec<Command>,
    ) -> Touched {
        match event {
            Event::MuxUp => {
                self.mux_is_up = true;
                Touched::Nobody
            }
            Event::MuxDown { why: _ } => self.mux_down(),
            Event::Attached {
                udid,
                link,
                attachment,
            } => {
                if self
                    .attachments
                    .get(&attachment)
                    .is_some_and(|known| *known != udid)
                {
                    self.detach(attachment);
                }
                if self.attachments.len() >= MOST_ATTACHMENTS {
                    return Touched::Nobody;
                }
                self.attachments.insert(attachment, udid.clone());
                self.device(&udid).attach(attachment, link, now);
                Touched::One(udid)
            }
            Event::Detached { attachment } => self
                .detach(attachment)
                .map_or(Touched::Nobody, Touched::One),
            Event::Paired { attachment } => match self.attachments.get(&attachment).cloned() {
                Some(udid) => self.on_known(&udid, |device| device.probing.soon(now)),
                None => Touched::Nobody,
            },
            Event::Probed(facts) => self.probed(*facts, now, commands),
            Event::ProbeFailed { udid, why } => self.probe_failed(&udid, &why, now, commands),
            Event::PairAnswer { udid, trust } => self.on_known(&udid, |device| {
                device.pairing.answered(Some(trust));
                device.memory.past.note_trust(trust);
                if trust == Trust::Trusted {
                    device.probing.soon(now);
                }
            }),
            Event::DomainChanged { udid } | Event::LockChanged { udid } => {
                self.on_known(&udid, |device| device.probing.hinted(now))
            }
            Event::ObserveEnded { udid } => self.on_known(&udid, |device| device.observing = None),
            Event::BackupStarted { udid } => self.on_known(&udid, |device| {
                let begun = Running {
                    phase: Phase::Opening,
                    asked: true,
                    passcode_told: false,
                };
                device.running.get_or_insert(begun);
            }),
            Event::BackupPhase { udid, phase } => self.backup_phase(&udid, phase, now, commands),
            Event::BackupFinished(report) => self.backup_finished(&report, now, commands),
            Event::UploadProgress { udid, permille } => self.on_known(&udid, |device| {
                device.memory.past.note_upload(permille, now)
            }),
            Event::StoreScanned { udid, copy } => {
                let device = self.device(&udid);
                device.memory.past.copy = copy;
                Touched::One(udid)
            }
            Event::StoreReady { free } => {
                let news = !matches!(self.store, StoreState::Ready { .. });
                self.store = StoreState::Ready { free };
                if news {
                    self.settled_for_all(NoticeKind::StoreMissing);
                }
                Touched::All
            }
            Event::StoreMissing { why: _ } => {
                self.store = StoreState::Missing;
                Touched::All
            }
            Event::AskBackup { udid } => {
                let device = self.device(&udid);
                device.wish = Some(now.host);
                Touched::One(udid)
            }
            Event::AskCancel { udid } => self.cancel(&udid, commands),
            Event::AskProbe { udid } => self.on_known(&udid, |device| {
                if device.is_attached() {
                    device.probing.soon(now);
                }
            }),
            Event::AskPair { udid } => self.on_known(&udid, |device| {
                device.pairing.ask_again();
                device.memory.told.remove(&NoticeKind::PairingNeeded);
                if device.is_attached() {
                    device.probing.soon(now);
                }
            }),
            Event::Snooze { udid, until } => self.on_known(&udid, |device| {
                device.memory.snoozed_until = Some(until).filter(|until| *until > now.host);
            }),
            Event::LocalOnly { udid, chosen } => {
                self.on_known(&udid, |device| device.memory.past.local_only = Some(chosen))
            }
            Event::JobPanicked { what, udid } => self.job_panicked(what, udid, now, commands),
            Event::Woke => {
                for device in self
                    .devices
                    .values_mut()
                    .filter(|device| device.is_attached())
                {
                    device.probing.soon(now);
                }
                Touched::All
            }
            Event::Tick => {
                for (udid, device) in &mut self.devices {
                    device.probing.pull_in(&self.policies.of(udid).poll, now);
                }
                Touched::All
            }
        }
    }

    /// The device, made known if it was not.
    fn device(&mut self, udid: &Udid) -> &mut Device {
        self.devices
            .entry(udid.clone())
            .or_insert_with(|| Device::new(Remembered::new(udid.clone())))
    }

    fn on_known(&mut self, udid: &Udid, change: impl FnOnce(&mut Device)) -> Touched {
        match self.devices.get_mut(udid) {
            Some(device) => {
                change(device);
                Touched::One(udid.clone())
            }
            None => Touched::Nobody,
        }
    }

    fn mux_down(&mut self) -> Touched {
        self.mux_is_up = false;
        for (attachment, udid) in std::mem::take(&mut self.attachments) {
            if let Some(device) = self.devices.get_mut(&udid) {
                device.detach(attachment);
                device.mux_lost = true;
            }
        }
        Touched::All
    }

    fn detach(&mut self, attachment: Attachment) -> Option<Udid> {
        let udid = self.attachments.remove(&attachment)?;
        self.devices.get_mut(&udid)?.detach(attachment);
        Some(udid)
    }

    fn settled_for_all(&mut self, kind: NoticeKind) {
        for device in self.devices.values_mut() {
            device.memory.told.remove(&kind);
        }
    }

    fn judge(&self, udid: &Udid, now: &Now) -> Option<Verdict> {
        let device = self.devices.get(udid)?;
        Some(judge(
            &device.memory.past,
            self.policies.of(udid),
            self.medium(),
            now,
        ))
    }

    fn probed(&mut self, facts: Facts, now: &Now, commands: &mut Vec<Command>) -> Touched {
        let udid = facts.udid.clone();
        let policy = self.policies.of(&udid).clone();
        self.device(&udid);
        let before = self.judge(&udid, now);
        let device = self.device(&udid);
        let unlocked = facts.locked == Ok(false);
        let first = device.memory.past.facts.is_none();
        let told_something = device.memory.past.absorb(facts, &policy.icloud, now);
        if told_something {
            device
                .probing
                .answered(device.is_attached(), &policy.poll, now);
        } else {
            device
                .probing
                .failed(device.is_attached(), &policy.poll, now);
        }
        if unlocked {
            device.presence = Some(now.host);
        }
        let (Some(before), Some(verdict)) = (before, self.judge(&udid, now)) else {
            return Touched::Nobody;
        };
        let Some(device) = self.devices.get_mut(&udid) else {
            return Touched::Nobody;
        };
        if told_something && let Some(facts) = device.memory.past.facts.clone() {
            let changed = first
                || before.cloud.state.code() != verdict.cloud.state.code()
                || before.protection != verdict.protection;
            commands.push(Command::Record(Box::new(Observation {
                at: now.host,
                facts,
                verdict: verdict.clone(),
                changed,
            })));
        }
        ask_for_trust(device, &verdict, &self.policies, now, commands);
        Touched::One(udid)
    }

    fn probe_failed(
        &mut self,
        udid: &Udid,
        why: &NoAnswer,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let policy = self.policies.of(udid).clone();
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
        let facts = Facts::unanswered(udid.clone(), now.host, links, trust, why);
        device.memory.past.absorb(facts, &policy.icloud, now);
        device
            .probing
            .failed(device.is_attached(), &policy.poll, now);
        if let Some(verdict) = self.judge(udid, now)
            && let Some(device) = self.devices.get_mut(udid)
        {
            ask_for_trust(device, &verdict, &self.policies, now, commands);
        }
        Touched::One(udid.clone())
    }

    fn backup_phase(
        &mut self,
        udid: &Udid,
        phase: Phase,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let Some(verdict) = self.judge(udid, now) else {
            return Touched::Nobody;
        };
        let policy = self.policies.of(udid);
        let Some(device) = self.devices.get_mut(udid) else {
            return Touched::Nobody;
        };
        let Some(running) = &mut device.running else {
            return Touched::Nobody;
        };
        running.phase = phase;
        if phase == Phase::WaitingForPasscode && !running.passcode_told {
            running.passcode_told = true;
            let draft =
                notices::passcode_wanted(&telling::scene(&device.memory, &verdict, policy, now));
            commands.push(Command::Notify(Box::new(telling::post(
                &mut device.memory,
                draft,
                now,
            ))));
        }
        Touched::One(udid.clone())
    }

    fn backup_finished(
        &mut self,
        report: &RunReport,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        match &report.end {
            RunEnd::Verified(copy) => {
                let device = self.device(&report.udid);
                device.memory.past.copy = Some(copy.clone());
                device.memory.failures = Default::default();
                for settled in [
                    NoticeKind::BackupDue,
                    NoticeKind::BackupFailed,
                    NoticeKind::StoreMissing,
                ] {
                    device.memory.told.remove(&settled);
                }
                let asked = end_of_run(device, now);
                if let Some(verdict) = self.judge(&report.udid, now) {
                    let policy = self.policies.of(&report.udid).clone();
                    let device = self.device(&report.udid);
                    let scene = telling::scene(&device.memory, &verdict, &policy, now);
                    let mut draft = notices::backup_verified(&scene, copy, report.refused.len());
                    if asked {
                        draft.level = Urgency::Normal;
                    }
                    commands.push(Command::Notify(Box::new(telling::post(
                        &mut device.memory,
                        draft,
                        now,
                    ))));
                }
            }
            RunEnd::Failed(failure) => self.backup_failed(&report.udid, failure, now, commands),
        }
        Touched::All
    }

    fn backup_failed(
        &mut self,
        udid: &Udid,
        failure: &RunFailure,
        now: &Now,
        commands: &mut Vec<Command>,
    ) {
        let policy = self.policies.of(udid).clone();
        let device = self.device(udid);
        let asked = end_of_run(device, now);
        let consequence = consequence(failure, &policy.backup);
        if let Some(pause) = consequence.pause {
            let failures = &mut device.memory.failures;
            let doubled = pause
                .times(1 << failures.in_a_row.min(20))
                .min(policy.backup.retry_limit)
                .max(pause);
            failures.in_a_row = failures.in_a_row.saturating_add(1);
            failures.not_before = Some(now.host.plus(doubled));
        }
        match failure {
            RunFailure::HostNoSpace { need, .. } => device.memory.failures.need = Some(*need),
            RunFailure::NotTrusted => device.memory.past.note_trust(Trust::NotTrusted),
            RunFailure::StoreMissing => self.store = StoreState::Missing,
            RunFailure::PasscodeTimeout
            | RunFailure::PasscodeCancelled
            | RunFailure::DeviceLocked
            | RunFailure::Unplugged
            | RunFailure::Cancelled { .. }
            | RunFailure::DeviceNoSpace
            | RunFailure::Busy
            | RunFailure::StoreInUse
            | RunFailure::NeverUnlocked
            | RunFailure::EncryptionRequired
            | RunFailure::SettingUp
            | RunFailure::BackupCorrupt
            | RunFailure::Verification { .. }
            | RunFailure::Protocol(_)
            | RunFailure::Device { .. }
            | RunFailure::Io(_)
            | RunFailure::Internal(_) => {}
        }
        let Some(verdict) = self.judge(udid, now) else {
            return;
        };
        let device = self.device(udid);
        let cadence = telling::Cadence::usual(&policy.notify.repeat);
        // Somebody who asked waits for an answer; a failure that nobody waits for follows the cadence.
        let tell = telling::may_tell(
            &mut device.memory,
            NoticeKind::BackupFailed,
            Concern::None,
            cadence,
            now,
        ) || asked;
        if tell && consequence.tell {
            let next = device.memory.failures.not_before;
            let draft = notices::backup_failed(
                &telling::scene(&device.memory, &verdict, &policy, now),
                failure,
                next,
            );
            commands.push(Command::Notify(Box::new(telling::post(
                &mut device.memory,
                draft,
                now,
            ))));
        }
    }

    fn cancel(&mut self, udid: &Udid, commands: &mut Vec<Command>) -> Touched {
        self.on_known(udid, |device| {
            device.wish = None;
            if device.running.is_some() {
                commands.push(Command::CancelBackup { udid: udid.clone() });
            }
        })
    }

    fn job_panicked(
        &mut self,
        what: Job,
        udid: Option<Udid>,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let Some(udid) = udid.filter(|udid| self.devices.contains_key(udid)) else {
            return Touched::Nobody;
        };
        let poll = self.policies.of(&udid).poll.clone();
        match what {
            Job::Probe => self.on_known(&udid, |device| {
                device.probing.failed(device.is_attached(), &poll, now)
            }),
            Job::Pair => self.on_known(&udid, |device| device.pairing.answered(None)),
            Job::Observe => self.on_known(&udid, |device| device.observing = None),
            Job::Backup => {
                if self
                    .devices
                    .get(&udid)
                    .is_some_and(|device| device.running.is_some())
                {
                    let failure = RunFailure::Internal("the job panicked".to_owned());
                    self.backup_failed(&udid, &failure, now, commands);
                }
                Touched::All
            }
            Job::Notify | Job::Store => Touched::Nobody,
        }
    }
}

/// The run is over. Returns whether a person had asked for it.
fn end_of_run(device: &mut Device, now: &Now) -> bool {
    let asked = device.running.take().is_some_and(|running| running.asked);
    if device.is_attached() {
        device.probing.soon(now);
    }
    asked
}

/// What a failure means for the next attempt and for the person.
struct Consequence {
    /// How long nothing begins by itself, before doubling.
    pause: Option<Period>,
    /// The person does not know it already.
    tell: bool,
}

fn consequence(failure: &RunFailure, policy: &BackupPolicy) -> Consequence {
    let (pause, tell) = match failure {
        // Asking again soon would be nagging on the phone's own screen.
        RunFailure::PasscodeTimeout
        | RunFailure::PasscodeCancelled
        | RunFailure::DeviceLocked
        | RunFailure::Cancelled {
            by: CancelledBy::Phone,
        } => (Some(policy.retry_passcode), true),
        RunFailure::Cancelled {
            by: CancelledBy::Person,
        } => (Some(policy.retry_passcode), false),
        RunFailure::Cancelled {
            by: CancelledBy::Shutdown,
        } => (None, false),
        RunFailure::Unplugged
        | RunFailure::StoreMissing
        | RunFailure::NotTrusted
        | RunFailure::SettingUp
        | RunFailure::HostNoSpace { .. }
        | RunFailure::DeviceNoSpace
        | RunFailure::Busy
        | RunFailure::StoreInUse
        | RunFailure::NeverUnlocked
        | RunFailure::EncryptionRequired
        | RunFailure::BackupCorrupt
        | RunFailure::Verification { .. }
        | RunFailure::Protocol(_)
        | RunFailure::Device { .. }
        | RunFailure::Io(_)
        | RunFailure::Internal(_) => (Some(policy.retry), true),
    };
    Consequence { pause, tell }
}
