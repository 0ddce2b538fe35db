//! A disk as a power cut finds it. What was synced is there; of everything else it has all, nothing or a part.
//!
//! Names: each change of a folder is there or not, as a whole: a rename is never half done, because every file system here
//! has a journal. A change is never there without those that made it possible. A sync of a folder keeps the changes in it, a
//! sync of a file only its bytes. Bytes: a file that was not synced since it was written to may have its length and zeros, be
//! short, be empty, or be as it was. The file of a ledger is written by SQLite in ways that are not looked into, so it may
//! also be a mixture of pages.
//!
//! Not here: the other order of things that a disk may invent when it lies about its syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::disk::watch::{Op, What};

type Id = usize;

/// A place in a folder.
type Place = (Id, String);

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File {
        written: Vec<u8>,
        synced: Vec<u8>,
        is_ledger: bool,
    },
}

/// What one operation did to names.
#[derive(Clone, Debug)]
struct Change {
    places: Vec<(Place, Option<Id>)>,
    made: Option<Id>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Platter {
    root: PathBuf,
    nodes: Vec<Node>,
    /// As programs see it.
    now: BTreeMap<Place, Id>,
    synced: BTreeMap<Place, Id>,
    /// From the one to the other.
    since: Vec<Change>,
}

/// What the power leaves of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it, as after a kill.
    Nothing,
    /// None of it.
    Everything,
    /// All names, and bytes by chance.
    Bytes(u64),
    /// The names up to some moment, and bytes by chance.
    After(u64),
    /// Names and bytes by chance.
    Any(u64),
}

const ROOT: Id = 0;

impl Platter {
    /// A disk on which all that is in `root` is safe.
    pub(super) fn of(root: &Path) -> Self {
        let mut platter = Self {
            root: root.to_owned(),
            nodes: vec![Node::Folder],
            now: BTreeMap::new(),
            synced: BTreeMap::new(),
            since: Vec::new(),
        };
        let mut inodes = BTreeMap::new();
        platter.scan(root, ROOT, &mut inodes);
        platter.synced = platter.now.clone();
        platter
    }

    fn scan(&mut self, folder: &Path, id: Id, inodes: &mut BTreeMap<u64, Id>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let node = if meta.is_dir() {
                let node = self.add(Node::Folder);
                self.scan(&path, node, inodes);
                node
            } else {
                *inodes.entry(meta.ino()).or_insert_with(|| {
                    let content = fs::read(&path).unwrap();
                    self.nodes.push(Node::File {
                        written: content.clone(),
                        synced: content,
                        is_ledger: false,
                    });
                    self.nodes.len() - 1
                })
            };
            self.now.insert((id, name), node);
        }
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Takes in what was done. False when it changed nothing.
    pub(super) fn done(&mut self, op: &Op) -> bool {
        let Some(place) = self.place(&op.path) else {
            // The root itself, or a file that has no name any more.
            return if op.what == What::SyncAll {
                self.sync_all()
            } else {
                op.what == What::Sync && op.path == self.root && self.sync_folder(ROOT)
            };
        };

        let there = self.now.get(&place).copied();
        let to = op.to.as_deref().and_then(|to| self.place(to));
        match (op.what, there, to) {
            (What::Open | What::Read | What::Look | What::Lock, ..) => return false,
            (What::Create, None, _) => self.make(place, new_file(false)),
            (What::MakeFolder, None, _) => self.make(place, Node::Folder),
            (What::Create | What::MakeFolder, Some(_), _) => return false,
            (What::Ledger, there, _) => {
                let Ok(content) = fs::read(&op.path) else {
                    return false;
                };
                if there.is_none() {
                    self.make(place.clone(), new_file(true));
                }
                let id = self.now[&place];
                self.write(id, content, true);
            }
            (What::Write, Some(id), _) => {
                let content = fs::read(&op.path).unwrap();
                self.write(id, content, false);
            }
            (What::Link, Some(id), Some(to)) => self.change(vec![(to, Some(id))]),
            (What::Rename, Some(id), Some(to)) => {
                self.change(vec![(place, None), (to, Some(id))]);
            }
            (What::Exchange, Some(id), Some(to)) => {
                let other = self.now.get(&to).copied();
                self.change(vec![(place, other), (to, Some(id))]);
            }
            (What::Remove, Some(_), _) => self.change(vec![(place, None)]),
            (What::Sync, Some(id), _) => {
                if let Node::File {
                    written, synced, ..
                } = &mut self.nodes[id]
                {
                    synced.clone_from(written);
                } else {
                    return self.sync_folder(id);
                }
            }
            (What::SyncAll, ..) => return self.sync_all(),
            (
                What::Write
                | What::Link
                | What::Rename
                | What::Exchange
                | What::Remove
                | What::Sync,
                ..,
            ) => return false,
        }
        true
    }

    fn make(&mut self, place: Place, node: Node) {
        let id = self.add(node);
        self.change(vec![(place, Some(id))]);
        if let Some(change) = self.since.last_mut() {
            change.made = Some(id);
        }
    }

    fn change(&mut self, places: Vec<(Place, Option<Id>)>) {
        let change = Change { places, made: None };
        change.apply(&mut self.now);
        self.since.push(change);
    }

    fn write(&mut self, id: Id, content: Vec<u8>, ledger: bool) {
        if let Node::File {
            written, is_ledger, ..
        } = &mut self.nodes[id]
        {
            *written = content;
            *is_ledger |= ledger;
        }
    }

    fn sync_all(&mut self) -> bool {
        self.synced = self.now.clone();
        self.since.clear();
        for node in &mut self.nodes {
            if let Node::File {
                written, synced, ..
            } = node
            {
                synced.clone_from(written);
            }
        }
        true
    }

    fn sync_folder(&mut self, folder: Id) -> bool {
        let wanted = self.since.iter();
        let wanted = wanted.map(|change| change.places.iter().any(|((at, _), _)| *at == folder));
        let kept = self.with_what_made_them_possible(wanted.collect());
        let changes = std::mem::take(&mut self.since);
        for (change, kept) in changes.into_iter().zip(kept) {
            if kept {
                change.apply(&mut self.synced);
            } else {
                self.since.push(change);
            }
        }
        true
    }

    /// A change needs the earlier ones of the same places, and those that made the folders that it is in.
    fn with_what_made_them_possible(&self, mut kept: Vec<bool>) -> Vec<bool> {
        let mut places: BTreeSet<&Place> = BTreeSet::new();
        let mut folders: BTreeSet<Id> = BTreeSet::new();
        for (change, kept) in self.since.iter().zip(&mut kept).rev() {
            *kept |= change
                .places
                .iter()
                .any(|(place, _)| places.contains(place))
                || change.made.is_some_and(|made| folders.contains(&made));
            if *kept {
                for (place, _) in &change.places {
                    places.insert(place);
                    folders.insert(place.0);
                }
            }
        }
        kept
    }

    /// What the folder and name of a path are now.
    fn place(&self, path: &Path) -> Option<Place> {
        let path = path.strip_prefix(&self.root).ok()?;
        let mut names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
        let name = names.pop()?.to_owned();
        let mut at = ROOT;
        for name in names {
            at = *self.now.get(&(at, name.to_owned()))?;
        }
        Some((at, name))
    }

    /// Puts into the folder `to` what the disk holds when the power comes back.
    pub(super) fn cut(&self, cut: Cut, to: &Path) {
        let (names, seed) = match cut {
            Cut::Nothing => (self.now.clone(), 0),
            Cut::Everything => (self.synced.clone(), 0),
            Cut::Bytes(seed) => (self.now.clone(), seed),
            Cut::After(seed) => {
                let end = chance(seed, 1) as usize % (self.since.len() + 1);
                let kept = (0..self.since.len()).map(|number| number < end);
                (self.names(kept.collect()), seed)
            }
            Cut::Any(seed) => {
                let kept =
                    (0..self.since.len()).map(|number| chance(seed, number).is_multiple_of(2));
                let kept = self.with_what_made_them_possible(kept.collect());
                (self.names(kept), seed)
            }
        };
        let bytes = |id: Id| match &self.nodes[id] {
            Node::Folder => Vec::new(),
            Node::File {
                written,
                synced,
                is_ledger,
            } => match cut {
                Cut::Nothing => written.clone(),
                Cut::Everything => synced.clone(),
                Cut::Bytes(_) | Cut::After(_) | Cut::Any(_) if written == synced => synced.clone(),
                Cut::Bytes(_) | Cut::After(_) | Cut::Any(_) => {
                    torn(chance(seed, id), written, synced, *is_ledger)
                }
            },
        };
        self.put(&names, ROOT, to, &bytes, &mut BTreeMap::new());
    }

    fn names(&self, kept: Vec<bool>) -> BTreeMap<Place, Id> {
        let mut names = self.synced.clone();
        for (change, _) in self.since.iter().zip(kept).filter(|(_, kept)| *kept) {
            change.apply(&mut names);
        }
        names
    }

    fn put(
        &self,
        names: &BTreeMap<Place, Id>,
        folder: Id,
        to: &Path,
        bytes: &impl Fn(Id) -> Vec<u8>,
        made: &mut BTreeMap<Id, PathBuf>,
    ) {
        fs::create_dir_all(to).unwrap();
        for ((_, name), id) in names.range((folder, String::new())..(folder + 1, String::new())) {
            let to = to.join(name);
            match &self.nodes[*id] {
                Node::Folder => self.put(names, *id, &to, bytes, made),
                Node::File { .. } => match made.get(id) {
                    Some(first) => fs::hard_link(first, &to).unwrap(),
                    None => {
                        fs::write(&to, bytes(*id)).unwrap();
                        made.insert(*id, to);
                    }
                },
            }
        }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<Place, Id>) {
        for (place, id) in &self.places {
            match id {
                Some(id) => names.insert(place.clone(), *id),
                None => names.remove(place),
            };
        }
    }
}

fn new_file(is_ledger: bool) -> Node {
    Node::File {
        written: Vec::new(),
        synced: Vec::new(),
        is_ledger,
    }
}

/// A file that was not synced.
fn torn(chance: u64, written: &[u8], synced: &[u8], is_ledger: bool) -> Vec<u8> {
    let part = (chance >> 8) as usize % (written.len() + 1);
    match chance % 6 {
        0 => written.to_vec(),
        1 => vec![0; written.len()],
        2 => Vec::new(),
        3 => written[..part].to_vec(),
        4 if is_ledger => {
            let page = 4096;
            let pages = written.chunks(page).zip(0..);
            let pages = pages.flat_map(|(new, number)| {
                let old = synced.get(number * page..number * page + new.len());
                let is_old = (chance >> (8 + number % 32)) & 1 == 0;
                old.filter(|_| is_old).unwrap_or(new).to_vec()
            });
            pages.collect()
        }
        4 => {
            let mut torn = written[..part].to_vec();
            torn.resize(written.len(), 0);
            torn
        }
        _ => synced.to_vec(),
    }
}

/// The same number for the same question.
fn chance(seed: u64, number: usize) -> u64 {
    let mut x = seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 27;
    }
    x
}
