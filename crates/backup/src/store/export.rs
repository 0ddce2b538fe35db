//! A whole copy of a backup for others: in `<folder>/<UDID>`, as Finder and other programs look for it.
//!
//! The copy shares no file with the store, because those programs write in place: it is made of clones where the disk can
//! clone, else of bytes. Each file is read and held against the hash taken when it arrived, so that a rotten backup is not passed
//! on in silence. It arrives under a hidden name beside its place, is synced, checked once more as a whole, and renamed. A
//! backup that is there already and older is moved aside, as Finder does; one that is newer stays, and nothing is exported.
//!
//! Not here: where Finder's folder is (the command line knows).

mod arrive;
mod place;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use backupwatch_core::Udid;
use rustix::io::Errno;

use super::durable::{self, Barrier};
use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::layout::OURS;
use super::space;
use super::versions::Held;
use crate::disk;
use crate::ledger::Ledger;
use crate::verify::{self, VerifyError};
use arrive::Arriving;
use place::Place;

/// Room that is left free for folders and for what else the disk needs.
const MARGIN: u64 = 64 << 20;

/// What is exported, and whereto.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    pub held: &'a Held,
    /// A folder that is there.
    pub to: &'a Path,
    /// Seconds east of Greenwich, for the name of a backup that is moved aside.
    pub utc_offset_s: i32,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    pub files: u64,
    pub bytes: u64,
    /// The files are clones, which take no room until somebody changes them.
    pub cloned: bool,
    /// Where the older backup is that was in its place.
    pub aside: Option<PathBuf>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exporting {
    pub bytes: u64,
    pub files: u64,
    pub of_bytes: u64,
    pub of_files: u64,
}

/// Why nothing was exported. What was in the folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the backup was never verified, or is damaged, so it is not passed on")]
    NotVerified,
    #[error("the backup is damaged: {path} is not the file that arrived from the phone")]
    Rotten { path: String },
    #[error("the copy is not whole: {finding}")]
    NotWhole { finding: String },
    #[error("{} belongs to backupwatch's own store", .path.display())]
    InStore { path: PathBuf },
    #[error("{} has a newer backup of this device, made {at}", .path.display())]
    Newer { path: PathBuf, at: jiff::Timestamp },
    #[error("{} has this very backup already", .path.display())]
    Already { path: PathBuf },
    #[error("{} is there, and nobody can tell whether it is an older backup", .path.display())]
    Unknown { path: PathBuf },
    #[error("there is too little room for {need} bytes on the disk of {} ({free} bytes free)", .path.display())]
    NoRoom { path: PathBuf, need: u64, free: u64 },
    #[error("another export of this device into {} is running", .path.display())]
    Busy { path: PathBuf },
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to check the copy")]
    Check(#[source] VerifyError),
}

/// Exports a backup. `progress` is told now and then.
///
/// # Errors
/// See [`ExportError`]. Nothing of the export is left then.
pub fn export(
    wanted: &Export<'_>,
    progress: &mut dyn FnMut(Exporting),
    stop: &AtomicBool,
) -> Result<Exported, ExportError> {
    let Export {
        held,
        to,
        utc_offset_s,
    } = *wanted;
    let udid = held.udid();
    let to = &usable(to, held)?;
    if held.version().copy.is_none() {
        return Err(ExportError::NotVerified);
    }
    let ledger = open_ledger(held)?;
    let place = Place::new(to, udid);
    place.permits(held)?;

    let mut whole = Exporting::default();
    arrive::count(held.tree(), &mut whole).context("read", &held.version().path)?;
    let barrier = Barrier::open(to).context("open", to)?;
    let mut arriving = Arriving::begin(to, udid)?;
    if !arriving.can_clone(held.tree())? {
        check_room(to, whole.of_bytes)?;
    }
    let copied = arriving.copy(held.tree(), &ledger, whole, progress, stop)?;
    prove(&arriving, held, udid)?;
    barrier
        .wait(arriving.tree())
        .context("sync", arriving.path())?;

    // While it was copied, somebody may have made a newer one.
    place.permits(held)?;
    let aside = place.clear(utc_offset_s)?;
    let cloned = arriving.cloned();
    if let Err(error) = arriving.settle(place.path()) {
        if let Some(aside) = &aside {
            // It goes back to where it was.
            let _ = disk::rename_new(aside, place.path());
        }
        return Err(error);
    }
    durable::sync_parent(place.path()).context("sync", to)?;
    Ok(Exported {
        path: place.path().to_owned(),
        files: copied.files,
        bytes: copied.bytes,
        cloned,
        aside,
    })
}

/// The folder with all links resolved, if a backup may be put there.
fn usable(to: &Path, held: &Held) -> Result<PathBuf, ExportError> {
    let to = super::real_folder(to)?;
    // The phone's next backup would take a foreign tree for the current one.
    let in_ours = to.starts_with(held.root()) || to.iter().any(|name| name == OURS);
    if in_ours || disk::exists(&to.join(OURS)).context("look at", &to)? {
        return Err(ExportError::InStore { path: to });
    }
    Ok(to)
}

fn open_ledger(held: &Held) -> Result<Ledger, ExportError> {
    let path = held.ledger().ok_or(ExportError::NotVerified)?;
    match Ledger::look(&path) {
        Ok(Some(ledger)) => Ok(ledger),
        Ok(None) => Err(ExportError::NotVerified),
        Err(e) if e.is_damage() => Err(StoreError::Damaged { path }.into()),
        Err(e) => Err(StoreError::io("read", &path, e.into()).into()),
    }
}

fn check_room(to: &Path, bytes: u64) -> Result<(), ExportError> {
    let free = space::free_at(to).context("look at", to)?;
    let need = bytes.saturating_add(MARGIN);
    if free < need {
        let path = to.to_owned();
        return Err(ExportError::NoRoom { path, need, free });
    }
    Ok(())
}

/// The property lists of the copy are those that were verified, and each row of the manifest has its file.
fn prove(arriving: &Arriving, held: &Held, udid: &Udid) -> Result<(), ExportError> {
    let path = arriving.path();
    let tree = TreeId::of(path).context("read", path)?;
    if tree.as_ref() != Some(&held.version().tree) {
        let path = "one of its property lists".to_owned();
        return Err(ExportError::Rotten { path });
    }
    let report = verify::verify(path, udid).map_err(ExportError::Check)?;
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => Err(ExportError::NotWhole {
            finding: finding.to_string(),
        }),
    }
}

/// What an error of the disk at the target is.
fn at(what: &'static str, path: &Path, errno: Errno) -> ExportError {
    StoreError::io(what, path, errno.into()).into()
}
