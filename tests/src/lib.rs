//! What the end-to-end tests share: where the strangers are, where our binary is, a hermetic home.
//!
//! The tests themselves are in `tests/tests/`, one file a story.

pub mod agent;
pub mod binary;
pub mod blow;
pub mod browser;
#[cfg(target_os = "linux")]
pub mod cleanroot;
pub mod conversation;
pub mod desktop;
pub mod macho;
pub mod mount;
pub mod peers;
pub mod schema;
pub mod somebody;
pub mod story;
pub mod table;
pub mod tray;
pub mod tree;
pub mod user_manager;
