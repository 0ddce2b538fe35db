//! The Unix socket of the local API: where it is, and who may connect. What is said on it is not here.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::serving::Socket;

/// A socket that answers this user only, and is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
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

impl Socket for Listener {
    type Stream = UnixStream;
    const CONNECTIONS: usize = 64;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.inner.accept().await?.0)
    }

    /// This user's, and root's.
    async fn admits(stream: &UnixStream) -> bool {
        match stream.peer_cred().map(|peer| peer.uid()) {
            Ok(0) => true,
            Ok(uid) if uid == rustix::process::geteuid().as_raw() => true,
            Ok(uid) => {
                tracing::warn!(uid, "another user tried to reach the agent");
                false
            }
            Err(error) => {
                tracing::debug!(%error, "a peer left before it was identified");
                false
            }
        }
    }
}
