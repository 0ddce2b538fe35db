//! `config path | check | show | reload`.

use crate::{cli::ConfigCommand, failure::Failure, reach, setup::Setup, terminal::Terminal};
use backupwatch_agent::{client::Client, exit::ExitCode, outside};

pub async fn run(
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
            outside::ready(&setup.config.own)
                .map_err(|error| Failure::from_error(ExitCode::Usage, "config", &error))?;
            terminal.say(&format!("{path} is right"));
        }
        ConfigCommand::Show => {
            let shown = setup?
                .config
                .show()
                .map_err(|error| Failure::from_error(ExitCode::Internal, "config_show", &error))?;
            terminal.data(&shown)?;
        }
        ConfigCommand::Reload => {
            Client::new(&setup?.paths.socket)
                .reload()
                .await
                .map_err(|error| reach::refused_by_agent(&error))?;
            terminal.say(&format!("The agent goes by {path} from now on"));
        }
    }
    Ok(ExitCode::Ok)
}
