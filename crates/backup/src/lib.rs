//! The part whose bug loses data: makes a local backup of a phone, proves that it is whole, and keeps it.
//!
//! Not here: how a phone is reached (`device`), when a backup is due (`core`), who is told (`notify`).

pub mod port;

pub use port::{About, Clock, OpenError, Opened, Phone};
