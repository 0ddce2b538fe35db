//! `[faults]`: What goes wrong during a backup.

pub use crate::faults::Faults;
