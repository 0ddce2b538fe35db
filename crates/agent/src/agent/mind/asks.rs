//! What faces ask and people choose, answered or turned into events.

use std::collections::BTreeSet;

use backupwatch_core::notice::Action;
use backupwatch_core::watcher::{BackupView, Event};
use backupwatch_core::words::notices;
use backupwatch_core::{Now, Trust, Udid};
use backupwatch_notify::Answer;
use backupwatch_notify::menu::Choice;
use tokio::sync::oneshot;

use super::{Act, Check, LOOK_PATIENCE, Mind, Mux, SNOOZE, Wish};
use crate::agent::ask::{Ask, Refusal};
use crate::config::Config;
use crate::keeper::Write;
use crate::ladder::{self, LadderDocument};
use crate::medium::Medium;
use crate::page::Place;
use crate::phones::Attached;
use crate::status::Status;

impl Mind {
    /// The person chose something on a notice.
    pub(in crate::agent) fn on_answer(&mut self, answer: &Answer, now: &Now, acts: &mut Vec<Act>) {
        tracing::info!(
            udid = answer.udid.as_ref().map(Udid::short),
            action = answer.action.code(),
            "chosen on a notice"
        );
        match &answer.udid {
            Some(udid) => self.choose(udid.clone(), answer.action, now, acts),
            // One about backupwatch itself has no buttons; this is a click on it.
            None => acts.push(Act::Open(Place::Devices)),
        }
    }

    /// Something was chosen in the menu.
    pub(in crate::agent) fn on_choice(&mut self, choice: Choice, now: &Now, acts: &mut Vec<Act>) {
        match choice {
            Choice::Device(udid, action) => {
                tracing::info!(
                    udid = udid.short(),
                    action = action.code(),
                    "chosen in the menu"
                );
                self.choose(udid, action, now, acts);
            }
            Choice::Open => acts.push(Act::Open(Place::Devices)),
            Choice::Quit => acts.push(Act::Quit),
        }
    }

    /// Goes by this configuration. What can only be chosen at the start stays as it is, and the places see to themselves.
    fn configure(&mut self, config: Config) {
        self.alone = config.alone().unwrap_or_default();
        let Config {
            policies,
            nicknames,
            pings,
            roots: _,
            own,
            managed,
        } = config;
        self.watcher.set_policies(policies.clone());
        self.config.policies = policies;
        self.config.nicknames = nicknames;
        self.config.pings = pings;
        self.config.managed = managed;
        self.config.own.ping = own.ping;
        self.config.own.webhook = own.webhook;
        self.config.own.hooks = own.hooks;
        if self.config.own.hooks.program().is_none() {
            self.no_program();
        }
    }

    fn choose(&mut self, udid: Udid, action: Action, now: &Now, acts: &mut Vec<Act>) {
        match action {
            Action::BackUpNow => self.tell(Event::AskBackup { udid }, now, acts),
            Action::Snooze => self.tell(
                Event::Snooze {
                    udid,
                    until: now.host.plus(SNOOZE),
                },
                now,
                acts,
            ),
            Action::LocalOnly => self.tell(Event::LocalOnly { udid, chosen: true }, now, acts),
            Action::ShowSteps => {
                let climb = self.watcher.climb(&udid, now);
                let step =
                    climb.and_then(|climb| climb.next().map(|rung| rung.step).or(climb.held));
                acts.push(Act::Open(Place::Device(udid, step)));
            }
        }
    }

    /// A face asks.
    pub(in crate::agent) fn on_ask(
        &mut self,
        ask: Ask,
        now: &Now,
        troubles: &[String],
        acts: &mut Vec<Act>,
    ) {
        match ask {
            Ask::Status(reply) => {
                let _gone = reply.send(self.status(now, troubles));
            }
            Ask::Places(reply) => {
                let _gone = reply.send(self.places.clone());
            }
            Ask::Check { listed, reply } => {
                let before: BTreeSet<Udid> = self.probing.keys().cloned().collect();
                match listed {
                    None => {}
                    Some(Err(why)) => self.tell(Event::MuxDown { why }, now, acts),
                    Some(Ok(listed)) => {
                        self.tell(Event::MuxUp, now, acts);
                        for Attached {
                            udid,
                            link,
                            attachment,
                        } in listed
                        {
                            self.tell(
                                Event::Attached {
                                    udid,
                                    link,
                                    attachment,
                                },
                                now,
                                acts,
                            );
                        }
                    }
                }
                let outstanding: BTreeSet<Udid> =
                    self.attached.values().map(|one| one.udid.clone()).collect();
                for udid in outstanding.clone() {
                    // The visit to what was attached a line above is the one that is asked for; one that began earlier
                    // may have seen what was before.
                    if before.contains(&udid) || !self.probing.contains_key(&udid) {
                        self.tell(Event::AskProbe { udid }, now, acts);
                    }
                }
                // A disk that was plugged in a moment ago counts as well.
                self.scan_all(now, acts);
                if self.mux == Mux::Up {
                    self.polled(now, acts);
                }
                self.checks.push(Check {
                    outstanding,
                    looks: self.last_looks(),
                    patience: now.host.plus(LOOK_PATIENCE),
                    reply,
                });
            }
            Ask::Backup { udid, full, reply } => {
                if !self.backups.contains_key(&udid) && self.view(&udid, now).is_some() {
                    if full {
                        self.full.insert(udid.clone());
                    }
                    self.tell(Event::AskBackup { udid: udid.clone() }, now, acts);
                }
                self.wishes.push(Wish { udid, reply });
            }
            Ask::Cancel { udid, reply } => {
                let answer = if self.backups.contains_key(&udid) {
                    self.tell(Event::AskCancel { udid }, now, acts);
                    Ok(())
                } else {
                    Err(Refusal::NoBackup)
                };
                let _gone = reply.send(answer);
            }
            Ask::Configure { config, reply } => {
                tracing::info!("the configuration was read again");
                let roots = config.roots.clone();
                self.configure(*config);
                self.places_changed(roots, now, acts);
                acts.push(Act::Configured);
                // What follows for each device follows now.
                self.tell(Event::Tick, now, acts);
                let _gone = reply.send(self.status(now, troubles));
            }
            Ask::Pair { udid, reply } => self.ask_pair(udid, reply, now, acts),
            Ask::Snooze { udid, until, reply } => {
                self.change(
                    Event::Snooze {
                        udid: udid.clone(),
                        until,
                    },
                    &udid,
                    reply,
                    now,
                    troubles,
                    acts,
                );
            }
            Ask::LocalOnly {
                udid,
                chosen,
                reply,
            } => {
                self.change(
                    Event::LocalOnly {
                        udid: udid.clone(),
                        chosen,
                    },
                    &udid,
                    reply,
                    now,
                    troubles,
                    acts,
                );
            }
            Ask::TestNotice(reply) => {
                let notice = Box::new(notices::test(now.host));
                acts.push(Act::Write(Write::Notice(notice.clone())));
                if self.config.own.notify.desktop {
                    acts.push(Act::Try(notice, reply));
                } else {
                    let why = "notices on the desktop are switched off (notify.desktop = false)";
                    let _gone = reply.send(backupwatch_notify::posted(Err(why.to_owned())));
                }
            }
            Ask::Ladder { udid, reply } => {
                let _gone = reply.send(self.ladder(&udid, now));
            }
            Ask::Mark {
                udid,
                step,
                mark,
                reply,
            } => {
                let event = Event::Marked {
                    udid: udid.clone(),
                    step,
                    mark,
                };
                self.tell(event, now, acts);
                let _gone = reply.send(self.ladder(&udid, now));
            }
            Ask::Diagnosis { udid, reply } => {
                let _gone = reply.send(self.diagnosis(&udid, now));
            }
            Ask::Books { udid, books, reply } => {
                let _gone = reply.send(self.take_books(&udid, books, now, acts));
            }
            Ask::Listen { udid, reply } => self.ask_listen(&udid, reply, now, acts),
            Ask::StopListening { udid, reply } => {
                let _gone = reply.send(self.stop_listening(&udid));
            }
            Ask::Verified { check, reply } => {
                let udid = check.udid.clone();
                acts.push(Act::Write(Write::Check(check)));
                self.scan(udid.clone(), acts);
                self.checks.push(Check {
                    outstanding: BTreeSet::new(),
                    looks: self.last_look_for(&udid),
                    patience: now.host.plus(LOOK_PATIENCE),
                    reply,
                });
            }
            Ask::Follow { udid, reply } => {
                let backup = self.backups.get(&udid);
                let following = backup.map(|backup| backup.following.clone());
                let _gone = reply.send(following.ok_or(Refusal::NoBackup));
            }
        }
    }

    fn ladder(&self, udid: &Udid, now: &Now) -> Result<LadderDocument, Refusal> {
        let view = self.view(udid, now).ok_or(Refusal::UnknownDevice)?;
        let climb = self.watcher.climb(udid, now);
        let climb = climb.ok_or(Refusal::UnknownDevice)?;
        Ok(ladder::document(udid, view.name.clone(), &climb, now.host))
    }

    fn change(
        &mut self,
        event: Event,
        udid: &Udid,
        reply: oneshot::Sender<Result<Status, Refusal>>,
        now: &Now,
        troubles: &[String],
        acts: &mut Vec<Act>,
    ) {
        let answer = if self.view(udid, now).is_some() {
            self.tell(event, now, acts);
            Ok(self.status(now, troubles))
        } else {
            Err(Refusal::UnknownDevice)
        };
        let _gone = reply.send(answer);
    }

    fn ask_pair(
        &mut self,
        udid: Udid,
        reply: oneshot::Sender<Result<Trust, Refusal>>,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        let refusal = match self.view(&udid, now) {
            None => Some(Err(Refusal::UnknownDevice)),
            Some(view) if view.links.is_empty() => Some(Err(Refusal::NotAttached)),
            Some(view) if view.trust == Some(Trust::Trusted) => Some(Ok(Trust::Trusted)),
            Some(_) => None,
        };
        if let Some(answer) = refusal {
            let _gone = reply.send(answer);
            return;
        }
        self.tell(Event::AskPair { udid: udid.clone() }, now, acts);
        if self.pairing.contains(&udid) {
            self.pairs.push((udid, reply));
        } else {
            let trust = self.view(&udid, now).and_then(|view| view.trust);
            let _gone = reply.send(Ok(trust.unwrap_or(Trust::NotTrusted)));
        }
    }

    pub(super) fn why_no_backup(&mut self, udid: &Udid, now: &Now) -> Refusal {
        self.full.remove(udid);
        match self.view(udid, now) {
            None => Refusal::UnknownDevice,
            Some(view) if view.links.is_empty() => Refusal::NotAttached,
            // Before trust there is more to be done than to find a folder.
            Some(view)
                if view.trust == Some(Trust::Trusted)
                    && let medium = self.mediums.get(&self.places.of(udid).root)
                    && let Some(trouble) = medium.and_then(Medium::is_away) =>
            {
                Refusal::NoStore {
                    why: trouble.words.clone(),
                }
            }
            Some(view) => match view.backup {
                BackupView::Due { waiting_for, .. } if !waiting_for.is_empty() => {
                    Refusal::NotNow { waiting_for }
                }
                BackupView::Due { .. } | BackupView::NotDue | BackupView::Running { .. } => {
                    Refusal::NotNow {
                        waiting_for: "the device to answer".to_owned(),
                    }
                }
            },
        }
    }
}
