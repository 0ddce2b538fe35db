//! What phones noted of their iCloud backups, and who listens to one: when the notes are read, and what is known by them.

use backupwatch_core::evidence::Books;
use backupwatch_core::verdict::CloudState;
use backupwatch_core::watcher::{DeviceView, Event};
use backupwatch_core::{HostTime, LinkKind, Now, Udid};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Act, Mind};
use crate::agent::ask::Refusal;
use crate::diagnosis::{self, DiagnosisDocument, Known, ListenEnd, ListenEvent};
use crate::ladder::CauseEntry;
use crate::listening::Outcome;

/// Lines that a follower may be behind.
const BEHIND: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The backup, by its date, in which notes were last looked for: what is not there now will not be there later.
    looked_in: BTreeMap<Udid, HostTime>,
    listeners: BTreeMap<Udid, CancellationToken>,
}

impl Mind {
    /// Has the notes read out of the current backup of a device, if it is newer than those that are known. An encrypted one
    /// would take its password, which nobody keeps.
    pub(super) fn look_for_notes(&mut self, udid: &Udid, acts: &mut Vec<Act>) {
        // A single command is over before they are read.
        let Some(copy) = self.copies.get(udid).filter(|_| self.resident) else {
            return;
        };
        let known = self
            .watcher
            .evidence(udid)
            .and_then(|evidence| evidence.books.as_ref());
        let is_known = known.is_some_and(|books| books.at >= copy.at);
        let was_looked_in = self.notes.looked_in.get(udid) == Some(&copy.at);
        if copy.encrypted || is_known || was_looked_in {
            return;
        }
        self.notes.looked_in.insert(udid.clone(), copy.at);
        acts.push(Act::ReadNotes(udid.clone()));
    }

    /// The notes were read, or not.
    pub(super) fn notes_read(
        &mut self,
        udid: Udid,
        read: Result<Box<Books>, String>,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        match read {
            Ok(books) => {
                tracing::info!(
                    udid = udid.short(),
                    attempts = books.attempts.len(),
                    windows = books.windows.as_ref().map_or(0, Vec::len),
                    "the phone's notes of its iCloud backups are read"
                );
                self.tell(Event::BooksRead { udid, books }, now, acts);
            }
            Err(why) => tracing::debug!(udid = udid.short(), why, "no notes of the phone"),
        }
    }

    /// Somebody opened an encrypted backup and hands over what is in it. Older notes than those that are known are no news.
    pub(super) fn take_books(
        &mut self,
        udid: &Udid,
        books: Box<Books>,
        now: &Now,
        acts: &mut Vec<Act>,
    ) -> Result<DiagnosisDocument, Refusal> {
        self.view(udid, now).ok_or(Refusal::UnknownDevice)?;
        let known = self
            .watcher
            .evidence(udid)
            .and_then(|evidence| evidence.books.as_ref());
        if known.is_none_or(|known| known.at <= books.at) {
            self.notes_read(udid.clone(), Ok(books), now, acts);
        }
        self.diagnosis(udid, now)
    }

    /// For the status: whose iCloud Backup fails, and could tell why if somebody entered a password.
    pub(super) fn sealed_notes(&self, views: &[DeviceView]) -> Vec<String> {
        let is_sealed = |view: &&DeviceView| {
            let evidence = self.watcher.evidence(&view.udid);
            let books = evidence.and_then(|evidence| evidence.books.as_ref());
            let copy = self.copies.get(&view.udid);
            diagnosis::is_sealed(books, copy) && fails(&view.verdict.cloud.state)
        };
        let remark = |view: &DeviceView| {
            let name = view.name.as_deref().unwrap_or(view.udid.as_str());
            format!("{name}: {}", diagnosis::SEALED)
        };
        views.iter().filter(is_sealed).map(remark).collect()
    }

    /// What is known of why.
    pub(super) fn diagnosis(&self, udid: &Udid, now: &Now) -> Result<DiagnosisDocument, Refusal> {
        let view = self.view(udid, now).ok_or(Refusal::UnknownDevice)?;
        let climb = self
            .watcher
            .climb(udid, now)
            .ok_or(Refusal::UnknownDevice)?;
        let evidence = self.watcher.evidence(udid).ok_or(Refusal::UnknownDevice)?;
        let known = Known {
            udid,
            name: view.name,
            causes: &climb.causes,
            evidence,
            copy: self.copies.get(udid),
        };
        Ok(diagnosis::document(&known, now.host))
    }

    /// Somebody wants to listen to a phone. By cable where there is one.
    pub(super) fn ask_listen(
        &mut self,
        udid: &Udid,
        reply: oneshot::Sender<Result<mpsc::Receiver<ListenEvent>, Refusal>>,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        let mut links = self.attached.values().filter(|one| one.udid == *udid);
        let by_cable = links.clone().find(|one| one.link == LinkKind::Usb);
        let attached = by_cable.or_else(|| links.next()).cloned();
        let answer = match (self.view(udid, now), attached) {
            (None, _) => Err(Refusal::UnknownDevice),
            (Some(_), None) => Err(Refusal::NotAttached),
            (Some(_), Some(_)) if self.notes.listeners.contains_key(udid) => {
                Err(Refusal::Listening)
            }
            (Some(_), Some(attached)) => {
                let (follower, events) = mpsc::channel(BEHIND);
                let cancel = CancellationToken::new();
                self.notes.listeners.insert(udid.clone(), cancel.clone());
                tracing::info!(udid = udid.short(), "somebody listens to the phone's log");
                acts.push(Act::ListenTo {
                    attached,
                    follower,
                    cancel,
                });
                Ok(events)
            }
        };
        // Whoever asked may be gone; then nobody follows, and it ends at once.
        let _gone = reply.send(answer);
    }

    /// Nobody wants to listen to a phone any more.
    pub(super) fn stop_listening(&self, udid: &Udid) -> Result<(), Refusal> {
        let cancel = self
            .notes
            .listeners
            .get(udid)
            .ok_or(Refusal::NotListening)?;
        cancel.cancel();
        Ok(())
    }

    /// Listening has ended: what was heard is taken in, and the follower is told what is thought now.
    pub(super) fn listened(
        &mut self,
        udid: Udid,
        outcome: Outcome,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        let Outcome {
            heard,
            end,
            last_line,
        } = outcome;
        self.notes.listeners.remove(&udid);
        tracing::info!(udid = udid.short(), end = end.code(), "listening ended");
        if let Some(heard) = heard {
            let event = Event::Listened {
                udid: udid.clone(),
                heard: Box::new(heard.bounded()),
            };
            self.tell(event, now, acts);
        }
        let climb = self.watcher.climb(&udid, now);
        if let Some(room) = last_line {
            room.send(ListenEvent::Ended(ListenEnd {
                why: end.code().to_owned(),
                words: end.words(),
                causes: climb.map_or_else(Vec::new, |climb| {
                    climb.causes.iter().map(CauseEntry::of).collect()
                }),
            }));
        }
    }

    /// The job that listened broke.
    pub(super) fn listening_broke(&mut self, udid: &Udid) {
        self.notes.listeners.remove(udid);
    }
}

/// Whether iCloud Backup is on and does not come to anything.
fn fails(state: &CloudState) -> bool {
    match state {
        CloudState::Stale | CloudState::Alarm | CloudState::Critical => true,
        CloudState::Fresh
        | CloudState::Late
        | CloudState::Off
        | CloudState::NoneYet
        | CloudState::Unknown(_) => false,
    }
}
