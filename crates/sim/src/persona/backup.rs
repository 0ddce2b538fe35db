//! `[backup]`: How the backup service behaves.

pub use crate::mobilebackup2::Backup;
