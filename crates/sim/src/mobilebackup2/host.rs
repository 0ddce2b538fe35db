//! The phone's questions to the host, one function each, with what the phone makes of every answer (protocol.md 8.6).

use std::io::Write as _;

use backupwatch_wire::devicelink::download::{CHUNK, DownloadDecoder, DownloadEvent};
use backupwatch_wire::devicelink::{DeviceMessage, ItemError, Listing, StatusCode, StatusResponse};
use backupwatch_wire::mobilebackup2::MbError;

use tokio::io::{AsyncRead, AsyncWrite};

use super::link::{End, Link};

/// Why an operation does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The connection is over.
    End(End),
    /// The operation failed, and the host is to be told.
    Failed { code: MbError, text: String },
    /// The operation is over without a word more.
    Over,
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Stop {
    pub fn failed(code: MbError, text: impl Into<String>) -> Self {
        Self::Failed {
            code,
            text: text.into(),
        }
    }

    /// What a bare failure of a whole message does to a backup.
    pub fn of_status(status: &StatusResponse, doing: &str) -> Self {
        let code = MbError::of_status(status.code).unwrap_or(MbError::GENERIC);
        let text = if status.text.is_empty() {
            status.code.words()
        } else {
            &status.text
        };
        Self::failed(code, format!("Error {doing}: {text}"))
    }
}

/// A status file or a manifest's properties are small; more than this is no such file.
const SMALL_FILE: usize = 64 << 20;
/// Files that may be missing from a move: on resuming they may have been moved already.
const MAY_BE_MOVED: [&str; 2] = ["Manifest.plist", "Manifest.db"];

/// What became of one downloaded path.
pub type Fetched<T> = Result<T, StatusCode>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    async fn ask(&mut self, message: &DeviceMessage) -> Result<StatusResponse, Stop> {
        self.send(message).await?;
        Ok(self.status().await?)
    }

    /// A directory of the host's. Missing ones are empty (the field-proven answer) or not found.
    pub async fn list(&mut self, path: &str) -> Result<Fetched<Listing>, Stop> {
        let status = self
            .ask(&DeviceMessage::ContentsOfDirectory {
                path: path.to_owned(),
            })
            .await?;
        if status.code != StatusCode::Ok {
            return Ok(Err(status.code));
        }
        match Listing::from_value(&status.value) {
            Some(listing) => Ok(Ok(listing)),
            None => {
                self.violation("a listing that is no dictionary");
                Ok(Err(StatusCode::Generic))
            }
        }
    }

    pub async fn create_directory(&mut self, path: String) -> Result<(), Stop> {
        let status = self.ask(&DeviceMessage::CreateDirectory { path }).await?;
        if matches!(status.code, StatusCode::Ok | StatusCode::Exists) {
            return Ok(());
        }
        Err(Stop::of_status(&status, "creating directory"))
    }

    /// Free bytes on the host; nothing when the host cannot say, and then the check is skipped.
    pub async fn free_space(&mut self) -> Result<Option<u64>, Stop> {
        let status = self.ask(&DeviceMessage::GetFreeDiskSpace).await?;
        if status.code != StatusCode::Ok {
            return Ok(None);
        }
        let bytes = status.value.as_unsigned_integer();
        if bytes.is_none() {
            self.violation("free space that is no number");
        }
        Ok(bytes)
    }

    /// Asks the host to make room. True when it says that it has.
    pub async fn purge(&mut self, bytes: u64) -> Result<bool, Stop> {
        let status = self
            .ask(&DeviceMessage::PurgeDiskSpace {
                bytes,
                urgency: Some(4),
            })
            .await?;
        Ok(status.code == StatusCode::Ok)
    }

    pub async fn move_items(&mut self, items: Vec<(String, String)>) -> Result<(), Stop> {
        let status = self
            .ask(&DeviceMessage::MoveItems {
                items,
                progress: Some(self.progress),
            })
            .await?;
        if !matches!(status.code, StatusCode::Ok | StatusCode::Multi) {
            return Err(Stop::of_status(&status, "moving items"));
        }
        let tolerated = |path: &str| MAY_BE_MOVED.iter().any(|name| path.ends_with(name));
        let fatal =
            |error: &ItemError| error.code != StatusCode::NotFound || !tolerated(&error.path);
        match status.item_errors().into_iter().find(fatal) {
            Some(error) => {
                let code = MbError::of_status(error.code).unwrap_or(MbError::MULTIPLE);
                Err(Stop::failed(
                    code,
                    format!("Error moving items: {}", error.text),
                ))
            }
            None => Ok(()),
        }
    }

    pub async fn remove_items(&mut self, paths: Vec<String>) -> Result<(), Stop> {
        let status = self
            .ask(&DeviceMessage::RemoveItems {
                paths,
                progress: Some(self.progress),
            })
            .await?;
        // Per-path errors are remembered by the host's files, not by the phone: the verification pass will see.
        if matches!(status.code, StatusCode::Ok | StatusCode::Multi) {
            return Ok(());
        }
        Err(Stop::of_status(&status, "removing items"))
    }

    /// Reads files back from the host. `sink` gets the bytes as they come, with the number of their path.
    pub async fn download(
        &mut self,
        paths: &[String],
        sink: &mut (dyn FnMut(usize, &[u8]) + Send),
    ) -> Result<Vec<Fetched<()>>, Stop> {
        let message = DeviceMessage::DownloadFiles {
            paths: paths.to_vec(),
            progress: Some(self.progress),
            size: None,
        };
        self.send(&message).await?;
        let mut decoder = DownloadDecoder::new();
        let mut results: Vec<Option<Fetched<()>>> = vec![None; paths.len()];
        let (mut current, mut wrong) = (0, None);
        let mut begun = false;
        while !decoder.is_done() {
            let input = self.unread().await?;
            let (taken, event) = match decoder.next(input) {
                Ok(next) => next,
                Err(error) => {
                    self.violation(format!("a download stream that is none: {error}"));
                    return Err(End::Died.into());
                }
            };
            let starts = matches!(event, Some(DownloadEvent::FileStart { .. }));
            match event {
                Some(DownloadEvent::FileStart { path }) => {
                    match paths.iter().position(|asked| *asked == path.key()) {
                        Some(index) => current = index,
                        // The host hung up before it saw the question; the two crossed on their way.
                        None if !begun && self.is_goodbye(path.as_bytes()) => {
                            return Err(End::Disconnected.into());
                        }
                        None => wrong = Some(path.key().into_owned()),
                    }
                }
                Some(DownloadEvent::Data(data)) if wrong.is_none() => sink(current, data),
                Some(DownloadEvent::Data(_)) => {}
                Some(DownloadEvent::FileEnd { code, .. }) => {
                    let result = if code == StatusCode::Ok {
                        Ok(())
                    } else {
                        Err(code)
                    };
                    if let (None, Some(slot)) = (&wrong, results.get_mut(current)) {
                        *slot = Some(result);
                    }
                }
                Some(DownloadEvent::StreamEnd) | None => {}
            }
            begun |= starts;
            self.take(taken);
            if let Some(path) = wrong.take() {
                self.violation(format!("the download of {path:?}, which was not asked for"));
                return Err(End::Died.into());
            }
        }
        let longest = usize::try_from(decoder.longest_frame()).unwrap_or(usize::MAX);
        if longest > CHUNK {
            // The backup agent holds a whole frame and is killed for large ones (PMD3#1857); this one only complains.
            self.violation(format!("a frame of {longest} bytes, more than {CHUNK}"));
        }
        let status = self.status().await?;
        let errors = status.item_errors();
        let named = |path: &String| {
            errors
                .iter()
                .find(|error| error.path == *path)
                .map(|error| error.code)
        };
        let absent = if matches!(status.code, StatusCode::Ok | StatusCode::Multi) {
            StatusCode::NotFound
        } else {
            status.code
        };
        Ok(paths
            .iter()
            .zip(results)
            .map(|(path, result)| result.unwrap_or_else(|| Err(named(path).unwrap_or(absent))))
            .collect())
    }

    /// A small file as bytes.
    pub async fn download_bytes(&mut self, path: String) -> Result<Fetched<Vec<u8>>, Stop> {
        let mut bytes = Vec::new();
        let mut sink = |_: usize, data: &[u8]| {
            if bytes.len() + data.len() <= SMALL_FILE {
                bytes.extend_from_slice(data);
            }
        };
        let results = self.download(&[path], &mut sink).await?;
        Ok(results
            .into_iter()
            .next()
            .unwrap_or(Err(StatusCode::NotFound))
            .map(|()| bytes))
    }

    /// A file of any size, into a local one.
    pub async fn download_file(
        &mut self,
        path: String,
        to: &std::path::Path,
    ) -> Result<Fetched<()>, Stop> {
        let local = |error: std::io::Error| {
            Stop::failed(MbError::IO, format!("the simulator's own disk: {error}"))
        };
        let mut file = std::fs::File::create(to).map_err(local)?;
        let mut written = Ok(());
        let mut sink = |_: usize, data: &[u8]| {
            if written.is_ok() {
                written = file.write_all(data);
            }
        };
        let results = self.download(&[path], &mut sink).await?;
        written.map_err(local)?;
        Ok(results
            .into_iter()
            .next()
            .unwrap_or(Err(StatusCode::NotFound)))
    }
}
