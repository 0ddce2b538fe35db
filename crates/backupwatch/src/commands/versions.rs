//! `versions`: the backups of a device with what deleting them would free, and deleting those that nothing keeps.

pub mod listed;
pub mod pruned;

use crate::{
    choice,
    cli::{ListVersions, Prune, Versions, VersionsCommand},
    failure::Failure,
    setup::Setup,
    stored,
    terminal::Terminal,
};
use backupwatch_agent::{
    clock::{Clock as _, SystemClock},
    exit::ExitCode,
};
use backupwatch_backup::Clock as _;
use jiff::tz::TimeZone;
use listed::Listed;
use pruned::Pruned;
use tokio::signal::unix::{SignalKind, signal};

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    wanted: &Versions,
) -> Result<ExitCode, Failure> {
    match &wanted.command {
        None => list(terminal, setup, &wanted.list).await,
        Some(VersionsCommand::Prune(wanted)) => prune(terminal, setup, wanted).await,
    }
}

async fn list(
    terminal: Terminal,
    setup: &Setup,
    wanted: &ListVersions,
) -> Result<ExitCode, Failure> {
    let (store, device) =
        stored::find(setup, wanted.root.as_deref(), wanted.device.as_deref()).await?;
    let udid = choice::udid(&device)?;
    let free = store.free().map_err(|error| stored::refused(&error))?;
    let measured = blocking(move || store.measure(&udid)).await?;
    let measured = measured.map_err(|error| stored::refused(&error))?;
    let listed = Listed::of(&device, &measured, free);
    if wanted.json {
        super::json(terminal, &listed)?;
    } else {
        let now = SystemClock.now().0;
        terminal.data(&listed::words(&listed, now, &TimeZone::system()))?;
    }
    Ok(ExitCode::Ok)
}

async fn prune(terminal: Terminal, setup: &Setup, wanted: &Prune) -> Result<ExitCode, Failure> {
    let (store, device) =
        stored::find(setup, wanted.root.as_deref(), wanted.device.as_deref()).await?;
    let udid = choice::udid(&device)?;
    let policy = setup.config.policy(&udid).retention;
    let (offset, dry_run) = (SystemClock.utc_offset_s(), wanted.dry_run);
    let pruning = blocking(move || {
        if dry_run {
            store.plan_pruning(&udid, &policy, offset)
        } else {
            store.prune(&udid, &policy, offset)
        }
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let pruning = tokio::select! {
        pruning = pruning => pruning?,
        _ = tokio::signal::ctrl_c() => return Ok(stopped(terminal)),
        _ = terminate.recv() => return Ok(stopped(terminal)),
        _ = hangup.recv() => return Ok(stopped(terminal)),
    };
    let pruning = pruning.map_err(|error| stored::refused(&error))?;
    let pruned = Pruned::of(&device, &pruning, dry_run);
    if wanted.json {
        super::json(terminal, &pruned)?;
    } else {
        terminal.data(&pruned::words(&pruned, &pruning))?;
    }
    Ok(ExitCode::Ok)
}

/// Nobody waits for what is being deleted: a version goes out of sight in one step, and the next backup sweeps up behind it.
fn stopped(terminal: Terminal) -> ExitCode {
    terminal.say("Stopped. What was not deleted yet is whole.");
    ExitCode::Interrupted
}

/// Work on the disk, beside what waits for sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::from_error(ExitCode::Internal, "internal", &error))
}
