//! Whatever is written is read; whatever comes ends well. The `plist` crate's readers are the second opinion.

use std::io::Cursor;
use std::time::{Duration, UNIX_EPOCH};

use plist::{Date, Value};
use proptest::prelude::*;

use super::*;

fn leaf() -> impl Strategy<Value = Value> {
    let seconds = -62_135_596_800_i64..=253_402_300_799;
    let date = seconds.prop_map(|unix| {
        let span = Duration::from_secs(unix.unsigned_abs());
        let time = if unix < 0 {
            UNIX_EPOCH - span
        } else {
            UNIX_EPOCH + span
        };
        Value::Date(Date::from(time))
    });
    // Only what XML has a form for; `what_xml_cannot_hold` has the rest.
    let text = proptest::collection::vec(any::<char>(), 0..20).prop_map(|chars| {
        let kept = |c: &char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        Value::String(chars.into_iter().filter(kept).collect())
    });
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::Data),
        date,
        text,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            proptest::collection::vec(("[a-zA-Z <&é😀]{0,6}", inner), 0..8)
                .prop_map(|pairs| Value::Dictionary(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in value()) {
        prop_assert_eq!(read(to_xml(&value)), Ok(value.clone()));
        prop_assert_eq!(read(to_binary(&value)), Ok(value));
    }

    #[test]
    fn others_read_what_is_written(value in value()) {
        let theirs = Value::from_reader(Cursor::new(to_xml(&value))).unwrap();
        prop_assert_eq!(theirs, value);
    }

    #[test]
    fn random_bytes_end_well(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read([b"bplist00".as_slice(), &bytes].concat());
    }

    /// Random objects under a trailer that is right, so that the objects are reached.
    #[test]
    fn random_objects_end_well(
        objects in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..12), 1..16),
    ) {
        let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
        let _ = read(bplist(&objects));
    }

    #[test]
    fn damaged_lists_end_well(
        value in value(),
        binary in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if binary { to_binary(&value) } else { to_xml(&value) };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // What is still a list can be written, shown and read again.
        if let Ok(value) = read(&bytes) {
            let _ = format!("{value:?}");
            prop_assert!(read(to_xml(&value)).is_ok());
            prop_assert!(read(to_binary(&value)).is_ok());
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = read(&bytes);
    }
}
