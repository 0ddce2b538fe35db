//! The stream after `DLMessageDownloadFiles`: files from the host to the device. Encoder for the host, decoder for the
//! simulated device.
//!
//! The files come in the order in which they were asked for, each with the path of the request. Data goes in frames of at
//! most [`CHUNK`] bytes: the device collects a whole frame in memory, and with large ones it is killed for that
//! (pymobiledevice3#1857).

use super::{
    status::StatusCode,
    stream::{DataFrame, Decoder, Event, StreamError, WirePath, put_path},
};

pub use super::stream::{FILE_OK, STREAM_END, put_file_end};

/// Most file data in a frame to the device; the default of Apple's own DeviceLink (pymobiledevice3#1858).
pub const CHUNK: usize = 32 << 10;

/// A frame buffer of the size that the device takes.
#[must_use]
pub fn data_frame() -> DataFrame {
    DataFrame::new(CHUNK)
}

/// Appends the beginning of a file; `path` is the one that the device asked for.
pub fn put_file_start(path: &str, out: &mut Vec<u8>) {
    put_path(path, out);
}

/// What the host says while the device downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadEvent<'a> {
    FileStart { path: WirePath },
    Data(&'a [u8]),
    FileEnd { code: StatusCode, message: String },
    StreamEnd,
}

/// Cuts a download stream into events, whatever the chunking. One decoder for one stream.
#[derive(Debug, Default)]
pub struct DownloadDecoder(Decoder<1>);

impl DownloadDecoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self(Decoder::new())
    }

    /// Takes bytes from `input` up to the next event; see [`super::UploadDecoder::next`].
    ///
    /// # Errors
    /// When the bytes are no download stream.
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<DownloadEvent<'a>>), StreamError> {
        let (taken, event) = self.0.next(input)?;
        let event = event.map(|event| match event {
            Event::Start([path]) => DownloadEvent::FileStart { path },
            Event::Data(data) => DownloadEvent::Data(data),
            Event::End { code, message } => DownloadEvent::FileEnd { code, message },
            Event::StreamEnd => DownloadEvent::StreamEnd,
        });
        Ok((taken, event))
    }

    /// Most data that one frame has announced so far; a device dies of much more than [`CHUNK`].
    #[must_use]
    pub const fn longest_frame(&self) -> u32 {
        self.0.longest_frame()
    }

    /// Whether the end of the stream has been seen.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.0.is_done()
    }
}
