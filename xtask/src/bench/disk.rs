//! The disk that the backups are written to: its room, its peace, and how fast it takes a tree.

use anyhow::{Context as _, Result};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
};

/// Free bytes where the backups are written.
pub(super) fn room(scratch: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(scratch).context("failed to see how much room there is")?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// What the one before left to be written must not slow down the next.
pub(super) fn settle(scratch: &Path) -> Result<()> {
    let folder = File::open(scratch)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}

/// Writes a tree as our store does, and does nothing else: each file under another name first, then one sync for all.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    copy_folder(from, to, &mut buffer)?;
    settle(to)
}

fn copy_folder(from: &Path, to: &Path, buffer: &mut [u8]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            // Our own notes are no part of a backup.
            if name != ".backupwatch" {
                fs::create_dir(&target)?;
                copy_folder(&entry.path(), &target, buffer)?;
            }
            continue;
        }
        let part = to.join("part");
        let (mut source, mut sink) = (File::open(entry.path())?, File::create_new(&part)?);
        // Not `io::copy`, which lets the file system share the blocks.
        loop {
            let count = source.read(buffer)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            sink.write_all(piece)?;
        }
        fs::rename(&part, &target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::copy;
    use std::fs;

    #[test]
    fn a_copy_has_every_file_and_none_of_our_notes() {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        for name in ["UDID/00", "UDID/ff", ".backupwatch/state"] {
            fs::create_dir_all(from.join(name)).unwrap();
        }
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("UDID/00/one"), vec![7; (1 << 20) + 3]).unwrap();
        fs::write(from.join("UDID/Status.plist"), "state").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(
            fs::read(to.join("UDID/00/one")).unwrap().len(),
            (1 << 20) + 3
        );
        assert_eq!(fs::read(to.join("UDID/Status.plist")).unwrap(), b"state");
        assert!(to.join("UDID/ff").is_dir() && !to.join(".backupwatch").exists());
        assert!(!to.join("UDID/00/part").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
