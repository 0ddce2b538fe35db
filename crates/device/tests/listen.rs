//! Who is attached: over both kinds of socket, through restarts and rubbish, in every spelling of the address.

#![cfg(test)]

mod common;

use std::time::Duration;

use backupwatch_core::LinkKind;
use backupwatch_device::{Attached, MuxAddress, MuxDown, MuxEvent, listen};
use backupwatch_sim::persona::{LinkKind as Cable, Persona};
use backupwatch_sim::usbmuxd::MuxFault;
use backupwatch_wire::usbmux::{HEADER_LEN, Packet, Reply, ResultCode};
use common::{OTHER, Socket, Stage, UDID, impatient, persona, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A listener at work.
struct Ear {
    events: mpsc::Receiver<MuxEvent>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Ear {
    fn at(address: &MuxAddress) -> Self {
        let (sender, events) = mpsc::channel(64);
        let cancel = CancellationToken::new();
        let (address, token) = (address.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            listen(&address, &impatient(), sender, || 0.0, token).await;
        });
        Self {
            events,
            cancel,
            task,
        }
    }

    async fn next(&mut self) -> MuxEvent {
        soon("an event", self.events.recv()).await.unwrap()
    }

    async fn up(&mut self) {
        assert_eq!(self.next().await, MuxEvent::Up);
    }

    async fn attached(&mut self) -> Attached {
        let event = self.next().await;
        let MuxEvent::Attached(attached) = event else {
            panic!("{event:?} instead of Attached")
        };
        attached
    }

    async fn down(&mut self) -> MuxDown {
        let event = self.next().await;
        let MuxEvent::Down { why } = event else {
            panic!("{event:?} instead of Down")
        };
        why
    }

    async fn quiet(&mut self, what: &str) {
        let silence = tokio::time::timeout(Duration::from_millis(300), self.events.recv()).await;
        assert!(silence.is_err(), "{what}: {silence:?}");
    }
}

#[tokio::test]
async fn phones_come_and_go_over_either_socket() {
    for socket in [Socket::Unix, Socket::Tcp] {
        let both = "[[link]]\nkind = \"network\"\n[[link]]\nkind = \"usb\"\n";
        let stage = Stage::on(socket, vec![persona(UDID, ""), persona(OTHER, both)]);
        let mut ear = Ear::at(&stage.address);
        ear.up().await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let attached = ear.attached().await;
            seen.push((attached.udid.as_str().to_owned(), attached.link));
        }
        seen.sort();
        assert_eq!(
            seen,
            [
                (OTHER.to_owned(), LinkKind::Usb),
                (OTHER.to_owned(), LinkKind::Network),
                (UDID.to_owned(), LinkKind::Usb),
            ]
        );

        let phone = stage.sim.phone(OTHER).unwrap();
        phone.unplug_link(Cable::Usb);
        let MuxEvent::Detached { attachment: gone } = ear.next().await else {
            panic!("not detached")
        };
        phone.plug_link(Cable::Usb);
        let back = ear.attached().await;
        assert_eq!((back.udid.as_str(), back.link), (OTHER, LinkKind::Usb));
        assert_ne!(back.attachment, gone, "a replug has a number of its own");

        ear.cancel.cancel();
        soon("the end", ear.task).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_of_usbmuxd_detaches_everybody_and_brings_them_back() {
    let stage = Stage::new(vec![persona(UDID, ""), persona(OTHER, "")]);
    let mut ear = Ear::at(&stage.address);
    ear.up().await;
    let mut attachments = vec![
        ear.attached().await.attachment,
        ear.attached().await.attachment,
    ];

    stage.sim.mux_down().await;
    for _ in 0..2 {
        let MuxEvent::Detached { attachment } = ear.next().await else {
            panic!("not detached")
        };
        attachments.retain(|one| *one != attachment);
    }
    assert!(
        attachments.is_empty(),
        "everybody is detached: {attachments:?}"
    );
    assert_eq!(ear.down().await, MuxDown::Closed);
    assert_eq!(ear.down().await, MuxDown::NotRunning);
    ear.quiet("the same reason is said once").await;

    stage.sim.mux_up().unwrap();
    ear.up().await;
    ear.attached().await;
    ear.attached().await;
}

#[tokio::test]
async fn a_usbmuxd_that_is_not_there_yet_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usbmuxd");
    let address = MuxAddress::resolve(path.to_str()).unwrap();
    let mut ear = Ear::at(&address);
    assert_eq!(ear.down().await, MuxDown::NotRunning);
    // A file that nobody listens at is no daemon either.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    ear.quiet("still not running").await;

    let listen = backupwatch_sim::Listen::Unix(path);
    let _sim = backupwatch_sim::Sim::start(vec![Persona::plain(UDID, "late")], listen).unwrap();
    ear.up().await;
    assert_eq!(ear.attached().await.udid.as_str(), UDID);
}

#[tokio::test]
async fn rubbish_is_a_state_and_ends_when_it_ends() {
    for (fault, why) in [
        (MuxFault::Rubbish, MuxDown::Rubbish),
        (MuxFault::HugeLength, MuxDown::Rubbish),
        (MuxFault::ShortLength, MuxDown::Rubbish),
        (MuxFault::NotAPlist, MuxDown::Rubbish),
        (MuxFault::NotADictionary, MuxDown::Rubbish),
        (MuxFault::BinaryVersion, MuxDown::Rubbish),
        (MuxFault::Close, MuxDown::Closed),
        (MuxFault::Cut, MuxDown::Closed),
        (MuxFault::Stall, MuxDown::Silent),
    ] {
        let stage = Stage::with("");
        stage.sim.set_mux_fault(fault);
        let mut ear = Ear::at(&stage.address);
        assert_eq!(ear.down().await, why, "{fault:?}");
        stage.sim.set_mux_fault(MuxFault::None);
        ear.up().await;
        ear.attached().await;
    }
}

#[tokio::test]
async fn pairing_by_anybody_is_told() {
    let stage = Stage::with("");
    let mut ear = Ear::at(&stage.address);
    ear.up().await;
    let attached = ear.attached().await;
    let record = stage.sim.hub().pair_record(UDID).unwrap();
    let request = backupwatch_wire::usbmux::Request::SavePairRecord {
        udid: UDID.to_owned(),
        record: backupwatch_wire::usbmux::PairRecordData(record),
        device: Some(backupwatch_wire::usbmux::MuxDeviceId(attached.attachment.0)),
    };
    let mut other = stage.sim.connect();
    other
        .write_all(&request.encode(&backupwatch_wire::usbmux::Client::default(), 1))
        .await
        .unwrap();
    assert_eq!(
        ear.next().await,
        MuxEvent::Paired {
            attachment: attached.attachment
        }
    );
}

#[tokio::test]
async fn it_ends_when_nobody_takes_the_events() {
    let stage = Stage::with("");
    let Ear {
        events,
        task,
        cancel: _cancel,
    } = Ear::at(&stage.address);
    drop(events);
    soon("the end", task).await.unwrap();
}

#[tokio::test]
async fn every_spelling_of_the_address_finds_usbmuxd() {
    let unix = Stage::on(Socket::Unix, vec![persona(UDID, "")]);
    let tcp = Stage::on(Socket::Tcp, vec![persona(UDID, "")]);
    let (backupwatch_sim::Listen::Unix(path), backupwatch_sim::Listen::Tcp(socket)) =
        (unix.sim.listen(), tcp.sim.listen())
    else {
        panic!("other sockets")
    };
    let (path, port) = (path.display(), socket.port());
    let v6 = backupwatch_sim::Sim::start(
        vec![persona(UDID, "")],
        backupwatch_sim::Listen::Tcp("[::1]:0".parse().unwrap()),
    );
    let mut spellings = vec![
        format!("{path}"),
        format!("UNIX:{path}"),
        format!("unix:{path}"),
        format!("unix://{path}"),
        format!("UNIX://{path}"),
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("tcp://127.0.0.1:{port}"),
        format!("TCP://localhost:{port}"),
    ];
    match &v6 {
        Ok(sim) => {
            let address = sim.listen().environment().unwrap();
            spellings.push(format!("tcp://{address}"));
            spellings.push(address);
        }
        Err(error) => eprintln!("SKIPPED: IPv6 spellings, {error:?}"),
    }
    for spelling in spellings {
        let address = MuxAddress::resolve(Some(&spelling)).unwrap();
        let found = backupwatch_device::list(&address, &impatient()).await;
        assert_eq!(found.unwrap().len(), 1, "{spelling}");
    }
}

/// A daemon by hand: takes one connection at a time, and says these bytes behind the answer to Listen.
async fn daemon(listener: UnixListener, said: Vec<Vec<u8>>) {
    for bytes in said {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await.unwrap();
        let answer = Reply::Result(ResultCode::Ok).encode(1);
        stream.write_all(&[answer, bytes].concat()).await.unwrap();
    }
}

fn announced(udid: &str, id: u32) -> Vec<u8> {
    let text = format!(
        "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>MessageType</key><string>Attached</string>\
         <key>DeviceID</key><integer>{id}</integer><key>Properties</key><dict>\
         <key>ConnectionType</key><string>USB</string><key>SerialNumber</key><string>{udid}</string>\
         </dict></dict></plist>"
    );
    Packet::plist(0, text.into_bytes()).encode()
}

#[tokio::test]
async fn odd_announcements_hide_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usbmuxd");
    let listener = UnixListener::bind(&path).unwrap();
    let said = [
        announced("../../etc/passwd", 1),
        Packet::plist(0, &b"no property list"[..]).encode(),
        announced(&UDID.replace('-', ""), 2),
        announced(&UDID.replace('-', ""), 2),
        announced(OTHER, 2),
        [0xFF; 64].to_vec(),
    ]
    .concat();
    let daemon = tokio::spawn(daemon(listener, vec![said]));
    let mut ear = Ear::at(&MuxAddress::resolve(path.to_str()).unwrap());
    ear.up().await;
    let first = ear.attached().await;
    assert_eq!(first.udid.as_str(), UDID, "the hyphen is put back");
    // The second announcement of the same is passed over; another phone under the same number replaces the first.
    let attachment = first.attachment;
    assert_eq!(ear.next().await, MuxEvent::Detached { attachment });
    assert_eq!(ear.attached().await.udid.as_str(), OTHER);
    assert_eq!(ear.next().await, MuxEvent::Detached { attachment });
    assert_eq!(ear.down().await, MuxDown::Rubbish);
    daemon.await.unwrap();
}
