//! backupwatch-agent: what runs in the background, and everything that a face of it needs.

pub mod clock;
pub mod config;
pub mod exit;
pub mod guide;
pub mod instance;
pub mod logging;
pub mod paths;
pub mod state;
