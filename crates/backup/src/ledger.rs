//! The content hashes of a tree, taken as the bytes arrive: by them later damage is provable without the password, and an
//! encrypted tree can be checked at all. An SQLite file, because a tree may have a million files and memory is bounded.
//!
//! Keys are paths below the phone's folder, `Snapshot/ab/ab…` as much as `ab/ab…`, and follow what the phone does to its files.
//!
//! Not here: what a difference means (`verify`), and where the file lies (`store`).

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension as _, params};

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
    /// Whether it is the file, and not the disk or the moment.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(
            self.0.sqlite_error_code(),
            Some(DatabaseCorrupt | NotADatabase)
        )
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    db: Connection,
    pending: u32,
    pending_bytes: u64,
}

impl Ledger {
    /// Opens the ledger at `path`, or begins it.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let db = Connection::open(path)?;
        // The file is synced as a whole before it counts; until then only a crash of this process must not damage it, and
        // for that the rollback journal without syncs is enough.
        db.execute_batch(
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF; PRAGMA cache_size=-1024; PRAGMA temp_store=FILE;
             PRAGMA locking_mode=EXCLUSIVE; PRAGMA user_version=1;
             CREATE TABLE IF NOT EXISTS files (
                 path TEXT PRIMARY KEY NOT NULL, len INTEGER NOT NULL, hash BLOB NOT NULL
             ) WITHOUT ROWID;",
        )?;
        db.execute_batch("BEGIN")?;
        Ok(Self {
            db,
            pending: 0,
            pending_bytes: 0,
        })
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), LedgerError> {
        match change {
            Change::Put { path, seen } => {
                self.put(path, *seen)?;
                self.pending_bytes = self.pending_bytes.saturating_add(seen.len);
            }
            Change::Moved { from, to } if from == to => {}
            Change::Moved { from, to } => {
                self.copy(from, to)?;
                self.remove(from)?;
            }
            Change::Copied { from, to } if from == to => {}
            Change::Copied { from, to } => self.copy(from, to)?,
            Change::Removed { path } => self.remove(path)?,
        }
        self.pending += 1;
        if self.pending >= BATCH || self.pending_bytes >= BATCH_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes all changes part of the file; a crash of this process cannot lose them any more.
    pub(crate) fn commit(&mut self) -> Result<(), LedgerError> {
        self.db.execute_batch("COMMIT; BEGIN")?;
        self.pending = 0;
        self.pending_bytes = 0;
        Ok(())
    }

    /// Commits and lets go of the file.
    pub(crate) fn close(self) -> Result<(), LedgerError> {
        self.db.execute_batch("COMMIT")?;
        self.db.close().map_err(|(_, e)| LedgerError(e))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Option<Seen>, LedgerError> {
        let mut query = self
            .db
            .prepare_cached("SELECT len, hash FROM files WHERE path = ?1")?;
        Ok(query.query_row([path], |row| seen(row, 0)).optional()?)
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
    Change(Change),
    Finish,
}

/// Where changes are told to a [`Keeper`].
#[derive(Clone, Debug)]
pub(crate) struct KeeperHandle(SyncSender<Message>);

impl KeeperHandle {
    /// Waits when the keeper is far behind. A keeper that failed says so when it is asked for its ledger.
    pub(crate) fn tell(&self, change: Change) {
        let _ = self.0.send(Message::Change(change));
    }
}

impl Keeper {
    /// `hold` is let go of when the thread ends.
    pub(crate) fn start(mut ledger: Ledger, hold: impl Send + 'static) -> std::io::Result<Self> {
        let (sender, inbox): (_, Receiver<Message>) = sync_channel(1024);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let _hold = hold;
                for message in inbox {
                    match message {
                        Message::Change(change) => ledger.apply(&change)?,
                        Message::Finish => break,
                    }
                }
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
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Seen {
        Seen {
            len: bytes.len() as u64,
            hash: blake3::hash(bytes),
        }
    }

    fn put(path: &str) -> Change {
        Change::Put {
            path: path.to_owned(),
            seen: of(path.as_bytes()),
        }
    }

    fn moved(from: &str, to: &str) -> Change {
        Change::Moved {
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn it_follows_what_the_phone_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        let keeper = Keeper::start(Ledger::open(&path).unwrap(), ()).unwrap();
        let tell = keeper.handle();
        tell.tell(put("Snapshot/ab/ab1"));
        tell.tell(put("Snapshot/ab/ab2"));
        tell.tell(put("Snapshot/cd/cd1"));
        tell.tell(put("ab/ab1"));
        tell.tell(moved("Snapshot/ab/ab1", "ab/ab1"));
        tell.tell(moved("Snapshot/cd", "cd"));
        tell.tell(Change::Copied {
            from: "cd/cd1".to_owned(),
            to: "ab/cd1".to_owned(),
        });
        tell.tell(Change::Removed {
            path: "Snapshot".to_owned(),
        });
        keeper.finish().unwrap().close().unwrap();

        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(
            ledger.in_folder("ab").unwrap(),
            [
                ("ab1".to_owned(), of(b"Snapshot/ab/ab1")),
                ("cd1".to_owned(), of(b"Snapshot/cd/cd1"))
            ]
        );
        assert_eq!(ledger.get("cd/cd1").unwrap(), Some(of(b"Snapshot/cd/cd1")));
        assert_eq!(ledger.get("Snapshot/ab/ab2").unwrap(), None);
        assert_eq!(ledger.in_folder("Snapshot/cd").unwrap(), []);
    }

    #[test]
    fn a_crash_loses_a_few_files_or_a_few_bytes_and_not_more() {
        for (len, arrived, kept) in [
            (1, u64::from(BATCH) + 10, u64::from(BATCH)),
            (BATCH_BYTES / 4, 6, 4),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("l");
            let mut ledger = Ledger::open(&path).unwrap();
            for number in 0..arrived {
                let seen = Seen {
                    len,
                    hash: blake3::hash(b""),
                };
                ledger
                    .apply(&Change::Put {
                        path: format!("ab/{number:06}"),
                        seen,
                    })
                    .unwrap();
            }
            // Never closed: what was not committed is rolled back.
            drop(ledger);
            let files = Ledger::open(&path).unwrap().in_folder("ab").unwrap();
            assert_eq!(files.len() as u64, kept, "files of {len} bytes");
        }
    }
}
