//! A watcher with a clock, and a transcript of what went in and what came out.

use crate::facts::{Facts, LinkKind};
use crate::fixture::{ANNA, later, udid};
use crate::ladder::{Climb, Mark, RungState};
use crate::notice::{Notice, NoticeKind};
use crate::policy::Policies;
use crate::steps::StepId;
use crate::time::{Now, Period};
use crate::verdict::CloudState;
use crate::watcher::{Attachment, BackupView, Command, DeviceView, Event, Remembered, Watcher};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) struct Story {
    pub(super) watcher: Watcher,
    pub(super) now: Now,
    pub(super) stored: BTreeMap<String, Remembered>,
    pub(super) notices: Vec<Notice>,
    policies: Policies,
    transcript: String,
}

impl Story {
    pub(super) fn new(now: Now, policies: impl Into<Policies>) -> Self {
        let policies = policies.into();
        Self {
            watcher: Watcher::new(policies.clone(), Vec::new()),
            now,
            stored: BTreeMap::new(),
            notices: Vec::new(),
            policies,
            transcript: String::new(),
        }
    }

    /// The agent ends and starts again with what it has stored, through JSON as in life.
    pub(super) fn restart(&mut self) {
        self.transcript.push_str("\n-- the agent restarts\n");
        let json = serde_json::to_string(&self.stored.values().collect::<Vec<_>>()).unwrap();
        self.watcher = Watcher::new(self.policies.clone(), serde_json::from_str(&json).unwrap());
    }

    pub(super) fn wait(&mut self, period: Period) -> &mut Self {
        self.now = later(&self.now, period);
        self
    }

    pub(super) fn send(&mut self, event: Event) -> Vec<Command> {
        let local = self
            .now
            .host
            .plus(Period::seconds(i64::from(self.now.utc_offset_s)));
        let _ = writeln!(
            self.transcript,
            "\n{}  {}",
            local.0.strftime("%a %d %b %H:%M:%S"),
            said(&event)
        );
        let commands = self.watcher.handle(&self.now, event);
        for command in &commands {
            if let Command::Remember(memory) = command {
                self.stored
                    .insert(memory.udid.to_string(), (**memory).clone());
            }
            if let Command::Notify(notice) = command {
                self.notices.push((**notice).clone());
            }
            self.transcript.push_str(&told(command));
        }
        commands
    }

    /// Anna's phone is plugged in and answers.
    pub(super) fn plug_in(&mut self, facts: Facts) -> Vec<Command> {
        self.send(Event::Attached {
            udid: udid(ANNA),
            link: LinkKind::Usb,
            attachment: Attachment(7),
        });
        self.wait(Period::seconds(1))
            .send(Event::Probed(Box::new(facts)))
    }

    pub(super) fn unplug(&mut self) {
        self.send(Event::Detached {
            attachment: Attachment(7),
        });
    }

    /// Ticks whenever the watcher wants it, answering every probe, until `period` is over. Only what is not routine is
    /// written down.
    pub(super) fn live(&mut self, period: Period, answer: impl Fn(&Now) -> Facts) {
        let end = self.now.host.plus(period);
        while let Some(next) = self
            .watcher
            .poll_timeout(&self.now)
            .filter(|next| *next < end)
        {
            self.now.host = next.max(self.now.host);
            for command in self.quietly(Event::Tick) {
                if let Command::Probe { .. } = command {
                    let facts = answer(&self.now);
                    self.quietly(Event::Probed(Box::new(facts)));
                }
            }
        }
        self.now.host = end;
    }

    fn quietly(&mut self, event: Event) -> Vec<Command> {
        let written = self.transcript.len();
        let commands = self.send(event);
        let routine = commands.iter().all(|command| {
            matches!(
                command,
                Command::Probe { .. } | Command::Remember(_) | Command::Record(_)
            )
        });
        if routine {
            self.transcript.truncate(written);
        }
        commands
    }

    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.transcript, "\n-- {text}");
    }

    pub(super) fn view(&self) -> DeviceView {
        self.watcher
            .devices(&self.now)
            .into_iter()
            .find(|view| view.udid == udid(ANNA))
            .unwrap()
    }

    pub(super) fn show(&mut self) {
        let view = self.view();
        let backup = match &view.backup {
            BackupView::NotDue => "not due".to_owned(),
            BackupView::Due {
                reasons,
                waiting_for,
            } => format!("due ({}), waits for {waiting_for}", reasons.join(", ")),
            BackupView::Running { phase } => format!("running, {phase:?}"),
        };
        let _ = writeln!(
            self.transcript,
            "\n== {} | {} | {}\n   backup {backup}",
            view.verdict.protection.code(),
            view.verdict.reason,
            view.verdict.next.words
        );
    }

    pub(super) fn mark(&mut self, step: StepId, mark: Mark) {
        self.send(Event::Marked {
            udid: udid(ANNA),
            step,
            mark,
        });
    }

    pub(super) fn climb(&self) -> Climb {
        self.watcher.climb(&udid(ANNA), &self.now).unwrap()
    }

    /// Where the ladder stands, and every step that is more than ready.
    pub(super) fn show_ladder(&mut self) {
        let climb = self.climb();
        let _ = writeln!(self.transcript, "\n## {}", climb.words);
        for rung in &climb.rungs {
            if rung.state == RungState::Ready {
                continue;
            }
            let (step, state) = (rung.step.code(), rung.state.code());
            let _ = writeln!(self.transcript, "   {step} {state}: {}", rung.why);
            for seen in &rung.seen {
                let _ = writeln!(self.transcript, "      - {seen}");
            }
        }
    }

    pub(super) fn kinds(&self) -> Vec<NoticeKind> {
        self.notices.iter().map(|notice| notice.kind).collect()
    }

    pub(super) fn state(&self) -> CloudState {
        self.view().verdict.cloud.state
    }

    pub(super) fn transcript(self) -> String {
        self.transcript
    }
}

fn said(event: &Event) -> String {
    match event {
        Event::Attached {
            link, attachment, ..
        } => format!("attached #{attachment} by {link:?}"),
        Event::Detached { attachment } => format!("detached #{attachment}"),
        Event::Probed(facts) => {
            let age = facts
                .cloud_last
                .as_ref()
                .ok()
                .zip(facts.device_clock.as_ref().ok());
            let age = age.map_or("no date".to_owned(), |(date, now)| {
                crate::words::lasting(now.since(*date))
            });
            format!(
                "probed: {:?}, switch {:?}, {age}, locked {:?}",
                facts.trust, facts.cloud_enabled, facts.locked
            )
        }
        Event::BackupFinished(report) => match &report.end {
            crate::run::RunEnd::Verified(_) => "backup finished: verified".to_owned(),
            crate::run::RunEnd::Failed(failure) => format!("backup finished: {failure:?}"),
        },
        Event::BooksRead { books, .. } => {
            format!("books read: {} attempts", books.attempts.len())
        }
        Event::Marked { step, mark, .. } => format!("marked {step}: {mark:?}"),
        Event::MuxUp
        | Event::MuxDown { .. }
        | Event::Paired { .. }
        | Event::ProbeFailed { .. }
        | Event::PairAnswer { .. }
        | Event::DomainChanged { .. }
        | Event::LockChanged { .. }
        | Event::ObserveEnded { .. }
        | Event::BackupStarted { .. }
        | Event::BackupPhase { .. }
        | Event::UploadProgress { .. }
        | Event::StoreScanned { .. }
        | Event::RereadEnded { .. }
        | Event::StoreReady { .. }
        | Event::StoreMissing { .. }
        | Event::OwnStoreReady { .. }
        | Event::OwnStoreMissing { .. }
        | Event::AskBackup { .. }
        | Event::AskCancel { .. }
        | Event::AskProbe { .. }
        | Event::AskPair { .. }
        | Event::Snooze { .. }
        | Event::LocalOnly { .. }
        | Event::Listened { .. }
        | Event::JobPanicked { .. }
        | Event::Woke
        | Event::Tick => format!("{event:?}"),
    }
}

fn told(command: &Command) -> String {
    match command {
        Command::Probe { attachment, .. } => format!("    probe #{attachment}\n"),
        Command::Pair { attachment, .. } => format!("    pair #{attachment}\n"),
        Command::Observe { attachment, .. } => format!("    observe #{attachment}\n"),
        Command::Notify(notice) => {
            let buttons: Vec<String> = notice
                .actions
                .iter()
                .map(|action| format!(" [{}]", action.label()))
                .collect();
            format!(
                "    NOTICE {} ({:?}): {}\n           {}\n          {}\n",
                notice.kind.code(),
                notice.level,
                notice.title,
                notice.body,
                buttons.concat()
            )
        }
        Command::StartBackup { attachment, plan } => {
            format!("    START BACKUP over #{attachment}: {plan}\n")
        }
        Command::CancelBackup { .. } => "    CANCEL BACKUP\n".to_owned(),
        Command::Reread { slice, .. } => {
            format!(
                "    READ AGAIN {} parts from {}\n",
                slice.parts, slice.first
            )
        }
        Command::StopReread { .. } => "    STOP READING\n".to_owned(),
        Command::Remember(_) => "    remember\n".to_owned(),
        Command::Record(observation) => {
            format!(
                "    record {}{}\n",
                observation.verdict.cloud.state.code(),
                if observation.changed { ", changed" } else { "" }
            )
        }
    }
}
