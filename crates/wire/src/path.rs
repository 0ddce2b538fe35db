//! Paths that a device sends, made safe: a [`DevicePath`] names a place in the device's own folder of the backup root, and
//! nothing else can be expressed.
//!
//! Not here: host paths and symbolic links, which the store must not follow.

use std::path::Path;

/// Longest path, in bytes; see [`crate::devicelink::stream::MAX_PATH`].
pub const MAX_PATH: usize = 4096;
/// Longest component, in bytes: `NAME_MAX` of the file systems that hold backups.
pub const MAX_NAME: usize = 255;

/// Why a path from a device is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    #[error("the path is not UTF-8")]
    NotUtf8,
    #[error("the path is empty")]
    Empty,
    #[error("the path is absolute")]
    Absolute,
    #[error("the path has a `.` or `..` in it")]
    Dots,
    #[error("the path has a character in it that no backup path has")]
    Character,
    #[error("the path names a drive")]
    Drive,
    #[error("the path or a name in it is too long")]
    TooLong,
    #[error("the path is not in the device's own folder")]
    Elsewhere,
}

/// A place in `<root>/<UDID>/`: only plain names, joined by `/`, the first one the UDID.
///
/// Empty names are dropped as every file system does (`a//b` is `a/b`, and a slash at the end says nothing).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePath {
    text: String,
    /// Where in `text` the part below the UDID begins.
    inside: usize,
}

impl DevicePath {
    /// Reads a path relative to the backup root.
    ///
    /// # Errors
    /// When it is anything but plain names below `udid`. The right answer is an error for this one file
    /// (libimobiledevice and others join such a path unread; with `Path::join` an absolute one replaces the root: idevice#104).
    pub fn parse(path: &str, udid: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if path.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if path.contains(['\0', '\\']) {
            return Err(PathError::Character);
        }
        let mut text = String::with_capacity(path.len());
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if name == "." || name == ".." {
                return Err(PathError::Dots);
            }
            if is_drive(name) {
                return Err(PathError::Drive);
            }
            if name.len() > MAX_NAME {
                return Err(PathError::TooLong);
            }
            if text.is_empty() {
                if name != udid {
                    return Err(PathError::Elsewhere);
                }
            } else {
                text.push('/');
            }
            text.push_str(name);
        }
        let inside = (udid.len() + 1).min(text.len());
        Ok(Self { text, inside })
    }

    /// The path relative to the backup root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part below the device's folder; empty for that folder itself.
    #[must_use]
    pub fn inside(&self) -> &str {
        self.text.get(self.inside..).unwrap_or_default()
    }

    /// [`DevicePath::inside`] as a path to be joined to the device's folder.
    #[must_use]
    pub fn relative_to_udid(&self) -> &Path {
        Path::new(self.inside())
    }

    /// Whether it is the device's folder itself: to be made and listed, but never written, moved or removed.
    #[must_use]
    pub fn is_folder_itself(&self) -> bool {
        self.inside().is_empty()
    }

    /// The names below the device's folder.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inside().split('/').filter(|name| !name.is_empty())
    }
}

impl std::fmt::Display for DevicePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// `C:` at the beginning of a name is a drive to Windows, wherever the part below the UDID is joined.
fn is_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
