//! The signals that end a process politely, and the one by which an agent is told to read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token at the first SIGTERM (launchd, systemd), SIGINT (ctrl-c) or SIGHUP (the terminal went away). A second
/// SIGINT has no meaning here: the end is bounded anyway.
pub fn cancel_on_signal(token: CancellationToken) -> io::Result<()> {
    cancel_on(token, Some(signal(SignalKind::hangup())?))
}

/// The same without SIGHUP: each of these is handed out. Several at once are one.
pub fn cancel_on_signal_but_hangup(token: CancellationToken) -> io::Result<Signal> {
    let hangups = signal(SignalKind::hangup())?;
    cancel_on(token, None)?;
    Ok(hangups)
}

fn cancel_on(token: CancellationToken, mut hangup: Option<Signal>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Ends with the first signal, or with the process.
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = next(&mut hangup) => "SIGHUP",
            () = token.cancelled() => return,
        };
        tracing::info!(name, "asked to end");
        token.cancel();
    });
    Ok(())
}

/// The next of these signals; never, where nobody waits for them.
async fn next(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}
