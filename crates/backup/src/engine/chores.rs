//! What the phone asks to be done to its folder: list, make, move, remove, copy. Answers by protocol.md 8.6.
//!
//! What blocks on the disk runs on a thread that may.

use std::collections::HashSet;

use backupwatch_core::Udid;
use backupwatch_wire::devicelink::{
    FileInfo, FileKind, ItemError, Listing, StatusCode, StatusResponse,
};
use backupwatch_wire::path::DevicePath;
use rustix::io::Errno;

use super::pool::Move;
use crate::jail::{Entry, Jail, Kind, MAX_DEPTH};
use crate::ledger::{Change, KeeperHandle, is_arriving_blob, is_put_in_place};
use crate::store::WorkTree;

/// One request.
#[derive(Debug)]
pub(super) enum Chore {
    Make(String),
    /// From where to where.
    Move(Vec<(String, String)>),
    Remove(Vec<String>),
    Copy {
        from: String,
        to: String,
    },
}

/// The answer, and what was refused or went wrong on this computer.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: Answer,
    pub(super) refused: Vec<ItemError>,
}

/// What the phone is told.
#[derive(Debug)]
pub(super) enum Answer {
    Status(StatusResponse),
    /// What is in a folder.
    Entries(Vec<Entry>),
}

impl From<StatusResponse> for Answer {
    fn from(status: StatusResponse) -> Self {
        Self::Status(status)
    }
}

impl Answer {
    /// How many entries it lists, if it is a list.
    pub(super) fn entries(&self) -> Option<usize> {
        match self {
            Self::Status(_) => None,
            Self::Entries(entries) => Some(entries.len()),
        }
    }

    /// As it goes to the phone.
    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::Status(status) => status.encode(),
            Self::Entries(entries) => Listing(entries.into_iter().map(listed).collect()).encode(),
        }
    }
}

fn listed(entry: Entry) -> (String, FileInfo) {
    let kind = match entry.kind {
        Kind::Folder => FileKind::Directory,
        Kind::File => FileKind::Regular,
        Kind::Other => FileKind::Unknown,
    };
    let modified = jiff::Timestamp::from_second(entry.modified).ok();
    let modified = modified.map(|at| std::time::SystemTime::from(at).into());
    let info = FileInfo {
        kind,
        size: entry.len,
        modified,
    };
    (entry.name, info)
}

/// Does it.
pub(super) fn run(tree: &WorkTree, keeper: &KeeperHandle, udid: &Udid, chore: Chore) -> Done {
    let hands = Hands { tree, keeper, udid };
    match chore {
        Chore::Make(path) => one(path, |path| hands.make(path), StatusCode::Exists),
        Chore::Move(items) => hands.move_all(items),
        Chore::Remove(paths) => hands.remove_all(paths),
        Chore::Copy { from, to } => one(from, |from| hands.copy(from, &to), StatusCode::NotFound),
    }
}

/// The moves, if all of them put blobs in their places and none is in the way of another, as those of phones do:
/// they can be done in any order.
pub(super) fn apart(udid: &Udid, items: &[(String, String)]) -> Option<Vec<Move>> {
    let mut moves = Vec::with_capacity(items.len());
    for (key, to) in items {
        let (from, to) = (parse_below(udid, key).ok()?, parse_below(udid, to).ok()?);
        let (from, to) = (from.inside(), to.inside());
        if !(is_arriving_blob(from) && is_put_in_place(from, to)) {
            return None;
        }
        moves.push(Move {
            key: key.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }
    // A phone that lies may write one place in two ways.
    let places: HashSet<&str> = moves.iter().map(|it| it.to.as_str()).collect();
    (places.len() == moves.len()).then_some(moves)
}

/// What is in a folder of the phone's.
pub(super) fn list(tree: &Jail, udid: &Udid, path: &str) -> Done {
    let entries = parse(udid, path).and_then(|path| match tree.list(path.inside()) {
        // What is not there is empty: a -6 during a resume would be turned into 205.
        Err(Errno::NOENT) => Ok(Vec::new()),
        other => other.map_err(Failure::from),
    });
    match entries {
        Ok(entries) => Done {
            answer: Answer::Entries(entries),
            refused: Vec::new(),
        },
        // Never an empty listing: the phone would believe it.
        Err(failure) => Done {
            answer: Answer::Status(StatusResponse::error_with(failure.code, &failure.text)),
            refused: vec![failure.of(path)],
        },
    }
}

struct Hands<'a> {
    tree: &'a WorkTree,
    keeper: &'a KeeperHandle,
    udid: &'a Udid,
}

impl Hands<'_> {
    /// Makes a folder and those above it, as other hosts do.
    fn make(&self, path: &str) -> Result<(), Failure> {
        let path = parse(self.udid, path)?;
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
        let mut changes = Vec::with_capacity(items.len());
        for (from, to) in items {
            match self.move_one(&from, &to) {
                Ok(change) => changes.push(change),
                Err(failure) => {
                    let error = failure.of(&from);
                    // The phone accepts that for its manifests: on a first run there is none to move.
                    if error.code != StatusCode::NotFound {
                        refused.push(error.clone());
                    }
                    errors.push(error);
                }
            }
        }
        self.tree.ahead().written(0, changes.len() as u64);
        self.keeper.tell_all(changes);
        Done {
            answer: Answer::Status(StatusResponse::of_items(&errors)),
            refused,
        }
    }

    fn move_one(&self, from: &str, to: &str) -> Result<Change, Failure> {
        let (from, to) = (parse_below(self.udid, from)?, parse_below(self.udid, to)?);
        self.tree.rename(from.inside(), to.inside())?;
        Ok(Change::Moved {
            from: from.inside().to_owned(),
            to: to.inside().to_owned(),
        })
    }

    fn remove_all(&self, paths: Vec<String>) -> Done {
        let mut errors = Vec::new();
        let mut changes = Vec::with_capacity(paths.len());
        for path in paths {
            match self.remove(&path) {
                Ok(change) => changes.push(change),
                Err(failure) => errors.push(failure.of(&path)),
            }
        }
        self.keeper.tell_all(changes);
        Done {
            answer: Answer::Status(StatusResponse::of_items(&errors)),
            refused: errors,
        }
    }

    fn remove(&self, path: &str) -> Result<Change, Failure> {
        let path = parse_below(self.udid, path)?;
        match self.tree.remove(path.inside()) {
            Ok(()) | Err(Errno::NOENT) => Ok(Change::Removed {
                path: path.inside().to_owned(),
            }),
            Err(e) => Err(e.into()),
        }
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (parse_below(self.udid, from)?, parse_below(self.udid, to)?);
        self.tree.copy(from.inside(), to.inside())?;
        self.keeper.tell(Change::Copied {
            from: from.inside().to_owned(),
            to: to.inside().to_owned(),
        });
        Ok(())
    }
}

fn parse(udid: &Udid, path: &str) -> Result<DevicePath, Failure> {
    let path =
        DevicePath::parse(path, udid.as_str()).map_err(|e| Failure::refused(e.to_string()))?;
    if path.names().count() > MAX_DEPTH {
        return Err(Failure::refused("the path is too deep".to_owned()));
    }
    Ok(path)
}

/// A path that is not the phone's folder itself.
fn parse_below(udid: &Udid, path: &str) -> Result<DevicePath, Failure> {
    let path = parse(udid, path)?;
    if path.is_folder_itself() {
        return Err(Failure::refused("the path is the folder itself".to_owned()));
    }
    Ok(path)
}

/// Why an item was not done.
struct Failure {
    code: StatusCode,
    text: String,
}

impl Failure {
    fn refused(text: String) -> Self {
        Self {
            code: StatusCode::Generic,
            text,
        }
    }

    fn of(self, path: &str) -> ItemError {
        ItemError {
            path: path.to_owned(),
            code: self.code,
            text: self.text,
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        let error = std::io::Error::from(errno);
        Self {
            code: StatusCode::from_io(&error),
            text: error.to_string(),
        }
    }
}

/// A request about one path, answered as a whole. `usual` is a failure that is no fault of anybody.
fn one(path: String, work: impl FnOnce(&str) -> Result<(), Failure>, usual: StatusCode) -> Done {
    match work(&path) {
        Ok(()) => Done {
            answer: Answer::Status(StatusResponse::ok()),
            refused: Vec::new(),
        },
        Err(failure) => Done {
            answer: Answer::Status(StatusResponse::error_with(failure.code, &failure.text)),
            refused: if failure.code == usual {
                Vec::new()
            } else {
                vec![failure.of(&path)]
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use backupwatch_core::HostTime;
    use backupwatch_wire::codec;
    use backupwatch_wire::devicelink::{HostMessage, frame};

    use super::*;
    use crate::ledger::Keeper;
    use crate::store::{Begin, Claim, Store};

    struct Desk {
        dir: tempfile::TempDir,
        tree: std::sync::Arc<WorkTree>,
        keeper: Keeper,
        udid: Udid,
    }

    const UDID: &str = "00008110-000A1B2C3D4E5F60";

    fn desk() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let udid = Udid::parse(UDID).unwrap();
        let begin = Begin {
            now: HostTime(jiff::Timestamp::UNIX_EPOCH),
            force_full: false,
        };
        let go = std::sync::atomic::AtomicBool::new(false);
        let (run, ledger) = Claim::take(&store, &udid)
            .unwrap()
            .prepare(&begin, &go)
            .unwrap();
        let keeper = Keeper::start(ledger, ()).unwrap();
        Desk {
            dir,
            tree: run.tree(),
            keeper,
            udid,
        }
    }

    impl Desk {
        fn ask(&self, chore: Chore) -> StatusResponse {
            told(run(&self.tree, &self.keeper.handle(), &self.udid, chore))
        }

        fn list(&self, path: &str) -> StatusResponse {
            told(list(&self.tree, &self.udid, path))
        }

        fn work(&self) -> std::path::PathBuf {
            self.dir.path().join(".backupwatch/work").join(UDID)
        }
    }

    /// As the phone reads it.
    fn told(done: Done) -> StatusResponse {
        let answer = frame::decode_body(&done.answer.encode()[4..]).unwrap();
        let HostMessage::Status(status) = HostMessage::from_value(answer).unwrap() else {
            panic!("it is no status");
        };
        status
    }

    fn inside(path: &str) -> String {
        format!("{UDID}/{path}")
    }

    #[test]
    fn checklist_34_create_remove_and_move_answer_as_phones_expect() {
        let desk = desk();
        let make = |path: &str| desk.ask(Chore::Make(path.to_owned())).code.number();
        assert_eq!(make(&inside("Snapshot/ab")), 0, "with the folders above it");
        assert_eq!(make(&inside("Snapshot/ab")), -7);
        assert_eq!(make(UDID), -7, "the phone's own folder is there already");
        fs::write(desk.work().join("file"), b"x").unwrap();
        assert_eq!(make(&inside("file/below")), -8);

        let gone = desk.ask(Chore::Remove(vec![inside("nothing"), inside("no/where")]));
        assert_eq!(gone, StatusResponse::ok(), "what is not there is removed");
        let bad = desk.ask(Chore::Remove(vec![
            inside("file/below"),
            inside("Snapshot"),
            "../x".to_owned(),
        ]));
        let codes: Vec<_> = bad
            .item_errors()
            .into_iter()
            .map(|e| (e.path, e.code.number()))
            .collect();
        assert_eq!(codes, [(inside("file/below"), -8), ("../x".to_owned(), -1)]);
        assert!(
            !desk.work().join("Snapshot").exists(),
            "the good item was done all the same"
        );

        let missing = (inside("Snapshot/Manifest.plist"), inside("Manifest.plist"));
        let answer = desk.ask(Chore::Move(vec![
            missing.clone(),
            (inside("file"), inside("moved")),
        ]));
        assert_eq!(answer.code.number(), -13);
        let codes: Vec<_> = answer
            .item_errors()
            .into_iter()
            .map(|e| (e.path, e.code.number()))
            .collect();
        assert_eq!(codes, [(missing.0, -6)], "keyed by the source");
        assert!(desk.work().join("moved").exists());
    }

    #[test]
    fn checklist_35_a_missing_folder_is_empty_and_an_unreadable_one_is_an_error() {
        let desk = desk();
        let list = |path: &str| desk.list(path);
        let missing = list(&inside("Snapshot/ab"));
        assert_eq!(missing.code.number(), 0);
        assert_eq!(
            codec::to_xml(&missing.value),
            codec::to_xml(&plist::Dictionary::new().into())
        );
        fs::write(desk.work().join("file"), b"x").unwrap();
        assert_eq!(list(&inside("file")).code.number(), -8);
        std::os::unix::fs::symlink("/", desk.work().join("root")).unwrap();
        assert!(
            list(&inside("root")).code.number() < 0,
            "a link is not a folder"
        );
        assert_eq!(list("/").code.number(), -1);
        let all = Listing::from_value(&list(UDID).value).unwrap().0;
        let kinds: Vec<_> = all
            .iter()
            .map(|(name, info)| (name.as_str(), info.kind, info.size))
            .collect();
        assert!(kinds.contains(&("file", FileKind::Regular, 1)), "{kinds:?}");
        assert!(all.iter().all(|(_, info)| info.modified.is_some()));
    }

    #[test]
    fn what_a_phone_copies_is_a_second_name() {
        let desk = desk();
        fs::create_dir(desk.work().join("a")).unwrap();
        fs::write(desk.work().join("a/f"), b"x").unwrap();
        let copy = |from: &str, to: &str| {
            desk.ask(Chore::Copy {
                from: inside(from),
                to: inside(to),
            })
            .code
            .number()
        };
        assert_eq!(copy("a", "b"), 0);
        assert_eq!(fs::read(desk.work().join("b/f")).unwrap(), b"x");
        assert_eq!(copy("nothing", "c"), -6);
        assert!(copy("a", "a/inside").is_negative());
    }
}
