//! `completions` and `man`: both made from the definition that clap parses with.

use crate::{cli::Cli, failure::Failure, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;
use clap::CommandFactory as _;
use std::path::Path;

pub fn completions(terminal: Terminal, shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "backupwatch", &mut script);
    terminal.bytes(&script)?;
    Ok(ExitCode::Ok)
}

pub fn man(terminal: Terminal, out: Option<&Path>) -> Result<ExitCode, Failure> {
    match out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            terminal.bytes(&page)?;
        }
        Some(folder) => {
            let failed = |error: std::io::Error| {
                Failure::new(
                    ExitCode::Usage,
                    "man_folder",
                    format!(
                        "failed to write the manual pages to {}: {error}",
                        folder.display()
                    ),
                )
            };
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
            terminal.say(&format!("wrote the manual pages to {}", folder.display()));
        }
    }
    Ok(ExitCode::Ok)
}
