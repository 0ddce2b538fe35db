//! Manifest.db: what it is, and its rows in the order of their keys.
//!
//! The file comes from a phone, so it is opened as a stranger's: read-only and immutable (no journal of it is looked for, and
//! none is made in the tree), without following links, with bounded rows, and only if `Files` is a plain table.

use std::io::Read as _;
use std::path::Path;

use backupwatch_wire::codec::{self, Limits};
use plist::Value;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
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
    match connect(folder) {
        Ok(Some(manifest)) => Ok(Some(manifest)),
        Ok(None) => {
            report.find(Finding::Manifest(ManifestFault::NoTable));
            Ok(None)
        }
        Err(_) => {
            report.find(Finding::Manifest(ManifestFault::Damaged));
            Ok(None)
        }
    }
}

fn connect(folder: &Path) -> Result<Option<Manifest>, rusqlite::Error> {
    let path = folder.join(NAME);
    let escaped: String = path
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(path.clone()))?
        .chars()
        .map(|c| match c {
            '%' => "%25".to_owned(),
            '?' => "%3f".to_owned(),
            '#' => "%23".to_owned(),
            c => c.to_string(),
        })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
    db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    db.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-1024; PRAGMA temp_store=FILE;")?;
    // A view could compute for ever; a virtual table runs code.
    let kind: Option<(String, String)> = db
        .query_row(
            "SELECT type, sql FROM sqlite_schema WHERE name = 'Files'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map(Some)
        .or_else(|e| {
            if e == rusqlite::Error::QueryReturnedNoRows {
                Ok(None)
            } else {
                Err(e)
            }
        })?;
    let plain = kind.is_some_and(|(kind, sql)| {
        kind == "table"
            && !sql.to_ascii_uppercase().contains("VIRTUAL")
            && !sql.to_ascii_uppercase().contains(" AS ")
    });
    Ok(plain.then_some(Manifest(db)))
}

impl Manifest {
    /// Gives every row to `each`, in the order of the file ids, until it says stop. False when the database is damaged.
    pub(super) fn scan(
        &self,
        mut each: impl FnMut(Scanned) -> Result<(), VerifyError>,
    ) -> Result<bool, VerifyError> {
        let Ok(mut query) = self
            .0
            .prepare("SELECT fileID, relativePath, flags, file FROM Files ORDER BY fileID")
        else {
            return Ok(false);
        };
        let Ok(mut rows) = query.query([]) else {
            return Ok(false);
        };
        loop {
            match rows.next() {
                Ok(Some(row)) => each(read_row(row))?,
                Ok(None) => return Ok(true),
                Err(_) => return Ok(false),
            }
        }
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
