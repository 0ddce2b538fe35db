//! Whether bytes that arrive in pieces are the content of an item, decrypting them where they are sealed.

use std::sync::Arc;

use crate::contents::Item;
use crate::keybag::Key;
use crate::seal::{self, BLOCK, Opener};

/// Compares one blob.
#[derive(Debug)]
pub struct Comparison {
    item: Arc<Item>,
    opener: Option<Opener>,
    /// Sealed bytes that do not make a whole block yet, or may turn out to be the last.
    held: Vec<u8>,
    offset: u64,
    equal: bool,
    expected: Vec<u8>,
}

impl Comparison {
    /// `key`: of the blob, when it is sealed.
    #[must_use]
    pub fn new(item: Arc<Item>, key: Option<&Key>) -> Self {
        Self {
            item,
            opener: key.map(Opener::new),
            held: Vec::new(),
            offset: 0,
            equal: true,
            expected: Vec::new(),
        }
    }

    pub fn feed(&mut self, data: &[u8]) {
        if !self.equal {
            return;
        }
        let Some(opener) = &mut self.opener else {
            self.plain(data);
            return;
        };
        self.held.extend_from_slice(data);
        // The last block waits for the end, because it holds the padding.
        let whole = self.held.len().saturating_sub(1) / BLOCK * BLOCK;
        let rest = self.held.split_off(whole);
        let mut piece = std::mem::replace(&mut self.held, rest);
        opener.update(&mut piece);
        self.plain(&piece);
    }

    /// Whether everything that was fed is the whole content.
    #[must_use]
    pub fn finish(mut self) -> bool {
        if let Some(opener) = &mut self.opener {
            let mut last = std::mem::take(&mut self.held);
            if last.len() != BLOCK {
                return false;
            }
            opener.update(&mut last);
            let Some(padding) = seal::padding(&last) else {
                return false;
            };
            last.truncate(BLOCK - padding);
            self.plain(&last);
        }
        self.equal && self.offset == self.item.size()
    }

    fn plain(&mut self, data: &[u8]) {
        let end = self.offset.saturating_add(data.len() as u64);
        if end > self.item.size() {
            self.equal = false;
            return;
        }
        self.expected.resize(data.len(), 0);
        self.item.read(self.offset, &mut self.expected);
        self.equal &= self.expected == data;
        self.offset = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::{Catalog, Contents};
    use proptest::prelude::*;

    fn item(size: u64) -> Arc<Item> {
        let contents = Contents {
            seed: 5,
            ..Contents::default()
        };
        let mut catalog = Catalog::new(&contents).unwrap();
        catalog.add("D", "f", size).unwrap();
        catalog.get("D", "f").unwrap().clone()
    }

    proptest! {
        #[test]
        fn true_content_passes_in_any_pieces_and_a_flipped_bit_never(
            size in 0_u64..200,
            sealed: bool,
            piece in 1_usize..50,
            flip in any::<prop::sample::Index>(),
        ) {
            let item = item(size);
            let mut content = vec![0; usize::try_from(size).unwrap()];
            item.read(0, &mut content);
            let key = [7; 32];
            let blob = if sealed { seal::seal(&key, &content) } else { content };
            let check = |blob: &[u8]| {
                let mut comparison = Comparison::new(item.clone(), sealed.then_some(&key));
                blob.chunks(piece).for_each(|piece| comparison.feed(piece));
                comparison.finish()
            };
            prop_assert!(check(&blob));
            if !blob.is_empty() {
                let mut flipped = blob.clone();
                flipped[flip.index(blob.len())] ^= 1;
                prop_assert!(!check(&flipped));
                prop_assert!(!check(&blob[..blob.len() - 1]));
            }
            let mut longer = blob;
            longer.push(0);
            prop_assert!(!check(&longer));
        }
    }
}
