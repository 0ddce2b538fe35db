//! What the phone finds on the host before it decides: a finished backup to build on, an unfinished one to resume, or
//! nothing (protocol.md 9.7 steps 3 and 4, 9.8).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backupwatch_wire::devicelink::StatusCode;
use backupwatch_wire::mobilebackup2::MbError;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use super::host::{Fetched, Stop};
use super::link::Link;
use super::side::{Keys, Snapshot};
use crate::contents::noise;
use crate::keybag::Key;
use crate::manifest::{self, Phase, Properties, PropertiesError, Status, StatusError};
use crate::seal::Opener;

/// The digest of a row's archive; rows of unchanged files are equal to the byte.
pub type RowDigest = u64;

#[must_use]
pub fn digest(blob: &[u8]) -> RowDigest {
    noise::subkey(0, blob)
}

/// Files of a manifest on the host: name of the blob to digest of the row.
pub type Files = BTreeMap<String, RowDigest>;

/// How a backup begins.
#[derive(Debug)]
pub enum Begin {
    Full,
    Incremental {
        date: Timestamp,
        files: Files,
    },
    /// The phone still has the snapshot; `Snapshot/` on the host may hold files of it.
    Resume(Arc<Snapshot>),
    /// Everything is on the host, and only in the wrong place.
    FinishMoves(Status),
    /// A backup was interrupted whose snapshot the phone no longer has.
    Restart {
        then: Box<Begin>,
    },
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    /// Looks at the host's folder and decides.
    pub async fn begin(&mut self, keys: &Keys, scratch: &Path) -> Result<Begin, Stop> {
        let udid = self.phone.udid().to_owned();
        let bytes = match self.download_bytes(format!("{udid}/Status.plist")).await? {
            Ok(bytes) => bytes,
            Err(StatusCode::NotFound) => return Ok(Begin::Full),
            Err(code) => {
                return Err(Stop::failed(
                    MbError::HOST_READ,
                    format!("Error reading backup status: {}", code.words()),
                ));
            }
        };
        let status = match Status::parse(&bytes) {
            Ok(status) => status,
            Err(error @ StatusError::Version(_)) => {
                return Err(Stop::failed(
                    MbError::UNSUPPORTED_VERSION,
                    format!("Error reading backup status: {error}"),
                ));
            }
            Err(error) => {
                return Err(Stop::failed(
                    MbError::CORRUPT,
                    format!("Error reading backup status: {error}"),
                ));
            }
        };
        match status.phase {
            // No phone leaves this behind; PMD3 seeds it to ask for a full backup, and with a Manifest.plist of no
            // bytes beside it that works on real phones, while LIM#1582 shows 205 where the flag is not set.
            Phase::Finished if status.full => Ok(Begin::Full),
            Phase::Finished => self.build_on(keys, scratch).await,
            Phase::Uploading => {
                let pending = self
                    .side()
                    .pending()
                    .filter(|snapshot| snapshot.status.uuid == status.uuid);
                match pending.filter(|_| !self.side().faults().forget_snapshot) {
                    Some(snapshot) => Ok(Begin::Resume(snapshot)),
                    None if status.full => Ok(Begin::Restart {
                        then: Box::new(Begin::Full),
                    }),
                    None => Ok(Begin::Restart {
                        then: Box::new(self.build_on(keys, scratch).await?),
                    }),
                }
            }
            Phase::Moving | Phase::Removing => Ok(Begin::FinishMoves(status)),
        }
    }

    /// Reads the manifests of a finished backup; anything that does not fit means a full one, without a word.
    async fn build_on(&mut self, keys: &Keys, scratch: &Path) -> Result<Begin, Stop> {
        let (properties, db) = self.fetch_manifest("", scratch).await?;
        if properties.encrypted != keys.secrets.is_some() {
            return Ok(Begin::Full);
        }
        let key = match &keys.password {
            None => None,
            Some(password) => {
                let (parsed, password) = (properties.clone(), password.clone());
                match tokio::task::spawn_blocking(move || parsed.unlock(&password)).await {
                    Ok(Ok((_, key))) => Some(key),
                    Ok(Err(_)) => return Ok(Begin::Full),
                    Err(error) => return Err(Stop::failed(MbError::GENERIC, error.to_string())),
                }
            }
        };
        match db {
            Ok(()) => {}
            // Whether a real phone says 205 here is not known; it has a way out, and takes it.
            Err(_) => return Ok(Begin::Full),
        }
        let path = scratch.join("Manifest.db");
        let Ok(files) = files_of(path, key).await else {
            return Ok(Begin::Full);
        };
        for (folder, present) in self.list_folders("").await? {
            let present = present.map_err(|code| {
                Stop::failed(
                    MbError::HOST_READ,
                    format!("Error listing backup directory: {}", code.words()),
                )
            })?;
            if in_folder(&files, &folder).any(|id| !present.contains_key(id)) {
                return Ok(Begin::Full);
            }
        }
        Ok(Begin::Incremental {
            date: properties.date,
            files,
        })
    }

    /// `Manifest.plist` and `Manifest.db` below `folder` ("" or "Snapshot/"), the second into the scratch directory.
    pub async fn fetch_manifest(
        &mut self,
        folder: &str,
        scratch: &Path,
    ) -> Result<(Properties, Fetched<()>), Stop> {
        let udid = self.phone.udid().to_owned();
        self.fetch_manifest_of(&udid, folder, scratch).await
    }

    /// The same of the backup of another phone, as a restore may ask for it.
    pub async fn fetch_manifest_of(
        &mut self,
        udid: &str,
        folder: &str,
        scratch: &Path,
    ) -> Result<(Properties, Fetched<()>), Stop> {
        let base = format!("{udid}/{folder}");
        let unreadable = |why: String| {
            Stop::failed(
                MbError::CORRUPT,
                format!(
                    "Error reading backup properties (MBErrorDomain/205). Underlying error: {why}"
                ),
            )
        };
        let path = format!("{base}Manifest.plist");
        let bytes = match self.download_bytes(path.clone()).await? {
            Ok(bytes) => bytes,
            Err(StatusCode::NotFound) => {
                return Err(unreadable(format!(
                    "No such file or directory at path \"{path}\" (MBErrorDomain/4)"
                )));
            }
            Err(code) => {
                return Err(Stop::failed(
                    MbError::HOST_READ,
                    format!("Error reading backup properties: {}", code.words()),
                ));
            }
        };
        let properties = Properties::parse(&bytes).map_err(|error| match error {
            PropertiesError::Empty => {
                unreadable("Error deserializing properties: Cannot parse a NULL or zero-length data (MBErrorDomain/11)".to_owned())
            }
            PropertiesError::Plist | PropertiesError::Missing(_) | PropertiesError::Keys(_) => unreadable(error.to_string()),
        })?;
        let db = self
            .download_file(format!("{base}Manifest.db"), &scratch.join("Manifest.db"))
            .await?;
        Ok((properties, db))
    }

    /// The folders for blobs below `folder`: their names, and names and sizes of what is in them.
    pub async fn list_folders(
        &mut self,
        folder: &str,
    ) -> Result<Vec<(String, Result<BTreeMap<String, u64>, StatusCode>)>, Stop> {
        let udid = self.phone.udid().to_owned();
        let mut out = Vec::with_capacity(256);
        for prefix in prefixes(self.phone.persona().backup.folders) {
            let listing = self.list(&format!("{udid}/{folder}{prefix}")).await?;
            let files = listing.map(|listing| {
                listing
                    .0
                    .into_iter()
                    .map(|(name, info)| (name, info.size))
                    .collect()
            });
            out.push((prefix, files));
        }
        Ok(out)
    }
}

/// The names of the blobs that belong into one of the folders.
pub fn in_folder<'a>(files: &'a Files, folder: &'a str) -> impl Iterator<Item = &'a String> {
    let from = files.range(folder.to_owned()..).map(|(id, _)| id);
    from.take_while(move |id| id.starts_with(folder))
}

/// "00" to "ff", or as many of them.
pub fn prefixes(folders: u16) -> impl Iterator<Item = String> {
    (0..folders.min(256)).map(|byte| format!("{byte:02x}"))
}

/// The files of a downloaded manifest, decrypted first when there is a key.
pub async fn files_of(path: std::path::PathBuf, key: Option<Key>) -> Result<Files, String> {
    let read = move || {
        if let Some(key) = key {
            open_in_place(&path, &key).map_err(|error| error.to_string())?;
        }
        let mut files = Files::new();
        let rows = manifest::read(&path).map_err(|error| error.to_string())?;
        rows.for_each_file(|id, row| {
            files.insert(id, digest(row));
        })
        .map_err(|error| error.to_string())?;
        Ok(files)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| error.to_string())?
}

/// Decrypts a downloaded `Manifest.db` where it lies.
pub fn open_in_place(path: &Path, key: &Key) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    let mut file = std::fs::File::options().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    let mut opener = Opener::new(key);
    let mut buffer = vec![0; 1 << 20];
    let (mut at, mut padding) = (0, None);
    while at < len {
        let count = usize::try_from(len - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let piece = buffer.get_mut(..count).unwrap_or_default();
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(piece)?;
        opener.update(piece);
        padding = crate::seal::padding(piece);
        file.seek(SeekFrom::Start(at))?;
        file.write_all(piece)?;
        at += count as u64;
    }
    let padding = padding.ok_or(std::io::ErrorKind::InvalidData)?;
    file.set_len(len.saturating_sub(padding as u64))
}
