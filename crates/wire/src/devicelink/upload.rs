//! The stream after `DLMessageUploadFiles`: files from the device to the host. Decoder for the host, encoder for the
//! simulated device.
//!
//! A file has two paths: the one on the device, which is only a key for error reports (it is never opened on the host), and
//! the destination below the backup root. Data goes as [`super::stream::DataFrame`] or [`super::stream::data_header`].

use super::{
    status::StatusCode,
    stream::{Decoder, Event, StreamError, WirePath, put_path},
};

pub use super::stream::{FILE_OK, STREAM_END, data_header, put_file_end};

/// What the device says while it uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadEvent<'a> {
    /// A file begins.
    FileStart {
        /// The key of per-file errors.
        device_path: WirePath,
        /// Where the file belongs; see [`WirePath::resolve`].
        dest_path: WirePath,
    },
    /// Content of the file, a part of the input.
    Data(&'a [u8]),
    /// The file ends. Any code but [`StatusCode::Ok`] means that the device could not read it to its end.
    FileEnd {
        code: StatusCode,
        /// The device's words, cut at [`super::stream::MAX_MESSAGE_KEPT`] bytes.
        message: String,
    },
    /// The stream is over: the host answers with a status.
    StreamEnd,
}

/// Cuts an upload stream into events, whatever the chunking. One decoder for one stream.
#[derive(Debug, Default)]
pub struct UploadDecoder(Decoder<2>);

impl UploadDecoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self(Decoder::new())
    }

    /// Takes bytes from `input` up to the next event.
    ///
    /// Returns how many bytes were taken and the event. `None` means that all of `input` was taken and more is needed, or,
    /// after [`UploadEvent::StreamEnd`], that nothing was taken because the stream is over.
    ///
    /// # Errors
    /// When the bytes are no upload stream; the link is of no more use.
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<UploadEvent<'a>>), StreamError> {
        let (taken, event) = self.0.next(input)?;
        let event = event.map(|event| match event {
            Event::Start([device_path, dest_path]) => UploadEvent::FileStart {
                device_path,
                dest_path,
            },
            Event::Data(data) => UploadEvent::Data(data),
            Event::End { code, message } => UploadEvent::FileEnd { code, message },
            Event::StreamEnd => UploadEvent::StreamEnd,
        });
        Ok((taken, event))
    }

    /// Whether the end of the stream has been seen.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.0.is_done()
    }
}

/// Appends the beginning of a file.
pub fn put_file_start(device_path: &str, dest_path: &str, out: &mut Vec<u8>) {
    put_path(device_path, out);
    put_path(dest_path, out);
}
