//! Byte streams as the services see them: one boxed type for whatever the host came in by, and plists in frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::lockdown::{FrameDecoder, MAX_FRAME, encode_frame};
use bytes::{Buf, Bytes};
use plist::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a host can come in by.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Any stream.
pub type BoxStream = Box<dyn Stream>;

/// A stream with bytes that were read too early put back in front.
pub(crate) struct Prefixed {
    prefix: Bytes,
    stream: BoxStream,
}

impl Prefixed {
    /// The stream itself when there is nothing to put back.
    pub fn around(prefix: Bytes, stream: BoxStream) -> BoxStream {
        if prefix.is_empty() {
            stream
        } else {
            Box::new(Self { prefix, stream })
        }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.prefix.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let some = this.prefix.len().min(buffer.remaining());
        buffer.put_slice(this.prefix.get(..some).unwrap_or_default());
        this.prefix.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A stream of length-prefixed plists, as lockdownd and the small services speak it.
pub(crate) struct Frames<S> {
    stream: S,
    decoder: FrameDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::with_limit(limit),
        }
    }

    /// The next frame's body, or nothing at a clean end. Dropping the future loses no bytes.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut chunk).await? {
                0 => return Ok(None),
                some => self.decoder.push(chunk.get(..some).unwrap_or_default()),
            }
        }
    }

    /// The next frame as a plist. What is none is an error of the connection.
    pub async fn next_value(&mut self) -> io::Result<Option<Value>> {
        let Some(body) = self.next().await? else {
            return Ok(None);
        };
        codec::decode(&body, Limits::of_bytes(MAX_FRAME))
            .map(Some)
            .map_err(io::Error::other)
    }

    /// Sends a plist, in the XML form.
    pub async fn send_value(&mut self, value: &Value) -> io::Result<()> {
        self.send(&codec::to_xml(value)).await
    }

    /// Sends a body in a frame.
    pub async fn send(&mut self, body: &[u8]) -> io::Result<()> {
        self.send_raw(&encode_frame(body)).await
    }

    /// Sends bytes that are a frame already, or are meant to be none.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The stream, with what was read of it and not yet used.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.decoder.into_rest())
    }
}
