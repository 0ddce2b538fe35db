//! A client of the file service.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

use super::device::{DeviceHandle, room_for_a_descriptor};
use super::service::c_descriptor;
use super::table::CAfc;
use crate::Error;
use crate::error::AfcError;
use crate::lockdown::Descriptor;

/// An `afc_client_t`.
pub(crate) struct AfcHandle {
    device: Arc<DeviceHandle>,
    pointer: *mut CAfc,
}

// SAFETY: the library guards a client by a lock of its own and binds it to no thread.
unsafe impl Send for AfcHandle {}

impl AfcHandle {
    pub(crate) fn open(device: &Arc<DeviceHandle>, descriptor: Descriptor) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let _using = device.using();
        let mut descriptor = c_descriptor(descriptor);
        let mut pointer = ptr::null_mut();
        // SAFETY: the device lives and nobody else uses it, the descriptor is only read; what is written is a new client.
        let code = unsafe {
            (device.library.table().afc_client_new)(
                device.pointer,
                &raw mut descriptor,
                &raw mut pointer,
            )
        };
        AfcError::check(code)?;
        if pointer.is_null() {
            return Err(AfcError::Unknown.into());
        }
        Ok(Self {
            device: Arc::clone(device),
            pointer,
        })
    }

    pub(crate) fn open_file(&mut self, path: &CStr, mode: c_int) -> Result<u64, AfcError> {
        let mut number = 0;
        // SAFETY: the client lives, the path is only read, and the number is written.
        AfcError::check(unsafe {
            (self.device.library.table().afc_file_open)(
                self.pointer,
                path.as_ptr(),
                mode,
                &raw mut number,
            )
        })?;
        Ok(number)
    }

    pub(crate) fn lock(&mut self, number: u64, operation: c_int) -> Result<(), AfcError> {
        // SAFETY: the client lives; the device judges the number.
        AfcError::check(unsafe {
            (self.device.library.table().afc_file_lock)(self.pointer, number, operation)
        })
    }

    pub(crate) fn close_file(&mut self, number: u64) -> Result<(), AfcError> {
        // SAFETY: as above.
        AfcError::check(unsafe {
            (self.device.library.table().afc_file_close)(self.pointer, number)
        })
    }
}

impl Drop for AfcHandle {
    fn drop(&mut self) {
        // SAFETY: the client is ours and is not used again.
        unsafe { (self.device.library.table().afc_client_free)(self.pointer) };
    }
}
