//! The real phones: `device` for everything short, `backup`'s engine over `device`'s streams for backups.

use std::sync::Arc;
use std::time::Duration;

use backupwatch_backup::engine::{self, Retention, RunOptions};
use backupwatch_core::run::{Progress, RunReport};
use backupwatch_core::watcher::Event;
use backupwatch_core::{Facts, NoAnswer, Trust};
use backupwatch_device::bus::{self, Found};
use backupwatch_device::{Hint, IdevicePhone, MuxEvent, PairOptions, Timeouts, Transport};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Attached, LogEvent, Order, Phones};
use crate::clock::Clock;
use crate::purgeable;

/// How long a person may look for the phone before they tap Trust.
const PAIR_PATIENCE: Duration = Duration::from_secs(120);

/// What on a phone makes its iCloud backups.
const BACKUP_PROGRAM: &str = "backupd";

/// Phones behind one usbmuxd.
#[derive(Debug, Clone)]
pub struct Usbmuxd {
    transport: Transport,
    timeouts: Timeouts,
    host_name: Option<String>,
}

impl Usbmuxd {
    /// Phones on this way, which will call this computer by `host_name` when they ask for trust.
    pub fn new(transport: impl Into<Transport>, host_name: Option<String>) -> Self {
        Self {
            transport: transport.into(),
            timeouts: Timeouts::default(),
            host_name,
        }
    }
}

impl Usbmuxd {
    /// Why phones cannot be spoken to as was chosen.
    async fn ready(&self) -> Result<(), String> {
        let transport = self.transport.clone();
        let ready = tokio::task::spawn_blocking(move || transport.ready()).await;
        match ready {
            Ok(ready) => ready.map_err(|error| error.to_string()),
            Err(broken) => Err(broken.to_string()),
        }
    }
}

impl Phones for Usbmuxd {
    async fn listen(&self, news: mpsc::Sender<Event>, cancel: CancellationToken) {
        if let Err(why) = self.ready().await {
            // Nobody is seen by any other way than the one that was chosen.
            if news.send(Event::MuxDown { why }).await.is_ok() {
                cancel.cancelled().await;
            }
            return;
        }
        let (events, mut told) = mpsc::channel(64);
        let address = self.transport.address();
        let work = backupwatch_device::listen(address, &self.timeouts, events, jitter, cancel);
        let pass_on = async move {
            while let Some(event) = told.recv().await {
                let event = match event {
                    MuxEvent::Up => Event::MuxUp,
                    MuxEvent::Down { why } => Event::MuxDown {
                        why: why.to_string(),
                    },
                    MuxEvent::Attached(Attached {
                        udid,
                        link,
                        attachment,
                    }) => Event::Attached {
                        udid,
                        link,
                        attachment,
                    },
                    MuxEvent::Detached { attachment } => Event::Detached { attachment },
                    MuxEvent::Paired { attachment } => Event::Paired { attachment },
                };
                if news.send(event).await.is_err() {
                    return;
                }
            }
        };
        // Ends when `listen` drops its sender, or when nobody takes the news, which drops `told` and ends `listen`.
        tokio::join!(work, pass_on);
    }

    async fn list(&self) -> Result<Vec<Attached>, String> {
        self.ready().await?;
        let listed = backupwatch_device::list(self.transport.address(), &self.timeouts).await;
        listed.map_err(|error| error.to_string())
    }

    async fn plugged(&self, hint: impl Fn() + Send) {
        // Another usbmuxd has phones that are on no cable of ours.
        if !self.transport.address().is_the_systems() {
            return;
        }
        if let Err(error) = bus::plugged(hint).await {
            let source = &error as &dyn std::error::Error;
            tracing::info!(error = source, "only usbmuxd tells who is plugged in");
        }
    }

    async fn cables(&self) -> Vec<Found> {
        if !self.transport.address().is_the_systems() {
            return Vec::new();
        }
        let found = bus::look(self.transport.address(), &self.timeouts).await;
        found.unwrap_or_else(|error| {
            let source = &error as &dyn std::error::Error;
            tracing::debug!(error = source, "the USB bus cannot be looked at");
            Vec::new()
        })
    }

    async fn probe(&self, attached: &Attached, clock: Arc<dyn Clock>) -> Result<Facts, NoAnswer> {
        let told =
            backupwatch_device::probe(&self.transport, attached, &*clock, &self.timeouts).await;
        told.map_err(|error| {
            let source = &error as &dyn std::error::Error;
            tracing::debug!(
                udid = attached.udid.short(),
                error = source,
                "a visit told nothing"
            );
            error.no_answer()
        })
    }

    async fn pair(
        &self,
        attached: &Attached,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> Trust {
        let options = PairOptions {
            host_name: self.host_name.clone(),
            patience: PAIR_PATIENCE,
        };
        let udid = attached.udid.short();
        let pending = || tracing::info!(udid, "the phone asks whether to trust this computer");
        let answer = backupwatch_device::pair(
            &self.transport,
            attached,
            &options,
            &*clock,
            &self.timeouts,
            pending,
            cancel,
        )
        .await;
        answer.unwrap_or_else(|error| {
            let source = &error as &dyn std::error::Error;
            tracing::info!(udid, error = source, "the phone was not asked to the end");
            error.trust().unwrap_or(Trust::NotTrusted)
        })
    }

    async fn observe(
        &self,
        attached: &Attached,
        news: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) {
        let (hints, mut told) = mpsc::channel(8);
        let work =
            backupwatch_device::observe(&self.transport, attached, &self.timeouts, hints, cancel);
        let pass_on = async move {
            while let Some(hint) = told.recv().await {
                let udid = attached.udid.clone();
                let event = match hint {
                    Hint::DomainChanged => Event::DomainChanged { udid },
                    Hint::LockChanged => Event::LockChanged { udid },
                };
                if news.send(event).await.is_err() {
                    return;
                }
            }
        };
        let (ended, ()) = tokio::join!(work, pass_on);
        if let Err(error) = ended {
            let source = &error as &dyn std::error::Error;
            tracing::debug!(
                udid = attached.udid.short(),
                error = source,
                "the phone tells nothing more"
            );
        }
    }

    async fn log(
        &self,
        attached: &Attached,
        clock: Arc<dyn Clock>,
        lines: mpsc::Sender<LogEvent>,
        cancel: CancellationToken,
    ) -> Result<(), String> {
        let ended = backupwatch_device::live(
            &self.transport,
            attached,
            &self.timeouts,
            &*clock,
            BACKUP_PROGRAM,
            lines,
            cancel,
        );
        ended.await.map_err(|error| {
            let source = &error as &dyn std::error::Error;
            tracing::debug!(
                udid = attached.udid.short(),
                error = source,
                "the phone's log cannot be heard"
            );
            error.to_string()
        })
    }

    async fn back_up(
        &self,
        order: Order,
        clock: Arc<dyn Clock>,
        progress: watch::Sender<Progress>,
        cancel: CancellationToken,
    ) -> RunReport {
        let phone = IdevicePhone::new(self.transport.clone(), order.udid, self.timeouts);
        let options = RunOptions {
            force_full: order.full,
            purgeable: purgeable::of(&order.store),
            retention: Some(Retention {
                policy: order.retention,
                utc_offset_s: clock.utc_offset_s(),
            }),
        };
        engine::run(&phone, &order.store, &*clock, options, progress, cancel).await
    }
}

/// A number between 0 and 1 that differs between two agents on one machine; nothing secret hangs on it.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let word = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let upper = u32::try_from(word >> 32).unwrap_or(0);
    f64::from(upper) / f64::from(u32::MAX)
}
