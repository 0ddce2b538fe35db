//! What no honest phone sends as its log.

use std::io;

use backupwatch_wire::os_trace::{Level, Record, encode_record};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::persona::{LineRogue, TraceRogue};
use crate::phone::Phone;
use crate::phone::log::BACKUPD;

/// What rogue records and lines say.
const LIE: &str =
    "=cloud-backup= Backup failed: <script>alert(1)</script>Domain(99999999999999999999)";
const LONG: usize = 1 << 20;

/// Where a record, in its frame, has what is spoilt here (docs/protocol/oslog.md).
const LEVEL: usize = 5 + 68;
const MESSAGE_LEN: usize = 5 + 109;

pub(super) async fn trace(stream: &mut (impl AsyncWrite + Unpin), phone: &Phone) -> io::Result<()> {
    for rogue in &phone.persona().log.trace {
        match rogue {
            TraceRogue::UnknownLevel => stream.write_all(&spoilt(LEVEL, 0x42)).await?,
            TraceRogue::CutRecord => stream.write_all(b"\x02\x0a\x00\x00\x00too short.").await?,
            TraceRogue::WrongLengths => stream.write_all(&spoilt(MESSAGE_LEN + 1, 0xFF)).await?,
            TraceRogue::LongMessage => {
                let long = record(LIE.repeat(LONG / LIE.len()));
                stream.write_all(&encode_record(&long)).await?;
            }
            TraceRogue::HugeLength => stream.write_all(b"\x02\xff\xff\xff\xff").await?,
            TraceRogue::Rubbish => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
            TraceRogue::Endless => {
                let many = encode_record(&record(LIE.to_owned())).repeat(64);
                loop {
                    stream.write_all(&many).await?;
                }
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

pub(super) async fn lines(stream: &mut (impl AsyncWrite + Unpin), phone: &Phone) -> io::Result<()> {
    for rogue in &phone.persona().log.lines {
        match rogue {
            LineRogue::Rubbish => stream.write_all(b"\xff\xfe<Error>: ]]][[[\0").await?,
            LineRogue::Controls => {
                let line =
                    b"Nov 22 03:04:05 \x1b]0;x\x07 backupd[214] <Error>: \x1b[2J\\M-\\033[31m\n\0";
                stream.write_all(line).await?;
            }
            LineRogue::Long => {
                stream.write_all(&vec![b'x'; LONG]).await?;
                stream.write_all(b"\n\0").await?;
            }
            LineRogue::Endless => loop {
                stream.write_all(&[b'x'; 4096]).await?;
            },
        }
        stream.flush().await?;
    }
    Ok(())
}

fn record(message: String) -> Record {
    Record {
        pid: BACKUPD.pid,
        seconds: u64::MAX,
        micros: u32::MAX,
        level: Level::Error,
        process: BACKUPD.path.to_owned(),
        image: BACKUPD.path.to_owned(),
        message,
        subsystem: "com.apple.mobilebackup".to_owned(),
        category: String::new(),
    }
}

/// A record with one wrong byte.
fn spoilt(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = encode_record(&record(LIE.to_owned()));
    if let Some(hit) = bytes.get_mut(at) {
        *hit = byte;
    }
    bytes
}
