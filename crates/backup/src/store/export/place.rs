//! The place of an exported backup, and what is there already.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use backupwatch_core::Udid;
use backupwatch_wire::codec::{self, Limits};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use plist::Value;
use rustix::io::Errno;

use super::super::durable;
use super::super::error::Context as _;
use super::super::identity::TreeId;
use super::super::versions::Held;
use super::{ExportError, at};
use crate::disk;
use crate::jail::Jail;
use crate::verify::MAX_PLIST;

/// Names that are tried for a backup that is moved aside.
const TRIES: i64 = 1000;

/// `<folder>/<UDID>`.
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    pub(super) fn new(to: &Path, udid: &Udid) -> Self {
        Self {
            path: to.join(udid.as_str()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is there, if anything, is a backup that is older than this one.
    pub(super) fn permits(&self, held: &Held) -> Result<(), ExportError> {
        let path = self.path.clone();
        let there = match Jail::open(&path) {
            Ok(jail) => jail,
            Err(e) => match Errno::from_io_error(&e) {
                Some(Errno::NOENT) => return Ok(()),
                // A link or a file, which is nobody's backup.
                Some(Errno::NOTDIR | Errno::LOOP) => return Err(ExportError::Unknown { path }),
                Some(_) | None => return Err(e).context("open", &path).map_err(Into::into),
            },
        };
        if TreeId::of(&path).context("read", &path)?.as_ref() == Some(&held.version().tree) {
            return Err(ExportError::Already { path });
        }
        match (date_of(&there), date_of(held.tree())) {
            (Some(theirs), Some(ours)) if theirs < ours => Ok(()),
            (Some(at), Some(_)) => Err(ExportError::Newer { path, at }),
            (_, _) => Err(ExportError::Unknown { path }),
        }
    }

    /// Moves what is there aside, to the name that Finder gives to a backup that it archives.
    pub(super) fn clear(&self, utc_offset_s: i32) -> Result<Option<PathBuf>, ExportError> {
        if !disk::exists(&self.path).context("look at", &self.path)? {
            return Ok(None);
        }
        let made = Jail::open(&self.path).ok().and_then(|jail| date_of(&jail));
        let path = || self.path.clone();
        let made = made.ok_or_else(|| ExportError::Unknown { path: path() })?;
        let zone = TimeZone::fixed(Offset::from_seconds(utc_offset_s).unwrap_or(Offset::UTC));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        for second in 0..TRIES {
            let moment = made.as_second().saturating_add(second);
            let moment = Timestamp::from_second(moment).unwrap_or(made);
            let stamp = zone.to_datetime(moment).strftime("%Y%m%d-%H%M%S");
            let aside = self.path.with_file_name(format!("{name}-{stamp}"));
            match rename_new(&self.path, &aside) {
                Ok(()) => {
                    durable::sync_parent(&aside).context("sync", &aside)?;
                    return Ok(Some(aside));
                }
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(e) => return Err(at("move aside", &self.path, e)),
            }
        }
        Err(at("move aside", &self.path, Errno::EXIST))
    }
}

/// Gives a name that nothing has, also where the file system cannot see to that by itself.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match disk::rename_new(from, to) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if disk::exists(to)? {
                return Err(Errno::EXIST);
            }
            disk::rename(from, to).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        }
        done => done,
    }
}

/// When a backup was made, by the phone's own word, else by the computer's. Only of one that says that it is finished.
fn date_of(tree: &Jail) -> Option<Timestamp> {
    let status = read(tree, "Status.plist")?;
    if status.get("SnapshotState")?.as_string()? != "finished" {
        return None;
    }
    let date =
        |value: &Value| Timestamp::try_from(std::time::SystemTime::from(value.as_date()?)).ok();
    status.get("Date").and_then(date).or_else(|| {
        let info = read(tree, "Info.plist")?;
        info.get("Last Backup Date").and_then(date)
    })
}

fn read(tree: &Jail, name: &str) -> Option<plist::Dictionary> {
    let file = tree.open_file(name).ok()?;
    let mut bytes = Vec::new();
    disk::Reading(&file)
        .take(MAX_PLIST as u64 + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    codec::decode(&bytes, Limits::of_bytes(MAX_PLIST))
        .ok()?
        .into_dictionary()
}
