//! `config path | check | show`.

use crate::{cli::ConfigCommand, failure::Failure, setup::Setup, terminal::Terminal};
use backupwatch_agent::{
    exit::ExitCode,
    outside::{program, sign::Secret},
};

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
            let setup = setup?;
            if let Some(program) = setup.config.own.hooks.program() {
                program::check(program)
                    .map_err(|error| Failure::from_error(ExitCode::Usage, "config", &error))?;
            }
            for webhook in &setup.config.own.webhook {
                Secret::read(&webhook.secret_file)
                    .map_err(|error| Failure::from_error(ExitCode::Usage, "config", &error))?;
            }
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
