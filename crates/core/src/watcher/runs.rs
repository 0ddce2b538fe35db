//! What a backup's phases and its end mean: for the memory, for the next attempt, and for the person.

use super::telling::{self, Cadence, Outlook};
use super::{StoreState, Touched, Watcher};
use crate::facts::Trust;
use crate::ladder::Climb;
use crate::notice::{NoticeKind, Urgency};
use crate::policy::BackupPolicy;
use crate::run::{CancelledBy, Phase, RunEnd, RunFailure, RunReport};
use crate::time::{Now, Period};
use crate::udid::Udid;
use crate::verdict::{Concern, LocalCopy};
use crate::watcher::device::Device;
use crate::watcher::event::Command;
use crate::watcher::remembered::{Failures, Remembered};
use crate::watcher::scale::scaled;
use crate::words::Scene;
use crate::words::notices::{self, Draft};

impl Watcher {
    /// A running backup has entered another phase. The question for the passcode is told once a run, and whoever asks it leaves the
    /// disk to others.
    pub(super) fn backup_phase(
        &mut self,
        udid: &Udid,
        phase: Phase,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        let running = self
            .devices
            .get_mut(udid)
            .and_then(|device| device.running.as_mut());
        let Some(running) = running else {
            return Touched::Nobody;
        };
        running.phase = phase;
        let ask = phase == Phase::WaitingForPasscode && !running.passcode_told;
        running.passcode_told |= ask;
        if ask {
            self.tell(udid, now, commands, |scene, _, _| {
                notices::passcode_wanted(scene)
            });
            return Touched::All;
        }
        Touched::One(udid.clone())
    }

    /// A backup has ended. Every device may be touched: a place has become free.
    pub(super) fn backup_finished(
        &mut self,
        report: &RunReport,
        now: &Now,
        commands: &mut Vec<Command>,
    ) -> Touched {
        match &report.end {
            RunEnd::Verified(copy) => self.backup_verified(report, copy, now, commands),
            RunEnd::Failed(failure) => self.backup_failed(&report.udid, failure, now, commands),
        }
        Touched::All
    }

    fn backup_verified(
        &mut self,
        report: &RunReport,
        copy: &LocalCopy,
        now: &Now,
        commands: &mut Vec<Command>,
    ) {
        let device = self.device(&report.udid);
        device.memory.past.copy = Some(copy.clone());
        device.memory.past.check = None;
        device.memory.reread.begin(copy.at.min(now.host));
        device.memory.failures = Failures::default();
        for settled in [
            NoticeKind::BackupDue,
            NoticeKind::BackupFailed,
            NoticeKind::BackupDamaged,
            NoticeKind::StoreMissing,
        ] {
            device.memory.told.remove(&settled);
        }
        let asked = end_of_run(device, now);
        self.tell(&report.udid, now, commands, |scene, _, climb| {
            let draft = notices::backup_verified(scene, climb, copy, report.refused.len());
            // Somebody who asked waits for it.
            Draft {
                level: if asked { Urgency::Normal } else { draft.level },
                ..draft
            }
        });
    }

    pub(super) fn backup_failed(
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
            device
                .memory
                .failures
                .count(pause, policy.backup.retry_limit, now);
        }
        if let RunFailure::HostNoSpace { need, .. } = failure {
            device.memory.failures.need = Some(*need);
        }
        if *failure == RunFailure::NotTrusted {
            device.memory.past.note_trust(Trust::NotTrusted);
        }
        let cadence = Cadence::usual(&policy.notify.repeat);
        // A failure that nobody waits for follows the cadence.
        let tell = consequence.tell
            && policy.muted_since.is_none()
            && (telling::may_tell(
                &mut device.memory,
                NoticeKind::BackupFailed,
                Concern::None,
                cadence,
                now,
            ) || asked);
        if *failure == RunFailure::StoreMissing {
            *self.apart.get_mut(udid).unwrap_or(&mut self.store) = StoreState::Missing;
        }
        if tell {
            self.tell(udid, now, commands, |scene, memory, _| {
                notices::backup_failed(scene, failure, memory.failures.not_before)
            });
        }
    }

    fn tell(
        &mut self,
        udid: &Udid,
        now: &Now,
        commands: &mut Vec<Command>,
        words: impl FnOnce(&Scene<'_>, &Remembered, &Climb) -> Draft,
    ) {
        let (Some(verdict), medium) = (self.judge(udid, now), self.medium(udid)) else {
            return;
        };
        let Some(device) = self.devices.get_mut(udid) else {
            return;
        };
        let policy = &*scaled(self.policies.of(udid), &device.memory.evidence);
        if policy.muted_since.is_some() {
            return;
        }
        let outlook = Outlook {
            verdict: &verdict,
            policy,
            medium,
            now,
        };
        let causes = outlook.causes(&device.memory);
        let climb = outlook.climb(&device.memory, causes);
        let draft = words(&outlook.scene(&device.memory), &device.memory, &climb);
        commands.push(Command::Notify(Box::new(telling::post(
            &mut device.memory,
            draft,
            now,
        ))));
    }
}

impl Failures {
    /// One more. The pause doubles with each.
    fn count(&mut self, pause: Period, limit: Period, now: &Now) {
        let doubled = pause
            .times(1 << self.in_a_row.min(20))
            .min(limit)
            .max(pause);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.not_before = Some(now.host.plus(doubled));
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
        | RunFailure::Prohibited
        | RunFailure::ServiceMissing { .. }
        | RunFailure::BackupCorrupt
        | RunFailure::Verification { .. }
        | RunFailure::Protocol(_)
        | RunFailure::Device { .. }
        | RunFailure::Io(_)
        | RunFailure::Internal(_) => (Some(policy.retry), true),
    };
    Consequence { pause, tell }
}
