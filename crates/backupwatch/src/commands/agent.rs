//! `agent`: what launchd and systemd start.

pub mod status;

use crate::{failure::Failure, reach, setup::Setup, terminal::Terminal};
use backupwatch_agent::{
    exit::ExitCode,
    logging::{self, Sink},
    process, signals,
};
use backupwatch_notify::{Desktop, Notifier, Recorder, app, menu};
use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// Answers to notices that may wait for the loop.
const ANSWERS: usize = 16;

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    verbose: u8,
    log_to_stderr: bool,
) -> Result<ExitCode, Failure> {
    let sink = match &setup.paths.logs {
        Some(folder) if !log_to_stderr => Sink::Folder(folder),
        Some(_) | None => Sink::Stderr,
    };
    let filter = crate::log_filter(&setup.config, verbose);
    let _log = logging::start(sink, &filter, terminal.is_live())
        .map_err(|error| Failure::from_error(ExitCode::Usage, "log", &error))?;
    let shutdown = CancellationToken::new();
    // One that was started in a terminal ends with it. To every other daemon SIGHUP says that its configuration has changed.
    let hangups = if io::stdin().is_terminal() {
        signals::cancel_on_signal(shutdown.clone())?;
        None
    } else {
        Some(signals::cancel_on_signal_but_hangup(shutdown.clone())?)
    };
    let (answer, answers) = mpsc::channel(ANSWERS);
    app::listen(&Handle::current(), answer.clone());
    let menu_bar = setup.config.own.menu_bar;
    let menu = menu_bar.then(|| menu::bar(&Handle::current(), answer.clone()));
    let notifier: Arc<dyn Notifier> = if setup.config.own.notify.desktop {
        Arc::new(Desktop::new(Handle::current(), answer))
    } else {
        Arc::new(Recorder::new())
    };
    let setup = process::Setup {
        menu,
        hangups,
        ..reach::process_setup(setup, None, notifier, answers)?
    };
    process::serve(setup, shutdown)
        .await
        .map_err(|error| reach::start(&error))?;
    Ok(ExitCode::Ok)
}
