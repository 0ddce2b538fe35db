//! AES-256-CBC with a zero IV and PKCS#7 padding, in pieces: how blobs and `Manifest.db` of an encrypted backup lie on
//! the host (protocol.md 9.6).

use aes::Aes256;
use aes::cipher::{Block, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};

use crate::keybag::Key;

pub const BLOCK: usize = 16;

/// How many bytes `len` bytes become.
#[must_use]
pub const fn sealed_len(len: u64) -> u64 {
    (len / BLOCK as u64 + 1) * BLOCK as u64
}

/// Encrypts a stream whose length is not known in advance.
pub struct Sealer(cbc::Encryptor<Aes256>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(cbc::Encryptor::new(key.into(), &Block::<Aes256>::default()))
    }

    /// Encrypts whole blocks in place; bytes of a last, partial block stay as they are and are returned.
    pub fn update<'a>(&mut self, bytes: &'a mut [u8]) -> &'a mut [u8] {
        let (blocks, rest) = Block::<Aes256>::slice_as_chunks_mut(bytes);
        self.0.encrypt_blocks(blocks);
        rest
    }

    /// The last block: what is left over, less than a block, and the padding.
    #[must_use]
    pub fn finish(mut self, rest: &[u8]) -> [u8; BLOCK] {
        let padding = BLOCK.saturating_sub(rest.len());
        let mut last = [u8::try_from(padding).unwrap_or(0); BLOCK];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let _ = self.update(&mut last);
        last
    }
}

/// Decrypts a stream in pieces of whole blocks.
pub struct Opener(cbc::Decryptor<Aes256>);

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl Opener {
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(cbc::Decryptor::new(key.into(), &Block::<Aes256>::default()))
    }

    /// Decrypts whole blocks in place; bytes of a partial block stay as they are.
    pub fn update(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(bytes);
        self.0.decrypt_blocks(blocks);
    }
}

/// How many bytes of padding the last piece of a decrypted stream ends with; none when the padding is not PKCS#7.
#[must_use]
pub fn padding(last: &[u8]) -> Option<usize> {
    let count = usize::from(*last.last()?);
    let pad = last
        .len()
        .checked_sub(count)
        .and_then(|start| last.get(start..))?;
    ((1..=BLOCK).contains(&count) && pad.iter().all(|byte| usize::from(*byte) == count))
        .then_some(count)
}

/// A whole small thing at once.
#[must_use]
pub fn seal(key: &Key, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(key);
    let mut out = plain.to_vec();
    let rest = sealer.update(&mut out).to_vec();
    out.truncate(plain.len() - rest.len());
    out.extend(sealer.finish(&rest));
    out
}

/// The inverse of `seal`; none when the length or the padding cannot come from it.
#[must_use]
pub fn open(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
        return None;
    }
    let mut out = sealed.to_vec();
    Opener::new(key).update(&mut out);
    let len = out.len() - padding(&out)?;
    out.truncate(len);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_a_vector_made_by_openssl() {
        // printf 'backup' | openssl enc -aes-256-cbc -K 00..1f -iv 0
        let key: Key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let hex: String = seal(&key, b"backup")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "6ede96a78def2cef49e8b33350bb91d8");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 0..100), key: [u8; 32]) {
            let sealed = seal(&key, &plain);
            prop_assert_eq!(sealed.len() as u64, sealed_len(plain.len() as u64));
            prop_assert_eq!(open(&key, &sealed), Some(plain));
        }
    }

    #[test]
    fn padding_that_no_sealer_writes_is_refused() {
        assert_eq!(padding(&[0; 16]), None);
        assert_eq!(padding(&[17; 32]), None);
        assert_eq!(padding(&[9, 3, 2, 3]), None);
        assert_eq!(padding(&[9, 3, 3, 3]), Some(3));
        assert_eq!(padding(&[]), None);
    }
}
