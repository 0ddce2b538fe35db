//! The simulator as a program of its own: `backupwatch-sim ADDRESS PERSONA.toml...`, until it is interrupted.
//!
//! For people who develop against it; `backupwatch simulate` is the same for everybody else.

use std::path::Path;
use std::process::ExitCode;

use backupwatch_sim::persona::Persona;
use backupwatch_sim::{Listen, Sim};
use backupwatch_wire::address::SocketAddress;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("backupwatch-sim: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let address = arguments.next().ok_or("ADDRESS PERSONA.toml... expected")?;
    let listen = match SocketAddress::parse(&address.to_string_lossy())? {
        SocketAddress::Unix(path) => Listen::Unix(path),
        SocketAddress::Tcp { host, port } => Listen::Tcp(format!("{host}:{port}").parse()?),
    };
    let mut personas = Vec::new();
    for path in arguments {
        let path = Path::new(&path);
        if path.is_dir() {
            personas.extend(Persona::load_dir(path).map_err(failed)?);
        } else {
            personas.push(Persona::load(path).map_err(failed)?);
        }
    }
    let sim = Sim::start(personas, listen).map_err(failed)?;
    let address = sim.listen().environment().unwrap_or_default();
    say(&format!("USBMUXD_SOCKET_ADDRESS={address}"));
    tokio::signal::ctrl_c().await?;
    sim.stop().await;
    Ok(())
}

/// The sentence that an error and its causes are a part of.
fn failed(error: impl std::error::Error) -> String {
    let mut words = format!("failed to {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    words
}

#[expect(
    clippy::print_stderr,
    reason = "this is the program's only way to speak"
)]
fn say(line: &str) {
    eprintln!("{line}");
}
