//! A whole agent in a temporary home, simulated phones behind a real socket, and a client on the agent's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backupwatch_agent::client::Client;
use backupwatch_agent::clock::SystemClock;
use backupwatch_agent::config::{Config, Sources};
use backupwatch_agent::medium::Origin;
use backupwatch_agent::paths::{Base, Moved, Paths, System};
use backupwatch_agent::phones::usbmuxd::Usbmuxd;
use backupwatch_agent::power::Power;
use backupwatch_agent::process::{self, Setup, StartError};
use backupwatch_agent::status::{DeviceStatus, Status};
use backupwatch_device::MuxAddress;
use backupwatch_notify::Recorder;
use backupwatch_sim::persona::Persona;
use backupwatch_sim::{Listen, Sim, SimHandle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const ADA: &str = "00008101-000A111122225058";

/// The phone that the program is made for: its iCloud backup is 58 days old, its owner enters the passcode at once.
pub fn ada() -> Persona {
    persona("stale-58-days", |text| {
        text.replace("after_s = 3.0", "after_s = 0.5")
    })
}

/// A persona of the fixtures, with a change.
pub fn persona(name: &str, change: impl FnOnce(String) -> String) -> Persona {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/phones")
        .join(name)
        .with_extension("toml");
    Persona::parse(&change(std::fs::read_to_string(path).unwrap())).unwrap()
}

/// A home, and phones that are or are not there.
pub struct Home {
    pub dir: tempfile::TempDir,
    pub sim: SimHandle,
    pub recorder: Arc<Recorder>,
}

impl Home {
    pub fn with(personas: Vec<Persona>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sim = Sim::start(personas, Listen::Unix(dir.path().join("usbmuxd.sock"))).unwrap();
        Self {
            dir,
            sim,
            recorder: Arc::new(Recorder::new()),
        }
    }

    pub fn base(&self) -> Base {
        let home = self.dir.path();
        Base {
            system: System::Xdg,
            home: home.to_owned(),
            config: home.join("config"),
            state: home.join("state"),
            data: home.join("data"),
            runtime: None,
            uid: 0,
        }
    }

    pub fn paths(&self) -> Paths {
        let state = Some(self.dir.path().join("s"));
        Paths::resolve(
            &self.base(),
            &Moved {
                state,
                ..Moved::default()
            },
        )
    }

    pub fn setup(&self, config: &str) -> Setup<Usbmuxd> {
        let address = self.sim.listen().environment();
        let (_, answers) = mpsc::channel(1);
        let mut config = Config::parse(config).unwrap();
        // The usual port is not for tests, which run beside each other.
        config.own.page.port = 0;
        Setup {
            config,
            sources: Sources {
                managed: None,
                file: self.base().home.join("config.toml"),
                named: false,
                base: self.base(),
            },
            paths: self.paths(),
            origin: Origin::OurOwn,
            phones: Usbmuxd::new(
                MuxAddress::resolve(address.as_deref()).unwrap(),
                Some("test computer".to_owned()),
            ),
            notifier: Arc::clone(&self.recorder) as Arc<dyn backupwatch_notify::Notifier>,
            answers,
            menu: None,
            open_page: Arc::new(|_| Ok(())),
            clock: Arc::new(SystemClock),
            power: Power::left_alone(),
            hangups: None,
        }
    }

    pub fn agent(&self, config: &str) -> Running {
        self.agent_of(self.setup(config))
    }

    pub fn agent_of(&self, setup: Setup<Usbmuxd>) -> Running {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(process::serve(setup, shutdown.clone()));
        Running {
            client: Client::new(&self.paths().socket),
            socket: self.paths().socket,
            shutdown,
            task,
        }
    }
}

/// A running agent.
pub struct Running {
    pub client: Client,
    pub socket: PathBuf,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    /// Waits until it answers.
    pub async fn up(self) -> Self {
        for _ in 0..200 {
            if self.client.version().await.is_ok() {
                return self;
            }
            assert!(!self.task.is_finished(), "{:?}", self.task.await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the agent does not answer");
    }

    /// The status once it looks as it should.
    pub async fn when(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        for _ in 0..600 {
            let status = self.client.status().await.unwrap();
            if is(&status) {
                return status;
            }
            last = Some(status);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what}: {last:#?}");
    }

    pub async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        assert!(!self.socket.exists(), "the socket is removed");
    }
}

pub fn device(status: &Status, udid: &str) -> Option<DeviceStatus> {
    status
        .devices
        .iter()
        .find(|device| device.udid == udid)
        .cloned()
}

impl Running {
    /// Why it did not start.
    pub async fn up_or_error(self) -> String {
        match self.task.await.unwrap() {
            Ok(()) => panic!("it ran"),
            Err(error) => error.to_string(),
        }
    }
}
