//! The content hashes of a tree, taken as the bytes arrive: by them later damage is provable without the password, and an
//! encrypted tree can be checked at all. An SQLite file, because a tree may have a million files and memory is bounded.
//!
//! Keys are paths below the phone's folder, `Snapshot/ab/ab…` as much as `ab/ab…`, and follow what the phone does to its files.
//!
//! While a phone works on its tree, changes are only written down one after the other: names are hashes, and a table sorted by
//! them would be touched all over for each. Folding sorts them into the table, once.
//!
//! Not here: what a difference means (`verify`), and where the file lies (`store`).

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::disk;

/// Length and BLAKE3 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) len: u64,
    pub(crate) hash: blake3::Hash,
}

/// One change of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put { path: String, seen: Seen },
    Moved { from: String, to: String },
    Copied { from: String, to: String },
    Removed { path: String },
}

/// Changes between two commits, and bytes of the files in them. A crash loses at most these: what has no hash is removed when the
/// work tree is healed, and the phone sends it again.
const BATCH: u32 = 8192;
const BATCH_BYTES: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
#[error("failed to keep the hashes of the backup")]
pub(crate) struct LedgerError(#[from] rusqlite::Error);

impl LedgerError {
    /// Whether it is what the file holds, and not the disk or the moment.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType,
        };
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase};
        let code = self.0.sqlite_error_code();
        matches!(
            code,
            Some(DatabaseCorrupt | NotADatabase | ConstraintViolation)
        ) || matches!(
            self.0,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)
        )
    }
}

impl LedgerError {
    pub(crate) fn is_full(&self) -> bool {
        self.0.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

impl From<LedgerError> for std::io::Error {
    fn from(error: LedgerError) -> Self {
        if error.is_full() {
            Self::new(std::io::ErrorKind::StorageFull, error)
        } else {
            Self::other(error)
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    db: Connection,
    pending: u32,
    pending_bytes: u64,
    /// Something was written down that is not in the table yet.
    logged: bool,
    /// Files are where they belong by it, so that it will hardly change any more.
    moved: bool,
}

/// The phone's folder for what it has sent but not put in its place.
const SNAPSHOT: &str = "Snapshot/";

/// What is written down of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put = 0,
    PutSnapshot = 1,
    /// From `Snapshot/` to its place.
    MovedIn = 2,
    Removed = 3,
    RemovedSnapshot = 4,
}

impl Kind {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::PutSnapshot,
            2 => Self::MovedIn,
            3 => Self::Removed,
            4 => Self::RemovedSnapshot,
            _ => Self::Put,
        }
    }
}

/// A file in its place, and what is on the way there.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    is: Option<Seen>,
    snapshot: Option<Seen>,
}

/// A file whose changes are being folded.
struct Folding {
    key: String,
    /// In the table.
    was: Place,
    place: Place,
}

/// A path without `Snapshot/`, and whether it had that.
fn key_of(path: &str) -> (&str, bool) {
    path.strip_prefix(SNAPSHOT)
        .map_or((path, false), |key| (key, true))
}

/// Whether a phone has only files of that name: a blob in its folder, or one of the files beside the folders.
fn is_file(key: &str) -> bool {
    match key.split_once('/') {
        // Two digits: `Snapshot/` in `Snapshot/` would be one path with two keys.
        Some((folder, name)) => folder.len() == 2 && crate::verify::is_file_id(name),
        None => key.contains('.'),
    }
}

/// Whether a file is a blob in the folder where a phone's blobs arrive.
pub(crate) fn is_arriving_blob(path: &str) -> bool {
    let (key, snapshot) = key_of(path);
    snapshot && key.contains('/') && is_file(key)
}

/// Whether a phone puts one of the files that it has sent where it belongs.
pub(crate) fn is_put_in_place(from: &str, to: &str) -> bool {
    key_of(from) == (to, true) && is_file(to)
}

impl Ledger {
    /// Opens the ledger at `path`, or begins it.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::begin(disk::ledger(path, || connect(path))?)
    }

    /// As [`Ledger::open`], for one that a power cut may have torn.
    pub(crate) fn open_doubted(path: &Path) -> Result<Self, LedgerError> {
        let db = disk::ledger(path, || connect(path))?;
        must_be_sound(&db)?;
        Self::begin(db)
    }

    fn begin(db: Connection) -> Result<Self, LedgerError> {
        let logged = db.query_row("SELECT EXISTS (SELECT 1 FROM log)", [], |row| row.get(0))?;
        db.execute_batch("BEGIN")?;
        let mut ledger = Self {
            db,
            pending: 0,
            pending_bytes: 0,
            logged,
            moved: logged,
        };
        ledger.fold()?;
        Ok(ledger)
    }

    /// Opens the ledger of a finished tree, to ask and no more. `None` when it is not there.
    pub(crate) fn look(path: &Path) -> Result<Option<Self>, LedgerError> {
        // Where that cannot be told, opening it says why.
        if !disk::exists(path).unwrap_or(true) {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = disk::query(path, || {
            let db = Connection::open_with_flags(path, flags)?;
            db.execute_batch("PRAGMA cache_size=-256; PRAGMA temp_store=FILE;")?;
            must_be_sound(&db)?;
            Ok(db)
        })?;
        if db.query_row("SELECT EXISTS (SELECT 1 FROM log)", [], |row| row.get(0))? {
            return Err(LedgerError(damaged()));
        }
        Ok(Some(Self {
            db,
            pending: 0,
            pending_bytes: 0,
            logged: false,
            moved: false,
        }))
    }

    /// Writes a change down; nothing can be asked until it is folded.
    fn note(&mut self, change: &Change) -> Result<(), LedgerError> {
        let entry = match change {
            Change::Put { path, seen } => {
                let (key, snapshot) = key_of(path);
                Some((
                    key,
                    if snapshot {
                        Kind::PutSnapshot
                    } else {
                        Kind::Put
                    },
                    Some(seen),
                ))
            }
            Change::Moved { from, to } if is_put_in_place(from, to) => {
                Some((to.as_str(), Kind::MovedIn, None))
            }
            Change::Removed { path } if is_file(key_of(path).0) => {
                let (key, snapshot) = key_of(path);
                Some((
                    key,
                    if snapshot {
                        Kind::RemovedSnapshot
                    } else {
                        Kind::Removed
                    },
                    None,
                ))
            }
            Change::Moved { .. } | Change::Copied { .. } | Change::Removed { .. } => None,
        };
        let Some((key, kind, seen)) = entry else {
            // Of whole folders, or odd: rare.
            self.fold()?;
            return self.apply(change);
        };
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO log (key, kind, len, hash) VALUES (?1, ?2, ?3, ?4)")?;
        let (len, hash) = (
            seen.map(|seen| seen.len.cast_signed()),
            seen.map(|seen| seen.hash.as_bytes().as_slice()),
        );
        insert.execute(params![key, kind as u8, len, hash])?;
        drop(insert);
        self.logged = true;
        self.moved |= kind == Kind::MovedIn;
        self.count(change)
    }

    /// Sorts what was written down into the table, and costs what changed: in the order of the table, each of its pages is
    /// met once.
    fn fold(&mut self) -> Result<(), LedgerError> {
        if !self.logged {
            return Ok(());
        }
        {
            let mut query = self
                .db
                .prepare("SELECT key, kind, len, hash FROM log ORDER BY key, seq")?;
            let mut rows = query.query([])?;
            let mut at: Option<Folding> = None;
            while let Some(row) = rows.next()? {
                let key = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                if at.as_ref().is_none_or(|at| at.key != key)
                    && let Some(done) = at.replace(self.begin_folding(key)?)
                {
                    self.end_folding(&done)?;
                }
                let Some(Folding { place, .. }) = &mut at else {
                    continue;
                };
                match Kind::of(row.get(1)?) {
                    Kind::Put => place.is = Some(seen(row, 2)?),
                    Kind::PutSnapshot => place.snapshot = Some(seen(row, 2)?),
                    Kind::MovedIn => place.is = place.snapshot.take(),
                    Kind::Removed => place.is = None,
                    Kind::RemovedSnapshot => place.snapshot = None,
                }
            }
            if let Some(done) = at {
                self.end_folding(&done)?;
            }
        }
        self.db.execute_batch("DELETE FROM log")?;
        self.logged = false;
        self.moved = false;
        self.commit()
    }

    /// The phone goes over to something else. What it has moved is folded while it goes on.
    fn end_phase(&mut self) -> Result<(), LedgerError> {
        if self.moved {
            self.fold()
        } else {
            self.commit()
        }
    }

    fn begin_folding(&self, key: &str) -> Result<Folding, LedgerError> {
        let was = Place {
            is: self.get(key)?,
            snapshot: self.get(&format!("{SNAPSHOT}{key}"))?,
        };
        Ok(Folding {
            key: key.to_owned(),
            was,
            place: was,
        })
    }

    fn end_folding(&self, done: &Folding) -> Result<(), LedgerError> {
        let Folding { key, was, place } = done;
        self.change(key, was.is, place.is)?;
        self.change(&format!("{SNAPSHOT}{key}"), was.snapshot, place.snapshot)
    }

    /// What is known of one file becomes what is known now.
    fn change(&self, path: &str, was: Option<Seen>, is: Option<Seen>) -> Result<(), LedgerError> {
        match is {
            Some(seen) if was != is => self.put(path, seen),
            None if was.is_some() => {
                let mut delete = self
                    .db
                    .prepare_cached("DELETE FROM files WHERE path = ?1")?;
                delete.execute([path])?;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a change at once.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), LedgerError> {
        match change {
            Change::Put { path, seen } => self.put(path, *seen)?,
            Change::Moved { from, to } if from == to => {}
            Change::Moved { from, to } => {
                self.copy(from, to)?;
                self.remove(from)?;
            }
            Change::Copied { from, to } if from == to => {}
            Change::Copied { from, to } => self.copy(from, to)?,
            Change::Removed { path } => self.remove(path)?,
        }
        self.count(change)
    }

    /// Commits when enough has come together.
    fn count(&mut self, change: &Change) -> Result<(), LedgerError> {
        if let Change::Put { seen, .. } = change {
            self.pending_bytes = self.pending_bytes.saturating_add(seen.len);
        }
        self.pending += 1;
        if self.pending >= BATCH || self.pending_bytes >= BATCH_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes all changes part of the file; a crash of this process cannot lose them any more.
    pub(crate) fn commit(&mut self) -> Result<(), LedgerError> {
        disk::ledger(self.path(), || self.db.execute_batch("COMMIT; BEGIN"))?;
        self.pending = 0;
        self.pending_bytes = 0;
        Ok(())
    }

    /// Commits and lets go of the file.
    pub(crate) fn close(self) -> Result<(), LedgerError> {
        disk::ledger(self.path(), || self.db.execute_batch("COMMIT"))?;
        self.db.close().map_err(|(_, e)| LedgerError(e))
    }

    fn path(&self) -> &Path {
        Path::new(self.db.path().unwrap_or_default())
    }

    pub(crate) fn get(&self, path: &str) -> Result<Option<Seen>, LedgerError> {
        let mut query = self
            .db
            .prepare_cached("SELECT len, hash FROM files WHERE path = ?1")?;
        let found = disk::query(self.path(), || {
            query.query_row([path], |row| seen(row, 0)).optional()
        });
        Ok(found?)
    }

    /// What is directly in a folder, sorted by name as bytes.
    pub(crate) fn in_folder(&self, folder: &str) -> Result<Vec<(String, Seen)>, LedgerError> {
        let mut query = self.db.prepare_cached(
            "SELECT path, len, hash FROM files WHERE path >= ?1 AND path < ?2 ORDER BY path",
        )?;
        let (low, high) = (format!("{folder}/"), format!("{folder}0"));
        let rows = query.query_map([low.as_str(), high.as_str()], |row| {
            let path: String = row.get(0)?;
            Ok((
                path.get(low.len()..).unwrap_or_default().to_owned(),
                seen(row, 1)?,
            ))
        })?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        found.retain(|(name, _)| !name.contains('/'));
        Ok(found)
    }

    fn put(&self, path: &str, seen: Seen) -> Result<(), LedgerError> {
        let mut insert = self
            .db
            .prepare_cached("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3)")?;
        insert.execute(params![
            path,
            seen.len.cast_signed(),
            seen.hash.as_bytes().as_slice()
        ])?;
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), LedgerError> {
        let mut delete = self
            .db
            .prepare_cached("DELETE FROM files WHERE path = ?1 OR (path >= ?2 AND path < ?3)")?;
        delete.execute([path, &format!("{path}/"), &format!("{path}0")])?;
        Ok(())
    }

    /// Takes a path, or all that is below it, over to another one.
    fn copy(&self, from: &str, to: &str) -> Result<(), LedgerError> {
        self.remove(to)?;
        let mut copy = self.db.prepare_cached(
            "INSERT OR REPLACE INTO files SELECT ?4 || substr(path, length(?1) + 1), len, hash FROM files
             WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
        )?;
        copy.execute([from, &format!("{from}/"), &format!("{from}0"), to])?;
        Ok(())
    }
}

/// Damage in the middle of the file would be met when half of the tree is checked.
fn must_be_sound(db: &Connection) -> rusqlite::Result<()> {
    let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(damaged()) }
}

fn damaged() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, None)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    // The file is synced as a whole before it counts; until then only a crash of this process must not damage it, and for
    // that the rollback journal without syncs is enough.
    db.execute_batch(
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF; PRAGMA cache_size=-256; PRAGMA temp_store=FILE;
         PRAGMA locking_mode=EXCLUSIVE; PRAGMA user_version=1;
         CREATE TABLE IF NOT EXISTS files (
             path TEXT PRIMARY KEY NOT NULL, len INTEGER NOT NULL, hash BLOB NOT NULL
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS log (
             seq INTEGER PRIMARY KEY, key TEXT NOT NULL, kind INTEGER NOT NULL, len INTEGER, hash BLOB
         );",
    )?;
    Ok(db)
}

fn seen(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Seen> {
    let len: i64 = row.get(at)?;
    let hash: [u8; 32] = row.get(at + 1)?;
    Ok(Seen {
        len: len.cast_unsigned(),
        hash: blake3::Hash::from_bytes(hash),
    })
}

/// A ledger on a thread of its own, so that nobody waits for SQLite.
#[derive(Debug)]
pub(crate) struct Keeper {
    inbox: SyncSender<Message>,
    thread: JoinHandle<Result<Ledger, LedgerError>>,
}

#[derive(Debug)]
enum Message {
    Changes(Vec<Change>),
    Commit(SyncSender<()>),
    Finish,
}

/// Where changes are told to a [`Keeper`].
#[derive(Clone, Debug)]
pub(crate) struct KeeperHandle(SyncSender<Message>);

impl KeeperHandle {
    /// Waits when the keeper is far behind. A keeper that failed says so when it is asked for its ledger.
    pub(crate) fn tell(&self, change: Change) {
        self.tell_all(vec![change]);
    }

    /// As [`KeeperHandle::tell`]: waking the keeper for each of many costs more than what it does.
    pub(crate) fn tell_all(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let _ = self.0.send(Message::Changes(changes));
        }
    }

    /// Waits until what was told before is part of the file.
    pub(crate) fn commit(&self) {
        let (sender, done) = sync_channel(1);
        let _ = self.0.send(Message::Commit(sender));
        // One that failed has no answer; see `tell`.
        let _ = done.recv();
    }
}

/// The phone says that it goes over to something else. Once it moves it sends nothing again, and a run that breaks off then is
/// gone on with only if every file has its hash.
fn begins_a_phase(change: &Change) -> bool {
    matches!(change, Change::Put { path, .. } if path == "Status.plist")
}

impl Keeper {
    /// `hold` is let go of when the thread ends.
    pub(crate) fn start(mut ledger: Ledger, hold: impl Send + 'static) -> std::io::Result<Self> {
        let (sender, inbox): (_, Receiver<Message>) = sync_channel(64);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let _hold = hold;
                for message in inbox {
                    match message {
                        Message::Changes(changes) => {
                            for change in &changes {
                                ledger.note(change)?;
                                if begins_a_phase(change) {
                                    ledger.end_phase()?;
                                }
                            }
                        }
                        Message::Commit(done) => {
                            ledger.commit()?;
                            let _ = done.send(());
                        }
                        Message::Finish => break,
                    }
                }
                ledger.fold()?;
                ledger.commit()?;
                Ok(ledger)
            })?;
        Ok(Self {
            inbox: sender,
            thread,
        })
    }

    pub(crate) fn handle(&self) -> KeeperHandle {
        KeeperHandle(self.inbox.clone())
    }

    /// Waits for all changes that were told before.
    pub(crate) fn finish(self) -> Result<Ledger, LedgerError> {
        let _ = self.inbox.send(Message::Finish);
        match self.thread.join() {
            Ok(done) => done,
            Err(_) => Err(LedgerError(rusqlite::Error::UnwindingPanic)),
        }
    }
}

#[cfg(test)]
mod tests;
