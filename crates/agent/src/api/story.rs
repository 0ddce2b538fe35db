//! The answer to a started backup: one JSON line a step, the end as the last one. A story that stops without its end means
//! that the agent ended first.

use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::words::BackupEvent;
use crate::agent::Following;
use crate::report;

/// Between two lines of progress.
const EVERY: Duration = Duration::from_millis(100);
/// How long a run may take to end when the agent does; the loop itself waits no longer.
const POLITE: Duration = Duration::from_secs(20);

/// The story of a backup as events: where it is at once, then at most ten times a second, and its end.
pub fn events(following: Following, shutdown: CancellationToken) -> mpsc::Receiver<BackupEvent> {
    let (events, receiver) = mpsc::channel(4);
    // Ends with the backup, with the agent, or when nobody reads any more.
    tokio::spawn(tell(following, events, shutdown));
    receiver
}

async fn tell(
    mut following: Following,
    events: mpsc::Sender<BackupEvent>,
    shutdown: CancellationToken,
) {
    loop {
        let now = report::progress(&following.progress.borrow_and_update());
        if events.send(BackupEvent::Progress(now)).await.is_err() {
            return;
        }
        let next = Instant::now() + EVERY;
        let over = tokio::select! {
            biased;
            _ended = following.end.wait_for(Option::is_some) => true,
            () = events.closed() => return,
            () = shutdown.cancelled() => true,
            changed = following.progress.changed() => changed.is_err(),
        };
        if over {
            break;
        }
        tokio::time::sleep_until(next).await;
    }
    let end = tokio::time::timeout(POLITE, following.end.wait_for(Option::is_some)).await;
    let summary = end
        .ok()
        .and_then(Result::ok)
        .and_then(|report| report.as_ref().map(report::summary));
    if let Some(summary) = summary {
        // Whoever followed may be gone.
        let _gone = events.send(BackupEvent::Ended(summary)).await;
    }
}

/// An event in the body of such an answer.
pub(super) fn line<E: Serialize>(event: &E) -> Bytes {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    Bytes::from(line)
}
