//! The bytes a host and an iPhone exchange, as messages: decoders that take any chunking, encoders, and the rules about
//! them. Sans-IO and for both ends, because the simulated phone and the program that backs it up use the same code.
//!
//! Not here: sockets, TLS, timeouts, files, clocks and policy. Nothing in this crate waits or touches the machine.
//!
//! Every length that comes from the other end is bounded before anything is allocated, and no input makes this crate
//! panic or recurse without bound.

#![warn(clippy::disallowed_methods)]

pub mod address;
pub mod afc;
pub mod codec;
pub mod devicelink;
pub mod fields;
pub mod heartbeat;
pub mod installation_proxy;
mod intake;
pub mod lockdown;
pub mod mobilebackup2;
pub mod notification_proxy;
pub mod os_trace;
pub mod path;
pub mod springboard;
pub mod syslog;
pub mod udid;
pub mod usbmux;
