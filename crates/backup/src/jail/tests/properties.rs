//! The jail holds: whatever is asked of it, in whatever order, in a tree that somebody planted links in, nothing outside is
//! opened, made, linked or removed. On Linux the kernel itself is the witness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Ask {
    Make(String),
    Put(String),
    PutHalf(String),
    Read(String),
    List(String),
    Stat(String),
    Rename(String, String),
    Copy(String, String),
    Remove(String),
    /// Not the phone: somebody puts a link to the outside there.
    Plant(String, usize),
}

/// Where planted links lead, seen from the jail's own folder.
const ENDS: [&str; 5] = [
    "../outside",
    "../outside/folder",
    "../outside/secret",
    "../outside/new",
    "..",
];

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "a", "b", "c", "a", "b", "..", ".", "", "outside", "secret", "folder",
    ]);
    let names = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    prop_oneof![
        8 => names,
        1 => "[./a\\\\\0é]{0,6}",
        1 => Just("../outside/secret".to_owned()),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => path().prop_map(Ask::Make),
        2 => path().prop_map(Ask::Put),
        1 => path().prop_map(Ask::PutHalf),
        1 => path().prop_map(Ask::Read),
        1 => path().prop_map(Ask::List),
        1 => path().prop_map(Ask::Stat),
        2 => (path(), path()).prop_map(|(from, to)| Ask::Rename(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| Ask::Copy(from, to)),
        1 => path().prop_map(Ask::Remove),
        3 => ("[abc](/[abc])?", 0..ENDS.len()).prop_map(|(at, end)| Ask::Plant(at, end)),
    ]
}

/// What is refused is no matter here: each is asked, and then the outside is looked at.
fn ask_it(jail: &Jail, inside: &Path, ask: &Ask) {
    match ask {
        Ask::Make(path) => drop(jail.make_folder(path)),
        Ask::Put(path) => {
            for mut part in [jail.begin(path), jail.begin_in_place(path)]
                .into_iter()
                .flatten()
            {
                part.write(b"from the phone").unwrap();
                let _ = part.keep(false);
            }
        }
        Ask::PutHalf(path) => {
            for mut part in [jail.begin(path), jail.begin_in_place(path)]
                .into_iter()
                .flatten()
            {
                part.write(b"half").unwrap();
            }
        }
        Ask::Read(path) => {
            if let Ok(file) = jail.open_file(path) {
                let read = std::io::read_to_string(file).unwrap();
                assert_eq!(read, "from the phone");
            }
        }
        Ask::List(path) => drop(jail.list(path)),
        Ask::Stat(path) => drop(jail.stat(path)),
        Ask::Rename(from, to) => drop(jail.rename(from, to)),
        Ask::Copy(from, to) => drop(jail.copy(from, to)),
        Ask::Remove(path) => drop(jail.remove(path)),
        Ask::Plant(at, end) => {
            let end = inside.join(ENDS[*end]);
            // A link in a link would be the planter's own doing.
            let real = at.rsplit_once('/').is_none_or(|(folder, _)| {
                fs::symlink_metadata(inside.join(folder)).is_ok_and(|meta| meta.is_dir())
            });
            if real {
                let _ = symlink(end, inside.join(at));
            }
        }
    }
}

/// Names, contents and numbers of links of all that is outside.
fn outside(folder: &Path) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for at in [
        folder.to_owned(),
        folder.join("outside"),
        folder.join("outside/folder"),
    ] {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let content = if meta.is_file() {
                fs::read(entry.path()).unwrap()
            } else {
                Vec::new()
            };
            // The links of a folder count the folders in it, and those in the jail are its own.
            let links = if meta.is_file() { meta.nlink() } else { 0 };
            all.insert(entry.path(), (links, content));
        }
    }
    all
}

#[cfg(target_os = "linux")]
mod witness {
    //! Tells of every open, change and removal outside.

    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

    pub(super) struct Witness(OwnedFd);

    impl Witness {
        pub(super) fn new(folder: &Path) -> Self {
            let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
            for at in [folder.join("outside"), folder.join("outside/folder")] {
                inotify::add_watch(&fd, at, WatchFlags::ALL_EVENTS).unwrap();
            }
            Self(fd)
        }

        pub(super) fn saw(&self) -> Option<String> {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(&self.0, &mut buffer);
            let event = events.next().ok()?;
            Some(format!("{:?} of {:?}", event.events(), event.file_name()))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod witness {
    //! Elsewhere what is there afterwards has to do.

    pub(super) struct Witness;

    impl Witness {
        pub(super) fn new(_: &std::path::Path) -> Self {
            Self
        }

        pub(super) fn saw(&self) -> Option<String> {
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_outside_is_opened_made_linked_or_removed(
        asks in prop::collection::vec(ask(), 1..30),
    ) {
        let (dir, jail) = jail();
        let folder = dir.path();
        fs::create_dir_all(folder.join("outside/folder")).unwrap();
        for file in ["outside/secret", "outside/folder/secret"] {
            fs::write(folder.join(file), b"not yours").unwrap();
        }
        let before = outside(folder);
        let witness = witness::Witness::new(folder);
        for ask in &asks {
            ask_it(&jail, &folder.join("in"), ask);
            prop_assert_eq!(witness.saw(), None, "by {:?}", ask);
        }
        prop_assert_eq!(outside(folder), before);
    }
}
