//! The small services beside mobilebackup2: notification_proxy and AFC for the sync lock, installation_proxy and AFC for what
//! Info.plist tells. They are spoken here because `wire` has their messages and this crate needs no more of them.

pub(crate) mod afc;
pub(crate) mod apps;
pub(crate) mod notifications;
pub(crate) mod sync_lock;

use std::io;

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::lockdown;
use plist::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes that are read from a small service at a time.
const READ: usize = 8 << 10;

/// Property lists with a length before them, on one stream: the form of lockdownd that the small services share.
#[derive(Debug)]
pub(crate) struct Frames<S> {
    stream: S,
    decoder: lockdown::FrameDecoder,
    limit: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(crate) fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            decoder: lockdown::FrameDecoder::with_limit(limit),
            limit,
        }
    }

    pub(crate) async fn send(&mut self, value: &Value) -> io::Result<()> {
        self.stream
            .write_all(&lockdown::encode_frame(&codec::to_xml(value)))
            .await?;
        self.stream.flush().await
    }

    /// The next message. What was read stays read when the future is dropped.
    pub(crate) async fn next(&mut self) -> io::Result<Value> {
        loop {
            let frame = self.decoder.next_frame().map_err(|e| invalid(&e))?;
            if let Some(frame) = frame {
                return codec::decode(&frame, Limits::of_bytes(self.limit))
                    .map_err(|e| invalid(&e));
            }
            let mut bytes = [0; READ];
            let read = self.stream.read(&mut bytes).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.decoder.push(bytes.get(..read).unwrap_or_default());
        }
    }
}

/// What a peer sent is not of its protocol.
pub(crate) fn invalid(error: &dyn std::error::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
