//! Hours of a webhook that fails, on a paused clock: how often it is tried, in what order, and what is lost when.

use std::os::unix::fs::PermissionsExt as _;

use backupwatch_core::{HostTime, Udid};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::*;
use crate::outside::event::Kind;
use crate::outside::http::Plain;

/// Answers by what it is told to, and keeps what came when. A script that is over goes on with its last answer.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answered>>,
    came: Mutex<Vec<(Duration, String)>>,
    began: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy)]
enum Answered {
    Status(u16),
    After(u16, u64),
    Nothing,
}

impl Network for Script {
    async fn post(
        &self,
        _url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        _body: Bytes,
    ) -> Result<Answer, HttpError> {
        let id = headers.iter().find(|(name, _)| name == "webhook-id");
        let id = id.map(|(_, id)| id.to_str().unwrap().to_owned()).unwrap();
        let begin = *self.began.lock().unwrap().get_or_insert_with(Instant::now);
        self.came.lock().unwrap().push((begin.elapsed(), id));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().copied()
        };
        let (status, retry_after) = match answer.unwrap() {
            Answered::Status(status) => (status, None),
            Answered::After(status, seconds) => (status, Some(Duration::from_secs(seconds))),
            Answered::Nothing => return Err(HttpError::Late(Duration::from_secs(30))),
        };
        Ok(Answer {
            status,
            retry_after,
            body: Vec::new(),
        })
    }
}

impl Script {
    fn times(&self) -> Vec<u64> {
        let came = self.came.lock().unwrap();
        came.iter().map(|(at, _)| at.as_secs()).collect()
    }

    fn ids(&self) -> Vec<String> {
        let came = self.came.lock().unwrap();
        came.iter().map(|(_, id)| id.clone()).collect()
    }
}

/// Follows tokio's paused clock.
struct Paused(Timestamp, Instant);

impl backupwatch_backup::Clock for Paused {
    fn now(&self) -> HostTime {
        let passed = SignedDuration::try_from(self.1.elapsed()).unwrap();
        HostTime(self.0.checked_add(passed).unwrap())
    }
}

impl Clock for Paused {
    fn utc_offset_s(&self) -> i32 {
        0
    }
}

struct Rig {
    script: Arc<Script>,
    queue: Arc<Queue>,
    clock: Arc<Paused>,
    fates: mpsc::Receiver<Tiding>,
    _dir: tempfile::TempDir,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Rig {
    fn new(answers: &[Answered]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secret_file = dir.path().join("secret");
        std::fs::write(&secret_file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let state = crate::state::open(&dir.path().join("state.db"))
            .unwrap()
            .state;
        let script = Arc::new(Script::default());
        script.answers.lock().unwrap().extend(answers);
        let begin = Timestamp::from_second(1_790_000_000).unwrap();
        let clock = Arc::new(Paused(begin, Instant::now()));
        let (tell, fates) = mpsc::channel(1_024);
        let queue = Arc::new(Queue::default());
        let courier = Courier {
            key: "hook".to_owned(),
            webhook: Webhook {
                url: Url::parse("https://hook.example/secret", Plain::Loopback).unwrap(),
                secret_file,
                events: Kind::ALL.to_vec(),
                names: false,
                plain_http: false,
            },
            aliases: Aliases::made(&state).unwrap(),
            queue: Arc::clone(&queue),
            network: Arc::clone(&script),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            tell,
        };
        Self {
            script,
            queue,
            clock,
            fates,
            _dir: dir,
            _task: tokio_util::task::AbortOnDropHandle::new(tokio::spawn(courier.run())),
        }
    }

    fn push(&self, id: usize) -> Option<Arc<Event>> {
        use backupwatch_backup::Clock as _;
        self.queue.push(Arc::new(Event {
            id: format!("evt_{id}"),
            at: self.clock.now(),
            kind: Kind::BackupVerified,
            udid: Udid::parse("00008110-000A1B2C3D4E5F60").unwrap(),
            name: None,
            before: None,
            after: None,
            outcome: None,
            words: String::new(),
        }))
    }

    /// The next end of a message.
    async fn end(&mut self) -> (String, Fate) {
        loop {
            let tiding = self.fates.recv().await.unwrap();
            if let Some(event) = tiding.event {
                return (event.id.clone(), tiding.fate);
            }
            assert!(matches!(tiding.fate, Fate::Waits(_)), "{tiding:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_until_it_is_taken_and_the_next_one_waits_for_it() {
    use Answered::{After, Nothing, Status};
    let mut rig = Rig::new(&[
        Status(500),
        Nothing,
        Status(302),
        After(503, 600),
        Status(204),
    ]);
    rig.push(1);
    rig.push(2);
    assert_eq!(rig.end().await, ("evt_1".to_owned(), Fate::Taken));
    assert_eq!(rig.end().await, ("evt_2".to_owned(), Fate::Taken));
    assert_eq!(
        rig.script.ids(),
        ["evt_1", "evt_1", "evt_1", "evt_1", "evt_1", "evt_2"]
    );
    let times = rig.script.times();
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, (least, most)) in pauses
        .iter()
        .zip([(2, 5), (5, 10), (10, 20), (600, 600), (0, 0)])
    {
        assert!((least..=most).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_no_is_a_no_and_too_many_is_not() {
    use Answered::Status;
    let mut rig = Rig::new(&[Status(404), Status(429), Status(408), Status(200)]);
    rig.push(1);
    rig.push(2);
    let (id, fate) = rig.end().await;
    assert_eq!(id, "evt_1");
    assert!(matches!(fate, Fate::Refused(why) if why.contains("404")));
    assert_eq!(rig.end().await, ("evt_2".to_owned(), Fate::Taken));
    assert_eq!(rig.script.ids(), ["evt_1", "evt_2", "evt_2", "evt_2"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_given_up_after_a_week_and_not_before() {
    let mut rig = Rig::new(&[Answered::Nothing]);
    rig.push(1);
    assert_eq!(rig.end().await, ("evt_1".to_owned(), Fate::TooOld));
    let times = rig.script.times();
    let week = 7 * 24 * 60 * 60;
    assert!(
        times
            .last()
            .is_some_and(|last| *last > week - 3_600 && *last <= week),
        "{times:?}"
    );
    // An hour is the longest pause, and half an hour the shortest of those.
    assert!(
        (24 * 7..2 * 24 * 7 + 20).contains(&times.len()),
        "{}",
        times.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_computer_that_wakes_up_tries_at_once() {
    use Answered::{Nothing, Status};
    let mut rig = Rig::new(&[
        Nothing,
        Nothing,
        Nothing,
        Nothing,
        Nothing,
        Nothing,
        Nothing,
        Status(200),
    ]);
    rig.push(1);
    // By now a pause is longer than a minute.
    tokio::time::sleep(Duration::from_secs(160)).await;
    let tried = rig.script.times().len();
    rig.queue.again();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.script.times().len(), tried + 1);
    assert_eq!(rig.end().await.1, Fate::Taken);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_the_oldest_goes() {
    let rig = Rig::new(&[Answered::Nothing]);
    for id in 0..WAITING {
        assert!(rig.push(id).is_none());
    }
    assert_eq!(rig.push(WAITING).unwrap().id, "evt_0");
    assert_eq!(rig.queue.events().len(), WAITING);
}

#[tokio::test(start_paused = true)]
async fn without_its_secret_nothing_is_sent() {
    let mut rig = Rig::new(&[Answered::Status(200)]);
    let file = rig._dir.path().join("secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    rig.push(1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.script.ids(), [""; 0]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(rig.end().await, ("evt_1".to_owned(), Fate::Taken));
}
