//! The persona section `[backup]`: how the backup agent of this phone works.

use serde::Deserialize;

use crate::keybag::Rounds;

#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// The password of local backups, set on the phone before the first one.
    pub password: Option<String>,
    /// Rounds of key derivation; real phones have 10 000 000 and 10 000.
    pub dpic: u32,
    pub iter: u32,
    /// Files in a batch of uploads or moves.
    pub batch: usize,
    /// Folders for blobs, "00" and on. A phone has 256 and asks for each of them several times; fewer do only for a test that
    /// goes through every message, and for files whose names belong into them.
    pub folders: u16,
    /// Bytes of data in a frame to the host.
    pub frame: usize,
    /// Seconds of silence while the phone scans itself; minutes on big phones.
    pub scan_s: f64,
    /// Whether `ForceFullBackup` is honoured (unverified for iOS 26, protocol.md 9.2).
    pub force_full: bool,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            password: None,
            dpic: 1000,
            iter: 100,
            batch: 128,
            folders: 256,
            frame: 32 << 10,
            scan_s: 0.0,
            force_full: true,
        }
    }
}

impl Backup {
    #[must_use]
    pub const fn rounds(&self) -> Rounds {
        Rounds {
            dpic: self.dpic,
            iter: self.iter,
        }
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("encrypted", &self.password.is_some())
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
