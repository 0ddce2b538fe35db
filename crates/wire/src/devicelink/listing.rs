//! The answer with a folder's list, written as it goes out. A phone asks for each of its 256 folders twice in every backup, and
//! the general way to a property list would take most of the time that it waits.
//!
//! Not here: what a list says, which its `to_value` shows in the open ([`super::status`]).

use std::time::{SystemTime, UNIX_EPOCH};

use super::status::{EMPTY, FileKind, Listing, MODIFIED, NAME, SIZE, TYPE};
use crate::codec::PLIST_EPOCH;

const MAGIC: &[u8; 8] = b"bplist00";
const KINDS: [FileKind; 3] = [FileKind::Directory, FileKind::Regular, FileKind::Unknown];

/// What every answer has, by the number of the object.
const TEXTS: [u64; 2] = [1, 3];
const CODE: u64 = 2;
const ENTRIES: u64 = 4;
const KEYS: u64 = 5;
const KIND: u64 = 8;
const FIRST: u64 = 11;

/// The framed message of success with this list.
pub(super) fn encode(listing: &Listing) -> Vec<u8> {
    let list = &listing.0;
    // A name, a size, mostly a date, and the entry that has them.
    let most = FIRST.saturating_add(4 * list.len() as u64);
    let mut out = Writer::new(list.len(), most);
    let [name, text] = TEXTS;
    out.collection(0xA0, 4);
    for element in [name, CODE, text, ENTRIES] {
        out.reference(element);
    }
    out.text(NAME);
    out.integer(0);
    out.text(EMPTY);
    out.collection(0xD0, list.len());
    // The names come first, each with its entry after what is in that.
    let mut at = FIRST;
    let mut places = Vec::with_capacity(list.len());
    for (_, info) in list {
        let entry = at + 2 + u64::from(info.modified.is_some());
        places.push(entry);
        out.reference(at);
        at = entry + 1;
    }
    for entry in places {
        out.reference(entry);
    }
    for key in [TYPE, SIZE, MODIFIED] {
        out.text(key);
    }
    for kind in KINDS {
        out.text(kind.name());
    }
    for (name, info) in list {
        let (size, date) = (out.count + 1, out.count + 2);
        out.text(name);
        out.integer(info.size);
        let kind = KINDS
            .iter()
            .zip(KIND..)
            .find(|(kind, _)| **kind == info.kind);
        let kind = kind.map_or(KIND, |(_, number)| number);
        match info.modified {
            Some(modified) => {
                out.date(modified.into());
                out.collection(0xD0, 3);
                for object in [KEYS, KEYS + 1, KEYS + 2, kind, size, date] {
                    out.reference(object);
                }
            }
            None => {
                out.collection(0xD0, 2);
                for object in [KEYS, KEYS + 1, kind, size] {
                    out.reference(object);
                }
            }
        }
    }
    out.finish()
}

/// A framed binary property list, one object after the other. The first is the root.
struct Writer {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    count: u64,
    ref_size: usize,
}

/// Bytes of the length before a frame.
const FRAME: usize = 4;

impl Writer {
    /// `most`: no number of an object is greater.
    fn new(entries: usize, most: u64) -> Self {
        let mut bytes = Vec::with_capacity(entries.saturating_mul(96).saturating_add(512));
        bytes.extend_from_slice(&[0; FRAME]);
        bytes.extend_from_slice(MAGIC);
        Self {
            bytes,
            offsets: Vec::with_capacity(entries.saturating_mul(4).saturating_add(16)),
            count: 0,
            ref_size: if most <= u64::from(u16::MAX) { 2 } else { 4 },
        }
    }

    fn begin(&mut self) {
        let at = self.bytes.len().saturating_sub(FRAME);
        self.offsets.push(u32::try_from(at).unwrap_or(u32::MAX));
        self.count += 1;
    }

    /// An array or a dictionary, whose references follow.
    fn collection(&mut self, marker: u8, count: usize) {
        self.begin();
        self.marker(marker, count);
    }

    fn reference(&mut self, object: u64) {
        self.low_bytes(object, self.ref_size);
    }

    fn text(&mut self, text: &str) {
        self.begin();
        if text.is_ascii() {
            self.marker(0x50, text.len());
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            self.marker(0x60, text.encode_utf16().count());
            for unit in text.encode_utf16() {
                self.bytes.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }

    fn integer(&mut self, number: u64) {
        self.begin();
        self.number(number);
    }

    fn date(&mut self, time: SystemTime) {
        self.begin();
        let epoch = UNIX_EPOCH.checked_add(PLIST_EPOCH).unwrap_or(UNIX_EPOCH);
        let seconds = match time.duration_since(epoch) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        self.bytes.push(0x33);
        self.bytes.extend_from_slice(&seconds.to_be_bytes());
    }

    /// The first byte of an object, and how much is in it.
    fn marker(&mut self, marker: u8, count: usize) {
        match u8::try_from(count) {
            Ok(short @ 0..=14) => self.bytes.push(marker | short),
            Ok(_) | Err(_) => {
                self.bytes.push(marker | 0x0F);
                self.number(count as u64);
            }
        }
    }

    fn number(&mut self, number: u64) {
        let (marker, width) = match number {
            0..=0xFF => (0x10, 1),
            0x100..=0xFFFF => (0x11, 2),
            0x1_0000..=0xFFFF_FFFF => (0x12, 4),
            0x1_0000_0000..=0x7FFF_FFFF_FFFF_FFFF => (0x13, 8),
            // Of those with eight bytes the first bit is a sign.
            0x8000_0000_0000_0000.. => (0x14, 16),
        };
        self.bytes.push(marker);
        self.low_bytes(number, width);
    }

    /// The last `width` bytes of a number, which may be more than it has.
    fn low_bytes(&mut self, number: u64, width: usize) {
        let wide = u128::from(number).to_be_bytes();
        let skip = wide.len().saturating_sub(width);
        self.bytes
            .extend_from_slice(wide.get(skip..).unwrap_or_default());
    }

    fn finish(mut self) -> Vec<u8> {
        let table = self.bytes.len().saturating_sub(FRAME) as u64;
        for offset in &self.offsets {
            self.bytes.extend_from_slice(&offset.to_be_bytes());
        }
        let ref_size = u8::try_from(self.ref_size).unwrap_or(4);
        self.bytes
            .extend_from_slice(&[0, 0, 0, 0, 0, 0, 4, ref_size]);
        for number in [self.count, 0, table] {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
        let len = u32::try_from(self.bytes.len().saturating_sub(FRAME)).unwrap_or(u32::MAX);
        if let Some(head) = self.bytes.first_chunk_mut::<FRAME>() {
            *head = len.to_be_bytes();
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plist::Value;
    use proptest::prelude::*;

    use super::super::{FileInfo, StatusResponse, frame};
    use super::*;

    /// What our reader and the `plist` crate's make of the answer, which must be what the general way gives.
    fn reads_back(listing: &Listing) {
        let framed = encode(listing);
        let (len, body) = framed.split_first_chunk::<FRAME>().unwrap();
        assert_eq!(u32::from_be_bytes(*len) as usize, body.len());
        let general = StatusResponse::ok_with(listing.to_value()).encode();
        let wanted = frame::decode_body(&general[FRAME..]).unwrap();
        assert_eq!(frame::decode_body(body).unwrap(), wanted);
        let theirs = Value::from_reader(std::io::Cursor::new(body)).unwrap();
        assert_eq!(theirs, wanted);
    }

    fn info(kind: FileKind, size: u64, seconds: Option<i64>) -> FileInfo {
        let time = |seconds: i64| {
            let away = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 {
                UNIX_EPOCH - away
            } else {
                UNIX_EPOCH + away
            }
        };
        FileInfo {
            kind,
            size,
            modified: seconds.map(|seconds| time(seconds).into()),
        }
    }

    #[test]
    fn it_says_what_the_general_way_says() {
        for count in [0, 1, 14, 15, 300, 17_000] {
            let entry = |number: u64| {
                let kind = KINDS[(number % 3) as usize];
                let seconds = (!number.is_multiple_of(5)).then_some(1_700_000_000 + number as i64);
                (format!("{number:040x}"), info(kind, number * 37, seconds))
            };
            reads_back(&Listing((0..count).map(entry).collect()));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_folder(
            entries in proptest::collection::btree_map(
                ".{1,40}",
                (0_usize..3, any::<u64>(), proptest::option::of(-60_000_000_000_i64..250_000_000_000)),
                0..20,
            ),
        ) {
            let entries = entries.into_iter();
            let entries = entries.map(|(name, (kind, size, at))| (name, info(KINDS[kind], size, at)));
            reads_back(&Listing(entries.collect()));
        }
    }
}
