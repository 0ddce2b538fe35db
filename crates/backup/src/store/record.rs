//! What was verified of one tree, kept beside it under the tree's identity: so it can never be taken for a statement about
//! another tree. Version 1 of the file.

use std::io;
use std::path::Path;

use backupwatch_core::verdict::Check;
use backupwatch_core::{HostTime, Level, LocalCopy, Udid};
use serde::{Deserialize, Serialize};

use super::durable;
use super::error::{Context as _, StoreError};
use super::identity::TreeId;
use super::layout::Layout;
use crate::disk;

const VERSION: u32 = 1;

/// Longest record; what is longer is cut, and so is none.
const MAX: u64 = 64 << 10;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    pub(crate) tree: TreeId,
    /// Counts up with each verified tree of a phone: which of two is newer does not depend on a clock.
    pub(crate) serial: u64,
    /// `L0` … `L4`
    level: String,
    pub(crate) at: HostTime,
    pub(crate) encrypted: bool,
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// The last look at the tree after it was made that told something new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Checked>,
}

/// A later look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checked {
    /// `L0` … `L4`
    level: String,
    at: HostTime,
    /// How many things were wrong.
    damaged: u64,
}

impl Record {
    pub(crate) fn new(tree: TreeId, serial: u64, copy: &LocalCopy) -> Self {
        Self {
            version: VERSION,
            tree,
            serial,
            level: level_name(copy.level).to_owned(),
            at: copy.at,
            encrypted: copy.encrypted,
            bytes: copy.bytes,
            files: copy.files,
            check: None,
        }
    }

    /// The copy that counts as verified, as deep as anybody ever looked; `None` when it is known to be damaged.
    pub(crate) fn copy(&self) -> Option<LocalCopy> {
        let made = self.made()?;
        match self.check() {
            Some(check) if check.found_damage() => None,
            Some(check) => Some(LocalCopy {
                level: check.level.max(made.level),
                ..made
            }),
            None => Some(made),
        }
    }

    /// What the last look found; `None` if there was none, or if its good news is of a level that we do not know.
    pub(crate) fn check(&self) -> Option<Check> {
        let check = self.check.as_ref()?;
        let deepest = (check.damaged > 0).then_some(Level::L4);
        Some(Check {
            level: level_of(&check.level).or(deepest)?,
            at: check.at,
            damaged: check.damaged,
        })
    }

    /// Takes in another look. Returns whether it told something new: bad news always does; good news does when it is at
    /// least as deep as what is known, be that good or bad.
    pub(crate) fn learn(&mut self, check: &Check) -> bool {
        let known = self.check();
        let level = match &known {
            Some(known) => Some(known.level),
            None => level_of(&self.level),
        };
        let deep_enough = Some(check.level) >= level;
        if !check.found_damage() && !deep_enough {
            return false;
        }
        let before = known.filter(|known| known.found_damage() && check.found_damage());
        self.check = Some(Checked {
            level: level_name(
                before
                    .as_ref()
                    .map_or(check.level, |known| known.level.max(check.level)),
            )
            .to_owned(),
            at: check.at,
            damaged: before.map_or(0, |known| known.damaged).max(check.damaged),
        });
        true
    }

    /// The copy that it speaks of, as it was made; `None` if it names a level that we do not know.
    pub(crate) fn made(&self) -> Option<LocalCopy> {
        Some(LocalCopy {
            level: level_of(&self.level)?,
            at: self.at,
            encrypted: self.encrypted,
            bytes: self.bytes,
            files: self.files,
        })
    }

    /// The record of a tree, if there is a readable one that speaks of it.
    pub(crate) fn read(
        layout: &Layout,
        udid: &Udid,
        tree: &TreeId,
    ) -> Result<Option<Self>, StoreError> {
        let path = layout.record(udid, tree);
        let record = read_file(&path).context("read", &path)?;
        Ok(record.filter(|record| record.tree == *tree))
    }

    pub(crate) fn write(&self, layout: &Layout, udid: &Udid) -> io::Result<()> {
        durable::make_folder(&layout.copies(udid))?;
        durable::replace(
            &layout.record(udid, &self.tree),
            &serde_json::to_vec_pretty(self)?,
        )
    }

    /// Every readable record of a phone.
    pub(crate) fn all(layout: &Layout, udid: &Udid) -> io::Result<Vec<Self>> {
        let folder = match disk::list(&layout.copies(udid)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut records = Vec::new();
        for entry in folder {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                records.extend(read_file(&path)?);
            }
        }
        Ok(records)
    }

    /// Removes the records and hashes of all trees but these.
    pub(crate) fn remove_others(layout: &Layout, udid: &Udid, kept: &[TreeId]) -> io::Result<()> {
        for entry in disk::list(&layout.copies(udid))? {
            let path = entry?.path();
            let tree = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            if !tree.is_some_and(|tree| kept.contains(&tree)) {
                durable::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> io::Result<Option<Record>> {
    let bytes = match disk::read(path, MAX) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let record = serde_json::from_slice::<Record>(&bytes).ok();
    Ok(record.filter(|record| record.version == VERSION))
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::L0 => "L0",
        Level::L1 => "L1",
        Level::L2 => "L2",
        Level::L3 => "L3",
        Level::L4 => "L4",
    }
}

fn level_of(name: &str) -> Option<Level> {
    Some(match name {
        "L0" => Level::L0,
        "L1" => Level::L1,
        "L2" => Level::L2,
        "L3" => Level::L3,
        "L4" => Level::L4,
        _ => return None,
    })
}
