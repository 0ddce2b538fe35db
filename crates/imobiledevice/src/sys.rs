//! Where C is called: the only part of the crate with `unsafe`. What leaves it is safe to use in any order.
//!
//! Each kind of C object has one owner here that frees it, and each call is in one place with the reason why it is sound.
//! Not here: what the numbers mean (`error`), and in what order a program wants the calls.

mod afc;
mod connection;
mod device;
mod events;
mod load;
mod lockdown;
mod node;
mod notifications;
mod service;
mod table;

pub(crate) use afc::AfcHandle;
pub(crate) use connection::ConnectionHandle;
pub(crate) use device::{DeviceHandle, list, pair_record};
pub(crate) use events::SubscriptionHandle;
pub(crate) use load::{Candidate, Loaded, NotLoaded};
pub(crate) use lockdown::LockdownHandle;
pub(crate) use notifications::NotificationsHandle;
pub(crate) use service::ServiceHandle;
pub(crate) use table::Table;

use std::ffi::{CStr, c_char, c_int, c_void};

/// The first descriptor that the C library must not be given: it waits with `select`, whose sets end at 1024. Some room is left
/// for what other threads open meanwhile.
pub(crate) const DESCRIPTOR_LIMIT: c_int = 960;

unsafe extern "C" {
    /// What the C libraries allocate their strings with: all of them are in this process's libc.
    fn free(pointer: *mut c_void);
    /// Ends the process without the exit handlers of anybody.
    fn _exit(code: c_int) -> !;
}

/// Ends the process at once.
pub(crate) fn exit_at_once(code: c_int) -> ! {
    // SAFETY: it takes any number, touches nothing, and does not come back.
    unsafe { _exit(code) }
}

/// A string that the C library allocated.
struct CText(*mut c_char);

impl CText {
    /// Its bytes as text; what is not UTF-8 is replaced. `None` where the library left none.
    fn text(&self) -> Option<String> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the library ends its strings with NUL, and this one is ours until it is freed.
        let text = unsafe { CStr::from_ptr(self.0) };
        Some(text.to_string_lossy().into_owned())
    }
}

impl Drop for CText {
    fn drop(&mut self) {
        // SAFETY: the pointer is null or came from malloc within the C library, and is not used again.
        unsafe { free(self.0.cast()) }
    }
}
