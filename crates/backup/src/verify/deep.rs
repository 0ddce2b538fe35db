//! A check of a finished tree as deep as somebody wants it, at any time after it arrived. It only reads: neither the tree nor
//! the ledger is written to.
//!
//! A tree of the store is held meanwhile, so that nobody takes it away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_core::{Level, Udid};

use super::blobs::{self, Against, Hashes};
use super::contents::Contents;
use super::keybag::{Keybag, Keys, NotOpened};
use super::manifest::{self, Looked};
use super::plists::{self, Locks};
use super::{
    BagFault, Finding, ManifestFault, Password, PasswordSays, Unchecked, VerifyError, VerifyReport,
    sealed,
};
use crate::disk;
use crate::jail::Jail;
use crate::ledger::Ledger;
use crate::store::Held;

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct Deep<'a> {
    /// How deep to go; what lies above is checked as well.
    pub level: Level,
    /// Of an encrypted backup.
    pub password: Option<&'a Password>,
    /// Which blobs L4 reads.
    pub sample: Sample,
    /// The hashes that were taken when the tree arrived.
    pub ledger: Option<&'a Path>,
    /// A folder of this user's own, with room for the decrypted manifest. It is there without a name, and gone with the check.
    pub scratch: &'a Path,
}

/// Which blobs L4 reads. The files beside the blobs are read in any case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    All,
    /// About this part of the blobs (0 to 1), by chance; the same seed takes the same ones.
    Part {
        fraction: f64,
        seed: u64,
    },
    /// One of `of` slices that together are all blobs. A blob stays in its slice, whatever else changes.
    Slice {
        index: u32,
        of: u32,
    },
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    /// Of this stage.
    pub files: u64,
    pub bytes: u64,
    /// Where it is known.
    pub of_files: Option<u64>,
    pub of_bytes: Option<u64>,
}

/// What a check is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The files beside the blobs.
    Lists,
    /// The password is tried, which takes seconds.
    Password,
    /// The manifest is decrypted and looked through.
    Manifest,
    /// Each file is looked for.
    Files,
    /// Contents are read.
    Contents,
}

/// Checks the tree of a phone in `folder`. `progress` is called often, and from several threads.
///
/// # Errors
/// When the disk cannot be read, or `stop` was set. A tree that is not whole is no error, and nor is a wrong password.
pub fn deep(
    folder: &Path,
    udid: &Udid,
    how: &Deep<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &Arc<AtomicBool>,
) -> Result<VerifyReport, VerifyError> {
    let folder = disk::resolve(folder)?;
    let jail = Jail::open(&folder)?;
    check(&jail, &|| Ok(folder.clone()), udid, how, progress, stop)
}

/// As [`deep`], of a tree that the store holds, with its own hashes. It may be renamed meanwhile.
pub(crate) fn deep_held(
    held: &Held,
    how: &Deep<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &Arc<AtomicBool>,
) -> Result<VerifyReport, VerifyError> {
    let ledger = held.ledger();
    let how = Deep {
        ledger: ledger.as_deref(),
        ..*how
    };
    let folder = || held.folder().map_err(io::Error::other);
    check(held.tree(), &folder, held.udid(), &how, progress, stop)
}

fn check(
    jail: &Jail,
    folder: &dyn Fn() -> io::Result<PathBuf>,
    udid: &Udid,
    how: &Deep<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &Arc<AtomicBool>,
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::new();
    progress(Progress::at(Stage::Lists));
    let locks = plists::check(jail, udid, &mut report)?;
    let looked = manifest::look(jail, folder, stop, &mut report)?;
    if report.wrong == 0 {
        report.level = Some(Level::L1);
    }
    if how.level < Level::L2 {
        return Ok(report);
    }

    let ledger = open_ledger(how, &mut report)?;
    let mut contents = Contents {
        jail,
        ledger: ledger.as_ref(),
        keys: None,
        sample: how.sample,
        progress,
        stop,
    };
    if how.level >= Level::L3 {
        contents.top(&mut report)?;
    }
    let keys = match (&looked, how.password) {
        (Some(Looked::Sealed(_)), password) => {
            progress(Progress::at(Stage::Password));
            unlock(&locks, password, how.level, stop, &mut report)?
        }
        (Some(Looked::Plain(_)), Some(_)) => {
            report.password = PasswordSays::NotNeeded;
            None
        }
        (Some(Looked::Plain(_)), None) | (None, _) => None,
    };
    let manifest = match (looked, &keys) {
        (Some(Looked::Plain(manifest)), _) => Some(manifest),
        (Some(Looked::Sealed(file)), Some(keys)) => match keys.unwrap(&locks.manifest_key) {
            Ok(key) => sealed::open_manifest(file, &key, how.scratch, progress, stop, &mut report)?,
            Err(fault) => {
                report.find(Finding::Keybag(fault));
                None
            }
        },
        (Some(Looked::Sealed(_)), None) | (None, _) => None,
    };
    if let Some(manifest) = manifest.as_ref().filter(|_| how.level >= Level::L3) {
        progress(Progress::at(Stage::Manifest));
        if !manifest.is_sound() {
            if stop.load(Ordering::Relaxed) {
                return Err(VerifyError::Stopped);
            }
            report.find(Finding::Manifest(ManifestFault::Damaged));
        }
    }

    let against = Against {
        manifest: manifest.as_ref(),
        keys: keys.as_ref(),
        hashes: ledger.as_ref().map_or(Hashes::None, Hashes::Look),
        sample: how.sample,
    };
    let mut each_folder = |report: &VerifyReport| {
        progress(Progress {
            files: report.files,
            bytes: report.bytes,
            ..Progress::at(Stage::Files)
        });
    };
    let planned = blobs::check(jail, against, &mut each_folder, stop, &mut report)?;
    if report.wrong == 0 && manifest.is_some() {
        report.level = Some(how.level.min(Level::L3));
    }
    if how.level < Level::L4 {
        return Ok(report);
    }

    contents.keys = keys.as_ref();
    let not_hashed = contents.blobs(manifest.as_ref(), planned, &mut report)?;
    if ledger.is_some() && not_hashed > 0 {
        let files = not_hashed;
        report.unchecked.push(Unchecked::NotHashed { files });
    }
    let proven = ledger.is_some() && not_hashed == 0;
    if report.wrong == 0 && proven {
        report.level = Some(Level::L4);
    }
    Ok(report)
}

/// Opens the hashes; without them the tree is looked at all the same.
fn open_ledger(how: &Deep<'_>, report: &mut VerifyReport) -> Result<Option<Ledger>, VerifyError> {
    let missing = match how.ledger.map(Ledger::look) {
        Some(Ok(Some(ledger))) => return Ok(Some(ledger)),
        Some(Err(e)) if !e.is_damage() => return Err(e.into()),
        Some(Err(_)) => Unchecked::HashesDamaged,
        Some(Ok(None)) | None => Unchecked::NoHashes,
    };
    if how.level >= Level::L4 || missing == Unchecked::HashesDamaged {
        report.unchecked.push(missing);
    }
    Ok(None)
}

/// Tries the password. Not one key that opens is a wrong password, unless the keys are known to be not the ones that arrived.
fn unlock(
    locks: &Locks,
    password: Option<&Password>,
    level: Level,
    stop: &AtomicBool,
    report: &mut VerifyReport,
) -> Result<Option<Keys>, VerifyError> {
    let bag = match Keybag::parse(&locks.keybag) {
        Ok(bag) => bag,
        Err(_) if locks.keybag.is_empty() => return Ok(None),
        Err(fault) => {
            report.find(Finding::Keybag(fault));
            return Ok(None);
        }
    };
    let Some(password) = password else {
        if level >= Level::L3 {
            report.unchecked.push(Unchecked::NoPassword);
        }
        return Ok(None);
    };
    match bag.open(password, stop) {
        Ok(keys) => {
            report.password = PasswordSays::Opens;
            return Ok(Some(keys));
        }
        Err(NotOpened::Stopped) => return Err(VerifyError::Stopped),
        Err(NotOpened::Fault(fault)) => report.find(Finding::Keybag(fault)),
        Err(NotOpened::WrongPassword) if report.has_changed("Manifest.plist") => {
            report.find(Finding::Keybag(BagFault::Key));
        }
        Err(NotOpened::WrongPassword) => {
            report.password = PasswordSays::Wrong;
            report.unchecked.push(Unchecked::WrongPassword);
        }
    }
    Ok(None)
}

impl Progress {
    fn at(stage: Stage) -> Self {
        Self {
            stage,
            files: 0,
            bytes: 0,
            of_files: None,
            of_bytes: None,
        }
    }
}
