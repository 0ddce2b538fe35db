//! The signals that end a process politely.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token at the first SIGTERM (launchd, systemd), SIGINT (ctrl-c) or SIGHUP (the terminal went away). A second
/// SIGINT has no meaning here: the end is bounded anyway.
pub fn cancel_on_signal(token: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Ends with the first signal, or with the process.
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
            () = token.cancelled() => return,
        };
        tracing::info!(name, "asked to end");
        token.cancel();
    });
    Ok(())
}
