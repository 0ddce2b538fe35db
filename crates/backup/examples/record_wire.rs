//! Records what a simulated phone and this program say to each other, as the captures in `fixtures/wire`:
//!
//! `cargo run -p backupwatch-backup --example record_wire`
//!
//! One conversation is two files, all bytes of the host and all bytes of the device. Nothing of a real phone is in them:
//! the simulator makes up every name and number.

#![expect(
    clippy::unwrap_used,
    reason = "a tool for developers: where it fails, there is nothing to record"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use backupwatch_backup::{OpenError, Opened, Phone, RunOptions};
use backupwatch_core::Udid;
use backupwatch_wire::lockdown::{self, Secret};
use backupwatch_wire::usbmux::{self, Client};
use common::{SimPhone, TestClock, UDID, World, first_progress, verified};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A phone of which a whole backup has a few kilobytes.
const CONTENTS: &str = r#"
seed = 3
[[files]]
domain = "HomeDomain"
path = "Library/Preferences/a.plist"
size = 300
[[files]]
domain = "HomeDomain"
path = "Library/empty"
[[files]]
domain = "CameraRollDomain"
path = "Media/DCIM/Zoe\u0308 🎉.jpg"
size = 700
[[symlinks]]
domain = "HomeDomain"
path = "Library/link"
target = "empty"
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut persona = common::persona();
    persona.contents = toml::from_str(CONTENTS).unwrap();
    let app = "bundle_id = \"example.weather.rain\"\nname = \"Rain\"";
    persona.app.push(toml::from_str(app).unwrap());
    let preferences = "/iTunes_Control/iTunes/iTunesPrefs".to_owned();
    persona.afc.insert(preferences, "invented".to_owned());
    let world = World::new(persona);
    mux(&world).await;
    lockdown(&world).await;
    pair_record();
    back_up(&world, "first").await;
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(60.0));
    back_up(&world, "changed").await;
}

/// A backup over recorded streams.
async fn back_up(world: &World, name: &'static str) {
    let phone = Recorded {
        phone: &world.phone,
        name,
    };
    let (sender, _progress) = watch::channel(first_progress());
    let clock = TestClock::default();
    let cancel = CancellationToken::new();
    let options = RunOptions::default();
    let report =
        backupwatch_backup::run(&phone, &world.store, &clock, options, sender, cancel).await;
    verified(&report);
}

struct Recorded<'a> {
    phone: &'a SimPhone,
    name: &'static str,
}

impl Phone for Recorded<'_> {
    type Stream = Tape;

    fn udid(&self) -> &Udid {
        self.phone.udid()
    }

    async fn open(&self) -> Result<Opened<Tape>, OpenError> {
        let opened = self.phone.open().await?;
        Ok(Opened {
            about: opened.about,
            backup: Tape::new(opened.backup, "mobilebackup2", self.name),
            notifications: Tape::new(opened.notifications, "notification_proxy", self.name),
            afc: Tape::new(opened.afc, "afc", self.name),
            apps: (opened.apps).map(|apps| Tape::new(apps, "installation_proxy", self.name)),
            icons: (opened.icons).map(|icons| Tape::new(icons, "springboard", self.name)),
        })
    }
}

/// Questions to usbmuxd, each answered by one packet; to the last one an event follows.
async fn mux(world: &World) {
    let client = Client {
        prog_name: "backupwatch".to_owned(),
        version: "0".to_owned(),
        bundle_id: "dev.backupwatch".to_owned(),
        lib_version: 3,
    };
    let questions = [
        usbmux::Request::ListDevices,
        usbmux::Request::ReadBuid,
        usbmux::Request::ReadPairRecord {
            udid: "00008101-00000000000000AA".to_owned(),
        },
        usbmux::Request::ListListeners,
        usbmux::Request::Listen,
    ];
    let mut tape = Tape::new(world.sim.connect(), "usbmux", "questions");
    for (tag, question) in questions.iter().enumerate() {
        let tag = u32::try_from(tag).unwrap();
        tape.write_all(&question.encode(&client, tag))
            .await
            .unwrap();
        little_packet(&mut tape).await;
    }
    little_packet(&mut tape).await;
}

async fn little_packet(tape: &mut Tape) {
    let length = tape.read_u32_le().await.unwrap();
    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
    tape.read_exact(&mut rest).await.unwrap();
}

async fn lockdown(world: &World) {
    let (record, stream) = world.phone.lockdown().await;
    let mut tape = Tape::new(stream, "lockdown", "session");
    let start = |service: &str, escrow_bag: Option<Secret>| lockdown::Request::StartService {
        service: service.to_owned(),
        escrow_bag,
    };
    let value = |domain: Option<&str>, key: Option<&str>| lockdown::Request::GetValue {
        domain: domain.map(str::to_owned),
        key: key.map(str::to_owned),
    };
    for request in [
        lockdown::Request::QueryType,
        lockdown::Request::StartSession {
            host_id: record.host_id,
            system_buid: record.system_buid,
        },
        value(None, None),
        value(Some("com.apple.mobile.backup"), None),
        value(None, Some("NoSuchKey")),
        start("com.apple.mobilebackup2", Some(Secret(vec![0xEB; 16]))),
        start("com.apple.no.such.service", None),
        lockdown::Request::Goodbye,
    ] {
        tape.write_all(&request.encode(Some("backupwatch")))
            .await
            .unwrap();
        let length = tape.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap()];
        tape.read_exact(&mut body).await.unwrap();
    }
}

/// Certificates and keys in name only: what stands in their place opens nothing.
fn pair_record() {
    let pem = |kind: &str| Some(Secret(format!("-----BEGIN {kind}-----\n").into_bytes()));
    let record = lockdown::PairRecord {
        host_id: "00000000-1111-2222-3333-444444444444".to_owned(),
        system_buid: Some("55555555-6666-7777-8888-999999999999".to_owned()),
        device_certificate: pem("CERTIFICATE"),
        host_certificate: pem("CERTIFICATE"),
        root_certificate: pem("CERTIFICATE"),
        host_private_key: pem("NOTHING"),
        root_private_key: pem("NOTHING"),
        escrow_bag: Some(Secret(vec![0xEB; 32])),
        wifi_mac_address: Some("02:00:00:00:00:01".to_owned()),
        udid: Some(UDID.to_owned()),
    };
    let path = place("pair_record", "whole", "plist");
    std::fs::write(path, record.encode()).unwrap();
}

/// A stream that remembers both ways, and writes them down when it is dropped.
struct Tape {
    inner: tokio::io::DuplexStream,
    protocol: &'static str,
    name: &'static str,
    said: Arc<Mutex<(Vec<u8>, Vec<u8>)>>,
}

impl Tape {
    fn new(inner: tokio::io::DuplexStream, protocol: &'static str, name: &'static str) -> Self {
        Self {
            inner,
            protocol,
            name,
            said: Arc::default(),
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        // The small services say the same in every backup.
        if self.name == "changed" && self.protocol != "mobilebackup2" {
            return;
        }
        let (host, device) = &*self.said.lock().unwrap();
        std::fs::write(place(self.protocol, self.name, "host"), host).unwrap();
        std::fs::write(place(self.protocol, self.name, "device"), device).unwrap();
    }
}

fn place(protocol: &str, name: &str, end: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire");
    let folder = fixtures.join(protocol);
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.{end}"))
}

impl AsyncRead for Tape {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let heard = buffer.filled().split_at(before).1;
        self.said.lock().unwrap().1.extend_from_slice(heard);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tape {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        let said = bytes.split_at(written).0;
        self.said.lock().unwrap().0.extend_from_slice(said);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
