//! The disk that the backups are written to: its room, and its peace.

use super::Bench;
use anyhow::{Context as _, Result};
use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

/// Makes the folder for a case, and so much room for it, if that can be had.
pub(super) fn make_room(bench: &Bench, wanted: u64) -> Result<bool> {
    fs::create_dir_all(&bench.scratch)
        .with_context(|| format!("failed to make {}", bench.scratch.display()))?;
    if room(&bench.scratch)? < wanted {
        forget(&[&bench.aside]);
    }
    Ok(room(&bench.scratch)? >= wanted)
}

/// Puts a tree of many small files where it is in nobody's way until the end: ext4 looks at each inode that was given up within the
/// last minute before it takes another one, and who comes next would pay for it.
pub(super) fn put_aside(bench: &Bench, folder: &Path) -> Result<()> {
    fs::create_dir_all(&bench.aside)?;
    let before = fs::read_dir(&bench.aside)?.count();
    fs::rename(folder, bench.aside.join(before.to_string()))
        .with_context(|| format!("failed to put {} away", folder.display()))
}

/// Removes folders, and waits until the file system minds them no more. That nothing is there is no fault.
pub(super) fn forget(folders: &[&Path]) {
    let gone = folders
        .iter()
        .filter(|folder| fs::remove_dir_all(folder).is_ok());
    if gone.count() > 0 {
        println!("waiting until the file system has forgotten what was removed");
        std::thread::sleep(REMEMBERED);
    }
}

/// Free bytes where the backups are written.
fn room(scratch: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(scratch).context("failed to see how much room there is")?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Waits until all that was written to the file system is on the medium.
pub(super) fn sync(folder: &Path) -> Result<()> {
    let folder = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}

/// For so long a file system keeps in mind which files are gone; see [`put_aside`].
const REMEMBERED: Duration = Duration::from_secs(65);
/// How long a disk must give nothing back to be at peace, …
const QUIET: Duration = Duration::from_millis(250);
/// … and how often that is waited for on one that others use too.
const LOOKS: u32 = 40;

/// What the one before left to be written must not slow down the next, nor what of it was removed: where a file system tells
/// the disk of room that is free again, it does so after the sync that freed it, and goes on while nobody waits.
pub(super) fn settle(scratch: &Path) -> Result<()> {
    sync(scratch)?;
    let mut before = given_back(scratch);
    for _ in 0..LOOKS {
        if before.is_none() {
            break;
        }
        std::thread::sleep(QUIET);
        let now = given_back(scratch);
        if now == before {
            break;
        }
        before = now;
    }
    Ok(())
}

/// How often so far the disk was told of free room; unknown where the kernel does not say.
fn given_back(scratch: &Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{major, minor, stat};
        let device = stat(scratch).ok()?.st_dev;
        let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        discards(&std::fs::read_to_string(path).ok()?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = scratch;
        None
    }
}

/// The twelfth number of a block device's `stat`.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux says it")
)]
fn discards(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(11)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::discards;

    #[test]
    fn discards_are_read_where_the_kernel_says_them() {
        let stat = "  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n";
        assert_eq!(discards(stat), Some(12));
        assert_eq!(discards("1 2 3 4 5 6 7 8 9 10 11\n"), None);
    }
}
