//! What the phone writes about a backup beside its blobs: `Manifest.db`, `Manifest.plist` and `Status.plist`
//! (protocol.md 9.6), and how it reads its own back from the host.
//!
//! Rows are a function of the item and of the phone's keys alone: a row on the host that equals the one that the phone
//! would write today means an unchanged file. Nothing here talks to the host.

mod bplist;
mod database;
mod mbfile;
mod properties;
mod status;

pub use database::{DatabaseError, Row, Rows, read, write};
pub use mbfile::{Flags, MbFile, row_blob};
pub use properties::{Properties, PropertiesError};
pub use status::{Phase, Status, StatusError};

use std::fmt;

use crate::contents::{Item, Kind, noise};
use crate::keybag::{Key, Keybag, noise_array};

/// The keys with which a phone writes an encrypted backup.
#[derive(Clone)]
pub struct Secrets {
    pub keybag: Keybag,
    seed: u64,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        Self {
            keybag: Keybag::generate(noise::subkey(seed, b"keybag")),
            seed: noise::subkey(seed, b"file keys"),
        }
    }

    /// The key of a file's blob. A file that changes gets a new one; an empty file has none, as on real phones, where
    /// readers take a row without a key for an empty file.
    #[must_use]
    pub fn of_file(&self, item: &Item) -> Option<Key> {
        match &item.kind {
            Kind::File { size: 0, .. } | Kind::Directory | Kind::Symlink { .. } => None,
            Kind::File { .. } => {
                let name = format!("{} {} {}", item.id, item.inode, item.modified);
                Some(noise_array(noise::subkey(self.seed, name.as_bytes())))
            }
        }
    }

    /// The key of `Manifest.db`.
    #[must_use]
    pub fn of_manifest(&self) -> Key {
        noise_array(noise::subkey(self.seed, b"Manifest.db"))
    }
}

#[cfg(test)]
mod tests;
