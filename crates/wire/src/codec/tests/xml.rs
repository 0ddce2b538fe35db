//! Lists in XML: what is taken, what is not, and how ours look.

use std::time::{Duration, UNIX_EPOCH};

use plist::{Uid, Value};

use super::*;

#[test]
fn xml_that_is_accepted() {
    for (name, text, want) in [
        (
            "string",
            in_plist("<string>a b</string>"),
            Value::from("a b"),
        ),
        ("empty string", in_plist("<string/>"), "".into()),
        (
            "spaces are kept",
            in_plist("<string> a\n</string>"),
            " a\n".into(),
        ),
        (
            "entities",
            in_plist("<string>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;</string>"),
            "<&>\"'A😀".into(),
        ),
        (
            "CDATA and comment",
            in_plist("<string>a<!-- x --><![CDATA[<b>]]></string>"),
            "a<b>".into(),
        ),
        (
            "integers",
            in_plist("<integer> -5\n</integer>"),
            (-5).into(),
        ),
        (
            "greatest integer",
            in_plist("<integer>18446744073709551615</integer>"),
            u64::MAX.into(),
        ),
        (
            "least integer",
            in_plist("<integer>-9223372036854775808</integer>"),
            i64::MIN.into(),
        ),
        (
            "hexadecimal integer",
            in_plist("<integer>0xff</integer>"),
            255.into(),
        ),
        (
            "real",
            in_plist("<real>1747429388.65</real>"),
            1_747_429_388.65.into(),
        ),
        (
            "infinity as Apple writes it",
            in_plist("<real>+infinity</real>"),
            f64::INFINITY.into(),
        ),
        ("true", in_plist("<true/>"), true.into()),
        (
            "false in two tags",
            in_plist("<false></false>"),
            false.into(),
        ),
        (
            "date",
            in_plist("<date>2025-05-15T20:37:27Z</date>"),
            date(1_747_341_447),
        ),
        (
            "data over lines",
            in_plist("<data>\n\tAAEC\n\t/w==\n</data>"),
            Value::Data(vec![0, 1, 2, 255]),
        ),
        (
            "data without padding",
            in_plist("<data>AAEC/w</data>"),
            Value::Data(vec![0, 1, 2, 255]),
        ),
        ("no prologue", "<plist><true/></plist>".into(), true.into()),
        ("no plist element", "<true/>".into(), true.into()),
        (
            "byte order mark",
            format!("\u{feff}{}", in_plist("<true/>")),
            true.into(),
        ),
        (
            "a counted NUL",
            format!("{}\0", in_plist("<true/>")),
            true.into(),
        ),
        (
            "empty collections",
            in_plist("<array><dict/><array/></array>"),
            vec![dict([]), vec![].into()].into(),
        ),
        (
            "dictionary",
            in_plist(
                "<dict><key>a</key><integer>1</integer><key>b</key><array><true/></array></dict>",
            ),
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
        ("no value", in_plist("")),
        ("not XML", "{ a = b; }".into()),
        ("two values", in_plist("<true/><true/>")),
        (
            "two lists",
            format!("{0}<plist><true/></plist>", in_plist("<true/>")),
        ),
        (
            "lists in lists",
            "<plist><plist><true/></plist></plist>".into(),
        ),
        ("text beside a value", in_plist("x<true/>")),
        ("CDATA beside a value", in_plist("<![CDATA[x]]><true/>")),
        ("text after the end", format!("{}x", in_plist("<true/>"))),
        ("unknown element", in_plist("<set/>")),
        ("unknown entity", in_plist("<string>&a;</string>")),
        (
            "own entity",
            "<!DOCTYPE plist [<!ENTITY a \"aaaa\">]><plist><string>&a;</string></plist>".into(),
        ),
        ("character 0", in_plist("<string>&#0;</string>")),
        ("surrogate", in_plist("<string>&#xD800;</string>")),
        ("element within a string", in_plist("<string><b/></string>")),
        ("array not closed", in_plist("<array><true/>")),
        ("ends within a string", "<plist><string>abc".into()),
        ("closed by another", in_plist("<array></dict>")),
        ("key in an array", in_plist("<array><key>a</key></array>")),
        ("key alone", in_plist("<key>a</key>")),
        ("value without key", in_plist("<dict><true/></dict>")),
        ("array without key", in_plist("<dict><array/></dict>")),
        (
            "two keys",
            in_plist("<dict><key>a</key><key>b</key></dict>"),
        ),
        ("key without value", in_plist("<dict><key>a</key></dict>")),
        ("text in a boolean", in_plist("<true>false</true>")),
        ("empty integer", in_plist("<integer/>")),
        (
            "integer too great",
            in_plist("<integer>18446744073709551616</integer>"),
        ),
        (
            "integer with a fraction",
            in_plist("<integer>1.0</integer>"),
        ),
        ("signed hexadecimal", in_plist("<integer>0x+f</integer>")),
        ("no real", in_plist("<real>one</real>")),
        ("no base64", in_plist("<data>????</data>")),
        // The `plist` crate panics on this one: the offset leads past the year 9999.
        (
            "date beyond the calendar",
            in_plist("<date>9999-12-31T23:59:59-23:59</date>"),
        ),
        (
            "the same, in pieces",
            in_plist("<date>9999-12-31T23:59:59<!-- -->-23:59</date>"),
        ),
        (
            "date with an offset",
            in_plist("<date>2025-05-15T20:37:27+01:00</date>"),
        ),
        (
            "date in year 0",
            in_plist("<date>0000-05-15T20:37:27Z</date>"),
        ),
        (
            "date of another form",
            in_plist("<date>2025-05-15 20:37:27Z</date>"),
        ),
        ("month 13", in_plist("<date>2025-13-15T20:37:27Z</date>")),
        (
            "multi-byte in a date",
            in_plist("<date>2025-05-15T20:37:2éZ</date>"),
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
