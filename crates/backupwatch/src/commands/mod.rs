//! One module a command. Each takes what it needs and gives back the exit code; none of them parses or exits.

pub mod agent;
pub mod backup;
pub mod config;
pub mod demo;
pub mod device;
pub mod diagnose;
pub mod doctor;
pub mod export;
pub mod fix;
pub mod history;
pub mod install;
pub mod manual;
pub mod open;
pub mod pair;
pub mod restart;
pub mod simulate;
pub mod status;
pub mod uninstall;
pub mod verify;
pub mod versions;

use crate::{failure::Failure, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;

/// A document for programs.
fn json(terminal: Terminal, document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::from_error(ExitCode::Internal, "json", &error))?;
    Ok(terminal.data(&text)?)
}

/// Runs what waits for other programs or for a disk, where nothing waits for it.
pub async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::from_error(ExitCode::Internal, "broken", &error))?
}
