//! One loop turn's middle part: from what happened to what is to be done, without waiting for anything. The judgement is
//! `core::Watcher`'s; here it is fed, its commands are matched with what this process knows (attachments, running backups,
//! who is waiting for an answer), and what is to be done is handed out in order.

mod asks;
mod cables;
mod chatter;
mod ends;
mod errands;
mod looking;
mod notes;
mod visits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use backupwatch_core::reread::Slice;
use backupwatch_core::retention::RetentionPolicy;
use backupwatch_core::run::{Phase, Progress, RunReport};
use backupwatch_core::watcher::{Attachment, Command, DeviceView, Event, Remembered, Watcher};
use backupwatch_core::words::ended;
use backupwatch_core::{HostTime, LocalCopy, NoAnswer, Now, Period, Trust, Udid};
use backupwatch_notify::Posted;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use chatter::Chatter;
use errands::Errands;
use looking::{Looking, Looks};
use notes::Notes;
use visits::Visits;

use super::ask::{Following, Refusal};
use crate::alias::Aliases;
use crate::bus::Cables;
use crate::config::{Alone, Config};
use crate::diagnosis::ListenEvent;
use crate::errand::Errand;
use crate::jobs::Place;
use crate::keeper::Write;
use crate::medium::Medium;
use crate::page::Place as Page;
use crate::phones::Attached;
use crate::places::Places;
use crate::status::{self, AgentStatus, Live, OwnStores, Status};

/// How long *Snooze* on a notice lasts.
const SNOOZE: Period = Period::days(1);
/// How long a check waits for the store. A phone that does not answer takes longer.
const LOOK_PATIENCE: Period = Period::seconds(5);
/// How often old rows are looked for.
const PRUNE_EVERY: Period = Period::days(1);

/// Something to be done, in the order in which it was decided.
#[derive(Debug)]
pub(super) enum Act {
    Listen {
        again: bool,
    },
    Probe(Attached),
    Pair(Attached),
    Observe(Attached),
    Detached(Attachment),
    BackUp {
        udid: Udid,
        full: bool,
        retention: RetentionPolicy,
        progress: watch::Sender<Progress>,
    },
    Cancel(Udid),
    Notify(Box<backupwatch_core::notice::Notice>),
    /// The same, and who asked for it hears whether it came onto the screen.
    Try(
        Box<backupwatch_core::notice::Notice>,
        oneshot::Sender<Posted>,
    ),
    Scan {
        place: Box<Place>,
        udids: BTreeSet<Udid>,
        heal: bool,
    },
    Reread {
        udid: Udid,
        slice: Slice,
    },
    StopReread,
    ReadNotes(Udid),
    LookAtCables,
    ListenTo {
        attached: Attached,
        follower: mpsc::Sender<ListenEvent>,
        cancel: CancellationToken,
    },
    RunProgram(Box<Errand>),
    /// Shows the person a place on the page.
    Open(Page),
    /// Another configuration holds.
    Configured,
    /// Ends the agent; it comes back at the next login.
    Quit,
    Write(Write),
}

/// What the agent knows of usbmuxd.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mux {
    NotHeardOf,
    Up,
    Down(String),
}

#[derive(Debug)]
struct Backup {
    /// Where it goes, whatever is configured meanwhile.
    root: PathBuf,
    following: Following,
    end: watch::Sender<Option<RunReport>>,
}

#[derive(Debug)]
struct Check {
    outstanding: BTreeSet<Udid>,
    /// The looks at the stores that it waits for, and until when: a disk that hangs keeps nobody waiting.
    looks: Looks,
    patience: HostTime,
    reply: oneshot::Sender<Status>,
}

#[derive(Debug)]
struct Wish {
    udid: Udid,
    reply: oneshot::Sender<Result<Following, Refusal>>,
}

#[derive(Debug)]
pub(super) struct Mind {
    watcher: Watcher,
    pub(super) config: Config,
    /// What of it holds for single devices alone.
    alone: Alone,
    pub(super) places: Places,
    /// In which own roots the backups are that are known, as the state has it.
    lay: BTreeMap<Udid, PathBuf>,
    copies: BTreeMap<Udid, LocalCopy>,
    aliases: Option<Aliases>,
    looking: BTreeMap<PathBuf, Looking>,
    notes: Notes,
    errands: Errands,
    chatter: Chatter,
    cables: Cables,
    attached: BTreeMap<Attachment, Attached>,
    /// Visits to each device that wait or are under way.
    probing: BTreeMap<Udid, usize>,
    visits: Visits,
    pairing: BTreeSet<Udid>,
    backups: BTreeMap<Udid, Backup>,
    full: BTreeSet<Udid>,
    resident: bool,
    /// What was remembered before this process, for one whose notices nobody sees.
    before: BTreeMap<Udid, Remembered>,
    mux: Mux,
    /// How the places for backups were at the last look, by their roots.
    mediums: BTreeMap<PathBuf, Medium>,
    last_poll: Option<HostTime>,
    round_at: HostTime,
    prune_at: HostTime,
    tick_at: Option<HostTime>,
    checks: Vec<Check>,
    wishes: Vec<Wish>,
    pairs: Vec<(Udid, oneshot::Sender<Result<Trust, Refusal>>)>,
    remarks: Vec<String>,
}

impl Mind {
    pub(super) fn new(
        config: Config,
        resident: bool,
        places: Places,
        remembered: Vec<Remembered>,
        last_poll: Option<HostTime>,
        remarks: Vec<String>,
        now: &Now,
    ) -> Self {
        let before = if resident {
            BTreeMap::new()
        } else {
            let one = |one: &Remembered| (one.udid.clone(), one.clone());
            remembered.iter().map(one).collect()
        };
        let copies = status::copies(&remembered);
        let mut watcher = Watcher::new(config.policies.clone(), remembered);
        watcher.set_apart(places.own().keys().cloned());
        Self {
            before,
            copies,
            aliases: None,
            watcher,
            alone: config.alone().unwrap_or_default(),
            config,
            resident,
            places,
            lay: BTreeMap::new(),
            looking: BTreeMap::new(),
            notes: Notes::default(),
            errands: Errands::default(),
            chatter: Chatter::default(),
            cables: Cables::default(),
            attached: BTreeMap::new(),
            probing: BTreeMap::new(),
            visits: Visits::default(),
            pairing: BTreeSet::new(),
            backups: BTreeMap::new(),
            full: BTreeSet::new(),
            mux: Mux::NotHeardOf,
            mediums: BTreeMap::new(),
            last_poll,
            // The first round is part of the start.
            round_at: now.host,
            prune_at: now.host,
            tick_at: None,
            checks: Vec::new(),
            wishes: Vec::new(),
            pairs: Vec::new(),
            remarks,
        }
    }

    /// With these aliases for devices.
    pub(super) fn with(self, aliases: Aliases) -> Self {
        let aliases = Some(aliases);
        Self { aliases, ..self }
    }

    /// When the loop has to come back although nothing happened.
    pub(super) fn wake_at(&self) -> HostTime {
        let impatient = self
            .checks
            .iter()
            .filter(|check| !self.has_looked(&check.looks));
        self.tick_at
            .into_iter()
            .chain(self.cables.due())
            .chain(impatient.map(|check| check.patience))
            .fold(self.round_at, HostTime::min)
    }

    /// Whether a backup is under way.
    pub(super) fn is_backing_up(&self) -> bool {
        !self.backups.is_empty()
    }

    pub(super) fn woke(&mut self, now: &Now, acts: &mut Vec<Act>) {
        tracing::info!("the computer woke up, or its clock was set");
        self.tell(Event::Woke, now, acts);
        self.cables_changed(now);
        // The clock may have been set back, and the next round would be far away.
        self.round_at = now.host;
    }

    /// What is due by the clock. Called in every turn, so that a busy loop cannot starve it.
    pub(super) fn on_time(&mut self, now: &Now, acts: &mut Vec<Act>) {
        if self.tick_at.is_some_and(|tick| tick <= now.host) {
            self.tick_at = None;
            self.tell(Event::Tick, now, acts);
        }
        if self.round_at <= now.host {
            self.round_at = now.host.plus(self.config.policies.general.poll.interval);
            self.scan_all(now, acts);
            if self.mux == Mux::Up {
                self.polled(now, acts);
            }
        }
        self.look_at_cables(now, acts);
        if self.prune_at <= now.host {
            self.prune_at = now.host.plus(PRUNE_EVERY);
            acts.push(Act::Write(Write::Prune(now.host)));
        }
    }

    /// The last part of every turn: answers those whose answer is there, and asks when to come back.
    pub(super) fn settle(&mut self, now: &Now, troubles: &[String]) {
        self.tick_at = self.watcher.poll_timeout(now);
        let probing = &self.probing;
        for check in &mut self.checks {
            check.outstanding.retain(|udid| probing.contains_key(udid));
            if check.patience <= now.host {
                check.looks.clear();
            }
        }
        while let Some(at) = self
            .checks
            .iter()
            .position(|check| check.outstanding.is_empty() && self.has_looked(&check.looks))
        {
            let check = self.checks.swap_remove(at);
            // Whoever asked may be gone.
            let _gone = check.reply.send(self.status(now, troubles));
        }
        for wish in std::mem::take(&mut self.wishes) {
            if let Some(backup) = self.backups.get(&wish.udid) {
                let _gone = wish.reply.send(Ok(backup.following.clone()));
            } else if self.probing.contains_key(&wish.udid) {
                self.wishes.push(wish);
            } else {
                let _gone = wish.reply.send(Err(self.why_no_backup(&wish.udid, now)));
            }
        }
    }

    pub(super) fn status(&self, now: &Now, troubles: &[String]) -> Status {
        let mut remarks = self.remarks.clone();
        if let Mux::Down(why) = &self.mux {
            remarks.push(format!("Phones cannot be seen: {}", ended(why)));
        }
        let views = self.watcher.devices(now);
        let (medium, own) = (self.shared_medium(), self.own_stores());
        let nicknames = &self.config.nicknames;
        remarks.extend(status::remarks(medium, &own, &views, nicknames));
        remarks.extend(troubles.iter().cloned());
        remarks.extend(self.sealed_notes(&views));
        remarks.extend(self.cable_remarks(&views));
        remarks.extend(self.errand_remarks(&views));
        let agent = AgentStatus {
            running: self.resident,
            last_poll: self.last_poll.map(|at| at.0),
            usbmuxd: match self.mux {
                Mux::NotHeardOf => None,
                Mux::Up => Some(true),
                Mux::Down(_) => Some(false),
            },
            remarks,
            managed: self.config.managed.clone(),
        };
        let progress = self
            .backups
            .iter()
            .map(|(udid, backup)| (udid, backup.following.progress.borrow().clone()))
            .collect();
        status::document(
            now.host,
            agent,
            &views,
            &self.copies,
            &self.config.nicknames,
            &Live {
                progress,
                medium,
                own,
                aliases: self.aliases.as_ref(),
                alone: Some(&self.alone),
            },
        )
    }

    /// Something happened outside.
    pub(super) fn on_event(&mut self, event: Event, now: &Now, acts: &mut Vec<Act>) {
        self.tell(event, now, acts);
    }

    /// Feeds the watcher and carries out what it says, and what follows from that, until it is quiet.
    fn tell(&mut self, event: Event, now: &Now, acts: &mut Vec<Act>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.note(&event, now, acts, &mut events);
            for command in self.watcher.handle(now, event) {
                self.carry_out(command, now, acts, &mut events);
            }
        }
        self.begin_visits(acts);
    }

    /// What this process itself has to know of an event.
    fn note(
        &mut self,
        event: &Event,
        now: &Now,
        acts: &mut Vec<Act>,
        events: &mut VecDeque<Event>,
    ) {
        match event {
            Event::MuxUp => {
                if self.mux != Mux::Up {
                    tracing::info!("usbmuxd answers");
                }
                self.mux = Mux::Up;
                self.cables_changed(now);
            }
            Event::MuxDown { why } => {
                tracing::warn!(why, "usbmuxd does not answer");
                self.mux = Mux::Down(why.clone());
                self.cables_changed(now);
                self.no_visits(|_| true, events);
                acts.extend(
                    std::mem::take(&mut self.attached)
                        .into_keys()
                        .map(Act::Detached),
                );
            }
            Event::Attached {
                udid,
                link,
                attachment,
            } => {
                if self.chatter.may_say(now) {
                    tracing::info!(udid = udid.short(), ?link, %attachment, "attached");
                }
                let attached = Attached {
                    udid: udid.clone(),
                    link: *link,
                    attachment: *attachment,
                };
                self.attached.insert(*attachment, attached);
                self.cables_changed(now);
                self.scan(udid.clone(), acts);
            }
            Event::Detached { attachment } => {
                if let Some(attached) = self.attached.remove(attachment)
                    && self.chatter.may_say(now)
                {
                    tracing::info!(udid = attached.udid.short(), %attachment, "detached");
                }
                acts.push(Act::Detached(*attachment));
                self.no_visits(|gone| gone == *attachment, events);
                self.cables_changed(now);
            }
            Event::Paired { .. }
            | Event::Probed(_)
            | Event::ProbeFailed { .. }
            | Event::PairAnswer { .. }
            | Event::DomainChanged { .. }
            | Event::LockChanged { .. }
            | Event::ObserveEnded { .. }
            | Event::BackupStarted { .. }
            | Event::BackupPhase { .. }
            | Event::BackupFinished(_)
            | Event::UploadProgress { .. }
            | Event::StoreScanned { .. }
            | Event::StoreReady { .. }
            | Event::StoreMissing { .. }
            | Event::OwnStoreReady { .. }
            | Event::OwnStoreMissing { .. }
            | Event::RereadEnded { .. }
            | Event::AskBackup { .. }
            | Event::AskCancel { .. }
            | Event::AskProbe { .. }
            | Event::AskPair { .. }
            | Event::Snooze { .. }
            | Event::LocalOnly { .. }
            | Event::BooksRead { .. }
            | Event::Listened { .. }
            | Event::Marked { .. }
            | Event::JobPanicked { .. }
            | Event::Woke
            | Event::Tick => {}
        }
    }

    fn carry_out(
        &mut self,
        command: Command,
        now: &Now,
        acts: &mut Vec<Act>,
        events: &mut VecDeque<Event>,
    ) {
        match command {
            Command::Probe { udid, attachment } => match self.attached.get(&attachment) {
                Some(attached) => self.wants_visit(attached.clone()),
                None => events.push_back(Event::ProbeFailed {
                    udid,
                    why: NoAnswer::LinkLost,
                }),
            },
            Command::Pair { udid, attachment } => match self.attached.get(&attachment) {
                Some(attached) => {
                    self.pairing.insert(udid);
                    acts.push(Act::Pair(attached.clone()));
                }
                None => events.push_back(Event::PairAnswer {
                    udid,
                    trust: Trust::NotTrusted,
                }),
            },
            // A single command is over before a phone has anything to tell by itself.
            Command::Observe { .. } if !self.resident => {}
            Command::Observe { udid, attachment } => match self.attached.get(&attachment) {
                Some(attached) => acts.push(Act::Observe(attached.clone())),
                None => events.push_back(Event::ObserveEnded { udid }),
            },
            // A single command speaks on the terminal.
            Command::Notify(_) if !self.resident => {}
            Command::Notify(notice) => {
                tracing::info!(
                    udid = notice.udid.as_ref().map(Udid::short),
                    kind = notice.kind.code(),
                    "notice"
                );
                acts.push(Act::Write(Write::Notice(notice.clone())));
                acts.push(Act::Notify(notice));
            }
            Command::StartBackup {
                attachment: _,
                plan,
            } => {
                if self.backups.contains_key(&plan.udid) {
                    tracing::error!(
                        udid = plan.udid.short(),
                        "a second backup of one device was to begin"
                    );
                    return;
                }
                tracing::info!(udid = plan.udid.short(), %plan, "a backup begins");
                let (progress, follow) = watch::channel(Progress {
                    phase: Phase::Opening,
                    percent: None,
                    bytes: 0,
                    files: 0,
                    started: now.host,
                });
                let (end, ended) = watch::channel(None);
                let following = Following {
                    progress: follow,
                    end: ended,
                };
                let root = self.places.of(&plan.udid).root.clone();
                let backup = Backup {
                    root,
                    following,
                    end,
                };
                self.backups.insert(plan.udid.clone(), backup);
                let full = self.full.remove(&plan.udid);
                acts.push(Act::BackUp {
                    udid: plan.udid.clone(),
                    full,
                    retention: self.config.policy(&plan.udid).retention,
                    progress,
                });
                events.push_back(Event::BackupStarted { udid: plan.udid });
            }
            Command::CancelBackup { udid } => acts.push(Act::Cancel(udid)),
            // A single command is over before a slow disk is.
            Command::Reread { .. } | Command::StopReread { .. } if !self.resident => {}
            Command::Reread { udid, slice } => {
                tracing::info!(
                    udid = udid.short(),
                    parts = slice.parts,
                    "a part of a backup is read again"
                );
                acts.push(Act::Reread { udid, slice });
            }
            Command::StopReread { .. } => acts.push(Act::StopReread),
            Command::Remember(mut one) => {
                if !self.resident {
                    self.untold(&mut one);
                }
                match &one.past.copy {
                    Some(copy) => self.copies.insert(one.udid.clone(), copy.clone()),
                    None => self.copies.remove(&one.udid),
                };
                acts.push(Act::Write(Write::Remember(one, now.host)));
            }
            Command::Record(line) => acts.push(Act::Write(Write::Record(line))),
        }
    }

    /// What nobody was shown is still to be told by the next agent.
    fn untold(&self, one: &mut Remembered) {
        let before = self.before.get(&one.udid);
        one.told = before.map(|one| one.told.clone()).unwrap_or_default();
        one.today = before.map(|one| one.today).unwrap_or_default();
        one.notices = before.map(|one| one.notices).unwrap_or_default();
    }

    fn polled(&mut self, now: &Now, acts: &mut Vec<Act>) {
        if self.last_poll != Some(now.host) {
            self.last_poll = Some(now.host);
            acts.push(Act::Write(Write::Polled(now.host)));
        }
    }

    /// How the shared store was at the last look.
    fn shared_medium(&self) -> Option<&Medium> {
        self.mediums.get(&self.places.shared().root)
    }

    /// How those of single devices were.
    fn own_stores(&self) -> OwnStores<'_> {
        status::own_stores(self.places.own(), &self.mediums)
    }

    fn view(&self, udid: &Udid, now: &Now) -> Option<DeviceView> {
        self.watcher
            .devices(now)
            .into_iter()
            .find(|view| view.udid == *udid)
    }
}
