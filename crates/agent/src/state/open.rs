//! Opens the state file: brings an old schema up to date, refuses a newer one, and sets a damaged file aside.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{State, StateError};

/// The scripts, in order. The schema number is how many of them have run. Append only: each has been on disks.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_checks.sql"),
    include_str!("migrations/0003_outside.sql"),
];

/// `bkwt`, in the file's header, so that another program's database is not taken for ours.
const APPLICATION_ID: i64 = 0x626b_7774;

/// How long one process waits for another's write.
const BUSY: Duration = Duration::from_secs(5);

/// Damaged files that are kept beside the new one. More would fill the disk of somebody whose disk is failing.
const DAMAGED_KEPT: usize = 3;

/// An opened state, and what had to be done for it.
#[derive(Debug)]
pub struct Opened {
    /// The state.
    pub state: State,
    /// Where the damaged file was moved to, if there was one. The agent starts knowing nothing, and says so.
    pub set_aside: Option<PathBuf>,
}

/// Opens the state for reading and writing, creating it if it is missing. Only the agent does this (and a command that
/// does its work while no agent is up).
pub fn open(path: &Path) -> Result<Opened, StateError> {
    match open_and_check(path) {
        Ok(state) => Ok(Opened {
            state,
            set_aside: None,
        }),
        Err(error) if error.is_damage() => {
            let aside = set_aside(path)?;
            Ok(Opened {
                state: open_and_check(path)?,
                set_aside: Some(aside),
            })
        }
        Err(error) => Err(error),
    }
}

/// Opens the state to read from it, beside an agent or after one.
pub fn open_read_only(path: &Path) -> Result<State, StateError> {
    if !path.exists() {
        return Err(StateError::Missing {
            path: path.to_owned(),
        });
    }
    // Read-write at the level of the file, because a reader of a WAL database takes part in its shared memory; SQLite
    // itself refuses to change anything (`query_only`).
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fail = |source| StateError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(fail)?;
    let state = State {
        connection,
        path: path.to_owned(),
    };
    match state.schema()? {
        // Between the creation of the file and its first transaction there is nothing to read yet.
        0 => Err(StateError::Missing {
            path: path.to_owned(),
        }),
        _ => Ok(state),
    }
}

/// What the state says of itself, for who looks for what is wrong.
#[derive(Debug)]
pub struct Examined {
    /// Its schema.
    pub schema: i64,
    /// The newest that this release knows.
    pub known: i64,
    /// The state, to be read.
    pub state: State,
}

/// Opens the state as [`open_read_only`], and looks whether the file is whole.
pub fn examine(path: &Path) -> Result<Examined, StateError> {
    let state = open_read_only(path)?;
    state.quick_check()?;
    Ok(Examined {
        schema: state.schema()?,
        known: i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        state,
    })
}

fn open_and_check(path: &Path) -> Result<State, StateError> {
    let fail = |source| StateError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    let mut state = State {
        connection,
        path: path.to_owned(),
    };
    state.schema()?;
    // Before anything is written: a damaged file is evidence.
    state.quick_check()?;
    state
        .connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(fail)?;
    // In WAL mode a power cut can lose the last rows and never the file; what is lost is observed again.
    state
        .connection
        .pragma_update(None, "synchronous", "normal")
        .map_err(fail)?;
    state.migrate()?;
    Ok(state)
}

impl State {
    /// The schema number, after the checks that need no table.
    pub(super) fn schema(&self) -> Result<i64, StateError> {
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let pragma = |name| -> Result<i64, StateError> {
            self.connection
                .pragma_query_value(None, name, |row| row.get(0))
                .map_err(|source| self.failed(source))
        };
        let id = pragma("application_id")?;
        let found = pragma("user_version")?;
        if id != APPLICATION_ID && (id != 0 || found != 0) {
            return Err(StateError::Foreign {
                path: self.path.clone(),
                id,
            });
        }
        if found > known {
            return Err(StateError::Newer {
                path: self.path.clone(),
                found,
                known,
            });
        }
        Ok(found)
    }

    /// Whether the file is damaged.
    fn quick_check(&self) -> Result<(), StateError> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", (), |row| row.get(0))
            .map_err(|source| self.failed(source))?;
        if verdict == "ok" {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(self.failed(rusqlite::Error::SqliteFailure(code, Some(verdict))))
    }

    /// Each script in a transaction of its own, together with the number that says that it ran.
    fn migrate(&mut self) -> Result<(), StateError> {
        let path = self.path.clone();
        let fail = |source| StateError::Sqlite {
            path: path.clone(),
            source,
        };
        loop {
            let transaction = self
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                .map_err(fail)?;
            // Read inside the transaction: a second process may have done it meanwhile.
            let found: i64 = transaction
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .map_err(fail)?;
            let Some(script) = usize::try_from(found)
                .ok()
                .and_then(|found| MIGRATIONS.get(found))
            else {
                return Ok(());
            };
            transaction.execute_batch(script).map_err(fail)?;
            transaction
                .pragma_update(None, "application_id", APPLICATION_ID)
                .map_err(fail)?;
            let next = found.saturating_add(1);
            transaction
                .pragma_update(None, "user_version", next)
                .map_err(fail)?;
            transaction.commit().map_err(fail)?;
            tracing::debug!(schema = next, "state brought up to date");
        }
    }
}

/// Moves the damaged file, with its journal, to the first free name `state.db.damaged-N`; the oldest name is reused when
/// all are taken.
fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    let fail = |source| StateError::SetAside {
        path: path.to_owned(),
        source,
    };
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let slots: Vec<PathBuf> = (1..=DAMAGED_KEPT)
        .map(|n| name(&format!(".damaged-{n}")))
        .collect();
    let free = slots.iter().find(|slot| !slot.exists()).cloned();
    let oldest = || {
        let age = |slot: &PathBuf| {
            std::fs::metadata(slot)
                .and_then(|meta| meta.modified())
                .ok()
        };
        slots.iter().min_by_key(|slot| age(slot)).cloned()
    };
    let aside = free.or_else(oldest).unwrap_or_else(|| name(".damaged"));
    std::fs::rename(path, &aside).map_err(fail)?;
    // The journal belongs to the damaged file (a repair wants it) and must not be played into the new one.
    for suffix in ["-wal", "-shm"] {
        let mut to = aside.as_os_str().to_owned();
        to.push(suffix);
        match std::fs::rename(name(suffix), to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(aside)
}
