//! The phones as the loop sees them: a port with few verbs. Here is the port; the real one is in [`usbmuxd`], the one that
//! the loop's own tests play with lives in those tests.

pub mod usbmuxd;

use std::sync::Arc;

use backupwatch_backup::Store;
use backupwatch_core::retention::RetentionPolicy;
use backupwatch_core::run::{Progress, RunReport};
use backupwatch_core::watcher::Event;
use backupwatch_core::{Facts, NoAnswer, Trust, Udid};
use backupwatch_device::bus::Found;
pub use backupwatch_device::{Attached, LogEvent};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// A backup to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// Of which phone.
    pub udid: Udid,
    /// Into which store.
    pub store: Store,
    /// Everything, not only what changed.
    pub full: bool,
    /// Which versions are kept afterwards.
    pub retention: RetentionPolicy,
}

/// How the loop reaches phones. Every verb ends by itself when the phone goes away, and soon after `cancel`.
pub trait Phones: Send + Sync + 'static {
    /// Tells who comes and goes until `cancel`; a usbmuxd that is away is told as well.
    fn listen(
        &self,
        news: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Who is attached right now; or why nobody can tell, in words.
    fn list(&self) -> impl Future<Output = Result<Vec<Attached>, String>> + Send;

    /// Calls `hint` when a phone was plugged into this computer, or something unplugged, for as long as the system tells.
    fn plugged(&self, hint: impl Fn() + Send) -> impl Future<Output = ()> + Send;

    /// The phones on this computer's own cables, listed or not.
    fn cables(&self) -> impl Future<Output = Vec<Found>> + Send;

    /// One short visit.
    fn probe(
        &self,
        attached: &Attached,
        clock: Arc<dyn Clock>,
    ) -> impl Future<Output = Result<Facts, NoAnswer>> + Send;

    /// Asks the phone to trust this computer and waits for the person at it.
    fn pair(
        &self,
        attached: &Attached,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> impl Future<Output = Trust> + Send;

    /// Tells what the phone lets us know, while it is attached.
    fn observe(
        &self,
        attached: &Attached,
        news: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Tells what the phone's own backup program writes into its log, until `cancel`, or until nobody takes it. An end that
    /// nobody wanted is told in words.
    fn log(
        &self,
        attached: &Attached,
        clock: Arc<dyn Clock>,
        lines: mpsc::Sender<LogEvent>,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Makes a backup. Whatever happens, it ends with a report.
    fn back_up(
        &self,
        order: Order,
        clock: Arc<dyn Clock>,
        progress: watch::Sender<Progress>,
        cancel: CancellationToken,
    ) -> impl Future<Output = RunReport> + Send;
}
