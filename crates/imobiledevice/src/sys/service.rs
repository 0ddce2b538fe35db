//! A client of a started service.

use std::ptr;
use std::sync::Arc;

use super::device::{DeviceHandle, room_for_a_descriptor};
use super::table::{CDescriptor, CService};
use crate::Error;
use crate::error::ServiceError;
use crate::lockdown::Descriptor;

/// A `service_client_t`.
pub(crate) struct ServiceHandle {
    device: Arc<DeviceHandle>,
    pointer: *mut CService,
}

// SAFETY: the library binds a client to no thread; all calls take `&mut self`, so there is one at a time.
unsafe impl Send for ServiceHandle {}

/// As C takes it.
pub(super) fn c_descriptor(descriptor: Descriptor) -> CDescriptor {
    CDescriptor {
        port: descriptor.port,
        ssl_enabled: u8::from(descriptor.tls),
        identifier: ptr::null_mut(),
    }
}

impl ServiceHandle {
    pub(crate) fn open(device: &Arc<DeviceHandle>, descriptor: Descriptor) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let table = device.library.table();
        // Without TLS first: with it, the library goes on in the clear where TLS fails, and tells nobody.
        let mut plain = c_descriptor(Descriptor {
            tls: false,
            ..descriptor
        });
        let mut pointer = ptr::null_mut();
        // SAFETY: the device lives, the descriptor is only read; what is written is a new client, or nothing.
        let code =
            unsafe { (table.service_client_new)(device.pointer, &raw mut plain, &raw mut pointer) };
        ServiceError::check(code)?;
        if pointer.is_null() {
            return Err(ServiceError::Unknown.into());
        }
        let handle = Self {
            device: Arc::clone(device),
            pointer,
        };
        if descriptor.tls {
            let _using = device.using();
            // SAFETY: the client and its device live, and nobody else uses the device.
            ServiceError::check(unsafe { (table.service_enable_ssl)(handle.pointer) })?;
        }
        Ok(handle)
    }

    pub(crate) fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(data.len()).map_err(|_| ServiceError::InvalidArg)?;
        let mut sent = 0_u32;
        // SAFETY: the client lives, and `length` bytes are read.
        let code = unsafe {
            (self.device.library.table().service_send)(
                self.pointer,
                data.as_ptr().cast(),
                length,
                &raw mut sent,
            )
        };
        ServiceError::check(code)?;
        if sent < length {
            return Err(ServiceError::NotEnoughData.into());
        }
        Ok(())
    }

    /// How many bytes came; fewer than asked for only without TLS.
    pub(crate) fn receive(&mut self, into: &mut [u8], milliseconds: u32) -> Result<usize, Error> {
        let length = u32::try_from(into.len()).map_err(|_| ServiceError::InvalidArg)?;
        let mut received = 0_u32;
        // SAFETY: the client lives, and at most `length` bytes are written to `into`, which has them.
        let code = unsafe {
            (self.device.library.table().service_receive_with_timeout)(
                self.pointer,
                into.as_mut_ptr().cast(),
                length,
                &raw mut received,
                milliseconds,
            )
        };
        ServiceError::check(code)?;
        Ok(into.len().min(received as usize))
    }
}

impl Drop for ServiceHandle {
    fn drop(&mut self) {
        // SAFETY: the client is ours and is not used again.
        unsafe { (self.device.library.table().service_client_free)(self.pointer) };
    }
}
