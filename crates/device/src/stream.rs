//! One byte stream to one service of a phone, whatever carries it: the usbmuxd tunnel itself, or TLS inside it.
//!
//! Not here: how the stream came about (`mux`, `tls`) and what is said on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use idevice::IdeviceSocket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An authenticated stream to one service of a phone.
///
/// Reading ends with 0 bytes also where the phone closed TLS without a `close_notify`, which phones often do
/// (protocol.md 4.4). Every protocol above counts its own bytes, so a cut in the middle of a message still shows.
pub struct DeviceStream {
    inner: IdeviceSocket,
}

impl DeviceStream {
    pub(crate) fn new(inner: IdeviceSocket) -> Self {
        Self { inner }
    }

    pub(crate) fn into_inner(self) -> IdeviceSocket {
        self.inner
    }
}

impl std::fmt::Debug for DeviceStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceStream")
    }
}

impl AsyncRead for DeviceStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_read(cx, buf)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}

impl AsyncWrite for DeviceStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
