//! `config path | check | show`.

use crate::{cli::ConfigCommand, failure::Failure, setup::Setup, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;

pub fn run(
    terminal: Terminal,
    setup: Result<Setup, Failure>,
    command: ConfigCommand,
    path: &str,
) -> Result<ExitCode, Failure> {
    match command {
        // The path helps most when the file is wrong.
        ConfigCommand::Path => terminal.data(path)?,
        ConfigCommand::Check => {
            setup?;
            terminal.say(&format!("{path} is right"));
        }
        ConfigCommand::Show => {
            let shown = setup?
                .config
                .show()
                .map_err(|error| Failure::from_error(ExitCode::Internal, "config_show", &error))?;
            terminal.data(&shown)?;
        }
    }
    Ok(ExitCode::Ok)
}
