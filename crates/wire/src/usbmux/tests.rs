//! Framing and messages of usbmuxd: the facts of `docs/protocol/usbmuxd.md`, each as a row.

use plist::{Dictionary, Value};
use proptest::prelude::*;

use super::message::{port_from_wire, port_to_wire};
use super::*;
use crate::codec;

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
        assert_eq!(decoder.buffer.capacity(), 0, "{name}: what follows is kept");
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
    assert!(decoder.buffer.capacity() < 1024);
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
fn attachments_as_other_daemons_describe_them() {
    let entry = |id: Option<Value>, properties: Vec<(&str, Value)>| {
        let properties = Dictionary::from_iter(properties);
        let mut entry = Dictionary::from_iter([("Properties", Value::from(properties))]);
        if let Some(id) = id {
            entry.insert("DeviceID".into(), id);
        }
        entry
    };
    let on_usb = |location_id| {
        let link = Link::Usb {
            location_id,
            product_id: None,
            speed: None,
        };
        Some(Attachment { link, ..usb() })
    };
    let serial = |text: &str| ("SerialNumber", Value::from(text));
    let usb_type = ("ConnectionType", Value::from("USB"));
    let least = vec![serial(UDID), usb_type.clone()];
    for (name, entry, want) in [
        ("least", entry(Some(7.into()), least.clone()), on_usb(None)),
        (
            "UDID without hyphen",
            {
                entry(
                    Some(7.into()),
                    vec![serial("00008101000A1B2C3D4E5F60"), usb_type.clone()],
                )
            },
            on_usb(None),
        ),
        (
            "number only among the properties",
            { entry(None, [least.clone(), vec![("DeviceID", 7.into())]].concat()) },
            on_usb(None),
        ),
        (
            "location as a signed number",
            {
                entry(
                    Some(7.into()),
                    [least.clone(), vec![("LocationID", (-2).into())]].concat(),
                )
            },
            on_usb(Some(0xffff_fffe)),
        ),
        (
            "location as an unsigned number",
            {
                entry(
                    Some(7.into()),
                    [least.clone(), vec![("LocationID", 0xffff_fffe_u32.into())]].concat(),
                )
            },
            on_usb(Some(0xffff_fffe)),
        ),
        ("no number", entry(None, least.clone()), None),
        (
            "number of 33 bits",
            entry(Some((1_u64 << 32).into()), least.clone()),
            None,
        ),
        (
            "no UDID",
            entry(Some(7.into()), vec![usb_type.clone()]),
            None,
        ),
        (
            "a path for a UDID",
            entry(Some(7.into()), vec![serial("../../etc"), usb_type]),
            None,
        ),
        (
            "no kind of connection",
            entry(Some(7.into()), vec![serial(UDID)]),
            None,
        ),
        (
            "no properties",
            Dictionary::from_iter([("DeviceID", Value::from(7))]),
            None,
        ),
    ] {
        assert_eq!(Attachment::decode(&entry).ok(), want, "{name}");
    }
}

#[test]
fn attachments_on_the_wire() {
    let link = Link::Network {
        service_name: "aa:bb:cc:dd:ee:ff@fe80::1._apple-mobdev2._tcp.local.".into(),
        interface: Some(3),
        address: NetworkAddress(vec![16, 2, 0, 0]),
    };
    let network = Attachment { link, ..usb() };
    let properties = |pairs: Vec<(&str, Value)>| {
        let both = [("DeviceID", 7.into()), ("SerialNumber", UDID.into())];
        Dictionary::from_iter(both.into_iter().chain(pairs))
    };
    for (attachment, want) in [
        (
            usb(),
            properties(vec![
                ("ConnectionType", "USB".into()),
                ("ConnectionSpeed", 480_000_000.into()),
                ("LocationID", 0x1410_0000.into()),
                ("ProductID", 0x12a8.into()),
            ]),
        ),
        (
            network,
            properties(vec![
                ("ConnectionType", "Network".into()),
                (
                    "EscapedFullServiceName",
                    "aa:bb:cc:dd:ee:ff@fe80::1._apple-mobdev2._tcp.local.".into(),
                ),
                ("InterfaceIndex", 3.into()),
                ("NetworkAddress", Value::Data(vec![16, 2, 0, 0])),
            ]),
        ),
    ] {
        let want = dict([
            ("MessageType", "Attached".into()),
            ("DeviceID", 7.into()),
            ("Properties", want.into()),
        ]);
        assert_eq!(Value::from(attachment.encode()), want);
    }
}

#[test]
fn five_hundred_phones_on_cable_and_wifi_fit() {
    let attachments: Vec<_> = (0..1000)
        .map(|id| Attachment {
            device_id: MuxDeviceId(id),
            ..usb()
        })
        .collect();
    let reply = Reply::Devices {
        attachments,
        unreadable: 0,
    };
    let bytes = reply.encode(1);
    assert!(bytes.len() < MAX_PACKET / 4, "{} bytes", bytes.len());
    assert_eq!(Reply::decode(&only_packet(&bytes)), Ok(reply));
}

#[test]
fn network_addresses_of_every_system() {
    let v6 = [
        0, 0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0,
    ];
    let v4 = [0xf2, 0x7e, 192, 168, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    let with = |family: [u8; 2], rest: &[u8]| [&family, rest].concat();
    let phone4 = "192.168.1.2:62078".parse().ok();
    let phone6 = "[fe80::1%3]:0".parse().ok();
    for (name, bytes, want) in [
        ("Linux, v4", with([2, 0], &v4), phone4),
        ("macOS, v4", with([16, 2], &v4), phone4),
        ("Linux, v6", with([10, 0], &v6), phone6),
        ("macOS, v6", with([28, 30], &v6), phone6),
        ("Windows, v6", with([23, 0], &v6), phone6),
        (
            "netmuxd's 128 bytes",
            [with([10, 0], &v6), vec![0; 100]].concat(),
            phone6,
        ),
        ("another family", with([1, 0], b"/path"), None),
        ("cut", with([10, 0], &v6[..25]), None),
        ("family alone", vec![2, 0], None),
        ("nothing", vec![], None),
    ] {
        assert_eq!(NetworkAddress(bytes).socket_addr(), want, "{name}");
    }
    assert_eq!(
        NetworkAddress::bsd("192.168.1.2:62078".parse().unwrap()).0,
        with([16, 2], &v4)
    );
    assert_eq!(
        NetworkAddress::linux("[fe80::1%3]:0".parse().unwrap()).0,
        with([10, 0], &v6)
    );
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

fn attachment() -> impl Strategy<Value = Attachment> {
    let usb = (
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        any::<Option<u64>>(),
    )
        .prop_map(|(location_id, product_id, speed)| Link::Usb {
            location_id,
            product_id,
            speed,
        });
    let network = (".{0,20}", any::<Option<u32>>(), any::<Vec<u8>>()).prop_map(
        |(name, interface, address)| {
            let service_name = name.chars().filter(|c| !c.is_control()).collect();
            Link::Network {
                service_name,
                interface,
                address: NetworkAddress(address),
            }
        },
    );
    (
        any::<u32>(),
        "[0-9a-fA-F]{8}-[0-9A-F]{16}|[0-9a-f]{40}",
        prop_oneof![usb, network],
    )
        .prop_map(|(id, udid, link)| Attachment {
            device_id: MuxDeviceId(id),
            udid,
            link,
        })
}

fn client() -> impl Strategy<Value = Client> {
    ("[a-z]{0,9}", "[0-9.]{0,9}", "[a-z.]{0,9}", any::<u32>()).prop_map(
        |(prog_name, version, bundle_id, lib_version)| Client {
            prog_name,
            version,
            bundle_id,
            lib_version,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let device = any::<u32>().prop_map(MuxDeviceId);
    let udid = "[0-9A-F-]{0,40}";
    prop_oneof![
        Just(Request::ListDevices),
        Just(Request::Listen),
        (device, any::<u16>()).prop_map(|(device, port)| Request::Connect { device, port }),
        Just(Request::ReadBuid),
        udid.prop_map(|udid| Request::ReadPairRecord { udid }),
        (udid, any::<Vec<u8>>(), any::<Option<u32>>()).prop_map(|(udid, record, device)| {
            Request::SavePairRecord {
                udid,
                record: PairRecordData(record),
                device: device.map(MuxDeviceId),
            }
        }),
        udid.prop_map(|udid| Request::DeletePairRecord { udid }),
        Just(Request::ListListeners),
        "x[a-z]{0,9}".prop_map(|message_type| Request::Unknown { message_type }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let device = any::<u32>().prop_map(MuxDeviceId);
    let listener = (client(), "[0-9]{0,5}", any::<i64>(), any::<bool>()).prop_map(
        |(client, id, connection_type, blacklisted)| Listener {
            client,
            id,
            connection_type,
            blacklisted,
        },
    );
    prop_oneof![
        any::<i64>().prop_map(|number| Reply::Result(ResultCode::from_number(number))),
        (0..9_i64).prop_map(|number| Reply::Result(ResultCode::from_number(number))),
        proptest::collection::vec(attachment(), 0..5).prop_map(|attachments| Reply::Devices {
            attachments,
            unreadable: 0
        }),
        "[0-9A-F-]{0,40}".prop_map(Reply::Buid),
        any::<Vec<u8>>().prop_map(|record| Reply::PairRecord(PairRecordData(record))),
        proptest::collection::vec(listener, 0..5).prop_map(Reply::Listeners),
        attachment().prop_map(|one| Reply::Event(Event::Attached(one))),
        device
            .clone()
            .prop_map(|device| Reply::Event(Event::Detached(device))),
        device.prop_map(|device| Reply::Event(Event::Paired(device))),
        proptest::option::of("x[a-z]{0,9}")
            .prop_map(|message_type| Reply::Unknown { message_type }),
    ]
}

proptest! {
    #[test]
    fn a_request_comes_back(request in request(), client in client(), tag in any::<u32>()) {
        let packet = only_packet(&request.encode(&client, tag));
        prop_assert_eq!(packet.tag, tag);
        prop_assert_eq!(Request::decode(&packet), Ok((request, client)));
    }

    #[test]
    fn a_reply_comes_back(reply in reply(), tag in any::<u32>()) {
        let packet = only_packet(&reply.encode(tag));
        prop_assert_eq!(packet.tag, tag);
        prop_assert_eq!(Reply::decode(&packet), Ok(reply));
    }

    #[test]
    fn any_chunking_gives_the_same_packets(
        bodies in proptest::collection::vec(any::<Vec<u8>>(), 0..6),
        rest in proptest::collection::vec(any::<u8>(), 0..15),
        cuts in proptest::collection::vec(1..40_usize, 1..200),
    ) {
        let sent: Vec<_> = (1..).zip(bodies).map(|(tag, body)| Packet::plist(tag, body)).collect();
        let mut stream = sent.iter().map(Packet::encode).collect::<Vec<_>>().concat();
        stream.extend(&rest);

        let mut decoder = Decoder::new();
        let mut received = Vec::new();
        let mut stream = stream.as_slice();
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (chunk, later) = stream.split_at(cut.min(stream.len()));
            stream = later;
            decoder.push(chunk);
            while let Some(packet) = decoder.next_packet().unwrap() {
                received.push(packet);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert_eq!(decoder.into_rest(), rest);
    }

    #[test]
    fn random_streams_end_well(stream in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        let mut decoder = Decoder::new();
        decoder.push(&stream);
        while let Ok(Some(packet)) = decoder.next_packet() {
            let _ = Request::decode(&packet);
        }
        let packet = Packet::plist(1, body);
        let _ = (Request::decode(&packet), Reply::decode(&packet));
    }
}
