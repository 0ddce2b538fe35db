//! Property lists as bytes, both ways, with bounds: the one door through which a plist from a device enters.
//!
//! The readers are our own. Those of the `plist` crate, whose `Value` and binary writer we use, follow the input as deep as
//! it is nested, unfold a binary list's shared parts without bound (a few hundred bytes become gigabytes), and panic on a
//! date whose offset leaves the calendar, or later, when a date before year 0 is shown.
//!
//! Not here: framing (each protocol has its own) and meaning.

use plist::Value;

mod binary;
mod build;
mod date;
mod look;
mod xml;

pub(crate) use date::PLIST_EPOCH;
pub use look::Look;

/// What a decoder may spend on one property list. Beside these limits, a list never unfolds to more than a fixed multiple
/// of its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest encoded form, in bytes.
    pub bytes: usize,
    /// How many arrays and dictionaries may enclose a value.
    pub depth: usize,
    /// How many values (dictionary keys included) may come out.
    pub values: usize,
}

impl Limits {
    /// Depth of every limit made by [`Limits::of_bytes`]. What phones send is at most five deep.
    pub const DEPTH: usize = 32;

    /// The greatest depth that counts, whatever [`Limits::depth`] says: dropping a `Value` recurses.
    pub const MAX_DEPTH: usize = 128;

    /// Limits for a message of at most `bytes` bytes: a value for every 8 bytes, 32 levels.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        Self {
            bytes,
            depth: Self::DEPTH,
            values: bytes / 8,
        }
    }
}

/// Why bytes are no property list that we accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The encoded form is longer than [`Limits::bytes`].
    #[error("a property list of {len} bytes is over the limit of {limit}")]
    TooLong { len: usize, limit: usize },
    /// More than [`Limits::depth`] levels.
    #[error("a property list is nested deeper than {limit} levels")]
    TooDeep { limit: usize },
    /// More values than [`Limits::values`], or shared parts that unfold to more than any honest list has.
    #[error("a property list unfolds to more than its size allows")]
    TooMany,
    /// Not a well-formed property list; `what` never quotes its content.
    #[error("malformed property list: {what}")]
    Malformed { what: &'static str },
}

/// Decodes a property list in XML or binary form.
///
/// # Errors
/// When the bytes are longer, deeper or bigger than `limits`, or not a property list.
pub fn decode(bytes: &[u8], limits: Limits) -> Result<Value, DecodeError> {
    if bytes.len() > limits.bytes {
        return Err(DecodeError::TooLong {
            len: bytes.len(),
            limit: limits.bytes,
        });
    }
    let builder = build::Builder::new(bytes.len(), limits);
    if bytes.starts_with(binary::MAGIC) {
        binary::read(bytes, builder)
    } else {
        xml::read(bytes, builder)
    }
}

/// Encodes as XML, laid out as Apple's own writer does.
///
/// XML has no form for some of what a value can be, so the result reads back with: dates in whole seconds of the years 1
/// to 9999, characters that XML forbids (most control characters) as U+FFFD, and a UID as the dictionary `CF$UID`.
#[must_use]
pub fn to_xml(value: &Value) -> Vec<u8> {
    xml::write(value).into_bytes()
}

/// Encodes as a binary property list.
#[must_use]
pub fn to_binary(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value.to_writer_binary(&mut out) {
        Ok(()) => out,
        Err(error) => unreachable!("a Vec takes every byte, and a Value is well-formed: {error}"),
    }
}

const fn malformed(what: &'static str) -> DecodeError {
    DecodeError::Malformed { what }
}

#[cfg(test)]
mod tests;
