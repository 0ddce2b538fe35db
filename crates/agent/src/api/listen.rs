//! The Unix socket of the local API: who may connect, and how many at once. What is said on it is not here.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once; the next one waits in the kernel's queue.
const CONNECTIONS: usize = 64;

/// A socket that answers this user only, and is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    uid: u32,
    permits: Arc<Semaphore>,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else has the name; it is not removed.
    #[error("listen on {path}: there is something that is not a socket")]
    InTheWay {
        /// The path.
        path: PathBuf,
    },
    /// The system says no.
    #[error("listen on {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Listener {
    /// Binds `path`. A socket that is there already is a left-over: the caller holds the instance lock of the state
    /// folder, so nobody else listens on it.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let fail = |source| ListenError::Io {
            path: path.to_owned(),
            source,
        };
        match std::fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path).map_err(fail)?,
            Ok(_) => {
                return Err(ListenError::InTheWay {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let inner = UnixListener::bind(path).map_err(fail)?;
        // Until this line the folder (0700) and the check of each peer's user keep others out.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
        Ok(Self {
            inner,
            path: path.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Best effort: a left-over is replaced by the next agent.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket was gone already");
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                return std::future::pending().await;
            };
            match self.inner.accept().await {
                Ok((stream, address)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == self.uid || peer.uid() == 0 => {
                        return (
                            Connection {
                                stream,
                                _permit: permit,
                            },
                            address,
                        );
                    }
                    Ok(peer) => {
                        tracing::warn!(uid = peer.uid(), "another user tried to reach the agent")
                    }
                    Err(error) => tracing::debug!(%error, "a peer left before it was identified"),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: waiting is the only cure (as hyper's own server does it).
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// One accepted connection; it gives its place back when it ends.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
