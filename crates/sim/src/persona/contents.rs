//! `[contents]`: What is on the phone.

pub use crate::contents::Contents;
