//! Phones that follow a script, and a clock that follows tokio's paused one. The phones are honest: what they say is what
//! the test has set, they answer late or never when told so, and they count what they were asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backupwatch_core::run::{CancelledBy, Phase, Progress, RunEnd, RunFailure, RunKind, RunReport};
use backupwatch_core::watcher::{Attachment, Event};
use backupwatch_core::{
    DeviceTime, Facts, HostTime, Level, LinkKind, LocalCopy, NoAnswer, Trust, Udid,
};
use backupwatch_device::bus::Found;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::phones::{Attached, LogEvent, Order, Phones};

/// Ten in the morning, UTC: no quiet hours.
pub(super) const START: &str = "2026-11-22T10:00:00Z";

pub(super) fn udid(n: u32) -> Udid {
    Udid::parse(&format!("00008110-{n:016X}")).unwrap()
}

#[derive(Debug)]
pub(super) struct TestClock {
    wall: Timestamp,
    timer: Instant,
    asleep_s: AtomicI64,
}

impl TestClock {
    pub(super) fn new() -> Self {
        Self {
            wall: START.parse().unwrap(),
            timer: Instant::now(),
            asleep_s: AtomicI64::new(0),
        }
    }

    /// The computer sleeps: the wall clock goes on, timers do not.
    pub(super) fn sleep(&self, seconds: i64) {
        self.asleep_s.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl backupwatch_backup::Clock for TestClock {
    fn now(&self) -> HostTime {
        let awake = SignedDuration::try_from(self.timer.elapsed()).unwrap();
        let asleep = SignedDuration::from_secs(self.asleep_s.load(Ordering::SeqCst));
        let now = self.wall + awake + asleep;
        HostTime(Timestamp::from_millisecond(now.as_millisecond()).unwrap())
    }
}

impl Clock for TestClock {
    fn utc_offset_s(&self) -> i32 {
        0
    }
}

/// What a phone does when a backup is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backup {
    /// Passcode, data, done, in some seconds.
    Works,
    /// Data, done: no passcode is asked for.
    WorksAlone,
    /// Waits for its passcode until it is stopped.
    WaitsForPasscode,
    /// Is not stopped by anything.
    Stuck,
    /// Breaks the engine.
    Panics,
}

#[derive(Debug, Clone)]
pub(super) struct Phone {
    pub(super) trust: Trust,
    pub(super) model: &'static str,
    /// Days since the last iCloud backup.
    pub(super) cloud_days: i64,
    pub(super) backup: Backup,
    pub(super) probe_panics: bool,
    pub(super) silent: bool,
    /// A visit to it does not end by itself.
    pub(super) hangs: bool,
    pub(super) probes: usize,
    /// What it writes into its log, a line a second.
    pub(super) log: Vec<LogEvent>,
    /// And then it is gone.
    pub(super) log_breaks: bool,
}

impl Default for Phone {
    fn default() -> Self {
        Self {
            trust: Trust::Trusted,
            model: "iPhone15,3",
            cloud_days: 0,
            backup: Backup::Works,
            probe_panics: false,
            silent: false,
            hangs: false,
            probes: 0,
            log: Vec::new(),
            log_breaks: false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    phones: Mutex<BTreeMap<Udid, Phone>>,
    /// In the order of the visits' beginnings.
    pub(super) visited: Mutex<Vec<Udid>>,
    news: Mutex<Option<mpsc::Receiver<Event>>>,
    pub(super) cables: Mutex<Vec<Found>>,
    /// How often somebody looked at them.
    pub(super) looks: AtomicUsize,
    pub(super) looks_panic: AtomicBool,
    /// Somebody plugs or unplugs.
    pub(super) plugs: Notify,
}

impl Script {
    pub(super) fn new() -> (Arc<Self>, mpsc::Sender<Event>) {
        let (tell, news) = mpsc::channel(1024);
        (
            Arc::new(Self {
                news: Mutex::new(Some(news)),
                ..Self::default()
            }),
            tell,
        )
    }

    pub(super) fn set(&self, udid: &Udid, change: impl FnOnce(&mut Phone)) {
        change(self.phones.lock().unwrap().entry(udid.clone()).or_default());
    }

    pub(super) fn get(&self, udid: &Udid) -> Phone {
        self.phones
            .lock()
            .unwrap()
            .get(udid)
            .cloned()
            .unwrap_or_default()
    }
}

pub(super) fn attached(n: u32) -> Event {
    Event::Attached {
        udid: udid(n),
        link: LinkKind::Usb,
        attachment: Attachment(n),
    }
}

fn facts(phone: &Phone, attached: &Attached, now: HostTime) -> Facts {
    let why = if phone.trust == Trust::Trusted {
        NoAnswer::Missing
    } else {
        NoAnswer::NotTrusted
    };
    let mut facts = Facts::unanswered(
        attached.udid.clone(),
        now,
        vec![attached.link],
        phone.trust,
        &why,
    );
    facts.name = Ok(format!("Phone {}", attached.attachment));
    if phone.trust == Trust::Trusted {
        facts.model = Ok(phone.model.to_owned());
        facts.os_version = Ok("26.1".to_owned());
        facts.device_clock = Ok(DeviceTime(now.0));
        facts.locked = Ok(false);
        facts.cloud_enabled = Ok(true);
        facts.cloud_last = Ok(DeviceTime(
            now.0 - SignedDuration::from_hours(24 * phone.cloud_days),
        ));
        facts.battery = Ok(backupwatch_core::facts::Battery {
            percent: 80,
            on_power: true,
        });
        facts.setup = Ok(backupwatch_core::facts::Setup::Done);
    }
    facts
}

impl Phones for Script {
    async fn listen(&self, news: mpsc::Sender<Event>, cancel: CancellationToken) {
        let mut told = self.news.lock().unwrap().take().unwrap();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                event = told.recv() => match event {
                    Some(event) => news.send(event).await.unwrap(),
                    None => cancel.cancelled().await,
                },
            }
        }
    }

    async fn list(&self) -> Result<Vec<Attached>, String> {
        let phones = self.phones.lock().unwrap();
        let one = |(udid, n): (&Udid, u32)| Attached {
            udid: udid.clone(),
            link: LinkKind::Usb,
            attachment: Attachment(n),
        };
        Ok(phones.keys().zip(1..).map(one).collect())
    }

    async fn plugged(&self, hint: impl Fn() + Send) {
        loop {
            self.plugs.notified().await;
            hint();
        }
    }

    async fn cables(&self) -> Vec<Found> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.looks_panic.load(Ordering::SeqCst),
            "the look was told to break"
        );
        self.cables.lock().unwrap().clone()
    }

    async fn probe(&self, attached: &Attached, clock: Arc<dyn Clock>) -> Result<Facts, NoAnswer> {
        self.set(&attached.udid, |phone| phone.probes += 1);
        self.visited.lock().unwrap().push(attached.udid.clone());
        let phone = self.get(&attached.udid);
        assert!(!phone.probe_panics, "the probe was told to break");
        if phone.hangs {
            std::future::pending::<()>().await;
        }
        if phone.silent {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return Err(NoAnswer::LinkLost);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(facts(&phone, attached, clock.now()))
    }

    async fn pair(
        &self,
        attached: &Attached,
        _clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> Trust {
        tokio::select! {
            () = cancel.cancelled() => Trust::DialogPending,
            () = tokio::time::sleep(Duration::from_secs(3)) => {
                self.set(&attached.udid, |phone| phone.trust = Trust::Trusted);
                Trust::Trusted
            }
        }
    }

    async fn observe(
        &self,
        _attached: &Attached,
        _news: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) {
        cancel.cancelled().await;
    }

    async fn log(
        &self,
        attached: &Attached,
        _clock: Arc<dyn Clock>,
        lines: mpsc::Sender<LogEvent>,
        cancel: CancellationToken,
    ) -> Result<(), String> {
        for line in self.get(&attached.udid).log {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if lines.send(line).await.is_err() {
                return Ok(());
            }
        }
        if self.get(&attached.udid).log_breaks {
            return Err("it is gone".to_owned());
        }
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            () = lines.closed() => Ok(()),
        }
    }

    async fn back_up(
        &self,
        order: Order,
        clock: Arc<dyn Clock>,
        progress: watch::Sender<Progress>,
        cancel: CancellationToken,
    ) -> RunReport {
        let started = clock.now();
        let behaviour = self.get(&order.udid).backup;
        let step = |phase, bytes| {
            progress
                .send_modify(|now| (now.phase, now.bytes, now.files) = (phase, bytes, bytes / 100))
        };
        if behaviour != Backup::WorksAlone {
            step(Phase::WaitingForPasscode, 0);
        }
        let end = match behaviour {
            Backup::Panics => panic!("the engine was told to break"),
            Backup::Stuck => std::future::pending().await,
            Backup::WaitsForPasscode => {
                cancel.cancelled().await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                RunEnd::Failed(RunFailure::Cancelled {
                    by: CancelledBy::Phone,
                })
            }
            Backup::Works | Backup::WorksAlone => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                for percent in 0..10 {
                    step(Phase::Transferring, percent * 1000);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                step(Phase::Verifying, 10_000);
                RunEnd::Verified(LocalCopy {
                    level: Level::L2,
                    at: clock.now(),
                    encrypted: true,
                    bytes: 10_000,
                    files: 100,
                })
            }
        };
        let kind = if order.full {
            RunKind::Full
        } else {
            RunKind::Incremental
        };
        RunReport {
            udid: order.udid,
            started,
            ended: clock.now(),
            end,
            kind,
            bytes: progress.borrow().bytes,
            files: progress.borrow().files,
            refused: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
