//! What has come of a stream and is still to be cut, and the error after which nothing more of it is believed.
//!
//! It holds only bytes that really came. How they are cut is each protocol's own.

use bytes::{Bytes, BytesMut};

#[derive(Debug)]
pub(crate) struct Intake<E> {
    buffer: BytesMut,
    failed: Option<E>,
}

impl<E> Default for Intake<E> {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            failed: None,
        }
    }
}

impl<E: Clone> Intake<E> {
    /// Adds bytes as they came off the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// What `cut` takes off the front; its first error is given for ever.
    pub fn next<T>(
        &mut self,
        cut: impl FnOnce(&mut BytesMut) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        cut(&mut self.buffer).inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = BytesMut::new();
        })
    }

    /// The bytes that were not cut.
    pub fn into_rest(self) -> Bytes {
        self.buffer.freeze()
    }

    /// What is held, whatever is claimed.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
