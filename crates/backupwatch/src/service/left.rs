//! What stays on the disk when the service goes, and the removal of what a person asks to have removed. Backups are never among it.

use crate::failure::Failure;
use backupwatch_agent::{
    exit::ExitCode,
    instance::{Instance, InstanceError},
    paths::Paths,
};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long the sizes may take to find out. A disk with many backups takes longer; then it is "more than".
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an agent may take to end that was told to: it ends a backup politely within 25 s.
const ENDS_WITHIN: Duration = Duration::from_secs(35);

/// Something on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// `backups`, `state`, `log` or `configuration`.
    pub what: &'static str,
    pub path: PathBuf,
    pub bytes: u64,
    /// Whether all of it was counted in time.
    pub counted: bool,
}

/// What is there of ours, with its size. `roots` is each folder with backups.
pub fn left(paths: &Paths, roots: &[PathBuf]) -> Vec<Left> {
    let backups = roots.iter().map(|root| ("backups", Some(root)));
    let places = [
        ("state", Some(&paths.state)),
        ("log", paths.logs.as_ref()),
        ("configuration", Some(&paths.config)),
    ];
    let places: Vec<(&str, PathBuf)> = backups
        .chain(places)
        .filter_map(|(what, path)| Some((what, path?.clone())))
        .collect();
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    for (what, path) in &places {
        // What is inside another one is told by itself.
        let others: Vec<PathBuf> = places
            .iter()
            .filter(|(_, other)| other != path)
            .map(|(_, other)| other.clone())
            .collect();
        let (sender, receiver) = mpsc::sync_channel(1);
        let root = path.clone();
        // A disk that hangs keeps no answer from a person.
        thread::spawn(move || sender.send(measure(&root, &others, deadline)));
        let wait = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(500);
        let (bytes, counted) = match receiver.recv_timeout(wait) {
            Ok(Some(size)) => size,
            Ok(None) => continue,
            Err(_) => (0, false),
        };
        all.push(Left {
            what,
            path: path.clone(),
            bytes,
            counted,
        });
    }
    all
}

/// Bytes below `root` but not below `others`, each file once however many names it has; and whether time sufficed. None where there
/// is nothing.
fn measure(root: &Path, others: &[PathBuf], deadline: Instant) -> Option<(u64, bool)> {
    let meta = fs::symlink_metadata(root).ok()?;
    if !meta.is_dir() {
        return Some((meta.len(), true));
    }
    let (mut bytes, mut seen, mut folders) = (0_u64, HashSet::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        // What cannot be listed is somebody else's, and is not counted.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if Instant::now() > deadline {
                return Some((bytes, false));
            }
            let (path, Ok(meta)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if others.contains(&path) {
                continue;
            }
            if meta.is_dir() {
                folders.push(path);
            } else if meta.nlink() < 2 || seen.insert((meta.dev(), meta.ino())) {
                bytes = bytes.saturating_add(meta.len());
            }
        }
    }
    Some((bytes, true))
}

/// Removes state, log and configuration, each file by its name: what else is in these folders stays, and so do they then. What was
/// removed.
pub fn purge(paths: &Paths, roots: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    // Held until the end: no agent begins meanwhile.
    let _alone = if paths.state.is_dir() {
        Some(alone(paths)?)
    } else {
        None
    };
    let mut removed = Vec::new();
    let mut remove = |path: &Path| remove(path, roots, &mut removed);
    for name in names(&paths.state) {
        if name.as_encoded_bytes().starts_with(b"state.db") {
            remove(&paths.state.join(&name))?;
        }
    }
    remove(&paths.socket)?;
    if let Some(logs) = &paths.logs {
        for name in names(logs) {
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b"agent.") && bytes.ends_with(b".log") {
                remove(&logs.join(&name))?;
            }
        }
        remove_empty(logs);
    }
    remove(&paths.config)?;
    if let Some(folder) = paths.config.parent()
        && folder.file_name() == Some(OsStr::new("backupwatch"))
    {
        remove_empty(folder);
    }
    // Last, for it is what keeps others out.
    remove(&paths.lock)?;
    remove_empty(&paths.state);
    Ok(removed)
}

/// The right to the state, once an agent that was told to end has ended.
fn alone(paths: &Paths) -> Result<Instance, Failure> {
    let begin = Instant::now();
    loop {
        match Instance::claim(&paths.lock) {
            Ok(instance) => return Ok(instance),
            Err(InstanceError::Running { .. }) if begin.elapsed() < ENDS_WITHIN => {
                thread::sleep(Duration::from_millis(100));
            }
            Err(error @ InstanceError::Running { .. }) => {
                return Err(Failure::new(
                    ExitCode::Usage,
                    "busy",
                    format!("nothing was purged, because an agent is at work: failed to {error}"),
                )
                .next("End it, and run `backupwatch uninstall --purge` again."));
            }
            Err(error) => return Err(Failure::from_error(ExitCode::Usage, "purge", &error)),
        }
    }
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// A file, a link or a socket, if it is there and is in no folder with backups.
fn remove(path: &Path, roots: &[PathBuf], removed: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let is_ours = fs::symlink_metadata(path).is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_file() || kind.is_symlink() || kind.is_socket()
    });
    if !is_ours || roots.iter().any(|root| path.starts_with(root)) {
        return Ok(());
    }
    fs::remove_file(path).map_err(|error: io::Error| {
        let message = format!("failed to remove {}: {error}", path.display());
        Failure::new(ExitCode::Usage, "purge", message)
            .next("See whose file it is, and run `backupwatch uninstall --purge` again.")
    })?;
    removed.push(path.to_owned());
    Ok(())
}

/// A folder in which nothing is left. One with something in it stays, which is what is wanted.
fn remove_empty(folder: &Path) {
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A home with backups inside the state folder, as on a Mac, and with things of other people everywhere.
    fn home(folder: &Path) -> Paths {
        let state = folder.join("state");
        let paths = Paths {
            config: folder.join("config/backupwatch/config.toml"),
            database: state.join("state.db"),
            lock: state.join("agent.lock"),
            socket: state.join("agent.sock"),
            backups: state.join("Backups"),
            logs: Some(folder.join("logs")),
            state,
        };
        for (file, length) in [
            ("state/state.db", 100),
            ("state/state.db-wal", 20),
            ("state/state.db.damaged-1", 3),
            ("state/agent.lock", 4),
            ("state/Backups/00008101/Manifest.db", 5000),
            ("state/Backups/00008101/state.db", 1),
            ("state/Backups/.backupwatch/marker.json", 7),
            ("logs/agent.2026-11-23.log", 40),
            ("logs/agent.launchd.log", 2),
            ("config/backupwatch/config.toml", 11),
        ] {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, vec![b'x'; length]).unwrap();
        }
        let versions = paths.backups.join(".backupwatch/versions");
        fs::create_dir_all(&versions).unwrap();
        fs::hard_link(
            paths.backups.join("00008101/Manifest.db"),
            versions.join("Manifest.db"),
        )
        .unwrap();
        symlink("/", versions.join("elsewhere")).unwrap();
        paths
    }

    fn sizes(paths: &Paths) -> Vec<(&'static str, u64)> {
        let left = left(paths, std::slice::from_ref(&paths.backups));
        assert!(left.iter().all(|left| left.counted));
        left.iter().map(|left| (left.what, left.bytes)).collect()
    }

    #[test]
    fn what_is_left_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = home(folder.path());
        // 5000 once, the marker, the small file, and the link itself, which is as long as "/".
        let backups = 5000 + 7 + 1 + 1;
        assert_eq!(
            sizes(&paths),
            [
                ("backups", backups),
                ("state", 127),
                ("log", 42),
                ("configuration", 11)
            ]
        );
        let late = measure(&paths.backups, &[], Instant::now() - Duration::from_secs(1));
        assert_eq!(late, Some((0, false)), "a slow disk is said to be one");
    }

    #[test]
    fn a_purge_takes_what_is_ours_by_name_and_never_a_backup() {
        let folder = tempfile::tempdir().unwrap();
        let paths = home(folder.path());
        let theirs = [
            "state/letter.txt",
            "logs/other.log",
            "config/backupwatch/notes",
        ];
        for file in theirs {
            fs::write(folder.path().join(file), "mine").unwrap();
        }
        let removed = purge(&paths, std::slice::from_ref(&paths.backups)).unwrap();
        assert_eq!(removed.len(), 7, "{removed:?}");
        assert!(removed.iter().all(|path| !path.exists()));
        for file in theirs {
            assert!(folder.path().join(file).exists(), "{file}");
        }
        assert_eq!(
            fs::read(paths.backups.join("00008101/Manifest.db"))
                .unwrap()
                .len(),
            5000
        );
        assert!(paths.backups.join("00008101/state.db").exists());
        assert!(
            purge(&paths, std::slice::from_ref(&paths.backups))
                .unwrap()
                .iter()
                .all(|path| *path == paths.lock)
        );
    }

    #[test]
    fn a_purge_leaves_no_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = home(folder.path());
        let backups = folder.path().join("disk");
        fs::rename(&paths.backups, &backups).unwrap();
        paths.backups = backups;
        purge(&paths, std::slice::from_ref(&paths.backups)).unwrap();
        let names = |path: &Path| super::names(path);
        assert_eq!(names(&folder.path().join("config")), [""; 0]);
        let mut all = names(folder.path());
        all.sort();
        assert_eq!(all, ["config", "disk"]);
    }

    #[test]
    fn backups_in_the_place_of_the_state_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = home(folder.path());
        paths.backups.clone_from(&paths.state);
        let removed = purge(&paths, std::slice::from_ref(&paths.backups)).unwrap();
        assert!(
            removed.iter().all(|path| !path.starts_with(&paths.state)),
            "{removed:?}"
        );
    }

    #[test]
    fn an_agent_at_work_is_not_robbed_of_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let paths = home(folder.path());
        let agent = Instance::claim(&paths.lock).unwrap();
        let purging = {
            let paths = paths.clone();
            thread::spawn(move || purge(&paths, std::slice::from_ref(&paths.backups)))
        };
        thread::sleep(Duration::from_millis(300));
        assert!(paths.database.exists() && !purging.is_finished());
        drop(agent);
        purging.join().unwrap().unwrap();
        assert!(!paths.database.exists());
    }
}
