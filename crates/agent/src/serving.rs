//! HTTP on a socket that listens, for the local API and the page alike: how many connections at once, how long a request may take,
//! and how it ends. Who may connect, the socket says. And answers that come piece by piece.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use hyper::body::{Body, Frame};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long a request may take to arrive, so that a forgotten connection gives its place back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The head of a request is shorter.
const REQUEST_MAX: usize = 32 << 10;
/// Pause after an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A socket that listens.
pub(crate) trait Socket: Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static;

    /// Connections at once; the next one waits in the kernel's queue.
    const CONNECTIONS: usize;

    /// The next connection. May be dropped and called again.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Whether who is at the other end may speak. Anybody else is told nothing at all.
    fn admits(stream: &Self::Stream) -> impl Future<Output = bool> + Send;
}

/// Serves until `shutdown`; then lets what is being asked be answered. Whoever has to be quicker drops the future.
pub(crate) async fn serve<S: Socket>(socket: &S, router: Router, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(S::CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => told(ended),
            (stream, permit) = next(socket, &permits) => {
                connections.spawn(converse::<S>(stream, permit, service.clone(), shutdown.clone()));
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        told(ended);
    }
}

/// The next connection, once there is a place for it. May be dropped and called again.
async fn next<S: Socket>(
    socket: &S,
    permits: &Arc<Semaphore>,
) -> (S::Stream, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        match socket.accept().await {
            Ok(stream) => return (stream, permit),
            Err(error) => {
                // Out of file descriptors, most likely: waiting is the only cure.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection, from its first request to its end.
async fn converse<S: Socket>(
    stream: S::Stream,
    _permit: OwnedSemaphorePermit,
    service: TowerToHyperService<Router>,
    shutdown: CancellationToken,
) {
    if !S::admits(&stream).await {
        return;
    }
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

fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "answering a request broke");
    }
}

/// The body of an answer that goes on while something happens: a piece for each event.
#[derive(Debug)]
pub(crate) struct Story<E> {
    events: mpsc::Receiver<E>,
    piece: fn(&E) -> Bytes,
}

impl<E> Story<E> {
    pub(crate) fn new(events: mpsc::Receiver<E>, piece: fn(&E) -> Bytes) -> Self {
        Self { events, piece }
    }
}

impl<E> Body for Story<E> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.events.poll_recv(cx);
        event.map(|event| event.map(|event| Ok(Frame::data((self.piece)(&event)))))
    }
}
