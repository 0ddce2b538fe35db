//! backupwatch-core: the decisions, and nothing but decisions.
//!
//! Facts come in, verdicts and commands go out. No I/O, no async, no clock: `now` is an argument of everything that
//! needs one, so every story can be replayed. What the bytes on the wire mean is `wire`'s business; doing what is
//! decided here is the agent's.

#![warn(clippy::disallowed_methods)]

pub mod date;
pub mod diagnosis;
pub mod evidence;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod judge;
pub mod ladder;
pub mod notice;
pub mod past;
pub mod policy;
pub mod reread;
pub mod retention;
pub mod run;
pub mod steps;
pub mod text;
pub mod time;
pub mod udid;
pub mod verdict;
pub mod watcher;
pub mod words;

pub use facts::{Facts, LinkKind, NoAnswer, Reading, Trust};
pub use policy::{Policies, Policy};
pub use time::{DeviceTime, HostTime, Now, Period};
pub use udid::Udid;
pub use verdict::{Level, LocalCopy, Protection, Verdict};
