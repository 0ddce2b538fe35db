//! Phones that speak DeviceLink by hand: silent ones, endless ones, and ones that say as much at once as they may.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests may fail as tests do"
)]

mod common;

use std::sync::Mutex;
use std::time::Duration;

use backupwatch_backup::{OpenError, Opened, Phone, RunOptions};
use backupwatch_core::Udid;
use backupwatch_core::run::{RunEnd, RunFailure, RunReport};
use backupwatch_wire::devicelink::upload::{FILE_OK, STREAM_END, put_file_start};
use backupwatch_wire::devicelink::{DeviceMessage, FrameDecoder, HostMessage, StatusResponse};
use backupwatch_wire::mobilebackup2::Response;
use common::{SimPhone, TestClock, UDID, World, failure, first_progress, persona};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A simulated phone, but for its backup service.
struct Scripted<'a> {
    phone: &'a SimPhone,
    backup: Mutex<Option<DuplexStream>>,
}

impl Phone for Scripted<'_> {
    type Stream = DuplexStream;

    fn udid(&self) -> &Udid {
        self.phone.udid()
    }

    async fn open(&self) -> Result<Opened<DuplexStream>, OpenError> {
        let mut opened = self.phone.open().await?;
        opened.backup = self.backup.lock().unwrap().take().expect("one run");
        Ok(opened)
    }
}

/// The phone's end, after the greetings.
struct Peer {
    stream: DuplexStream,
    frames: FrameDecoder,
    bytes: Vec<u8>,
}

impl Peer {
    async fn say(&mut self, message: &DeviceMessage) {
        // The host may have ended the run.
        let _ = self.stream.write_all(&message.encode()).await;
    }

    async fn hear(&mut self) -> Option<HostMessage> {
        loop {
            let (taken, body) = self.frames.next(&self.bytes).unwrap();
            self.bytes.drain(..taken);
            if let Some(body) = body {
                let value = plist::Value::from_reader(std::io::Cursor::new(body)).unwrap();
                return Some(HostMessage::from_value(value).unwrap());
            }
            match self.stream.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn status(&mut self) -> Option<StatusResponse> {
        if let HostMessage::Status(status) = self.hear().await? {
            Some(status)
        } else {
            None
        }
    }

    /// Up to the command of a backup.
    async fn greet(stream: DuplexStream) -> Self {
        let mut peer = Self {
            stream,
            frames: FrameDecoder::default(),
            bytes: Vec::new(),
        };
        let version = DeviceMessage::VersionExchange {
            major: 400,
            minor: 0,
        };
        peer.say(&version).await;
        peer.hear().await.unwrap();
        peer.say(&DeviceMessage::DeviceReady).await;
        peer.hear().await.unwrap();
        peer.say(&Response::hello(2.1).to_message()).await;
        peer.hear().await.unwrap();
        peer
    }
}

async fn against<F: Future<Output = ()>>(
    world: &World,
    cancel: CancellationToken,
    script: impl FnOnce(DuplexStream) -> F,
) -> RunReport {
    let (ours, phones) = tokio::io::duplex(1 << 20);
    let phone = Scripted {
        phone: &world.phone,
        backup: Mutex::new(Some(ours)),
    };
    let (sender, _progress) = watch::channel(first_progress());
    let clock = TestClock::default();
    let options = RunOptions::default();
    let run = backupwatch_backup::run(&phone, &world.store, &clock, options, sender, cancel);
    let mut script = std::pin::pin!(script(phones));
    let mut run = std::pin::pin!(run);
    tokio::select! {
        report = &mut run => report,
        () = &mut script => run.await,
    }
}

async fn for_ever() {
    std::future::pending().await
}

/// The first answer may take as long as a person looks for the phone, the later ones not.
#[tokio::test(start_paused = true)]
async fn checklist_26_silence_ends_a_run_after_31_and_after_10_minutes() {
    for (says, minutes) in [(0, 31), (1, 10), (2, 31)] {
        let world = World::new(persona());
        let begun = Instant::now();
        let report = against(&world, CancellationToken::new(), async |stream| {
            let mut peer = Peer::greet(stream).await;
            if says == 1 {
                peer.say(&DeviceMessage::GetFreeDiskSpace).await;
                peer.status().await.unwrap();
            }
            if says == 2 {
                // A sign of life that asks for nothing.
                let text = String::new();
                peer.say(&DeviceMessage::Ping { text }).await;
            }
            for_ever().await;
        })
        .await;
        let words = format!("the phone said nothing for {minutes} minutes");
        assert_eq!(failure(&report), RunFailure::Protocol(words));
        let took = begun.elapsed().as_secs() / 60;
        assert!(
            (minutes..minutes + 2).contains(&took),
            "{says}: {took} minutes"
        );
    }
}

#[tokio::test]
async fn pings_without_end_can_be_cancelled() {
    let world = World::new(persona());
    let cancel = CancellationToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        later.cancel();
    });
    let report = against(&world, cancel, async |stream| {
        let mut peer = Peer::greet(stream).await;
        loop {
            let text = "still here".to_owned();
            peer.say(&DeviceMessage::Ping { text }).await;
        }
    })
    .await;
    assert!(matches!(failure(&report), RunFailure::Cancelled { .. }));
}

/// Peak of this process's memory, in MiB; where it cannot be known, zero.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0_usize) / 1024
}

/// The longest messages that are taken, of what costs most to answer.
#[tokio::test]
async fn the_longest_messages_cost_a_bounded_amount_of_memory() {
    let world = World::new(persona());
    let before = peak();
    let report = against(&world, CancellationToken::new(), async |stream| {
        let mut peer = Peer::greet(stream).await;
        let outside: Vec<String> = (0..130_000)
            .map(|number| format!("../elsewhere/{number:06x}"))
            .collect();
        let inside: Vec<String> = (0..130_000)
            .map(|number| format!("{UDID}/ab/{number:040x}"))
            .collect();
        for paths in [outside, inside] {
            let progress = None;
            let pairs = paths
                .iter()
                .map(|path| (path.clone(), path.clone()))
                .collect();
            for message in [
                DeviceMessage::RemoveItems {
                    paths: paths.clone(),
                    progress,
                },
                DeviceMessage::MoveItems {
                    items: pairs,
                    progress,
                },
            ] {
                peer.say(&message).await;
                if peer.status().await.is_none() {
                    return;
                }
            }
        }
        peer.say(&Response::ok().to_message()).await;
        for_ever().await;
    })
    .await;
    let grown = peak() - before;
    println!("{grown} MiB");
    assert!(matches!(report.end, RunEnd::Failed(_)), "{:?}", report.end);
    assert!(report.refused.len() <= 1000);
    assert!(grown < 600, "{grown} MiB");
}

/// Files that are nothing but names.
#[tokio::test]
async fn empty_files_by_the_thousand_are_taken_in_their_time() {
    const FILES: u32 = 20_000;
    let world = World::new(persona());
    let report = against(&world, CancellationToken::new(), async |stream| {
        let mut peer = Peer::greet(stream).await;
        for path in [UDID.to_owned(), format!("{UDID}/ab")] {
            peer.say(&DeviceMessage::CreateDirectory { path }).await;
            peer.status().await.unwrap();
        }
        let upload = DeviceMessage::UploadFiles {
            progress: None,
            total: None,
        };
        peer.say(&upload).await;
        for number in 0..FILES {
            let mut file = Vec::new();
            put_file_start("/.b/1", &format!("{UDID}/ab/{number:040x}"), &mut file);
            file.extend_from_slice(&FILE_OK);
            peer.stream.write_all(&file).await.unwrap();
        }
        peer.stream.write_all(&STREAM_END).await.unwrap();
        assert_eq!(peer.status().await, Some(StatusResponse::ok()));
        peer.say(&Response::ok().to_message()).await;
        for_ever().await;
    })
    .await;
    assert!(matches!(failure(&report), RunFailure::Verification { .. }));
    assert_eq!(report.files, u64::from(FILES));
}
