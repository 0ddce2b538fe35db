//! A store in memory with things beside it that are not the phone's, and one run in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use backupwatch_backup::{About, Clock, OpenError, Opened, Phone, RunOptions, Store, verify};
use backupwatch_core::run::{Phase, Progress, RunEnd, RunReport};
use backupwatch_core::{HostTime, Udid};
use backupwatch_wire::afc::{Reply, Status};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::script;

pub const UDID: &str = "00008101-000A11112222F1E5";
const OTHER: &str = "00008110-0000000000000001";

/// Files that are not the phone's: one whose name it knows, and one with a name that is as secret as what both hold.
const KNOWN: &str = "theirs";
const SECRET: &str = "not-yours-6f1c";

/// Paths and contents of a tree.
pub type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// See the module. It is gone when it is dropped.
pub struct Place {
    outside: TempDir,
    store: Store,
    udid: Udid,
}

impl Place {
    /// A store without a backup.
    pub fn empty() -> Self {
        let outside = TempDir::with_prefix_in("backupwatch-fuzz-", memory()).expect("a folder");
        let at = outside.path();
        for folder in ["victim", "root", &format!("root/{OTHER}")] {
            fs::create_dir(at.join(folder)).unwrap();
        }
        let store = Store::create(&at.join("root")).unwrap();
        let ours = at.join("root/.backupwatch");
        for folder in ["versions", "work"] {
            fs::create_dir_all(ours.join(folder).join(OTHER)).unwrap();
        }
        for folder in [
            at.to_owned(),
            at.join("victim"),
            at.join("root").join(OTHER),
            ours.join("versions").join(OTHER),
            ours.join("work").join(OTHER),
        ] {
            fs::write(folder.join(KNOWN), SECRET).unwrap();
            fs::write(folder.join(SECRET), SECRET).unwrap();
        }
        let udid = Udid::parse(UDID).unwrap();
        Self {
            outside,
            store,
            udid,
        }
    }

    /// A store with a verified backup, a copy of one that was made once.
    pub fn with_backup() -> Self {
        static MADE: LazyLock<Kept> = LazyLock::new(|| {
            let place = Place::empty();
            let (report, _) = place.run(script::first(), None);
            assert!(matches!(report.end, RunEnd::Verified(_)), "{report:?}");
            kept(place.store.root())
        });
        Self::again(&MADE)
    }

    /// The same, after a run that the phone left in the middle of its files.
    pub fn broken_off() -> Self {
        static MADE: LazyLock<Kept> = LazyLock::new(|| Place::with_backup().break_off());
        Self::again(&MADE)
    }

    /// A store without a backup after such a run.
    pub fn broken_off_at_first() -> Self {
        static MADE: LazyLock<Kept> = LazyLock::new(|| Place::empty().break_off());
        Self::again(&MADE)
    }

    fn break_off(&self) -> Kept {
        let mut half = script::changed();
        half.truncate(half.len() / 2);
        let (report, _) = self.run(half, None);
        assert!(matches!(report.end, RunEnd::Failed(_)));
        kept(self.store.root())
    }

    /// A copy of a store. It is kept in memory: what is static is never dropped, and would leave its folder behind.
    fn again(kept: &Kept) -> Self {
        let place = Self::empty();
        let root = place.outside.path().join("root");
        // The marker too: what is in the record is bound to nothing else.
        for (path, what) in kept {
            let path = root.join(path);
            match what {
                What::Folder => fs::create_dir_all(path).unwrap(),
                What::File(bytes) => fs::write(path, bytes).unwrap(),
                What::Link(to) => fs::hard_link(root.join(to), path).unwrap(),
            }
        }
        let store = Store::open(&root).unwrap();
        Self { store, ..place }
    }

    pub fn current(&self) -> PathBuf {
        self.store.folder(&self.udid)
    }

    pub fn udid(&self) -> &Udid {
        &self.udid
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A file or folder of the store's own.
    pub fn ours(&self, name: &str) -> PathBuf {
        self.store.root().join(".backupwatch").join(name)
    }

    /// Puts links that lead outside into the trees of the phone.
    pub fn plant(&self) {
        let victim = self.outside.path().join("victim");
        let work = self.ours("work").join(UDID);
        for name in ["link", "Snapshot/link", "ab", "Snapshot/ab", "Manifest.db"] {
            // What the attempt has there goes, unless it is a folder with something in it.
            let _ = fs::remove_dir(work.join(name));
            let _ = symlink(&victim, work.join(name));
        }
        let _ = symlink(victim.join(KNOWN), work.join("file"));
        let _ = symlink(&victim, self.current().join("link"));
    }

    /// One backup of a phone that says these bytes.
    pub fn run(&self, said: Vec<u8>, services: Option<&[u8]>) -> (RunReport, Vec<u8>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let backup = Peer::saying(said).heard_by(&heard);
        let [notifications, afc, apps, icons] = match services {
            None => [
                Peer::saying(Vec::new()).then_silent(),
                Peer::answering(afc()).then_silent(),
                Peer::saying(Vec::new()),
                Peer::saying(Vec::new()),
            ],
            Some(input) => {
                let mut parts = input.chunks(input.len() / 4 + 1).map(<[u8]>::to_vec);
                std::array::from_fn(|_| Peer::saying(parts.next().unwrap_or_default()))
            }
        };
        let opened = Opened {
            about: About::default(),
            backup,
            notifications,
            afc,
            apps: Some(apps),
            icons: Some(icons),
        };
        let phone = OnePhone {
            udid: self.udid.clone(),
            opened: Mutex::new(Some(opened)),
        };
        let (progress, _told) = watch::channel(Progress {
            phase: Phase::Opening,
            percent: None,
            bytes: 0,
            files: 0,
            started: NOW,
        });
        let run = backupwatch_backup::run(
            &phone,
            &self.store,
            &Stopped,
            RunOptions::default(),
            progress,
            CancellationToken::new(),
        );
        // Services that make us wait do it by the clock.
        let runtime = runtime(services.is_some());
        let report = runtime.block_on(run);
        // Waits for its threads: what an idle one holds looks like a leak, and what a late one does like the next input's.
        drop(runtime);
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        (report, heard)
    }

    /// Everything that is not this phone's, with its content.
    pub fn surroundings(&self) -> Tree {
        let root = Path::new("root");
        let ours = root.join(".backupwatch");
        let theirs = |path: &Path| {
            path.starts_with(root.join(UDID))
                || path.starts_with(ours.join("trash"))
                || ["lock", "journal", "work", "versions", "copies"]
                    .iter()
                    .any(|folder| {
                        let inside = path.strip_prefix(ours.join(folder));
                        inside.is_ok_and(|inside| {
                            inside.as_os_str().is_empty()
                                || inside.to_string_lossy().starts_with(UDID)
                        })
                    })
        };
        tree_without(self.outside.path(), &theirs)
    }

    /// Whether something that is not the phone's is in what it heard, or in its own tree, and did not come from it.
    pub fn betrays(&self, heard: &[u8], input: &[u8]) -> bool {
        let secret = SECRET.as_bytes();
        if contains(input, secret) {
            return false;
        }
        let inside = |folder: &Path| tree(folder).values().any(|bytes| bytes == secret);
        contains(heard, secret) || inside(&self.current()) || inside(&self.ours("work").join(UDID))
    }

    /// Holds the report against what is on the disk.
    pub fn judge(&self, report: &RunReport, before: &Tree) {
        match &report.end {
            RunEnd::Failed(_) => {
                assert!(
                    tree(&self.current()) == *before,
                    "the current backup changed: {report:?}"
                );
            }
            RunEnd::Verified(copy) => {
                let checked = verify(&self.current(), &self.udid).expect("a readable disk");
                assert!(checked.is_verified(), "{report:?} and {checked:?}");
                assert_eq!(self.store.current(&self.udid).unwrap().as_ref(), Some(copy));
                let kept = fs::read_dir(self.ours("versions").join(UDID));
                let mut kept = kept.into_iter().flatten().flatten();
                assert!(
                    before.is_empty() || kept.any(|version| tree(&version.path()) == *before),
                    "the backup before is gone"
                );
            }
        }
    }
}

/// The services of one run.
struct OnePhone {
    udid: Udid,
    opened: Mutex<Option<Opened<Peer>>>,
}

impl Phone for OnePhone {
    type Stream = Peer;

    fn udid(&self) -> &Udid {
        &self.udid
    }

    async fn open(&self) -> Result<Opened<Peer>, OpenError> {
        self.opened
            .lock()
            .unwrap()
            .take()
            .ok_or(OpenError::LinkLost)
    }
}

const NOW: HostTime = HostTime(jiff::Timestamp::constant(1_700_000_000, 0));

/// A run takes no time.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> HostTime {
        NOW
    }
}

fn runtime(paused: bool) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(paused).build().unwrap()
}

/// The sync lock is given, and there are none of the files that Info.plist can hold.
fn afc() -> Vec<Vec<u8>> {
    let opened = Reply::Opened { handle: 1 };
    let locked = Reply::Status(Status::Success);
    let none = std::iter::repeat_n(Reply::Status(Status::NotFound), 32);
    [opened, locked]
        .into_iter()
        .chain(none)
        .zip(1..)
        .map(|(reply, number)| reply.to_packet(number).encode())
        .collect()
}

/// A folder in memory, where there is one: a session touches hundreds of names.
pub fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Everything below a folder: files with their content, links with where they lead.
pub fn tree(folder: &Path) -> Tree {
    tree_without(folder, &|_| false)
}

fn tree_without(folder: &Path, left_out: &dyn Fn(&Path) -> bool) -> Tree {
    let mut all = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if left_out(&name) {
                continue;
            }
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let content = if kind.is_dir() {
                folders.push(path);
                Vec::new()
            } else if kind.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            all.insert(name, content);
        }
    }
    all
}

/// What is in a folder, in an order in which it can be made again.
type Kept = Vec<(PathBuf, What)>;

enum What {
    Folder,
    File(Vec<u8>),
    /// One more name of a file that came before.
    Link(PathBuf),
}

fn kept(folder: &Path) -> Kept {
    let (mut all, mut files) = (Kept::new(), BTreeMap::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                folders.push(path);
                What::Folder
            } else if let Some(first) = files.get(&meta.ino()) {
                What::Link(PathBuf::clone(first))
            } else {
                files.insert(meta.ino(), name.clone());
                What::File(fs::read(path).unwrap())
            };
            all.push((name, what));
        }
    }
    all
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    // Most places differ in their first byte, and a comparison of slices is a call of the sanitizer's.
    let Some((first, rest)) = part.split_first() else {
        return true;
    };
    let mut places = bytes.iter().zip(0..).filter(|(byte, _)| *byte == first);
    places.any(|(_, at)| bytes[at + 1..].starts_with(rest))
}
