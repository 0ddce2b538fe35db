//! One check of a service that notices silence, as the loop sees it: what it is told, and when that is another thing than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use backupwatch_core::Udid;
use backupwatch_core::run::{RunEnd, RunFailure, RunReport};
use tokio_util::task::AbortOnDropHandle;

use super::chance;
use super::event::uuid;
use super::outlook::{self, Outlook};
use super::pinger::{Mailbox, Ping, Signal};
use crate::report;
use crate::status::{DeviceStatus, Status};

/// One check of a service that notices silence.
pub(super) struct Check {
    pub(super) key: String,
    pub(super) mailbox: Arc<Mailbox>,
    /// The device that it is about; none: all of them.
    pub(super) udid: Option<Udid>,
    /// What it was told last.
    pub(super) last: Option<Outlook>,
    /// Backups under way that it was told of, by their devices.
    pub(super) runs: BTreeMap<Udid, String>,
    /// It ends with this.
    pub(super) _pinger: AbortOnDropHandle<()>,
}

impl Check {
    pub(super) fn is_about(&self, udid: &Udid) -> bool {
        self.udid.as_ref().is_none_or(|only| only == udid)
    }

    pub(super) fn outlook(&self, status: &Status, blind: Option<&str>) -> (Outlook, String) {
        match &self.udid {
            None => outlook::of_all(&status.devices, blind),
            Some(udid) => {
                let is = |device: &&DeviceStatus| device.udid == udid.as_str();
                outlook::of_one(status.devices.iter().find(is), blind)
            }
        }
    }

    pub(super) fn beat(&mut self, outlook: Outlook, words: String) {
        self.last = Some(outlook);
        let signal = signal(outlook);
        // With a number of its own it leaves the runs under way alone; without, it ends what was begun and never ended.
        let run = (!self.runs.is_empty()).then(|| uuid(chance()));
        self.mailbox.push(Ping { signal, run, words }, true);
    }
}

fn signal(outlook: Outlook) -> Signal {
    match outlook {
        Outlook::Well => Signal::Success,
        Outlook::Bad => Signal::Fail,
        Outlook::Unclear => Signal::Log,
    }
}

/// What a check is told of the end of a run. That a run ended well is no success while a device is unprotected; that a person or a
/// restart stopped it is no failure.
pub(super) fn end_of(report: &RunReport, run: String, outlook: Outlook, words: &str) -> Ping {
    let (signal, how) = match &report.end {
        RunEnd::Verified(_) => (signal(outlook), "The backup is complete and verified."),
        RunEnd::Failed(RunFailure::Cancelled { .. }) => (Signal::Log, "The backup was stopped."),
        RunEnd::Failed(_) => (Signal::Fail, "The backup did not come to its end."),
    };
    let code = report::outcome(&report.end);
    Ping {
        signal,
        run: Some(run),
        words: format!("{how} ({code}) {words}"),
    }
}
