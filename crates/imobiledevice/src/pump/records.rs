//! Records of TLS, as far as they show from outside: where one ends, and what it cannot hold.

use crate::library::Reading;

/// The header of a record: its type, a version, and its length.
const HEADER: usize = 5;

/// The longest record that any version of TLS allows, with its header.
pub(super) const RECORD: usize = HEADER + 16_384 + 2_048;

/// Records that are there whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) length: usize,
    records: usize,
    /// Whether one of them says that the device ends TLS. In 1.2 an alert shows; in 1.3 it is as long as nothing else is: two bytes,
    /// their type and a tag of sixteen.
    pub(super) farewell: bool,
}

impl Batch {
    pub(super) fn of(bytes: &[u8], reading: Reading) -> Option<Self> {
        let mut batch = Self {
            length: 0,
            records: 0,
            farewell: false,
        };
        while let Some(&[kind, _, _, high, low, ..]) = bytes.get(batch.length..) {
            let length = HEADER + usize::from(u16::from_be_bytes([high, low]));
            // One that is longer than any may be is given as it is: the library refuses it by its header.
            let length = if length > RECORD {
                bytes.len() - batch.length
            } else {
                length
            };
            if bytes.len() - batch.length < length {
                break;
            }
            batch.length += length;
            batch.records += 1;
            batch.farewell |= kind == 21 || (kind == 23 && length == HEADER + 19);
            if reading != Reading::Briefly {
                break;
            }
        }
        (batch.length > 0).then_some(batch)
    }

    /// How many bytes are encrypted in it at most, where at least so many are added to each record.
    pub(super) fn holds(&self, added: usize) -> usize {
        let added = self.records * (HEADER + added);
        self.length.saturating_sub(added).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pump::HELD;

    /// A record of this type, that claims this length and has so many bytes of it.
    fn record(kind: u8, length: u16, bytes: usize) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut record = vec![kind, 3, 3, high, low];
        record.resize(HEADER + bytes, 0);
        record
    }

    fn whole(kind: u8, length: u16) -> Vec<u8> {
        record(kind, length, length.into())
    }

    fn batch(length: usize, farewell: bool) -> Option<Batch> {
        let records = match length {
            HELD => HELD / RECORD,
            129 | 150 => 2,
            _ => 1,
        };
        Some(Batch {
            length,
            records,
            farewell,
        })
    }

    #[test]
    fn only_whole_records_are_given_to_the_library() {
        use Reading::{Briefly, NonBlocking, RecordByRecord};
        let two = [whole(23, 100), whole(23, 40)].concat();
        let cut = [whole(23, 100), record(23, 40, 39)].concat();
        let over = [whole(23, 100), whole(23, 19)].concat();
        for (name, bytes, reading, expected) in [
            ("nothing", &[][..], Briefly, None),
            ("half a header", &[23, 3, 3, 0], Briefly, None),
            ("a header", &record(23, 100, 0), NonBlocking, None),
            ("all but a byte", &record(23, 100, 99), RecordByRecord, None),
            ("one of two", &two, NonBlocking, batch(105, false)),
            ("one of two", &two, RecordByRecord, batch(105, false)),
            ("both", &two, Briefly, batch(150, false)),
            ("the whole one", &cut, Briefly, batch(105, false)),
            (
                "an alert of 1.2",
                &whole(21, 26),
                NonBlocking,
                batch(31, true),
            ),
            ("an alert of 1.3", &over, Briefly, batch(129, true)),
            (
                "a ticket of 1.3",
                &whole(23, 200),
                NonBlocking,
                batch(205, false),
            ),
            (
                "the longest",
                &whole(23, 18_432),
                NonBlocking,
                batch(RECORD, false),
            ),
            (
                "longer than any",
                &record(23, 18_433, 7),
                NonBlocking,
                batch(12, false),
            ),
            ("no TLS", b"HTTP/1.1 200 OK", NonBlocking, batch(15, false)),
        ] {
            assert_eq!(Batch::of(bytes, reading), expected, "{name}, {reading:?}");
        }
    }

    #[test]
    fn the_longest_records_fit_in_what_is_held() {
        let records = whole(23, 18_432).repeat(HELD / RECORD);
        assert_eq!(Batch::of(&records, Reading::Briefly), batch(HELD, false));
    }
}
