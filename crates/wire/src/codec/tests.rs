//! Hostile and honest property lists. The bytes of binary lists are put together by hand, so that reader and writer cannot
//! share a misreading; the `plist` crate's readers are the second opinion on what we write.

use std::io::Cursor;
use std::time::{Duration, UNIX_EPOCH};

use plist::{Date, Dictionary, Uid, Value};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits::of_bytes(1 << 20);

fn read(bytes: impl AsRef<[u8]>) -> Result<Value, DecodeError> {
    decode(bytes.as_ref(), LIMITS)
}

fn xml(body: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\">{body}</plist>")
}

/// A binary list of these objects, with widths of one byte and the first object as root.
fn bplist(objects: &[&[u8]]) -> Vec<u8> {
    let mut out = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(u8::try_from(out.len()).unwrap());
        out.extend_from_slice(object);
    }
    let table = out.len();
    out.extend(&offsets);
    trailer(&mut out, 1, 1, offsets.len() as u64, 0, table as u64);
    out
}

fn trailer(out: &mut Vec<u8>, offset_size: u8, ref_size: u8, count: u64, root: u64, table: u64) {
    out.extend([0, 0, 0, 0, 0, 0, offset_size, ref_size]);
    out.extend([count, root, table].map(u64::to_be_bytes).concat());
}

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Dictionary(Dictionary::from_iter(pairs))
}

fn date(unix: u64) -> Value {
    Value::Date((UNIX_EPOCH + Duration::from_secs(unix)).into())
}

#[test]
fn xml_that_is_accepted() {
    for (name, text, want) in [
        ("string", xml("<string>a b</string>"), Value::from("a b")),
        ("empty string", xml("<string/>"), "".into()),
        (
            "spaces are kept",
            xml("<string> a\n</string>"),
            " a\n".into(),
        ),
        (
            "entities",
            xml("<string>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;</string>"),
            "<&>\"'A😀".into(),
        ),
        (
            "CDATA and comment",
            xml("<string>a<!-- x --><![CDATA[<b>]]></string>"),
            "a<b>".into(),
        ),
        ("integers", xml("<integer> -5\n</integer>"), (-5).into()),
        (
            "greatest integer",
            xml("<integer>18446744073709551615</integer>"),
            u64::MAX.into(),
        ),
        (
            "least integer",
            xml("<integer>-9223372036854775808</integer>"),
            i64::MIN.into(),
        ),
        (
            "hexadecimal integer",
            xml("<integer>0xff</integer>"),
            255.into(),
        ),
        (
            "real",
            xml("<real>1747429388.65</real>"),
            1_747_429_388.65.into(),
        ),
        (
            "infinity as Apple writes it",
            xml("<real>+infinity</real>"),
            f64::INFINITY.into(),
        ),
        ("true", xml("<true/>"), true.into()),
        ("false in two tags", xml("<false></false>"), false.into()),
        (
            "date",
            xml("<date>2025-05-15T20:37:27Z</date>"),
            date(1_747_341_447),
        ),
        (
            "data over lines",
            xml("<data>\n\tAAEC\n\t/w==\n</data>"),
            Value::Data(vec![0, 1, 2, 255]),
        ),
        (
            "data without padding",
            xml("<data>AAEC/w</data>"),
            Value::Data(vec![0, 1, 2, 255]),
        ),
        ("no prologue", "<plist><true/></plist>".into(), true.into()),
        ("no plist element", "<true/>".into(), true.into()),
        (
            "byte order mark",
            format!("\u{feff}{}", xml("<true/>")),
            true.into(),
        ),
        (
            "a counted NUL",
            format!("{}\0", xml("<true/>")),
            true.into(),
        ),
        (
            "empty collections",
            xml("<array><dict/><array/></array>"),
            vec![dict([]), vec![].into()].into(),
        ),
        (
            "dictionary",
            xml("<dict><key>a</key><integer>1</integer><key>b</key><array><true/></array></dict>"),
            dict([("a", 1.into()), ("b", vec![true.into()].into())]),
        ),
        (
            "doctype",
            "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"><plist><true/></plist>"
                .into(),
            true.into(),
        ),
    ] {
        assert_eq!(read(text), Ok(want), "{name}");
    }
}

#[test]
fn xml_that_is_refused() {
    for (name, text) in [
        ("nothing", String::new()),
        ("only NULs", "\0\0".into()),
        ("no value", xml("")),
        ("not XML", "{ a = b; }".into()),
        ("two values", xml("<true/><true/>")),
        (
            "two lists",
            format!("{0}<plist><true/></plist>", xml("<true/>")),
        ),
        (
            "lists in lists",
            "<plist><plist><true/></plist></plist>".into(),
        ),
        ("text beside a value", xml("x<true/>")),
        ("CDATA beside a value", xml("<![CDATA[x]]><true/>")),
        ("text after the end", format!("{}x", xml("<true/>"))),
        ("unknown element", xml("<set/>")),
        ("unknown entity", xml("<string>&a;</string>")),
        (
            "own entity",
            "<!DOCTYPE plist [<!ENTITY a \"aaaa\">]><plist><string>&a;</string></plist>".into(),
        ),
        ("character 0", xml("<string>&#0;</string>")),
        ("surrogate", xml("<string>&#xD800;</string>")),
        ("element within a string", xml("<string><b/></string>")),
        ("array not closed", xml("<array><true/>")),
        ("ends within a string", "<plist><string>abc".into()),
        ("closed by another", xml("<array></dict>")),
        ("key in an array", xml("<array><key>a</key></array>")),
        ("key alone", xml("<key>a</key>")),
        ("value without key", xml("<dict><true/></dict>")),
        ("array without key", xml("<dict><array/></dict>")),
        ("two keys", xml("<dict><key>a</key><key>b</key></dict>")),
        ("key without value", xml("<dict><key>a</key></dict>")),
        ("text in a boolean", xml("<true>false</true>")),
        ("empty integer", xml("<integer/>")),
        (
            "integer too great",
            xml("<integer>18446744073709551616</integer>"),
        ),
        ("integer with a fraction", xml("<integer>1.0</integer>")),
        ("signed hexadecimal", xml("<integer>0x+f</integer>")),
        ("no real", xml("<real>one</real>")),
        ("no base64", xml("<data>????</data>")),
        // The `plist` crate panics on this one: the offset leads past the year 9999.
        (
            "date beyond the calendar",
            xml("<date>9999-12-31T23:59:59-23:59</date>"),
        ),
        (
            "the same, in pieces",
            xml("<date>9999-12-31T23:59:59<!-- -->-23:59</date>"),
        ),
        (
            "date with an offset",
            xml("<date>2025-05-15T20:37:27+01:00</date>"),
        ),
        ("date in year 0", xml("<date>0000-05-15T20:37:27Z</date>")),
        (
            "date of another form",
            xml("<date>2025-05-15 20:37:27Z</date>"),
        ),
        ("month 13", xml("<date>2025-13-15T20:37:27Z</date>")),
        (
            "multi-byte in a date",
            xml("<date>2025-05-15T20:37:2éZ</date>"),
        ),
    ] {
        assert!(
            matches!(read(&text), Err(DecodeError::Malformed { .. })),
            "{name}: {:?}",
            read(&text)
        );
    }
    assert!(matches!(
        read(b"<plist><string>\xff</string></plist>"),
        Err(DecodeError::Malformed { .. })
    ));
}

#[test]
fn binary_that_is_accepted() {
    for (name, object, want) in [
        ("false", &[0x08][..], Value::from(false)),
        ("true", &[0x09], true.into()),
        ("one byte has no sign", &[0x10, 0xff], 255.into()),
        ("two bytes", &[0x11, 0x7e, 0xf2], 32498.into()),
        (
            "four bytes have no sign",
            &[0x12, 0xff, 0xff, 0xff, 0xff],
            u32::MAX.into(),
        ),
        (
            "eight bytes have one",
            &[0x13, 255, 255, 255, 255, 255, 255, 255, 255],
            (-1).into(),
        ),
        (
            "sixteen bytes hold the greatest",
            &[
                0x14, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
            u64::MAX.into(),
        ),
        (
            "sixteen bytes, negative",
            &[[0x14].as_slice(), &[255; 16]].concat(),
            (-1).into(),
        ),
        ("short real", &[0x22, 0x3f, 0x80, 0, 0], 1.0.into()),
        ("real", &[0x23, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], 1.0.into()),
        ("data", &[0x42, 1, 2], Value::Data(vec![1, 2])),
        ("ASCII", &[0x52, b'h', b'i'], "hi".into()),
        ("UTF-16", &[0x62, 0xd8, 0x3d, 0xde, 0x00], "😀".into()),
        (
            "half of a pair",
            &[0x62, 0, b'a', 0xd8, 0x3d],
            "a\u{fffd}".into(),
        ),
        ("UID", &[0x81, 1, 0], Value::Uid(Uid::new(256))),
        ("empty array", &[0xa0], vec![].into()),
        ("empty dictionary", &[0xd0], dict([])),
    ] {
        assert_eq!(read(bplist(&[object])), Ok(want), "{name}");
    }
    let seconds = 769_034_247_f64.to_be_bytes();
    assert_eq!(
        read(bplist(&[&[&[0x33], seconds.as_slice()].concat()])),
        Ok(date(1_747_341_447))
    );
    assert_eq!(
        read(bplist(&[
            &[0xd2, 1, 2, 3, 4],
            &[0x51, b'a'],
            &[0x51, b'b'],
            &[0x09],
            &[0xa2, 3, 3]
        ])),
        Ok(dict([
            ("a", true.into()),
            ("b", vec![true.into(), true.into()].into())
        ])),
        "nested, with shared parts"
    );
    let long = [&[0x5f, 0x11, 0, 16], "sixteen letters!".as_bytes()].concat();
    assert_eq!(
        read(bplist(&[&long])),
        Ok("sixteen letters!".into()),
        "a count after the marker"
    );
}

#[test]
fn binary_that_is_refused() {
    let huge = |marker: u8| vec![marker | 0x0f, 0x13, 0x7f, 255, 255, 255, 255, 255, 255, 255];
    let real = |seconds: f64| [&[0x33], seconds.to_be_bytes().as_slice()].concat();
    for (name, objects) in [
        ("huge data", vec![huge(0x40)]),
        ("huge ASCII", vec![huge(0x50)]),
        ("huge UTF-16", vec![huge(0x60)]),
        ("huge array", vec![huge(0xa0)]),
        ("huge dictionary", vec![huge(0xd0)]),
        ("count of an odd kind", vec![vec![0x5f, 0x09, 0, 0]]),
        ("string over its end", vec![vec![0x5e, b'a']]),
        ("null", vec![vec![0x00]]),
        ("fill", vec![vec![0x0f]]),
        ("set", vec![vec![0xc0]]),
        ("wide UID", vec![[[0x8f].as_slice(), &[0; 16]].concat()]),
        (
            "wide integer",
            vec![[[0x14].as_slice(), &[0x7f; 16]].concat()],
        ),
        ("odd integer", vec![[[0x15].as_slice(), &[0; 32]].concat()]),
        ("odd real", vec![vec![0x21, 0, 0]]),
        ("ASCII that is not", vec![vec![0x51, 0xff]]),
        ("key that is a number", vec![vec![0xd1, 1, 1], vec![0x09]]),
        ("key that is a dictionary", vec![vec![0xd1, 0, 0]]),
        ("reference to no object", vec![vec![0xa1, 7]]),
        ("date that is no number", vec![real(f64::NAN)]),
        ("date at infinity", vec![real(f64::INFINITY)]),
        // The `plist` crate takes this one, and panics when it is shown.
        ("date before year 1", vec![real(-63_113_904_001.0)]),
        ("date after year 9999", vec![real(252_423_993_600.0)]),
    ] {
        let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
        let answer = read(bplist(&objects));
        assert!(
            matches!(answer, Err(DecodeError::Malformed { .. })),
            "{name}: {answer:?}"
        );
    }
}

#[test]
fn trailers_that_are_refused() {
    for (name, offset_size, ref_size, count, root, table) in [
        ("no objects", 1, 1, 0, 0, 9),
        ("root is no object", 1, 1, 1, 1, 9),
        ("more objects than bytes", 1, 1, u64::MAX, 0, 9),
        (
            "product of count and width overflows",
            8,
            1,
            u64::MAX / 4,
            0,
            9,
        ),
        ("table after the end", 1, 1, 1, 0, u64::MAX),
        ("table within the trailer", 1, 1, 2, 0, 9),
        ("offsets of no width", 0, 1, 1, 0, 9),
        ("references of no width", 1, 0, 1, 0, 9),
        ("wide offsets", 9, 1, 1, 0, 9),
        ("wide references", 1, 9, 1, 0, 9),
    ] {
        let mut bytes = b"bplist00\x09\x08".to_vec();
        trailer(&mut bytes, offset_size, ref_size, count, root, table);
        assert!(
            matches!(read(&bytes), Err(DecodeError::Malformed { .. })),
            "{name}"
        );
    }
    for len in 0..40 {
        assert!(
            read(
                [b"bplist00".as_slice(), &[0; 40]]
                    .concat()
                    .get(..len)
                    .unwrap()
            )
            .is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn nesting_is_bounded() {
    let too_deep = |limit| Err(DecodeError::TooDeep { limit });
    let nested = |levels: usize| {
        xml(&format!(
            "{}{}",
            "<array>".repeat(levels),
            "</array>".repeat(levels)
        ))
    };
    assert!(read(nested(32)).is_ok());
    assert_eq!(read(nested(33)), too_deep(32));
    let unclosed = "<dict><key/>".repeat(80_000);
    assert_eq!(read(&unclosed), too_deep(32));

    assert_eq!(
        read(bplist(&[&[0xa1, 0]])),
        too_deep(32),
        "an array that holds itself"
    );
    assert_eq!(
        read(bplist(&[&[0xd1, 1, 0], &[0x51, b'a']])),
        too_deep(32),
        "a dictionary that holds itself"
    );
    assert_eq!(
        read(bplist(&[&[0xa1, 1], &[0xa1, 0]])),
        too_deep(32),
        "two that hold each other"
    );

    let wish = Limits {
        depth: usize::MAX,
        ..LIMITS
    };
    assert_eq!(
        decode(unclosed.as_bytes(), wish),
        too_deep(Limits::MAX_DEPTH)
    );
    assert!(decode(nested(Limits::MAX_DEPTH).as_bytes(), wish).is_ok());
    assert_eq!(
        decode(nested(1).as_bytes(), Limits { depth: 0, ..LIMITS }),
        too_deep(0)
    );
}

#[test]
fn sharing_is_bounded() {
    // Arrays that each hold the next one fourteen times: 14^14 values out of 300 bytes, and 14^4, which is within the
    // caller's limits, but too much for so few bytes.
    for arrays in [14, 4] {
        let levels: Vec<_> = (1..=arrays)
            .map(|next| [[0xae].as_slice(), &[next; 14]].concat())
            .collect();
        let objects: Vec<&[u8]> = levels
            .iter()
            .map(Vec::as_slice)
            .chain([[0x09].as_slice()])
            .collect();
        assert_eq!(
            read(bplist(&objects)),
            Err(DecodeError::TooMany),
            "{arrays} arrays"
        );
    }

    // One long string, referred to a thousand times.
    let text = "x".repeat(10_000);
    let mut bytes = b"bplist00".to_vec();
    bytes.extend([0xaf, 0x11]);
    bytes.extend(1000_u16.to_be_bytes());
    bytes.extend([1; 1000]);
    let string = u16::try_from(bytes.len()).unwrap();
    bytes.extend([0x5f, 0x11]);
    bytes.extend(10_000_u16.to_be_bytes());
    bytes.extend(text.as_bytes());
    let table = bytes.len() as u64;
    bytes.extend(8_u16.to_be_bytes());
    bytes.extend(string.to_be_bytes());
    trailer(&mut bytes, 2, 1, 2, 0, table);
    assert_eq!(read(&bytes), Err(DecodeError::TooMany));
}

#[test]
fn size_and_values_are_bounded() {
    let list = xml(&format!("<array>{}</array>", "<true/>".repeat(99)));
    let limits = |bytes, values| Limits {
        bytes,
        depth: 1,
        values,
    };
    assert!(decode(list.as_bytes(), limits(list.len(), 100)).is_ok());
    assert_eq!(
        decode(list.as_bytes(), limits(list.len(), 99)),
        Err(DecodeError::TooMany)
    );
    let limit = list.len() - 1;
    assert_eq!(
        decode(list.as_bytes(), limits(limit, 100)),
        Err(DecodeError::TooLong {
            len: limit + 1,
            limit
        })
    );
}

/// Every entry of a folder has the same keys, which a binary list holds once: the greatest honest unfolding there is.
#[test]
fn a_large_folder_is_within_the_limits() {
    let entry = |n: u32| {
        dict([
            ("DLFileType", "DLFileTypeRegular".into()),
            ("DLFileSize", n.into()),
            ("DLFileModificationDate", date(1_747_341_447)),
        ])
    };
    let folder: Dictionary = (0..20_000)
        .map(|n| (format!("{n:040x}"), entry(n)))
        .collect();
    let folder = Value::Dictionary(folder);
    for bytes in [to_binary(&folder), to_xml(&folder)] {
        assert_eq!(
            decode(&bytes, Limits::of_bytes(8 << 20)).as_ref(),
            Ok(&folder)
        );
    }
}

#[test]
fn what_xml_cannot_hold() {
    for (name, value, want) in [
        (
            "control characters",
            Value::from("a\0b\u{1b}c\u{ffff}"),
            Value::from("a\u{fffd}b\u{fffd}c\u{fffd}"),
        ),
        ("UID", Value::Uid(Uid::new(7)), dict([("CF$UID", 7.into())])),
        (
            "part of a second",
            Value::Date((UNIX_EPOCH + Duration::from_millis(1_747_341_447_999)).into()),
            date(1_747_341_447),
        ),
        (
            "part of a second before 1970",
            Value::Date((UNIX_EPOCH - Duration::from_millis(1500)).into()),
            Value::Date((UNIX_EPOCH - Duration::from_secs(2)).into()),
        ),
        (
            "year 30000",
            Value::Date((UNIX_EPOCH + Duration::from_secs(900_000_000_000)).into()),
            date(253_402_300_799),
        ),
    ] {
        assert_eq!(read(to_xml(&value)), Ok(want), "{name}");
    }
    assert!(
        read(to_xml(&Value::Real(f64::NAN)))
            .unwrap()
            .as_real()
            .unwrap()
            .is_nan()
    );
}

#[test]
fn layout_of_xml() {
    let value = dict([
        ("Array", vec![1.into(), "<&>".into()].into()),
        ("Data", Value::Data(vec![0; 60])),
        ("Date", date(1_747_341_447)),
        ("Empty", dict([])),
        ("Real", 0.1.into()),
        ("True", true.into()),
    ]);
    let lines = [
        "<dict>",
        "\t<key>Array</key>",
        "\t<array>",
        "\t\t<integer>1</integer>",
        "\t\t<string>&lt;&amp;&gt;</string>",
        "\t</array>",
        "\t<key>Data</key>",
        "\t<data>",
        "\tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "\tAAAAAAAAAAAA",
        "\t</data>",
        "\t<key>Date</key>",
        "\t<date>2025-05-15T20:37:27Z</date>",
        "\t<key>Empty</key>",
        "\t<dict/>",
        "\t<key>Real</key>",
        "\t<real>0.1</real>",
        "\t<key>True</key>",
        "\t<true/>",
        "</dict>",
        "</plist>",
    ];
    let text = String::from_utf8(to_xml(&value)).unwrap();
    let list: Vec<_> = text.lines().skip(3).collect();
    assert_eq!(list, lines);
}

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
