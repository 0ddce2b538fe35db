//! A stage for the tests: simulated phones behind a real socket, and short patience.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use backupwatch_backup::Clock;
use backupwatch_core::{HostTime, LinkKind};
use backupwatch_device::{Attached, MuxAddress, Timeouts, Transport, list};
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{Channel, PhoneHandle};
use backupwatch_sim::{Listen, Sim, SimHandle};

pub const UDID: &str = "00008101-000A11112222F1E5";
pub const OTHER: &str = "00008030-000B33334444E2D4";

pub struct Stage {
    pub sim: SimHandle,
    pub address: MuxAddress,
    pub transport: Transport,
    pub timeouts: Timeouts,
    _dir: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
pub enum Socket {
    Unix,
    Tcp,
}

impl Stage {
    pub fn new(personas: Vec<Persona>) -> Self {
        Self::on(Socket::Unix, personas)
    }

    pub fn on(socket: Socket, personas: Vec<Persona>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = match socket {
            Socket::Unix => Listen::Unix(dir.path().join("usbmuxd")),
            Socket::Tcp => Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        };
        let sim = Sim::start(personas, listen).unwrap();
        let spelling = sim.listen().environment();
        let address = MuxAddress::resolve(spelling.as_deref()).unwrap();
        Self {
            transport: address.clone().into(),
            address,
            timeouts: impatient(),
            sim,
            _dir: dir,
        }
    }

    /// One phone whose persona has these lines beside its identity.
    pub fn with(lines: &str) -> Self {
        Self::new(vec![persona(UDID, lines)])
    }

    pub fn phone(&self) -> PhoneHandle {
        self.sim.phone(UDID).unwrap()
    }

    /// The attachment that is preferred.
    pub async fn attached(&self) -> Attached {
        list(&self.address, &self.timeouts).await.unwrap().remove(0)
    }

    /// The attachment over this link.
    pub async fn over(&self, link: LinkKind) -> Attached {
        let all = list(&self.address, &self.timeouts).await.unwrap();
        all.into_iter().find(|one| one.link == link).unwrap()
    }

    /// What lockdownd was asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.phone().phone().journal().names(Channel::Lockdown)
    }

    pub fn times_asked(&self, request: &str) -> usize {
        self.asked().iter().filter(|name| *name == request).count()
    }
}

pub fn persona(udid: &str, lines: &str) -> Persona {
    let text = format!("[identity]\nudid = \"{udid}\"\nname = \"Ada’s iPhone\"\n{lines}");
    Persona::parse(&text).unwrap_or_else(|error| panic!("{error:?} in\n{text}"))
}

/// Long enough for a busy machine where an answer comes, short enough where none does.
pub fn impatient() -> Timeouts {
    Timeouts {
        mux: Duration::from_millis(1500),
        network_hello: Duration::from_millis(800),
        request: Duration::from_millis(1500),
        tls: Duration::from_secs(5),
        probe: Duration::from_secs(20),
        pair_repeat: Duration::from_millis(50),
    }
}

pub struct Noon;

impl Clock for Noon {
    fn now(&self) -> HostTime {
        HostTime("2026-11-01T12:00:00Z".parse().unwrap())
    }
}

/// Waits for what must come, and says so when it does not.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}
