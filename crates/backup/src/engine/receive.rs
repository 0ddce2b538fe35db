//! Files from the phone: the stream after `DLMessageUploadFiles`, read to its end whatever happens to single files
//! (protocol.md 8.4, 9.7).

use backupwatch_core::Udid;
use backupwatch_wire::devicelink::{
    ItemError, StatusCode, StatusResponse, UploadDecoder, UploadEvent, WirePath,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::{Attendant, BETWEEN};
use super::link::Link;
use super::pool::{End, Outbox, PIECE, Piece, Pool, Start, WorkerId};
use super::stop::Stop;
use super::tally::Tally;

/// Item errors in one answer. More than that is no batch of a phone's, and the answer is one error for all.
const MAX_ERRORS: usize = 4096;

/// Receives one stream and gives the answer to it.
pub(super) async fn receive<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    pool: &Pool,
    udid: &Udid,
    tally: &mut Tally,
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
        errors: Errors::default(),
        file: None,
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
            }) => incoming.start(&device_path, &dest_path),
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
                return incoming.settle(attendant).await;
            }
        }
        link.take(taken);
    }
}

#[derive(Default)]
struct Errors {
    items: Vec<ItemError>,
    lost: bool,
}

impl Errors {
    fn push(&mut self, key: String, code: StatusCode, text: String) {
        if self.items.len() < MAX_ERRORS {
            self.items.push(ItemError {
                path: key,
                code,
                text,
            });
        } else {
            self.lost = true;
        }
    }
}

struct Incoming<'a> {
    pool: &'a Pool,
    outbox: Outbox<'a>,
    udid: &'a Udid,
    tally: &'a mut Tally,
    errors: Errors,
    file: Option<File>,
}

/// The file that arrives.
struct File {
    place: String,
    worker: WorkerId,
    start: Option<Start>,
    piece: Vec<u8>,
}

impl Incoming<'_> {
    fn start(&mut self, device_path: &WirePath, dest_path: &WirePath) {
        let key = device_path.key().into_owned();
        let refused = match dest_path.resolve(self.udid.as_str()) {
            Ok(path) if path.is_folder_itself() => "the path is the folder itself".to_owned(),
            Ok(path) => {
                let inside = path.inside().to_owned();
                self.file = Some(File {
                    place: inside.clone(),
                    worker: self.pool.pick(&inside),
                    start: Some(Start { inside, key }),
                    piece: self.pool.buffer(),
                });
                return;
            }
            Err(e) => e.to_string(),
        };
        if self.tally.logs_oddity() {
            tracing::warn!(why = refused, "a path from the phone was refused");
        }
        self.tally
            .refused(&dest_path.key(), StatusCode::Generic, &refused);
        self.errors.push(key, StatusCode::Generic, refused);
        self.file = None;
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
                put(&mut self.outbox, file.worker, piece, attendant).await?;
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
        put(&mut self.outbox, file.worker, piece, attendant).await
    }

    async fn settle<N>(mut self, attendant: &mut Attendant<N>) -> Result<StatusResponse, Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        let faults = attendant
            .during(BETWEEN, self.outbox.flush())
            .await
            .map_err(on_disk)?;
        self.errors.lost |= faults.lost > 0;
        for fault in faults.kept {
            let seen = &mut self.tally.seen;
            seen.trouble |= !is_about_names(fault.code);
            if fault.code == StatusCode::NoSpace {
                seen.disk_full = seen.disk_full.or_else(|| Some(self.pool.free()));
            }
            seen.host_error.get_or_insert_with(|| {
                format!("failed to write a file of the backup: {}", fault.text)
            });
            self.tally.refused(&fault.inside, fault.code, &fault.text);
            self.errors.push(fault.key, fault.code, fault.text);
        }
        if self.errors.lost {
            return Ok(StatusResponse::error(StatusCode::Generic));
        }
        Ok(StatusResponse::of_items(&self.errors.items))
    }
}

async fn put<N>(
    outbox: &mut Outbox<'_>,
    worker: WorkerId,
    piece: Piece,
    attendant: &mut Attendant<N>,
) -> Result<(), Stop>
where
    N: AsyncRead + AsyncWrite + Unpin,
{
    attendant
        .during(BETWEEN, outbox.put(worker, piece))
        .await
        .map_err(on_disk)
}

/// The same waits, but for this computer's disk and not for the phone.
fn on_disk(stop: Stop) -> Stop {
    match stop {
        Stop::Silent(limit) => Stop::Host(format!(
            "the disk took no data for {} minutes",
            limit.as_secs() / 60
        )),
        Stop::Unplugged => Stop::Internal("a writer thread broke".to_owned()),
        other @ (Stop::Cancelled
        | Stop::CancelledOnPhone
        | Stop::NoPasscode
        | Stop::Protocol(_)
        | Stop::Refused(_)
        | Stop::Busy
        | Stop::Open(_)
        | Stop::Store(_)
        | Stop::Host(_)
        | Stop::Internal(_)) => other,
    }
}

/// Whether a file could not be written for what is in the tree, and so could not be the next time.
fn is_about_names(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::NotFound
            | StatusCode::Exists
            | StatusCode::NotADirectory
            | StatusCode::IsADirectory
            | StatusCode::SymlinkLoop
    )
}
