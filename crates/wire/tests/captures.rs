//! The captures in `fixtures/wire`, replayed: each is decoded to what the transcript beside this file says, and what was decoded
//! is encoded to the very bytes of the capture.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]

use std::fmt::Write as _;

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::devicelink::download::{DownloadDecoder, DownloadEvent};
use backupwatch_wire::devicelink::stream::{STREAM_END, data_header, put_file_end};
use backupwatch_wire::devicelink::upload::{self, UploadDecoder, UploadEvent};
use backupwatch_wire::devicelink::{DeviceMessage, FrameDecoder, HostMessage, download};
use backupwatch_wire::lockdown::{self, PairRecord};
use backupwatch_wire::{afc, installation_proxy, notification_proxy, springboard, usbmux};
use plist::Value;

/// One conversation: what the host said, and what the device said.
macro_rules! capture {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../fixtures/wire/", $name, ".host")).as_slice(),
            include_bytes!(concat!("../../../fixtures/wire/", $name, ".device")).as_slice(),
        )
    };
}

type Capture = (&'static [u8], &'static [u8]);

#[test]
fn questions_to_usbmuxd() {
    let (host, device) = capture!("usbmux/questions");
    let mut said = String::new();
    for packet in packets(host) {
        let (request, client) = usbmux::Request::decode(&packet).unwrap();
        assert_eq!(request.encode(&client, packet.tag), packet.encode());
        writeln!(said, "host {}: {request:?} {client:?}", packet.tag).unwrap();
    }
    for packet in packets(device) {
        let reply = usbmux::Reply::decode(&packet).unwrap();
        assert_eq!(reply.encode(packet.tag), packet.encode());
        writeln!(said, "device {}: {reply:?}", packet.tag).unwrap();
    }
    insta::assert_snapshot!(said);
}

fn packets(bytes: &[u8]) -> Vec<usbmux::Packet> {
    let mut decoder = usbmux::Decoder::new();
    decoder.push(bytes);
    let packets = std::iter::from_fn(|| decoder.next_packet().unwrap()).collect();
    assert!(decoder.into_rest().is_empty(), "nothing is cut");
    packets
}

#[test]
fn a_session_with_lockdownd() {
    let (host, device) = capture!("lockdown/session");
    let mut said = String::new();
    let mut replies = frames(device).into_iter();
    for frame in frames(host) {
        let (request, label) = lockdown::Request::decode(&frame).unwrap();
        assert_eq!(
            request.encode(label.as_deref()),
            lockdown::encode_frame(&frame)
        );
        let answer = replies.next().unwrap();
        let reply = lockdown::Reply::decode(&request, &answer).unwrap();
        assert_eq!(reply.encode(&request), lockdown::encode_frame(&answer));
        writeln!(said, "host: {request:?}\ndevice: {reply:?}").unwrap();
    }
    assert_eq!(replies.next(), None);
    insta::assert_snapshot!(said);
}

fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = lockdown::FrameDecoder::new();
    decoder.push(bytes);
    let frames = std::iter::from_fn(|| decoder.next_frame().unwrap());
    let frames = frames.map(|frame| frame.to_vec()).collect();
    assert!(decoder.into_rest().is_empty(), "nothing is cut");
    frames
}

/// Property lists with a length before them, whose XML is written again as it was.
fn values(bytes: &[u8]) -> Vec<Value> {
    let frames = frames(bytes).into_iter().map(|frame| {
        let value = codec::decode(&frame, Limits::of_bytes(lockdown::MAX_FRAME)).unwrap();
        assert_eq!(codec::to_xml(&value), frame);
        value
    });
    frames.collect()
}

#[test]
fn notifications_of_a_backup() {
    let (host, device) = capture!("notification_proxy/first");
    let mut said = String::new();
    for value in values(host) {
        let request = notification_proxy::Request::from_value(&value).unwrap();
        assert_eq!(request.to_value(), value);
        writeln!(said, "host: {request:?}").unwrap();
    }
    for value in values(device) {
        let event = notification_proxy::Event::from_value(&value).unwrap();
        assert_eq!(event.to_value(), value);
        writeln!(said, "device: {event:?}").unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn the_apps_for_a_backup() {
    let (host, device) = capture!("installation_proxy/first");
    let mut said = String::new();
    for value in values(host) {
        let request = installation_proxy::Request::from_value(&value).unwrap();
        assert_eq!(request.to_value(), value);
        writeln!(said, "host: {request:?}").unwrap();
    }
    let mut before = 0;
    for value in values(device) {
        let reply = installation_proxy::Reply::from_value(&value).unwrap();
        assert_eq!(reply.to_value(before), value);
        if let installation_proxy::Reply::Page { apps } = &reply {
            before += apps.len() as u64;
        }
        writeln!(said, "device: {reply:?}").unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn the_icons_for_a_backup() {
    let (host, device) = capture!("springboard/first");
    for (request, answer) in values(host).into_iter().zip(values(device)) {
        let id = request.as_dictionary().unwrap().get("bundleId").unwrap();
        assert_eq!(springboard::icon_request(id.as_string().unwrap()), request);
        let _ = springboard::icon(&answer);
    }
}

#[test]
fn files_and_the_sync_lock() {
    let (host, device) = capture!("afc/first");
    let mut said = String::new();
    let mut replies = afc_packets(device).into_iter();
    for packet in afc_packets(host) {
        let request = afc::Request::from_packet(&packet).unwrap();
        assert_eq!(request.to_packet(packet.number), packet);
        let answer = replies.next().unwrap();
        assert_eq!(answer.number, packet.number);
        let reply = afc::Reply::from_packet(answer.clone()).unwrap();
        assert_eq!(reply.to_packet(answer.number), answer);
        writeln!(said, "host: {request:?}\ndevice: {reply:?}").unwrap();
    }
    assert_eq!(replies.next(), None);
    insta::assert_snapshot!(said);
}

fn afc_packets(mut bytes: &[u8]) -> Vec<afc::Packet> {
    let mut decoder = afc::PacketDecoder::default();
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (taken, packet) = decoder.next(bytes).unwrap();
        let packet = packet.unwrap();
        assert_eq!(packet.encode(), bytes[..taken]);
        packets.push(packet);
        bytes = &bytes[taken..];
    }
    packets
}

#[test]
fn a_pair_record() {
    let bytes = include_bytes!("../../../fixtures/wire/pair_record/whole.plist");
    let record = PairRecord::decode(bytes).unwrap();
    assert_eq!(record.encode(), bytes);
    assert_eq!(record.udid.as_deref(), Some("00008101-000A11112222F1E5"));
    assert!(record.escrow_bag.is_some());
}

#[test]
fn a_first_backup() {
    insta::assert_snapshot!(backup(capture!("mobilebackup2/first")));
}

#[test]
fn a_backup_of_what_changed() {
    insta::assert_snapshot!(backup(capture!("mobilebackup2/changed")));
}

/// Goes through both directions of a DeviceLink connection, which alternates between messages and streams.
fn backup((mut host, mut device): Capture) -> String {
    let mut said = String::new();
    // A phone makes 256 folders, twice, and looks into each of them.
    let mut folders = 0;
    while !device.is_empty() {
        let message: DeviceMessage = frame(&mut device, DeviceMessage::encode);
        if let DeviceMessage::CreateDirectory { .. } | DeviceMessage::ContentsOfDirectory { .. } =
            message
        {
            let HostMessage::Status(_) = frame(&mut host, HostMessage::encode) else {
                panic!("no status after {folders} folders");
            };
            folders += 1;
            continue;
        }
        if folders > 0 {
            writeln!(said, "(folders: {folders})").unwrap();
            folders = 0;
        }
        writeln!(said, "device: {}", short(&message)).unwrap();
        if let DeviceMessage::UploadFiles { .. } = message {
            uploaded(&mut device, &mut said);
        }
        if let DeviceMessage::DownloadFiles { .. } = message {
            downloaded(&mut host, &mut said);
        }
        writeln!(
            said,
            "host: {}",
            shorter(&frame(&mut host, HostMessage::encode))
        )
        .unwrap();
    }
    assert!(host.is_empty(), "{} bytes of the host are left", host.len());
    said
}

/// The next message, which is encoded as it came.
fn frame<M: Message>(bytes: &mut &[u8], encode: impl Fn(&M) -> Vec<u8>) -> M {
    let (taken, body) = FrameDecoder::default().next(bytes).unwrap();
    let message = M::read(&body.unwrap());
    assert_eq!(encode(&message), bytes[..taken]);
    *bytes = &bytes[taken..];
    message
}

trait Message {
    fn read(body: &[u8]) -> Self;
}

impl Message for DeviceMessage {
    fn read(body: &[u8]) -> Self {
        Self::decode(body).unwrap()
    }
}

impl Message for HostMessage {
    fn read(body: &[u8]) -> Self {
        Self::decode(body).unwrap()
    }
}

fn uploaded(bytes: &mut &[u8], said: &mut String) {
    let (mut decoder, mut taken, mut again) = (UploadDecoder::new(), 0, Vec::new());
    while !decoder.is_done() {
        let (length, event) = decoder.next(&bytes[taken..]).unwrap();
        taken += length;
        match event.unwrap() {
            UploadEvent::FileStart {
                device_path,
                dest_path,
            } => {
                writeln!(said, "  file {} to {}", device_path.key(), dest_path.key()).unwrap();
                upload::put_file_start(&device_path.key(), &dest_path.key(), &mut again);
            }
            UploadEvent::Data(data) => {
                writeln!(said, "    {} bytes", data.len()).unwrap();
                again.extend(data_header(data.len()));
                again.extend(data);
            }
            UploadEvent::FileEnd { code, message } => {
                put_file_end(code, &message, &mut again);
            }
            UploadEvent::StreamEnd => again.extend(STREAM_END),
        }
    }
    assert!(again == bytes[..taken]);
    *bytes = &bytes[taken..];
}

fn downloaded(bytes: &mut &[u8], said: &mut String) {
    let (mut decoder, mut taken, mut again) = (DownloadDecoder::new(), 0, Vec::new());
    while !decoder.is_done() {
        let (length, event) = decoder.next(&bytes[taken..]).unwrap();
        taken += length;
        match event.unwrap() {
            DownloadEvent::FileStart { path } => {
                writeln!(said, "  file {}", path.key()).unwrap();
                download::put_file_start(&path.key(), &mut again);
            }
            DownloadEvent::Data(data) => {
                writeln!(said, "    {} bytes", data.len()).unwrap();
                again.extend(data_header(data.len()));
                again.extend(data);
            }
            DownloadEvent::FileEnd { code, message } => {
                writeln!(said, "    {code} {message}").unwrap();
                put_file_end(code, &message, &mut again);
            }
            DownloadEvent::StreamEnd => again.extend(STREAM_END),
        }
    }
    assert!(again == bytes[..taken]);
    *bytes = &bytes[taken..];
}

/// Long lists by their length.
fn short(message: &DeviceMessage) -> String {
    if let DeviceMessage::MoveItems { items, .. } = message
        && items.len() > 3
    {
        return format!("MoveItems, {} of them", items.len());
    }
    format!("{message:?}")
}

fn shorter(message: &HostMessage) -> String {
    if let HostMessage::Status(status) = message {
        return format!("{} {}", status.code, status.text);
    }
    format!("{message:?}")
}
