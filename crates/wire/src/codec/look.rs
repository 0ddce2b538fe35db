//! Single values out of a binary property list, found where they lie: nothing is built, and nothing is allocated. For whoever reads
//! very many lists for one value each.
//!
//! Every step is checked as in the reader, and takes no longer than the list is. What nobody asks for is not looked at: a list of
//! which a value can be found may be broken elsewhere. Not here: the XML form.

use std::fmt;

use super::binary::{List, count, slice, wide_number};

/// A value in a list.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    list: List<'a>,
    marker: u8,
    rest: &'a [u8],
}

/// Without what is in it, which is the phone's owner's.
impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").finish_non_exhaustive()
    }
}

impl<'a> Look<'a> {
    /// The value that is the whole list; `None` when it is no binary one.
    #[must_use]
    pub fn at_root(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(super::binary::MAGIC) {
            return None;
        }
        let (list, root) = List::open(bytes).ok()?;
        Self::object(list, root)
    }

    fn object(list: List<'a>, index: usize) -> Option<Self> {
        let (marker, rest) = list.object(index).ok()?;
        Some(Self { list, marker, rest })
    }

    /// The value of this key, which is plain ASCII, if this is a dictionary that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        if self.marker & 0xF0 != 0xD0 {
            return None;
        }
        let (count, rest) = count(self.marker, self.rest).ok()?;
        let keys = self.list.refs(rest, 0, count).ok()?;
        let values = self.list.refs(rest, count, count).ok()?;
        // Of two of the same name the later one counts, as it does for the reader.
        let (_, value) = keys
            .zip(values)
            .rev()
            .find(|(name, _)| self.is_text(name, key))?;
        self.follow(value)
    }

    /// The value at this place, if this is an array that is long enough.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<Self> {
        if self.marker & 0xF0 != 0xA0 {
            return None;
        }
        let (count, rest) = count(self.marker, self.rest).ok()?;
        let mut values = self.list.refs(rest, 0, count).ok()?;
        self.follow(values.nth(usize::try_from(place).ok()?)?)
    }

    /// An integer that is not negative.
    #[must_use]
    pub fn as_unsigned(&self) -> Option<u64> {
        let width = match self.marker {
            0x10 => 1,
            0x11 => 2,
            0x12 => 4,
            0x13 => 8,
            0x14 => 16,
            _ => return None,
        };
        let (above, low) = match slice(self.rest, 0, width)?.split_last_chunk::<8>() {
            Some((above, low)) => (above, &low[..]),
            None => (&[][..], slice(self.rest, 0, width)?),
        };
        // From eight bytes on the first bit is a sign.
        let negative = self.marker == 0x13 && low.first().is_some_and(|byte| *byte > 0x7F);
        let fits = !negative && above.iter().all(|byte| *byte == 0);
        fits.then(|| wide_number(low))
    }

    /// The number that refers to another value of an archive.
    #[must_use]
    pub fn as_uid(&self) -> Option<u64> {
        if self.marker & 0xF8 != 0x80 {
            return None;
        }
        let width = usize::from(self.marker & 0x0F).saturating_add(1);
        slice(self.rest, 0, width).map(wide_number)
    }

    #[must_use]
    pub fn as_data(&self) -> Option<&'a [u8]> {
        if self.marker & 0xF0 != 0x40 {
            return None;
        }
        let (len, rest) = count(self.marker, self.rest).ok()?;
        slice(rest, 0, len)
    }

    fn is_text(&self, reference: &[u8], wanted: &str) -> bool {
        let found = self.follow(reference);
        found.is_some_and(|found| {
            let text = count(found.marker, found.rest).ok();
            let text = text.and_then(|(len, rest)| slice(rest, 0, len));
            found.marker & 0xF0 == 0x50 && text == Some(wanted.as_bytes())
        })
    }

    fn follow(&self, reference: &[u8]) -> Option<Self> {
        let index = usize::try_from(wide_number(reference)).ok()?;
        Self::object(self.list, index)
    }
}

#[cfg(test)]
mod tests {
    use plist::{Dictionary, Uid, Value};
    use proptest::prelude::*;

    use super::super::{Limits, decode, to_binary};
    use super::*;

    fn list(entries: &[(&str, Value)]) -> Vec<u8> {
        let entries = entries.iter().cloned();
        let entries: Dictionary = entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        to_binary(&entries.into())
    }

    #[test]
    fn values_are_found_by_their_way() {
        let numbers = [0, 1, 255, 256, 65_536, 1 << 40, i64::MAX as u64, u64::MAX];
        let array = Value::Array(numbers.iter().map(|number| (*number).into()).collect());
        let bytes = list(&[
            ("numbers", array),
            ("below", Value::from(-1_i64)),
            ("uid", Value::Uid(Uid::new(77_777))),
            ("data", Value::Data(vec![7; 300])),
            ("grün", Value::from(1_u64)),
        ]);
        let root = Look::at_root(&bytes).unwrap();
        for (place, number) in (0..).zip(numbers) {
            let found = root.get("numbers").and_then(|array| array.at(place));
            assert_eq!(found.and_then(|found| found.as_unsigned()), Some(number));
        }
        assert!(root.get("numbers").unwrap().at(8).is_none());
        assert_eq!(root.get("below").unwrap().as_unsigned(), None);
        assert_eq!(root.get("uid").unwrap().as_uid(), Some(77_777));
        assert_eq!(root.get("data").unwrap().as_data(), Some(&[7; 300][..]));
        assert!(root.get("nothing").is_none() && root.at(0).is_none());
        assert!(root.get("data").unwrap().get("data").is_none());
        assert!(Look::at_root(b"<plist/>").is_none());
        assert!(Look::at_root(b"bplist00").is_none());
    }

    proptest! {
        /// Whatever the reader finds is found, and broken lists break nothing.
        #[test]
        fn it_finds_what_the_reader_finds(number: u64, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            let inner = Value::Dictionary([("Size".to_owned(), Value::from(number))].into_iter().collect());
            let mut bytes = list(&[("a", Value::from(1_u64)), ("objects", Value::Array(vec![inner]))]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let look = || Look::at_root(&bytes)?.get("objects")?.at(0)?.get("Size")?.as_unsigned();
            if let Ok(value) = decode(&bytes, Limits::of_bytes(1 << 20)) {
                let read = || value.as_dictionary()?.get("objects")?.as_array()?.first()?.as_dictionary()?.get("Size")?.as_unsigned_integer();
                // Only the reader takes UTF-16 for a key.
                prop_assert!(look() == read() || look().is_none(), "{:?} {:?}", look(), read());
            }
            let _ = look();
        }
    }
}
