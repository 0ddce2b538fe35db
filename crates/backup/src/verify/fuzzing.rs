//! Doors to what is private, for the fuzz targets. Not a part of this crate's interface.

use std::sync::atomic::AtomicBool;

use super::keybag::{Keybag, Password};

/// Takes a keybag apart, opens it with the password, and with that the key of a file. Whether all of this went well.
#[must_use]
pub fn keybag(bag: &[u8], password: &Password, key: &[u8]) -> bool {
    // Set from the beginning, so that a bag that asks for more than its first stretch of rounds gets no more.
    let stop = AtomicBool::new(true);
    Keybag::parse(bag)
        .ok()
        .and_then(|bag| bag.open(password, &stop).ok())
        .is_some_and(|keys| keys.unwrap(key).is_ok())
}
