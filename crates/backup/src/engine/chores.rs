//! What the phone asks to be done to its folder: list, make, move, remove, copy. Answers by protocol.md 8.6.
//!
//! Everything here blocks on the disk and runs on a thread that may.

use backupwatch_core::Udid;
use backupwatch_wire::devicelink::{FileInfo, FileKind, ItemError, Listing, StatusCode, StatusResponse};
use backupwatch_wire::path::DevicePath;
use rustix::io::Errno;

use crate::jail::{Kind, MAX_DEPTH};
use crate::ledger::{Change, KeeperHandle};
use crate::store::WorkTree;

/// One request.
#[derive(Debug)]
pub(super) enum Chore {
    List(String),
    Make(String),
    Move(Vec<(String, String)>),
    Remove(Vec<String>),
    Copy { from: String, to: String },
}

/// The answer, and what was refused or went wrong on this computer.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: StatusResponse,
    pub(super) refused: Vec<ItemError>,
}

/// Does it.
pub(super) fn run(tree: &WorkTree, keeper: &KeeperHandle, udid: &Udid, chore: Chore) -> Done {
    let hands = Hands { tree, keeper, udid };
    match chore {
        Chore::List(path) => hands.list(&path),
        Chore::Make(path) => one(path, |path| hands.make(path), StatusCode::Exists),
        Chore::Move(items) => hands.move_all(items),
        Chore::Remove(paths) => hands.remove_all(paths),
        Chore::Copy { from, to } => one(from, |from| hands.copy(from, &to), StatusCode::NotFound),
    }
}

struct Hands<'a> {
    tree: &'a WorkTree,
    keeper: &'a KeeperHandle,
    udid: &'a Udid,
}

impl Hands<'_> {
    fn list(&self, path: &str) -> Done {
        let entries = self.parse(path).and_then(|path| match self.tree.list(path.inside()) {
            // What is not there is empty: a -6 during a resume would be turned into 205.
            Err(Errno::NOENT) => Ok(Vec::new()),
            other => other.map_err(Failure::from),
        });
        match entries {
            Ok(entries) => {
                let listing = entries.into_iter().map(|entry| {
                    let kind = match entry.kind {
                        Kind::Folder => FileKind::Directory,
                        Kind::File => FileKind::Regular,
                        Kind::Other => FileKind::Unknown,
                    };
                    let modified = jiff::Timestamp::from_second(entry.modified).ok();
                    let modified = modified.map(|at| std::time::SystemTime::from(at).into());
                    (entry.name, FileInfo { kind, size: entry.len, modified })
                });
                let answer = StatusResponse::ok_with(Listing(listing.collect()).to_value());
                Done { answer, refused: Vec::new() }
            }
            // Never an empty listing: the phone would believe it.
            Err(failure) => Done {
                answer: StatusResponse::error_with(failure.code, &failure.text),
                refused: vec![failure.of(path)],
            },
        }
    }

    /// Makes a folder and those above it, as other hosts do.
    fn make(&self, path: &str) -> Result<(), Failure> {
        let path = self.parse(path)?;
        let mut made = String::new();
        let mut last = Err(Errno::EXIST);
        for name in path.names() {
            if !made.is_empty() {
                made.push('/');
            }
            made.push_str(name);
            last = self.tree.make_folder(&made);
            if let Err(e) = last
                && e != Errno::EXIST
            {
                return Err(e.into());
            }
        }
        last.map_err(Failure::from)
    }

    fn move_all(&self, items: Vec<(String, String)>) -> Done {
        let mut errors = Vec::new();
        let mut refused = Vec::new();
        for (from, to) in items {
            if let Err(failure) = self.move_one(&from, &to) {
                let error = failure.of(&from);
                // The phone accepts that for its manifests: on a first run there is none to move.
                if error.code != StatusCode::NotFound {
                    refused.push(error.clone());
                }
                errors.push(error);
            }
        }
        Done { answer: StatusResponse::of_items(&errors), refused }
    }

    fn move_one(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (self.parse_below(from)?, self.parse_below(to)?);
        self.tree.rename(from.inside(), to.inside())?;
        self.keeper.tell(Change::Moved { from: from.inside().to_owned(), to: to.inside().to_owned() });
        Ok(())
    }

    fn remove_all(&self, paths: Vec<String>) -> Done {
        let mut errors = Vec::new();
        for path in paths {
            if let Err(failure) = self.remove(&path) {
                errors.push(failure.of(&path));
            }
        }
        Done { answer: StatusResponse::of_items(&errors), refused: errors }
    }

    fn remove(&self, path: &str) -> Result<(), Failure> {
        let path = self.parse_below(path)?;
        match self.tree.remove(path.inside()) {
            Ok(()) | Err(Errno::NOENT) => {
                self.keeper.tell(Change::Removed { path: path.inside().to_owned() });
                Ok(())
            }
            Err(e) => Err(e.into()),
        }
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (self.parse_below(from)?, self.parse_below(to)?);
        self.tree.copy(from.inside(), to.inside())?;
        self.keeper.tell(Change::Copied { from: from.inside().to_owned(), to: to.inside().to_owned() });
        Ok(())
    }

    fn parse(&self, path: &str) -> Result<DevicePath, Failure> {
        let path = DevicePath::parse(path, self.udid.as_str()).map_err(|e| Failure::refused(e.to_string()))?;
        if path.names().count() > MAX_DEPTH {
            return Err(Failure::refused("the path is too deep".to_owned()));
        }
        Ok(path)
    }

    /// A path that is not the phone's folder itself.
    fn parse_below(&self, path: &str) -> Result<DevicePath, Failure> {
        let path = self.parse(path)?;
        if path.is_folder_itself() {
            return Err(Failure::refused("the path is the folder itself".to_owned()));
        }
        Ok(path)
    }
}

/// Why an item was not done.
struct Failure {
    code: StatusCode,
    text: String,
}

impl Failure {
    fn refused(text: String) -> Self {
        Self { code: StatusCode::Generic, text }
    }

    fn of(self, path: &str) -> ItemError {
        ItemError { path: path.to_owned(), code: self.code, text: self.text }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        let error = std::io::Error::from(errno);
        Self { code: StatusCode::from_io(&error), text: error.to_string() }
    }
}

/// A request about one path, answered as a whole. `usual` is a failure that is no fault of anybody.
fn one(path: String, work: impl FnOnce(&str) -> Result<(), Failure>, usual: StatusCode) -> Done {
    match work(&path) {
        Ok(()) => Done { answer: StatusResponse::ok(), refused: Vec::new() },
        Err(failure) => Done {
            answer: StatusResponse::error_with(failure.code, &failure.text),
            refused: if failure.code == usual { Vec::new() } else { vec![failure.of(&path)] },
        },
    }
}
