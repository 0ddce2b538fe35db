//! usbmuxd's protocol: 16 bytes of header, then a plist. `docs/protocol/usbmuxd.md` has the facts and their witnesses.
//!
//! This file frames; [`message`] gives requests and replies their meaning, [`attachment`] describes devices. Both ends:
//! a host uses [`Request::encode`] and [`Reply::decode`], a daemon (our simulator) the other two.
//!
//! Not here: sockets, and the bytes that flow once a Connect has succeeded ([`Decoder::into_rest`] hands over what came
//! too early).

use bytes::{Buf, Bytes, BytesMut};

use crate::intake::Intake;

pub mod attachment;
pub mod client;
pub mod message;

pub use attachment::{Attachment, Link, MuxDeviceId, NetworkAddress};
pub use client::{Client, Listener};
pub use message::{Event, MessageError, PairRecordData, Reply, Request, ResultCode};

/// Length of a header, and so the least length a packet may claim.
pub const HEADER_LEN: usize = 16;

/// The longest packet we take, header included. A ListDevices reply has about 700 bytes for each attachment, a pair
/// record 8 KiB, so 4 MiB hold some 5000 attachments.
pub const MAX_PACKET: usize = 4 * 1024 * 1024;

/// The version of the protocol that speaks plists. The older one, 0, has C structures in its place.
pub const VERSION_PLIST: u32 = 1;

/// The message number of every plist packet.
pub const MESSAGE_PLIST: u32 = 8;

const VERSION_BINARY: u32 = 0;
const MESSAGE_RESULT: u32 = 1;

/// The header of a packet: four little-endian numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the packet, these 16 included.
    pub length: u32,
    /// [`VERSION_PLIST`], or 0 for the binary protocol.
    pub version: u32,
    /// [`MESSAGE_PLIST`], or a number of the binary protocol.
    pub message: u32,
    /// A reply carries its request's; an event carries 0.
    pub tag: u32,
}

impl Header {
    /// The 16 bytes as they travel.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let fields = [self.length, self.version, self.message, self.tag];
        for (to, field) in out.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// Reads 16 bytes. Whether the length is one that we take is [`Decoder`]'s question.
    #[must_use]
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Self {
        let mut bytes = bytes.as_slice();
        Self {
            length: bytes.get_u32_le(),
            version: bytes.get_u32_le(),
            message: bytes.get_u32_le(),
            tag: bytes.get_u32_le(),
        }
    }
}

/// One whole packet of the plist protocol.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    pub version: u32,
    pub message: u32,
    pub tag: u32,
    /// What follows the header: a plist, not yet decoded.
    pub body: Bytes,
}

/// Shows the body's length only: a body may be a pair record.
impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("version", &self.version)
            .field("message", &self.message)
            .field("tag", &self.tag)
            .field("body_len", &self.body.len())
            .finish()
    }
}

impl Packet {
    /// A plist packet around an encoded body.
    #[must_use]
    pub fn plist(tag: u32, body: impl Into<Bytes>) -> Self {
        Self {
            version: VERSION_PLIST,
            message: MESSAGE_PLIST,
            tag,
            body: body.into(),
        }
    }

    /// Header and body as they travel. A body over 4 GiB, which nothing here makes, would claim the greatest length and
    /// be refused by any reader.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN.saturating_add(self.body.len())).unwrap_or(u32::MAX);
        let header = Header {
            length,
            version: self.version,
            message: self.message,
            tag: self.tag,
        };
        [header.encode().as_slice(), &self.body].concat()
    }
}

/// Why a stream of packets cannot be read on. All of them end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Shorter than its own header.
    #[error("a usbmux packet claims {length} bytes, less than its header has")]
    TooShort { length: u32 },
    /// Longer than [`MAX_PACKET`].
    #[error("a usbmux packet claims {length} bytes, more than the {MAX_PACKET} that we take")]
    TooLong { length: u32 },
    /// The old binary protocol. A daemon answers with [`refuse_binary`] and the tag, then closes.
    #[error("the usbmux peer speaks the binary protocol (message {message})")]
    Binary { message: u32, tag: u32 },
    /// A version that nobody has defined.
    #[error("the usbmux peer speaks version {version}")]
    Version { version: u32, tag: u32 },
}

/// The answer to a request in the binary protocol: Result 6, bad version, in that same protocol.
#[must_use]
pub fn refuse_binary(tag: u32) -> Vec<u8> {
    let code = u32::try_from(ResultCode::BadVersion.number()).unwrap_or(u32::MAX);
    let body = Bytes::copy_from_slice(&code.to_le_bytes());
    Packet {
        version: VERSION_BINARY,
        message: MESSAGE_RESULT,
        tag,
        body,
    }
    .encode()
}

/// Cuts a byte stream into packets.
///
/// It holds only bytes that really came: a claimed length is checked when its header is complete, and allocates nothing.
#[derive(Debug, Default)]
pub struct Decoder(Intake<FrameError>);

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came off the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// The next packet, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream is not one of plist packets; every later call gives the same error.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, FrameError> {
        self.0.next(Self::cut)
    }

    /// The bytes after the last packet. Once a Connect has succeeded they belong to the tunnel.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.0.into_rest()
    }

    fn cut(buffer: &mut BytesMut) -> Result<Option<Packet>, FrameError> {
        let Some(header) = buffer
            .first_chunk::<HEADER_LEN>()
            .copied()
            .map(Header::decode)
        else {
            return Ok(None);
        };
        let Header {
            length,
            version,
            message,
            tag,
        } = header;
        match version {
            VERSION_PLIST => {}
            VERSION_BINARY => return Err(FrameError::Binary { message, tag }),
            _ => return Err(FrameError::Version { version, tag }),
        }
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if whole < HEADER_LEN {
            return Err(FrameError::TooShort { length });
        }
        if whole > MAX_PACKET {
            return Err(FrameError::TooLong { length });
        }
        if buffer.len() < whole {
            return Ok(None);
        }
        let mut body = buffer.split_to(whole).freeze();
        body.advance(HEADER_LEN);
        Ok(Some(Packet {
            version,
            message,
            tag,
            body,
        }))
    }
}

#[cfg(test)]
mod tests;
