//! notification_proxy of one backup: one connection that posts and observes.

use std::io;

use backupwatch_wire::notification_proxy::{Event, OBSERVED, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Frames, invalid};

/// Longest notification.
const MAX: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Notifications<S>(Frames<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Notifications<S> {
    /// Observes all that matters to a backup.
    pub(crate) async fn observe(stream: S) -> io::Result<Self> {
        let mut frames = Frames::new(stream, MAX);
        for name in OBSERVED {
            frames
                .send(
                    &Request::Observe {
                        name: name.to_owned(),
                    }
                    .to_value(),
                )
                .await?;
        }
        Ok(Self(frames))
    }

    pub(crate) async fn post(&mut self, name: &str) -> io::Result<()> {
        self.0
            .send(
                &Request::Post {
                    name: name.to_owned(),
                }
                .to_value(),
            )
            .await
    }

    /// The next notification's name. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> io::Result<String> {
        loop {
            match Event::from_value(&self.0.next().await?).map_err(|e| invalid(&e))? {
                Event::Relay { name } => return Ok(name),
                Event::ProxyDeath => return Err(io::ErrorKind::ConnectionAborted.into()),
                Event::Other { .. } => {}
            }
        }
    }
}
