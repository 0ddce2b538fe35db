//! What the ends of jobs mean here, before the watcher hears of them.

use std::path::{Path, PathBuf};

use backupwatch_core::run::{RunEnd, RunFailure, RunReport};
use backupwatch_core::watcher::{Event, Job};
use backupwatch_core::{Now, Trust, Udid};

use super::{Act, Mind};
use crate::agent::ask::Refusal;
use crate::jobs::{self, Done, Scan, What};
use crate::keeper::Write;
use crate::medium::Medium;
use crate::verification::Stretch;

impl Mind {
    /// A job ended.
    pub(in crate::agent) fn on_done(&mut self, done: Done, now: &Now, acts: &mut Vec<Act>) {
        match done {
            Done::Probed(udid, told) => {
                self.visit_ended(&udid);
                let event = match told {
                    Ok(facts) => Event::Probed(facts),
                    Err(why) => Event::ProbeFailed { udid, why },
                };
                self.polled(now, acts);
                self.tell(event, now, acts);
            }
            Done::Paired(udid, trust) => {
                self.answer_pairs(&udid, &Ok(trust));
                self.tell(Event::PairAnswer { udid, trust }, now, acts);
            }
            Done::ObserveEnded(udid) => self.tell(Event::ObserveEnded { udid }, now, acts),
            Done::BackedUp(report) => {
                let root = self.backup_ended(&report, acts);
                let udid = report.udid.clone();
                let verified = matches!(report.end, RunEnd::Verified(_));
                self.tell(Event::BackupFinished(report), now, acts);
                if root.is_some_and(|root| root != self.places.of(&udid).root) {
                    // It has another place since, and this backup is not there.
                    self.forget_copy(udid.clone(), now, acts);
                    self.scan(udid, acts);
                    return;
                }
                self.look_for_notes(&udid, acts);
                self.errand_due(udid, verified, now, acts);
            }
            Done::Scanned(root, scan) => self.scanned(&root, scan, now, acts),
            Done::Reread(udid, stretch) => self.reread_ended(udid, stretch, now, acts),
            Done::NotesRead(udid, read) => self.notes_read(udid, read, now, acts),
            Done::Listened(udid, outcome) => self.listened(udid, *outcome, now, acts),
            Done::Ran(run) => self.errand_ended(*run, now, acts),
            Done::ListenEnded | Done::PluggedEnded => {}
            Done::CablesSeen(found) => self.cables.found(found),
            Done::PageOpened(Ok(())) => {}
            Done::PageOpened(Err(why)) => tracing::warn!(why, "the page cannot be opened"),
            Done::Panicked(what, words) => self.panicked(what, words, now, acts),
        }
    }

    /// Returns where it went.
    fn backup_ended(&mut self, report: &RunReport, acts: &mut Vec<Act>) -> Option<PathBuf> {
        let outcome = crate::report::outcome(&report.end);
        tracing::info!(
            udid = report.udid.short(),
            outcome,
            bytes = report.bytes,
            files = report.files,
            "a backup ended"
        );
        acts.push(Act::Write(Write::Run(Box::new(report.clone()))));
        self.reported(&report.udid);
        let backup = self.backups.remove(&report.udid)?;
        // Nobody may be following.
        backup.end.send_replace(Some(report.clone()));
        Some(backup.root)
    }

    /// What was found is in the store; the look that follows tells the watcher. The history has an entry for damage, and for
    /// each round that ended well.
    fn reread_ended(&mut self, udid: Udid, stretch: Stretch, now: &Now, acts: &mut Vec<Act>) {
        let Stretch { parts, found, last } = stretch;
        let before = self.view(&udid, now).and_then(|view| view.reread_at);
        let event = Event::RereadEnded {
            udid: udid.clone(),
            parts,
        };
        self.tell(event, now, acts);
        let after = self.view(&udid, now).and_then(|view| view.reread_at);
        if let Some(found) = found {
            tracing::error!(
                udid = udid.short(),
                wrong = found.wrong,
                "a backup is damaged"
            );
            acts.push(Act::Write(Write::Check(found)));
            self.scan(udid, acts);
        } else if let Some(last) = last.filter(|_| after != before) {
            acts.push(Act::Write(Write::Check(last)));
        }
    }

    fn found(&mut self, medium: Medium) {
        let before = self.mediums.get(&medium.root);
        if let Some(trouble) = &medium.trouble
            && before.and_then(|before| before.trouble.as_ref()) != Some(trouble)
        {
            tracing::warn!(why = trouble.words, "backups cannot be made");
        }
        self.mediums.insert(medium.root.clone(), medium);
    }

    fn scanned(&mut self, root: &Path, scan: Scan, now: &Now, acts: &mut Vec<Act>) {
        let found = matches!(scan, Scan::Ready { .. });
        let is_in_use = self.places.at(root).is_some();
        match scan {
            Scan::Missing(trouble) if is_in_use => {
                self.found(Medium::away(root.to_owned(), trouble));
                self.tell_of(root, now, acts);
            }
            Scan::Ready {
                known,
                free,
                disk,
                limit,
                copies,
            } if is_in_use => {
                self.found(Medium::there(root.to_owned(), free, limit).on(disk));
                acts.extend(self.places.seen(known).map(Act::Write));
                self.tell_of(root, now, acts);
                self.run_owed(root, now, acts);
                for (udid, standing) in copies {
                    if self.counts(root, &udid) {
                        let (copy, check) = match standing {
                            Some((copy, check)) => (Some(copy), check),
                            None => (None, None),
                        };
                        let event = Event::StoreScanned {
                            udid: udid.clone(),
                            copy,
                            check,
                        };
                        self.tell(event, now, acts);
                        self.look_for_notes(&udid, acts);
                    }
                }
            }
            // Nobody is backed up to there any more.
            Scan::Missing(_) | Scan::Ready { .. } => {}
        }
        self.looked(root, found, acts);
    }

    fn panicked(&mut self, what: What, words: String, now: &Now, acts: &mut Vec<Act>) {
        tracing::error!(?what, words, "a job broke");
        match what {
            What::Listen => {
                acts.push(Act::Listen { again: true });
                self.tell(
                    Event::MuxDown {
                        why: "listening to it broke".to_owned(),
                    },
                    now,
                    acts,
                );
            }
            What::Page | What::Notes | What::Plugged => {}
            What::Scan(root) => {
                self.looked(&root, false, acts);
                let what = Job::Store;
                self.tell(Event::JobPanicked { what, udid: None }, now, acts);
            }
            What::Cables => self.cables.found(Vec::new()),
            What::Log(udid) => self.listening_broke(&udid),
            What::Program(udid) => self.errand_broke(&udid, words, now, acts),
            What::Asked(job, udid) => {
                if let Some(udid) = &udid {
                    match job {
                        Job::Probe => self.visit_ended(udid),
                        Job::Pair => self.answer_pairs(udid, &Err(Refusal::Ending)),
                        Job::Backup => {
                            let started = self
                                .backups
                                .get(udid)
                                .map(|one| one.following.progress.borrow().started);
                            let failure = RunFailure::Internal(words);
                            let report = jobs::failed(
                                udid.clone(),
                                started.unwrap_or(now.host),
                                now.host,
                                failure,
                            );
                            self.backup_ended(&report, acts);
                        }
                        Job::Observe | Job::Notify | Job::Store | Job::Reread => {}
                    }
                }
                self.tell(Event::JobPanicked { what: job, udid }, now, acts);
            }
        }
    }

    fn answer_pairs(&mut self, udid: &Udid, answer: &Result<Trust, Refusal>) {
        self.pairing.remove(udid);
        for (other, reply) in std::mem::take(&mut self.pairs) {
            if other == *udid {
                let _gone = reply.send(answer.clone());
            } else {
                self.pairs.push((other, reply));
            }
        }
    }
}
