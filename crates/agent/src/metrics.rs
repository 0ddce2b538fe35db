//! What monitoring is told: numbers of the agent and of each device. Fetched by a Prometheus, laid into node_exporter's folder, or
//! pushed to an OpenTelemetry receiver ([ADR 0015](../../../docs/adr/0015-metrics.md)).
//!
//! A device is called by its alias, and by its name only where a person allowed that. What is not known is absent, never 0.

mod families;
mod listen;
mod measure;
mod otlp;
mod outlets;
mod pulse;
mod sheet;
mod text;
mod ways;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use backupwatch_core::{HostTime, Udid};
use jiff::Timestamp;

use crate::agent::{Desk, Refusal};
use crate::clock::Clock;
use crate::medium::in_full;
use crate::state::{self, StateError, Tally};
use crate::status::Status;
pub(crate) use otlp::Sender;
pub use pulse::Pulse;
pub(crate) use ways::{Switch, Ways, serve};

use measure::{Health, measure};
use sheet::Sheet;

/// How long the loop may take to answer. It never waits for anything, so this is a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the numbers come from.
#[derive(Clone)]
pub struct Source {
    /// Where questions to the loop are handed in.
    pub desk: Desk,
    /// The state file, for what was done.
    pub database: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// When the agent started.
    pub started: Timestamp,
    /// The loop's pulse.
    pub pulse: Arc<Pulse>,
    /// Whether devices are called by their names, too. The same for all who ask.
    pub names: Arc<AtomicBool>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Why there are no numbers now. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
enum NoMetrics {
    #[error("ask the agent")]
    Refused(#[source] Refusal),
    #[error("get an answer from the agent within {} s", PATIENCE.as_secs())]
    Late,
    #[error("write the metrics down")]
    Unwritable(#[from] std::fmt::Error),
}

impl Source {
    async fn sheet(&self) -> Result<Sheet, NoMetrics> {
        let status = tokio::time::timeout(PATIENCE, self.desk.status()).await;
        let status = status
            .map_err(|_| NoMetrics::Late)?
            .map_err(NoMetrics::Refused)?;
        let health = Health {
            started: self.started,
            turns: self.pulse.turns(),
        };
        let (database, names) = (self.database.clone(), self.names.load(Ordering::Relaxed));
        let work = move || {
            let tallies = tallies(&database, &status, HostTime(health.started));
            let tallies = tallies.unwrap_or_else(|error| {
                // What was done is absent then, and what is true is not.
                tracing::warn!(error = in_full(&error), "runs cannot be counted");
                BTreeMap::new()
            });
            measure(&status, &tallies, health, names)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "measuring broke");
            NoMetrics::Unwritable(std::fmt::Error)
        })
    }
}

fn tallies(
    database: &std::path::Path,
    status: &Status,
    since: HostTime,
) -> Result<BTreeMap<String, Tally>, StateError> {
    let state = state::open_read_only(database)?;
    let mut tallies = BTreeMap::new();
    for device in &status.devices {
        if let Ok(udid) = Udid::parse(&device.udid) {
            tallies.insert(device.udid.clone(), state.tally(&udid, since)?);
        }
    }
    Ok(tallies)
}

/// The answer to `GET /metrics`: OpenMetrics for who asks for that, and else the older format, which everybody reads.
pub(crate) async fn answer(source: &Source, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let open = accepted
        .filter_map(|accepted| accepted.to_str().ok())
        .any(|accepted| accepted.contains("application/openmetrics-text"));
    let written = match source.sheet().await {
        Ok(sheet) => text::open_metrics(Arc::new(sheet)).map_err(NoMetrics::from),
        Err(error) => Err(error),
    };
    match written {
        Ok(text) if open => ([(header::CONTENT_TYPE, text::OPEN_METRICS)], text).into_response(),
        Ok(text) => {
            let text = text::classic(&text);
            ([(header::CONTENT_TYPE, text::CLASSIC)], text).into_response()
        }
        Err(error) => {
            let words = format!("failed to {}\n", in_full(&error));
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn source(desk: Desk) -> Source {
        Source {
            desk,
            database: PathBuf::from("/nowhere/state.db"),
            clock: Arc::new(SystemClock),
            started: Timestamp::UNIX_EPOCH,
            pulse: Arc::default(),
            names: Arc::default(),
        }
    }

    /// A server that gets no answer takes the agent for dead, and that is what it should do.
    #[tokio::test(start_paused = true)]
    async fn an_agent_that_hangs_or_ends_has_no_numbers() {
        let (desk, asks) = Desk::new();
        let source = source(desk);
        let hanging = answer(&source, &HeaderMap::new()).await;
        assert_eq!(hanging.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(asks);
        let ending = answer(&source, &HeaderMap::new()).await;
        assert_eq!(ending.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
