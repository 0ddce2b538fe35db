//! The part whose bug loses data: makes a local backup of a phone, proves that it is whole, and keeps it.
//!
//! Not here: how a phone is reached (`device`), when a backup is due (`core`), who is told (`notify`).

// Tests arrange and look at the disk as they like.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(test)]
extern crate self as backupwatch_backup;

#[cfg(test)]
mod breaking;
mod disk;
pub mod engine;
pub mod evidence;
mod info;
mod jail;
mod ledger;
pub mod port;
mod services;
pub mod store;
pub mod verify;

pub use engine::{Purgeable, Retention, RunOptions, run};
pub use port::{About, Clock, OpenError, Opened, Phone};
pub use store::{
    Export, ExportError, Exported, Exporting, Held, LookError, Measured, Pruning, Store,
    StoreError, Version, Which,
};
pub use verify::{VerifyReport, verify};
