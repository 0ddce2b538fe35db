//! What the agent tells programs outside: a service that notices when it falls silent, webhooks, and a program of the person's after
//! a backup. Only what a person configured, and only from the running agent.
//!
//! The loop's side is here: what is told, to whom, and what became of it. Who carries it is beside the loop and keeps it from nothing.
//! Deliberately not here: when a backup is due or what a verdict is; what is told is read off the status document.

mod check;
mod configured;
mod contact;
mod courier;
pub mod event;
pub mod http;
mod kept;
mod outlook;
mod pause;
mod pinger;
pub mod program;
pub mod settings;
pub mod sign;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::run::{RunEnd, RunReport};
use backupwatch_core::{HostTime, Udid};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use check::{Check, end_of};
use configured::Left;
pub use contact::{Contact, Whom};
pub(crate) use courier::Internet;
use courier::Queue;
use event::{Event, Kind, uuid};
pub(crate) use kept::Kept;
pub use kept::{Record, Told};
use pinger::{Ping, Signal};
use program::UnsafeProgram;
use settings::Webhook;
use sign::{Secret, SecretError};

use crate::alias::Aliases;
use crate::clock::Clock;
use crate::config::Own;
use crate::errand::Run;
use crate::report;
use crate::status::{DeviceStatus, Status};

/// Changes are looked for no more often: five hundred phones that are attached at once are one look.
const PAUSE: Duration = Duration::from_secs(1);
/// News from the carriers that may wait for the loop.
const TIDINGS: usize = 64;

/// What became of something that was to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was taken.
    Taken,
    /// It was refused, and is not sent again. Why.
    Refused(String),
    /// It was not taken this time. Why.
    Waits(String),
    /// Nobody took it for too long.
    TooOld,
}

/// News from a carrier.
#[derive(Debug)]
pub(crate) struct Tiding {
    key: String,
    /// The message that has come to its end.
    event: Option<Arc<Event>>,
    fate: Fate,
}

/// Why something that is configured cannot be told. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The program after a backup.
    #[error(transparent)]
    Program(#[from] UnsafeProgram),
    /// What signs messages.
    #[error("sign for the webhook at {host}")]
    Secret {
        /// Where they would go.
        host: String,
        /// Why.
        #[source]
        source: SecretError,
    },
}

/// Whether the files are fit for use that the configuration names. They are looked at again each time that they are used.
pub fn ready(own: &Own) -> Result<(), NotReady> {
    if let Some(program) = own.hooks.program() {
        program::check(program)?;
    }
    own.webhook.iter().try_for_each(|webhook| {
        let host = || webhook.url.host();
        let secret = Secret::read(&webhook.secret_file);
        secret.map(drop).map_err(|source| NotReady::Secret {
            host: host(),
            source,
        })
    })
}

/// A system without chance does not start this program; then at least nobody is told an identifier that is not there.
fn chance<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the system has no chance to give");
    }
    bytes
}

/// One webhook, as the loop sees it.
struct Hook {
    key: String,
    webhook: Webhook,
    queue: Arc<Queue>,
    /// It ends with this.
    _courier: AbortOnDropHandle<()>,
}

/// Everything outside, as the loop sees it.
pub(crate) struct Outside {
    hooks: Vec<Hook>,
    checks: Vec<Check>,
    contacts: BTreeMap<String, Contact>,
    told: BTreeMap<Udid, Told>,
    /// Backups and programs that ended in this turn.
    ended: Vec<RunReport>,
    programs: Vec<Run>,
    left: Left,
    interval: backupwatch_core::Period,
    /// Long ago: what is due then is due at once.
    begun: Instant,
    stale: bool,
    not_before: Instant,
    beat: Instant,
    zone: TimeZone,
    aliases: Aliases,
    clock: Arc<dyn Clock>,
    tell: mpsc::Sender<Tiding>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("contacts", &self.contacts)
            .finish_non_exhaustive()
    }
}

impl Outside {
    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.stale = true;
    }

    /// Whether anybody is configured.
    fn is_anybody(&self) -> bool {
        !self.hooks.is_empty() || !self.checks.is_empty()
    }

    /// When [`Self::look`] has something to do; never, while nobody is to be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.is_anybody().then(|| {
            if !self.ended.is_empty() || !self.programs.is_empty() {
                self.begun
            } else if self.stale {
                self.not_before.min(self.beat)
            } else {
                self.beat
            }
        })
    }

    /// From one beat to the next.
    fn every(&self) -> Duration {
        let every = u64::try_from(self.interval.as_seconds()).unwrap_or(1);
        Duration::from_secs(every.max(1))
    }

    /// The computer woke up: what waits is tried at once, and everybody is told how things are.
    pub(crate) fn woke(&mut self, now: Instant) {
        self.beat = now;
        self.stale = true;
        for hook in &self.hooks {
            hook.queue.again();
        }
    }

    /// A backup begins.
    pub(crate) fn run_begins(&mut self, udid: &Udid) {
        let run = uuid(chance());
        for check in self.checks.iter_mut().filter(|check| check.is_about(udid)) {
            check.runs.insert(udid.clone(), run.clone());
            let ping = Ping {
                signal: Signal::Start,
                run: Some(run.clone()),
                words: "A backup begins.".to_owned(),
            };
            check.mailbox.push(ping, false);
        }
    }

    /// A backup ended. It is told of with the next look, which knows what follows from it.
    pub(crate) fn run_ended(&mut self, report: &RunReport) {
        if self.is_anybody() {
            self.ended.push(report.clone());
        }
    }

    /// A program after a backup ended.
    pub(crate) fn program_ended(&mut self, run: &Run) {
        if self.is_anybody() {
            self.programs.push(run.clone());
        }
    }

    /// What a person should know.
    pub(crate) fn remarks(&self, now: HostTime) -> impl Iterator<Item = String> {
        let contacts = self.contacts.values();
        contacts.filter_map(move |contact| contact.remark(now, &self.zone))
    }

    /// Takes in what became of something.
    pub(crate) fn heard(&mut self, tiding: Tiding, now: HostTime) -> Vec<Record> {
        let Tiding { key, event, fate } = tiding;
        let mut records = Vec::new();
        if let Some(contact) = self.contacts.get_mut(&key)
            && contact.learn(&fate, now)
        {
            records.push(Record::Contact(key.clone(), Box::new(contact.clone())));
        }
        records.extend(event.map(|event| Record::Gone(key, event)));
        records
    }

    /// Tells what has changed, if it is time. `writes`: whether what happens can be recorded.
    pub(crate) fn look(
        &mut self,
        at: Instant,
        now: HostTime,
        writes: bool,
        status: impl FnOnce() -> Status,
    ) -> Vec<Record> {
        if self.due().is_none_or(|due| at < due) {
            return Vec::new();
        }
        let status = status();
        self.stale = false;
        self.not_before = at + PAUSE;
        let forgotten = self.left.forget().into_iter();
        let mut records: Vec<Record> = forgotten.map(Record::Forgotten).collect();
        let reports = std::mem::take(&mut self.ended);
        for report in &reports {
            let event = run_event(report, &status, now);
            self.post(event, &mut records, now);
        }
        for run in std::mem::take(&mut self.programs) {
            if let Some(event) = program_event(&run, &status, now) {
                self.post(event, &mut records, now);
            }
        }
        // Before the first look at the phones and at the store, nothing is known that was not told. Who waits for a beat meanwhile
        // hears nothing, and that is right.
        let known = status.store.is_some() && status.agent.usbmuxd.is_some();
        if known {
            self.tell_changes(&status, &mut records, now);
        }
        let blind = outlook::blind(&status, now, self.interval, writes);
        let due = self.beat <= at;
        if due {
            self.beat = at + self.every();
        }
        for check in &mut self.checks {
            let (outlook, words) = check.outlook(&status, blind);
            for report in &reports {
                if let Some(run) = check.runs.remove(&report.udid) {
                    check
                        .mailbox
                        .push(end_of(report, run, outlook, &words), false);
                    check.last = Some(outlook);
                }
            }
            if known && (due || check.last != Some(outlook)) {
                check.beat(outlook, words);
            }
        }
        records
    }

    fn tell_changes(&mut self, status: &Status, records: &mut Vec<Record>, now: HostTime) {
        if self.hooks.is_empty() {
            return;
        }
        for device in &status.devices {
            let Ok(udid) = Udid::parse(&device.udid) else {
                continue;
            };
            let told = Told {
                protection: device.protection(),
                damaged: device.local.damaged.is_some(),
            };
            let before = self.told.get(&udid);
            if before == Some(&told) {
                continue;
            }
            let was = before.map(|told| told.protection);
            let is_damage = told.damaged && before.is_none_or(|before| !before.damaged);
            let about = |kind, after| Event {
                id: format!("evt_{}", uuid(chance())),
                at: now,
                kind,
                udid: udid.clone(),
                name: name(device),
                before: was.filter(|_| after),
                after: after.then_some(told.protection),
                outcome: None,
                words: device.reason.clone(),
            };
            let mut events = Vec::new();
            if was != Some(told.protection) {
                events.push(about(Kind::ProtectionChanged, true));
            }
            if is_damage {
                events.push(about(Kind::BackupDamaged, false));
            }
            for event in events {
                self.post(event, records, now);
            }
            records.push(Record::Told(udid.clone(), told.clone()));
            self.told.insert(udid, told);
        }
    }

    fn post(&mut self, event: Event, records: &mut Vec<Record>, now: HostTime) {
        let event = Arc::new(event);
        for hook in &self.hooks {
            if !hook.webhook.events.contains(&event.kind) {
                continue;
            }
            records.push(Record::Waits(hook.key.clone(), Arc::clone(&event)));
            let Some(gone) = hook.queue.push(Arc::clone(&event)) else {
                continue;
            };
            records.push(Record::Gone(hook.key.clone(), gone));
            if let Some(contact) = self.contacts.get_mut(&hook.key) {
                contact.lose(now);
                let contact = Box::new(contact.clone());
                records.push(Record::Contact(hook.key.clone(), contact));
            }
        }
    }
}

fn name(device: &DeviceStatus) -> Option<String> {
    device.nickname.clone().or_else(|| device.name.clone())
}

fn name_of(udid: &Udid, status: &Status) -> Option<String> {
    let is = |device: &&DeviceStatus| device.udid == udid.as_str();
    status.devices.iter().find(is).and_then(name)
}

fn run_event(report: &RunReport, status: &Status, now: HostTime) -> Event {
    Event {
        id: format!("evt_{}", uuid(chance())),
        at: now,
        kind: match report.end {
            RunEnd::Verified(_) => Kind::BackupVerified,
            RunEnd::Failed(_) => Kind::BackupFailed,
        },
        udid: report.udid.clone(),
        name: name_of(&report.udid, status),
        before: None,
        after: None,
        outcome: Some(report::outcome(&report.end).to_owned()),
        words: report::sentence(&report.end),
    }
}

fn program_event(run: &Run, status: &Status, now: HostTime) -> Option<Event> {
    (!run.ok && !run.is_to_be_repeated()).then(|| Event {
        id: format!("evt_{}", uuid(chance())),
        at: now,
        kind: Kind::HookFailed,
        udid: run.udid.clone(),
        name: name_of(&run.udid, status),
        before: None,
        after: None,
        outcome: Some(run.outcome.clone()),
        words: run.words.clone(),
    })
}

#[cfg(test)]
mod tests;
