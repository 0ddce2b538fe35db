//! The place for backups, tried out: is it there, can it be written to, can it hold two backups without copying, has it room?

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use backupwatch_backup::store::ROOM;
use backupwatch_core::watcher::Remembered;
use backupwatch_core::words::{capital, ended, size};
use rustix::io::Errno;

use super::{Check, Place};
use crate::medium::{self, Condition, Medium, Trouble};
use crate::purgeable;
use crate::state::{self, State};

pub(super) const ROOT: &str = "backup_root";
const LINKS: &str = "backup_links";
const SPACE: &str = "backup_room";

pub(super) fn look(place: &Place) -> Vec<Check> {
    // Without a state nobody has been here yet.
    let state = state::open_read_only(&place.database).ok();
    let known = state.as_ref().and_then(|state| {
        let own = medium::known_own(state).unwrap_or_default().into_iter();
        let mut all = own.chain(medium::known(state).ok().flatten());
        all.find(|known| known.root == place.root)
    });
    let medium = medium::look(&place.root, place.origin, known.as_ref());
    if let Some(trouble) = &medium.trouble {
        return vec![failed(trouble)];
    }
    let Some(folder) = nearest(&place.root) else {
        let words = format!(
            "{} cannot be made: no folder above it is there",
            place.root.display()
        );
        return vec![failed(&trouble(Condition::Missing, words))];
    };
    let attempt = match Attempt::write(&folder) {
        Ok(attempt) => attempt,
        Err(error) => return vec![failed(&unwritable(&place.root, &error))],
    };
    vec![
        Check::pass(ROOT, there(&medium)),
        links(&place.root, &attempt),
        room(&medium, &folder, state.as_ref()),
    ]
}

fn there(medium: &Medium) -> String {
    let root = medium.root.display();
    match medium.condition {
        Condition::New => format!("Backups will go to {root}; the first one makes the folder."),
        Condition::Ready
        | Condition::Missing
        | Condition::Empty
        | Condition::Other
        | Condition::ReadOnly
        | Condition::NoRoom
        | Condition::NotPermitted
        | Condition::Unusable => format!("Backups go to {root}, and it can be written to."),
    }
}

fn failed(trouble: &Trouble) -> Check {
    let id = match trouble.condition {
        Condition::NoRoom => SPACE,
        Condition::New
        | Condition::Ready
        | Condition::Missing
        | Condition::Empty
        | Condition::Other
        | Condition::ReadOnly
        | Condition::NotPermitted
        | Condition::Unusable => ROOT,
    };
    let says = format!("No backup can be made: {}", ended(&trouble.words));
    Check::fail(id, says, trouble.next())
}

fn trouble(condition: Condition, words: String) -> Trouble {
    Trouble { condition, words }
}

/// The folder itself, or where it would be made.
fn nearest(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .find(|folder| folder.is_dir())
        .map(Path::to_owned)
}

fn unwritable(root: &Path, error: &io::Error) -> Trouble {
    let errno = Errno::from_io_error(error);
    if let Some(closed) = errno.and_then(|errno| medium::closed(root, errno)) {
        return closed;
    }
    let root = root.display();
    match errno {
        Some(Errno::NOSPC | Errno::DQUOT) => trouble(
            Condition::NoRoom,
            format!("there is no room left on the disk of {root}"),
        ),
        Some(_) | None => trouble(
            Condition::Unusable,
            format!("{root} cannot be written to: {error}"),
        ),
    }
}

/// Two small files that are gone when this is dropped.
struct Attempt {
    first: PathBuf,
    second: PathBuf,
}

impl Attempt {
    /// Writes the first one, to the disk and not only to memory: a full one says so only then.
    fn write(folder: &Path) -> io::Result<Self> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let name = u64::from_ne_bytes(name);
        let attempt = Self {
            first: folder.join(format!(".backupwatch-doctor-{name:016x}")),
            second: folder.join(format!(".backupwatch-doctor-{name:016x}-link")),
        };
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&attempt.first)?;
        file.write_all(b"backupwatch doctor tries whether it may write here\n")?;
        file.sync_all()?;
        Ok(attempt)
    }

    fn link(&self) -> io::Result<()> {
        std::fs::hard_link(&self.first, &self.second)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        for path in [&self.second, &self.first] {
            match std::fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, "a file of this check stays behind"),
            }
        }
    }
}

fn links(root: &Path, attempt: &Attempt) -> Check {
    let shown = root.display();
    match attempt.link() {
        Ok(()) => Check::pass(
            LINKS,
            "The disk has hard links: older versions cost only what has changed.",
        ),
        Err(error) => Check::fail(
            LINKS,
            format!(
                "The disk of {shown} has no hard links ({error}); exFAT and many network disks have none. A first backup can \
                 be made there, but no second one without risking it, and no versions are kept."
            ),
            "Use a disk formatted as APFS, HFS+, ext4 or similar: backup.root in the configuration.",
        ),
    }
}

fn room(medium: &Medium, folder: &Path, state: Option<&State>) -> Check {
    const CURE: &str =
        "Make room on the disk, or choose another folder: backup.root in the configuration.";
    let Some(free) = medium.free.or_else(|| purgeable::free_at(folder)) else {
        return Check::warn(SPACE, "The disk does not say how much room it has.", CURE);
    };
    let largest = state.and_then(largest);
    match largest {
        _ if free < ROOM => Check::fail(
            SPACE,
            format!("The disk is full: {} are free.", size(free)),
            CURE,
        ),
        None => Check::pass(
            SPACE,
            format!(
                "{} are free; no backup has been made here yet.",
                capital(&size(free))
            ),
        ),
        Some(largest) if free < largest => Check::warn(
            SPACE,
            format!(
                "{} are free, and the largest backup has {}: what changes will fit, but no phone that sends everything again.",
                size(free),
                size(largest)
            ),
            CURE,
        ),
        Some(largest) => Check::pass(
            SPACE,
            format!(
                "{} are free; the largest backup has {}.",
                size(free),
                size(largest)
            ),
        ),
    }
}

/// Bytes of the largest backup that is known here.
fn largest(state: &State) -> Option<u64> {
    let devices = state.devices::<Remembered>().ok()?;
    let sizes = devices
        .into_iter()
        .filter_map(|device| device.remembered.past.copy);
    sizes.map(|copy| copy.bytes).max()
}
