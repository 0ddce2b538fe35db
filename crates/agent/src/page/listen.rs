//! The TCP socket of the page, on 127.0.0.1 only: who may connect, and how many at once. What is said on it is not here.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::peer;
use crate::api::listen::{converse, told};

/// Connections at once: a browser opens six, and one more for each page that is watched.
const CONNECTIONS: usize = 48;
/// Pause after an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A socket for browsers of this computer.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    port: u16,
    permits: Arc<Semaphore>,
}

/// Why there is no page. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
#[error("listen on 127.0.0.1")]
pub struct NoPage(#[source] io::Error);

impl Listener {
    /// Binds `port`, or another free one where that one is taken or forbidden.
    pub async fn bind(port: u16) -> Result<Self, NoPage> {
        let inner = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(inner) => inner,
            Err(error) => {
                tracing::info!(%error, port, "the page's port cannot be used; another one will do");
                let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                any.map_err(NoPage)?
            }
        };
        let port = inner.local_addr().map_err(NoPage)?.port();
        Ok(Self {
            inner,
            port,
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let service = TowerToHyperService::new(router);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => told(ended),
                (stream, permit) = self.accept() => {
                    connections.spawn(serve(stream, permit, service.clone(), shutdown.clone()));
                }
            }
        }
        while let Some(ended) = connections.join_next().await {
            told(ended);
        }
    }

    /// The next connection. May be dropped and called again.
    async fn accept(&self) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                return std::future::pending().await;
            };
            match self.inner.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => {
                    // Out of file descriptors, most likely: waiting is the only cure.
                    tracing::warn!(%error, "cannot accept a connection to the page");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// One connection, if it is this user's. Another user is told nothing at all.
async fn serve(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    service: TowerToHyperService<Router>,
    shutdown: CancellationToken,
) {
    let (Ok(there), Ok(here)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let looking = tokio::task::spawn_blocking(move || peer::is_ours(there, here));
    match looking.await {
        Ok(true) => converse(stream, permit, service, shutdown).await,
        Ok(false) => tracing::warn!("another user of this computer tried to reach the page"),
        Err(error) => tracing::error!(%error, "looking whose connection it is broke"),
    }
}
