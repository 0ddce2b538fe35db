//! One file out of a finished tree, as the phone had it: the bytes of its blob, decrypted where the backup is encrypted.
//!
//! The name of a blob follows from where the file was on the phone, so that it is not there is known without the password.
//! Nothing is proved of the bytes here; what is in them is for whoever asks.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_core::Udid;
use rustix::io::Errno;

use super::keybag::{Keybag, Keys, NotOpened};
use super::manifest::{self, Looked, Manifest};
use super::plists::{self, Locks};
use super::reader::is_the_files;
use super::sealed::{self, Opener};
use super::{Password, VerifyError, VerifyReport};
use crate::disk;
use crate::jail::Jail;

/// A tree, and what is needed to look into it.
pub(crate) struct Tree<'a> {
    pub(crate) jail: &'a Jail,
    /// Where it is now.
    pub(crate) folder: &'a dyn Fn() -> io::Result<PathBuf>,
    pub(crate) udid: &'a Udid,
    /// Of an encrypted one.
    pub(crate) password: Option<&'a Password>,
    /// A folder of this user's own, with room for the decrypted manifest.
    pub(crate) scratch: &'a Path,
    pub(crate) stop: &'a Arc<AtomicBool>,
}

/// Why a file of a backup was not read. The message follows "failed to read it:".
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    #[error("it is not in the backup")]
    NotThere,
    #[error("the backup is encrypted, and its password was not given")]
    PasswordWanted,
    #[error("the password is not the one of this backup")]
    WrongPassword,
    /// It is there, but it is not what it should be.
    #[error("{0}")]
    Unreadable(&'static str),
    #[error("it was stopped")]
    Stopped,
    #[error(transparent)]
    Disk(VerifyError),
}

impl From<VerifyError> for NotRead {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Stopped => Self::Stopped,
            error @ (VerifyError::Io(_) | VerifyError::Scratch { .. } | VerifyError::Ledger(_)) => {
                Self::Disk(error)
            }
        }
    }
}

impl From<io::Error> for NotRead {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.into())
    }
}

const DAMAGED: NotRead = NotRead::Unreadable("the backup is damaged");
const TOO_LONG: NotRead = NotRead::Unreadable("it is longer than it can be");

/// The file of this id, if it has at most `max` bytes, and the one beside it, if that can be read likewise: a password is
/// tried once for both.
pub(crate) fn read(
    tree: &Tree<'_>,
    id: &str,
    beside: &str,
    max: usize,
) -> Result<(Vec<u8>, Option<Vec<u8>>), NotRead> {
    let mut report = VerifyReport::new();
    let locks = plists::check(tree.jail, tree.udid, &mut report)?;
    if report.wrong > 0 {
        return Err(DAMAGED);
    }
    let file = open(tree, id)?;
    let keys = if report.encrypted {
        let mut opened = unsealed(tree, &locks, &mut report)?;
        [opened.key_of(id)?, opened.key_of(beside).unwrap_or(None)]
    } else {
        [None, None]
    };
    let [key, key_beside] = keys;
    let bytes = contents(&file, key, max)?;
    let beside = open(tree, beside).and_then(|file| contents(&file, key_beside, max));
    Ok((bytes, beside.ok()))
}

fn open(tree: &Tree<'_>, id: &str) -> Result<File, NotRead> {
    let path = format!("{}/{id}", id.get(..2).unwrap_or_default());
    match tree.jail.open_file(&path) {
        Ok(file) => Ok(file),
        Err(Errno::NOENT) => Err(NotRead::NotThere),
        Err(e) if is_the_files(e) => Err(DAMAGED),
        Err(e) => Err(io::Error::from(e).into()),
    }
}

fn contents(file: &File, key: Option<Opener>, max: usize) -> Result<Vec<u8>, NotRead> {
    let most = sealed::sealed_len(max as u64, key.is_some());
    let mut bytes = Vec::new();
    disk::Reading(file).take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(TOO_LONG);
    }
    if let Some(mut opener) = key {
        opener.update(&mut bytes);
        let whole = (bytes.len() as u64).is_multiple_of(sealed::BLOCK);
        let padding = sealed::padding(&bytes).filter(|_| whole);
        let padding = padding.and_then(|padding| usize::try_from(padding).ok());
        let len = padding.and_then(|padding| bytes.len().checked_sub(padding));
        bytes.truncate(len.ok_or(NotRead::Unreadable("it does not decrypt"))?);
    }
    Ok(bytes)
}

/// An encrypted backup, opened with its password.
struct Unsealed {
    keys: Keys,
    manifest: Manifest,
}

fn unsealed(
    tree: &Tree<'_>,
    locks: &Locks,
    report: &mut VerifyReport,
) -> Result<Unsealed, NotRead> {
    let password = tree.password.ok_or(NotRead::PasswordWanted)?;
    let Some(Looked::Sealed(list)) = manifest::look(tree.jail, tree.folder, tree.stop, report)?
    else {
        return Err(DAMAGED);
    };
    let keys = unlock(locks, password, tree.stop)?;
    let key = keys.unwrap(&locks.manifest_key).map_err(|_| DAMAGED)?;
    let manifest = sealed::open_manifest(list, &key, tree.scratch, &|_| {}, tree.stop, report)?;
    if tree.stop.load(Ordering::Relaxed) {
        return Err(NotRead::Stopped);
    }
    let manifest = manifest.ok_or(DAMAGED)?;
    Ok(Unsealed { keys, manifest })
}

impl Unsealed {
    /// What decrypts the file; `None` where the phone gave it no key, as it does with empty ones.
    fn key_of(&mut self, id: &str) -> Result<Option<Opener>, NotRead> {
        let Some(wrapped) = self.manifest.find(id).ok_or(DAMAGED)?.key else {
            return Ok(None);
        };
        let key = self.keys.unwrap(&wrapped).map_err(|_| DAMAGED)?;
        Ok(Some(Opener::new(&key)))
    }
}

fn unlock(locks: &Locks, password: &Password, stop: &AtomicBool) -> Result<Keys, NotRead> {
    let bag = Keybag::parse(&locks.keybag).map_err(|_| DAMAGED)?;
    bag.open(password, stop).map_err(|error| match error {
        NotOpened::WrongPassword => NotRead::WrongPassword,
        NotOpened::Stopped => NotRead::Stopped,
        NotOpened::Fault(_) => DAMAGED,
    })
}
