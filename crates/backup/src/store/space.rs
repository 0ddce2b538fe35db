//! How much room there is, in truth: protocol.md 9.5, the most frequent failure of backups in the field.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::OFlags;

use crate::disk::{self, CWD};

/// With less than that a disk is full: no backup of a phone is that small.
pub const ROOM: u64 = 16 << 20;

/// Bytes that a file system has for us. Not what is purgeable on macOS: asking for that takes an Objective-C call, and
/// [`crate::RunOptions::purgeable`] lets who can make it say so.
pub(crate) fn free(fd: impl AsFd) -> io::Result<u64> {
    Ok(disk::room(fd)?)
}

/// As [`free`], for the file system that a path is on.
pub(crate) fn free_at(path: &Path) -> io::Result<u64> {
    let folder = if disk::is_folder(path) {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    free(disk::open(CWD, folder, OFlags::RDONLY)?)
}
