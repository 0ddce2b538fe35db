//! What macOS would free for something important, beyond what is free: caches, and originals that are in iCloud as well. A disk
//! that is nearly full by `df` often has room for a backup by that (protocol notes on free space).

use std::path::Path;

use backupwatch_backup::{Purgeable, Store};

/// What an engine asks about this store.
pub fn of(store: &Store) -> Option<Purgeable> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let root = store.root().to_owned();
    Some(Purgeable::new(move || available(&root)))
}

/// Bytes that the disk of a store has for us, with what the system would free. `None` when nobody can say.
pub fn free(store: &Store) -> Option<u64> {
    store.free().ok().max(available(store.root()))
}

/// The same for any folder, be it no store yet.
pub fn free_at(folder: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok();
    let free = space.map(|space| space.f_bavail.saturating_mul(space.f_frsize));
    free.max(available(folder))
}

/// Bytes that the system says it has for something important, free or not yet. Zero on disks about which it does not know, which
/// is less than what is free there and so does not count.
#[cfg(target_os = "macos")]
fn available(folder: &Path) -> Option<u64> {
    use objc2::rc::autoreleasepool;
    use objc2_foundation::{NSArray, NSNumber, NSString, NSURL};

    // The constant of that name holds its name. It is not used, because what is not defined in Rust cannot be read in safe code,
    // and a system that does not know the key leaves it out.
    const KEY: &str = "NSURLVolumeAvailableCapacityForImportantUsageKey";

    autoreleasepool(|_| {
        let url = NSURL::fileURLWithPath(&NSString::from_str(folder.to_str()?));
        let key = NSString::from_str(KEY);
        let values = url.resourceValuesForKeys_error(&NSArray::from_slice(&[&*key]));
        let value = values.ok()?.objectForKey(&key)?;
        let bytes = value.downcast::<NSNumber>().ok()?.longLongValue();
        u64::try_from(bytes).ok()
    })
}

#[cfg(not(target_os = "macos"))]
fn available(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_at_least_what_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let (told, free) = (free(&store).unwrap(), store.free().unwrap());
        // Others write to this disk while the test runs.
        assert!(told + (1 << 30) > free, "{told} and {free}");
        if let Some(purgeable) = available(store.root()) {
            assert!(told >= purgeable.min(free));
        }
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert_eq!(
            super::free(&store),
            None,
            "a disk that is away has no room, and not none"
        );
    }
}
