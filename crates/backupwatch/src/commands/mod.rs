//! One module a command. Each takes what it needs and gives back the exit code; none of them parses or exits.

pub mod agent;
pub mod backup;
pub mod config;
pub mod demo;
pub mod history;
pub mod manual;
pub mod pair;
pub mod simulate;
pub mod status;

use crate::{cli::Command, failure::Failure, setup::Setup, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;

/// A document for programs.
fn json(terminal: Terminal, document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::from_error(ExitCode::Internal, "json", &error))?;
    Ok(terminal.data(&text)?)
}

/// The commands that ask the agent, or do without one.
pub async fn run(terminal: Terminal, setup: &Setup, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Status { json } => status::status(terminal, setup, json).await,
        Command::Check { json } => status::check(terminal, setup, json).await,
        Command::Backup {
            device,
            root,
            full,
            json,
        } => {
            let wanted = backup::Wanted {
                device: device.as_deref(),
                root: root.as_deref(),
                full,
                json,
            };
            backup::run(terminal, setup, wanted).await
        }
        Command::Pair { device, json } => pair::run(terminal, setup, device.as_deref(), json).await,
        Command::History {
            device,
            limit,
            json,
        } => history::run(terminal, setup, device.as_deref(), limit, json).await,
        Command::Agent { .. }
        | Command::Config { .. }
        | Command::Simulate(_)
        | Command::Demo { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(ExitCode::Usage),
    }
}
