//! The backupwatch command: parse, build, run, exit. What a command does is in `commands`.

mod browser;
mod choice;
mod cli;
mod commands;
mod doctor;
mod failure;
mod launched;
mod long_work;
mod password;
mod reach;
#[cfg(test)]
mod schemas;
mod service;
mod setup;
mod show;
mod stored;
mod terminal;
mod words;

use crate::{
    cli::{AgentCommand, Cli, Command, Global},
    failure::Failure,
    setup::Setup,
    terminal::Terminal,
};
use backupwatch_agent::{
    config::Config,
    exit::ExitCode,
    logging::{self, Sink},
};
use backupwatch_notify::app;
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    if launched::Start::of_this_process().is_click() {
        return app::run(launched::run);
    }
    let cli = Cli::parse();
    if cli.command.as_ref().is_none_or(reaches_phones) {
        reach::tell_libusbmuxd(&cli.global);
    }
    if let Some(Command::Agent(wanted)) = &cli.command
        && wanted.command.is_none()
    {
        launched::enter_the_app();
        // Nothing else has a desktop to hear from, and nothing else waits for AppKit.
        return app::run(|| start(cli));
    }
    start(cli)
}

/// Whether phones of this computer may be spoken to.
fn reaches_phones(command: &Command) -> bool {
    match command {
        Command::Status(_)
        | Command::Check { .. }
        | Command::Backup(_)
        | Command::Verify(_)
        | Command::Diagnose(_)
        | Command::Doctor { .. }
        | Command::Fix(_)
        | Command::Pair { .. }
        | Command::Agent(_) => true,
        Command::Device { .. }
        | Command::Versions(_)
        | Command::Export(_)
        | Command::Open { .. }
        | Command::History { .. }
        | Command::Install { .. }
        | Command::Uninstall(_)
        | Command::Restart { .. }
        | Command::Config { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Simulate(_)
        | Command::Demo { .. } => false,
    }
}

fn start(cli: Cli) -> std::process::ExitCode {
    let terminal = Terminal::new();
    let json = wants_json(cli.command.as_ref());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads(cli.command.as_ref()))
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.say(&format!("backupwatch: failed to start: {error}"));
            return ExitCode::Internal.into();
        }
    };
    let result = runtime.block_on(run(cli, terminal));
    // A thread that waits for a stuck disk must not keep a finished command.
    runtime.shutdown_background();
    let code = match result {
        Ok(code) => code,
        Err(failure) => {
            if json {
                // Where stdout is gone too, the exit code still tells.
                let _ = terminal.data(&failure.json());
            }
            terminal.say(&failure.words());
            failure.code
        }
    };
    backupwatch_device::leave(code.code());
    code.into()
}

async fn run(cli: Cli, terminal: Terminal) -> Result<ExitCode, Failure> {
    let global = cli.global;
    let ready = || ready(terminal, &global);
    let command = cli.command;
    match command.unwrap_or_else(|| Command::Status(cli::Status::default())) {
        Command::Status(wanted) => {
            let (setup, _log) = ready()?;
            commands::status::status(terminal, &setup, &wanted).await
        }
        Command::Check { json } => {
            let (setup, _log) = ready()?;
            commands::status::check(terminal, &setup, json).await
        }
        Command::Device { command } => {
            let (setup, _log) = ready()?;
            commands::device::run(terminal, &setup, &command).await
        }
        Command::Backup(wanted) => {
            let (setup, _log) = ready()?;
            commands::backup::run(terminal, &setup, &wanted).await
        }
        Command::Verify(wanted) => {
            let (setup, _log) = ready()?;
            commands::verify::run(terminal, &setup, &wanted).await
        }
        Command::Diagnose(wanted) => {
            let (setup, _log) = ready()?;
            commands::diagnose::run(terminal, &setup, &wanted).await
        }
        Command::Doctor { json, notify } => {
            let _log = quiet(terminal, global.verbose)?;
            commands::doctor::run(terminal, &global, json, notify).await
        }
        Command::Versions(wanted) => {
            let (setup, _log) = ready()?;
            commands::versions::run(terminal, &setup, &wanted).await
        }
        Command::Export(wanted) => {
            let (setup, _log) = ready()?;
            commands::export::run(terminal, &setup, &wanted).await
        }
        Command::Fix(wanted) => {
            let (setup, _log) = ready()?;
            commands::fix::run(terminal, &setup, &wanted).await
        }
        Command::Pair { device, json } => {
            let (setup, _log) = ready()?;
            commands::pair::run(terminal, &setup, device.as_deref(), json).await
        }
        Command::Open { device, print } => {
            let (setup, _log) = ready()?;
            commands::open::run(terminal, &setup, device.as_deref(), print).await
        }
        Command::History {
            device,
            limit,
            json,
        } => {
            let (setup, _log) = ready()?;
            commands::history::run(terminal, &setup, device.as_deref(), limit, json).await
        }
        Command::Agent(wanted) => match wanted.command {
            Some(AgentCommand::Status { json }) => {
                let (setup, _log) = ready()?;
                commands::agent::status::run(terminal, &setup, json).await
            }
            None => {
                let setup = setup::load(&global)?;
                commands::agent::run(terminal, &setup, global.verbose, wanted.log_to_stderr).await
            }
        },
        Command::Install { json } => {
            let (setup, _log) = ready()?;
            commands::install::run(terminal, &setup, &global, json).await
        }
        Command::Uninstall(wanted) => commands::uninstall::run(terminal, &global, wanted).await,
        Command::Restart { json } => {
            let (setup, _log) = ready()?;
            commands::restart::run(terminal, &setup, json).await
        }
        Command::Config { command } => {
            let path = setup::config_path(&global)?.display().to_string();
            commands::config::run(terminal, setup::load(&global), command, &path).await
        }
        Command::Completions { shell } => commands::manual::completions(terminal, shell),
        Command::Man { out } => commands::manual::man(terminal, out.as_deref()),
        Command::Simulate(arguments) => commands::simulate::run(terminal, &arguments).await,
        Command::Demo { once } => commands::demo::run(terminal, once).await,
    }
}

/// The set-up of a command that asks the agent or does without one, and its log, which goes to standard error and says
/// nothing that is not asked for or wrong.
fn ready(terminal: Terminal, global: &Global) -> Result<(Setup, logging::LogGuard), Failure> {
    let setup = setup::load(global)?;
    let filter = match global.verbose {
        0 => "error".to_owned(),
        verbose => log_filter(&setup.config, verbose),
    };
    let log = logging::start(Sink::Stderr, &filter, terminal.is_live())
        .map_err(|error| Failure::from_error(ExitCode::Usage, "log", &error))?;
    Ok((setup, log))
}

/// The log of a command that has no configuration, or none that it can believe.
fn quiet(terminal: Terminal, verbose: u8) -> Result<logging::LogGuard, Failure> {
    let filter = match verbose {
        0 => "off".to_owned(),
        verbose => log_filter(&Config::default(), verbose),
    };
    logging::start(Sink::Stderr, &filter, terminal.is_live())
        .map_err(|error| Failure::from_error(ExitCode::Usage, "log", &error))
}

/// The configured filter, or the louder one that was asked for.
fn log_filter(config: &Config, verbose: u8) -> String {
    match verbose {
        0 => config.own.log.filter.clone(),
        1 => "info,backupwatch=debug,backupwatch_core=debug,backupwatch_backup=debug,backupwatch_device=debug,backupwatch_agent=debug,backupwatch_notify=debug"
            .to_owned(),
        _ => "trace".to_owned(),
    }
}

/// Threads for what waits on sockets; files are written by threads of their own. A backup keeps only one of them busy, and
/// memory that one thread has let go of is not used again by another.
fn threads(command: Option<&Command>) -> usize {
    if let Some(Command::Backup(_)) = command {
        1
    } else {
        2
    }
}

fn wants_json(command: Option<&Command>) -> bool {
    match command {
        Some(
            Command::Check { json }
            | Command::Doctor { json, .. }
            | Command::Pair { json, .. }
            | Command::History { json, .. }
            | Command::Install { json }
            | Command::Restart { json },
        ) => *json,
        Some(Command::Status(wanted)) => wanted.json,
        Some(Command::Device { command }) => command.json(),
        Some(Command::Backup(wanted)) => wanted.json,
        Some(Command::Verify(wanted)) => wanted.json,
        Some(Command::Diagnose(wanted)) => wanted.json,
        Some(Command::Versions(wanted)) => wanted.json(),
        Some(Command::Export(wanted)) => wanted.json,
        Some(Command::Fix(wanted)) => wanted.json,
        Some(Command::Agent(wanted)) => wanted.json(),
        Some(Command::Uninstall(wanted)) => wanted.json,
        Some(
            Command::Open { .. }
            | Command::Config { .. }
            | Command::Simulate(_)
            | Command::Demo { .. }
            | Command::Completions { .. }
            | Command::Man { .. },
        )
        | None => false,
    }
}
