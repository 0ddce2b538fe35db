//! One agent per state folder. The witness is an advisory lock on a file, which the kernel drops with the process, so
//! that there is nothing to clean up after a crash; the number in the file is only for the message.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The right to be the agent of a state folder, for as long as it lives.
#[derive(Debug)]
pub struct Instance {
    _file: File,
}

/// Why this process may not be the agent.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another one is.
    #[error("start the agent: one is already running{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Running {
        /// Its process, if it wrote it.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("lock {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Instance {
    /// Takes the right, or says who has it. Does not wait.
    pub fn claim(path: &Path) -> Result<Self, InstanceError> {
        let fail = |source| InstanceError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // Best effort: the answer does not depend on what is in the file.
                let read = (&file).take(16).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(InstanceError::Running { pid });
            }
            Err(errno) => return Err(fail(errno.into())),
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file })
    }

    /// Whether some process holds the right now. A missing file means no.
    pub fn is_claimed(path: &Path) -> bool {
        let Ok(file) = File::open(path) else {
            return false;
        };
        matches!(
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared),
            Err(rustix::io::Errno::WOULDBLOCK)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.lock");
        assert!(!Instance::is_claimed(&path));
        let first = Instance::claim(&path).unwrap();
        assert!(Instance::is_claimed(&path));
        let refused = Instance::claim(&path).unwrap_err();
        assert!(
            matches!(refused, InstanceError::Running { pid } if pid == Some(std::process::id())),
            "{refused}"
        );
        drop(first);
        assert!(!Instance::is_claimed(&path));
        std::fs::write(&path, "4294967295000 left by a crash").unwrap();
        Instance::claim(&path).unwrap();
    }
}
