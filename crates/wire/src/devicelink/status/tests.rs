use proptest::prelude::*;

use super::*;
use crate::devicelink::HostMessage;

fn body(answer: &StatusResponse) -> Vec<u8> {
    answer.clone().encode().split_off(4)
}

fn decoded(value: Value) -> HostMessage {
    HostMessage::from_value(value).unwrap()
}

#[test]
fn an_answer_has_exactly_four_elements() {
    let items = [ItemError::new("p", StatusCode::NoSpace)];
    let answers = [
        StatusResponse::ok(),
        StatusResponse::free_space(u64::MAX),
        StatusResponse::ok_with(Listing::default().to_value()),
        StatusResponse::error(StatusCode::Unimplemented),
        StatusResponse::error_with(StatusCode::Generic, ""),
        StatusResponse::of_items(&items),
        StatusResponse::of_items(&[]),
    ];
    for answer in answers {
        let value = frame::decode_body(&body(&answer)).unwrap();
        let elements = value.as_array().unwrap();
        assert_eq!(elements.len(), 4, "{answer:?}");
        assert_eq!(elements[0].as_string(), Some("DLMessageStatusResponse"));
        assert_ne!(elements[2].as_string(), Some(""));
        assert_eq!(
            HostMessage::decode(&body(&answer)).unwrap(),
            HostMessage::Status(answer)
        );
    }
}

#[test]
fn an_empty_text_has_its_placeholder() {
    let value = StatusResponse::ok().to_value();
    let elements = value.as_array().unwrap();
    assert_eq!(elements[1].as_signed_integer(), Some(0));
    assert_eq!(elements[2].as_string(), Some("___EmptyParameterString___"));
    assert_eq!(elements[3], Value::Dictionary(Dictionary::new()));
}

#[test]
fn errors_of_items_are_keyed_by_the_devices_path() {
    let errors = [
        ItemError::new("/.b/6/Library/a", StatusCode::NoSpace),
        ItemError::new("U/Manifest.db", StatusCode::NotFound),
    ];
    let answer = StatusResponse::of_items(&errors);
    assert_eq!(answer.code.number(), -13);
    assert_eq!(answer.text, "Multi status");
    let item = answer
        .value
        .as_dictionary()
        .unwrap()
        .get("U/Manifest.db")
        .unwrap();
    let item = item.as_dictionary().unwrap();
    assert_eq!(
        item.get("DLFileErrorCode").unwrap().as_signed_integer(),
        Some(-6)
    );
    assert!(item.get("DLFileErrorString").unwrap().as_string().is_some());
    let HostMessage::Status(read) = HostMessage::decode(&body(&answer)).unwrap() else {
        panic!("no status");
    };
    assert_eq!(read.item_errors(), errors);
    assert_eq!(StatusResponse::ok().item_errors(), []);
}

#[test]
fn negative_codes_are_read_in_every_form_that_hosts_send() {
    let forms = [
        ("signed", Value::from(-13i64)),
        ("64 bits unsigned", Value::from((-13i64).cast_unsigned())),
        (
            "32 bits unsigned",
            Value::from(u64::from((-13i32).cast_unsigned())),
        ),
    ];
    for (name, code) in forms {
        let empty = Value::Dictionary(Dictionary::new());
        let array = vec![NAME.into(), code, EMPTY.into(), empty];
        let bytes = frame::encode(&Value::Array(array)).split_off(4);
        let HostMessage::Status(status) = HostMessage::decode(&bytes).unwrap() else {
            panic!("{name} is no status");
        };
        assert_eq!(status.code, StatusCode::Multi, "{name}");
        assert_eq!(status.text, "", "{name}");
    }
}

#[test]
fn our_negative_codes_are_signed_on_the_wire() {
    let value = frame::decode_body(&body(&StatusResponse::error(StatusCode::Io))).unwrap();
    let code = &value.as_array().unwrap()[1];
    assert_eq!(code.as_signed_integer(), Some(-11));
}

#[test]
fn an_answer_of_another_length_is_a_bad_one() {
    let all = [
        NAME.into(),
        Value::from(0i64),
        EMPTY.into(),
        Value::from(1u64),
        Value::from(2u64),
    ];
    for elements in [1, 2, 3, 5] {
        let array = Value::Array(all[..elements].to_vec());
        assert_eq!(decoded(array), HostMessage::BadStatus { elements });
    }
    let wrong = Value::Array(vec![NAME.into(), "0".into(), EMPTY.into(), EMPTY.into()]);
    assert_eq!(decoded(wrong), HostMessage::BadStatus { elements: 4 });
}

#[test]
fn listings_round_trip() {
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let info = |kind, size| FileInfo {
        kind,
        size,
        modified: Some(modified.into()),
    };
    let listing = Listing(vec![
        ("Snapshot".to_owned(), info(FileKind::Directory, 96)),
        ("Manifest.db".to_owned(), info(FileKind::Regular, 5 << 32)),
        ("fifo".to_owned(), info(FileKind::Unknown, 0)),
    ]);
    let bytes = body(&StatusResponse::ok_with(listing.to_value()));
    let HostMessage::Status(read) = HostMessage::decode(&bytes).unwrap() else {
        panic!("no status");
    };
    assert_eq!(Listing::from_value(&read.value), Some(listing));
    assert_eq!(Listing::from_value(&Value::from(1u64)), None);
}

proptest! {
    #[test]
    fn every_code_round_trips(number in any::<i32>(), text in ".{0,40}") {
        let code = StatusCode::from_number(number);
        prop_assert_eq!(code.number(), number);
        let answer = StatusResponse::error_with(code, &text);
        let read = HostMessage::decode(&body(&answer)).unwrap();
        prop_assert_eq!(read, HostMessage::Status(answer));
    }
}
