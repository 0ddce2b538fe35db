//! The way to an answer: the agent where one runs, this process where none does.

use crate::{browser, failure::Failure, setup::Setup};
use backupwatch_agent::{
    agent::Refusal,
    api::words::Version,
    client::{Client, ClientError},
    clock::SystemClock,
    exit::ExitCode,
    instance::InstanceError,
    medium::Origin,
    phones::usbmuxd::Usbmuxd,
    power::Power,
    process::{self, InProcess, StartError},
};
use backupwatch_device::MuxAddress;
use backupwatch_notify::{FromDesktop, Notifier};
use std::{path::Path, sync::Arc};
use tokio::sync::mpsc;

/// A client of the agent, if one answers.
pub async fn agent(setup: &Setup) -> Result<Option<Client>, Failure> {
    let there = version(setup).await?.is_some();
    Ok(there.then(|| Client::new(&setup.paths.socket)))
}

/// What the agent says of itself, if one answers.
pub async fn version(setup: &Setup) -> Result<Option<Version>, Failure> {
    match Client::new(&setup.paths.socket).version().await {
        Ok(version) => Ok(Some(version)),
        Err(ClientError::NotRunning) => Ok(None),
        Err(error) => Err(refused_by_agent(&error)),
    }
}

/// The loop in this process, with the backups below `root` if one was named just now.
pub fn in_process(setup: &Setup, root: Option<&Path>) -> Result<InProcess<Usbmuxd>, Failure> {
    // Nobody answers a notice of a command that is about to end; its words are on the terminal.
    let (_, answers) = mpsc::channel(1);
    let notifier = Arc::new(backupwatch_notify::Recorder::new());
    InProcess::start(process_setup(setup, root, notifier, answers)?).map_err(|error| {
        if let StartError::Instance(InstanceError::Running { pid }) = error {
            let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            Failure::new(
                ExitCode::Usage,
                "busy",
                format!("another backupwatch command is at work{process}"),
            )
            .next("Let it finish, and try again.")
        } else {
            start(&error)
        }
    })
}

/// Everything a process is made of.
pub fn process_setup(
    setup: &Setup,
    root: Option<&Path>,
    notifier: Arc<dyn Notifier>,
    answers: mpsc::Receiver<FromDesktop>,
) -> Result<process::Setup<Usbmuxd>, Failure> {
    Ok(process_setup_at(
        mux_address(setup)?,
        setup,
        root,
        notifier,
        answers,
    ))
}

/// The same with usbmuxd at this address, whatever the environment says.
pub fn process_setup_at(
    address: MuxAddress,
    setup: &Setup,
    root: Option<&Path>,
    notifier: Arc<dyn Notifier>,
    answers: mpsc::Receiver<FromDesktop>,
) -> process::Setup<Usbmuxd> {
    let mut paths = setup.paths.clone();
    let mut origin = setup.origin();
    if let Some(root) = root {
        paths.backups = root.to_owned();
        origin = Origin::OurOwn;
    }
    process::Setup {
        config: setup.config.clone(),
        paths,
        origin,
        phones: Usbmuxd::new(address, host_name()),
        notifier,
        answers,
        menu: None,
        open_page: Arc::new(browser::open),
        clock: Arc::new(SystemClock),
        power: Power::of_this_computer(),
    }
}

/// Where usbmuxd is, by the environment or the configuration.
pub fn mux_address(setup: &Setup) -> Result<MuxAddress, Failure> {
    let variable = std::env::var("USBMUXD_SOCKET_ADDRESS").ok();
    let text = variable
        .filter(|text| !text.trim().is_empty())
        .or_else(|| setup.config.own.usbmuxd.address.clone());
    MuxAddress::resolve(text.as_deref()).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            "usbmuxd_address",
            format!("the address of usbmuxd cannot be used: {error}"),
        )
        .next("Set USBMUXD_SOCKET_ADDRESS to a path, UNIX:/path or host:port, or leave it empty.")
    })
}

/// What a phone calls this computer in its question for trust.
fn host_name() -> Option<String> {
    rustix::system::uname()
        .nodename()
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// An agent that says no, or none that can be talked to.
pub fn refused_by_agent(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused(failure) => {
            // The same refusal ends alike, whoever runs the loop.
            let (code, error) = match failure.error.as_str() {
                "unknown_device" => (ExitCode::NoDevice, "unknown_device"),
                "not_attached" => (ExitCode::BackupFailed, "not_attached"),
                "not_now" => (ExitCode::BackupFailed, "not_now"),
                "no_store" => (ExitCode::BackupFailed, "no_store"),
                "listening" => (ExitCode::Usage, "listening"),
                "no_page" => (ExitCode::Usage, "no_page"),
                "ending" => (ExitCode::AgentDown, "ending"),
                _ => (ExitCode::Usage, "refused"),
            };
            let mut out = Failure::new(code, error, failure.message.clone());
            out.next.clone_from(&failure.next);
            out
        }
        ClientError::NotRunning => Failure::new(
            ExitCode::AgentDown,
            "agent_down",
            "the agent is not running",
        )
        .next("Start it with `backupwatch install`."),
        ClientError::Connect { .. }
        | ClientError::Broken(_)
        | ClientError::Late(_)
        | ClientError::Answer(_) => Failure::from_error(ExitCode::AgentDown, "agent", error)
            .next("If this stays, end the agent and start it again."),
    }
}

/// The loop in this process says no.
pub fn refused(refusal: &Refusal) -> Failure {
    let code = match refusal {
        Refusal::UnknownDevice => ExitCode::NoDevice,
        Refusal::NotAttached | Refusal::NotNow { .. } | Refusal::NoStore { .. } => {
            ExitCode::BackupFailed
        }
        Refusal::NoBackup | Refusal::Listening | Refusal::NotListening => ExitCode::Usage,
        Refusal::Ending => ExitCode::Internal,
    };
    let mut failure = Failure::new(code, refusal.code(), refusal.to_string());
    failure.next = match refusal {
        // The agent would begin by itself; this process is about to end.
        Refusal::NotNow { .. } => Some("Try again when that is so.".to_owned()),
        Refusal::UnknownDevice
        | Refusal::NotAttached
        | Refusal::NoStore { .. }
        | Refusal::Listening
        | Refusal::NotListening
        | Refusal::NoBackup
        | Refusal::Ending => refusal.next().map(str::to_owned),
    };
    failure
}

/// A process that cannot start.
pub fn start(error: &StartError) -> Failure {
    let code = match error {
        StartError::Paths(_) | StartError::Instance(_) => ExitCode::Usage,
        StartError::State(_)
        | StartError::Alias(_)
        | StartError::Listen(_)
        | StartError::Broken(_) => ExitCode::Internal,
    };
    let failure = Failure::from_error(code, "start", error);
    if matches!(error, StartError::Instance(InstanceError::Running { .. })) {
        return failure.next("Wait until it has ended, or use another folder by --state-dir.");
    }
    failure
}
