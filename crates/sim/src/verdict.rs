//! Whether a folder on the host holds exactly what the phone sent: everything is generated again and compared with the
//! tree, byte by byte, through the keybag and the password where the backup is encrypted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::compare::Comparison;
use crate::contents::Item;
use crate::keybag::{Key, Keybag};
use crate::manifest::{self, Flags, MbFile, Phase, Properties, Row, Status, row_blob};
use crate::mobilebackup2::{Finished, open_in_place};
use crate::phone::{Phone, PhoneHandle};

/// The verdict on one tree. Paths are relative to the phone's folder, or `domain/path` of the phone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeVerdict {
    /// Files whose every byte was compared and found right.
    pub files: usize,
    pub bytes: u64,
    pub missing: Vec<String>,
    pub differing: Vec<String>,
    pub stray: Vec<String>,
    /// What is wrong with the tree as a whole.
    pub problems: Vec<String>,
}

impl TreeVerdict {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
            && self.differing.is_empty()
            && self.stray.is_empty()
            && self.problems.is_empty()
    }
}

/// How many names of each kind a sentence holds.
const NAMED: usize = 5;

impl fmt::Display for TreeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return write!(
                f,
                "every byte is on the host's disk: {} files, {} bytes",
                self.files, self.bytes
            );
        }
        write!(f, "{} files are right", self.files)?;
        for (word, names) in [
            ("missing", &self.missing),
            ("differing", &self.differing),
            ("stray", &self.stray),
            ("wrong", &self.problems),
        ] {
            if !names.is_empty() {
                let some: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
                write!(f, "; {} {word}: {}", names.len(), some.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Items of the host's that are no blobs.
const KNOWN: [&str; 4] = [
    "Info.plist",
    "Manifest.db",
    "Manifest.plist",
    "Status.plist",
];

impl PhoneHandle {
    /// Compares the backup below `root`, in the folder of the phone's UDID, with what the phone sent.
    #[must_use]
    pub fn verdict(&self, root: &Path) -> TreeVerdict {
        verdict(self.phone(), root)
    }
}

/// See [`PhoneHandle::verdict`]. Blocks; a tree of some gigabytes takes seconds.
#[must_use]
pub fn verdict(phone: &Phone, root: &Path) -> TreeVerdict {
    let tree = root.join(phone.udid());
    let mut out = TreeVerdict::default();
    let Some(finished) = phone.backup().finished() else {
        out.problems
            .push("no backup of this phone has ended well".to_owned());
        return out;
    };
    match std::fs::read(tree.join("Status.plist")).map(|bytes| Status::parse(&bytes)) {
        Ok(Ok(status)) if status.phase == Phase::Finished => {}
        Ok(Ok(status)) => out
            .problems
            .push(format!("Status.plist says {}", status.phase.name())),
        Ok(Err(error)) => out.problems.push(format!("Status.plist: {error}")),
        Err(error) => out.problems.push(format!("Status.plist: {error}")),
    }
    let (keybag, rows) = match open(&tree, &finished) {
        Ok(opened) => opened,
        Err(problem) => {
            out.problems.push(problem);
            return out;
        }
    };
    let expected: BTreeMap<String, &Arc<Item>> = finished
        .items()
        .map(|item| (item.id.to_string(), item))
        .collect();
    let mut blobs = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let name = format!("{}/{}", row.domain, row.path);
        let Some(item) = expected.get(&row.file_id) else {
            out.problems.push(format!(
                "Manifest.db has {name}, which the phone did not send"
            ));
            continue;
        };
        seen.insert(row.file_id.clone());
        if !is_row_of(&row, item, &finished) {
            out.problems
                .push(format!("Manifest.db has another row for {name}"));
        }
        if !item.is_file() {
            continue;
        }
        let key = match key_of(&row, keybag.as_ref()) {
            Ok(key) => key,
            Err(problem) => {
                out.problems.push(format!("{name}: {problem}"));
                continue;
            }
        };
        let blob = format!("{}/{}", item.id.folder(), item.id);
        match compare(&tree.join(&blob), item, key.as_ref()) {
            Ok(true) => {
                out.files += 1;
                out.bytes += item.size();
            }
            Ok(false) => out.differing.push(name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => out.missing.push(name),
            Err(error) => out.problems.push(format!("{name}: {error}")),
        }
        blobs.insert(blob);
    }
    let unlisted = expected.iter().filter(|(id, _)| !seen.contains(*id));
    out.problems.extend(
        unlisted.map(|(_, item)| format!("Manifest.db lacks {}/{}", item.domain, item.path)),
    );
    find_strays(&tree, &blobs, &mut out);
    out
}

fn open(tree: &Path, finished: &Finished) -> Result<(Option<Keybag>, Vec<Row>), String> {
    let properties = std::fs::read(tree.join("Manifest.plist"))
        .map_err(|error| format!("Manifest.plist: {error}"))?;
    let properties =
        Properties::parse(&properties).map_err(|error| format!("Manifest.plist: {error}"))?;
    if properties.encrypted != finished.keys.secrets.is_some() {
        return Err("Manifest.plist is wrong about encryption".to_owned());
    }
    let source = tree.join("Manifest.db");
    let (keybag, rows) = match &finished.keys.password {
        None => (None, read_rows(&source)),
        Some(password) => {
            let (keybag, key) = properties
                .unlock(password)
                .map_err(|error| format!("Manifest.plist: {error}"))?;
            let copy = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
            let opened =
                std::fs::copy(&source, copy.path()).and_then(|_| open_in_place(copy.path(), &key));
            opened.map_err(|error| format!("Manifest.db: {error}"))?;
            (Some(keybag), read_rows(copy.path()))
        }
    };
    Ok((
        keybag,
        rows.map_err(|error| format!("Manifest.db: {error}"))?,
    ))
}

fn read_rows(path: &Path) -> Result<Vec<Row>, manifest::DatabaseError> {
    let mut rows = Vec::new();
    manifest::read(path)?.for_each(|row| rows.push(row))?;
    Ok(rows)
}

fn is_row_of(row: &Row, item: &Item, finished: &Finished) -> bool {
    *row.domain == *item.domain
        && *row.path == *item.path
        && row.flags == Flags::of(item).number()
        && row_blob(item, finished.keys.secrets.as_ref()).is_ok_and(|blob| blob == row.file)
}

fn key_of(row: &Row, keybag: Option<&Keybag>) -> Result<Option<Key>, String> {
    let archive = MbFile::parse(&row.file).ok_or("its record is no archive")?;
    match (keybag, archive.encryption_key) {
        (Some(keybag), Some(wrapped)) => keybag
            .unwrap(&wrapped)
            .map(Some)
            .map_err(|error| error.to_string()),
        (None, Some(_)) => Err("it has a key in a plain backup".to_owned()),
        (_, None) => Ok(None),
    }
}

fn compare(path: &Path, item: &Arc<Item>, key: Option<&Key>) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut comparison = Comparison::new(item.clone(), key);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(comparison.finish());
        }
        comparison.feed(buffer.get(..count).unwrap_or_default());
    }
}

/// Everything in the phone's folder that the phone does not know: two levels, as a backup has them.
fn find_strays(tree: &Path, blobs: &BTreeSet<String>, out: &mut TreeVerdict) {
    let names = |path: &Path| -> std::io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            names.push((
                entry.file_name().to_string_lossy().into_owned(),
                entry.file_type()?.is_dir(),
            ));
        }
        names.sort();
        Ok(names)
    };
    let top = match names(tree) {
        Ok(top) => top,
        Err(error) => {
            out.problems.push(format!("the phone's folder: {error}"));
            return;
        }
    };
    for (name, is_dir) in top {
        let is_folder = is_dir
            && name.len() == 2
            && name
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        if !is_folder {
            if !KNOWN.contains(&name.as_str()) || is_dir {
                out.stray.push(name);
            }
            continue;
        }
        match names(&tree.join(&name)) {
            Ok(inside) => out.stray.extend(
                inside
                    .into_iter()
                    .map(|(blob, _)| format!("{name}/{blob}"))
                    .filter(|blob| !blobs.contains(blob)),
            ),
            Err(error) => out.problems.push(format!("{name}: {error}")),
        }
    }
}
