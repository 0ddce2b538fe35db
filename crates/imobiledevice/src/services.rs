//! Clients that the library has for started services: of any service, of the file service, and of the notification proxy.
//!
//! They are the library's own reading of those protocols, so they serve as a witness for somebody else's. Where TLS fails, those of
//! the file service and of the notification proxy go on in the clear, as the library does; the device ends that.

use std::ffi::CString;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::error::ServiceError;
use crate::lockdown::Descriptor;
use crate::sys::{AfcHandle, NotificationsHandle, ServiceHandle};
use crate::{Device, Error};

/// Notifications that wait to be taken.
const WAITING: usize = 256;

/// A client of a started service. One thread at a time.
pub struct Service(ServiceHandle);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Connects, with TLS if the descriptor says so; unlike the C function, it fails where TLS does.
    ///
    /// # Errors
    /// When the connection or TLS fails.
    pub fn open(device: &Device, descriptor: Descriptor) -> Result<Self, Error> {
        ServiceHandle::open(device.handle(), descriptor).map(Self)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        self.0.send(data)
    }

    /// Receives exactly this many bytes. After an error nobody knows where in the stream one is: 1.3 throws away what it had.
    ///
    /// # Errors
    /// When the connection is lost, or nothing comes for this time, of which a part below a millisecond counts as one.
    pub fn receive(&mut self, into: &mut [u8], within: Duration) -> Result<(), Error> {
        let milliseconds = u32::try_from(within.as_millis()).unwrap_or(u32::MAX).max(1);
        let mut rest = into;
        while !rest.is_empty() {
            let received = self.0.receive(rest, milliseconds)?;
            rest = match rest.split_at_mut_checked(received) {
                // No bytes and no error is how the library says that the time is over, on Wi-Fi.
                None | Some(([], _)) => return Err(ServiceError::Timeout.into()),
                Some((_, rest)) => rest,
            };
        }
        Ok(())
    }
}

/// How a file on the device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfcMode {
    /// To read.
    Read,
    /// To read and write; made if it is not there.
    ReadWrite,
    /// To write, from the beginning.
    Write,
}

/// What is done with the lock of an open file. No kind waits: a lock that somebody else holds is
/// [`AfcError::OpWouldBlock`](crate::AfcError::OpWouldBlock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfcLock {
    /// Hold it together with others.
    Shared,
    /// Hold it alone.
    Exclusive,
    /// Let it go.
    Unlock,
}

/// The file service. One thread at a time.
pub struct Afc(AfcHandle);

impl std::fmt::Debug for Afc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Afc").finish_non_exhaustive()
    }
}

/// An open file: a number that the device gave, which means nothing to another [`Afc`].
#[derive(Debug, PartialEq, Eq)]
pub struct AfcFile(u64);

impl Afc {
    /// Connects.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn open(device: &Device, descriptor: Descriptor) -> Result<Self, Error> {
        AfcHandle::open(device.handle(), descriptor).map(Self)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The device's refusal.
    pub fn open_file(&mut self, path: &str, mode: AfcMode) -> Result<AfcFile, Error> {
        let mode = match mode {
            AfcMode::Read => 1,
            AfcMode::ReadWrite => 2,
            AfcMode::Write => 3,
        };
        Ok(AfcFile(self.0.open_file(&CString::new(path)?, mode)?))
    }

    /// Takes or lets go the lock of a file.
    ///
    /// # Errors
    /// The device's refusal.
    pub fn lock(&mut self, file: &AfcFile, lock: AfcLock) -> Result<(), Error> {
        let operation = match lock {
            AfcLock::Shared => 1 | 4,
            AfcLock::Exclusive => 2 | 4,
            AfcLock::Unlock => 8 | 4,
        };
        Ok(self.0.lock(file.0, operation)?)
    }

    /// Closes a file, which lets its lock go.
    ///
    /// # Errors
    /// The device's refusal.
    pub fn close_file(&mut self, file: AfcFile) -> Result<(), Error> {
        Ok(self.0.close_file(file.0)?)
    }
}

/// A notification of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The one of this name.
    Named(String),
    /// There will be no more: the proxy or the connection is gone.
    Ended,
}

/// The notification proxy. One thread at a time.
///
/// The library looks once a second, so a notification is told that much later, and dropping waits for the next look.
pub struct Notifications {
    handle: NotificationsHandle,
    started: bool,
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications").finish_non_exhaustive()
    }
}

impl Notifications {
    /// Connects.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn open(device: &Device, descriptor: Descriptor) -> Result<Self, Error> {
        let handle = NotificationsHandle::open(device.handle(), descriptor, WAITING)?;
        Ok(Self {
            handle,
            started: false,
        })
    }

    /// Asks to be told of notifications of this name.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn observe(&mut self, name: &str) -> Result<(), Error> {
        self.handle.observe(&CString::new(name)?)?;
        if !self.started {
            self.handle.start()?;
            self.started = true;
        }
        Ok(())
    }

    /// Posts a notification on the device.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn post(&mut self, name: &str) -> Result<(), Error> {
        Ok(self.handle.post(&CString::new(name)?)?)
    }

    /// The next notification; `None` where none has come in this time. Of more than 256 that nobody took, the newest are lost.
    #[must_use]
    pub fn next_within(&self, time: Duration) -> Option<Notification> {
        match self.handle.inbox.messages.recv_timeout(time) {
            // The library says so when its thread ends.
            Ok(name) if name.is_empty() => Some(Notification::Ended),
            Ok(name) => Some(Notification::Named(name)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}
