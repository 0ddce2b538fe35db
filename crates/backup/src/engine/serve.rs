//! Files to the phone: the stream that answers `DLMessageDownloadFiles`, in frames of 32 KiB because the phone holds a whole
//! one in memory (protocol.md 8.4).

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use backupwatch_core::Udid;
use backupwatch_wire::devicelink::download::{
    CHUNK, FILE_OK, STREAM_END, put_file_end, put_file_start,
};
use backupwatch_wire::devicelink::stream::{DATA_HEADER, data_header};
use backupwatch_wire::devicelink::{ItemError, StatusCode, StatusResponse};
use backupwatch_wire::path::DevicePath;
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::{Attendant, BETWEEN};
use super::blocking;
use super::link::Link;
use super::stop::Stop;
use super::tally::Tally;
use crate::disk::Reading;
use crate::jail::Jail;

/// Frames that are read from the disk and sent at a time.
const FRAMES: usize = 4;

/// Sends the files one after the other, and gives the answer that follows.
pub(super) async fn serve<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    tree: &Arc<Jail>,
    udid: &Udid,
    paths: &[String],
    tally: &mut Tally,
) -> Result<StatusResponse, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    link.begin_stream();
    let mut errors = Vec::new();
    let mut buffer = Vec::new();
    for path in paths {
        let mut head = Vec::new();
        put_file_start(path, &mut head);
        attendant.during(BETWEEN, link.write(&head)).await?;
        let (code, text) = match open(tree, udid, path, tally).await? {
            Ok(file) => {
                let (back, done) = send(link, attendant, file, buffer).await?;
                buffer = back;
                match done {
                    Ok(()) => {
                        attendant.during(BETWEEN, link.write(&FILE_OK)).await?;
                        continue;
                    }
                    Err(e) => (StatusCode::from_io(&e), e.to_string()),
                }
            }
            Err((code, text)) => (code, text),
        };
        let mut tail = Vec::new();
        put_file_end(code, &text, &mut tail);
        attendant.during(BETWEEN, link.write(&tail)).await?;
        errors.push(ItemError {
            path: path.clone(),
            code,
            text,
        });
    }
    attendant.during(BETWEEN, link.write(&STREAM_END)).await?;
    link.end_stream();
    Ok(StatusResponse::of_items(&errors))
}

async fn open(
    tree: &Arc<Jail>,
    udid: &Udid,
    path: &str,
    tally: &mut Tally,
) -> Result<Result<File, (StatusCode, String)>, Stop> {
    let parsed = match DevicePath::parse(path, udid.as_str()) {
        Ok(parsed) => parsed,
        Err(e) => {
            tally.refused(path, StatusCode::Generic, &e.to_string());
            return Ok(Err((StatusCode::Generic, e.to_string())));
        }
    };
    let tree = Arc::clone(tree);
    blocking(move || {
        tree.open_file(parsed.inside()).map_err(|errno| {
            let e = io::Error::from(errno);
            let code = StatusCode::from_io(&e);
            (code, code.words().to_owned())
        })
    })
    .await
}

/// Sends a file's content. What fails on this computer is the inner result; the buffer comes back to be used again.
async fn send<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    mut file: File,
    mut buffer: Vec<u8>,
) -> Result<(Vec<u8>, io::Result<()>), Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let (back, read);
        (file, back, read) = blocking(move || {
            let read = read_frames(&file, &mut buffer);
            (file, buffer, read)
        })
        .await?;
        buffer = back;
        match read {
            Ok(()) if buffer.is_empty() => return Ok((buffer, Ok(()))),
            Ok(()) => attendant.during(BETWEEN, link.write(&buffer)).await?,
            Err(e) => return Ok((buffer, Err(e))),
        }
    }
}

/// Fills the buffer with the next frames of a file; leaves it empty at the end.
fn read_frames(file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    for _ in 0..FRAMES {
        let header_at = buffer.len();
        buffer.extend_from_slice(&[0; DATA_HEADER]);
        let read = Reading(file).take(CHUNK as u64).read_to_end(buffer)?;
        if read == 0 {
            buffer.truncate(header_at);
            return Ok(());
        }
        for (slot, byte) in buffer.iter_mut().skip(header_at).zip(data_header(read)) {
            *slot = byte;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn checklist_30_frames_to_the_phone_hold_32_kib() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 100_000]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut buffer = Vec::new();
        read_frames(&file, &mut buffer).unwrap();
        let mut lengths = Vec::new();
        let mut rest = buffer.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<DATA_HEADER>() {
            let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            assert_eq!(head[4], 0x0C);
            lengths.push(len - 1);
            rest = &after[len - 1..];
        }
        assert_eq!(lengths, [32768, 32768, 32768, 1696]);
        read_frames(&file, &mut buffer).unwrap();
        assert!(buffer.is_empty());
    }
}
