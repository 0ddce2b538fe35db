//! The TCP socket of the page, on 127.0.0.1 only, and who may connect. What is said on it is not here.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};

use super::peer;
use crate::serving::Socket;

/// A socket for browsers of this computer.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    port: u16,
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
        Ok(Self { inner, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Socket for Listener {
    type Stream = TcpStream;
    // A browser opens six, and one more for each page that is watched.
    const CONNECTIONS: usize = 48;

    async fn accept(&self) -> io::Result<TcpStream> {
        Ok(self.inner.accept().await?.0)
    }

    /// This user's.
    async fn admits(stream: &TcpStream) -> bool {
        let (Ok(there), Ok(here)) = (stream.peer_addr(), stream.local_addr()) else {
            return false;
        };
        match tokio::task::spawn_blocking(move || peer::is_ours(there, here)).await {
            Ok(true) => true,
            Ok(false) => {
                tracing::warn!("another user of this computer tried to reach the page");
                false
            }
            Err(error) => {
                tracing::error!(%error, "looking whose connection it is broke");
                false
            }
        }
    }
}
