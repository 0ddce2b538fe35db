//! A simulated iPhone that speaks the real protocols, so that any client reaches it through `USBMUXD_SOCKET_ADDRESS`.
//!
//! One phone is a [`persona::Persona`] (a TOML file) brought to life as a [`phone::Phone`]. Several phones hang on one
//! simulated usbmuxd. Tests and people drive a phone through [`phone::PhoneHandle`] and see what the host really sent.
//!
//! Not here: anything of the program that backs phones up. This crate knows the wire and nothing else, so that the two
//! cannot agree on a misunderstanding by sharing code above it.

mod cloud;
mod compare;
pub mod contents;
pub mod faults;
pub mod io;
pub mod keybag;
mod lockdownd;
pub mod manifest;
pub mod mobilebackup2;
pub mod pairing;
pub mod persona;
pub mod phone;
mod restore;
pub mod seal;
mod server;
mod services;
mod tls;
pub mod usbmuxd;
pub mod verdict;

pub use cloud::CloudAttempt;
pub use server::{Listen, Sim, SimError, SimHandle};
