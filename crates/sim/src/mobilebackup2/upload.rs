//! Files to the host: content is generated, encrypted and framed in one buffer, and goes out in large writes.

use std::io::{self, Read as _};
use std::path::Path;

use backupwatch_wire::devicelink::stream::DATA_HEADER;
use backupwatch_wire::devicelink::upload::{STREAM_END, data_header, put_file_end, put_file_start};
use backupwatch_wire::devicelink::{DeviceMessage, StatusCode};
use backupwatch_wire::mobilebackup2::MbError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::host::Stop;
use super::link::{End, Link};
use crate::contents::Item;
use crate::faults::FileFault;
use crate::keybag::Key;
use crate::seal::{BLOCK, Sealer, sealed_len};

/// One write to the host; large enough that the calls do not count.
const ASSEMBLY: usize = 1 << 20;

/// One file of a batch.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The key of per-file errors.
    pub device_path: String,
    pub destination: String,
    pub source: Source<'a>,
    pub fault: Option<&'a FileFault>,
}

#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    Item(&'a Item),
    Bytes(&'a [u8]),
    File(&'a Path),
    SealedItem(&'a Item, &'a Key),
    SealedFile(&'a Path, &'a Key),
}

impl Source<'_> {
    /// Length of the blob on the host.
    pub fn len(&self) -> io::Result<u64> {
        Ok(match self {
            Self::Item(item) => item.size(),
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(path) => path.metadata()?.len(),
            Self::SealedItem(item, _) => sealed_len(item.size()),
            Self::SealedFile(path, _) => sealed_len(path.metadata()?.len()),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    /// Sends a batch. The result has, for each file, what the phone makes of its fate.
    pub async fn upload(&mut self, batch: &[Upload<'_>]) -> Result<Vec<Option<MbError>>, Stop> {
        let mut total: u64 = 0;
        for file in batch {
            total = total.saturating_add(file.source.len().map_err(local)?);
        }
        self.send(&DeviceMessage::UploadFiles {
            progress: Some(self.progress),
            total: Some(total),
        })
        .await?;

        let mut out = Assembly::new(std::mem::take(&mut self.assembly));
        let mut results = Vec::with_capacity(batch.len());
        for file in batch {
            results.push(self.upload_one(&mut out, file).await?);
        }
        out.put(&STREAM_END);
        self.write(out.bytes()).await?;
        self.flush().await?;
        self.assembly = out.buffer;

        let status = self.status().await?;
        if status.code == StatusCode::NoSpace {
            return Err(Stop::failed(MbError::NO_SPACE, "No space left on host"));
        }
        if !matches!(status.code, StatusCode::Ok | StatusCode::Multi) {
            let text = format!("Error uploading files: {}", status.text);
            return Err(Stop::failed(MbError::UPLOAD, text));
        }
        for error in status.item_errors() {
            let at = batch.iter().position(|file| file.device_path == error.path);
            let Some(slot) = at.and_then(|at| results.get_mut(at)) else {
                // The agent looks results up by the device-side path and asserts on an unknown one.
                self.violation(format!(
                    "a result for {:?}, which was not in the batch",
                    error.path
                ));
                return Err(End::Died.into());
            };
            *slot = MbError::of_status(error.code);
        }
        Ok(results)
    }

    async fn upload_one(
        &mut self,
        out: &mut Assembly,
        file: &Upload<'_>,
    ) -> Result<Option<MbError>, Stop> {
        let frame = self.phone.persona().backup.frame.clamp(BLOCK, ASSEMBLY / 2) / BLOCK * BLOCK;
        let mut head = Vec::with_capacity(256);
        put_file_start(&file.device_path, &file.destination, &mut head);
        self.put(out, &head).await?;

        let mut reader = Reader::new(file.source).map_err(local)?;
        let mut left = reader
            .left
            .min(file.fault.map_or(u64::MAX, |fault| fault.after));
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(frame);
            if out.room() < len + DATA_HEADER {
                self.write(out.bytes()).await?;
                out.clear();
            }
            out.put(&data_header(len));
            reader.fill(out.space(len)).map_err(local)?;
            left -= len as u64;
        }
        let mut tail = Vec::new();
        let result = match file.fault {
            None => {
                put_file_end(StatusCode::Ok, "", &mut tail);
                None
            }
            Some(fault) => {
                let code = StatusCode::from_final_byte(fault.code);
                put_file_end(code, &fault.message, &mut tail);
                MbError::of_status(code)
            }
        };
        self.put(out, &tail).await?;
        Ok(result)
    }

    async fn put(&mut self, out: &mut Assembly, bytes: &[u8]) -> Result<(), End> {
        if out.room() < bytes.len() {
            self.write(out.bytes()).await?;
            out.clear();
        }
        out.put(bytes);
        Ok(())
    }
}

fn local(error: io::Error) -> Stop {
    Stop::failed(MbError::IO, format!("the simulator's own disk: {error}"))
}

/// Bytes on their way out, in a buffer that is used again.
struct Assembly {
    buffer: Vec<u8>,
    len: usize,
}

impl Assembly {
    fn new(mut buffer: Vec<u8>) -> Self {
        buffer.resize(ASSEMBLY, 0);
        Self { buffer, len: 0 }
    }

    fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// The next `len` bytes, to be filled.
    fn space(&mut self, len: usize) -> &mut [u8] {
        let start = self.len;
        self.len = (start + len).min(self.buffer.len());
        self.buffer.get_mut(start..self.len).unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.space(bytes.len()).iter_mut().zip(bytes) {
            *to = *from;
        }
    }
}

/// Reads a source in pieces; all but the last are of whole blocks when it is sealed.
struct Reader<'a> {
    source: Source<'a>,
    file: Option<std::fs::File>,
    sealer: Option<Sealer>,
    /// Bytes of the blob that are still to come.
    left: u64,
    /// Of those, how many are content and not padding.
    plain: u64,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn new(source: Source<'a>) -> io::Result<Self> {
        let left = source.len()?;
        let (file, sealer, plain) = match source {
            Source::Item(_) | Source::Bytes(_) => (None, None, left),
            Source::File(path) => (Some(std::fs::File::open(path)?), None, left),
            Source::SealedItem(item, key) => (None, Some(Sealer::new(key)), item.size()),
            Source::SealedFile(path, key) => (
                Some(std::fs::File::open(path)?),
                Some(Sealer::new(key)),
                path.metadata()?.len(),
            ),
        };
        Ok(Self {
            source,
            file,
            sealer,
            left,
            plain,
            offset: 0,
        })
    }

    fn fill(&mut self, out: &mut [u8]) -> io::Result<()> {
        let content = usize::try_from(self.plain)
            .unwrap_or(usize::MAX)
            .min(out.len());
        let (plain, padding) = out
            .split_at_mut_checked(content)
            .ok_or(io::ErrorKind::InvalidInput)?;
        match (&mut self.file, self.source) {
            (Some(file), _) => file.read_exact(plain)?,
            (None, Source::Item(item) | Source::SealedItem(item, _)) => {
                item.read(self.offset, plain)
            }
            (None, Source::Bytes(bytes)) => {
                let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
                for (to, from) in plain.iter_mut().zip(bytes.iter().skip(skip)) {
                    *to = *from;
                }
            }
            (None, Source::File(_) | Source::SealedFile(..)) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        self.plain -= content as u64;
        self.offset += content as u64;
        self.left = self.left.saturating_sub((content + padding.len()) as u64);
        if let Some(sealer) = &mut self.sealer {
            padding.fill(u8::try_from(BLOCK - content % BLOCK).unwrap_or(0));
            sealer.update(out);
        }
        Ok(())
    }
}
