//! Reads binary property lists (`bplist00`).
//!
//! The list is a slice: offsets and references are looked up in it, no table is copied, and every count is checked against
//! the slice and the builder's accounts before anything is allocated. A list that contains itself ends at the depth limit,
//! one that shares its parts too often at the limit of values.
//!
//! Not here: writing (the `plist` crate does it well).

use plist::{Uid, Value};

use super::build::Builder;
use super::{DecodeError, date, malformed};

/// The first bytes, but for the last digit of the version, which readers ignore.
pub const MAGIC: &[u8] = b"bplist0";

const TRAILER: usize = 32;

/// An array or dictionary on the way: references that are still to be followed.
enum Pending<'a> {
    Array(std::slice::ChunksExact<'a, u8>),
    Dictionary {
        keys: std::slice::ChunksExact<'a, u8>,
        values: std::slice::ChunksExact<'a, u8>,
    },
}

#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    /// Everything before the trailer.
    body: &'a [u8],
    offsets: &'a [u8],
    offset_size: usize,
    ref_size: usize,
}

pub fn read(bytes: &[u8], mut builder: Builder) -> Result<Value, DecodeError> {
    let (list, root) = List::open(bytes)?;
    let mut pending = Vec::new();
    list.follow(root, &mut builder, &mut pending)?;
    while let Some(top) = pending.last_mut() {
        match top {
            Pending::Array(refs) => match refs.next() {
                Some(value) => list.follow(number(value)?, &mut builder, &mut pending)?,
                None => {
                    pending.pop();
                    builder.close_array()?;
                }
            },
            Pending::Dictionary { keys, values } => match (keys.next(), values.next()) {
                (Some(key), Some(value)) => {
                    list.key(number(key)?, &mut builder)?;
                    list.follow(number(value)?, &mut builder, &mut pending)?;
                }
                _ => {
                    pending.pop();
                    builder.close_dictionary()?;
                }
            },
        }
    }
    builder.finish()
}

impl<'a> List<'a> {
    /// Reads the trailer; gives the list and the number of its root object.
    pub(super) fn open(bytes: &'a [u8]) -> Result<(Self, usize), DecodeError> {
        let (body, trailer) = bytes
            .split_last_chunk::<TRAILER>()
            .ok_or(malformed("it is shorter than its trailer"))?;
        let [_, _, _, _, _, _, offset_size, ref_size, numbers @ ..] = trailer;
        let mut numbers = numbers.chunks_exact(8).map(number);
        let mut next = || {
            numbers
                .next()
                .unwrap_or(Err(malformed("it is shorter than its trailer")))
        };
        let (count, root, table) = (next()?, next()?, next()?);

        let (offset_size, ref_size) = (usize::from(*offset_size), usize::from(*ref_size));
        if !(1..=8).contains(&offset_size) || !(1..=8).contains(&ref_size) {
            return Err(malformed("its trailer has an impossible width"));
        }
        let offsets = count
            .checked_mul(offset_size)
            .and_then(|len| slice(body, table, len))
            .ok_or(malformed("its table of offsets is outside"))?;
        let list = Self {
            body,
            offsets,
            offset_size,
            ref_size,
        };
        Ok((list, root))
    }

    /// The marker of an object and what follows it.
    pub(super) fn object(&self, index: usize) -> Result<(u8, &'a [u8]), DecodeError> {
        let offset = index
            .checked_mul(self.offset_size)
            .and_then(|at| slice(self.offsets, at, self.offset_size))
            .ok_or(malformed("a reference to no object"))?;
        let object = self
            .body
            .get(number(offset)?..)
            .and_then(<[u8]>::split_first);
        let (marker, rest) = object.ok_or(malformed("an object is outside"))?;
        Ok((*marker, rest))
    }

    fn key(&self, index: usize, builder: &mut Builder) -> Result<(), DecodeError> {
        let (marker, rest) = self.object(index)?;
        match text(marker, rest, builder)? {
            Some(key) => builder.key(key),
            None => Err(malformed("a key is not a string")),
        }
    }

    /// Adds an object: a leaf at once, an array or dictionary by putting its references on the stack.
    fn follow(
        &self,
        index: usize,
        builder: &mut Builder,
        pending: &mut Vec<Pending<'a>>,
    ) -> Result<(), DecodeError> {
        let (marker, rest) = self.object(index)?;
        if let Some(text) = text(marker, rest, builder)? {
            return builder.leaf(Value::String(text));
        }
        match marker {
            0xa0..=0xaf => {
                let (count, rest) = count(marker, rest)?;
                let refs = self.refs(rest, 0, count)?;
                builder.open_array(count)?;
                pending.push(Pending::Array(refs));
                Ok(())
            }
            0xd0..=0xdf => {
                let (count, rest) = count(marker, rest)?;
                let keys = self.refs(rest, 0, count)?;
                let values = self.refs(rest, count, count)?;
                builder.open_dictionary()?;
                pending.push(Pending::Dictionary { keys, values });
                Ok(())
            }
            _ => {
                let value = scalar(marker, rest, builder)?;
                builder.leaf(value)
            }
        }
    }

    /// `count` references, `skip` references further on.
    pub(super) fn refs(
        &self,
        rest: &'a [u8],
        skip: usize,
        count: usize,
    ) -> Result<std::slice::ChunksExact<'a, u8>, DecodeError> {
        let span = || {
            slice(
                rest,
                skip.checked_mul(self.ref_size)?,
                count.checked_mul(self.ref_size)?,
            )
        };
        let span = span().ok_or(malformed("a collection is outside"))?;
        Ok(span.chunks_exact(self.ref_size))
    }
}

/// A string object, or `None` when the object is of another kind.
fn text(marker: u8, rest: &[u8], builder: &mut Builder) -> Result<Option<String>, DecodeError> {
    const OUTSIDE: DecodeError = malformed("a string is outside");
    match marker {
        0x50..=0x5f => {
            let (len, rest) = count(marker, rest)?;
            let bytes = slice(rest, 0, len).ok_or(OUTSIDE)?;
            let text = std::str::from_utf8(bytes).map_err(|_| malformed("a string is not text"))?;
            builder.spend_bytes(len)?;
            Ok(Some(text.to_owned()))
        }
        0x60..=0x6f => {
            let (units, rest) = count(marker, rest)?;
            let len = units.checked_mul(2).ok_or(OUTSIDE)?;
            let bytes = slice(rest, 0, len).ok_or(OUTSIDE)?;
            builder.spend_bytes(len)?;
            // A name may have been cut within a surrogate pair; the rest of it is still good.
            let units = bytes.chunks_exact(2).map(|pair| {
                pair.iter()
                    .fold(0, |unit, byte| unit << 8 | u16::from(*byte))
            });
            let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            Ok(Some(chars.collect()))
        }
        _ => Ok(None),
    }
}

fn scalar(marker: u8, rest: &[u8], builder: &mut Builder) -> Result<Value, DecodeError> {
    match marker {
        0x08 => Ok(Value::Boolean(false)),
        0x09 => Ok(Value::Boolean(true)),
        0x10 => Ok(u8::from_be_bytes(take(rest)?).into()),
        0x11 => Ok(u16::from_be_bytes(take(rest)?).into()),
        0x12 => Ok(u32::from_be_bytes(take(rest)?).into()),
        // Only the widths from 8 bytes on have a sign.
        0x13 => Ok(i64::from_be_bytes(take(rest)?).into()),
        0x14 => {
            let wide = i128::from_be_bytes(take(rest)?);
            let signed = i64::try_from(wide).map(Value::from);
            signed
                .or_else(|_| u64::try_from(wide).map(Value::from))
                .map_err(|_| malformed("an integer has more than 64 bits"))
        }
        0x22 => Ok(f32::from_be_bytes(take(rest)?).into()),
        0x23 => Ok(f64::from_be_bytes(take(rest)?).into()),
        0x33 => date::from_seconds(f64::from_be_bytes(take(rest)?))
            .map(Value::Date)
            .ok_or(malformed("a date is outside the years 1 to 9999")),
        0x40..=0x4f => {
            let (len, rest) = count(marker, rest)?;
            let bytes = slice(rest, 0, len).ok_or(malformed("data are outside"))?;
            builder.spend_bytes(len)?;
            Ok(Value::Data(bytes.to_vec()))
        }
        0x80..=0x87 => {
            let width = usize::from(marker & 0x0f).saturating_add(1);
            let bytes = slice(rest, 0, width).ok_or(malformed("a UID is outside"))?;
            Ok(Value::Uid(Uid::new(wide_number(bytes))))
        }
        _ => Err(malformed("an object of unknown kind")),
    }
}

/// The count of a string, data or collection: in the marker, or in an integer after it. Also gives what follows.
pub(super) fn count(marker: u8, rest: &[u8]) -> Result<(usize, &[u8]), DecodeError> {
    const BAD: DecodeError = malformed("a count is not a number");
    match marker & 0x0f {
        0x0f => {
            let (kind, rest) = rest.split_first().ok_or(BAD)?;
            let width = match kind {
                0x10 => 1,
                0x11 => 2,
                0x12 => 4,
                0x13 => 8,
                _ => return Err(BAD),
            };
            let (digits, rest) = rest.split_at_checked(width).ok_or(BAD)?;
            Ok((number(digits)?, rest))
        }
        short => Ok((usize::from(short), rest)),
    }
}

/// A big-endian number of up to 8 bytes that is to be a position or count.
fn number(bytes: &[u8]) -> Result<usize, DecodeError> {
    usize::try_from(wide_number(bytes))
        .map_err(|_| malformed("a number is over this machine's width"))
}

pub(super) fn wide_number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn take<const N: usize>(rest: &[u8]) -> Result<[u8; N], DecodeError> {
    rest.first_chunk()
        .copied()
        .ok_or(malformed("a number is outside"))
}

pub(super) fn slice(bytes: &[u8], start: usize, len: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(len)?)
}
