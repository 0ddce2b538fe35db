//! Manifest.db: what it is, and its rows in the order of their keys.
//!
//! The file comes from a phone, so it is opened as a stranger's: read-only and immutable (no journal of it is looked for, and
//! none is made in the tree), without following links, with bounded rows, and only if `Files` is a plain table.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::io::Errno;

use super::archive::{self, Archived};
use super::{Finding, ManifestFault, VerifyError, VerifyReport};
use crate::disk;
use crate::jail::Jail;

pub(super) const NAME: &str = "Manifest.db";

/// Beginning of every plain SQLite file.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// AES works on blocks of this size, so an encrypted file is a whole number of them.
pub(super) const BLOCK: u64 = 16;

/// Longest row: a file's archive is below a kilobyte, with all its extended attributes far below this.
pub(super) const MAX_ROW: i32 = 4 << 20;

/// Longest statement that makes a table; those of a manifest have a hundred characters.
const MAX_SQL: i32 = 64 << 10;

/// Longest pattern of a `LIKE`, which takes as many steps as text and pattern are long and counts as one; ours have ten.
const MAX_PATTERN: i32 = 100;

/// How often a tree that is being moved is looked for.
const TRIES: u32 = 5;

/// The kind of a page of a table that leads to no other page.
const LEAF: u8 = 0x0D;

/// Most tables and indexes; a manifest has two, and a few indexes.
const MAX_TABLES: u16 = 100;

/// Steps of SQLite's machine between two looks at whether to go on. A row takes some twenty of them and has some hundred
/// bytes at the least, so a manifest is read in fewer steps than it has bytes, unless its pages are used more than once.
const STEPS: i32 = 10_000;
const MIN_STEPS: u64 = 1 << 20;

/// An open manifest.
pub(super) struct Manifest {
    db: Connection,
    /// Steps that are left of what a question may take.
    left: Arc<AtomicU64>,
    /// Steps that an honest file of this length takes at the most.
    steps: u64,
}

/// A row of a file that has a blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) domain: &'a str,
    pub(super) path: &'a str,
    archive: &'a [u8],
}

impl Row<'_> {
    /// What the row says of the file; `None` when that cannot be read.
    pub(super) fn file(&self) -> Option<Archived> {
        archive::read(self.archive)
    }

    /// Whether the path is composed; decomposed ones have stopped restores.
    pub(super) fn is_composed(&self) -> bool {
        self.path.is_ascii() || unicode_normalization::is_nfc(self.path)
    }
}

/// What the scan of a manifest gives.
pub(super) enum Scanned<'a> {
    File(Row<'a>),
    /// A folder or a link: it has no blob.
    NoBlob,
    /// A row that names no file.
    Bad,
}

/// A file that is what a manifest can be.
pub(super) enum Looked {
    Plain(Manifest),
    /// It takes its key to say more.
    Sealed(File),
}

/// Looks at the file, and opens it if it is plain.
pub(super) fn look(
    jail: &Jail,
    folder: &dyn Fn() -> std::io::Result<PathBuf>,
    stop: &Arc<AtomicBool>,
    report: &mut VerifyReport,
) -> Result<Option<Looked>, VerifyError> {
    let file = match jail.open_file(NAME) {
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
    let len = disk::len(&file)?;
    let mut head = [0; MAGIC.len()];
    let plain = match disk::read_at(&file, &mut head, 0) {
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
        return Ok(Some(Looked::Sealed(file)));
    }
    let opened = connect_in(jail, folder)?.map_err(NotOpened::from);
    let opened = opened.and_then(|db| Manifest::new(db, &file, len, stop));
    Ok(judged(opened, stop, report)?.map(Looked::Plain))
}

/// SQLite goes by a path, at which another tree may be by now.
fn connect_in(
    jail: &Jail,
    folder: &dyn Fn() -> std::io::Result<PathBuf>,
) -> std::io::Result<Result<Connection, rusqlite::Error>> {
    for _ in 0..TRIES {
        // Its own "no follow" is about every name on the way.
        let Ok(path) = disk::resolve(&folder()?) else {
            continue;
        };
        let db = connect(&path.join(NAME));
        if jail.is_at(&path).unwrap_or(false) {
            return Ok(db);
        }
    }
    Err(std::io::Error::other("the backup is being moved"))
}

/// What an attempt to open a manifest comes to.
pub(super) fn judged(
    opened: Result<Manifest, NotOpened>,
    stop: &AtomicBool,
    report: &mut VerifyReport,
) -> Result<Option<Manifest>, VerifyError> {
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
fn schema_is_small(file: &File) -> std::io::Result<bool> {
    let mut page = [0; 105];
    match disk::read_at(file, &mut page, 0) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let [.., kind, _, _, high, low] = page;
    Ok(kind == LEAF && u16::from_be_bytes([high, low]) <= MAX_TABLES)
}

/// Why a manifest was not opened.
pub(super) enum NotOpened {
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

/// Opens a file as a database, of which nothing is read yet.
pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    disk::query(path, || {
        Connection::open_with_flags(format!("{}?immutable=1", uri_of(path)), flags)
    })
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
    /// `db` is the database in `file`, which has so many bytes.
    pub(super) fn new(
        mut db: Connection,
        file: &File,
        len: u64,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, NotOpened> {
        if !schema_is_small(file).map_err(NotOpened::Host)? {
            return Err(NotOpened::Fault(ManifestFault::NoTable));
        }
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
        db.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL)?;
        db.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN)?;
        db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        let steps = len.saturating_add(MIN_STEPS);
        let left = Arc::new(AtomicU64::new(steps));
        let (stop, counter) = (Arc::clone(stop), Arc::clone(&left));
        let halt = move || {
            let taken = u64::from(STEPS.unsigned_abs());
            let before = counter.load(Ordering::Relaxed);
            counter.store(before.saturating_sub(taken), Ordering::Relaxed);
            before <= taken || stop.load(Ordering::Relaxed)
        };
        db.progress_handler(STEPS, Some(halt))?;
        db.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-256; PRAGMA temp_store=FILE;")?;
        // A view could compute for ever, a virtual table runs code, and so does a column that is computed.
        let path = db.path().map(PathBuf::from).unwrap_or_default();
        let tables: i64 = disk::query(&path, || {
            db.query_row(
                "SELECT count(*) FROM sqlite_schema
                 WHERE name = 'Files' AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'",
                [],
                |row| row.get(0),
            )
        })?;
        let computed: i64 = db.query_row(
            "SELECT count(*) FROM pragma_table_xinfo('Files') WHERE hidden <> 0",
            [],
            |row| row.get(0),
        )?;
        if tables != 1 || computed != 0 {
            return Err(NotOpened::Fault(ManifestFault::NoTable));
        }
        Ok(Self { db, left, steps })
    }

    /// L3: whether the pages of the database hang together and its indexes say what its tables do. Only a check that came to
    /// its end counts. What the phone wrote into the schema to be computed is not.
    pub(super) fn is_sound(&self) -> bool {
        // Each row is looked up in each index.
        self.allow(self.steps.saturating_mul(16));
        let computed =
            "SELECT count(*) FROM sqlite_schema AS s JOIN pragma_index_xinfo(s.name) AS x
                        WHERE s.type = 'index' AND (x.cid = -2 OR s.sql LIKE '% WHERE %')";
        let sound = self
            .db
            .query_row(computed, [], |row| row.get::<_, i64>(0))
            .and_then(|computed| {
                self.db
                    .execute_batch("PRAGMA ignore_check_constraints=ON")?;
                let said: String = self
                    .db
                    .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
                Ok(computed == 0 && said == "ok")
            });
        sound.unwrap_or(false)
    }

    fn allow(&self, steps: u64) {
        self.left.store(steps, Ordering::Relaxed);
    }

    /// Gives every row to `each`, in the order of the file ids, until it says stop. False when the database is damaged: its
    /// pages lead nowhere or round in a circle, its rows are out of order, or its index leaves some of them out.
    pub(super) fn scan(
        &self,
        mut each: impl FnMut(Scanned<'_>) -> Result<(), VerifyError>,
    ) -> Result<bool, VerifyError> {
        self.allow(self.steps);
        self.scan_all(&mut each).unwrap_or(Ok(false))
    }

    /// What the row of this file says; `None` where there is none that can be read.
    pub(super) fn find(&self, id: &str) -> Option<Archived> {
        self.allow(self.steps);
        let sql = "SELECT fileID, domain, relativePath, flags, file FROM Files WHERE fileID = ?1";
        let found = self.db.query_row(sql, [id], |row| {
            Ok(match read_row(row) {
                Scanned::File(row) => row.file(),
                Scanned::NoBlob | Scanned::Bad => None,
            })
        });
        found.ok().flatten()
    }

    fn path(&self) -> &Path {
        Path::new(self.db.path().unwrap_or_default())
    }

    fn scan_all(
        &self,
        each: &mut impl FnMut(Scanned<'_>) -> Result<(), VerifyError>,
    ) -> Result<Result<bool, VerifyError>, rusqlite::Error> {
        let mut query = self.db.prepare(
            "SELECT fileID, domain, relativePath, flags, file FROM Files ORDER BY fileID",
        )?;
        let mut rows = disk::query(self.path(), || query.query([]))?;
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
        let all: i64 = disk::query(self.path(), || {
            let count = "SELECT count(flags) FROM Files NOT INDEXED";
            self.db.query_row(count, [], |row| row.get(0))
        })?;
        Ok(Ok(all == count))
    }
}

fn read_row<'a>(row: &'a rusqlite::Row<'_>) -> Scanned<'a> {
    let text = |at| row.get_ref(at).ok().and_then(|value| value.as_str().ok());
    let (Some(id), Ok(flags)) = (text(0), row.get::<_, i64>(3)) else {
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
    let archive = row.get_ref(4).ok().and_then(|value| value.as_blob().ok());
    Scanned::File(Row {
        id,
        domain: text(1).unwrap_or_default(),
        path: text(2).unwrap_or_default(),
        archive: archive.unwrap_or_default(),
    })
}

/// The name of a blob: the SHA-1 of its domain and path, in lower-case hexadecimal digits.
pub(crate) fn is_file_id(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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
}
