//! The Unix socket of the local API: who may connect, and how many at once. What is said on it is not here.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Connections at once; the next one waits in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a request may take to arrive, so that a forgotten connection gives its place back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The head of a request is shorter.
const REQUEST_MAX: usize = 32 << 10;
/// Pause after an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

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

impl Listener {
    /// Serves until `shutdown`; then lets what is being asked be answered. Whoever has to be quicker drops the future.
    pub(super) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let service = TowerToHyperService::new(router);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => told(ended),
                (stream, permit) = self.accept() => {
                    connections.spawn(converse(stream, permit, service.clone(), shutdown.clone()));
                }
            }
        }
        while let Some(ended) = connections.join_next().await {
            told(ended);
        }
    }

    /// The next connection of this user. May be dropped and called again.
    async fn accept(&self) -> (UnixStream, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                return std::future::pending().await;
            };
            match self.inner.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == self.uid || peer.uid() == 0 => {
                        return (stream, permit);
                    }
                    Ok(peer) => {
                        tracing::warn!(uid = peer.uid(), "another user tried to reach the agent")
                    }
                    Err(error) => tracing::debug!(%error, "a peer left before it was identified"),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: waiting is the only cure.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

pub(crate) fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "answering a request broke");
    }
}

/// One connection, from its first request to its end.
pub(crate) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    _permit: OwnedSemaphorePermit,
    service: TowerToHyperService<Router>,
    shutdown: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(REQUEST_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
