//! The frame of a DeviceLink message: a big-endian `u32` length and that many bytes of property list.
//!
//! Not here: the frames inside a file stream, which have a code byte ([`super::stream`]).

use plist::Value;

use crate::codec::{self, DecodeError, Limits};

/// Longest message that is accepted. The longest honest ones name many files at once: 16 MiB are some 170 000 paths of a
/// backup in one `DLMessageRemoveItems`, more than the messages of a phone, which come in batches, have been seen to hold.
pub const MAX_MESSAGE: usize = 16 << 20;

/// What one message may cost: at most [`MAX_MESSAGE`] bytes, and no more values than that many paths need. Phones nest three
/// deep.
pub const LIMITS: Limits = Limits {
    bytes: MAX_MESSAGE,
    depth: 16,
    values: 1 << 18,
};

/// Memory set aside when a length arrives; the rest follows the bytes, so that a length alone costs nothing.
const FIRST_RESERVE: usize = 4 << 10;

/// Why bytes are no message frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is over the limit. What the peer sends is then no message, and its end is unknown.
    #[error("a message of {len} bytes is announced, over the limit of {limit}")]
    TooLong { len: u32, limit: usize },
    /// A frame without content.
    #[error("an empty message")]
    Empty,
}

/// Cuts a byte stream into message bodies, whatever the chunking.
#[derive(Debug)]
pub struct FrameDecoder {
    limit: usize,
    header: Header,
    body: Vec<u8>,
    wanted: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::with_limit(MAX_MESSAGE)
    }
}

impl FrameDecoder {
    /// A decoder that accepts bodies of at most `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            header: Header::new(),
            body: Vec::new(),
            wanted: 0,
        }
    }

    /// Takes bytes from `input` up to the end of one message.
    ///
    /// Returns how many bytes were taken and the body, if it is complete. `None` means that all of `input` was taken and
    /// more is needed.
    ///
    /// # Errors
    /// When the announced length is zero or over the limit; the stream cannot be read further.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), FrameError> {
        let mut taken = 0;
        if self.wanted == 0 {
            let (n, len) = self.header.take(input);
            taken += n;
            let Some(len) = len else {
                return Ok((taken, None));
            };
            let wanted = usize::try_from(len).unwrap_or(usize::MAX);
            if wanted > self.limit {
                return Err(FrameError::TooLong {
                    len,
                    limit: self.limit,
                });
            }
            if wanted == 0 {
                return Err(FrameError::Empty);
            }
            self.wanted = wanted;
            self.body.reserve(wanted.min(FIRST_RESERVE));
        }
        let rest = input.get(taken..).unwrap_or_default();
        let missing = self.wanted.saturating_sub(self.body.len());
        let part = rest.get(..missing.min(rest.len())).unwrap_or_default();
        self.body.extend_from_slice(part);
        taken += part.len();
        if self.body.len() < self.wanted {
            return Ok((taken, None));
        }
        self.wanted = 0;
        Ok((taken, Some(std::mem::take(&mut self.body))))
    }

    /// Whether the stream stands between two messages: an end of file here cuts nothing.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.wanted == 0 && self.header.is_empty()
    }
}

/// A binary property list in its frame.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let body = codec::to_binary(value);
    let mut out = Vec::with_capacity(body.len() + 4);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

/// Decodes a message body within [`LIMITS`].
///
/// # Errors
/// When it is no property list or too big a one.
pub fn decode_body(body: &[u8]) -> Result<Value, DecodeError> {
    codec::decode(body, LIMITS)
}

/// Collects the four bytes of a big-endian length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    bytes: [u8; 4],
    have: usize,
}

impl Header {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; 4],
            have: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes at most four bytes; the number once it is whole.
    pub(super) fn take(&mut self, input: &[u8]) -> (usize, Option<u32>) {
        if self.have == 0
            && let Some(whole) = input.first_chunk::<4>()
        {
            return (4, Some(u32::from_be_bytes(*whole)));
        }
        let mut taken = 0;
        for (slot, byte) in self.bytes.iter_mut().skip(self.have).zip(input) {
            *slot = *byte;
            taken += 1;
        }
        self.have += taken;
        if self.have < self.bytes.len() {
            return (taken, None);
        }
        self.have = 0;
        (taken, Some(u32::from_be_bytes(self.bytes)))
    }
}

#[cfg(test)]
mod tests;
