//! Takes a changed configuration over while the agent runs: all of it, or nothing where there is a mistake in it. What can only be
//! chosen at the start (places, the address of usbmuxd, the log, the page, the item in the menu bar) stays as it is until then.

use std::fmt;

use tokio::signal::unix::Signal;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::agent::{Desk, Refusal};
use crate::config::{ConfigError, Sources};
use crate::medium::in_full;
use crate::metrics::Switch;
use crate::outside::{self, NotReady};
use crate::places;
use crate::status::Status;

/// See the module.
pub struct Reload {
    sources: Sources,
    desk: Desk,
    /// One at a time.
    metrics: Mutex<Option<Switch>>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// Why the old configuration stays at work. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum NoReload {
    /// It cannot be read, or says something that it must not.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It backs a device up to where it must not. A sentence.
    #[error("use `backup.root` of a device: {0}")]
    Roots(String),
    /// What it names is not fit for use.
    #[error(transparent)]
    Outside(#[from] NotReady),
    /// Metrics cannot leave as it says. A sentence.
    #[error("use [metrics]: {0}")]
    Metrics(String),
    /// The agent ends.
    #[error("ask the agent")]
    Refused(#[from] Refusal),
    /// Reading it broke.
    #[error("read the configuration")]
    Broken(#[from] tokio::task::JoinError),
}

impl Reload {
    pub(crate) fn new(sources: Sources, desk: Desk, metrics: Switch) -> Self {
        let metrics = Mutex::new(Some(metrics));
        Self {
            metrics,
            ..Self::without_metrics(sources, desk)
        }
    }

    /// The same for an API beside which no metrics are served.
    pub fn without_metrics(sources: Sources, desk: Desk) -> Self {
        Self {
            sources,
            desk,
            metrics: Mutex::new(None),
        }
    }

    /// Reads it again at each of these signals. Whoever sends one hears no answer, so the log says what became of it.
    pub(crate) async fn at_each(&self, signals: Option<Signal>, shutdown: CancellationToken) {
        let Some(mut signals) = signals else {
            return;
        };
        while let Some(Some(())) = shutdown.run_until_cancelled(signals.recv()).await {
            if let Err(error) = self.reload().await {
                let why = in_full(&error);
                tracing::error!(why, "the old configuration stays at work");
            }
        }
    }

    /// Reads the configuration again, and goes by it.
    pub(crate) async fn reload(&self) -> Result<Status, NoReload> {
        let metrics = self.metrics.lock().await;
        let sources = self.sources.clone();
        let read = move || {
            let config = sources.load()?;
            outside::ready(&config.own)?;
            Ok::<_, NoReload>(config)
        };
        let config = tokio::task::spawn_blocking(read).await??;
        let shared = self.desk.places().await?.shared().root.clone();
        if let Some((_, why)) = places::entangled(&shared, &config.roots) {
            return Err(NoReload::Roots(why));
        }
        let Some(metrics) = &*metrics else {
            return Ok(self.desk.configure(config).await?);
        };
        let opened = metrics.open(&config.own.metrics).await;
        let ways = opened.map_err(|words| NoReload::Metrics(words.trim_end_matches('.').into()))?;
        let status = self.desk.configure(config).await?;
        metrics.take(ways).await;
        Ok(status)
    }
}
