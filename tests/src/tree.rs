//! A folder as it is on the disk, taken at one moment, to be compared with another one byte by byte.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::SystemTime};

/// Everything below a folder, by its path relative to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Entry>);

/// One thing in it.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    Folder,
    File {
        bytes: Vec<u8>,
        modified: SystemTime,
    },
    /// A link, a socket: nothing that belongs into a backup.
    Other,
}

/// Differences that a message names.
const NAMED: usize = 8;

impl Tree {
    /// Takes everything below `folder`; nothing at all when there is no such folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut tree = BTreeMap::new();
        if folder.is_dir() {
            walk(folder, "", &mut tree);
        }
        Self(tree)
    }

    /// The bytes of a file.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        match self.0.get(path)? {
            Entry::File { bytes, .. } => Some(bytes),
            Entry::Folder | Entry::Other => None,
        }
    }

    /// Names of folders end with a slash here, so that a file in the place of a folder is a difference of names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |(path, entry): (&String, &Entry)| match entry {
            Entry::Folder => format!("{path}/"),
            Entry::File { .. } => path.clone(),
            Entry::Other => format!("{path}?"),
        };
        self.0.iter().map(name).collect()
    }

    /// What differs from `other`: names, bytes, and when each file was written.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (path, entry) in &self.0 {
            match (entry, other.0.get(path)) {
                (_, None) => out.push(format!("{path} is gone")),
                (Entry::File { bytes, .. }, Some(Entry::File { bytes: now, .. }))
                    if bytes != now =>
                {
                    out.push(format!(
                        "{path} has other bytes ({} before, {} now)",
                        bytes.len(),
                        now.len()
                    ));
                }
                (Entry::File { modified, .. }, Some(Entry::File { modified: now, .. }))
                    if modified != now =>
                {
                    out.push(format!("{path} was written again"));
                }
                (entry, Some(now)) if entry != now => {
                    out.push(format!("{path} is of another kind"))
                }
                (_, Some(_)) => {}
            }
        }
        let new = other.0.keys().filter(|path| !self.0.contains_key(*path));
        out.extend(new.map(|path| format!("{path} is new")));
        out
    }

    /// Fails with what differs, when anything does.
    #[track_caller]
    pub fn assert_untouched(&self, now: &Self, what: &str) {
        let changes = self.changes(now);
        let mut words = String::new();
        for change in changes.iter().take(NAMED) {
            let _ = write!(words, "\n  {change}");
        }
        assert!(
            changes.is_empty(),
            "{what}: {} changes{words}",
            changes.len()
        );
    }
}

fn walk(folder: &Path, prefix: &str, tree: &mut BTreeMap<String, Entry>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a kind can be told");
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), tree);
            tree.insert(path, Entry::Folder);
        } else if kind.is_file() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let file = Entry::File {
                bytes: std::fs::read(entry.path()).expect("a file can be read"),
                modified: modified.expect("a file has a date"),
            };
            tree.insert(path, file);
        } else {
            tree.insert(path, Entry::Other);
        }
    }
}
