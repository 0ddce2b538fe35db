//! What each event changes in the watcher's books, and the few commands that answer it directly.

use super::{StoreState, Touched, Watcher};
use crate::facts::Trust;
use crate::judge::judge;
use crate::ladder::Mark;
use crate::notice::NoticeKind;
use crate::run::{Phase, RunFailure};
use crate::steps::StepId;
use crate::time::{Now, Period};
use crate::udid::Udid;
use crate::verdict::Verdict;
use crate::watcher::device::{Device, Running};
use crate::watcher::event::{Attachment, Command, Event, Job};
use crate::watcher::scale::scaled;
use crate::watcher::telling::Outlook;

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
            Event::StoreScanned { udid, copy, check } => {
                let device = self.device(&udid);
                if let Some(copy) = &copy {
                    device.memory.reread.begin(copy.at.min(now.host));
                }
                device.memory.past.copy = copy;
                device.memory.past.check = check;
                Touched::One(udid)
            }
            Event::RereadEnded { udid, parts } => self.reread_ended(&udid, parts, now),
            Event::StoreReady { free } => {
                let news = !matches!(self.store, StoreState::Ready { .. });
                self.store = StoreState::Ready { free };
                if news {
                    self.settled_for_all(NoticeKind::StoreMissing);
                }
                Touched::All
            }
            Event::OwnStoreReady { udid, free } => {
                let Some(store) = self.apart.get_mut(&udid) else {
                    return Touched::Nobody;
                };
                let news = !matches!(store, StoreState::Ready { .. });
                *store = StoreState::Ready { free };
                self.on_known(&udid, |device| {
                    if news {
                        device.memory.told.remove(&NoticeKind::StoreMissing);
                    }
                })
            }
            Event::OwnStoreMissing { udid, why: _ } => {
                let Some(store) = self.apart.get_mut(&udid) else {
                    return Touched::Nobody;
                };
                *store = StoreState::Missing;
                Touched::One(udid)
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
            Event::BooksRead { udid, books } => self.on_known(&udid, |device| {
                // A stranger's, whoever read them.
                let books = books.bounded();
                let recent = now.host.since(books.at).abs() < Period::days(1);
                if let Some(upload) = books.upload.filter(|_| recent) {
                    device.memory.past.note_upload(upload.permille, now);
                }
                device.memory.evidence.books = Some(books);
            }),
            Event::Listened { udid, heard } => self.on_known(&udid, |device| {
                device.memory.evidence.heard = Some(heard.bounded());
            }),
            Event::Marked { udid, step, mark } => self.marked(&udid, step, mark, now),
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
    pub(super) fn device(&mut self, udid: &Udid) -> &mut Device {
        self.devices
            .entry(udid.clone())
            .or_insert_with(|| Device::new(udid.clone()))
    }

    pub(super) fn on_known(&mut self, udid: &Udid, change: impl FnOnce(&mut Device)) -> Touched {
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
        let apart = &self.apart;
        let shared = self.devices.values_mut();
        for device in shared.filter(|device| !apart.contains_key(device.udid())) {
            device.memory.told.remove(&kind);
        }
    }

    fn marked(&mut self, udid: &Udid, step: StepId, mark: Mark, now: &Now) -> Touched {
        let Some(verdict) = self.judge(udid, now) else {
            return Touched::Nobody;
        };
        let medium = self.medium(udid);
        if let Some(device) = self.devices.get_mut(udid) {
            let policy = &*scaled(self.policies.of(udid), &device.memory.evidence);
            let outlook = Outlook {
                verdict: &verdict,
                policy,
                medium,
                now,
            };
            device.mark_step(step, mark, &outlook);
        }
        Touched::One(udid.clone())
    }

    pub(super) fn judge(&self, udid: &Udid, now: &Now) -> Option<Verdict> {
        let device = self.devices.get(udid)?;
        Some(judge(
            &device.memory.past,
            &self.policy(device),
            self.medium(udid),
            now,
        ))
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
            Job::Reread => self.reread_ended(&udid, 0, now),
            Job::Notify | Job::Store => Touched::Nobody,
        }
    }
}
