//! The whole loop with scripted phones, a real state file, a real store and a paused clock.

mod cables;
mod listening;
mod long_runs;
mod script;
mod sleep;
mod soak;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backupwatch_backup::Clock as _;
use backupwatch_core::notice::{Action, NoticeKind};
use backupwatch_core::policy::{Mode, QuietHours};
use backupwatch_core::run::{CancelledBy, RunEnd, RunFailure, RunKind, RunReport};
use backupwatch_core::watcher::Attachment;
use backupwatch_core::{Period, Trust};
use backupwatch_notify::Recorder;
use tokio::task::JoinHandle;

use super::*;
use crate::jobs::Place;
use crate::medium::Origin;
use crate::page::Door;
use crate::state::{self, State};
use crate::status::Status;
use script::{Backup, Script, TestClock, attached, udid};

struct Rig {
    dir: tempfile::TempDir,
    phones: Arc<Script>,
    news: mpsc::Sender<Event>,
    recorder: Arc<Recorder>,
    answers: mpsc::Sender<FromDesktop>,
    opened: Arc<AtomicUsize>,
    clock: Arc<TestClock>,
    held: Arc<()>,
    desk: Desk,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    fn new(config: Config) -> Self {
        Self::at(tempfile::tempdir().unwrap(), config)
    }

    fn at(dir: tempfile::TempDir, config: Config) -> Self {
        let database = dir.path().join("state.db");
        let state = state::open(&database).unwrap().state;
        let remembered = state
            .devices()
            .unwrap()
            .into_iter()
            .map(|device| device.remembered)
            .collect();
        let shared = Place {
            root: dir.path().join("backups"),
            origin: Origin::OurOwn,
            known: crate::medium::known(&state).unwrap(),
        };
        let known_own = crate::medium::known_own(&state).unwrap();
        let lay = crate::medium::lay(&state).unwrap();
        let aliases = Aliases::made(&state).unwrap();
        let (phones, news) = Script::new();
        let recorder = Arc::new(Recorder::new());
        let (answers, answered) = mpsc::channel(8);
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let clock = Arc::new(TestClock::new());
        let held = Arc::new(());
        let parts = Parts {
            places: Places::new(shared, &config.roots, known_own),
            lay,
            config,
            door: Some(Door::new(4877, Arc::clone(&clock) as Arc<dyn Clock>)),
            phones: Arc::clone(&phones),
            resident: true,
            notifier: Arc::clone(&recorder) as Arc<dyn Notifier>,
            answers: answered,
            menu: None,
            open_page: Arc::new(move |link| {
                assert!(
                    link.starts_with("http://127.0.0.1:4877/enter?key="),
                    "{link}"
                );
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            power: Power::lending(&held),
            keeper: Keeper::start(state, &database),
            remembered,
            aliases,
            pulse: Arc::default(),
            outside: None,
            owed: Vec::new(),
            ran: Vec::new(),
            last_poll: None,
            remarks: Vec::new(),
        };
        let (desk, asks) = Desk::new();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(parts, asks, shutdown.clone()));
        Self {
            dir,
            phones,
            news,
            recorder,
            answers,
            opened,
            clock,
            held,
            desk,
            shutdown,
            task,
        }
    }

    /// Whether a backup keeps the computer awake.
    fn is_kept_awake(&self) -> bool {
        Arc::strong_count(&self.held) > 1
    }

    async fn tell(&self, event: Event) {
        self.news.send(event).await.unwrap();
    }

    /// The status once it looks as it should; a little more than one poll interval of the paused clock.
    async fn when(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        for _ in 0..10_000 {
            let status = self.desk.status().await.unwrap();
            if is(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {:#?}", self.desk.status().await.unwrap());
    }

    async fn end(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap();
        self.dir
    }

    fn kinds(&self) -> Vec<NoticeKind> {
        self.recorder
            .posted()
            .into_iter()
            .map(|notice| notice.kind)
            .collect()
    }
}

fn config(mode: Mode) -> Config {
    let mut config = Config::default();
    config.policies.general.backup.mode = mode;
    config.policies.general.notify.quiet = QuietHours::NEVER;
    config.policies.general.backup.quiet = QuietHours::NEVER;
    config.policies.general.backup.min_free = 0;
    config
}

fn reader(dir: &tempfile::TempDir) -> State {
    state::open_read_only(&dir.path().join("state.db")).unwrap()
}

fn state_of(status: &Status, n: u32) -> &crate::status::DeviceStatus {
    status
        .devices
        .iter()
        .find(|device| device.udid == udid(n).as_str())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stale_phone_is_judged_told_and_remembered() {
    let rig = Rig::new(config(Mode::Off));
    rig.phones.set(&udid(1), |phone| phone.cloud_days = 58);
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    let status = rig.when("judged", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.icloud.state == "critical")
    });
    let status = status.await;
    let device = state_of(&status, 1);
    assert_eq!(
        (device.protection.as_str(), device.links.as_slice()),
        ("unprotected", ["usb".to_owned()].as_slice())
    );
    assert!(
        status.agent.running
            && status.agent.usbmuxd == Some(true)
            && status.agent.last_poll.is_some()
    );
    assert_eq!(status.agent.remarks, Vec::<String>::new());
    assert!(
        rig.kinds().contains(&NoticeKind::CloudStale),
        "{:?}",
        rig.kinds()
    );

    let dir = rig.end().await;
    let state = reader(&dir);
    let kept = crate::status::status_from_state(
        &state,
        &Config::default(),
        None,
        &crate::status::OwnStores::new(),
        &Now::new("2026-11-22T10:05:00Z".parse().unwrap(), 0),
    );
    let kept = kept.unwrap();
    assert!(!kept.agent.running);
    assert_eq!(
        state_of(&kept, 1).icloud.state,
        "critical",
        "known without an agent"
    );
    let history = crate::history::history(&state, None, 10, rig_now()).unwrap();
    assert!(!history.entries.is_empty(), "the notice is in the history");
}

fn rig_now() -> HostTime {
    HostTime("2026-11-22T10:05:00Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stale_phone_is_backed_up_and_followed_to_the_end() {
    let rig = Rig::new(config(Mode::Auto));
    rig.phones.set(&udid(1), |phone| phone.cloud_days = 58);
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    let running = rig.when("running", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.backup.is_some())
    });
    running.await;
    let mut following = rig.desk.backup(udid(1), false).await.unwrap();
    let report = following
        .end
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert!(matches!(report.end, RunEnd::Verified(_)), "{report:?}");
    let status = rig
        .when("at risk only", |status| {
            state_of(status, 1).local.state == "verified"
        })
        .await;
    let device = state_of(&status, 1);
    assert_eq!(
        (device.local.encrypted, device.local.level.as_deref()),
        (Some(true), Some("L2"))
    );
    assert_eq!(
        (device.protection.as_str(), device.backup.is_none()),
        ("at_risk", true)
    );
    assert!(
        rig.kinds().contains(&NoticeKind::PasscodeWanted),
        "{:?}",
        rig.kinds()
    );
    let dir = rig.end().await;
    let runs = reader(&dir).runs::<RunReport>(None, 9).unwrap();
    assert_eq!(
        runs.iter()
            .map(|run| run.outcome.as_str())
            .collect::<Vec<_>>(),
        ["verified"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_asked_for_can_be_full_joined_and_cancelled() {
    let rig = Rig::new(config(Mode::Off));
    rig.phones
        .set(&udid(1), |phone| phone.backup = Backup::WaitsForPasscode);
    assert_eq!(
        rig.desk.backup(udid(1), false).await.unwrap_err(),
        Refusal::UnknownDevice
    );
    assert_eq!(
        rig.desk.cancel(udid(1)).await.unwrap_err(),
        Refusal::NoBackup
    );
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("there", |status| !status.devices.is_empty()).await;
    let mut first = rig.desk.backup(udid(1), true).await.unwrap();
    let second = rig.desk.backup(udid(1), false).await.unwrap();
    assert!(
        first.end.same_channel(&second.end),
        "one backup, two followers"
    );
    rig.desk.cancel(udid(1)).await.unwrap();
    let report = first
        .end
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert_eq!(
        report.end,
        RunEnd::Failed(RunFailure::Cancelled {
            by: CancelledBy::Person
        })
    );
    assert_eq!(report.kind, RunKind::Full);
    rig.tell(Event::Detached {
        attachment: Attachment(1),
    })
    .await;
    rig.when("gone", |status| state_of(status, 1).links.is_empty())
        .await;
    assert_eq!(
        rig.desk.backup(udid(1), false).await.unwrap_err(),
        Refusal::NotAttached
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_agent_ends_a_backup_politely_and_in_time() {
    for (behaviour, outcome, at_most) in [
        (Backup::WaitsForPasscode, Some("cancelled"), 4),
        (Backup::Stuck, None, 23),
    ] {
        let rig = Rig::new(config(Mode::Off));
        rig.phones.set(&udid(1), |phone| phone.backup = behaviour);
        rig.tell(Event::MuxUp).await;
        rig.tell(attached(1)).await;
        rig.when("there", |status| !status.devices.is_empty()).await;
        rig.desk.backup(udid(1), false).await.unwrap();
        let (before, desk) = (tokio::time::Instant::now(), rig.desk.clone());
        let dir = rig.end().await;
        assert!(
            before.elapsed() <= Duration::from_secs(at_most),
            "{behaviour:?}: {:?}",
            before.elapsed()
        );
        assert_eq!(desk.status().await.unwrap_err(), Refusal::Ending);
        let runs = reader(&dir).runs::<RunReport>(None, 9).unwrap();
        assert_eq!(
            runs.first().map(|run| run.outcome.as_str()),
            outcome,
            "{behaviour:?}"
        );
        if let Some(run) = runs.first() {
            assert_eq!(
                run.report.end,
                RunEnd::Failed(RunFailure::Cancelled {
                    by: CancelledBy::Shutdown
                })
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_job_is_an_event_and_the_agent_goes_on() {
    let rig = Rig::new(config(Mode::Off));
    rig.phones.set(&udid(1), |phone| phone.probe_panics = true);
    rig.phones
        .set(&udid(2), |phone| phone.backup = Backup::Panics);
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.tell(attached(2)).await;
    rig.when("the other one is judged", |status| {
        status
            .devices
            .iter()
            .any(|device| device.icloud.state == "fresh")
    })
    .await;
    let mut following = rig.desk.backup(udid(2), false).await.unwrap();
    let report = following
        .end
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert!(
        matches!(&report.end, RunEnd::Failed(RunFailure::Internal(words)) if words.contains("told to break"))
    );
    rig.phones.set(&udid(1), |phone| phone.probe_panics = false);
    rig.when("tried again", |status| {
        state_of(status, 1).icloud.state == "fresh"
    })
    .await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_waits_for_what_is_attached_even_for_the_silent() {
    let rig = Rig::new(config(Mode::Off));
    assert_eq!(rig.desk.check(None).await.unwrap().devices, []);
    rig.tell(Event::MuxUp).await;
    rig.phones.set(&udid(2), |phone| phone.silent = true);
    rig.tell(attached(1)).await;
    rig.tell(attached(2)).await;
    rig.when("seen", |status| status.devices.len() == 2).await;
    rig.phones.set(&udid(1), |phone| phone.cloud_days = 20);
    let before = rig.phones.get(&udid(1)).probes;
    let status = rig.desk.check(None).await.unwrap();
    assert!(rig.phones.get(&udid(1)).probes > before);
    assert_eq!(state_of(&status, 1).icloud.state, "alarm");
    assert_eq!(state_of(&status, 2).protection, "unknown");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_does_not_trust_us_is_paired_when_asked() {
    let rig = Rig::new(config(Mode::Off));
    rig.phones
        .set(&udid(1), |phone| phone.trust = Trust::Denied);
    assert_eq!(
        rig.desk.pair(udid(1)).await.unwrap_err(),
        Refusal::UnknownDevice
    );
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("seen", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.trust != "unknown")
    })
    .await;
    assert_eq!(rig.desk.pair(udid(1)).await.unwrap(), Trust::Trusted);
    rig.when("readable now", |status| {
        state_of(status, 1).icloud.state == "fresh"
    })
    .await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_chosen_on_a_notice_is_done() {
    let rig = Rig::new(config(Mode::Off));
    rig.phones.set(&udid(1), |phone| phone.cloud_days = 58);
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("judged", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.icloud.state == "critical")
    })
    .await;
    let choose = |action| {
        FromDesktop::Answer(backupwatch_notify::Answer {
            notice: "n".to_owned(),
            udid: Some(udid(1)),
            action,
        })
    };
    rig.answers.send(choose(Action::ShowSteps)).await.unwrap();
    rig.answers.send(choose(Action::Snooze)).await.unwrap();
    let status = rig
        .when("snoozed", |status| {
            state_of(status, 1).snoozed_until.is_some()
        })
        .await;
    let until = HostTime(state_of(&status, 1).snoozed_until.unwrap());
    assert!((Period::hours(23)..=Period::hours(24)).contains(&until.since(rig.clock.now())));
    rig.answers.send(choose(Action::BackUpNow)).await.unwrap();
    rig.when("backing up", |status| state_of(status, 1).backup.is_some())
        .await;
    rig.when("done", |status| state_of(status, 1).backup.is_none())
        .await;
    assert_eq!(
        rig.opened.load(Ordering::SeqCst),
        1,
        "the page was opened once"
    );
    rig.end().await;
}
