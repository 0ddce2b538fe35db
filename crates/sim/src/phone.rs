//! The living phone: shared state, waits, and what the host was seen to send. Every service of one phone holds the same
//! `Arc<Phone>`. It speaks no protocol; the drivers' verbs (`unplug`, `tap_trust`, …) are in `handle`.

mod clock;
mod gate;
mod handle;
mod journal;
mod locks;
pub mod log;
mod prompt;
mod values;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backupwatch_wire::afc::SYNC_LOCK;
use plist::{Dictionary, Value};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::cloud::Cloud;
use crate::mobilebackup2::BackupSide;
use crate::pairing::Pairing;
use crate::persona::{Answers, LinkKind, Persona};

pub use clock::Clock;
pub use gate::Gate;
pub use handle::PhoneHandle;
pub use journal::{Channel, Journal, Seen};
pub use locks::{FileLocks, LockHolder, WouldBlock};
pub use prompt::PasscodeOutcome;

/// The domain of the backup dates.
pub const BACKUP_DOMAIN: &str = "com.apple.mobile.backup";
/// Posted when a value of the backup domain changes (protocol.md 5.3).
pub const BACKUP_DOMAIN_CHANGED: &str = "com.apple.mobile.backup.domain_changed";
/// The root domain has no name on the wire; this is its key in our maps and in persona files.
pub const ROOT_DOMAIN: &str = "root";

/// How many posts a slow notification_proxy connection may lag behind before it loses some.
const POST_BACKLOG: usize = 256;

/// One simulated phone.
#[derive(Debug)]
pub struct Phone {
    persona: Persona,
    state: watch::Sender<State>,
    values: Mutex<BTreeMap<String, Dictionary>>,
    clock: Clock,
    journal: Journal,
    gate: Gate,
    posts: broadcast::Sender<String>,
    links: Mutex<Vec<Link>>,
    ports: Mutex<Ports>,
    pairings: Mutex<BTreeMap<String, Pairing>>,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    locks: FileLocks,
    /// The program that a driver makes hold the sync lock.
    somebody: LockHolder,
    mux: MuxSide,
    backup: BackupSide,
    cloud: Mutex<Cloud>,
    log: log::Log,
    sessions: AtomicU32,
    /// How often each `[[lockdown.fault]]` was met.
    faults_met: Mutex<BTreeMap<usize, u32>>,
}

/// What of the phone changes while it runs, and can be waited for.
#[derive(Clone, Debug)]
pub struct State {
    pub locked: bool,
    pub unlocked_since_boot: bool,
    pub trust_dialog: TrustDialog,
    pub prompt: PromptState,
    /// Connections of services that are open now, by service name.
    pub open: BTreeMap<String, u32>,
}

/// The Trust dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustDialog {
    Hidden,
    Shown {
        since: tokio::time::Instant,
    },
    /// The owner tapped Trust; the next Pair succeeds.
    Trusted,
    /// The owner tapped Don't Trust; the next Pair fails, and a replug asks again.
    Denied,
}

/// The passcode prompt of a local backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptState {
    Hidden,
    Shown,
    Entered,
    Cancelled,
}

/// One way to the host. It is attached while it has a `DeviceID`.
#[derive(Debug)]
struct Link {
    kind: LinkKind,
    answers: Answers,
    attached: Option<Attached>,
}

/// An attachment: its number is never used twice (protocol.md 3.3), and every tunnel dies with its token.
#[derive(Clone, Debug)]
pub struct Attached {
    pub device_id: u32,
    pub kind: LinkKind,
    pub answers: Answers,
    pub gone: CancellationToken,
}

/// What the phone's links tell usbmuxd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    Attached {
        udid: String,
        device_id: u32,
        kind: LinkKind,
    },
    Detached {
        device_id: u32,
    },
    Paired {
        device_id: u32,
    },
}

/// The phone's end of the one usbmuxd that all phones share.
#[derive(Clone, Debug)]
pub struct MuxSide {
    pub changes: broadcast::Sender<LinkChange>,
    pub next_id: std::sync::Arc<AtomicU32>,
}

impl MuxSide {
    #[must_use]
    pub fn new() -> Self {
        Self {
            changes: broadcast::Sender::new(1024),
            next_id: std::sync::Arc::new(AtomicU32::new(1)),
        }
    }
}

impl Default for MuxSide {
    fn default() -> Self {
        Self::new()
    }
}

/// Services that StartService has opened a port for, until somebody connects.
#[derive(Debug)]
struct Ports {
    next: u16,
    waiting: BTreeMap<u16, StartedService>,
}

/// What StartService promised.
#[derive(Clone, Debug)]
pub struct StartedService {
    pub name: String,
    pub ssl: bool,
    /// The host sent the right escrow bag, so a lock during the service does no harm.
    pub escrow: bool,
    pub host_id: String,
}

/// The first port that services get.
const FIRST_PORT: u16 = 49_152;
/// More services than this started and never connected to: the oldest port closes.
const WAITING_PORTS: usize = 64;

impl Phone {
    /// A phone as its persona describes it, not yet plugged in.
    #[must_use]
    pub fn new(persona: Persona, mux: MuxSide) -> Self {
        let clock = Clock::new(&persona.clock);
        let locks = FileLocks::default();
        let somebody = locks.holder();
        let state = State {
            locked: persona.passcode.set && persona.passcode.locked,
            unlocked_since_boot: !persona.passcode.set || persona.passcode.unlocked_since_boot,
            trust_dialog: TrustDialog::Hidden,
            prompt: PromptState::Hidden,
            open: BTreeMap::new(),
        };
        let values = values::of_persona(&persona, clock.now());
        let files = persona
            .afc
            .iter()
            .map(|(path, text)| (path.clone(), text.clone().into_bytes()))
            .collect();
        let links = persona
            .link
            .iter()
            .map(|link| Link {
                kind: link.kind,
                answers: link.answers,
                attached: None,
            })
            .collect();
        let backup = BackupSide::new(&persona);
        let cloud = Mutex::new(Cloud::new(&persona, clock.now()));
        let phone = Self {
            persona,
            backup,
            cloud,
            log: log::Log::default(),
            state: watch::Sender::new(state),
            values: Mutex::new(values),
            clock,
            journal: Journal::default(),
            gate: Gate::default(),
            posts: broadcast::Sender::new(POST_BACKLOG),
            links: Mutex::new(links),
            ports: Mutex::new(Ports {
                next: FIRST_PORT,
                waiting: BTreeMap::new(),
            }),
            pairings: Mutex::new(BTreeMap::new()),
            files: Mutex::new(files),
            locks,
            somebody,
            mux,
            sessions: AtomicU32::new(1),
            faults_met: Mutex::default(),
        };
        crate::cloud::note_conditions(&phone);
        phone
    }

    #[must_use]
    pub fn persona(&self) -> &Persona {
        &self.persona
    }

    #[must_use]
    pub fn udid(&self) -> &str {
        &self.persona.identity.udid
    }

    /// The backup agent's part: contents, password, faults, and what hosts did wrong.
    #[must_use]
    pub const fn backup(&self) -> &BackupSide {
        &self.backup
    }

    /// The phone's own clock; use this and never the host's.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the host was seen to send. Services note every request here before they answer it.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where a single-stepped phone waits: call `gate().pass(name).await` before each message to the host.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the state is as wanted.
    pub async fn wait_for(&self, wanted: impl FnMut(&State) -> bool) {
        // The sender lives as long as `self`, so the wait cannot end in an error.
        drop(self.state.subscribe().wait_for(wanted).await);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Posts a notification to every notification_proxy connection that observes it.
    pub fn post(&self, name: &str) {
        // Nobody listening is no error.
        drop(self.posts.send(name.to_owned()));
    }

    pub(crate) fn posts(&self) -> broadcast::Receiver<String> {
        self.posts.subscribe()
    }

    /// The small files that AFC serves.
    pub(crate) fn files(&self) -> &Mutex<BTreeMap<String, Vec<u8>>> {
        &self.files
    }

    pub(crate) const fn cloud(&self) -> &Mutex<Cloud> {
        &self.cloud
    }

    /// What the phone's programs write for whoever listens.
    pub(crate) const fn log(&self) -> &log::Log {
        &self.log
    }

    pub(crate) fn locks(&self) -> &FileLocks {
        &self.locks
    }

    /// Whether any program holds the sync lock.
    #[must_use]
    pub fn sync_locked(&self) -> bool {
        self.locks.is_exclusive(SYNC_LOCK)
    }

    pub(crate) fn hold_sync_lock(&self) -> bool {
        self.locks.exclusive(SYNC_LOCK, self.somebody).is_ok()
    }

    pub(crate) fn release_sync_lock(&self) {
        self.locks.release(SYNC_LOCK, self.somebody);
    }

    pub(crate) fn pairings(&self) -> &Mutex<BTreeMap<String, Pairing>> {
        &self.pairings
    }

    /// A value of a lockdown domain (`ROOT_DOMAIN` for the root).
    #[must_use]
    pub fn value(&self, domain: &str, key: &str) -> Option<Value> {
        lock(&self.values).get(domain)?.get(key).cloned()
    }

    /// A whole lockdown domain as it stands, without the values that are made when asked for.
    #[must_use]
    pub fn domain(&self, domain: &str) -> Option<Dictionary> {
        lock(&self.values).get(domain).cloned()
    }

    /// Sets or removes a lockdown value; the backup domain tells its observers.
    pub fn set_value(&self, domain: &str, key: &str, value: Option<Value>) {
        {
            let mut values = lock(&self.values);
            let dictionary = values.entry(domain.to_owned()).or_default();
            match value {
                Some(value) => {
                    dictionary.insert(key.to_owned(), value);
                }
                None => {
                    dictionary.remove(key);
                }
            }
        }
        if domain == BACKUP_DOMAIN {
            self.post(BACKUP_DOMAIN_CHANGED);
        }
    }

    /// Plugs every link of this kind, if it is not plugged yet.
    pub fn plug(&self, kind: LinkKind) {
        for link in lock(&self.links)
            .iter_mut()
            .filter(|link| link.kind == kind && link.attached.is_none())
        {
            let device_id = self.mux.next_id.fetch_add(1, Ordering::Relaxed);
            link.attached = Some(Attached {
                device_id,
                kind,
                answers: link.answers,
                gone: CancellationToken::new(),
            });
            let udid = self.udid().to_owned();
            drop(self.mux.changes.send(LinkChange::Attached {
                udid,
                device_id,
                kind,
            }));
        }
        // A replug asks again (protocol.md 4.2).
        if kind == LinkKind::Usb {
            self.change(|state| {
                if state.trust_dialog == TrustDialog::Denied {
                    state.trust_dialog = TrustDialog::Hidden;
                }
            });
        }
    }

    /// Pulls every link of this kind: tunnels break in the middle of whatever they carry.
    pub fn unplug(&self, kind: LinkKind) {
        for link in lock(&self.links)
            .iter_mut()
            .filter(|link| link.kind == kind)
        {
            if let Some(attached) = link.attached.take() {
                attached.gone.cancel();
                drop(self.mux.changes.send(LinkChange::Detached {
                    device_id: attached.device_id,
                }));
            }
        }
    }

    /// The phone goes away altogether, as when it is carried out of the house.
    pub fn unplug_all(&self) {
        self.unplug(LinkKind::Usb);
        self.unplug(LinkKind::Network);
    }

    /// The attachments now, in the order of the persona.
    #[must_use]
    pub fn attachments(&self) -> Vec<Attached> {
        lock(&self.links)
            .iter()
            .filter_map(|link| link.attached.clone())
            .collect()
    }

    pub(crate) fn announce_paired(&self, device_id: u32) {
        drop(self.mux.changes.send(LinkChange::Paired { device_id }));
    }

    /// A number for a new lockdown session.
    pub(crate) fn next_session(&self) -> u32 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts one more occasion for a fault and says how many there were before.
    pub(crate) fn meet_fault(&self, number: usize) -> u32 {
        let mut met = lock(&self.faults_met);
        let count = met.entry(number).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// Opens a port for a service.
    pub(crate) fn open_port(&self, service: StartedService) -> u16 {
        let mut ports = lock(&self.ports);
        while ports.waiting.len() >= WAITING_PORTS {
            ports.waiting.pop_first();
        }
        let port = ports.next;
        ports.next = port.checked_add(1).unwrap_or(FIRST_PORT);
        ports.waiting.insert(port, service);
        port
    }

    /// The service behind a port; the port serves one connection.
    pub(crate) fn take_port(&self, port: u16) -> Option<StartedService> {
        lock(&self.ports).waiting.remove(&port)
    }
}

/// A mutex of ours is held for a moment and never across a panic that matters: a poisoned one is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Seconds from a persona file as a duration; nonsense becomes nothing, for ever becomes a year.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 31_536_000.0)).unwrap_or_default()
}
