//! Reading what is backed up again: one phone's backup at a time, and only while nothing better is to be done with the disk.
//!
//! Which part is owed is `crate::reread`'s; here it is decided whether now is the time.

use super::{StoreState, Touched, Watcher};
use crate::time::{HostTime, Now, Period};
use crate::udid::Udid;
use crate::watcher::device::Device;
use crate::watcher::event::Command;

/// What was broken off is gone on with after this.
const AGAIN: Period = Period::hours(1);

/// The one reading that is under way, and when the next may begin.
#[derive(Debug, Default)]
pub(super) struct Rereading {
    under_way: Option<UnderWay>,
    not_before: Option<HostTime>,
}

#[derive(Debug)]
struct UnderWay {
    udid: Udid,
    parts: u8,
    /// It has been told to stop.
    stopping: bool,
}

impl Watcher {
    /// Begins to read what is owed, or stops it for a backup or a disk that went away.
    pub(super) fn reread(&mut self, now: &Now, commands: &mut Vec<Command>) {
        let reading = self.rereading.under_way.as_ref();
        let may = self.running() == 0 && reading.is_none_or(|reading| self.is_ready(&reading.udid));
        match &mut self.rereading.under_way {
            Some(reading) if !may && !reading.stopping => {
                reading.stopping = true;
                let udid = reading.udid.clone();
                // Before the backup that is in its way.
                commands.insert(0, Command::StopReread { udid });
            }
            Some(_) => {}
            None if may => self.begin_reread(now, commands),
            None => {}
        }
    }

    fn is_ready(&self, udid: &Udid) -> bool {
        matches!(self.store_of(udid), StoreState::Ready { .. })
    }

    fn begin_reread(&mut self, now: &Now, commands: &mut Vec<Command>) {
        let wait = self.rereading.not_before.map(|then| then.since(now.host));
        // A clock that was set back must not keep it waiting for as long.
        if wait.is_some_and(|wait| wait > Period::ZERO && wait <= AGAIN) {
            return;
        }
        self.rereading.not_before = None;
        for device in self.devices.values_mut() {
            device.memory.reread.forgive_clock(now.host);
        }
        let owing = self.devices.values().filter(|device| is_sound(device));
        let owing = owing.filter(|device| self.is_ready(device.udid()));
        let owing = owing.filter_map(|device| {
            let policy = self.policies.of(device.udid());
            let reread = &device.memory.reread;
            let slice = reread.owed(policy.verify.period, now.host)?;
            Some((reread.paid(), device.udid().clone(), slice))
        });
        let Some((_, udid, slice)) = owing.min_by_key(|(paid, ..)| *paid) else {
            return;
        };
        self.rereading.under_way = Some(UnderWay {
            udid: udid.clone(),
            parts: slice.parts,
            stopping: false,
        });
        commands.push(Command::Reread { udid, slice });
    }

    /// The reading has ended.
    pub(super) fn reread_ended(&mut self, udid: &Udid, parts: u8, now: &Now) -> Touched {
        let Some(reading) = self
            .rereading
            .under_way
            .take_if(|reading| reading.udid == *udid)
        else {
            return Touched::Nobody;
        };
        if parts < reading.parts {
            self.rereading.not_before = Some(now.host.plus(AGAIN));
        }
        let period = self.policies.of(udid).verify.period;
        self.on_known(udid, |device| {
            let parts = parts.min(reading.parts);
            device.memory.reread.read(parts, period, now.host);
        })
    }
}

/// Whether there is something to be read: a copy of ours that is not known to be damaged.
fn is_sound(device: &Device) -> bool {
    let past = &device.memory.past;
    past.copy.is_some()
        && !past
            .check
            .as_ref()
            .is_some_and(|check| check.found_damage())
}
