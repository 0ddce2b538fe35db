//! The state folder and the file in it. Nothing there is touched: where no agent has the file open, a copy of it is looked at,
//! because SQLite tidies up even after a reader.

use crate::setup::Setup;
use backupwatch_agent::{
    doctor::Check,
    state::{self, Examined, StateError},
};
use backupwatch_core::{HostTime, watcher::Remembered};
use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub const ID: &str = "state";

/// What is wrong with it, and the newest time that it holds.
pub fn look(setup: &Setup, agent_runs: bool) -> (Check, Option<HostTime>) {
    let folder = &setup.paths.state;
    if let Some(check) = folder_trouble(folder, setup.base.uid) {
        return (check, None);
    }
    let path = &setup.paths.database;
    let examined = if agent_runs {
        state::examine(path)
    } else {
        match copied(path) {
            Ok(copy) => state::examine(&copy.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return (nothing_yet(folder), None);
            }
            Err(error) => return (unreadable(path, &error.to_string()), None),
        }
    };
    match examined {
        Ok(examined) => (judge(&examined), newest(&examined)),
        Err(error) => (failed(path, &error), None),
    }
}

fn nothing_yet(folder: &Path) -> Check {
    Check::warn(
        ID,
        format!(
            "No agent has run yet: there is nothing in {}.",
            folder.display()
        ),
        "backupwatch install",
    )
}

/// What is wrong with the folder itself.
fn folder_trouble(folder: &Path, uid: u32) -> Option<Check> {
    let shown = folder.display();
    let meta = match fs::metadata(folder) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(nothing_yet(folder)),
        Err(error) => return Some(unreadable(folder, &error.to_string())),
    };
    if !meta.is_dir() {
        let says = format!("{shown} should be the state folder, and something else is there.");
        return Some(Check::fail(
            ID,
            says,
            format!("Move it away: mv '{shown}' '{shown}.old'"),
        ));
    }
    if meta.uid() != uid {
        let owner = meta.uid();
        return Some(Check::fail(
            ID,
            format!(
                "The state folder {shown} belongs to another user (uid {owner}), so no agent of yours can use it."
            ),
            format!("sudo chown -R {uid} '{shown}'"),
        ));
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Some(Check::warn(
            ID,
            format!(
                "The state folder {shown} can be read by other users of this computer (mode {mode:o})."
            ),
            format!("chmod 700 '{shown}'"),
        ));
    }
    None
}

fn unreadable(path: &Path, why: &str) -> Check {
    let shown = path.display();
    Check::fail(
        ID,
        format!("The state at {shown} cannot be read: {why}."),
        format!("Make it yours again: sudo chown -R \"$(id -u)\" '{shown}'"),
    )
}

fn judge(examined: &Examined) -> Check {
    let Examined { schema, known, .. } = examined;
    if schema < known {
        Check::warn(
            ID,
            format!(
                "The state was written by an older backupwatch (schema {schema}, now {known}); the agent brings it up to date when it starts."
            ),
            "backupwatch restart",
        )
    } else {
        Check::pass(
            ID,
            format!("The state is whole and up to date (schema {schema})."),
        )
    }
}

fn failed(path: &Path, error: &StateError) -> Check {
    let shown = path.display();
    match error {
        StateError::Newer { found, known, .. } => Check::fail(
            ID,
            format!(
                "The state was written by a newer backupwatch (schema {found}, this one knows up to {known}), so this one does not touch it."
            ),
            "Update backupwatch to the newest release.",
        ),
        StateError::Foreign { .. } => Check::fail(
            ID,
            format!("{shown} is a database of another program."),
            format!("Move it away: mv '{shown}' '{shown}.other'"),
        ),
        StateError::Missing { .. } => nothing_yet(path.parent().unwrap_or(path)),
        error if error.is_damage() => Check::fail(
            ID,
            format!(
                "The state {shown} is damaged. The agent sets it aside when it starts and begins anew; backups are not touched."
            ),
            "backupwatch restart",
        ),
        StateError::SetAside { .. } | StateError::Json(_) | StateError::Sqlite { .. } => {
            let why = std::error::Error::source(error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            unreadable(path, &why)
        }
    }
}

fn newest(examined: &Examined) -> Option<HostTime> {
    let polled = examined
        .state
        .agent()
        .ok()
        .and_then(|agent| agent.last_poll);
    let devices = examined.state.devices::<Remembered>().unwrap_or_default();
    devices
        .into_iter()
        .map(|device| device.last_seen)
        .chain(polled)
        .max()
}

/// The file and what is not yet in it, in a folder that is gone when this is dropped.
struct Copy {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn copied(path: &Path) -> io::Result<Copy> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("state.db");
    fs::copy(path, &copy)?;
    let beside = |path: &Path| {
        let mut name = OsString::from(path);
        name.push("-wal");
        PathBuf::from(name)
    };
    match fs::copy(beside(path), beside(&copy)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(Copy {
        path: copy,
        _folder: folder,
    })
}
