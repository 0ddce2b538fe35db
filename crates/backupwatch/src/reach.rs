//! The way to an answer: the agent where one runs, this process where none does.

use crate::{
    browser,
    cli::Global,
    failure::Failure,
    setup::{self, Setup},
};
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
use backupwatch_device::{Backend, LibraryError, MuxAddress, Transport};
use backupwatch_notify::{FromDesktop, Notifier};
use std::{os::unix::process::CommandExt as _, path::Path, process::Command, sync::Arc};
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
    let transport = transport(setup)?;
    transport.ready().map_err(|error| no_library(&error))?;
    let process = process_setup_by(transport, setup, root, notifier, answers);
    InProcess::start(process).map_err(|error| {
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

/// Everything a process is made of. Where phones cannot be spoken to as was chosen, the agent runs all the same and says so.
pub fn process_setup(
    setup: &Setup,
    root: Option<&Path>,
    notifier: Arc<dyn Notifier>,
    answers: mpsc::Receiver<FromDesktop>,
) -> Result<process::Setup<Usbmuxd>, Failure> {
    Ok(process_setup_by(
        transport(setup)?,
        setup,
        root,
        notifier,
        answers,
    ))
}

/// The same by this way to the phones, whatever the environment says.
pub fn process_setup_by(
    transport: Transport,
    setup: &Setup,
    root: Option<&Path>,
    notifier: Arc<dyn Notifier>,
    answers: mpsc::Receiver<FromDesktop>,
) -> process::Setup<Usbmuxd> {
    let mut paths = setup.paths.clone();
    let mut origin = setup.origin();
    let mut config = setup.config.clone();
    if let Some(root) = root {
        config.roots.clear();
        paths.backups = root.to_owned();
        origin = Origin::OurOwn;
    }
    process::Setup {
        config,
        sources: setup.sources.clone(),
        paths,
        origin,
        phones: Usbmuxd::new(transport, host_name()),
        notifier,
        answers,
        menu: None,
        open_page: Arc::new(browser::open),
        clock: Arc::new(SystemClock),
        power: Power::of_this_computer(),
        hangups: None,
    }
}

/// Where usbmuxd is, for everybody who speaks to one.
const ADDRESS: &str = "USBMUXD_SOCKET_ADDRESS";
/// What speaks to phones.
const BACKEND: &str = "BACKUPWATCH_BACKEND";

/// The way to the phones, by the environment or the configuration.
pub fn transport(setup: &Setup) -> Result<Transport, Failure> {
    let variable = std::env::var(ADDRESS).ok();
    let address = mux_address(setup)?;
    Ok(Transport::new(
        address,
        backend(setup)?,
        variable.as_deref(),
    ))
}

fn backend(setup: &Setup) -> Result<Backend, Failure> {
    match std::env::var(BACKEND) {
        Ok(name) if !name.trim().is_empty() => name.trim().parse().map_err(|error| {
            Failure::new(
                ExitCode::Usage,
                "backend",
                format!("{BACKEND} names no backend: {error}"),
            )
            .next(format!("Correct or remove the variable {BACKEND}."))
        }),
        Ok(_) | Err(_) => Ok(setup.config.own.device.backend),
    }
}

/// libimobiledevice learns only from the environment where usbmuxd is, and knows fewer spellings of it than we do. Where it is in use
/// and would look elsewhere, this program begins anew with the variable as the library reads it; the process stays the same. Must
/// be called before there are threads. Where it fails the library is not used, and says why.
pub fn tell_libusbmuxd(global: &Global) {
    // What is wrong with the configuration is said by whoever needs it.
    let Ok(setup) = setup::load(global) else {
        return;
    };
    let (Ok(address), Ok(backend)) = (mux_address(&setup), backend(&setup)) else {
        return;
    };
    let variable = std::env::var(ADDRESS).ok();
    if backend == Backend::Idevice || address.is_what_libusbmuxd_reads(variable.as_deref()) {
        return;
    }
    let text = address.to_string();
    // Never twice: with this text there must be nothing left to tell.
    if variable.as_deref() != Some(&text)
        && let Ok(program) = std::env::current_exe()
    {
        // It returns only where it has failed.
        let _ = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(ADDRESS, text)
            .exec();
    }
}

/// libimobiledevice was chosen and is of no use.
fn no_library(error: &LibraryError) -> Failure {
    Failure::new(ExitCode::Usage, "libimobiledevice", error.to_string()).next(format!(
        "Or choose the other way to the devices: device.backend = \"{}\".",
        Backend::Idevice
    ))
}

/// Where usbmuxd is, by the environment or the configuration.
pub fn mux_address(setup: &Setup) -> Result<MuxAddress, Failure> {
    let variable = std::env::var(ADDRESS).ok();
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
