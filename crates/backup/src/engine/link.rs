//! The bytes of one DeviceLink connection: a bounded buffer to read into, messages out of it, and answers.
//!
//! Not here: what a message means, and how long one waits for it.

use std::io;

use backupwatch_wire::devicelink::{DeviceMessage, FrameDecoder, HostMessage};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::chores::Answer;
use crate::services::invalid;

/// Bytes that are read at most at a time. TLS gives 16 KiB; more at once only saves calls.
const BUFFER: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    frames: FrameDecoder,
    /// A write that was given up has left the peer with half of something: nothing more can be said.
    mute: bool,
    /// Between the first and the last bytes of a stream to the phone, where a message would be taken for a part of it.
    in_stream: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            frames: FrameDecoder::default(),
            mute: false,
            in_stream: false,
        }
    }

    /// What has been read and not taken.
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
    }

    /// Reads more, when everything was taken. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end: DeviceLink says goodbye first.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        if self.start < self.end {
            return Ok(());
        }
        self.start = 0;
        self.end = 0;
        let read = self.stream.read(&mut self.buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end = read;
        Ok(())
    }

    /// The next message. Nothing is lost when the future is dropped.
    pub(super) async fn message(&mut self) -> io::Result<DeviceMessage> {
        loop {
            self.fill().await?;
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            let (taken, body) = self.frames.next(unread).map_err(|e| invalid(&e))?;
            self.take(taken);
            if let Some(body) = body {
                return DeviceMessage::decode(&body).map_err(|e| invalid(&e));
            }
        }
    }

    pub(super) async fn answer(&mut self, answer: Answer) -> io::Result<()> {
        self.write(&answer.encode()).await
    }

    pub(super) async fn say(&mut self, message: &HostMessage) -> io::Result<()> {
        self.write(&message.encode()).await
    }

    /// Sends bytes as they are.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mute = true;
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.mute = false;
        Ok(())
    }

    /// From here to [`Link::end_stream`] what is written is a stream and no message.
    pub(super) fn begin_stream(&mut self) {
        self.in_stream = true;
    }

    pub(super) fn end_stream(&mut self) {
        self.in_stream = false;
    }

    /// Says goodbye, if that can still be understood, and closes.
    pub(super) async fn close(mut self, reason: &str) -> io::Result<()> {
        if !self.mute && !self.in_stream {
            self.say(&HostMessage::Disconnect {
                reason: reason.to_owned(),
            })
            .await?;
        }
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a stream the phone would take a goodbye for the name of a file.
    #[tokio::test]
    async fn there_is_no_goodbye_in_the_middle_of_a_stream() {
        for (in_stream, says) in [(true, false), (false, true)] {
            let (ours, mut phones) = tokio::io::duplex(4096);
            let mut link = Link::new(ours);
            link.begin_stream();
            if !in_stream {
                link.end_stream();
            }
            link.close("done").await.unwrap();
            let mut heard = Vec::new();
            phones.read_to_end(&mut heard).await.unwrap();
            assert_eq!(!heard.is_empty(), says, "{in_stream}");
        }
    }
}
