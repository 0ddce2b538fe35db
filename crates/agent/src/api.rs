//! The local API: HTTP and JSON over a Unix socket, for the command line, the menu bar and curl. It decides nothing: a
//! request becomes a question to the loop, or a read of the state.

pub mod listen;
mod routes;
pub mod story;
pub mod words;

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::agent::{Desk, Refusal};
use crate::clock::Clock;
use crate::doctor;
use crate::metrics;
use crate::page::Door;
use crate::reload::Reload;
use listen::Listener;

/// What the routes need.
#[derive(Clone)]
pub struct Context {
    /// Where questions to the loop are handed in.
    pub desk: Desk,
    /// Reads the configuration again.
    pub reload: Arc<Reload>,
    /// The state file, for what is read from it.
    pub database: PathBuf,
    /// Gives links to the page; none where there is no page.
    pub door: Option<Door>,
    /// What the agent's own examination looks at.
    pub place: doctor::Place,
    /// What monitoring is told.
    pub metrics: metrics::Source,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// When the agent started.
    pub started: Timestamp,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What HTTP calls it when the loop says no.
pub(crate) fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::UnknownDevice => StatusCode::NOT_FOUND,
        Refusal::NotAttached
        | Refusal::NotNow { .. }
        | Refusal::NoStore { .. }
        | Refusal::Listening
        | Refusal::NotListening
        | Refusal::NoBackup => StatusCode::CONFLICT,
        Refusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Serves until `shutdown`; then answers what is being asked, and ends. A request that never arrives whole keeps it from
/// ending, so the caller sets a bound.
pub async fn serve(listener: Listener, context: Context, shutdown: CancellationToken) {
    let router = routes::router(context, shutdown.clone());
    crate::serving::serve(&listener, router, shutdown).await;
}
