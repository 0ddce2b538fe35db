//! Binary lists, put together by hand, so that reader and writer cannot share a misreading.

use plist::{Uid, Value};

use super::*;

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
