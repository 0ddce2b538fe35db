//! A connection to a started service, and how it becomes a stream of bytes.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use rustix::net::Shutdown;

use crate::error::IdeviceError;
use crate::pump;
use crate::sys::ConnectionHandle;
use crate::{Device, Error};

/// A connection to a port of a device. One thread at a time.
pub struct Connection {
    handle: ConnectionHandle,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the device does not take it; over the cable the library does not say why.
    pub fn open(device: &Device, port: u16) -> Result<Self, Error> {
        let handle = ConnectionHandle::open(device.handle(), port)?;
        Ok(Self { handle })
    }

    /// Begins TLS, with the pair record that usbmuxd has. A session with lockdownd must have been started over the same
    /// [`Device`], so that the library knows its version; else it offers TLS 1.0 only.
    ///
    /// This waits for the device without limit (1.3); a [`Breaker`] ends it.
    ///
    /// # Errors
    /// When there is no pair record, or the handshake fails.
    pub fn enable_tls(&mut self) -> Result<(), Error> {
        Ok(self.handle.enable_tls()?)
    }

    /// Something for another thread by which to end this connection, whatever it waits for.
    ///
    /// # Errors
    /// When no more files can be open.
    pub fn breaker(&self) -> Result<Breaker, Error> {
        Ok(Breaker(self.handle.as_fd().try_clone_to_owned()?))
    }

    /// Makes it a stream, and tells how it ended when it has.
    ///
    /// Without TLS it is the connection's own socket, which may be one of TCP. With TLS it is one end of a pair of sockets, and a
    /// thread of its own moves the bytes and frees the connection: nobody who uses the stream waits within C. Bytes wait
    /// in the sockets' own buffers, so what the device sends faster than it is read is held back, and so is what is
    /// written faster than the device takes it.
    ///
    /// Dropping the stream, or shutting down its writing half, sends what was written, ends TLS and ends the thread, within two
    /// seconds.
    ///
    /// # Errors
    /// When no more files can be open or no thread can be had.
    pub fn into_stream(self) -> Result<(UnixStream, Ending), Error> {
        let ending = Ending(Arc::default());
        let socket = self.handle.as_fd().try_clone_to_owned()?;
        if !self.handle.tls() {
            // Closes its own number of the socket; this one stays open.
            drop(self);
            return Ok((UnixStream::from(socket), ending));
        }
        let stream = pump::start(self.handle, socket, ending.clone())?;
        Ok((stream, ending))
    }
}

/// Ends a connection from another thread.
#[derive(Debug)]
pub struct Breaker(OwnedFd);

impl Breaker {
    /// Whatever the connection waits for comes back with an error, and so does all that is done with it after.
    pub fn break_off(&self) {
        // What is not connected any more needs no end.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Both);
    }
}

/// How a stream ended, which the end of its bytes does not say. Set before the stream ends.
#[derive(Clone, Debug)]
pub struct Ending(Arc<OnceLock<Ended>>);

impl Ending {
    /// `None` while it has not, and always without TLS: there the socket says it all.
    #[must_use]
    pub fn get(&self) -> Option<Ended> {
        self.0.get().copied()
    }

    pub(crate) fn set(&self, ended: Ended) {
        // The first reason is the one.
        let _ = self.0.set(ended);
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The stream was dropped.
    Dropped,
    /// The device, or usbmuxd when the device was unplugged, closed the connection between two records of TLS.
    Closed,
    /// The same, within a record.
    Cut,
    /// The connection was lost.
    Lost(io::ErrorKind),
    /// TLS failed.
    Tls(IdeviceError),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dropped => f.write_str("the stream was dropped"),
            Self::Closed => f.write_str("the device closed the connection"),
            Self::Cut => f.write_str("the connection was cut within a record"),
            Self::Lost(kind) => write!(f, "the connection was lost: {kind}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}
