//! What is told to whom: status documents in, records and pings out, on a paused clock. The carriers have tests of their own.

use std::collections::VecDeque;
use std::sync::Mutex;

use backupwatch_core::run::RunFailure;
use backupwatch_core::{Period, Protection};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::*;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::outside::courier::Network;
use crate::outside::http::{Answer, HttpError, Url};
use crate::status::AgentStatus;

/// Takes everything, and keeps where it went and what it said.
#[derive(Clone, Default)]
struct Ears(Arc<Mutex<VecDeque<(String, String)>>>, &'static str);

impl Network for Ears {
    async fn post(
        &self,
        url: &Url,
        _headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.0.lock().unwrap().push_back((url.secret(), body));
        Ok(Answer {
            status: 200,
            retry_after: None,
            body: self.1.into(),
        })
    }
}

const ADA: &str = "00008110-000A1B2C3D4E5F60";
const BOB: &str = "00008110-000A1B2C3D4E5F61";

fn status(now: HostTime, devices: &[(&str, &str)]) -> Status {
    let one = |(udid, protection): &(&str, &str)| {
        let device = serde_json::json!({
            "udid": udid, "links": [], "trust": "trusted", "icloud": { "state": "fresh" }, "local": { "state": "none" },
            "protection": protection, "reason": "Because.", "next": { "code": "nothing", "words": "" },
        });
        serde_json::from_value(device).unwrap()
    };
    Status {
        schema: 1,
        as_of: now.0,
        agent: AgentStatus {
            running: true,
            last_poll: Some(now.0),
            usbmuxd: Some(true),
            remarks: Vec::new(),
            managed: None,
        },
        store: Some(crate::status::StoreStatus {
            root: "/backups".to_owned(),
            state: "ready".to_owned(),
            words: None,
            free: None,
        }),
        stores: Vec::new(),
        devices: devices.iter().map(one).collect(),
    }
}

struct Rig {
    outside: Outside,
    heard: mpsc::Receiver<Tiding>,
    ears: Ears,
    now: HostTime,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(config: &str) -> Self {
        Self::hearing(config, Ears::default())
    }

    fn hearing(config: &str, ears: Ears) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = crate::state::open(&dir.path().join("state.db"))
            .unwrap()
            .state;
        let aliases = Aliases::made(&state).unwrap();
        let config = Config::parse(config).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let kept = Kept::read(&state).unwrap();
        let (outside, heard) = Outside::start(&config, kept, &aliases, ears.clone(), &clock);
        Self {
            outside,
            heard,
            ears,
            now: HostTime("2026-11-22T10:00:00Z".parse().unwrap()),
            _dir: dir,
        }
    }

    /// A look some seconds later, and what was heard after it: the path after `/u`, and the words.
    async fn look(
        &mut self,
        seconds: i64,
        change: impl FnOnce(HostTime) -> Status,
    ) -> Vec<(String, String)> {
        tokio::time::sleep(Duration::from_secs(u64::try_from(seconds).unwrap())).await;
        self.now = self.now.plus(Period::seconds(seconds));
        let now = self.now;
        self.outside.touch();
        let _records = self.outside.look(Instant::now(), now, true, || change(now));
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Ok(tiding) = self.heard.try_recv() {
            assert_eq!(tiding.fate, Fate::Taken);
        }
        let heard: Vec<_> = self.ears.0.lock().unwrap().drain(..).collect();
        let short = |(url, words): (String, String)| {
            let path = url.split_once("/u").unwrap().1;
            let path = path.split_once("rid=").map_or(path, |(path, _)| path);
            (path.to_owned(), words)
        };
        heard.into_iter().map(short).collect()
    }
}

const PING: &str = "[ping]\nurl = \"https://hc.example/u\"\n";

#[tokio::test(start_paused = true)]
async fn a_green_is_never_said_of_what_is_not_known_to_be_well() {
    let told = |devices: &'static [(&'static str, &'static str)]| async move {
        Rig::new(PING).look(2, |now| status(now, devices)).await
    };
    for (devices, path) in [
        (&[(ADA, "protected")][..], ""),
        (&[(ADA, "protected"), (BOB, "at_risk")], ""),
        (&[(ADA, "protected"), (BOB, "unprotected")], "/fail"),
        (&[(ADA, "unknown"), (BOB, "unprotected")], "/fail"),
        (&[(ADA, "protected"), (BOB, "unknown")], "/log"),
        (&[(ADA, "what a later release says")], "/log"),
        (&[], "/log"),
    ] {
        let heard = told(devices).await;
        let paths: Vec<&str> = heard.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, [path], "{devices:?}");
        assert!(!heard[0].1.contains("00008110"), "{heard:?}");
    }
    for blind in [
        |status: &mut Status| status.agent.usbmuxd = Some(false),
        |status: &mut Status| status.agent.last_poll = None,
        |status: &mut Status| {
            let hour = jiff::SignedDuration::from_hours(1);
            status.agent.last_poll = Some(status.as_of - hour);
        },
    ] {
        let look = |now| {
            let mut status = status(now, &[(ADA, "protected")]);
            blind(&mut status);
            status
        };
        let heard = Rig::new(PING).look(2, look).await;
        assert_eq!(heard[0].0, "/log", "{heard:?}");
        assert!(heard[0].1.starts_with("Phones cannot be seen"), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_beat_comes_with_every_round_and_at_once_when_something_changes() {
    let mut rig = Rig::new(PING);
    let paths =
        |heard: Vec<(String, String)>| heard.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    let unknown = |now| Status {
        store: None,
        stores: Vec::new(),
        ..status(now, &[(ADA, "protected")])
    };
    assert_eq!(
        paths(rig.look(2, unknown).await),
        [""; 0],
        "nobody has looked yet"
    );
    assert_eq!(
        paths(rig.look(2, |now| status(now, &[(ADA, "protected")])).await),
        [""]
    );
    assert_eq!(
        paths(rig.look(2, |now| status(now, &[(ADA, "protected")])).await),
        [""; 0]
    );
    assert_eq!(
        paths(
            rig.look(2, |now| status(now, &[(ADA, "unprotected")]))
                .await
        ),
        ["/fail"]
    );
    assert_eq!(
        paths(
            rig.look(900, |now| status(now, &[(ADA, "unprotected")]))
                .await
        ),
        ["/fail"]
    );
    assert_eq!(
        paths(
            rig.look(900, |now| status(now, &[(ADA, "protected")]))
                .await
        ),
        [""]
    );
    assert_eq!(
        paths(
            rig.look(899, |now| status(now, &[(ADA, "protected")]))
                .await
        ),
        [""; 0]
    );
    rig.outside.woke(Instant::now());
    assert_eq!(
        paths(rig.look(2, |now| status(now, &[(ADA, "protected")])).await),
        [""]
    );
}

/// The service answers 200 for a check that was deleted.
#[tokio::test(start_paused = true)]
async fn a_check_that_is_not_there_any_more_is_told_of() {
    for (body, known) in [("OK (not found)\n", false), ("OK", true)] {
        let mut rig = Rig::hearing(PING, Ears(Arc::default(), body));
        let now = rig.now;
        rig.outside.look(Instant::now(), now, true, || {
            status(now, &[(ADA, "protected")])
        });
        let tiding = rig.heard.recv().await.unwrap();
        rig.outside.heard(tiding, now);
        let remarks: Vec<String> = rig.outside.remarks(now).collect();
        assert_eq!(remarks.is_empty(), known, "{remarks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_told_of_with_one_number_from_its_begin_to_its_end() {
    let config = format!("{PING}[device.\"{BOB}\"]\nping = \"https://hc.example/u/bob\"\n");
    let ada = Udid::parse(ADA).unwrap();
    let verified = RunEnd::Verified(backupwatch_core::LocalCopy {
        level: backupwatch_core::Level::L2,
        at: HostTime(jiff::Timestamp::UNIX_EPOCH),
        encrypted: true,
        bytes: 1,
        files: 1,
    });
    let cancelled = RunFailure::Cancelled {
        by: backupwatch_core::run::CancelledBy::Person,
    };
    let all = &[(ADA, "protected"), (BOB, "protected")][..];
    let bad = &[(ADA, "protected"), (BOB, "unprotected")][..];
    for (end, devices, path) in [
        (verified.clone(), all, "?"),
        (verified, bad, "/fail?"),
        (RunEnd::Failed(RunFailure::Unplugged), all, "/fail?"),
        (RunEnd::Failed(cancelled), all, "/log?"),
    ] {
        let mut rig = Rig::new(&config);
        let first = rig.look(2, |now| status(now, devices)).await;
        assert_eq!(first.len(), 2, "one of all, one of Bob's: {first:?}");
        rig.outside.run_begins(&ada);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (url, _) = rig.ears.0.lock().unwrap().pop_front().unwrap();
        let (begin, run) = url.split_once("?rid=").unwrap();
        assert_eq!(begin, "https://hc.example/u/start");
        assert_eq!(run.len(), 36);
        assert!(
            rig.ears.0.lock().unwrap().is_empty(),
            "Bob's is not about Ada's"
        );

        let beat = rig.look(900, |now| status(now, devices)).await;
        assert!(
            beat[0].0.ends_with('?'),
            "a beat in between is another number's: {beat:?}"
        );
        let mut report = crate::jobs::failed(ada.clone(), rig.now, rig.now, RunFailure::Busy);
        report.end = end;
        rig.outside.run_ended(&report);
        assert!(rig.outside.due().unwrap() <= Instant::now());
        let now = rig.now;
        rig.outside
            .look(Instant::now(), now, true, || status(now, devices));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (url, words) = rig.ears.0.lock().unwrap().pop_front().unwrap();
        assert_eq!(
            url,
            format!("https://hc.example/u{path}rid={run}"),
            "{words}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_told_of_changes_once_and_only_of_what_it_wants() {
    let hook = |extra: &str| {
        format!(
            "[[webhook]]\nurl = \"https://hook.example/u\"\nsecret_file = \"/nowhere\"\n{extra}"
        )
    };
    let mut rig = Rig::new(&hook(""));
    let now = rig.now;
    let events = |records: Vec<Record>| {
        let waits = records.into_iter().filter_map(|record| match record {
            Record::Waits(_, event) => Some((event.kind, event.before, event.after)),
            Record::Gone(..) | Record::Told(..) | Record::Contact(..) | Record::Forgotten(_) => {
                None
            }
        });
        waits.collect::<Vec<_>>()
    };
    use Protection::{Protected, Unprotected};
    let kind = Kind::ProtectionChanged;
    let at = Instant::now;
    let look = rig
        .outside
        .look(at(), now, true, || status(now, &[(ADA, "protected")]));
    assert_eq!(events(look), [(kind, None, Some(Protected))]);
    tokio::time::sleep(PAUSE).await;
    rig.outside.touch();
    let look = rig
        .outside
        .look(at(), now, true, || status(now, &[(ADA, "protected")]));
    assert_eq!(events(look), []);
    rig.outside.touch();
    let too_soon = rig
        .outside
        .look(at(), now, true, || status(now, &[(ADA, "unprotected")]));
    assert_eq!(events(too_soon), [], "at most once a second");
    tokio::time::sleep(PAUSE).await;
    let look = rig.outside.look(at(), now, true, || {
        let mut status = status(now, &[(ADA, "unprotected")]);
        status.devices[0].local.damaged = Some(3);
        status
    });
    let damaged = (Kind::BackupDamaged, None, None);
    assert_eq!(
        events(look),
        [(kind, Some(Protected), Some(Unprotected)), damaged]
    );

    let mut rig = Rig::new(&hook("events = [\"backup_damaged\"]\n"));
    let look = rig
        .outside
        .look(at(), now, true, || status(now, &[(ADA, "unprotected")]));
    assert_eq!(events(look), []);
}

#[tokio::test]
async fn nothing_is_started_where_nothing_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let state = crate::state::open(&dir.path().join("state.db"))
        .unwrap()
        .state;
    let aliases = Aliases::made(&state).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kept = Kept::read(&state).unwrap();
    let config = Config::default();
    let (outside, _heard) = Outside::start(&config, kept, &aliases, Ears::default(), &clock);
    assert_eq!(outside.due(), None);
}

/// Nobody is configured, then somebody, then the same one with other wishes and at last another one: what waits goes on where the
/// address is the same, and what is known of a run under way is not forgotten.
#[tokio::test(start_paused = true)]
async fn who_is_configured_anew_is_told_what_waits_and_who_is_not_is_left_alone() {
    let mut rig = Rig::new("");
    let now = rig.now;
    let udid = Udid::parse(ADA).unwrap();
    assert_eq!(
        rig.look(60, |now| status(now, &[(ADA, "protected")])).await,
        []
    );
    rig.outside.run_begins(&udid);

    let hook = |more: &str| {
        format!(
            "{PING}[[webhook]]\nurl = \"https://example.org/u\"\nsecret_file = \"/nowhere/secret\"\n{more}"
        )
    };
    let config = |text: &str| Config::parse(text).unwrap();
    rig.outside.configure(&config(&hook("")), rig.ears.clone());
    // The webhook has no secret yet, so its message waits; the check hears of all at once.
    rig.outside.touch();
    let look = rig.outside.look(Instant::now(), now, true, || {
        status(now, &[(ADA, "protected")])
    });
    let waits = |records: &[Record]| {
        let waits = records
            .iter()
            .filter(|record| matches!(record, Record::Waits(..)));
        waits.count()
    };
    assert_eq!(waits(&look), 1, "{look:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(rig.ears.0.lock().unwrap().drain(..).count(), 1);
    rig.outside.run_begins(&udid);
    let number = rig.outside.checks[0].runs.clone();
    let queue = Arc::clone(&rig.outside.hooks[0].queue);
    assert_eq!(queue.all().len(), 1);

    // The same once more: nothing is told twice, and nothing begins anew.
    rig.outside.configure(&config(&hook("")), rig.ears.clone());
    assert_eq!(rig.outside.checks[0].runs, number);
    assert!(rig.outside.checks[0].last.is_some());
    // Other wishes: what waits, waits on.
    rig.outside
        .configure(&config(&hook("names = true\n")), rig.ears.clone());
    assert_eq!(rig.outside.hooks[0].queue.all(), queue.all());
    assert!(rig.outside.hooks[0].webhook.names);

    // Nobody, as somebody does who looks for a mistake, and then the first one again: nothing was forgotten.
    rig.outside.configure(&Config::default(), rig.ears.clone());
    assert_eq!(rig.outside.due(), None);
    assert_eq!(rig.outside.remarks(now).count(), 0);
    rig.outside.configure(&config(&hook("")), rig.ears.clone());
    assert_eq!(rig.outside.hooks[0].queue.all(), queue.all());

    // Another one in its place: what waited for the first is forgotten, on the disk too.
    let key = rig.outside.hooks[0].key.clone();
    let other = hook("").replace("example.org", "example.com");
    rig.outside.configure(&config(&other), rig.ears.clone());
    assert_eq!(rig.outside.hooks[0].queue.all(), []);
    rig.ears.0.lock().unwrap().clear();
    let look = rig.outside.look(Instant::now() + PAUSE, now, true, || {
        status(now, &[(ADA, "unprotected")])
    });
    let forgotten = |record: &&Record| matches!(record, Record::Forgotten(one) if *one == key);
    assert_eq!(look.iter().filter(forgotten).count(), 1, "{look:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let heard = rig.ears.0.lock().unwrap().pop_front();
    assert!(heard.unwrap().0.ends_with("/u/fail"));
}
