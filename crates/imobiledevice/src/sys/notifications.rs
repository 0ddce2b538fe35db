//! A client of the notification proxy.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use super::device::{DeviceHandle, room_for_a_descriptor};
use super::events::{Inbox, Registry, text};
use super::service::c_descriptor;
use super::table::CNotifications;
use crate::Error;
use crate::error::NotificationError;
use crate::lockdown::Descriptor;

static NOTIFICATIONS: Registry<String> = Registry::new();

/// An `np_client_t`.
pub(crate) struct NotificationsHandle {
    device: Arc<DeviceHandle>,
    pointer: *mut CNotifications,
    pub(crate) inbox: Inbox<String>,
}

// SAFETY: the library guards a client by a lock of its own and binds it to no thread.
unsafe impl Send for NotificationsHandle {}

impl NotificationsHandle {
    pub(crate) fn open(
        device: &Arc<DeviceHandle>,
        descriptor: Descriptor,
        bound: usize,
    ) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let _using = device.using();
        let mut descriptor = c_descriptor(descriptor);
        let mut pointer = ptr::null_mut();
        // SAFETY: the device lives and nobody else uses it, the descriptor is only read; what is written is a new client.
        let code = unsafe {
            (device.library.table().np_client_new)(
                device.pointer,
                &raw mut descriptor,
                &raw mut pointer,
            )
        };
        NotificationError::check(code)?;
        if pointer.is_null() {
            return Err(NotificationError::Unknown.into());
        }
        Ok(Self {
            device: Arc::clone(device),
            pointer,
            inbox: NOTIFICATIONS.open(bound),
        })
    }

    pub(crate) fn observe(&mut self, name: &CStr) -> Result<(), NotificationError> {
        // SAFETY: the client lives, and the name is only read.
        NotificationError::check(unsafe {
            (self.device.library.table().np_observe_notification)(self.pointer, name.as_ptr())
        })
    }

    pub(crate) fn post(&mut self, name: &CStr) -> Result<(), NotificationError> {
        // SAFETY: the client lives, and the name is only read.
        NotificationError::check(unsafe {
            (self.device.library.table().np_post_notification)(self.pointer, name.as_ptr())
        })
    }

    /// From now on a thread of the library reads, and calls back.
    pub(crate) fn start(&mut self) -> Result<(), NotificationError> {
        // SAFETY: the client lives; the callback may be called from any thread, at any time, also after the end.
        NotificationError::check(unsafe {
            (self.device.library.table().np_set_notify_callback)(
                self.pointer,
                Some(on_notification),
                self.inbox.user_data(),
            )
        })
    }
}

impl Drop for NotificationsHandle {
    fn drop(&mut self) {
        self.inbox.close();
        // SAFETY: the client is ours and is not used again. It joins its thread.
        unsafe { (self.device.library.table().np_client_free)(self.pointer) };
    }
}

unsafe extern "C" fn on_notification(name: *const c_char, user_data: *mut c_void) {
    // A panic must not reach C. Nothing here panics, and nothing is left half done if it did.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the library passes a text that is valid for the time of the call, and ended by NUL.
        if let Some(name) = unsafe { text(name) } {
            NOTIFICATIONS.put(user_data, name);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_comes_too_late_finds_nothing() {
        let inbox = NOTIFICATIONS.open(1);
        let user_data = inbox.user_data();
        let name = c"com.example".as_ptr();
        // SAFETY: the name is a constant.
        unsafe { on_notification(name, user_data) };
        // SAFETY: as above.
        unsafe { on_notification(name, user_data) };
        assert_eq!(inbox.messages.try_recv().unwrap(), "com.example");
        assert!(inbox.take_missed() && !inbox.take_missed());
        drop(inbox);
        // SAFETY: as above.
        unsafe { on_notification(name, user_data) };
        // SAFETY: null is taken.
        unsafe { on_notification(ptr::null(), user_data) };
    }
}
