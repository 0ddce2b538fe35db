//! Manifest.db: what it is, and its rows in the order of their keys.
//!
//! The file comes from a phone, so it is opened as a stranger's: read-only and immutable (no journal of it is looked for, and
//! none is made in the tree), without following links, with bounded rows, and only if `Files` is a plain table.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_wire::codec::{self, Limits};
use plist::Value;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::io::Errno;

use super::{Finding, ManifestFault, VerifyError, VerifyReport};
use crate::jail::Jail;

const NAME: &str = "Manifest.db";

/// Beginning of every plain SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// AES works on blocks of this size, so an encrypted file is a whole number of them.
const BLOCK: u64 = 16;

/// Longest row: a file's archive is below a kilobyte, with all its extended attributes far below this.
const MAX_ROW: i32 = 4 << 20;

/// Longest statement that makes a table; those of a manifest have a hundred characters.
const MAX_SQL: i32 = 64 << 10;

/// The kind of a page of a table that leads to no other page.
const LEAF: u8 = 0x0D;

/// Most tables and indexes; a manifest has two, and a few indexes.
const MAX_TABLES: u16 = 100;

/// Steps of SQLite's machine between two looks at whether to go on. A row takes some twenty of them and has some hundred
/// bytes at the least, so a manifest is read in fewer steps than it has bytes, unless its pages are used more than once.
const STEPS: i32 = 10_000;
const MIN_STEPS: u64 = 1 << 20;

/// An open manifest.
pub(super) struct Manifest(Connection);

/// A row of a file that has a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    /// `None` when the archive cannot be read.
    pub(super) size: Option<u64>,
    /// Whether the path is composed; decomposed ones have stopped restores.
    pub(super) composed: bool,
}

/// What the scan of a manifest gives.
pub(super) enum Scanned {
    File(Row),
    /// A folder or a link: it has no blob.
    NoBlob,
    /// A row that names no file.
    Bad,
}

/// Looks at the file and opens it, if it is plain.
pub(super) fn open(
    jail: &Jail,
    folder: &Path,
    stop: &Arc<AtomicBool>,
    report: &mut VerifyReport,
) -> Result<Option<Manifest>, VerifyError> {
    let mut file = match jail.open_file(NAME) {
        Ok(file) => file,
        Err(Errno::NOENT) => {
            report.find(Finding::FileMissing { name: NAME });
            return Ok(None);
        }
        Err(e @ (Errno::ISDIR | Errno::LOOP | Errno::INVAL)) => {
            report.find(Finding::FileUnreadable {
                name: NAME,
                why: e.to_string(),
            });
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    let len = file.metadata()?.len();
    let mut head = [0; MAGIC.len()];
    let plain = match file.read_exact(&mut head) {
        Ok(()) => head == *MAGIC,
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => false,
        Err(e) => return Err(e.into()),
    };
    let fault = match (len, plain, report.encrypted) {
        (0, _, _) => Some(ManifestFault::Empty),
        (_, true, true) => Some(ManifestFault::Plain),
        (_, false, false) => Some(ManifestFault::Encrypted),
        (len, false, true) if len % BLOCK != 0 => Some(ManifestFault::Cut),
        (_, false, true) | (_, true, false) => None,
    };
    if let Some(fault) = fault {
        report.find(Finding::Manifest(fault));
        return Ok(None);
    }
    if report.encrypted {
        return Ok(None);
    }
    let opened = if schema_is_small(&file) {
        connect(folder, len, stop)
    } else {
        Err(NotOpened::Fault(ManifestFault::NoTable))
    };
    match opened {
        Ok(manifest) => Ok(Some(manifest)),
        Err(_) if stop.load(Ordering::Relaxed) => Err(VerifyError::Stopped),
        Err(NotOpened::Fault(fault)) => {
            report.find(Finding::Manifest(fault));
            Ok(None)
        }
        Err(NotOpened::Host(e)) => Err(e.into()),
    }
}

/// Whether all tables are named on the first page. SQLite takes the whole schema into memory before anything can be asked,
/// and a file of a gigabyte can be all schema.
fn schema_is_small(file: &File) -> bool {
    let mut page = [0; 105];
    if file.read_exact_at(&mut page, 0).is_err() {
        return false;
    }
    let [.., kind, _, _, high, low] = page;
    kind == LEAF && u16::from_be_bytes([high, low]) <= MAX_TABLES
}

/// Why a manifest was not opened.
enum NotOpened {
    Fault(ManifestFault),
    /// The system, and not the file.
    Host(std::io::Error),
}

impl From<rusqlite::Error> for NotOpened {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => {
                Self::Host(std::io::Error::other(error))
            }
            Some(_) | None => Self::Fault(ManifestFault::Damaged),
        }
    }
}

fn connect(folder: &Path, len: u64, stop: &Arc<AtomicBool>) -> Result<Manifest, NotOpened> {
    // SQLite's own "no follow" is about every name on the way.
    let path = folder.canonicalize().map_err(NotOpened::Host)?.join(NAME);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(format!("{}?immutable=1", uri_of(&path)), flags)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
    db.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL)?;
    db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let (stop, mut left) = (Arc::clone(stop), len.saturating_add(MIN_STEPS));
    let halt = move || {
        left = left.saturating_sub(u64::from(STEPS.unsigned_abs()));
        left == 0 || stop.load(Ordering::Relaxed)
    };
    db.progress_handler(STEPS, Some(halt))?;
    db.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-1024; PRAGMA temp_store=FILE;")?;
    // A view could compute for ever, a virtual table runs code, and so does a column that is computed.
    let tables: i64 = db.query_row(
        "SELECT count(*) FROM sqlite_schema
         WHERE name = 'Files' AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'",
        [],
        |row| row.get(0),
    )?;
    let computed: i64 = db.query_row(
        "SELECT count(*) FROM pragma_table_xinfo('Files') WHERE hidden <> 0",
        [],
        |row| row.get(0),
    )?;
    if tables != 1 || computed != 0 {
        return Err(NotOpened::Fault(ManifestFault::NoTable));
    }
    Ok(Manifest(db))
}

/// The path as SQLite takes it, whatever bytes are in it.
fn uri_of(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri
}

impl Manifest {
    /// Gives every row to `each`, in the order of the file ids, until it says stop. False when the database is damaged: its
    /// pages lead nowhere or round in a circle, its rows are out of order, or its index leaves some of them out.
    pub(super) fn scan(
        &self,
        mut each: impl FnMut(Scanned) -> Result<(), VerifyError>,
    ) -> Result<bool, VerifyError> {
        self.scan_all(&mut each).unwrap_or(Ok(false))
    }

    fn scan_all(
        &self,
        each: &mut impl FnMut(Scanned) -> Result<(), VerifyError>,
    ) -> Result<Result<bool, VerifyError>, rusqlite::Error> {
        let mut query = self
            .0
            .prepare("SELECT fileID, relativePath, flags, file FROM Files ORDER BY fileID")?;
        let mut rows = query.query([])?;
        let mut count = 0_i64;
        let mut last = String::new();
        while let Some(row) = rows.next()? {
            count += 1;
            // What is no text is judged with the rest of its row.
            if let Ok(id) = row.get_ref(0)?.as_str() {
                if id <= last.as_str() {
                    return Ok(Ok(false));
                }
                id.clone_into(&mut last);
            }
            if let Err(e) = each(read_row(row)) {
                return Ok(Err(e));
            }
        }
        // Counted by their pages and not by the index. To count a column takes steps, and can so be ended; `*` takes one.
        let all: i64 =
            self.0
                .query_row("SELECT count(flags) FROM Files NOT INDEXED", [], |row| {
                    row.get(0)
                })?;
        Ok(Ok(all == count))
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> Scanned {
    let (Ok(id), Ok(flags)) = (
        row.get_ref(0).and_then(|v| Ok(v.as_str()?)),
        row.get::<_, i64>(2),
    ) else {
        return Scanned::Bad;
    };
    if !is_file_id(id) {
        return Scanned::Bad;
    }
    match flags {
        1 => {}
        2 | 4 => return Scanned::NoBlob,
        _ => return Scanned::Bad,
    }
    let path = row
        .get_ref(1)
        .and_then(|v| Ok(v.as_str()?))
        .unwrap_or_default();
    let archive = row
        .get_ref(3)
        .and_then(|v| Ok(v.as_blob()?))
        .unwrap_or_default();
    Scanned::File(Row {
        id: id.to_owned(),
        size: size_in(archive),
        composed: path.is_ascii() || unicode_normalization::is_nfc(path),
    })
}

/// The name of a blob: the SHA-1 of its domain and path, in lower-case hexadecimal digits.
pub(crate) fn is_file_id(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The size in an archived `MBFile`: a dictionary under `$top.root` of an NSKeyedArchiver list.
fn size_in(archive: &[u8]) -> Option<u64> {
    let max = usize::try_from(MAX_ROW).ok()?;
    let archive = codec::decode(archive, Limits::of_bytes(max)).ok()?;
    let archive = archive.as_dictionary()?;
    let root = archive
        .get("$top")?
        .as_dictionary()?
        .get("root")?
        .as_uid()?
        .get();
    let objects = archive.get("$objects")?.as_array()?;
    let file = objects.get(usize::try_from(root).ok()?)?.as_dictionary()?;
    file.get("Size").and_then(Value::as_unsigned_integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_ids() {
        for (name, good) in [
            ("31bb7ba8914766d4ba40d6dfb6113c8b614be442", true),
            ("31BB7BA8914766D4BA40D6DFB6113C8B614BE442", false),
            ("31bb7ba8914766d4ba40d6dfb6113c8b614be44", false),
            ("../b7ba8914766d4ba40d6dfb6113c8b614be442", false),
        ] {
            assert_eq!(is_file_id(name), good, "{name}");
        }
    }

    #[test]
    fn rubbish_has_no_size() {
        assert_eq!(size_in(b""), None);
        assert_eq!(size_in(b"bplist00"), None);
    }
}
