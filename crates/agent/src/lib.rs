//! backupwatch-agent: what runs in the background, and everything that a face of it needs.

pub mod agent;
pub mod api;
pub mod client;
pub mod clock;
pub mod config;
pub mod diagnosis;
pub mod exit;
pub mod history;
pub mod instance;
mod jobs;
mod keeper;
pub mod ladder;
pub mod listening;
pub mod logging;
pub mod medium;
pub mod page;
pub mod paths;
pub mod phones;
pub mod power;
pub mod process;
mod purgeable;
pub mod report;
mod serving;
pub mod signals;
pub mod state;
pub mod status;
pub mod verification;
