//! AFC's advisory file locks: exclusive or shared, over all connections of a phone, gone with the connection.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock;

#[derive(Debug, Default)]
pub struct FileLocks {
    held: Mutex<BTreeMap<String, Held>>,
    next: AtomicU64,
}

#[derive(Debug)]
enum Held {
    Exclusive(LockHolder),
    Shared(Vec<LockHolder>),
}

/// One open file that may hold locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder(u64);

/// Somebody else holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl FileLocks {
    pub fn holder(&self) -> LockHolder {
        LockHolder(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub fn exclusive(&self, path: &str, holder: LockHolder) -> Result<(), WouldBlock> {
        let mut held = lock(&self.held);
        let free = match held.get(path) {
            None => true,
            Some(Held::Exclusive(other)) => *other == holder,
            Some(Held::Shared(others)) => others.iter().all(|other| *other == holder),
        };
        if !free {
            return Err(WouldBlock);
        }
        held.insert(path.to_owned(), Held::Exclusive(holder));
        Ok(())
    }

    pub fn shared(&self, path: &str, holder: LockHolder) -> Result<(), WouldBlock> {
        let mut held = lock(&self.held);
        match held.get_mut(path) {
            Some(Held::Exclusive(other)) if *other != holder => return Err(WouldBlock),
            Some(Held::Shared(others)) => {
                if !others.contains(&holder) {
                    others.push(holder);
                }
            }
            Some(Held::Exclusive(_)) | None => {
                held.insert(path.to_owned(), Held::Shared(vec![holder]));
            }
        }
        Ok(())
    }

    pub fn release(&self, path: &str, holder: LockHolder) {
        let mut held = lock(&self.held);
        let empty = match held.get_mut(path) {
            Some(Held::Exclusive(other)) => *other == holder,
            Some(Held::Shared(others)) => {
                others.retain(|other| *other != holder);
                others.is_empty()
            }
            None => false,
        };
        if empty {
            held.remove(path);
        }
    }

    /// Whether anybody holds the file exclusively.
    #[must_use]
    pub fn is_exclusive(&self, path: &str) -> bool {
        matches!(lock(&self.held).get(path), Some(Held::Exclusive(_)))
    }
}
