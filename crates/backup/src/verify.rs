//! Proving that a tree is whole: which level of design.md section 4 holds, and what speaks against the next one.
//!
//! - L1: Status.plist says *finished*, the property lists parse, the UDID is the phone's, Manifest.db is what it should be.
//! - L2: each row of the manifest has its file, the sizes agree, and nothing is there that the manifest does not know.
//! - L3: the password opens the keys and the manifest, and the database of the manifest is sound.
//! - L4: the files are read again: their bytes are the ones that arrived, and what is encrypted decrypts.
//! - An encrypted tree cannot be looked into without the password. There L1 counts together with the ledger: every file on
//!   disk is one whose bytes were hashed when they arrived, with the same length, and none of those is gone.
//!
//! Memory does not grow with the tree: the manifest is read in the order of its keys, one folder at a time.
//!
//! `check` is the end of a run, up to L2, and takes files of other programs into the ledger. [`deep`] is a check at any
//! other time: it only reads.
//!
//! Not here: what is done about a finding (`engine`, and the faces).

mod archive;
mod blobs;
mod contents;
mod deep;
mod folders;
#[doc(hidden)]
pub mod fuzzing;
mod keybag;
mod manifest;
mod plists;
mod reader;
mod report;
mod sealed;
pub(crate) mod single;

pub(crate) use deep::deep_held;
pub use deep::{Deep, Progress, Sample, Stage, deep};
pub(crate) use manifest::is_file_id;
pub(crate) use plists::MAX as MAX_PLIST;
pub use report::{
    CipherFault, Finding, LedgerFailed, LostFile, ManifestFault, PasswordSays, Reread, Unchecked,
    VerifyError, VerifyReport,
};

pub use keybag::{BagFault, Password};
pub use single::NotRead;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_core::{Level, Udid};

use crate::jail::Jail;
use crate::ledger::Ledger;
use blobs::{Against, Hashes};
use manifest::Looked;

/// Checks the tree of a phone in `folder`, as far as it goes without the password and without the hashes of its files: L2 for
/// one that is not encrypted, else L1.
///
/// # Errors
/// When the disk cannot be read. A tree that is not whole is no error.
pub fn verify(folder: &Path, udid: &Udid) -> Result<VerifyReport, VerifyError> {
    let folder = &crate::disk::resolve(folder)?;
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
    let looked = manifest::look(jail, &|| Ok(folder.to_owned()), stop, &mut report)?;
    if report.wrong == 0 {
        report.level = Some(Level::L1);
    }
    let manifest = match looked {
        Some(Looked::Plain(manifest)) => Some(manifest),
        Some(Looked::Sealed(_)) | None => None,
    };
    let against = Against {
        manifest: manifest.as_ref(),
        keys: None,
        hashes: ledger.map_or(Hashes::None, Hashes::Adopt),
        sample: Sample::All,
    };
    blobs::check(jail, against, &mut |_| {}, stop, &mut report)?;
    if report.wrong == 0 && manifest.is_some() {
        report.level = Some(Level::L2);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
