//! The ways on which the numbers leave, as they are configured: opened together, and served until the end.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::Source;
use super::listen::{self, Listener};
use super::otlp::Sender;
use super::outlets::{self, Outlets};
use crate::config::MetricsOwn;
use crate::medium::in_full;

/// See the module.
pub(crate) struct Ways {
    scraped: Option<Listener>,
    outlets: Outlets,
    source: Source,
}

impl Ways {
    /// Those that can be had; and of the others why not, a sentence each.
    pub(crate) async fn open(
        config: &MetricsOwn,
        source: Source,
        sender: Sender,
    ) -> (Self, Vec<String>) {
        let token_file = config.token_file.as_deref();
        let (scraped, missed) = match config.listen {
            Some(at) => scraped(at, token_file).await,
            None => (None, None),
        };
        let (outlets, not_pushed) = Outlets::of(config, sender);
        let ways = Self {
            scraped,
            outlets,
            source,
        };
        (ways, missed.into_iter().chain(not_pushed).collect())
    }

    /// Until `shutdown`.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let brought = outlets::run(self.outlets, self.source.clone(), shutdown.clone());
        match self.scraped {
            Some(listener) => {
                tokio::join!(brought, listen::serve(listener, self.source, shutdown));
            }
            None => brought.await,
        }
    }
}

async fn scraped(
    at: std::net::SocketAddr,
    token_file: Option<&Path>,
) -> (Option<Listener>, Option<String>) {
    match Listener::bind(at, token_file).await {
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
