//! Telling one tree from another after a crash: a tree is known by the bytes of its three property lists, of which
//! Status.plist has a UUID of its run and Info.plist the moment it ended. Inode numbers would not do: not every file system
//! keeps them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::str::FromStr;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::disk::{self, CWD};

/// The files that make a tree what it is.
const FILES: [&str; 3] = ["Status.plist", "Manifest.plist", "Info.plist"];

/// Longest part of each file that counts; honest ones are whole megabytes below.
const MAX: u64 = 64 << 20;

/// Identity of a tree.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TreeId(String);

impl TreeId {
    /// Reads the identity of the tree at `folder`; `None` if there is no folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Option<Self>> {
        match disk::look(CWD, folder) {
            Ok(stat) if kind(&stat) == FileType::Directory => {}
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        let mut hasher = blake3::Hasher::new();
        for name in FILES {
            match content_of(&folder.join(name))? {
                Content::None => {
                    hasher.update(b"0");
                }
                Content::File(hash) => {
                    hasher.update(b"1");
                    hasher.update(hash.as_bytes());
                }
                Content::NoFile => {
                    hasher.update(b"2");
                }
            }
        }
        Ok(Some(Self(hasher.finalize().to_hex().to_string())))
    }
}

enum Content {
    None,
    File(blake3::Hash),
    /// A phone can make a folder of that name, and others what they like. It is not read: a pipe would hold us for ever.
    NoFile,
}

fn content_of(path: &Path) -> io::Result<Content> {
    match disk::look(CWD, path) {
        Ok(stat) if kind(&stat) == FileType::RegularFile => {}
        Ok(_) => return Ok(Content::NoFile),
        Err(Errno::NOENT) => return Ok(Content::None),
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(disk::open(CWD, path, flags)?);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(disk::Reading(&file).take(MAX))?;
    Ok(Content::File(hasher.finalize()))
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeId({})", self.0.get(..8).unwrap_or_default())
    }
}

impl FromStr for TreeId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not the identity of a tree")
        }
    }
}

impl TryFrom<String> for TreeId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TreeId> for String {
    fn from(id: TreeId) -> Self {
        id.0
    }
}
