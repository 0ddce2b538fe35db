//! The `file` column of a manifest: an archived `MBFile`, which is a dictionary under `$top.root` of an NSKeyedArchiver list.

use backupwatch_wire::codec::Look;

/// What a row says of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archived {
    /// As it was on the phone. Phones copy databases that are in use as they upload them, and such a copy can be longer or
    /// shorter than the file that was counted (avibrazil/iOSbackup#26).
    pub(super) size: u64,
    /// The class of protection, and the key that is wrapped by it. An empty file has none.
    pub(super) key: Option<Vec<u8>>,
}

/// Reads an archive; `None` when it is none, or says no size. A manifest has a million of them, and of each two values count, so
/// they are looked up where they lie.
pub(super) fn read(archive: &[u8]) -> Option<Archived> {
    let archive = Look::at_root(archive)?;
    let objects = archive.get("$objects")?;
    let at = |dictionary: Look<'_>, name: &str| objects.at(dictionary.get(name)?.as_uid()?);
    let file = at(archive.get("$top")?, "root")?;
    let key = at(file, "EncryptionKey").and_then(|key| key.get("NS.data")?.as_data());
    Some(Archived {
        size: file.get("Size")?.as_unsigned()?,
        key: key.map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_has_no_size() {
        assert_eq!(read(b""), None);
        assert_eq!(read(b"bplist00"), None);
    }
}
