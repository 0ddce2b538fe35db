//! The machine that decides: events and `now` go in, commands come out.
//!
//! No I/O, no clock, no waiting. It is the only place that decides and the only one that retries; everything else
//! either tells it what happened or does what it says. What an event changes is in `intake`, `contact`,
//! `runs` and `rereading`; what follows for the device is decided here, in `settle`; what a face may show is in `view`.

mod contact;
mod device;
mod disks;
mod due;
pub mod event;
mod intake;
pub mod remembered;
mod rereading;
mod runs;
mod scale;
mod telling;
mod view;

#[cfg(test)]
mod tests;

pub use crate::time::Now;
pub use disks::Disk;
pub use event::{Attachment, Command, Event, Job, Observation};
pub use remembered::Remembered;
pub use view::{BackupView, DeviceView};

use crate::facts::Trust;
use crate::judge::{Medium, judge};
use crate::ladder::Climb;
use crate::policy::{Policies, Policy};
use crate::run::{Phase, RunPlan};
use crate::time::HostTime;
use crate::udid::Udid;
use crate::words;
use device::{Device, Running};
use disks::Disks;
use rereading::Rereading;
use scale::scaled;
use std::borrow::Cow;
use std::collections::BTreeMap;
use telling::{Decided, Outlook};

/// The machine.
#[derive(Debug)]
pub struct Watcher {
    policies: Policies,
    devices: BTreeMap<Udid, Device>,
    attachments: BTreeMap<Attachment, Udid>,
    /// Where most devices are backed up to.
    store: StoreState,
    /// The devices with a folder or disk of their own, and how that is.
    apart: BTreeMap<Udid, StoreState>,
    disks: Disks,
    mux_is_up: bool,
    rereading: Rereading,
}

/// The folder or disk for backups, as last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoreState {
    /// Nothing was heard; it is taken to be there.
    NotHeardOf,
    Ready {
        free: Option<u64>,
    },
    Missing,
}

/// Which devices an event may have consequences for.
#[derive(Debug)]
enum Touched {
    Nobody,
    One(Udid),
    All,
}

impl Watcher {
    /// A machine that knows what `remembered` holds.
    pub fn new(policies: impl Into<Policies>, remembered: Vec<Remembered>) -> Self {
        let known = remembered
            .into_iter()
            .map(|memory| (memory.udid.clone(), Device::remembered(memory)));
        Self {
            policies: policies.into(),
            devices: known.collect(),
            attachments: BTreeMap::new(),
            store: StoreState::NotHeardOf,
            apart: BTreeMap::new(),
            disks: Disks::default(),
            mux_is_up: false,
            rereading: Rereading::default(),
        }
    }

    /// From now on these hold.
    pub fn set_policies(&mut self, policies: impl Into<Policies>) {
        self.policies = policies.into();
    }

    /// From now on these are backed up to folders or disks of their own, and all others to the same one. Of a device's own store
    /// whatever was heard is forgotten.
    pub fn set_apart(&mut self, udids: impl IntoIterator<Item = Udid>) {
        let of = |udid| (udid, StoreState::NotHeardOf);
        self.apart = udids.into_iter().map(of).collect();
        self.disks.forget_apart();
    }

    /// Takes in what happened and says what is to be done, in this order.
    pub fn handle(&mut self, now: &Now, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        let touched = self.take_in(now, event, &mut commands);
        match touched {
            Touched::Nobody => {}
            Touched::One(udid) => self.settle(&udid, now, &mut commands),
            Touched::All => {
                for udid in self.by_risk() {
                    self.settle(&udid, now, &mut commands);
                }
            }
        }
        self.reread(now, &mut commands);
        commands
    }

    /// Every device, in the order in which they get what there is not enough of: whoever a person waits for, then whose newest
    /// backup anywhere is oldest.
    pub fn by_risk(&self) -> Vec<Udid> {
        let mut all: Vec<&Device> = self.devices.values().collect();
        // Stable: equals stay in the order of their UDIDs.
        all.sort_by_key(|device| (device.wish.is_none(), device.safe_since()));
        all.into_iter()
            .map(|device| device.udid().clone())
            .collect()
    }

    /// When to send [`Event::Tick`] at the latest; a moment in the past means at once. None: only events matter.
    pub fn poll_timeout(&self, now: &Now) -> Option<HostTime> {
        let waiting = self
            .devices
            .values()
            .filter(|device| device.is_attached() && device.running.is_none());
        waiting
            .filter_map(|device| device.probing.deadline())
            .map(|deadline| deadline.max(now.host))
            .min()
    }

    /// What is known of the iCloud backups of one device beside its facts.
    pub fn evidence(&self, udid: &Udid) -> Option<&crate::evidence::Evidence> {
        let device = self.devices.get(udid)?;
        Some(&device.memory.evidence)
    }

    /// Whether usbmuxd answers.
    pub fn mux_is_up(&self) -> bool {
        self.mux_is_up
    }

    /// All devices worth showing, judged now, in the order of their UDIDs.
    pub fn devices(&self, now: &Now) -> Vec<DeviceView> {
        let shown = self
            .devices
            .values()
            .filter(|device| device.is_attached() || device.is_known());
        shown.map(|device| self.view(device, now)).collect()
    }

    /// The ladder of one device, judged now.
    pub fn climb(&self, udid: &Udid, now: &Now) -> Option<Climb> {
        let device = self.devices.get(udid)?;
        let policy = &*self.policy(device);
        let verdict = judge(&device.memory.past, policy, self.medium(udid), now);
        let outlook = Outlook {
            verdict: &verdict,
            policy,
            medium: self.medium(udid),
            now,
        };
        let causes = outlook.causes(&device.memory);
        Some(outlook.climb(&device.memory, causes))
    }

    fn view(&self, device: &Device, now: &Now) -> DeviceView {
        let udid = device.udid();
        let policy = &*self.policy(device);
        let mut verdict = judge(&device.memory.past, policy, self.medium(udid), now);
        let outlook = Outlook {
            verdict: &verdict,
            policy,
            medium: self.medium(udid),
            now,
        };
        let causes = outlook.causes(&device.memory);
        let climb = outlook.climb(&device.memory, causes);
        let next = words::steps::next_step(&outlook.scene(&device.memory), &climb);
        verdict.next = next;
        view::view(
            device,
            verdict,
            &climb,
            policy,
            self.store_of(udid),
            self.traffic(udid),
            now,
        )
    }

    /// What holds for a device.
    fn policy(&self, device: &Device) -> Cow<'_, Policy> {
        scaled(self.policies.of(device.udid()), &device.memory.evidence)
    }

    /// How the folder or disk is that this device is backed up to.
    fn store_of(&self, udid: &Udid) -> &StoreState {
        self.apart.get(udid).unwrap_or(&self.store)
    }

    fn medium(&self, udid: &Udid) -> Medium {
        match self.store_of(udid) {
            StoreState::Missing => Medium::Missing,
            StoreState::NotHeardOf | StoreState::Ready { .. } => Medium::There,
        }
    }

    fn running(&self) -> usize {
        self.devices
            .values()
            .filter(|device| device.running.is_some())
            .count()
    }

    /// Decides everything that can be decided about one device now.
    fn settle(&mut self, udid: &Udid, now: &Now, commands: &mut Vec<Command>) {
        let (medium, traffic) = (self.medium(udid), self.traffic(udid));
        let store = self.store_of(udid).clone();
        let Some(device) = self.devices.get_mut(udid) else {
            return;
        };
        let policy = &*scaled(self.policies.of(udid), &device.memory.evidence);
        let verdict = judge(&device.memory.past, policy, medium, now);
        let outlook = Outlook {
            verdict: &verdict,
            policy,
            medium,
            now,
        };
        let causes = outlook.causes(&device.memory);
        device.watch_steps(&outlook, &causes);
        let reasons = due::reasons(device, &verdict, policy, &store, now);
        let hold = due::hold(device, policy, &store, traffic, now);
        let start = hold.is_none() && wants_backup(device, &reasons, now);
        let decided = Decided {
            reasons: &reasons,
            hold,
            starting: start,
        };
        let told = telling::tell(device, &outlook, &causes, &decided);
        commands.extend(
            told.into_iter()
                .map(|notice| Command::Notify(Box::new(notice))),
        );
        if start {
            start_backup(device, reasons, now, commands);
        }
        ask(device, now, commands);
        remember(device, commands);
        if device.is_forgettable() {
            self.devices.remove(udid);
        }
    }
}

fn wants_backup(device: &Device, reasons: &[String], now: &Now) -> bool {
    let due = !reasons.is_empty() && device.probing.is_settled(now);
    device.running.is_none() && (device.is_wished(now) || due)
}

fn start_backup(device: &mut Device, reasons: Vec<String>, now: &Now, commands: &mut Vec<Command>) {
    let Some((attachment, _)) = device.best_link() else {
        return;
    };
    let asked = device.is_wished(now);
    device.wish = None;
    device.running = Some(Running {
        phase: Phase::Opening,
        asked,
        passcode_told: false,
    });
    let plan = RunPlan {
        udid: device.udid().clone(),
        reasons,
        asked,
    };
    commands.push(Command::StartBackup { attachment, plan });
}

/// Questions to the device. None while a backup runs: it holds what there is to learn, and has the link.
fn ask(device: &mut Device, now: &Now, commands: &mut Vec<Command>) {
    let Some((attachment, _)) = device.best_link() else {
        return;
    };
    if device.running.is_some() {
        return;
    }
    if device.probing.begin(now) {
        commands.push(Command::Probe {
            udid: device.udid().clone(),
            attachment,
        });
    }
    if device.observing.is_none()
        && device.memory.past.trust == Some(Trust::Trusted)
        && device.probing.is_settled(now)
    {
        device.observing = Some(attachment);
        commands.push(Command::Observe {
            udid: device.udid().clone(),
            attachment,
        });
    }
}

fn remember(device: &mut Device, commands: &mut Vec<Command>) {
    if !device.is_blank() && device.stored.as_ref() != Some(&device.memory) {
        device.stored = Some(device.memory.clone());
        // Before the notices of this turn: told twice would be worse than told and lost.
        commands.insert(0, Command::Remember(Box::new(device.memory.clone())));
    }
}
