//! From a configuration to a running process: the state is opened, the right to be the only one is claimed, the loop and the
//! socket are started, and all of it is ended again in the right order. Two shapes: [`serve`] is the agent; [`InProcess`] is
//! one command of a person while no agent runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::policy::Mode;
use backupwatch_core::watcher::Remembered;
use backupwatch_core::{HostTime, Udid};
use backupwatch_notify::menu::MenuBar;
use backupwatch_notify::{FromDesktop, Notifier};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::{self, Desk, Following, OpenPage, Parts, Refusal};
use crate::alias::{AliasError, Aliases};
use crate::api::listen::{ListenError, Listener};
use crate::api::words::BackupEvent;
use crate::api::{self, story};
use crate::clock::Clock;
use crate::config::{Config, PageOwn, Sources};
use crate::doctor;
use crate::errand::Run;
use crate::instance::{Instance, InstanceError};
use crate::jobs::Place;
use crate::keeper::Keeper;
use crate::medium::{self, Known, Origin};
use crate::metrics;
use crate::outside::{Internet, Kept, Outside};
use crate::page::{self, Door};
use crate::paths::{Paths, PathsError};
use crate::phones::Phones;
use crate::places::Places;
use crate::power::Power;
use crate::reload::Reload;
use crate::state::{self, StateError};
use crate::status::Status;

/// How long the last answers may take after the loop has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs of the program after a backup that are read at the start, to find the last of each device.
const RAN: u32 = 500;

/// What a process is made of.
pub struct Setup<P> {
    /// What is configured.
    pub config: Config,
    /// Where that was read.
    pub sources: Sources,
    /// Where things are.
    pub paths: Paths,
    /// Whether the root of the backups may be made.
    pub origin: Origin,
    /// The phones.
    pub phones: P,
    /// Shows notices.
    pub notifier: Arc<dyn Notifier>,
    /// What people choose on them and in the menu, and what else the desktop tells.
    pub answers: mpsc::Receiver<FromDesktop>,
    /// The item in the menu bar, where there is one.
    pub menu: Option<Arc<dyn MenuBar>>,
    /// Opens links for the person.
    pub open_page: OpenPage,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Keeps the computer awake while a backup runs.
    pub power: Power,
    /// At each of these an agent reads its configuration again.
    pub hangups: Option<Signal>,
}

impl<P> fmt::Debug for Setup<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// Why a process cannot start. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// Another agent, or the lock.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// What devices are called outside.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// The socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A part of this process broke.
    #[error("keep the agent running: a part of it broke")]
    Broken(#[source] tokio::task::JoinError),
}

/// The agent: runs until `shutdown`, and ends what is under way politely.
pub async fn serve<P: Phones>(
    mut setup: Setup<P>,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let hangups = setup.hangups.take();
    let clock = Arc::clone(&setup.clock);
    let paths = setup.paths.clone();
    let mut start = Start::of(&paths)?;
    let listener = Listener::bind(&paths.socket)?;
    let (page, remark) = page_of(&setup.config.own.page).await;
    start.remarks.extend(remark);
    let (desk, asks) = Desk::new();
    start.door = page
        .as_ref()
        .map(|page| Door::new(page.port(), Arc::clone(&clock)));
    let started = clock.now().0;
    let source = metrics::Source {
        desk: desk.clone(),
        database: paths.database.clone(),
        clock: Arc::clone(&clock),
        started,
        pulse: Arc::clone(&start.pulse),
        names: Arc::default(),
    };
    let sender = start.sender(started);
    let own = &setup.config.own.metrics;
    let ways = metrics::Ways::open(own, source.clone(), sender.clone()).await;
    let (switch, others) = metrics::Switch::from(&ways, sender);
    let reload = Reload::new(setup.sources.clone(), desk.clone(), switch);
    let context = api::Context {
        desk,
        reload: Arc::new(reload),
        metrics: source,
        database: paths.database.clone(),
        door: start.door.clone(),
        place: doctor::Place {
            root: paths.backups.clone(),
            origin: setup.origin,
            own: setup.config.roots.clone(),
            database: paths.database.clone(),
            desktop: setup.config.own.notify.desktop,
        },
        started,
        clock,
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state = %paths.state.display(),
        backups = %paths.backups.display(),
        "the agent runs"
    );
    let (instance, parts) = start.into_parts(setup, true);
    let page = page.zip(page_context(&context));
    let mut server = tokio::spawn(faces(
        listener,
        context,
        page,
        (ways, others),
        hangups,
        shutdown.clone(),
    ));
    let mut watch = tokio::spawn(agent::run(parts, asks, shutdown.clone()));
    // Either may end first only by a fault; then the other one is ended politely too.
    let (watched, served) = tokio::select! {
        watched = &mut watch => {
            shutdown.cancel();
            // By now every answer is on its way; who still sends a request has had its time.
            let served = tokio::time::timeout(LAST_ANSWERS, &mut server).await;
            server.abort();
            (watched, served.unwrap_or(Ok(())))
        }
        served = &mut server => {
            shutdown.cancel();
            (watch.await, served)
        }
    };
    let result = watched.and(served).map_err(StartError::Broken);
    drop(instance);
    tracing::info!("the agent has ended");
    result
}

/// The socket of the page, if there is to be one, and what a person should know about it.
async fn page_of(config: &PageOwn) -> (Option<page::Listener>, Option<String>) {
    if !config.enabled {
        return (None, None);
    }
    match page::Listener::bind(config.port).await {
        Ok(page) if config.port == 0 || page.port() == config.port => (Some(page), None),
        Ok(page) => {
            let (wanted, got) = (config.port, page.port());
            let remark = format!(
                "The page is at port {got}, because port {wanted} is taken; `backupwatch open` finds it."
            );
            (Some(page), Some(remark))
        }
        Err(error) => {
            let why = medium::in_full(&error);
            (None, Some(format!("There is no page: failed to {why}.")))
        }
    }
}

fn page_context(context: &api::Context) -> Option<page::Context> {
    Some(page::Context {
        desk: context.desk.clone(),
        database: context.database.clone(),
        clock: Arc::clone(&context.clock),
        zone: TimeZone::system(),
        door: context.door.clone()?,
    })
}

/// The local API, the page, what monitoring is told, and the signal to read the configuration again.
async fn faces(
    listener: Listener,
    context: api::Context,
    page: Option<(page::Listener, page::Context)>,
    (ways, others): (metrics::Ways, mpsc::Receiver<metrics::Ways>),
    hangups: Option<Signal>,
    shutdown: CancellationToken,
) {
    let reload = Arc::clone(&context.reload);
    let reloads = reload.at_each(hangups, shutdown.clone());
    let api = api::serve(listener, context, shutdown.clone());
    let page = async {
        if let Some((listener, context)) = page {
            page::serve(listener, context, shutdown.clone()).await;
        }
    };
    let ways = metrics::serve(ways, others, shutdown.clone());
    tokio::join!(api, page, ways, reloads);
}

/// One command of a person, in this process, while no agent runs: the same loop without the listening.
#[derive(Debug)]
pub struct InProcess<P> {
    desk: Desk,
    phones: Arc<P>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    _instance: Instance,
}

impl<P: Phones> InProcess<P> {
    /// Starts the loop. Backups begin only when they are asked for.
    pub fn start(mut setup: Setup<P>) -> Result<Self, StartError> {
        let policies = &mut setup.config.policies;
        for policy in policies.devices.values_mut().chain([&mut policies.general]) {
            policy.backup.mode = Mode::Off;
        }
        let start = Start::of(&setup.paths)?;
        let (instance, parts) = start.into_parts(setup, false);
        let phones = Arc::clone(&parts.phones);
        let (desk, asks) = Desk::new();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(agent::run(parts, asks, shutdown.clone()));
        Ok(Self {
            desk,
            phones,
            shutdown,
            task,
            _instance: instance,
        })
    }

    /// Visits everything that is attached, and says what is known then.
    pub async fn check(&self) -> Result<Status, Refusal> {
        let listed = self.phones.list().await;
        self.desk.check(Some(listed)).await
    }

    /// Starts a backup of a device that [`Self::check`] has found.
    pub async fn backup(&self, udid: Udid, full: bool) -> Result<Following, Refusal> {
        self.desk.backup(udid, full).await
    }

    /// The story of a backup, as the local API tells it.
    pub fn events(&self, following: Following) -> mpsc::Receiver<BackupEvent> {
        story::events(following, self.shutdown.clone())
    }

    /// Everything else that can be asked.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Ends what is under way politely and writes what is left to write.
    pub async fn finish(self) -> Result<(), StartError> {
        self.shutdown.cancel();
        self.task.await.map_err(StartError::Broken)
    }
}

/// The opened state, with the right to use it.
struct Start {
    instance: Instance,
    keeper: Keeper,
    remembered: Vec<Remembered>,
    aliases: Aliases,
    pulse: Arc<metrics::Pulse>,
    last_poll: Option<HostTime>,
    outside: Kept,
    owed: Vec<Udid>,
    ran: Vec<Run>,
    known: Option<Known>,
    known_own: Vec<Known>,
    lay: BTreeMap<Udid, PathBuf>,
    remarks: Vec<String>,
    door: Option<Door>,
}

impl Start {
    fn of(paths: &Paths) -> Result<Self, StartError> {
        paths.create_state()?;
        let instance = Instance::claim(&paths.lock)?;
        let opened = state::open(&paths.database)?;
        let remarks = opened
            .set_aside
            .as_deref()
            .map(set_aside)
            .into_iter()
            .collect();
        let state = opened.state;
        let devices = state.devices::<Remembered>()?;
        let remembered = devices
            .into_iter()
            .map(|device| device.remembered)
            .collect();
        let (last_poll, known) = (state.agent()?.last_poll, medium::known(&state)?);
        let (known_own, lay) = (medium::known_own(&state)?, medium::lay(&state)?);
        let aliases = Aliases::made(&state)?;
        let (outside, owed) = (Kept::read(&state)?, state.owed()?);
        let ran = state.program_runs(None, RAN)?;
        let keeper = Keeper::start(state, &paths.database);
        Ok(Self {
            instance,
            keeper,
            remembered,
            aliases,
            pulse: Arc::default(),
            last_poll,
            outside,
            owed,
            ran,
            known,
            known_own,
            lay,
            remarks,
            door: None,
        })
    }

    /// As whom this process pushes its numbers.
    fn sender(&self, started: Timestamp) -> metrics::Sender {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        metrics::Sender {
            installation: self.aliases.installation(),
            host: Some(host),
            started,
        }
    }

    fn into_parts<P>(self, setup: Setup<P>, resident: bool) -> (Instance, Parts<P>) {
        // Nothing outside is told by a single command.
        let config = &setup.config;
        let start = |kept| Outside::start(config, kept, &self.aliases, Internet, &setup.clock);
        let outside = resident.then_some(self.outside).map(start);
        let shared = Place {
            root: setup.paths.backups,
            origin: setup.origin,
            known: self.known,
        };
        let parts = Parts {
            outside,
            owed: self.owed,
            ran: self.ran,
            places: Places::new(shared, &setup.config.roots, self.known_own),
            lay: self.lay,
            config: setup.config,
            door: self.door,
            phones: Arc::new(setup.phones),
            resident,
            notifier: setup.notifier,
            answers: setup.answers,
            menu: setup.menu,
            open_page: setup.open_page,
            clock: setup.clock,
            power: setup.power,
            keeper: self.keeper,
            remembered: self.remembered,
            aliases: self.aliases,
            pulse: self.pulse,
            last_poll: self.last_poll,
            remarks: self.remarks,
        };
        (self.instance, parts)
    }
}

fn set_aside(aside: &Path) -> String {
    tracing::error!(aside = %aside.display(), "the state was damaged and begins anew");
    format!(
        "The state was damaged; it is kept at {} and begins anew, so older history is missing.",
        aside.display()
    )
}
