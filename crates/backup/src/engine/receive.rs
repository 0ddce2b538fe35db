//! Files from the phone: the stream after `DLMessageUploadFiles`, read to its end whatever happens to single files
//! (protocol.md 8.4, 9.7).

use backupwatch_core::Udid;
use backupwatch_wire::devicelink::{
    StatusCode, StatusResponse, UploadDecoder, UploadEvent, WirePath,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::{Attendant, BETWEEN};
use super::link::Link;
use super::owed::{Owed, on_disk};
use super::pool::{End, Outbox, PIECE, Piece, Pool, Start, WorkerId};
use super::stop::Stop;
use super::tally::Tally;
use crate::ledger::is_arriving_blob;

/// Receives one stream and gives the answer to it, which does not wait for blobs that are still being written.
pub(super) async fn receive<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    pool: &Pool,
    udid: &Udid,
    tally: &mut Tally,
    owed: &mut Owed,
) -> Result<StatusResponse, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let mut decoder = UploadDecoder::new();
    let mut incoming = Incoming {
        pool,
        outbox: pool.outbox(),
        udid,
        tally,
        owed,
        file: None,
        waits: false,
    };
    loop {
        // What is here already is not waited for; it is bounded by the link's buffer.
        if link.unread().is_empty() {
            attendant.during(BETWEEN, link.fill()).await?;
        }
        let (taken, event) = decoder
            .next(link.unread())
            .map_err(|e| Stop::Protocol(e.to_string()))?;
        match event {
            None => {}
            Some(UploadEvent::FileStart {
                device_path,
                dest_path,
            }) => incoming.start(&device_path, &dest_path, attendant).await?,
            Some(UploadEvent::Data(data)) => {
                attendant.received(data.len() as u64);
                incoming.data(data, attendant).await?;
            }
            Some(UploadEvent::FileEnd { code, message }) => {
                if code == StatusCode::Ok {
                    attendant.file_whole();
                }
                incoming.end(code, &message, attendant).await?;
            }
            Some(UploadEvent::StreamEnd) => {
                link.take(taken);
                attendant.tell();
                return incoming.answer(attendant).await;
            }
        }
        link.take(taken);
    }
}

struct Incoming<'a> {
    pool: &'a Pool,
    outbox: Outbox<'a>,
    udid: &'a Udid,
    tally: &'a mut Tally,
    owed: &'a mut Owed,
    file: Option<File>,
    /// The answer waits until everything is written.
    waits: bool,
}

/// The file that arrives.
struct File {
    place: String,
    worker: WorkerId,
    start: Option<Start>,
    piece: Vec<u8>,
}

impl Incoming<'_> {
    async fn start<N>(
        &mut self,
        device_path: &WirePath,
        dest_path: &WirePath,
        attendant: &mut Attendant<N>,
    ) -> Result<(), Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        self.file = None;
        let key = device_path.key().into_owned();
        let refused = match dest_path.resolve(self.udid.as_str()) {
            Ok(path) if path.is_folder_itself() => "the path is the folder itself".to_owned(),
            Ok(path) => {
                let inside = path.inside().to_owned();
                if self.goes_before(&inside, attendant).await? {
                    self.file = Some(File {
                        place: inside.clone(),
                        worker: self.pool.pick(&inside),
                        start: Some(Start { inside, key }),
                        piece: self.pool.buffer(),
                    });
                    return Ok(());
                }
                "a file before it could not be written".to_owned()
            }
            Err(e) => e.to_string(),
        };
        if self.tally.logs_oddity() {
            tracing::warn!(why = refused, "a file from the phone was refused");
        }
        self.tally
            .refused(&dest_path.key(), StatusCode::Generic, &refused);
        self.owed.push(key, StatusCode::Generic, refused);
        Ok(())
    }

    /// Whether all that must be on the disk before this file is there.
    async fn goes_before<N>(
        &mut self,
        inside: &str,
        attendant: &mut Attendant<N>,
    ) -> Result<bool, Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        if is_arriving_blob(inside) {
            return Ok(true);
        }
        self.waits = true;
        self.settle(attendant).await?;
        Ok(self.owed.is_empty())
    }

    async fn data<N>(&mut self, mut data: &[u8], attendant: &mut Attendant<N>) -> Result<(), Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        while !data.is_empty() {
            let room = PIECE.saturating_sub(file.piece.len());
            let (now, later) = data.split_at_checked(room).unwrap_or((data, &[]));
            file.piece.extend_from_slice(now);
            data = later;
            if file.piece.len() >= PIECE {
                let full = std::mem::replace(&mut file.piece, self.pool.buffer());
                let piece = Piece {
                    start: file.start.take(),
                    data: full,
                    end: None,
                };
                on_disk(attendant, self.outbox.put(file.worker, piece)).await?;
            }
        }
        Ok(())
    }

    async fn end<N>(
        &mut self,
        code: StatusCode,
        words: &str,
        attendant: &mut Attendant<N>,
    ) -> Result<(), Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let end = if code == StatusCode::Ok {
            self.tally.device_sent(&file.place);
            self.tally.status_written |= file.place == "Status.plist";
            End::Whole
        } else {
            // The phone knows, and tries once more by itself (9.7).
            self.tally.device_failed(&file.place, code, words);
            End::Broken
        };
        if end == End::Broken && file.start.is_some() {
            return Ok(());
        }
        let piece = Piece {
            start: file.start,
            data: file.piece,
            end: Some(end),
        };
        on_disk(attendant, self.outbox.put(file.worker, piece)).await
    }

    async fn settle<N>(&mut self, attendant: &mut Attendant<N>) -> Result<(), Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        on_disk(attendant, self.outbox.flush()).await?;
        self.owed.settle(self.pool, attendant, self.tally).await
    }

    async fn answer<N>(mut self, attendant: &mut Attendant<N>) -> Result<StatusResponse, Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        if self.waits {
            self.settle(attendant).await?;
        } else {
            on_disk(attendant, self.outbox.flush()).await?;
            self.owed.hear(self.pool, self.tally);
        }
        Ok(self.owed.answer())
    }
}
