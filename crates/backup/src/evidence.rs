//! The phone's books of its iCloud backups, out of a finished backup of ours: its preferences are in every backup, and in
//! those of `backupd` are the last attempts with their errors.
//!
//! Read-only. The file is found by its id, so a plain backup needs no manifest for it; an encrypted one is opened with the
//! password, and nothing of it is left on the disk. Not here: what the books mean (`core::diagnosis`).

mod attempts;
mod parse;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_core::HostTime;
use backupwatch_core::evidence::Books;

use crate::store::Held;
use crate::verify::single::{self, Tree};
use crate::verify::{NotRead, Password};

pub use parse::parse;

/// `HomeDomain-Library/Preferences/com.apple.MobileBackup.plist`, as SHA-1.
const ID: &str = "2f0b2af6ff2371fcfaf405572b94d0e8551c5659";

/// `HomeDomain-Library/Preferences/com.apple.mobile.ldbackup.plist`, what lockdown tells of.
const ID_BESIDE: &str = "2f771621fd3c627d0db75fe173f3dae8ce50e98b";

/// Longest file that is read. Those of phones have some ten kilobytes.
pub const MAX: usize = 8 << 20;

impl Held {
    /// What the phone noted of its iCloud backups until this one was made. With a password, for an encrypted backup, this takes
    /// seconds. `scratch` is a folder of this user's own, for the list of files of an encrypted backup.
    ///
    /// # Errors
    /// When there is nothing to be read, or not with this password.
    pub fn books(
        &self,
        password: Option<&Password>,
        scratch: &Path,
        stop: &Arc<AtomicBool>,
    ) -> Result<Books, NotRead> {
        let folder = || self.folder().map_err(io::Error::other);
        let tree = Tree {
            jail: self.tree(),
            folder: &folder,
            udid: self.udid(),
            password,
            scratch,
            stop,
        };
        books(&tree, self.version().at)
    }
}

fn books(tree: &Tree<'_>, at: HostTime) -> Result<Books, NotRead> {
    let (bytes, beside) = single::read(tree, ID, ID_BESIDE, MAX)?;
    let books = parse(&bytes, at)
        .map_err(|_| NotRead::Unreadable("the phone's notes are not in a form that is known"))?;
    // Without it there is one thing less to show, and nothing to be told.
    Ok(match beside.and_then(|bytes| parse::beside(&bytes, at)) {
        Some((enabled, last)) => Books {
            enabled,
            last,
            ..books
        },
        None => books,
    })
}

#[cfg(test)]
mod tests;
