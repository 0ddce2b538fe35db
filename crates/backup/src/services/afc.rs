//! AFC as far as a backup needs it: one request, one reply.

use std::io;

use backupwatch_wire::afc::{OpenMode, PacketDecoder, Reply, Request, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{READ, invalid};

/// Longest reply; the reads of this client are shorter.
const MAX: usize = 256 << 10;

/// Asked for in one read.
const PIECE: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Afc<S> {
    stream: S,
    decoder: PacketDecoder,
    number: u64,
}

/// What the phone says no to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AfcError {
    #[error("the phone answered {0:?}")]
    Refused(Status),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Afc<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: PacketDecoder::with_limit(MAX),
            number: 0,
        }
    }

    pub(crate) async fn open(&mut self, path: &str, mode: OpenMode) -> Result<u64, AfcError> {
        match self
            .ask(&Request::Open {
                path: path.to_owned(),
                mode,
            })
            .await?
        {
            Reply::Opened { handle } => Ok(handle),
            Reply::Status(status) => Err(AfcError::Refused(status)),
            Reply::Data(_) => Err(unexpected()),
        }
    }

    /// A request that is answered by a status alone.
    pub(crate) async fn command(&mut self, request: &Request) -> Result<(), AfcError> {
        match self.ask(request).await? {
            Reply::Status(Status::Success) => Ok(()),
            Reply::Status(status) => Err(AfcError::Refused(status)),
            Reply::Opened { .. } | Reply::Data(_) => Err(unexpected()),
        }
    }

    /// A whole file of at most `limit` bytes; `None` if there is none, or a longer one.
    pub(crate) async fn read_file(
        &mut self,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, AfcError> {
        let handle = match self.open(path, OpenMode::Read).await {
            Ok(handle) => handle,
            Err(AfcError::Refused(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut content = Vec::new();
        let whole = loop {
            match self
                .ask(&Request::Read {
                    handle,
                    length: PIECE,
                })
                .await?
            {
                Reply::Data(data) if data.is_empty() => break true,
                Reply::Data(data) if content.len() + data.len() > limit => break false,
                Reply::Data(data) => content.extend_from_slice(&data),
                Reply::Status(Status::Success) => break true,
                Reply::Status(_) => break false,
                Reply::Opened { .. } => return Err(unexpected()),
            }
        };
        self.command(&Request::Close { handle }).await?;
        Ok(whole.then_some(content))
    }

    async fn ask(&mut self, request: &Request) -> Result<Reply, AfcError> {
        self.number += 1;
        self.stream
            .write_all(&request.to_packet(self.number).encode())
            .await?;
        self.stream.flush().await?;
        let mut bytes = [0; READ];
        loop {
            let read = self.stream.read(&mut bytes).await?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let mut rest = bytes.get(..read).unwrap_or_default();
            while !rest.is_empty() {
                let (taken, packet) = self.decoder.next(rest).map_err(|e| invalid(&e))?;
                rest = rest.get(taken..).unwrap_or_default();
                // An answer to a question that was given up is not ours.
                if let Some(packet) = packet.filter(|packet| packet.number == self.number) {
                    return Ok(Reply::from_packet(packet).map_err(|e| invalid(&e))?);
                }
            }
        }
    }
}

fn unexpected() -> AfcError {
    io::Error::new(io::ErrorKind::InvalidData, "an AFC reply of another kind").into()
}
