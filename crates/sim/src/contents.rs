//! What a simulated phone holds: a catalogue of items, with content that is generated when it is read.
//!
//! A catalogue can change under a test (`mutate`, `add`, `delete`, `rename`) and is cheap to clone, which is how the
//! backup service takes its snapshot. It knows nothing of manifests, encryption or the wire.

pub mod noise;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

pub use spec::{Contents, ExplicitDirectory, ExplicitFile, ExplicitSymlink, Group};

/// The name of a blob on the host: SHA-1 of `domain-relativePath` (protocol.md 9.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 20]);

impl FileId {
    #[must_use]
    pub fn of(domain: &str, path: &str) -> Self {
        let mut hash = Sha1::new();
        hash.update(domain.as_bytes());
        hash.update(b"-");
        hash.update(path.as_bytes());
        Self(hash.finalize().into())
    }

    /// The two hex digits that name the blob's folder.
    #[must_use]
    pub fn folder(&self) -> String {
        let [first, ..] = self.0;
        format!("{first:02x}")
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut text = [0; 40];
        for (to, byte) in text.chunks_exact_mut(2).zip(self.0) {
            to.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xF)]);
        }
        // A backup names each file a dozen times; the formatter's own way takes twenty calls for one.
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// Generated from this key of `noise`.
    Noise(u64),
    Text(Arc<[u8]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File {
        size: u64,
        bytes: Bytes,
        /// Bytes of extended attributes in its row of the manifest.
        attributes: u16,
    },
    Directory,
    Symlink {
        target: Arc<str>,
    },
}

/// One thing on the phone: one row of the manifest and, for a file, one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: FileId,
    pub domain: Arc<str>,
    pub path: Arc<str>,
    pub kind: Kind,
    pub inode: u64,
    /// Unix seconds.
    pub modified: u64,
    pub born: u64,
    pub class: u8,
}

impl Item {
    /// Bytes of content; none for directories and links.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } => *size,
            Kind::Directory | Kind::Symlink { .. } => 0,
        }
    }

    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Fills `out` with content from `offset` on; what lies past the end is left as it was.
    pub fn read(&self, offset: u64, out: &mut [u8]) {
        match &self.kind {
            Kind::File {
                bytes: Bytes::Noise(key),
                size,
                ..
            } => {
                let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
                let len = out.len().min(left);
                if let Some(out) = out.get_mut(..len) {
                    noise::fill(*key, offset, out);
                }
            }
            Kind::File {
                bytes: Bytes::Text(text),
                ..
            } => {
                let skip = usize::try_from(offset).unwrap_or(usize::MAX);
                for (to, from) in out.iter_mut().zip(text.iter().skip(skip)) {
                    *to = *from;
                }
            }
            Kind::Directory | Kind::Symlink { .. } => {}
        }
    }

    /// The path as the phone would name it in its own file system; only a key for error reports (protocol.md 8.3).
    #[must_use]
    pub fn device_path(&self) -> String {
        format!("/.b/8/{}/{}", self.domain, self.path)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ContentsError {
    #[error("two things at {domain}/{path}")]
    Twice { domain: String, path: String },
    #[error("nothing at {domain}/{path}")]
    Nothing { domain: String, path: String },
    #[error("the path {path:?} in {domain} is not a clean relative path")]
    Path { domain: String, path: String },
    #[error("the sizes of a group in {domain} are the wrong way round")]
    Sizes { domain: String },
}

/// Everything on a phone that a backup would hold, in the order of domain and path.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    seed: u64,
    items: BTreeMap<(Arc<str>, Arc<str>), Arc<Item>>,
    next_inode: u64,
    round: u64,
}

/// Dates start here: 2024-01-01T00:00:00Z.
const EPOCH: u64 = 1_704_067_200;
const YEAR: u64 = 31_557_600;

impl Catalog {
    /// # Errors
    /// Two things at one path, or a path that no phone could hold.
    pub fn new(contents: &Contents) -> Result<Self, ContentsError> {
        let mut catalog = Self {
            seed: contents.seed,
            next_inode: 10_000,
            ..Self::default()
        };
        for group in &contents.groups {
            catalog.add_group(group)?;
        }
        for file in &contents.files {
            let bytes = file
                .text
                .as_ref()
                .map(|text| Bytes::Text(Arc::from(text.as_bytes())));
            let size = file
                .text
                .as_ref()
                .map_or(file.size, |text| text.len() as u64);
            catalog.insert_file(&file.domain, &file.path, size, bytes, file.class, 0)?;
        }
        for link in &contents.symlinks {
            let kind = Kind::Symlink {
                target: Arc::from(link.target.as_str()),
            };
            catalog.insert(&link.domain, &link.path, kind, 0)?;
        }
        for directory in &contents.directories {
            catalog.ensure_directory(&directory.domain, &directory.path)?;
        }
        Ok(catalog)
    }

    pub fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    pub fn files(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items().filter(|item| item.is_file())
    }

    #[must_use]
    pub fn get(&self, domain: &str, path: &str) -> Option<&Arc<Item>> {
        self.items.get(&(Arc::from(domain), Arc::from(path)))
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().map(|item| item.size()).sum()
    }

    /// Rewrites about `percent` of the files with new content and dates, at least one; returns how many.
    pub fn mutate(&mut self, percent: f64) -> usize {
        self.round += 1;
        let round = self.round;
        let salt = noise::subkey(self.seed, &round.to_le_bytes());
        let draw = |item: &Item| noise::subkey(salt, &item.id.0) % 1_000_000;
        let mut files: Vec<_> = self
            .files()
            .map(|item| (draw(item), item.clone()))
            .collect();
        files.sort_by_key(|(draw, _)| *draw);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let wanted = ((files.len() as f64 * percent.clamp(0.0, 100.0) / 100.0).round() as usize)
            .max(usize::from(percent > 0.0));
        files.truncate(wanted);
        for (_, item) in &files {
            let mut changed = Item::clone(item);
            changed.modified += 60 * round;
            if let Kind::File { size, bytes, .. } = &mut changed.kind {
                *bytes = Bytes::Noise(noise::subkey(salt, &item.id.0));
                *size += noise::subkey(salt, b"growth") % 7;
            }
            self.items
                .insert((item.domain.clone(), item.path.clone()), Arc::new(changed));
        }
        files.len()
    }

    /// # Errors
    /// Something is there already, or the path is not clean.
    pub fn add(&mut self, domain: &str, path: &str, size: u64) -> Result<(), ContentsError> {
        self.insert_file(domain, path, size, None, 3, 0)
    }

    /// A program writes a file of its own anew; where and when it was made stays as it was.
    ///
    /// # Errors
    /// Something else is there, or the path is not clean.
    pub fn write(
        &mut self,
        domain: &str,
        path: &str,
        text: Arc<[u8]>,
        modified: u64,
    ) -> Result<(), ContentsError> {
        if self.get(domain, path).is_none() {
            self.insert_file(domain, path, 0, None, 3, 0)?;
        }
        let mut item = Item::clone(&*self.take(domain, path)?);
        // The manifest counts whole seconds, and two texts of one length within one would look the same in it.
        item.modified = modified.max(item.modified.saturating_add(1));
        if let Kind::File { size, bytes, .. } = &mut item.kind {
            *size = u64::try_from(text.len()).unwrap_or(u64::MAX);
            *bytes = Bytes::Text(text);
        }
        self.put(item)
    }

    /// # Errors
    /// Nothing is there.
    pub fn delete(&mut self, domain: &str, path: &str) -> Result<(), ContentsError> {
        self.take(domain, path).map(drop)
    }

    /// The file keeps its inode, dates and content, as a rename on a phone does.
    ///
    /// # Errors
    /// Nothing is there, or something is at the new path.
    pub fn rename(&mut self, domain: &str, from: &str, to: &str) -> Result<(), ContentsError> {
        if self.get(domain, to).is_some() {
            return Err(ContentsError::Twice {
                domain: domain.into(),
                path: to.into(),
            });
        }
        let item = self.take(domain, from)?;
        let renamed = Item {
            id: FileId::of(domain, to),
            path: Arc::from(to),
            ..Item::clone(&item)
        };
        self.put(renamed)
    }

    fn add_group(&mut self, group: &Group) -> Result<(), ContentsError> {
        let (least, most) = group.size;
        if least > most {
            return Err(ContentsError::Sizes {
                domain: group.domain.clone(),
            });
        }
        let usual = ["file-{n}.dat".to_owned()];
        let names = if group.names.is_empty() {
            &usual[..]
        } else {
            &group.names
        };
        let domain: Arc<str> = Arc::from(group.domain.as_str());
        for (number, name) in (0..group.count).zip(names.iter().cycle()) {
            let name = name.replace("{n}", &format!("{number:04}"));
            let path = if group.prefix.is_empty() {
                name
            } else {
                format!("{}/{name}", group.prefix)
            };
            let spread = (most - least).saturating_add(1);
            let key = noise::subkey(self.seed, format!("size {domain} {path}").as_bytes());
            let size = least + if spread == 0 { key } else { key % spread };
            self.insert_file(&domain, &path, size, None, group.class, group.attributes)?;
        }
        Ok(())
    }

    fn insert_file(
        &mut self,
        domain: &str,
        path: &str,
        size: u64,
        bytes: Option<Bytes>,
        class: u8,
        attributes: u16,
    ) -> Result<(), ContentsError> {
        let bytes = bytes.unwrap_or_else(|| {
            let name = format!("content {} {domain} {path}", self.round);
            Bytes::Noise(noise::subkey(self.seed, name.as_bytes()))
        });
        let kind = Kind::File {
            size,
            bytes,
            attributes,
        };
        self.insert(domain, path, kind, class)
    }

    fn insert(
        &mut self,
        domain: &str,
        path: &str,
        kind: Kind,
        class: u8,
    ) -> Result<(), ContentsError> {
        let clean = |path: &str| {
            path.split('/')
                .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
        };
        if domain.is_empty() || domain.contains(['/', '\0']) || !clean(path) {
            return Err(ContentsError::Path {
                domain: domain.into(),
                path: path.into(),
            });
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.ensure_directory(domain, parent)?;
        let item = self.new_item(domain, path, kind, class);
        self.put(item)
    }

    /// A directory and all above it up to the domain's own row, whose path is empty.
    fn ensure_directory(&mut self, domain: &str, path: &str) -> Result<(), ContentsError> {
        let mut path = path;
        loop {
            match self.get(domain, path).map(|item| &item.kind) {
                Some(Kind::Directory) => return Ok(()),
                Some(Kind::File { .. } | Kind::Symlink { .. }) => {
                    return Err(ContentsError::Twice {
                        domain: domain.into(),
                        path: path.into(),
                    });
                }
                None => {}
            }
            let item = self.new_item(domain, path, Kind::Directory, 0);
            self.put(item)?;
            match path.rsplit_once('/') {
                Some((parent, _)) => path = parent,
                None if path.is_empty() => return Ok(()),
                None => path = "",
            }
        }
    }

    fn new_item(&mut self, domain: &str, path: &str, kind: Kind, class: u8) -> Item {
        self.next_inode += 1;
        let id = FileId::of(domain, path);
        let born = EPOCH + noise::subkey(self.seed, &id.0) % YEAR;
        let domain = self.domain_name(domain);
        Item {
            id,
            domain,
            path: Arc::from(path),
            kind,
            inode: self.next_inode,
            modified: born + 3600,
            born,
            class,
        }
    }

    /// One allocation for a domain's name however many files it has.
    fn domain_name(&self, domain: &str) -> Arc<str> {
        let fresh: Arc<str> = Arc::from(domain);
        let first = self
            .items
            .range((fresh.clone(), Arc::from(""))..)
            .next()
            .map(|((name, _), _)| name);
        first
            .filter(|name| **name == fresh)
            .cloned()
            .unwrap_or(fresh)
    }

    fn put(&mut self, item: Item) -> Result<(), ContentsError> {
        let key = (item.domain.clone(), item.path.clone());
        if self.items.contains_key(&key) {
            return Err(ContentsError::Twice {
                domain: item.domain.to_string(),
                path: item.path.to_string(),
            });
        }
        self.items.insert(key, Arc::new(item));
        Ok(())
    }

    fn take(&mut self, domain: &str, path: &str) -> Result<Arc<Item>, ContentsError> {
        self.items
            .remove(&(Arc::from(domain), Arc::from(path)))
            .ok_or_else(|| ContentsError::Nothing {
                domain: domain.into(),
                path: path.into(),
            })
    }
}

#[cfg(test)]
mod tests;
