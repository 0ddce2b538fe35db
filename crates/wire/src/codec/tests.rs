//! Hostile and honest property lists.

use std::time::{Duration, UNIX_EPOCH};

use plist::{Dictionary, Value};

use super::*;

mod binary;
mod properties;
mod xml;

const LIMITS: Limits = Limits::of_bytes(1 << 20);

fn read(bytes: impl AsRef<[u8]>) -> Result<Value, DecodeError> {
    decode(bytes.as_ref(), LIMITS)
}

fn in_plist(body: &str) -> String {
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
fn nesting_is_bounded() {
    let too_deep = |limit| Err(DecodeError::TooDeep { limit });
    let nested = |levels: usize| {
        in_plist(&format!(
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
    let list = in_plist(&format!("<array>{}</array>", "<true/>".repeat(99)));
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
