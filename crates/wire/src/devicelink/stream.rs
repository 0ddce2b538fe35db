//! The file stream of DeviceLink, the part that both directions share: paths, frames with a code byte, final codes.
//!
//! A file is one or two paths, each with a big-endian `u32` length; then frames of a `u32` length *n*, one code byte and
//! *n* − 1 bytes. Code 0x0C is data; the first other code ends the file, and then the *n* − 1 bytes are a message. A first
//! path of length 0 ends the stream.
//!
//! File data is never copied or collected here: it passes as slices of the caller's input, so a frame of 4 GiB costs no
//! memory. Messages after a final code are kept up to [`MAX_MESSAGE_KEPT`] bytes and drained to their end: a reader that
//! leaves them in the stream takes their text for a path length (libimobiledevice#1135: "length 1315905651" is "No s").
//!
//! Not here: which of the two directions it is ([`super::upload`], [`super::download`]), and whether a path is safe.

use std::borrow::Cow;

use super::{frame::Header, status::StatusCode};
use crate::path::{DevicePath, PathError};

/// The code of a data frame.
pub const DATA: u8 = 0x0C;

/// Longest path that is accepted: `PATH_MAX` of Linux. Apple's systems have 1024, so no phone has a longer one to name, and a
/// bigger number means that the two ends no longer agree where in the stream they are.
pub const MAX_PATH: usize = 4096;

/// How much of the message after a final code is kept.
pub const MAX_MESSAGE_KEPT: usize = 1024;

/// Length of [`data_header`].
pub const DATA_HEADER: usize = 5;

/// Why bytes are no file stream. After any of these the rest of the stream has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A path longer than any real one.
    #[error("a path of {len} bytes is announced, over the limit of {MAX_PATH}")]
    PathTooLong { len: u32 },
    /// A frame has at least its code byte.
    #[error("a frame without a code byte")]
    EmptyFrame,
}

/// A path as it came: bytes of bounded length, and nothing more is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WirePath(Vec<u8>);

impl WirePath {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text by which a per-file error names this path: a property list holds only text, so what is not UTF-8 is
    /// replaced.
    #[must_use]
    pub fn key(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The place under the folder of `udid` that it names.
    ///
    /// # Errors
    /// When it names none.
    pub fn resolve(&self, udid: &str) -> Result<DevicePath, PathError> {
        let text = std::str::from_utf8(&self.0).map_err(|_| PathError::NotUtf8)?;
        DevicePath::parse(text, udid)
    }
}

impl From<&str> for WirePath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// What a stream says; `PATHS` paths begin a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a, const PATHS: usize> {
    Start([WirePath; PATHS]),
    Data(&'a [u8]),
    End { code: StatusCode, message: String },
    StreamEnd,
}

/// Cuts a file stream into events, whatever the chunking.
#[derive(Debug)]
pub struct Decoder<const PATHS: usize> {
    state: State,
    header: Header,
    /// Paths of the file that begins; the last one grows.
    paths: Vec<Vec<u8>>,
    message: Vec<u8>,
    longest: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    PathLength,
    Path { left: usize },
    FrameLength,
    Code { len: u32 },
    Data { left: u32 },
    Message { code: u8, left: u32 },
    Done,
}

impl<const PATHS: usize> Default for Decoder<PATHS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const PATHS: usize> Decoder<PATHS> {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::PathLength,
            header: Header::new(),
            paths: Vec::new(),
            message: Vec::new(),
            longest: 0,
        }
    }

    /// Most data that one frame has announced so far.
    #[must_use]
    pub const fn longest_frame(&self) -> u32 {
        self.longest
    }

    /// Takes bytes from `input` up to the next event.
    ///
    /// Returns how many bytes were taken and the event. `None` means that all of `input` was taken and more is needed, or,
    /// after [`Event::StreamEnd`], that nothing was taken because the stream is over.
    ///
    /// # Errors
    /// When the bytes are no file stream. The decoder must not be used further.
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<Event<'a, PATHS>>), StreamError> {
        let mut rest = input;
        loop {
            match self.state {
                State::PathLength => {
                    let Some(len) = self.number(&mut rest) else {
                        return Ok((input.len(), None));
                    };
                    if len == 0 && self.paths.is_empty() {
                        self.state = State::Done;
                        return Ok((input.len() - rest.len(), Some(Event::StreamEnd)));
                    }
                    let left = usize::try_from(len).unwrap_or(usize::MAX);
                    if left > MAX_PATH {
                        return Err(StreamError::PathTooLong { len });
                    }
                    self.paths.push(Vec::with_capacity(left));
                    self.state = State::Path { left };
                }
                State::Path { left } => {
                    let part = take(&mut rest, left);
                    if let Some(path) = self.paths.last_mut() {
                        path.extend_from_slice(part);
                    }
                    let left = left - part.len();
                    if left > 0 {
                        self.state = State::Path { left };
                        return Ok((input.len(), None));
                    }
                    if self.paths.len() < PATHS {
                        self.state = State::PathLength;
                        continue;
                    }
                    self.state = State::FrameLength;
                    let mut paths = std::mem::take(&mut self.paths).into_iter();
                    let paths = std::array::from_fn(|_| WirePath(paths.next().unwrap_or_default()));
                    return Ok((input.len() - rest.len(), Some(Event::Start(paths))));
                }
                State::FrameLength => {
                    let Some(len) = self.number(&mut rest) else {
                        return Ok((input.len(), None));
                    };
                    let len = len.checked_sub(1).ok_or(StreamError::EmptyFrame)?;
                    self.state = State::Code { len };
                }
                State::Code { len } => {
                    let Some((code, after)) = rest.split_first() else {
                        return Ok((input.len(), None));
                    };
                    rest = after;
                    self.state = match *code {
                        DATA => {
                            self.longest = self.longest.max(len);
                            State::Data { left: len }
                        }
                        code => State::Message { code, left: len },
                    };
                }
                State::Data { left: 0 } => self.state = State::FrameLength,
                State::Data { left } => {
                    let part = take(&mut rest, usize::try_from(left).unwrap_or(usize::MAX));
                    if part.is_empty() {
                        return Ok((input.len(), None));
                    }
                    self.state = State::Data {
                        left: less(left, part),
                    };
                    return Ok((input.len() - rest.len(), Some(Event::Data(part))));
                }
                State::Message { code, left: 0 } => {
                    self.state = State::PathLength;
                    let message = String::from_utf8_lossy(&self.message).into_owned();
                    self.message.clear();
                    return Ok((
                        input.len() - rest.len(),
                        Some(Event::End {
                            code: StatusCode::from_final_byte(code),
                            message,
                        }),
                    ));
                }
                State::Message { code, left } => {
                    let part = take(&mut rest, usize::try_from(left).unwrap_or(usize::MAX));
                    if part.is_empty() {
                        return Ok((input.len(), None));
                    }
                    let room = MAX_MESSAGE_KEPT.saturating_sub(self.message.len());
                    let kept = part.get(..room.min(part.len())).unwrap_or_default();
                    self.message.extend_from_slice(kept);
                    self.state = State::Message {
                        code,
                        left: less(left, part),
                    };
                }
                State::Done => return Ok((input.len() - rest.len(), None)),
            }
        }
    }

    /// Whether the end of the stream has been seen.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn number(&mut self, rest: &mut &[u8]) -> Option<u32> {
        let (taken, number) = self.header.take(rest);
        *rest = rest.get(taken..).unwrap_or_default();
        number
    }
}

fn take<'a>(rest: &mut &'a [u8], at_most: usize) -> &'a [u8] {
    let (part, after) = rest.split_at_checked(at_most).unwrap_or((rest, &[]));
    *rest = after;
    part
}

fn less(left: u32, part: &[u8]) -> u32 {
    left.saturating_sub(u32::try_from(part.len()).unwrap_or(u32::MAX))
}

/// What goes before `len` bytes of file data, to be written with them in one go.
///
/// A length that a frame cannot hold (4 GiB − 1) is the caller's error and saturates.
#[must_use]
pub fn data_header(len: usize) -> [u8; DATA_HEADER] {
    let n = u32::try_from(len).unwrap_or(u32::MAX).saturating_add(1);
    let [a, b, c, d] = n.to_be_bytes();
    [a, b, c, d, DATA]
}

/// The frame that ends a file well.
pub const FILE_OK: [u8; DATA_HEADER] = [0, 0, 0, 1, 0];

/// What ends a stream.
pub const STREAM_END: [u8; 4] = [0; 4];

/// Appends the frame that ends a file with `code`, and `message` (cut at [`MAX_MESSAGE_KEPT`]) if it is not
/// [`StatusCode::Ok`].
pub fn put_file_end(code: StatusCode, message: &str, out: &mut Vec<u8>) {
    if code == StatusCode::Ok {
        out.extend_from_slice(&FILE_OK);
        return;
    }
    let message = clip(message, MAX_MESSAGE_KEPT).as_bytes();
    let [a, b, c, d, _] = data_header(message.len());
    out.extend_from_slice(&[a, b, c, d, code.to_final_byte()]);
    out.extend_from_slice(message);
}

/// Appends a path with its length.
pub(super) fn put_path(path: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(path.as_bytes());
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(crate) fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// One data frame in a buffer that is used again: the file is read straight to where it is sent from.
///
/// ```
/// # use backupwatch_wire::devicelink::stream::DataFrame;
/// let mut frame = DataFrame::new(4096);
/// frame.space()[..3].copy_from_slice(b"abc");
/// assert_eq!(frame.seal(3), b"\0\0\0\x04\x0Cabc");
/// ```
#[derive(Debug)]
pub struct DataFrame {
    buffer: Vec<u8>,
}

impl DataFrame {
    /// A frame with room for `capacity` bytes of data.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            buffer: vec![0; capacity + DATA_HEADER],
        }
    }

    /// Where the data goes.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.get_mut(DATA_HEADER..).unwrap_or_default()
    }

    /// The frame of the first `len` bytes of [`DataFrame::space`]; nothing for no bytes, because an empty frame says nothing.
    #[must_use]
    pub fn seal(&mut self, len: usize) -> &[u8] {
        let len = len.min(self.buffer.len().saturating_sub(DATA_HEADER));
        if len == 0 {
            return &[];
        }
        for (slot, byte) in self.buffer.iter_mut().zip(data_header(len)) {
            *slot = byte;
        }
        self.buffer.get(..len + DATA_HEADER).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
