use proptest::prelude::*;

use super::*;
use crate::devicelink::{StatusCode, StatusResponse};

fn array(elements: &[Value]) -> Value {
    Value::Array(elements.to_vec())
}

fn dictionary(pairs: &[(&str, &str)]) -> Dictionary {
    let pairs = pairs.iter();
    pairs
        .map(|(key, text)| ((*key).to_owned(), Value::from(*text)))
        .collect()
}

/// Every message of the device once.
fn every_message() -> Vec<DeviceMessage> {
    let (progress, path) = (Some(12.5), "U/Snapshot/aa".to_owned());
    vec![
        DeviceMessage::VersionExchange {
            major: 400,
            minor: 0,
        },
        DeviceMessage::DeviceReady,
        DeviceMessage::DownloadFiles {
            paths: vec!["U/Status.plist".to_owned()],
            progress,
            size: Some(189),
        },
        DeviceMessage::UploadFiles {
            progress,
            total: Some(1 << 40),
        },
        DeviceMessage::GetFreeDiskSpace,
        DeviceMessage::PurgeDiskSpace {
            bytes: 26_418_026_591,
            urgency: Some(4),
        },
        DeviceMessage::ContentsOfDirectory { path: path.clone() },
        DeviceMessage::CreateDirectory { path: path.clone() },
        DeviceMessage::MoveItems {
            items: vec![
                ("U/Snapshot/b".to_owned(), "U/b".to_owned()),
                ("U/Snapshot/a".to_owned(), "U/a".to_owned()),
            ],
            progress,
        },
        DeviceMessage::RemoveItems {
            paths: vec![path.clone(), String::new()],
            progress,
        },
        DeviceMessage::CopyItem {
            from: "U/a".to_owned(),
            to: "U/b".to_owned(),
        },
        DeviceMessage::RemoveDirectory { path },
        DeviceMessage::ProcessMessage(dictionary(&[("MessageName", "Response")])),
        DeviceMessage::Disconnect {
            reason: "bye".to_owned(),
        },
        DeviceMessage::Ping {
            text: String::new(),
        },
        DeviceMessage::Unknown {
            name: "DLMessageNew".to_owned(),
        },
    ]
}

#[test]
fn every_message_round_trips() {
    for message in every_message() {
        let bytes = message.encode();
        assert_eq!(DeviceMessage::decode(&bytes[4..]).unwrap(), message);
    }
}

#[test]
fn all_but_five_messages_are_answered() {
    let silent: Vec<DeviceMessage> = every_message()
        .into_iter()
        .filter(|message| !message.expects_status())
        .collect();
    assert_eq!(silent.len(), 5, "{silent:?}");
}

#[test]
fn a_purge_request_as_it_was_seen() {
    // libimobiledevice#1071, iOS 15.6.
    let seen = array(&[
        "DLMessagePurgeDiskSpace".into(),
        26_418_026_591u64.into(),
        4u64.into(),
    ]);
    let message = DeviceMessage::PurgeDiskSpace {
        bytes: 26_418_026_591,
        urgency: Some(4),
    };
    assert_eq!(DeviceMessage::from_value(seen.clone()).unwrap(), message);
    assert_eq!(message.to_value(), seen);
}

#[test]
fn both_spellings_of_moves_and_removals() {
    let pairs = Value::Dictionary(dictionary(&[("U/a", "U/b")]));
    let paths = array(&["U/a".into()]);
    for name in ["DLMessageMoveItems", "DLMessageMoveFiles"] {
        let read = DeviceMessage::from_value(array(&[name.into(), pairs.clone()])).unwrap();
        let items = vec![("U/a".to_owned(), "U/b".to_owned())];
        assert_eq!(
            read,
            DeviceMessage::MoveItems {
                items,
                progress: None
            }
        );
    }
    for name in ["DLMessageRemoveItems", "DLMessageRemoveFiles"] {
        let read = DeviceMessage::from_value(array(&[name.into(), paths.clone()])).unwrap();
        let paths = vec!["U/a".to_owned()];
        assert_eq!(
            read,
            DeviceMessage::RemoveItems {
                paths,
                progress: None
            }
        );
    }
}

#[test]
fn an_unknown_message_keeps_its_name_and_can_be_answered() {
    let long = format!("DLMessage{}", "x".repeat(10_000));
    let read = DeviceMessage::from_value(array(&[long.as_str().into()])).unwrap();
    let DeviceMessage::Unknown { name } = &read else {
        panic!("{read:?}");
    };
    assert!(long.starts_with(name.as_str()) && name.len() == MAX_WORDS);
    assert!(read.expects_status());
    assert_eq!(StatusCode::Unimplemented.number(), -2);
}

#[test]
fn what_is_no_message() {
    for value in [array(&[]), array(&[1u64.into()]), "DLMessagePing".into()] {
        assert_eq!(
            DeviceMessage::from_value(value.clone()),
            Err(MessageError::NotAMessage)
        );
        assert_eq!(
            HostMessage::from_value(value),
            Err(MessageError::NotAMessage)
        );
    }
}

#[test]
fn what_an_answer_depends_on_must_be_there() {
    let paths = || array(&["U/a".into(), 7u64.into()]);
    let mixed: Dictionary = [("U/a".to_owned(), Value::from(7u64))]
        .into_iter()
        .collect();
    let cases: &[(&str, Vec<Value>)] = &[
        ("DLMessageDownloadFiles", vec![]),
        ("DLMessageDownloadFiles", vec![paths()]),
        ("DLMessagePurgeDiskSpace", vec!["much".into()]),
        ("DLMessagePurgeDiskSpace", vec![(-1i64).into()]),
        ("DLMessagePurgeDiskSpace", vec![Value::Real(-1.0)]),
        ("DLMessagePurgeDiskSpace", vec![Value::Real(f64::NAN)]),
        ("DLContentsOfDirectory", vec![1u64.into()]),
        ("DLMessageCreateDirectory", vec![]),
        ("DLMessageMoveItems", vec![paths()]),
        ("DLMessageMoveItems", vec![Value::Dictionary(mixed)]),
        ("DLMessageRemoveItems", vec![paths()]),
        ("DLMessageCopyItem", vec!["U/a".into()]),
        ("DLMessageProcessMessage", vec!["Response".into()]),
        ("DLMessageVersionExchange", vec![]),
    ];
    for (name, rest) in cases {
        let elements: Vec<Value> = std::iter::once(Value::from(*name))
            .chain(rest.clone())
            .collect();
        let read = DeviceMessage::from_value(Value::Array(elements));
        assert!(
            matches!(read, Err(MessageError::Malformed { .. })),
            "{name} {rest:?}: {read:?}"
        );
    }
}

#[test]
fn progress_is_a_percentage_or_nothing() {
    let table = [
        (Value::Real(42.5), Some(42.5)),
        (42u64.into(), Some(42.0)),
        (Value::Real(1e300), Some(100.0)),
        (Value::Real(-1.0), None),
        (Value::Real(f64::NAN), None),
        (Value::Real(f64::INFINITY), None),
        ("42".into(), None),
    ];
    for (value, expected) in table {
        let message = array(&[
            "DLMessageUploadFiles".into(),
            Value::Dictionary(Dictionary::new()),
            value.clone(),
            0u64.into(),
        ]);
        let read = DeviceMessage::from_value(message).unwrap();
        let total = Some(0);
        assert_eq!(
            read,
            DeviceMessage::UploadFiles {
                progress: expected,
                total
            },
            "{value:?}"
        );
    }
}

#[test]
fn host_messages_round_trip() {
    let messages = [
        HostMessage::VersionExchange {
            version: Some(VERSION),
        },
        HostMessage::VersionExchange { version: None },
        HostMessage::Status(StatusResponse::free_space(1 << 50)),
        HostMessage::ProcessMessage(dictionary(&[("MessageName", "Hello")])),
        HostMessage::Disconnect {
            reason: String::new(),
        },
        HostMessage::Unknown {
            name: "DLMessageNew".to_owned(),
        },
        HostMessage::BadStatus { elements: 3 },
    ];
    for message in messages {
        let bytes = message.encode();
        assert_eq!(HostMessage::decode(&bytes[4..]).unwrap(), message);
    }
}

#[test]
fn a_host_that_does_not_agree_to_the_version_is_refused() {
    let no = array(&[
        "DLMessageVersionExchange".into(),
        "DLVersionsBad".into(),
        400u64.into(),
    ]);
    assert!(matches!(
        HostMessage::from_value(no),
        Err(MessageError::Malformed { .. })
    ));
}

#[test]
fn a_password_does_not_show_in_debug_output() {
    let body = dictionary(&[
        ("MessageName", "ChangePassword"),
        ("NewPassword", "hunter2"),
    ]);
    let shown = format!("{:?}", HostMessage::ProcessMessage(body));
    assert!(
        shown.contains("NewPassword") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn the_longest_honest_message_passes() {
    let path = |n: usize| format!("00008101-000A1234567890BC/aa/{n:040x}");
    let paths: Vec<String> = (0..100_000).map(path).collect();
    let message = DeviceMessage::RemoveItems {
        paths,
        progress: None,
    };
    let bytes = message.encode();
    assert!(bytes.len() < frame::MAX_MESSAGE, "{}", bytes.len());
    let DeviceMessage::RemoveItems { paths, .. } = DeviceMessage::decode(&bytes[4..]).unwrap()
    else {
        panic!("another message");
    };
    assert_eq!(paths.len(), 100_000);
}

fn any_value() -> impl Strategy<Value = Value> {
    let names: Vec<Value> = every_message()
        .iter()
        .filter_map(|message| message.to_value().as_array()?.first().cloned())
        .collect();
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::Real),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,12}".prop_map(Value::String),
        prop::sample::select(names),
        Just(Value::from("DLMessageStatusResponse")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((".{0,6}", inner), 0..5)
                .prop_map(|pairs| Value::Dictionary(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_array_makes_a_decoder_panic(value in any_value()) {
        let device = DeviceMessage::from_value(value.clone());
        if let Ok(message) = device {
            let again = DeviceMessage::from_value(message.to_value());
            prop_assert!(again.is_ok(), "{message:?}");
        }
        let _ = HostMessage::from_value(value);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DeviceMessage::decode(&bytes);
        let _ = HostMessage::decode(&bytes);
        let _ = DeviceMessage::decode(&[b"bplist00".as_slice(), &bytes].concat());
    }
}
