//! The journal of one phone's run: what a later start must know about the work tree. Version 1 of the file.
//!
//! Not here: whether a tree is verified. That is a [`super::record`] of its own, written before the trees are exchanged, so
//! that a damaged journal cannot make a backup of what is none.

use std::io;
use std::path::Path;

use backupwatch_core::HostTime;
use serde::{Deserialize, Serialize};

use super::durable;
use super::identity::TreeId;
use crate::disk;

const VERSION: u32 = 1;

/// Longest journal; what is longer is cut, and so is none.
const MAX: u64 = 64 << 10;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    version: u32,
    /// When the work tree was begun, by this computer's clock.
    pub(crate) begun: HostTime,
    pub(crate) state: State,
}

/// How far the run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum State {
    /// A run uses the work tree, or broke off without a word: what it wrote last may not have reached the medium.
    Working(Origin),
    /// A run ended before its time; all that arrived is on the medium. The phone goes on from there.
    Paused(Origin),
    /// The work tree proved to be no good; the next run begins with what is said here.
    Condemned { next: Next },
    /// The tree with this identity was verified and is to become the current one.
    Verified { tree: TreeId },
}

/// What the work tree was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// The current tree that it is linked to; `None` when it began empty.
    pub(crate) base: Option<TreeId>,
    /// How many runs have gone on from where one before them stopped.
    pub(crate) resumed: u32,
    /// How many of them on end came to nothing, for a reason that may lie in the tree.
    #[serde(default)]
    pub(crate) fruitless: u32,
}

/// How a run begins when there is nothing to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Next {
    /// From the current backup.
    Current,
    /// From nothing, so that the phone sends everything.
    Empty,
}

/// What a start finds.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Journal(Journal),
    /// A file that is none of ours, or cut.
    Damaged,
}

impl Journal {
    pub(crate) fn new(begun: HostTime, state: State) -> Self {
        Self {
            version: VERSION,
            begun,
            state,
        }
    }

    pub(crate) fn read(path: &Path) -> io::Result<Found> {
        let bytes = match disk::read(path, MAX) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            read => read?,
        };
        let journal = serde_json::from_slice::<Self>(&bytes);
        Ok(match journal {
            Ok(journal) if journal.version == VERSION => Found::Journal(journal),
            Ok(_) | Err(_) => Found::Damaged,
        })
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        durable::replace(path, &serde_json::to_vec_pretty(self)?)
    }

    pub(crate) fn close(path: &Path) -> io::Result<()> {
        durable::remove_file(path)?;
        durable::sync_parent(path)
    }
}
