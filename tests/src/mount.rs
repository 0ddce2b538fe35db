//! A disk of its own, for tests of disks that are full, for reading only, or in the place of another.

use crate::{peers, somebody::is_root};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What fits onto it.
const SIZE: &str = "size=300m";

/// A file system at a folder, gone at the end.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// `None` where the system permits no mounts; the skip was recorded.
    #[must_use]
    pub fn at(folder: &Path) -> Option<Self> {
        let options = format!("{SIZE},mode=700");
        if is_root() && mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder) {
            return Some(Self(folder.to_owned()));
        }
        peers::missed("mount");
        None
    }

    /// For reading only, as the system has a disk that fails.
    pub fn close(&self) {
        self.remount("ro");
    }

    /// For writing, too.
    pub fn open(&self) {
        self.remount("rw");
    }

    /// Without room for another backup.
    pub fn fill(&self) {
        self.remount(&format!("size={}k", self.used_kib() + 8));
    }

    /// With all of its room again.
    pub fn empty(&self) {
        self.remount(SIZE);
    }

    fn used_kib(&self) -> u64 {
        let said = Command::new("df")
            .args(["-k", "--output=used"])
            .arg(&self.0)
            .output();
        let said = String::from_utf8(said.expect("df runs").stdout).expect("it says a number");
        let used = said.split_whitespace().last();
        used.and_then(|used| used.parse().ok())
            .expect("it says a number")
    }

    fn remount(&self, how: &str) {
        assert!(
            mount(&["-o", &format!("remount,{how}")], &self.0),
            "remount as {how}"
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, because whoever failed may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(folder).status();
    status.is_ok_and(|status| status.success())
}
