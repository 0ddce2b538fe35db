//! The phone's end of a stream, without a wire: what it says is known beforehand, what it hears is kept or dropped.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most that is kept of what it hears.
const KEPT: usize = 1 << 20;

pub struct Peer {
    says: VecDeque<Vec<u8>>,
    /// After the last word it stays; else it is gone.
    stays: bool,
    hears: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Peer {
    /// Says all at once.
    pub fn saying(bytes: Vec<u8>) -> Self {
        Self::answering(vec![bytes])
    }

    /// Says one after the other, each to a read of its own.
    pub fn answering(answers: Vec<Vec<u8>>) -> Self {
        Self {
            says: answers
                .into_iter()
                .filter(|answer| !answer.is_empty())
                .collect(),
            stays: false,
            hears: None,
        }
    }

    pub fn then_silent(self) -> Self {
        Self {
            stays: true,
            ..self
        }
    }

    pub fn heard_by(self, ear: &Arc<Mutex<Vec<u8>>>) -> Self {
        let hears = Some(Arc::clone(ear));
        Self { hears, ..self }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(says) = self.says.front_mut() else {
            // Nobody wakes the reader: it waits for something else, or for the clock.
            return if self.stays {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            };
        };
        let length = says.len().min(buffer.remaining());
        let after = says.split_off(length);
        buffer.put_slice(says);
        *says = after;
        if says.is_empty() {
            self.says.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(ear) = &self.hears {
            let mut heard = ear.lock().unwrap();
            let room = KEPT.saturating_sub(heard.len()).min(bytes.len());
            heard.extend_from_slice(&bytes[..room]);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
