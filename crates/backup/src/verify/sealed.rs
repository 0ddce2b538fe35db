//! What is encrypted on disk: AES-256-CBC with a zero IV and PKCS#7 padding, blobs and Manifest.db alike.
//!
//! CBC proves nothing about the bytes: a changed bit garbles its block and the next, and the rest decrypts. What can be seen is
//! whether the end is as it must be; everything else is for the hashes (`contents`).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aes::Aes256;
use aes::cipher::{Block, BlockModeDecrypt as _, KeyIvInit as _};

use super::deep::{Progress, Stage};
use super::keybag::Key;
pub(super) use super::manifest::BLOCK;
use super::manifest::{self, Manifest, NotOpened};
use super::{ManifestFault, VerifyError, VerifyReport};
use crate::disk;

const BLOCK_BYTES: usize = 16;

/// Bytes that are decrypted at a time.
pub(super) const STRETCH: usize = 128 << 10;

/// How many bytes so many bytes become. What has no key is empty.
pub(super) fn sealed_len(len: u64, has_key: bool) -> u64 {
    if has_key {
        (len / BLOCK).saturating_add(1).saturating_mul(BLOCK)
    } else {
        len
    }
}

/// Decrypts a stream from its beginning, in pieces of whole blocks.
pub(super) struct Opener(cbc::Decryptor<Aes256>);

impl Opener {
    pub(super) fn new(key: &Key) -> Self {
        Self::after(key, &[0; BLOCK_BYTES])
    }

    /// In the middle, after this encrypted block.
    fn after(key: &Key, before: &[u8; BLOCK_BYTES]) -> Self {
        let key: &[u8; 32] = key;
        Self(cbc::Decryptor::new(key.into(), before.into()))
    }

    /// Decrypts whole blocks in place; bytes of a partial one stay as they are.
    pub(super) fn update(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(bytes);
        self.0.decrypt_blocks(blocks);
    }
}

/// How many bytes the end of something decrypted is longer than it was; `None` when it is no such end.
pub(super) fn padding(end: &[u8]) -> Option<u64> {
    let count = usize::from(*end.last()?);
    let pad = end.get(end.len().checked_sub(count)?..)?;
    let good = (1..=BLOCK_BYTES).contains(&count);
    (good && pad.iter().all(|byte| usize::from(*byte) == count)).then_some(count as u64)
}

/// Fills the buffer, or what of it there is left to read.
pub(super) fn read_full(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The first bytes of a blob as the phone had them.
pub(super) fn head<const N: usize>(file: &File, key: Option<&Key>) -> io::Result<Option<[u8; N]>> {
    let mut head = [0; N];
    match disk::read_at(file, &mut head, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    if let Some(key) = key {
        Opener::new(key).update(&mut head);
    }
    Ok(Some(head))
}

/// Decrypts a manifest and opens it.
///
/// The decrypted file has names of all that is on the phone. It is kept in `scratch`, because it can be too big for memory, and
/// it has no name there while it holds anything: SQLite opens it while it is all zeros, its name is removed, and then it is
/// filled. So nothing is left behind by a crash.
pub(super) fn open_manifest(
    file: File,
    key: &Key,
    scratch: &Path,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &Arc<AtomicBool>,
    report: &mut VerifyReport,
) -> Result<Option<Manifest>, VerifyError> {
    let len = disk::len(&file)?;
    let Some(plain) = plain_len(&file, len, key)? else {
        report.find(super::Finding::Manifest(ManifestFault::Undecryptable));
        return Ok(None);
    };
    let failed = |source: io::Error| VerifyError::Scratch {
        folder: scratch.to_owned(),
        source,
    };
    let named = disk::resolve(scratch)
        .and_then(tempfile::NamedTempFile::new_in)
        .map_err(failed)?;
    // SQLite takes the length as it is when the file is opened.
    #[cfg_attr(
        not(test),
        expect(clippy::disallowed_methods, reason = "no file of the store")
    )]
    named.as_file().set_len(plain).map_err(failed)?;
    let db = manifest::connect(named.path()).map_err(|e| failed(io::Error::other(e)))?;
    let (mut decrypted, name) = named.into_parts();
    name.close().map_err(failed)?;

    let mut opener = Opener::new(key);
    let mut buffer = vec![0; STRETCH];
    let (mut done, mut left) = (0, plain);
    disk::rewind(&file)?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        let count = read_full(&mut disk::Reading(&file).take(len - done), &mut buffer)?;
        let Some(piece) = buffer.get_mut(..count).filter(|piece| !piece.is_empty()) else {
            break;
        };
        opener.update(piece);
        let kept = usize::try_from(left).map_or(count, |left| left.min(count));
        decrypted
            .write_all(piece.get(..kept).unwrap_or_default())
            .map_err(failed)?;
        left -= kept as u64;
        done += count as u64;
        progress(Progress {
            stage: Stage::Manifest,
            files: 0,
            bytes: done,
            of_files: None,
            of_bytes: Some(len),
        });
    }
    let opened = if left == 0 {
        Manifest::new(db, &decrypted, plain, stop)
    } else {
        Err(NotOpened::Fault(ManifestFault::Cut))
    };
    manifest::judged(opened, stop, report)
}

/// The length that a file has when it is decrypted, by its last block; `None` when the key does not open that.
fn plain_len(file: &File, len: u64, key: &Key) -> io::Result<Option<u64>> {
    if len == 0 || !len.is_multiple_of(BLOCK) {
        return Ok(None);
    }
    let (mut before, mut last) = ([0; BLOCK_BYTES], [0; BLOCK_BYTES]);
    if let Some(at) = len.checked_sub(2 * BLOCK) {
        disk::read_at(file, &mut before, at)?;
    }
    disk::read_at(file, &mut last, len - BLOCK)?;
    Opener::after(key, &before).update(&mut last);
    Ok(padding(&last).and_then(|padding| len.checked_sub(padding)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use backupwatch_sim::seal::seal;
    use rusqlite::Connection;

    use super::*;

    fn key() -> Key {
        Key::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn an_end_that_no_phone_writes_is_none() {
        for (end, is) in [
            (&[0; 16][..], None),
            (&[17; 32], None),
            (&[9, 3, 2, 3], None),
            (&[9, 3, 3, 3], Some(3)),
            (&[16; 16], Some(16)),
            (&[5], None),
            (&[], None),
        ] {
            assert_eq!(padding(end), is, "{end:?}");
        }
    }

    #[test]
    fn a_vector_made_by_openssl() {
        // printf 'backup' | openssl enc -aes-256-cbc -K 00..1f -iv 0
        let mut sealed = *b"\x6e\xde\x96\xa7\x8d\xef\x2c\xef\x49\xe8\xb3\x33\x50\xbb\x91\xd8";
        Opener::new(&key()).update(&mut sealed);
        assert_eq!(&sealed, b"backup\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a");
    }

    /// A manifest with rows on many pages, as it is on the phone.
    fn database(pragmas: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!(
            "{pragmas};
             CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO Files SELECT printf('%040x', i), 'HomeDomain', 'a path', 1, zeroblob(100) FROM n"
        ))
        .unwrap();
        db.close().unwrap();
        fs::read(path).unwrap()
    }

    fn rows(sealed: &[u8], scratch: &Path) -> (Option<(bool, usize)>, VerifyReport) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(sealed).unwrap();
        let mut report = VerifyReport::new();
        let (stop, progress) = (Arc::default(), |_| {});
        let manifest = open_manifest(file, &key(), scratch, &progress, &stop, &mut report).unwrap();
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "it has no name");
        let counted = manifest.map(|manifest| {
            let mut count = 0;
            let whole = manifest.scan(|_| {
                count += 1;
                Ok(())
            });
            (whole.unwrap() && manifest.is_sound(), count)
        });
        (counted, report)
    }

    /// SQLite has opened the file before anything is in it, so that everything in its header comes as news.
    #[test]
    fn a_manifest_is_read_whatever_its_pages_are() {
        let scratch = tempfile::tempdir().unwrap();
        for pragmas in [
            "PRAGMA page_size=512",
            "PRAGMA page_size=4096",
            "PRAGMA page_size=65536",
            "PRAGMA auto_vacuum=FULL",
            "PRAGMA encoding='UTF-16le'",
            "PRAGMA journal_mode=WAL",
        ] {
            let plain = database(pragmas);
            let (counted, report) = rows(&seal(&key(), &plain), scratch.path());
            assert_eq!(counted, Some((true, 2000)), "{pragmas}: {report:?}");
        }
    }

    #[test]
    fn a_manifest_that_its_key_does_not_open() {
        let scratch = tempfile::tempdir().unwrap();
        let sealed = seal(&key(), &database(""));
        let other = seal(&Key::default(), &database(""));
        for (bytes, fault) in [
            (&other[..], ManifestFault::Undecryptable),
            (&sealed[16..], ManifestFault::NoTable),
            (&sealed[..sealed.len() - 16], ManifestFault::Undecryptable),
            (&sealed[..sealed.len() - 1], ManifestFault::Undecryptable),
        ] {
            let (counted, report) = rows(bytes, scratch.path());
            assert_eq!(counted, None);
            assert_eq!(report.findings, [super::super::Finding::Manifest(fault)]);
        }
    }

    #[test]
    fn no_room_for_the_manifest_is_no_damage() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&seal(&key(), &database(""))).unwrap();
        let mut report = VerifyReport::new();
        let nowhere = Path::new("/nonexistent");
        let opened = open_manifest(file, &key(), nowhere, &|_| {}, &Arc::default(), &mut report);
        assert!(matches!(opened, Err(VerifyError::Scratch { .. })));
        assert_eq!(report.wrong, 0);
    }
}
