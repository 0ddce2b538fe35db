//! The small services against protocol.md sections 6, 7 and 9.3: notifications, the passcode prompt, the sync lock.

#![cfg(test)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails alike on every answer but the one"
)]

mod host;

use std::time::Duration;

use backupwatch_sim::persona::{Persona, PromptAnswer};
use backupwatch_sim::phone::{PasscodeOutcome, PromptState};
use backupwatch_wire::afc::{
    self, Lock, OpenMode, Packet, PacketDecoder, SYNC_LOCK, Status, strings,
};
use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::heartbeat::{self, Beat};
use backupwatch_wire::installation_proxy;
use backupwatch_wire::lockdown::{FrameDecoder, MAX_FRAME, encode_frame};
use backupwatch_wire::notification_proxy::{
    self, BACKUP_DOMAIN_CHANGED, Event, PASSCODE_DISMISSED, PASSCODE_PRESENTED, Request,
};
use host::{UDID, phone, service, sim, soon};
use plist::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_rustls::client::TlsStream;

/// A service that speaks plists in frames.
struct Plists<S> {
    stream: S,
    decoder: FrameDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Plists<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(),
        }
    }

    async fn send(&mut self, value: &Value) {
        self.stream
            .write_all(&encode_frame(&codec::to_binary(value)))
            .await
            .unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn next(&mut self) -> Option<Value> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(codec::decode(&frame, Limits::of_bytes(MAX_FRAME)).unwrap());
            }
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(some) => self.decoder.push(&chunk[..some]),
            }
        }
    }
}

async fn proxy(
    sim: &backupwatch_sim::SimHandle,
    observed: &[&str],
) -> Plists<TlsStream<DuplexStream>> {
    let mut proxy = Plists::new(service(sim, UDID, notification_proxy::SERVICE).await);
    for name in observed {
        proxy
            .send(
                &Request::Observe {
                    name: (*name).to_owned(),
                }
                .to_value(),
            )
            .await;
        let wanted = format!("observe {name}");
        let driver = sim.phone(UDID).unwrap();
        soon(
            driver
                .phone()
                .journal()
                .wait_for(|seen| seen.name == wanted),
        )
        .await;
    }
    proxy
}

async fn relayed(proxy: &mut Plists<TlsStream<DuplexStream>>) -> String {
    match Event::from_value(&soon(proxy.next()).await.unwrap()).unwrap() {
        Event::Relay { name } => name,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_proxy_relays_what_is_observed_and_nothing_else() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    let mut proxy = proxy(&sim, &[BACKUP_DOMAIN_CHANGED]).await;
    driver.phone().post("com.apple.example.unobserved");
    driver.set_cloud_enabled(Some(false));
    assert_eq!(relayed(&mut proxy).await, BACKUP_DOMAIN_CHANGED);

    proxy
        .send(
            &Request::Post {
                name: "com.apple.itunes-mobdev.syncWillStart".to_owned(),
            }
            .to_value(),
        )
        .await;
    let posted = "post com.apple.itunes-mobdev.syncWillStart";
    soon(
        driver
            .phone()
            .journal()
            .wait_for(|seen| seen.name == posted),
    )
    .await;

    proxy.send(&Request::Shutdown.to_value()).await;
    let death = Event::from_value(&soon(proxy.next()).await.unwrap()).unwrap();
    assert_eq!(death, Event::ProxyDeath);
    assert!(soon(proxy.next()).await.is_none());
}

fn asking(answer: PromptAnswer, after_s: f64) -> Persona {
    let mut persona = phone();
    persona.passcode.answer = answer;
    persona.passcode.after_s = after_s;
    persona
}

#[tokio::test(start_paused = true)]
async fn the_passcode_prompt_ends_in_each_of_its_ways() {
    for (name, persona, seconds, expected) in [
        (
            "entered",
            asking(PromptAnswer::Enter, 5.0),
            5,
            PasscodeOutcome::Entered,
        ),
        (
            "cancelled",
            asking(PromptAnswer::Cancel, 2.0),
            2,
            PasscodeOutcome::Cancelled,
        ),
        (
            "nobody there",
            asking(PromptAnswer::Wait, 0.0),
            1800,
            PasscodeOutcome::TimedOut,
        ),
        (
            "nobody in time",
            asking(PromptAnswer::Enter, 9000.0),
            1800,
            PasscodeOutcome::TimedOut,
        ),
    ] {
        let sim = sim(vec![persona]);
        let driver = sim.phone(UDID).unwrap();
        driver.lock();
        let start = tokio::time::Instant::now();
        let outcome = driver.phone().ask_passcode().await;
        assert_eq!(outcome, expected, "{name}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{name}");
        assert_eq!(driver.state().prompt, PromptState::Hidden, "{name}");
        let unlocked = !driver.state().locked;
        assert_eq!(
            unlocked,
            expected == PasscodeOutcome::Entered,
            "{name}: entering it unlocks"
        );
    }
    let mut without = phone();
    without.passcode.set = false;
    let sim = sim(vec![without]);
    let outcome = sim.phone(UDID).unwrap().phone().ask_passcode().await;
    assert_eq!(outcome, PasscodeOutcome::NotAsked);
}

#[tokio::test]
async fn the_prompt_is_told_while_it_is_up_and_the_driver_answers_it() {
    let sim = sim(vec![asking(PromptAnswer::Wait, 0.0)]);
    let driver = sim.phone(UDID).unwrap();
    let mut proxy = proxy(&sim, &[PASSCODE_PRESENTED, PASSCODE_DISMISSED]).await;
    for (answer, expected) in [
        (true, PasscodeOutcome::Entered),
        (false, PasscodeOutcome::Cancelled),
    ] {
        assert!(!driver.enter_passcode(), "nothing asks yet");
        let asked = driver.phone().clone();
        let asking = tokio::spawn(async move { asked.ask_passcode().await });
        soon(driver.prompt_shown()).await;
        assert_eq!(relayed(&mut proxy).await, PASSCODE_PRESENTED);
        assert!(if answer {
            driver.enter_passcode()
        } else {
            driver.cancel_passcode()
        });
        assert_eq!(soon(asking).await.unwrap(), expected);
        assert_eq!(relayed(&mut proxy).await, PASSCODE_DISMISSED);
    }
    // A service that dies with the cable takes its prompt with it.
    let asked = driver.phone().clone();
    let asking = tokio::spawn(async move { asked.ask_passcode().await });
    soon(driver.prompt_shown()).await;
    asking.abort();
    soon(
        driver
            .phone()
            .wait_for(|state| state.prompt == PromptState::Hidden),
    )
    .await;
}

struct Afc {
    stream: TlsStream<DuplexStream>,
    decoder: PacketDecoder,
    number: u64,
}

impl Afc {
    async fn new(sim: &backupwatch_sim::SimHandle) -> Self {
        let stream = service(sim, UDID, afc::SERVICE).await;
        Self {
            stream,
            decoder: PacketDecoder::default(),
            number: 0,
        }
    }

    async fn ask(&mut self, request: &afc::Request) -> afc::Reply {
        self.number += 1;
        self.stream
            .write_all(&request.to_packet(self.number).encode())
            .await
            .unwrap();
        self.stream.flush().await.unwrap();
        let packet = self.packet().await;
        assert_eq!(packet.number, self.number);
        afc::Reply::from_packet(packet).unwrap()
    }

    async fn packet(&mut self) -> Packet {
        let mut chunk = [0; 4096];
        loop {
            let some = soon(self.stream.read(&mut chunk)).await.unwrap();
            assert_ne!(some, 0, "the phone answers");
            let (taken, packet) = self.decoder.next(&chunk[..some]).unwrap();
            if let Some(packet) = packet {
                assert_eq!(taken, some, "one answer a request");
                return packet;
            }
        }
    }

    async fn open(&mut self, path: &str, mode: OpenMode) -> u64 {
        match self
            .ask(&afc::Request::Open {
                path: path.to_owned(),
                mode,
            })
            .await
        {
            afc::Reply::Opened { handle } => handle,
            other => panic!("{other:?}"),
        }
    }

    async fn lock(&mut self, handle: u64, lock: Lock) -> Status {
        match self.ask(&afc::Request::Lock { handle, lock }).await {
            afc::Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_sync_lock_keeps_two_hosts_apart() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    let mut first = Afc::new(&sim).await;
    let mut second = Afc::new(&sim).await;
    let one = first.open(SYNC_LOCK, OpenMode::ReadWrite).await;
    let two = second.open(SYNC_LOCK, OpenMode::ReadWrite).await;

    assert_eq!(first.lock(one, Lock::Exclusive).await, Status::Success);
    assert_eq!(
        first.lock(one, Lock::Exclusive).await,
        Status::Success,
        "mine already"
    );
    assert_eq!(second.lock(two, Lock::Exclusive).await, Status::WouldBlock);
    assert_eq!(second.lock(two, Lock::Shared).await, Status::WouldBlock);
    assert!(driver.phone().sync_locked());
    // Unlocking what somebody else holds changes nothing.
    assert_eq!(second.lock(two, Lock::Unlock).await, Status::Success);
    assert!(driver.phone().sync_locked());

    assert_eq!(first.lock(one, Lock::Unlock).await, Status::Success);
    assert_eq!(second.lock(two, Lock::Exclusive).await, Status::Success);
    // A host that dies leaves nothing locked.
    drop(second);
    soon(async {
        while driver.phone().sync_locked() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(first.lock(one, Lock::Exclusive).await, Status::Success);
    // Nor does a closed file.
    let closed = first.ask(&afc::Request::Close { handle: one }).await;
    assert_eq!(closed, afc::Reply::Status(Status::Success));
    assert!(!driver.phone().sync_locked());
}

#[tokio::test]
async fn somebody_elses_program_can_hold_the_sync_lock() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    let mut afc = Afc::new(&sim).await;
    let handle = afc.open(SYNC_LOCK, OpenMode::ReadWrite).await;
    assert!(driver.hold_sync_lock());
    assert_eq!(afc.lock(handle, Lock::Exclusive).await, Status::WouldBlock);
    driver.release_sync_lock();
    assert_eq!(afc.lock(handle, Lock::Exclusive).await, Status::Success);
}

#[tokio::test]
async fn small_files_are_served() {
    let mut persona = phone();
    persona.afc.insert(
        "/iTunes_Control/iTunes/iTunesPrefs".to_owned(),
        "invented".to_owned(),
    );
    let sim = sim(vec![persona]);
    let mut afc = Afc::new(&sim).await;
    let path = "/iTunes_Control/iTunes/iTunesPrefs".to_owned();
    let data = |reply| match reply {
        afc::Reply::Data(data) => data,
        other => panic!("{other:?}"),
    };
    let list = afc::Request::ReadDirectory {
        path: "/iTunes_Control//./iTunes/".to_owned(),
    };
    assert_eq!(
        strings(&data(afc.ask(&list).await)),
        [".", "..", "iTunesPrefs"]
    );
    let info = strings(&data(
        afc.ask(&afc::Request::FileInfo { path: path.clone() })
            .await,
    ));
    assert!(
        info.windows(2).any(|pair| pair == ["st_size", "8"]),
        "{info:?}"
    );
    assert!(
        info.windows(2).any(|pair| pair == ["st_ifmt", "S_IFREG"]),
        "{info:?}"
    );

    let handle = afc.open(&path, OpenMode::Read).await;
    let read = |length| afc::Request::Read { handle, length };
    assert_eq!(data(afc.ask(&read(5)).await), b"inven");
    assert_eq!(data(afc.ask(&read(u64::MAX)).await), b"ted");
    assert_eq!(data(afc.ask(&read(5)).await), b"");
    let status = afc::Reply::Status;
    for (name, request, expected) in [
        (
            "write to a reader",
            afc::Request::Write {
                handle,
                data: vec![1],
            },
            Status::PermissionDenied,
        ),
        (
            "no such handle",
            afc::Request::Close { handle: 999 },
            Status::InvalidArgument,
        ),
        (
            "no such file",
            afc::Request::Open {
                path: "/etc/passwd".to_owned(),
                mode: OpenMode::Read,
            },
            Status::NotFound,
        ),
        (
            "no such folder",
            afc::Request::ReadDirectory {
                path: "/x".to_owned(),
            },
            Status::NotFound,
        ),
        (
            "not modelled",
            afc::Request::Other { operation: 0x1d },
            Status::NotSupported,
        ),
    ] {
        assert_eq!(afc.ask(&request).await, status(expected), "{name}");
    }
    let written = afc.open("/made", OpenMode::Write).await;
    let write = |length: usize| afc::Request::Write {
        handle: written,
        data: vec![7; length],
    };
    assert_eq!(afc.ask(&write(1000)).await, status(Status::Success));
    assert_eq!(
        afc.ask(&write(2 << 20)).await,
        status(Status::NoSpace),
        "bounded"
    );
}

#[tokio::test]
async fn applications_are_browsed_in_pages() {
    let mut persona = phone();
    persona.app = (0..45)
        .map(|number| {
            toml::from_str(&format!(
                "bundle_id = \"example.app.{number}\"\nname = \"{number}\""
            ))
            .unwrap()
        })
        .collect();
    let sim = sim(vec![persona]);
    let mut proxy = Plists::new(service(&sim, UDID, installation_proxy::SERVICE).await);
    let options = installation_proxy::Options::for_backup();
    proxy
        .send(&installation_proxy::Request::Browse(options).to_value())
        .await;
    let mut apps = Vec::new();
    let mut pages = 0;
    loop {
        let reply = soon(proxy.next()).await.unwrap();
        match installation_proxy::Reply::from_value(&reply).unwrap() {
            installation_proxy::Reply::Page { apps: some } => {
                pages += 1;
                apps.extend(some);
            }
            installation_proxy::Reply::Complete => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((pages, apps.len()), (3, 45));
    let mut keys: Vec<&str> = apps[44].keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut wanted = installation_proxy::BACKUP_ATTRIBUTES;
    wanted.sort_unstable();
    assert_eq!(keys, wanted, "what was asked for, and no more");
}

#[tokio::test(start_paused = true)]
async fn the_heart_beats_as_long_as_polo_is_said() {
    let sim = sim(vec![phone()]);
    let mut heart = Plists::new(service(&sim, UDID, heartbeat::SERVICE).await);
    for _ in 0..3 {
        let beat = Beat::from_value(&heart.next().await.unwrap()).unwrap();
        assert!(
            matches!(beat, Beat::Marco { interval: Some(_) }),
            "{beat:?}"
        );
        heart.send(&heartbeat::polo()).await;
    }
    assert!(heart.next().await.is_some());
    let start = tokio::time::Instant::now();
    assert!(heart.next().await.is_none(), "no Polo, no heartbeat");
    assert!(start.elapsed() >= Duration::from_secs(10));
}
