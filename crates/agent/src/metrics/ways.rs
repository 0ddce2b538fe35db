//! The ways on which the numbers leave, as they are configured: opened together, and served until the end, or until others take their
//! place because the configuration is another one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::Source;
use super::listen::{self, Listener};
use super::otlp::Sender;
use super::outlets::{self, Outlets};
use super::pulse::Outlet;
use crate::config::MetricsOwn;
use crate::medium::in_full;

/// What is being answered may take as long when others take the place of these.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Ways {
    scraped: Option<Listener>,
    outlets: Outlets,
    names: bool,
    source: Source,
    /// Which of them cannot be had, a sentence each.
    troubles: Vec<(Outlet, String)>,
}

impl Ways {
    /// Those that can be had.
    pub(crate) async fn open(config: &MetricsOwn, source: Source, sender: Sender) -> Self {
        Self::after(None, config, source, sender).await
    }

    /// The same while others are open, whose socket may be wanted again.
    async fn after(
        before: Option<&Listener>,
        config: &MetricsOwn,
        source: Source,
        sender: Sender,
    ) -> Self {
        let token_file = config.token_file.as_deref();
        let (scraped, missed) = match config.listen {
            Some(at) => scraped(at, token_file, before).await,
            None => (None, None),
        };
        let (outlets, not_pushed) = Outlets::of(config, sender);
        let missed = missed.map(|words| (Outlet::Listener, words));
        let not_pushed = not_pushed.map(|words| (Outlet::Otlp, words));
        Self {
            scraped,
            outlets,
            names: config.names,
            source,
            troubles: missed.into_iter().chain(not_pushed).collect(),
        }
    }

    /// Until `shutdown`.
    async fn serve(&mut self, shutdown: CancellationToken) {
        self.source.names.store(self.names, Ordering::Relaxed);
        self.source.pulse.anew(std::mem::take(&mut self.troubles));
        let brought = outlets::run(&mut self.outlets, &self.source, shutdown.clone());
        let scraped = async {
            match self.scraped.clone() {
                Some(listener) => {
                    listen::serve(listener, self.source.clone(), shutdown.clone()).await
                }
                None => shutdown.cancelled().await,
            }
        };
        tokio::join!(brought, scraped);
    }

    /// Nobody brings anything to the file any more.
    fn take_leave(&self) {
        if let Some(path) = self.outlets.textfile() {
            outlets::take_leave(path, &*self.source.clock);
        }
    }
}

/// Serves these, and each time others come those, until `shutdown`.
pub(crate) async fn serve(
    mut ways: Ways,
    mut others: mpsc::Receiver<Ways>,
    shutdown: CancellationToken,
) {
    loop {
        let end = shutdown.child_token();
        let next = {
            let serving = ways.serve(end.clone());
            tokio::pin!(serving);
            let next = tokio::select! {
                () = &mut serving => None,
                Some(next) = others.recv() => Some(next),
            };
            if next.is_some() {
                end.cancel();
                // Who takes longer is cut off: the new ones may be what protects these numbers.
                let _late = tokio::time::timeout(LAST_ANSWERS, serving).await;
            }
            next
        };
        let Some(next) = next else {
            ways.take_leave();
            return;
        };
        if ways.outlets.textfile() != next.outlets.textfile() {
            ways.take_leave();
        }
        ways = next;
    }
}

/// Opens other ways while the agent runs.
pub(crate) struct Switch {
    scraped: Mutex<Option<Listener>>,
    source: Source,
    sender: Sender,
    others: mpsc::Sender<Ways>,
}

impl Switch {
    /// From these ways to others, which [`serve`] takes.
    pub(crate) fn from(ways: &Ways, sender: Sender) -> (Self, mpsc::Receiver<Ways>) {
        let (others, taken) = mpsc::channel(1);
        let switch = Self {
            scraped: Mutex::new(ways.scraped.clone()),
            source: ways.source.clone(),
            sender,
            others,
        };
        (switch, taken)
    }

    /// What is configured now, opened beside what is served; or why not all of it can be had.
    pub(crate) async fn open(&self, config: &MetricsOwn) -> Result<Ways, String> {
        let before = self.scraped.lock().await;
        let (source, sender) = (self.source.clone(), self.sender.clone());
        let ways = Ways::after(before.as_ref(), config, source, sender).await;
        match ways.troubles.first() {
            Some((_, words)) => Err(words.clone()),
            None => Ok(ways),
        }
    }

    /// Serves these from now on.
    pub(crate) async fn take(&self, ways: Ways) {
        self.scraped.lock().await.clone_from(&ways.scraped);
        // Nobody takes them when the agent ends.
        let _ending = self.others.send(ways).await;
    }
}

async fn scraped(
    at: SocketAddr,
    token_file: Option<&Path>,
    before: Option<&Listener>,
) -> (Option<Listener>, Option<String>) {
    match Listener::bind(at, token_file, before).await {
        Ok(listener) => (Some(listener), None),
        Err(error) => {
            let why = in_full(&error);
            (
                None,
                Some(format!("No metrics can be fetched: failed to {why}.")),
            )
        }
    }
}
