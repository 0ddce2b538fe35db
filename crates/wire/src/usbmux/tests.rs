//! Framing and messages of usbmuxd: the facts of `docs/protocol/usbmuxd.md`, each as a row.

use plist::{Dictionary, Value};

use super::message::{port_from_wire, port_to_wire};
use super::*;
use crate::codec;

mod attachment;
mod properties;

const UDID: &str = "00008101-000A1B2C3D4E5F60";

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Dictionary(Dictionary::from_iter(pairs))
}

fn packet(body: &Value) -> Packet {
    Packet::plist(0, codec::to_binary(body))
}

fn only_packet(bytes: &[u8]) -> Packet {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    let packet = decoder.next_packet().unwrap().unwrap();
    assert!(decoder.into_rest().is_empty());
    packet
}

fn usb() -> Attachment {
    Attachment {
        device_id: MuxDeviceId(7),
        udid: UDID.into(),
        link: Link::Usb {
            location_id: Some(0x1410_0000),
            product_id: Some(0x12a8),
            speed: Some(480_000_000),
        },
    }
}

// Frames

#[test]
fn a_header_is_four_little_endian_numbers() {
    let bytes = [
        0x10, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0x78, 0x56, 0x34, 0x12,
    ];
    let header = Header {
        length: 16,
        version: 1,
        message: 8,
        tag: 0x1234_5678,
    };
    assert_eq!(header.encode(), bytes);
    assert_eq!(Header::decode(bytes), header);
}

#[test]
fn streams_that_are_refused() {
    let header = |length, version| {
        Header {
            length,
            version,
            message: 8,
            tag: 5,
        }
        .encode()
    };
    let too_long = u32::try_from(MAX_PACKET + 1).unwrap();
    for (name, bytes, want) in [
        (
            "shorter than a header",
            header(15, 1),
            FrameError::TooShort { length: 15 },
        ),
        (
            "no length",
            header(0, 1),
            FrameError::TooShort { length: 0 },
        ),
        (
            "over the limit",
            header(too_long, 1),
            FrameError::TooLong { length: too_long },
        ),
        (
            "greatest length",
            header(u32::MAX, 1),
            FrameError::TooLong { length: u32::MAX },
        ),
        (
            "binary protocol",
            header(16, 0),
            FrameError::Binary { message: 8, tag: 5 },
        ),
        (
            "another version",
            header(16, 2),
            FrameError::Version { version: 2, tag: 5 },
        ),
        (
            "another protocol",
            *b"GET / HTTP/1.1\r\n",
            FrameError::Version {
                version: u32::from_le_bytes(*b"/ HT"),
                tag: u32::from_le_bytes(*b".1\r\n"),
            },
        ),
    ] {
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        assert_eq!(decoder.next_packet(), Err(want), "{name}");
        decoder.push(&[0; 4096]);
        assert_eq!(decoder.next_packet(), Err(want), "{name}, asked again");
        assert_eq!(decoder.0.capacity(), 0, "{name}: what follows is kept");
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let length = u32::try_from(MAX_PACKET).unwrap();
    let mut decoder = Decoder::new();
    decoder.push(
        &Header {
            length,
            version: 1,
            message: 8,
            tag: 1,
        }
        .encode(),
    );
    assert_eq!(decoder.next_packet(), Ok(None));
    assert!(decoder.0.capacity() < 1024);
}

#[test]
fn the_binary_protocol_is_refused_in_its_own_words() {
    assert_eq!(
        refuse_binary(5),
        [20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0]
    );
}

#[test]
fn bytes_after_connect_are_the_tunnels() {
    let mut decoder = Decoder::new();
    decoder.push(
        &[
            Reply::Result(ResultCode::Ok).encode(1),
            b"\0\0\x01\x02rest".to_vec(),
        ]
        .concat(),
    );
    assert!(decoder.next_packet().unwrap().is_some());
    assert_eq!(decoder.into_rest().as_ref(), b"\0\0\x01\x02rest");
}

// Messages

#[test]
fn lockdowns_port_on_the_wire() {
    assert_eq!(port_to_wire(62078), 32498);
    assert_eq!(port_from_wire(32498), 62078);
    let connect = Request::Connect {
        device: MuxDeviceId(7),
        port: 62078,
    }
    .encode(&Client::default(), 1);
    let body = codec::decode(&only_packet(&connect).body, codec::Limits::of_bytes(4096)).unwrap();
    assert_eq!(
        body.as_dictionary().unwrap().get("PortNumber"),
        Some(&32498.into())
    );
}

#[test]
fn requests_as_other_clients_send_them() {
    let device = MuxDeviceId(4);
    let record = PairRecordData(b"record".to_vec());
    for (name, body, want) in [
        (
            "no word about the client",
            dict([("MessageType", "ListDevices".into())]),
            Ok(Request::ListDevices),
        ),
        (
            "odd words about the client",
            dict([
                ("MessageType", "Listen".into()),
                ("ProgName", 1.into()),
                ("kLibUSBMuxVersion", "3".into()),
            ]),
            Ok(Request::Listen),
        ),
        (
            "numbers of any width",
            dict([
                ("MessageType", "Connect".into()),
                ("DeviceID", 4_u64.into()),
                ("PortNumber", 32498_i64.into()),
            ]),
            Ok(Request::Connect {
                device,
                port: 62078,
            }),
        ),
        (
            "saving without a device",
            dict([
                ("MessageType", "SavePairRecord".into()),
                ("PairRecordID", UDID.into()),
                ("PairRecordData", Value::Data(record.0.clone())),
            ]),
            Ok(Request::SavePairRecord {
                udid: UDID.into(),
                record,
                device: None,
            }),
        ),
        (
            "unknown request",
            dict([("MessageType", "Reboot".into())]),
            Ok(Request::Unknown {
                message_type: "Reboot".into(),
            }),
        ),
        ("no type", dict([]), Err(())),
        (
            "a type that is a number",
            dict([("MessageType", 3.into())]),
            Err(()),
        ),
        ("not a dictionary", vec![].into(), Err(())),
        (
            "connect to nothing",
            dict([("MessageType", "Connect".into()), ("PortNumber", 1.into())]),
            Err(()),
        ),
        (
            "a port of 17 bits",
            dict([
                ("MessageType", "Connect".into()),
                ("DeviceID", 4.into()),
                ("PortNumber", 65536.into()),
            ]),
            Err(()),
        ),
        (
            "a negative device",
            dict([
                ("MessageType", "Connect".into()),
                ("DeviceID", (-1).into()),
                ("PortNumber", 1.into()),
            ]),
            Err(()),
        ),
        (
            "a record of nobody",
            dict([("MessageType", "ReadPairRecord".into())]),
            Err(()),
        ),
    ] {
        let answer = Request::decode(&packet(&body))
            .map(|(request, _)| request)
            .map_err(drop);
        assert_eq!(answer, want, "{name}");
    }
    let result = Packet {
        message: 1,
        ..packet(&dict([]))
    };
    assert_eq!(
        Request::decode(&result),
        Err(MessageError::NotPlist { message: 1 })
    );
}

#[test]
fn replies_as_other_daemons_send_them() {
    let list = |entries: Vec<Value>| dict([("DeviceList", entries.into())]);
    let devices = |attachments, unreadable| {
        Ok(Reply::Devices {
            attachments,
            unreadable,
        })
    };
    let good = Value::from(usb().encode());
    let bluetooth = dict([
        ("DeviceID", 9.into()),
        (
            "Properties",
            dict([
                ("SerialNumber", UDID.into()),
                ("ConnectionType", "Bluetooth".into()),
            ]),
        ),
    ]);
    for (name, body, want) in [
        ("an empty list", list(vec![]), devices(vec![], 0)),
        (
            "a list has no type",
            list(vec![good.clone()]),
            devices(vec![usb()], 0),
        ),
        (
            "a strange entry costs only itself",
            list(vec![bluetooth.clone(), good, 1.into()]),
            devices(vec![usb()], 2),
        ),
        (
            "unsigned result",
            dict([("MessageType", "Result".into()), ("Number", 3_u64.into())]),
            Ok(Reply::Result(ResultCode::ConnectionRefused)),
        ),
        (
            "an errno",
            dict([("MessageType", "Result".into()), ("Number", 22.into())]),
            Ok(Reply::Result(ResultCode::Other(22))),
        ),
        (
            "unknown event",
            dict([("MessageType", "Warmed".into())]),
            Ok(Reply::Unknown {
                message_type: Some("Warmed".into()),
            }),
        ),
        (
            "nothing known",
            dict([("Answer", 42.into())]),
            Ok(Reply::Unknown { message_type: None }),
        ),
        (
            "a result without number",
            dict([("MessageType", "Result".into())]),
            Err(()),
        ),
        (
            "a strange attachment",
            {
                let mut event = bluetooth.as_dictionary().unwrap().clone();
                event.insert("MessageType".into(), "Attached".into());
                event.into()
            },
            Err(()),
        ),
        (
            "detached from nothing",
            dict([("MessageType", "Detached".into())]),
            Err(()),
        ),
        (
            "a list that is none",
            dict([("DeviceList", 1.into())]),
            Err(()),
        ),
        ("not a dictionary", "DeviceList".into(), Err(())),
    ] {
        assert_eq!(Reply::decode(&packet(&body)).map_err(drop), want, "{name}");
    }
}

#[test]
fn pair_records_do_not_show() {
    let request = Request::SavePairRecord {
        udid: UDID.into(),
        record: PairRecordData(b"PRIVATE".to_vec()),
        device: None,
    };
    let reply = Reply::PairRecord(PairRecordData(b"PRIVATE".to_vec()));
    let packet = only_packet(&request.encode(&Client::default(), 1));
    let shown = format!("{request:?} {reply:?} {packet:?}");
    let secret = format!("{:?}", b"PRIVATE");
    assert!(
        !shown.contains("PRIVATE") && !shown.contains(&secret) && !shown.contains("UFJJVkFURQ"),
        "{shown}"
    );
}
