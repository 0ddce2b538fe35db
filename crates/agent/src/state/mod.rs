//! What the agent knows, on disk: one SQLite file in WAL mode, so that the command line reads while the agent writes.
//!
//! Every row carries the schema number of the JSON in it; every schema of the file is a frozen script in `migrations/`.
//! What the file says is evidence, never a verdict: verdicts are computed from it with the current time. Deliberately
//! not here: secrets of any kind. The file is inside the 0700 state folder.

mod days;
mod open;
mod outside;
mod prune;
mod read;
mod tally;
mod write;

use std::path::PathBuf;

pub use open::{Examined, Opened, examine, open, open_read_only};
pub use read::{AgentFacts, Device, NoticeRow, ObservationRow, RunRow};
pub use tally::{LastRun, Tally};

/// A connection to the state file.
#[derive(Debug)]
pub struct State {
    connection: rusqlite::Connection,
    path: PathBuf,
}

/// What went wrong with the state. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A newer release wrote it; guessing at it could lose what it knows.
    #[error(
        "read {path}: a newer backupwatch wrote it (schema {found}, this one knows up to {known}); update backupwatch, or use another --state-dir"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// It is a database of another program.
    #[error("use {path}: it is a database of another program (application id {id:#x})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says.
        id: i64,
    },
    /// There is none, and the caller only wanted to read.
    #[error("read {path}: no agent has run on this state folder yet")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The damaged file could not be moved out of the way.
    #[error("set the damaged state {path} aside")]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A value that is to be written has no JSON form.
    #[error("write a record as JSON")]
    Json(#[from] serde_json::Error),
    /// SQLite says no.
    #[error("use the state {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl StateError {
    /// Whether the file itself is damaged, as opposed to busy, full or forbidden.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => is_damage(source),
            Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Missing { .. }
            | Self::SetAside { .. }
            | Self::Json(_) => false,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

impl State {
    fn failed(&self, source: rusqlite::Error) -> StateError {
        StateError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
