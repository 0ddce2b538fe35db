//! `Manifest.db`: the SQLite database with one row for each thing in the backup, before it is encrypted.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::{Flags, Secrets, row_blob};
use crate::contents::{Item, noise};
use crate::keybag::{KeybagError, noise_array};

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("use the manifest database")]
    Sqlite(#[from] rusqlite::Error),
    #[error("wrap the key of a file")]
    Key(#[from] KeybagError),
}

/// The tables and indexes of real phones.
const SCHEMA: &str = "
    CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
    CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB);
";
const INDEXES: &str = "
    CREATE INDEX FilesDomainIdx ON Files(domain);
    CREATE INDEX FilesRelativePathIdx ON Files(relativePath);
    CREATE INDEX FilesFlagsIdx ON Files(flags);
";

/// Writes a new database with a row for each item.
///
/// # Errors
/// SQLite fails, or an item has a protection class without a key.
pub fn write<'a>(
    path: &Path,
    items: impl Iterator<Item = &'a Item>,
    secrets: Option<&Secrets>,
    seed: u64,
) -> Result<(), DatabaseError> {
    let mut database = Connection::open(path)?;
    // The file is new and thrown away after a crash. The index of names is written in no order: it should fit.
    database.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 4096; \
         PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
    )?;
    let transaction = database.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    {
        let mut insert = transaction.prepare("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for item in items {
            let blob = row_blob(item, secrets)?;
            insert.execute(params![
                item.id.to_string(),
                &*item.domain,
                &*item.path,
                Flags::of(item).number(),
                blob
            ])?;
        }
        let mut property = transaction.prepare("INSERT INTO Properties VALUES (?1, ?2)")?;
        for (key, value) in [
            ("salt", noise_array::<20>(noise::subkey(seed, b"salt"))),
            ("passwordHash", noise_array(noise::subkey(seed, b"hash"))),
        ] {
            property.execute(params![key, value])?;
        }
    }
    transaction.execute_batch(INDEXES)?;
    transaction.commit()?;
    Ok(())
}

/// One row as it lies on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub file_id: String,
    pub domain: String,
    pub path: String,
    pub flags: u8,
    pub file: Vec<u8>,
}

/// An open database of the host's.
#[derive(Debug)]
pub struct Rows(Connection);

/// Opens a database without changing it.
///
/// # Errors
/// It is no such database.
pub fn read(path: &Path) -> Result<Rows, DatabaseError> {
    let database = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // An empty file is a valid empty database: the table must be there.
    database.query_row("SELECT count(*) FROM Files", [], |_| Ok(()))?;
    Ok(Rows(database))
}

impl Rows {
    /// Calls `each` for every file, with its name and the archive of its row.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn for_each_file(&self, mut each: impl FnMut(String, &[u8])) -> Result<(), DatabaseError> {
        let mut select = self.0.prepare("SELECT fileID, flags, file FROM Files")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, u8>(1)? == Flags::File.number() {
                let file = row.get_ref(2)?;
                each(row.get(0)?, file.as_blob().map_err(rusqlite::Error::from)?);
            }
        }
        Ok(())
    }

    /// Calls `each` for every row.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn for_each(&self, mut each: impl FnMut(Row)) -> Result<(), DatabaseError> {
        let mut select = self
            .0
            .prepare("SELECT fileID, domain, relativePath, flags, file FROM Files")?;
        let rows = select.query_map([], |row| {
            Ok(Row {
                file_id: row.get(0)?,
                domain: row.get(1)?,
                path: row.get(2)?,
                flags: row.get(3)?,
                file: row.get(4)?,
            })
        })?;
        for row in rows {
            each(row?);
        }
        Ok(())
    }
}
