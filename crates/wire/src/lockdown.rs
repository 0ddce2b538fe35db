//! lockdownd's protocol: a big-endian length, then a plist. `docs/protocol/lockdown.md` has the facts and their witnesses.
//!
//! This file frames; [`message`] has requests and replies, [`error`] the words by which a device refuses, [`pair_record`]
//! what host and device keep about each other. Both ends.
//!
//! Not here: TLS (it starts on the same socket when a session says so), sessions, and the values' meaning.

use bytes::{Buf, Bytes, BytesMut};

use crate::intake::Intake;

pub mod error;
pub mod message;
pub mod pair_record;

pub use error::LockdownError;
pub use message::{MessageError, PairCall, Reply, Request};
pub use pair_record::{PairRecord, Secret};

/// The port of lockdownd on every device.
pub const PORT: u16 = 62078;

/// What a device that runs iOS answers to QueryType; one in restore mode answers otherwise.
pub const TYPE: &str = "com.apple.mobile.lockdown";

/// The longest frame we take by default: a hundred times the root domain, which has some 10 KiB. What a device can make of
/// a megabyte, once decoded, stays under 25 MiB.
pub const MAX_FRAME: usize = 1024 * 1024;

const PREFIX: usize = 4;

/// A frame that claims more than we take. It ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame claims {length} bytes, more than the {limit} that we take")]
pub struct FrameTooLong {
    pub length: u32,
    pub limit: usize,
}

/// Puts the length before a body. A body over 4 GiB, which nothing here makes, would claim the greatest length and be
/// refused by any reader.
#[must_use]
pub fn encode_frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), body].concat()
}

/// Cuts a byte stream into the bodies of frames. Several services on the device frame as lockdownd does.
///
/// It holds only bytes that really came: a claimed length is checked as soon as it is there, and allocates nothing.
#[derive(Debug)]
pub struct FrameDecoder {
    intake: Intake<FrameTooLong>,
    limit: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::with_limit(MAX_FRAME)
    }
}

impl FrameDecoder {
    /// Takes frames of up to [`MAX_FRAME`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes frames of up to `limit` bytes of body.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            intake: Intake::default(),
            limit,
        }
    }

    /// Adds bytes as they came off the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.intake.push(bytes);
    }

    /// The body of the next frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a frame claims more than the limit; every later call gives the same error.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameTooLong> {
        let limit = self.limit;
        self.intake.next(|buffer| cut(buffer, limit))
    }

    /// The bytes after the last frame; when TLS starts on the socket, they are its first.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.intake.into_rest()
    }
}

fn cut(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameTooLong> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix);
    let body_len = usize::try_from(length).unwrap_or(usize::MAX);
    if body_len > limit {
        return Err(FrameTooLong { length, limit });
    }
    let whole = PREFIX.saturating_add(body_len);
    if buffer.len() < whole {
        return Ok(None);
    }
    let mut body = buffer.split_to(whole).freeze();
    body.advance(PREFIX);
    Ok(Some(body))
}

#[cfg(test)]
mod tests;
