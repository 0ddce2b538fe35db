//! Framing and messages of lockdownd: the facts of `docs/protocol/lockdown.md`, each as a row.

use plist::{Dictionary, Value};
use proptest::prelude::*;

use super::*;
use crate::codec;

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Dictionary(Dictionary::from_iter(pairs))
}

fn only_frame(bytes: &[u8]) -> Bytes {
    let mut decoder = FrameDecoder::new();
    decoder.push(bytes);
    let body = decoder.next_frame().unwrap().unwrap();
    assert!(decoder.into_rest().is_empty());
    body
}

fn on_wire(frame: &[u8]) -> Dictionary {
    let value = codec::decode(&only_frame(frame), codec::Limits::of_bytes(MAX_FRAME)).unwrap();
    value.into_dictionary().unwrap()
}

fn get_value() -> Request {
    Request::GetValue {
        domain: None,
        key: Some("DeviceName".into()),
    }
}

fn full_record() -> PairRecord {
    let secret = |text: &str| Some(Secret(text.as_bytes().to_vec()));
    PairRecord {
        host_id: "HOST".into(),
        system_buid: Some("BUID".into()),
        device_certificate: secret("DEVICE-CERT"),
        host_certificate: secret("HOST-CERT"),
        root_certificate: secret("ROOT-CERT"),
        host_private_key: secret("HOST-KEY"),
        root_private_key: secret("ROOT-KEY"),
        escrow_bag: secret("ESCROW"),
        wifi_mac_address: Some("aa:bb:cc:dd:ee:ff".into()),
        udid: Some("00008101-000A1B2C3D4E5F60".into()),
    }
}

fn pair_call() -> PairCall {
    PairCall {
        record: full_record(),
        extended_errors: true,
        host_name: Some("Mac of somebody".into()),
        protocol_version: Some("2".into()),
    }
}

// Frames

#[test]
fn a_frame_is_a_big_endian_length_and_a_body() {
    assert_eq!(encode_frame(b"abc"), b"\0\0\0\x03abc");
    assert_eq!(only_frame(b"\0\0\0\x03abc").as_ref(), b"abc");
    assert_eq!(only_frame(b"\0\0\0\0").as_ref(), b"");
}

#[test]
fn a_claimed_length_is_bounded_and_allocates_nothing() {
    let mut decoder = FrameDecoder::with_limit(1000);
    decoder.push(&1000_u32.to_be_bytes());
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.intake.capacity() < 100);

    for length in [1001, u32::MAX] {
        let mut decoder = FrameDecoder::with_limit(1000);
        let want = Err(FrameTooLong {
            length,
            limit: 1000,
        });
        decoder.push(&length.to_be_bytes());
        assert_eq!(decoder.next_frame(), want);
        decoder.push(&[0; 4096]);
        assert_eq!(decoder.next_frame(), want, "asked again");
        assert_eq!(decoder.intake.capacity(), 0, "what follows is kept");
    }
}

#[test]
fn bytes_after_start_session_are_tlss() {
    let start = Request::StartSession {
        host_id: "H".into(),
        system_buid: None,
    };
    let reply = Reply::Session {
        id: "S".into(),
        tls: true,
    };
    let mut decoder = FrameDecoder::new();
    decoder.push(&[reply.encode(&start), vec![0x16, 3, 1]].concat());
    let body = decoder.next_frame().unwrap().unwrap();
    assert_eq!(Reply::decode(&start, &body), Ok(reply));
    assert_eq!(decoder.into_rest().as_ref(), [0x16, 3, 1]);
}

// Messages

#[test]
fn requests_on_the_wire() {
    let certificates = || {
        let data = |text: &str| Value::Data(text.as_bytes().to_vec());
        dict([
            ("DeviceCertificate", data("DEVICE-CERT")),
            ("HostCertificate", data("HOST-CERT")),
            ("HostID", "HOST".into()),
            ("RootCertificate", data("ROOT-CERT")),
            ("SystemBUID", "BUID".into()),
            ("UDID", "00008101-000A1B2C3D4E5F60".into()),
            ("WiFiMACAddress", "aa:bb:cc:dd:ee:ff".into()),
        ])
    };
    let domain = Some("com.apple.mobile.backup".to_owned());
    for (request, want) in [
        (Request::QueryType, dict([("Request", "QueryType".into())])),
        (
            Request::GetValue {
                domain: None,
                key: None,
            },
            dict([("Request", "GetValue".into())]),
        ),
        (
            Request::GetValue {
                domain: domain.clone(),
                key: Some("WillEncrypt".into()),
            },
            dict([
                ("Request", "GetValue".into()),
                ("Domain", "com.apple.mobile.backup".into()),
                ("Key", "WillEncrypt".into()),
            ]),
        ),
        (
            Request::StartSession {
                host_id: "H".into(),
                system_buid: Some("B".into()),
            },
            dict([
                ("Request", "StartSession".into()),
                ("HostID", "H".into()),
                ("SystemBUID", "B".into()),
            ]),
        ),
        (
            Request::StartService {
                service: "com.apple.mobilebackup2".into(),
                escrow_bag: Some(Secret(vec![1, 2])),
            },
            dict([
                ("Request", "StartService".into()),
                ("Service", "com.apple.mobilebackup2".into()),
                ("EscrowBag", Value::Data(vec![1, 2])),
            ]),
        ),
        (
            // The private keys and the escrow bag stay at home.
            Request::Pair(pair_call()),
            dict([
                ("Request", "Pair".into()),
                ("PairRecord", certificates()),
                ("ProtocolVersion", "2".into()),
                ("HostName", "Mac of somebody".into()),
                (
                    "PairingOptions",
                    dict([("ExtendedPairingErrors", true.into())]),
                ),
            ]),
        ),
    ] {
        let sent = on_wire(&request.encode(Some("label")));
        let mut want = want.into_dictionary().unwrap();
        want.insert("Label".into(), "label".into());
        assert_eq!(sent, want);
    }
    assert_eq!(on_wire(&Request::Goodbye.encode(None)).get("Label"), None);
}

#[test]
fn requests_that_are_refused() {
    for (name, body) in [
        ("no dictionary", Value::from("QueryType")),
        ("no request", dict([("Label", "x".into())])),
        ("a request that is a number", dict([("Request", 1.into())])),
        (
            "a key that is a number",
            dict([("Request", "GetValue".into()), ("Key", 1.into())]),
        ),
        (
            "a value of nothing",
            dict([("Request", "SetValue".into()), ("Key", "k".into())]),
        ),
        ("pairing without record", dict([("Request", "Pair".into())])),
        (
            "a record without host",
            dict([
                ("Request", "Pair".into()),
                ("PairRecord", dict([("SystemBUID", "B".into())])),
            ]),
        ),
        (
            "a session of nobody",
            dict([("Request", "StartSession".into())]),
        ),
        (
            "stop of no session",
            dict([("Request", "StopSession".into())]),
        ),
        ("no service", dict([("Request", "StartService".into())])),
        (
            "an escrow bag of text",
            dict([
                ("Request", "StartService".into()),
                ("Service", "s".into()),
                ("EscrowBag", "x".into()),
            ]),
        ),
    ] {
        for bytes in [codec::to_xml(&body), codec::to_binary(&body)] {
            assert!(Request::decode(&bytes).is_err(), "{name}");
        }
    }
    assert!(Request::decode(b"").is_err(), "an empty frame");
}

#[test]
fn replies_as_devices_send_them() {
    let service = Request::StartService {
        service: "s".into(),
        escrow_bag: None,
    };
    let session = Request::StartSession {
        host_id: "H".into(),
        system_buid: None,
    };
    let record = PairRecord {
        host_id: "H".into(),
        ..PairRecord::default()
    };
    let call = PairCall {
        record,
        extended_errors: true,
        host_name: None,
        protocol_version: None,
    };
    for (name, request, body, want) in [
        (
            "StartService without the TLS key",
            &service,
            dict([("Port", 49152.into()), ("Service", "s".into())]),
            Ok(Reply::Service {
                port: 49152,
                tls: false,
            }),
        ),
        (
            "a flag as a number",
            &service,
            dict([("Port", 49152.into()), ("EnableServiceSSL", 1.into())]),
            Ok(Reply::Service {
                port: 49152,
                tls: true,
            }),
        ),
        (
            "a flag as the other number",
            &service,
            dict([("Port", 49152.into()), ("EnableServiceSSL", 0.into())]),
            Ok(Reply::Service {
                port: 49152,
                tls: false,
            }),
        ),
        (
            "a flag that is neither",
            &service,
            dict([("Port", 49152.into()), ("EnableServiceSSL", 2.into())]),
            Err(()),
        ),
        (
            "a port of 17 bits",
            &service,
            dict([("Port", 65536.into())]),
            Err(()),
        ),
        ("a port that is missing", &service, dict([]), Err(())),
        (
            "iOS 4 says Success",
            &session,
            dict([
                ("Result", "Success".into()),
                ("SessionID", "S".into()),
                ("EnableSessionSSL", true.into()),
            ]),
            Ok(Reply::Session {
                id: "S".into(),
                tls: true,
            }),
        ),
        (
            "iOS 4 says Failure",
            &session,
            dict([("Result", "Failure".into()), ("SessionID", "S".into())]),
            Ok(Reply::Refused(LockdownError::Other("Failure".into()))),
        ),
        (
            "a refusal",
            &session,
            dict([
                ("Request", "StartSession".into()),
                ("Error", "InvalidHostID".into()),
            ]),
            Ok(Reply::Refused(LockdownError::InvalidHostID)),
        ),
        (
            "a refusal that carries a value",
            &get_value(),
            dict([("Error", "GetProhibited".into()), ("Value", 1.into())]),
            Ok(Reply::Refused(LockdownError::GetProhibited)),
        ),
        (
            "a word from the future",
            &get_value(),
            dict([("Error", "TooTired".into())]),
            Ok(Reply::Refused(LockdownError::Other("TooTired".into()))),
        ),
        (
            "a value",
            &get_value(),
            dict([("Value", "x".into())]),
            Ok(Reply::Value("x".into())),
        ),
        (
            "a success without its value",
            &get_value(),
            dict([("Key", "DeviceName".into())]),
            Err(()),
        ),
        (
            "restore mode",
            &Request::QueryType,
            dict([("Type", "com.apple.mobile.restored".into())]),
            Ok(Reply::Type("com.apple.mobile.restored".into())),
        ),
        (
            "a Watch gives no escrow bag",
            &Request::Pair(call),
            dict([]),
            Ok(Reply::Paired { escrow_bag: None }),
        ),
        ("not a dictionary", &get_value(), vec![].into(), Err(())),
    ] {
        for bytes in [codec::to_xml(&body), codec::to_binary(&body)] {
            assert_eq!(
                Reply::decode(request, &bytes).map_err(drop),
                want.clone(),
                "{name}"
            );
        }
    }
}

#[test]
fn replies_repeat_what_was_asked() {
    let reply = on_wire(&Reply::Refused(LockdownError::MissingValue).encode(&get_value()));
    let want = dict([
        ("Request", "GetValue".into()),
        ("Key", "DeviceName".into()),
        ("Error", "MissingValue".into()),
    ]);
    assert_eq!(Value::from(reply), want);
    let service = Request::StartService {
        service: "s".into(),
        escrow_bag: None,
    };
    let reply = on_wire(
        &Reply::Service {
            port: 5,
            tls: false,
        }
        .encode(&service),
    );
    assert_eq!(
        Value::from(reply),
        dict([
            ("Request", "StartService".into()),
            ("Service", "s".into()),
            ("Port", 5.into())
        ]),
        "the TLS flag is absent when it is false"
    );
}

#[test]
fn every_word_of_refusal() {
    for error in LockdownError::KNOWN {
        assert_eq!(&LockdownError::from(error.as_str()), error);
        assert_eq!(
            error.to_string(),
            format!("the device answered {}", error.as_str())
        );
    }
    assert_eq!(LockdownError::KNOWN.len(), 30);
    let hostile = LockdownError::from(format!("\u{1b}[2J{}", "x".repeat(10_000)).as_str());
    let shown = hostile.to_string();
    assert!(
        shown.starts_with("the device answered \\u{1b}[2Jx") && shown.len() < 100,
        "{shown}"
    );
}

#[test]
fn records_as_usbmuxd_keeps_them() {
    let record = full_record();
    assert_eq!(PairRecord::decode(&record.encode()), Ok(record.clone()));
    let binary = codec::to_binary(&record.to_dictionary().into());
    assert_eq!(PairRecord::decode(&binary), Ok(record));
    assert!(PairRecord::decode(&codec::to_xml(&dict([("UDID", "x".into())]))).is_err());
    assert!(PairRecord::decode(&codec::to_xml(&"x".into())).is_err());
    assert!(PairRecord::decode(&vec![b' '; PairRecord::MAX + 1]).is_err());
}

#[test]
fn secrets_do_not_show() {
    let shown = [
        format!("{:?}", full_record()),
        format!("{:?}", Request::Pair(pair_call())),
        format!(
            "{:?}",
            Request::StartService {
                service: "s".into(),
                escrow_bag: full_record().escrow_bag
            }
        ),
        format!(
            "{:?}",
            Reply::Paired {
                escrow_bag: full_record().escrow_bag
            }
        ),
    ]
    .concat();
    let bytes = |text: &str| {
        let list = format!("{:?}", text.as_bytes());
        list.trim_matches(['[', ']']).to_owned()
    };
    for secret in ["HOST-KEY", "ROOT-KEY", "ESCROW", "-CERT"] {
        assert!(
            !shown.contains(secret) && !shown.contains(&bytes(secret)),
            "{shown}"
        );
    }
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zA-Z.é😀 ]{0,12}")
}

fn secret() -> impl Strategy<Value = Option<Secret>> {
    proptest::option::of(any::<Vec<u8>>().prop_map(Secret))
}

fn call() -> impl Strategy<Value = PairCall> {
    let texts = (text(), text(), text(), text(), text());
    let certificates = (secret(), secret(), secret());
    ("[A-F0-9-]{0,36}", texts, certificates, any::<bool>()).prop_map(
        |(host_id, texts, certificates, extended_errors)| {
            let (system_buid, wifi_mac_address, udid, host_name, protocol_version) = texts;
            let (device_certificate, host_certificate, root_certificate) = certificates;
            let record = PairRecord {
                host_id,
                system_buid,
                device_certificate,
                host_certificate,
                root_certificate,
                wifi_mac_address,
                udid,
                ..PairRecord::default()
            };
            PairCall {
                record,
                extended_errors,
                host_name,
                protocol_version,
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::QueryType),
        (text(), text()).prop_map(|(domain, key)| Request::GetValue { domain, key }),
        (text(), text(), any::<i64>()).prop_map(|(domain, key, value)| Request::SetValue {
            domain,
            key,
            value: value.into(),
        }),
        (text(), text()).prop_map(|(domain, key)| Request::RemoveValue { domain, key }),
        call().prop_map(Request::Pair),
        call().prop_map(Request::ValidatePair),
        call().prop_map(Request::Unpair),
        ("[A-F0-9-]{0,36}", text()).prop_map(|(host_id, system_buid)| Request::StartSession {
            host_id,
            system_buid
        }),
        "[A-F0-9-]{0,36}".prop_map(|session_id| Request::StopSession { session_id }),
        ("[a-z.]{0,36}", secret()).prop_map(|(service, escrow_bag)| Request::StartService {
            service,
            escrow_bag
        }),
        Just(Request::Goodbye),
        "x[a-z]{0,9}".prop_map(|request| Request::Unknown { request }),
    ]
}

/// A reply that fits the request, or a refusal.
fn reply(request: &Request) -> BoxedStrategy<Reply> {
    let success = match request {
        Request::QueryType => "[a-z.]{0,20}".prop_map(Reply::Type).boxed(),
        Request::GetValue { .. } => any::<u64>()
            .prop_map(|value| Reply::Value(value.into()))
            .boxed(),
        Request::StartSession { .. } => ("[A-F0-9-]{0,36}", any::<bool>())
            .prop_map(|(id, tls)| Reply::Session { id, tls })
            .boxed(),
        Request::StartService { .. } => (any::<u16>(), any::<bool>())
            .prop_map(|(port, tls)| Reply::Service { port, tls })
            .boxed(),
        Request::Pair(_) => secret()
            .prop_map(|escrow_bag| Reply::Paired { escrow_bag })
            .boxed(),
        Request::SetValue { .. }
        | Request::RemoveValue { .. }
        | Request::ValidatePair(_)
        | Request::Unpair(_)
        | Request::StopSession { .. }
        | Request::Goodbye
        | Request::Unknown { .. } => Just(Reply::Done).boxed(),
    };
    let refusal = prop_oneof![
        proptest::sample::select(LockdownError::KNOWN),
        "x[a-z]{0,9}".prop_map(LockdownError::Other),
    ];
    prop_oneof![success, refusal.prop_map(Reply::Refused)].boxed()
}

proptest! {
    #[test]
    fn a_request_comes_back(request in request(), label in text()) {
        let body = only_frame(&request.encode(label.as_deref()));
        prop_assert_eq!(Request::decode(&body), Ok((request, label)));
    }

    #[test]
    fn a_reply_comes_back(
        (request, reply) in request().prop_flat_map(|request| (Just(request.clone()), reply(&request))),
    ) {
        let body = only_frame(&reply.encode(&request));
        prop_assert_eq!(Reply::decode(&request, &body), Ok(reply));
    }

    #[test]
    fn any_chunking_gives_the_same_frames(
        bodies in proptest::collection::vec(any::<Vec<u8>>(), 0..6),
        rest in proptest::collection::vec(any::<u8>(), 0..3),
        cuts in proptest::collection::vec(1..40_usize, 1..200),
    ) {
        let mut stream = bodies.iter().map(|body| encode_frame(body)).collect::<Vec<_>>().concat();
        stream.extend(&rest);

        let mut decoder = FrameDecoder::new();
        let mut received = Vec::new();
        let mut stream = stream.as_slice();
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (chunk, later) = stream.split_at(cut.min(stream.len()));
            stream = later;
            decoder.push(chunk);
            while let Some(body) = decoder.next_frame().unwrap() {
                received.push(body.to_vec());
            }
        }
        prop_assert_eq!(received, bodies);
        prop_assert_eq!(decoder.into_rest(), rest);
    }

    #[test]
    fn random_bodies_end_well(body in any::<Vec<u8>>(), request in request()) {
        let _ = (Request::decode(&body), Reply::decode(&request, &body), PairRecord::decode(&body));
    }
}
