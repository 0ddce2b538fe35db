//! Property lists as bytes, both ways, with bounds: the one door through which a plist from a device enters.
//!
//! Not here: framing (each protocol has its own) and meaning.

use std::io::Cursor;

use plist::Value;

/// What a decoder may spend on one property list.
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

    /// Limits for a message of at most `bytes` bytes: no more values than bytes, 32 levels.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        Self {
            bytes,
            depth: Self::DEPTH,
            values: bytes,
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
    /// More values than [`Limits::values`], or shared parts that unfold to more bytes than any honest list has.
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
    Value::from_reader(Cursor::new(bytes)).map_err(|_| DecodeError::Malformed {
        what: "not a property list",
    })
}

/// Encodes as XML.
#[must_use]
pub fn to_xml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = value.to_writer_xml(&mut out);
    out
}

/// Encodes as a binary property list.
#[must_use]
pub fn to_binary(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = value.to_writer_binary(&mut out);
    out
}
