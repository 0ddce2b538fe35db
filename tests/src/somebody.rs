//! Our binary as a user whom permissions bind. Root is bound by none.

use crate::{peers, table::Table};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

/// Whether this is root.
#[must_use]
pub fn is_root() -> bool {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .expect("it can be asked");
    id.stdout.trim_ascii() == b"0"
}

/// Root becomes nobody for it, with a home that nobody may use. `None` when that is not possible here; the skip was recorded.
#[must_use]
pub fn as_somebody(table: &Table, arguments: &[&str]) -> Option<Command> {
    if !is_root() {
        return Some(table.ours(arguments));
    }
    let setpriv = peers::find("setpriv")?;
    let ours = table.ours(arguments);
    // The binary may lie where only root can go.
    let copy = table.home().join("backupwatch");
    if !copy.exists() {
        prepare(table, ours.get_program().as_ref(), &copy)
            .expect("a folder of ours can be changed");
    }
    let mut command = Command::new(setpriv);
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(copy)
        .args(ours.get_args())
        .env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Some(command)
}

fn prepare(table: &Table, program: &Path, copy: &Path) -> io::Result<()> {
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    fs::copy(program, copy)?;
    for path in [table.home(), &table.config(), copy] {
        mode(path, 0o755)?;
    }
    mode(&table.home().join("usbmuxd"), 0o777)?;
    fs::create_dir_all(table.state())?;
    chown(table.state(), Some(NOBODY), Some(NOBODY))?;
    mode(&table.state(), 0o700)
}

/// The user that has nothing.
pub const NOBODY: u32 = 65_534;
