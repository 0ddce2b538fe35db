//! What a check says: findings, the files that are lost, and what nobody could look at.

use std::fmt;
use std::io;

use backupwatch_core::Level;
use rustix::io::Errno;

use super::keybag::BagFault;
use crate::ledger::LedgerError;

/// How many findings, notes and lost files are kept; the others are counted.
const MAX_FINDINGS: usize = 100;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The deepest level that holds; `None` when not even L1 does. What of the levels above it could not be looked at is in
    /// `unchecked`: an encrypted tree whose bytes are all the ones that arrived has L4 also without its password.
    pub level: Option<Level>,
    pub encrypted: bool,
    /// Blobs that the manifest (of an encrypted tree without its password: the disk) has.
    pub files: u64,
    /// Bytes of the whole tree.
    pub bytes: u64,
    /// What became of the password.
    pub password: PasswordSays,
    /// What L4 read again.
    pub read: Reread,
    /// What was asked for and could not be done.
    pub unchecked: Vec<Unchecked>,
    /// The first hundred things that are wrong.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub wrong: u64,
    /// How many of those are files that are gone or not as they arrived.
    pub missing: u64,
    /// The first hundred of those files, with the names that the person knows them by.
    pub lost: Vec<LostFile>,
    /// What is odd, but takes nothing from the backup.
    pub notes: Vec<String>,
}

/// What the password did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSays {
    /// None was given, or the check did not go so deep.
    NotTried,
    /// The backup is not encrypted.
    NotNeeded,
    /// It opens the backup.
    Opens,
    /// It is not the password of this backup. That says nothing about the backup.
    Wrong,
}

/// How much of the backup L4 read again, of how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    pub files: u64,
    pub bytes: u64,
    pub of_files: u64,
    pub of_bytes: u64,
}

/// A reason why part of what was asked for could not be done. None of them is damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchecked {
    #[error(
        "without the password nobody can tell whether it opens this backup, nor which files are in it"
    )]
    NoPassword,
    #[error(
        "the password is not the one of this backup, so what it protects could not be looked at"
    )]
    WrongPassword,
    #[error(
        "no hashes were taken when this backup arrived, so nobody can tell whether the contents of its files changed"
    )]
    NoHashes,
    #[error(
        "the hashes of this backup are damaged, so nobody can tell whether the contents of its files changed"
    )]
    HashesDamaged,
    #[error(
        "{files} files have no hash from when they arrived, so nobody can tell whether their contents changed"
    )]
    NotHashed { files: u64 },
}

/// A file of the phone that the backup no longer has as it was.
///
/// It is for the eyes of the person, so its `Debug` keeps the names back.
#[derive(Clone, PartialEq, Eq)]
pub struct LostFile {
    /// The name of its blob.
    pub id: String,
    /// Domain and path on the phone, where the manifest could be read.
    pub place: Option<(String, String)>,
}

impl fmt::Debug for LostFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LostFile")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
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
    #[error("the keys of the backup are damaged: {0}")]
    Keybag(BagFault),
    #[error("the file {id} is missing")]
    BlobMissing { id: String },
    #[error("the file {id} has {found} bytes instead of {wanted}")]
    BlobSize { id: String, wanted: u64, found: u64 },
    #[error("{path} does not belong there")]
    Stray { path: String },
    #[error("the file {id} is not the one that arrived")]
    Changed { id: String },
    #[error("the file {id} cannot be read: {why}")]
    BlobUnreadable { id: String, why: String },
    #[error("the file {id} cannot be decrypted: {why}")]
    Undecryptable { id: String, why: CipherFault },
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
    #[error("not what its key opens")]
    Undecryptable,
}

/// Why a blob does not decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherFault {
    #[error("its key is damaged")]
    Key,
    #[error("its end is damaged")]
    Padding,
}

impl Finding {
    /// The blob that it speaks of, if it is one.
    fn blob(&self) -> Option<&str> {
        match self {
            Self::BlobMissing { id }
            | Self::BlobSize { id, .. }
            | Self::Changed { id }
            | Self::BlobUnreadable { id, .. }
            | Self::Undecryptable { id, .. } => Some(id),
            Self::FileMissing { .. }
            | Self::FileUnreadable { .. }
            | Self::NotFinished { .. }
            | Self::WrongPhone { .. }
            | Self::Manifest(_)
            | Self::Keybag(_)
            | Self::Stray { .. } => None,
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
    #[error("failed to open the encrypted manifest in {folder}", folder = folder.display())]
    Scratch {
        folder: std::path::PathBuf,
        source: io::Error,
    },
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
    pub(super) fn new() -> Self {
        Self {
            level: None,
            encrypted: false,
            files: 0,
            bytes: 0,
            password: PasswordSays::NotTried,
            read: Reread::default(),
            unchecked: Vec::new(),
            findings: Vec::new(),
            wrong: 0,
            missing: 0,
            lost: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether the tree may be called verified: nothing is wrong, and the level is as deep as can be without the password.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let deep_enough = if self.encrypted { Level::L1 } else { Level::L2 };
        self.wrong == 0 && self.level >= Some(deep_enough)
    }

    /// Whether a file beside the blobs was found to be not the one that arrived.
    pub(super) fn has_changed(&self, name: &str) -> bool {
        let named = |finding: &Finding| matches!(finding, Finding::Changed { id } if id == name);
        self.findings.iter().any(named)
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.find_at(finding, None);
    }

    /// As [`VerifyReport::find`], of a blob whose name on the phone is known.
    pub(super) fn find_at(&mut self, finding: Finding, place: Option<(&str, &str)>) {
        self.wrong = self.wrong.saturating_add(1);
        if let Some(id) = finding.blob().filter(|id| super::is_file_id(id)) {
            self.missing = self.missing.saturating_add(1);
            if self.lost.len() < MAX_FINDINGS {
                self.lost.push(LostFile {
                    id: id.to_owned(),
                    place: place.map(|(domain, path)| (domain.to_owned(), path.to_owned())),
                });
            }
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_FINDINGS {
            self.notes.push(note);
        }
    }
}
