//! `simulate`: phones of persona files on a socket, until ctrl-c.

use crate::{cli::Simulate, failure::Failure, terminal::Terminal};
use backupwatch_agent::{exit::ExitCode, signals};
use backupwatch_sim::{Listen, Sim, persona::Persona};
use std::net::ToSocketAddrs as _;
use tokio_util::sync::CancellationToken;

/// The phone that is simulated when no file is named, and in `demo`.
pub const PHONE: &str = include_str!("../../../../fixtures/phones/demo.toml");

pub async fn run(terminal: Terminal, arguments: &Simulate) -> Result<ExitCode, Failure> {
    // Before there is a socket to be left behind.
    let interrupted = CancellationToken::new();
    signals::cancel_on_signal(interrupted.clone())?;
    let mut personas = Vec::new();
    for path in &arguments.personas {
        let persona = Persona::load(path)
            .map_err(|error| Failure::from_error(ExitCode::Usage, "persona", &error))?;
        personas.push(persona);
    }
    if personas.is_empty() {
        personas.push(built_in()?);
    }
    let sim = Sim::start(personas, listen(&arguments.listen)?)
        .map_err(|error| Failure::from_error(ExitCode::Usage, "listen", &error))?;
    if let Some(address) = sim.listen().environment() {
        terminal.data(&format!("USBMUXD_SOCKET_ADDRESS={address}"))?;
    }
    for phone in sim.phones() {
        terminal.say(&format!("simulating {}", phone.udid()));
    }
    terminal.say("Ctrl-C ends it.");
    interrupted.cancelled().await;
    sim.stop().await;
    Ok(ExitCode::Ok)
}

/// The phone of the demonstration.
pub fn built_in() -> Result<Persona, Failure> {
    Persona::parse(PHONE)
        .map_err(|error| Failure::from_error(ExitCode::Internal, "built_in_persona", &error))
}

/// A path is a Unix socket, host:port is TCP, in every spelling of `USBMUXD_SOCKET_ADDRESS`. Port 0 takes a free one.
fn listen(address: &str) -> Result<Listen, Failure> {
    use backupwatch_wire::address::SocketAddress;
    if let Ok(address) = address.parse() {
        return Ok(Listen::Tcp(address));
    }
    let wrong = || {
        Failure::new(
            ExitCode::Usage,
            "listen",
            format!("--listen {address} is neither a path nor host:port"),
        )
    };
    match SocketAddress::parse(address).map_err(|_| wrong())? {
        SocketAddress::Unix(path) => Ok(Listen::Unix(path)),
        SocketAddress::Tcp { host, port } => (host.as_str(), port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .map(Listen::Tcp)
            .ok_or_else(wrong),
    }
}
