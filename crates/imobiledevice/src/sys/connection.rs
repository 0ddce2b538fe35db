//! A connection to a port of a device.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::ptr;
use std::sync::Arc;

use rustix::io::FdFlags;

use super::device::{DeviceHandle, room_for_a_descriptor};
use super::table::CConnection;
use crate::error::IdeviceError;
use crate::{Error, Library};

/// An `idevice_connection_t`.
pub(crate) struct ConnectionHandle {
    device: Arc<DeviceHandle>,
    pointer: *mut CConnection,
    descriptor: c_int,
    tls: bool,
}

// SAFETY: the library binds a connection to no thread; all calls take `&mut self`, so there is one at a time.
unsafe impl Send for ConnectionHandle {}

impl ConnectionHandle {
    pub(crate) fn open(device: &Arc<DeviceHandle>, port: u16) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let mut pointer = ptr::null_mut();
        // SAFETY: the device lives; what is written is a new connection, or nothing.
        let code = unsafe {
            (device.library.table().idevice_connect)(device.pointer, port, &raw mut pointer)
        };
        IdeviceError::check(code)?;
        if pointer.is_null() {
            return Err(IdeviceError::Unknown.into());
        }
        let mut handle = Self {
            device: Arc::clone(device),
            pointer,
            descriptor: -1,
            tls: false,
        };
        // SAFETY: the connection lives, and the number is written.
        let code = unsafe {
            (device.library.table().idevice_connection_get_fd)(pointer, &raw mut handle.descriptor)
        };
        IdeviceError::check(code)?;
        if handle.descriptor < 0 {
            return Err(IdeviceError::Unknown.into());
        }
        // The library opens it so that every child of the program would inherit it.
        rustix::io::fcntl_setfd(&handle, FdFlags::CLOEXEC).map_err(io::Error::from)?;
        Ok(handle)
    }

    pub(crate) fn library(&self) -> &'static Library {
        self.device.library
    }

    pub(crate) fn enable_tls(&mut self) -> Result<(), IdeviceError> {
        let _using = self.device.using();
        // SAFETY: the connection lives, and so does its device.
        IdeviceError::check(unsafe {
            (self.library().table().idevice_connection_enable_ssl)(self.pointer)
        })?;
        self.tls = true;
        Ok(())
    }

    pub(crate) fn tls(&self) -> bool {
        self.tls
    }

    /// Sends all of it, or fails.
    pub(crate) fn send(&mut self, data: &[u8]) -> Result<(), IdeviceError> {
        let Ok(length) = u32::try_from(data.len()) else {
            return Err(IdeviceError::InvalidArg);
        };
        let mut sent = 0_u32;
        // SAFETY: the connection lives, and `length` bytes are read.
        IdeviceError::check(unsafe {
            (self.library().table().idevice_connection_send)(
                self.pointer,
                data.as_ptr().cast(),
                length,
                &raw mut sent,
            )
        })
    }

    /// What one call of the TLS library, or one of `recv`, gives. How many bytes came is told also where an error ended it.
    pub(crate) fn receive(&mut self, into: &mut [u8]) -> (usize, Result<(), IdeviceError>) {
        let mut received = 0_u32;
        let length = u32::try_from(into.len()).unwrap_or(u32::MAX);
        // SAFETY: the connection lives, and at most `length` bytes are written to `into`, which has them.
        let code = unsafe {
            (self.library().table().idevice_connection_receive)(
                self.pointer,
                into.as_mut_ptr().cast(),
                length,
                &raw mut received,
            )
        };
        (into.len().min(received as usize), IdeviceError::check(code))
    }

    /// As many bytes as come before nothing has come for so many milliseconds.
    pub(crate) fn receive_within(
        &mut self,
        into: &mut [u8],
        milliseconds: u32,
    ) -> (usize, Result<(), IdeviceError>) {
        let mut received = 0_u32;
        let length = u32::try_from(into.len()).unwrap_or(u32::MAX);
        // SAFETY: the connection lives, and at most `length` bytes are written to `into`, which has them.
        let code = unsafe {
            (self.library().table().idevice_connection_receive_timeout)(
                self.pointer,
                into.as_mut_ptr().cast(),
                length,
                &raw mut received,
                milliseconds,
            )
        };
        (into.len().min(received as usize), IdeviceError::check(code))
    }

    /// Puts another socket in the place of the connection's own, under the same number. The library then talks to that.
    pub(crate) fn replace_socket(&mut self, socket: OwnedFd) -> io::Result<()> {
        // SAFETY: the number is that of the connection's socket, which is open as long as the connection; the library keeps
        // owning it, for the owner that is made here is given up again below and never closes it.
        let mut place = unsafe { OwnedFd::from_raw_fd(self.descriptor) };
        let replaced = rustix::io::dup2(&socket, &mut place);
        let kept = rustix::io::fcntl_setfd(&place, FdFlags::CLOEXEC);
        let _ = place.into_raw_fd();
        replaced?;
        Ok(kept?)
    }
}

impl AsFd for ConnectionHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open until the connection is freed, which is when `self` is dropped.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        if self.tls {
            // The library says good-bye and waits for an answer: 1.3 without limit. So it finds the end instead of one, and does
            // not wait for room to write, either. Where this fails there is no connection any more to wait for.
            let _ = rustix::io::ioctl_fionbio(&self, true);
            let _ = rustix::net::shutdown(&self, rustix::net::Shutdown::Read);
        }
        // SAFETY: the connection is ours and is not used again. It closes its socket.
        unsafe { (self.library().table().idevice_disconnect)(self.pointer) };
    }
}
