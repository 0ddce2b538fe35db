//! L2: the blobs against the manifest, and both kinds of trees against their ledger.
//!
//! Manifest, folders and ledger are all walked in the order of the file ids, so that one folder of 256 is in memory at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::manifest::{Manifest, Row, Scanned, is_file_id};
use super::{Finding, ManifestFault, VerifyError, VerifyReport};
use crate::jail::{Jail, Kind};
use crate::ledger::{Change, Ledger};
use crate::store::read_file;
use rustix::io::Errno;

/// What is in a finished tree beside the folders of blobs.
const TOP: [&str; 4] = [
    "Info.plist",
    "Manifest.db",
    "Manifest.plist",
    "Status.plist",
];

pub(super) fn check(
    jail: &Jail,
    manifest: Option<Manifest>,
    ledger: Option<&mut Ledger>,
    stop: &AtomicBool,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let mut walk = Walk {
        jail,
        ledger,
        stop,
        report,
        has_manifest: manifest.is_some(),
        next: 0,
        folder: None,
        taken_over: 0,
    };
    walk.top()?;
    if let Some(manifest) = manifest {
        let mut decomposed = 0_u64;
        let whole = manifest.scan(|scanned| match scanned {
            Scanned::File(row) => {
                decomposed += u64::from(!row.composed);
                walk.row(&row)
            }
            Scanned::NoBlob => Ok(()),
            Scanned::Bad => {
                walk.report.find(Finding::Manifest(ManifestFault::Rows));
                Ok(())
            }
        })?;
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        if !whole {
            walk.report.find(Finding::Manifest(ManifestFault::Damaged));
        }
        if decomposed > 0 {
            walk.report.note(format!(
                "{decomposed} paths are in decomposed Unicode, which some restores do not take"
            ));
        }
    }
    walk.finish()
}

struct Walk<'a> {
    jail: &'a Jail,
    ledger: Option<&'a mut Ledger>,
    stop: &'a AtomicBool,
    report: &'a mut VerifyReport,
    has_manifest: bool,
    /// The next of the 256 folders that was not looked into.
    next: u16,
    folder: Option<Folder>,
    /// Blobs that nobody hashed when they arrived.
    taken_over: u64,
}

/// A folder of blobs, with what no row has named yet.
struct Folder {
    name: String,
    unnamed: BTreeMap<String, u64>,
}

impl Walk<'_> {
    /// What is beside the folders of blobs.
    fn top(&mut self) -> Result<(), VerifyError> {
        let entries = match self.jail.list_with_parts("") {
            Err(Errno::OVERFLOW) => {
                let path = "the backup's folder".to_owned();
                self.report.find(Finding::Stray { path });
                return Ok(());
            }
            listed => listed?,
        };
        for entry in entries {
            let prefix = entry.name.len() == 2 && is_prefix(&entry.name);
            match entry.kind {
                Kind::Folder if prefix => {}
                Kind::File if TOP.contains(&entry.name.as_str()) => {
                    self.report.bytes = self.report.bytes.saturating_add(entry.len);
                    if entry.name != "Info.plist" {
                        self.hashed(&entry.name, &entry.name.clone(), entry.len)?;
                    }
                }
                Kind::Folder | Kind::File | Kind::Other => self.stray(entry.name),
            }
        }
        Ok(())
    }

    /// A row of the manifest.
    fn row(&mut self, row: &Row) -> Result<(), VerifyError> {
        let prefix = row.id.get(..2).unwrap_or_default();
        let number = u16::from_str_radix(prefix, 16).unwrap_or(u16::MAX);
        if self
            .folder
            .as_ref()
            .is_none_or(|folder| folder.name != prefix)
        {
            if number < self.next {
                // Not in order: the table lies about its own collation.
                self.report.find(Finding::Manifest(ManifestFault::Rows));
                return Ok(());
            }
            self.skip_to(number)?;
            self.enter(number)?;
        }
        let found = self
            .folder
            .as_mut()
            .and_then(|folder| folder.unnamed.remove(&row.id));
        match (found, row.size) {
            (None, _) => self
                .report
                .find(Finding::BlobMissing { id: row.id.clone() }),
            (Some(_), None) => self.report.find(Finding::Manifest(ManifestFault::Rows)),
            (Some(found), Some(wanted)) => {
                self.report.files += 1;
                self.report.bytes = self.report.bytes.saturating_add(found);
                if found != wanted {
                    self.report.find(Finding::BlobSize {
                        id: row.id.clone(),
                        wanted,
                        found,
                    });
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), VerifyError> {
        self.skip_to(256)?;
        if self.report.encrypted && self.taken_over > 0 {
            self.report.note(format!(
                "{} encrypted files were received by another program, and nobody can tell without the password whether they are whole",
                self.taken_over
            ));
        }
        if let Some(ledger) = self.ledger {
            ledger.commit()?;
        }
        Ok(())
    }

    /// Leaves the folder it is in and looks at those up to `number`, which no row names.
    fn skip_to(&mut self, number: u16) -> Result<(), VerifyError> {
        self.leave();
        while self.next < number {
            self.enter(self.next)?;
            self.leave();
        }
        Ok(())
    }

    fn enter(&mut self, number: u16) -> Result<(), VerifyError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        self.next = number + 1;
        let name = format!("{number:02x}");
        let entries = match self.jail.list_with_parts(&name) {
            Ok(entries) => entries,
            Err(Errno::NOENT) => Vec::new(),
            // More than a backup can have: what is too much may be anything.
            Err(Errno::OVERFLOW) => {
                self.report.find(Finding::Stray { path: name.clone() });
                Vec::new()
            }
            Err(e) => return Err(e.into()),
        };
        let mut unnamed = BTreeMap::new();
        for entry in entries {
            let named = is_file_id(&entry.name) && entry.name.starts_with(&name);
            if entry.kind == Kind::File && named {
                unnamed.insert(entry.name, entry.len);
            } else {
                self.stray(format!("{name}/{}", entry.name));
            }
        }
        self.against_ledger(&name, &unnamed)?;
        self.folder = Some(Folder { name, unnamed });
        Ok(())
    }

    /// What no row named is a stray; without a manifest it is just a file.
    fn leave(&mut self) {
        let Some(folder) = self.folder.take() else {
            return;
        };
        for (id, len) in folder.unnamed {
            if self.has_manifest {
                self.stray(format!("{}/{id}", folder.name));
            } else {
                self.report.files += 1;
                self.report.bytes = self.report.bytes.saturating_add(len);
            }
        }
    }

    fn against_ledger(
        &mut self,
        folder: &str,
        found: &BTreeMap<String, u64>,
    ) -> Result<(), VerifyError> {
        let Some(ledger) = self.ledger.as_deref() else {
            return Ok(());
        };
        let hashed: BTreeMap<_, _> = ledger.in_folder(folder)?.into_iter().collect();
        for id in hashed.keys().filter(|id| !found.contains_key(*id)) {
            self.report.find(Finding::Changed { id: id.clone() });
        }
        for (id, len) in found {
            match hashed.get(id) {
                Some(seen) if seen.len == *len => {}
                Some(_) => self.report.find(Finding::Changed { id: id.clone() }),
                None => {
                    self.taken_over += 1;
                    self.hashed(&format!("{folder}/{id}"), id, *len)?;
                }
            }
        }
        Ok(())
    }

    /// Holds one file against the ledger; one that is not in it yet is read and added.
    fn hashed(&mut self, path: &str, id: &str, len: u64) -> Result<(), VerifyError> {
        let Some(ledger) = self.ledger.as_deref_mut() else {
            return Ok(());
        };
        match ledger.get(path)? {
            Some(seen) if seen.len == len => {}
            Some(_) => self.report.find(Finding::Changed { id: id.to_owned() }),
            None => {
                let Some(seen) = read_file(self.jail, path, self.stop)? else {
                    return Err(VerifyError::Stopped);
                };
                ledger.apply(&Change::Put {
                    path: path.to_owned(),
                    seen,
                })?;
            }
        }
        Ok(())
    }

    /// Hidden files are what desktops leave in every folder that they show.
    fn stray(&mut self, path: String) {
        let hidden = path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with('.'));
        if hidden && !path.rsplit('/').next().is_some_and(crate::jail::is_part) {
            self.report.note(format!("{path} is not of the backup"));
        } else {
            self.report.find(Finding::Stray { path });
        }
    }
}

fn is_prefix(name: &str) -> bool {
    name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
