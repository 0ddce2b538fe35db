//! Proving that a tree is whole: which level of design.md section 4 holds, and what speaks against the next one.
//!
//! - L1: Status.plist says *finished*, the property lists parse, the UDID is the phone's, Manifest.db is what it should be.
//! - L2: each row of the manifest has its file, the sizes agree, and nothing is there that the manifest does not know.
//! - An encrypted tree cannot be looked into without the password. There L1 counts together with the ledger: every file on
//!   disk is one whose bytes were hashed when they arrived, with the same length, and none of those is gone.
//!
//! Memory does not grow with the tree: the manifest is read in the order of its keys, one folder at a time.
//!
//! Not here: levels that need the password or read every file again, and what is done about a finding (`engine`).

mod blobs;
mod manifest;
mod plists;

pub(crate) use manifest::is_file_id;
pub(crate) use plists::MAX as MAX_PLIST;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_core::{Level, Udid};
use rustix::io::Errno;

use crate::jail::Jail;
use crate::ledger::{Ledger, LedgerError};

/// How many findings are kept; the others are counted.
const MAX_FINDINGS: usize = 100;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The deepest level that holds; `None` when not even L1 does.
    pub level: Option<Level>,
    pub encrypted: bool,
    /// Blobs that the manifest (of an encrypted tree: the disk) has.
    pub files: u64,
    /// Bytes of the whole tree.
    pub bytes: u64,
    /// The first hundred things that are wrong.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub wrong: u64,
    /// How many of those are files that are missing or have the wrong size.
    pub missing: u64,
    /// What is odd, but takes nothing from the backup.
    pub notes: Vec<String>,
}

/// One thing that is wrong. File names in it are hashes: no finding tells what is on the phone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    #[error("{name} is missing")]
    FileMissing { name: &'static str },
    #[error("{name} cannot be read: {why}")]
    FileUnreadable { name: &'static str, why: String },
    #[error("the phone did not finish: its status is {state:?}")]
    NotFinished { state: String },
    #[error("{name} is of another phone")]
    WrongPhone { name: &'static str },
    #[error("Manifest.db is {0}")]
    Manifest(ManifestFault),
    #[error("the file {id} is missing")]
    BlobMissing { id: String },
    #[error("the file {id} has {found} bytes instead of {wanted}")]
    BlobSize { id: String, wanted: u64, found: u64 },
    #[error("{path} does not belong there")]
    Stray { path: String },
    #[error("the file {id} is not the one that arrived")]
    Changed { id: String },
}

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    #[error("empty")]
    Empty,
    #[error("not encrypted, although the backup is")]
    Plain,
    #[error("encrypted, although the backup is not")]
    Encrypted,
    #[error("cut")]
    Cut,
    #[error("not a database of files")]
    NoTable,
    #[error("damaged")]
    Damaged,
    #[error("out of order or with rows that name no file")]
    Rows,
}

impl Finding {
    fn is_missing(&self) -> bool {
        match self {
            Self::BlobMissing { .. } | Self::BlobSize { .. } | Self::Changed { .. } => true,
            Self::FileMissing { .. }
            | Self::FileUnreadable { .. }
            | Self::NotFinished { .. }
            | Self::WrongPhone { .. }
            | Self::Manifest(_)
            | Self::Stray { .. } => false,
        }
    }
}

/// Why a check came to no end. What is wrong with the tree is a [`Finding`], not this.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the check was stopped")]
    Stopped,
    #[error("failed to read the backup: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    #[doc(hidden)]
    Ledger(#[from] LedgerFailed),
}

/// The hashes of a backup could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LedgerFailed(LedgerError);

impl VerifyError {
    /// Whether the hashes themselves are no good, so that each further check would end like this.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Ledger(LedgerFailed(e)) if e.is_damage())
    }
}

impl From<LedgerError> for VerifyError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(LedgerFailed(error))
    }
}

impl From<Errno> for VerifyError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl VerifyReport {
    fn new() -> Self {
        Self {
            level: None,
            encrypted: false,
            files: 0,
            bytes: 0,
            findings: Vec::new(),
            wrong: 0,
            missing: 0,
            notes: Vec::new(),
        }
    }

    /// Whether the tree may be called verified: nothing is wrong, and the level is as deep as can be without the password.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let deep_enough = if self.encrypted { Level::L1 } else { Level::L2 };
        self.wrong == 0 && self.level >= Some(deep_enough)
    }

    fn find(&mut self, finding: Finding) {
        self.wrong = self.wrong.saturating_add(1);
        self.missing = self.missing.saturating_add(u64::from(finding.is_missing()));
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_FINDINGS {
            self.notes.push(note);
        }
    }
}

/// Checks the tree of a phone in `folder`, as far as it goes without the password and without the hashes of its files: L2 for
/// one that is not encrypted, else L1.
///
/// # Errors
/// When the disk cannot be read. A tree that is not whole is no error.
pub fn verify(folder: &Path, udid: &Udid) -> Result<VerifyReport, VerifyError> {
    let folder = &folder.canonicalize()?;
    let jail = Jail::open(folder)?;
    check(&jail, folder, udid, None, &Arc::new(AtomicBool::new(false)))
}

/// As [`verify`], with the ledger of the tree: its files are held against it, and what is not in it yet (files that another
/// program received) is read and added.
pub(crate) fn check(
    jail: &Jail,
    folder: &Path,
    udid: &Udid,
    ledger: Option<&mut Ledger>,
    stop: &Arc<AtomicBool>,
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::new();
    plists::check(jail, udid, &mut report)?;
    let rows = manifest::open(jail, folder, stop, &mut report)?;
    if report.wrong == 0 {
        report.level = Some(Level::L1);
    }
    let rows = rows.filter(|_| !report.encrypted);
    let has_rows = rows.is_some();
    blobs::check(jail, rows, ledger, stop, &mut report)?;
    if report.wrong == 0 && has_rows {
        report.level = Some(Level::L2);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
