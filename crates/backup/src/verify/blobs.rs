//! L2: the blobs against the manifest, and both kinds of trees against their ledger.
//!
//! Manifest, folders and ledger are all walked in the order of the file ids, so that one folder of 256 is in memory at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::archive::Archived;
use super::deep::Sample;
use super::folders::{self, Folders};
use super::keybag::{Key, Keys};
use super::manifest::{Manifest, Row, Scanned, is_file_id};
use super::report::Reread;
use super::{Finding, ManifestFault, VerifyError, VerifyReport, sealed};
use crate::jail::{Jail, Kind};
use crate::ledger::{Change, Ledger, Seen};
use crate::store::read_file;
use rustix::io::Errno;

/// What is in a finished tree beside the folders of blobs.
pub(super) const TOP: [&str; 4] = [
    "Info.plist",
    "Manifest.db",
    "Manifest.plist",
    "Status.plist",
];

/// What a tree is held against.
pub(super) struct Against<'a> {
    pub(super) manifest: Option<&'a Manifest>,
    /// Of an encrypted tree that was opened.
    pub(super) keys: Option<&'a Keys>,
    pub(super) hashes: Hashes<'a>,
    /// Which blobs are to be read afterwards; they are counted.
    pub(super) sample: Sample,
}

/// The ledger of a tree, and what is done about a file that is not in it.
pub(super) enum Hashes<'a> {
    None,
    /// Another program received it: it is read and added.
    Adopt(&'a mut Ledger),
    Look(&'a Ledger),
}

impl Hashes<'_> {
    fn get(&self) -> Option<&Ledger> {
        match self {
            Self::None => None,
            Self::Adopt(ledger) => Some(ledger),
            Self::Look(ledger) => Some(ledger),
        }
    }
}

/// Looks for each file. What it gives are the blobs that are in the sample.
pub(super) fn check(
    jail: &Jail,
    against: Against<'_>,
    each_folder: &mut dyn FnMut(&VerifyReport),
    stop: &AtomicBool,
    report: &mut VerifyReport,
) -> Result<Reread, VerifyError> {
    folders::ahead(jail, |folders| {
        look(jail, folders, against, each_folder, stop, report)
    })
}

fn look(
    jail: &Jail,
    folders: Folders<'_>,
    against: Against<'_>,
    each_folder: &mut dyn FnMut(&VerifyReport),
    stop: &AtomicBool,
    report: &mut VerifyReport,
) -> Result<Reread, VerifyError> {
    let mut walk = Walk {
        jail,
        folders,
        keys: against.keys,
        hashes: against.hashes,
        sample: against.sample,
        each_folder,
        stop,
        report,
        has_manifest: against.manifest.is_some(),
        next: 0,
        folder: None,
        taken_over: 0,
        other_sizes: 0,
        planned: Reread::default(),
    };
    walk.top()?;
    if let Some(manifest) = against.manifest {
        let mut decomposed = 0_u64;
        let whole = manifest.scan(|scanned| match scanned {
            Scanned::File(row) => {
                decomposed += u64::from(!row.is_composed());
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
                "paths in decomposed Unicode, which some restores do not take: {decomposed}"
            ));
        }
    }
    walk.finish()
}

struct Walk<'a> {
    jail: &'a Jail,
    folders: Folders<'a>,
    keys: Option<&'a Keys>,
    hashes: Hashes<'a>,
    sample: Sample,
    each_folder: &'a mut dyn FnMut(&VerifyReport),
    stop: &'a AtomicBool,
    report: &'a mut VerifyReport,
    has_manifest: bool,
    /// The next of the 256 folders that was not looked into.
    next: u16,
    folder: Option<Folder>,
    /// Blobs that nobody hashed when they arrived.
    taken_over: u64,
    /// Blobs that are as they arrived, and not as long as the manifest says.
    other_sizes: u64,
    planned: Reread,
}

/// A folder of blobs.
struct Folder {
    name: String,
    /// With their lengths: what no row has named yet.
    unnamed: BTreeMap<String, u64>,
    /// What arrived, of which nothing has been seen yet.
    hashed: BTreeMap<String, Seen>,
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
                    self.adopt_top(&entry.name, entry.len)?;
                }
                Kind::Folder | Kind::File | Kind::Other => self.stray(entry.name),
            }
        }
        Ok(())
    }

    /// A row of the manifest.
    fn row(&mut self, row: &Row<'_>) -> Result<(), VerifyError> {
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
        let Some(folder) = &mut self.folder else {
            return Ok(());
        };
        let (found, arrived) = (folder.unnamed.remove(row.id), folder.hashed.remove(row.id));
        let place = Some((row.domain, row.path));
        let id = || row.id.to_owned();
        match (found, row.file()) {
            (None, _) => self
                .report
                .find_at(Finding::BlobMissing { id: id() }, place),
            (Some(_), None) => self.report.find(Finding::Manifest(ManifestFault::Rows)),
            (Some(found), Some(file)) => {
                self.count(row.id, found);
                if let Some(wanted) = self.wrong_size(row.id, found, arrived, &file)? {
                    let finding = Finding::BlobSize {
                        id: id(),
                        wanted,
                        found,
                    };
                    self.report.find_at(finding, place);
                }
            }
        }
        Ok(())
    }

    /// The size that a blob should have, if it has another one. The manifest has the size of the file at another moment than
    /// the one at which it was sent: one that arrived longer has grown meanwhile, and a whole database may have any length. What
    /// is too short and no database may be cut, whatever the phone called it.
    fn wrong_size(
        &mut self,
        id: &str,
        found: u64,
        arrived: Option<Seen>,
        file: &Archived,
    ) -> Result<Option<u64>, VerifyError> {
        let wanted = sealed::sealed_len(file.size, self.report.encrypted && file.key.is_some());
        if let Some(seen) = arrived.filter(|seen| seen.len != found) {
            return Ok(Some(seen.len));
        }
        if found == wanted {
            return Ok(None);
        }
        let has_grown = arrived.is_some() && found > wanted;
        if !has_grown && !self.is_database(id, found, file)? {
            return Ok(Some(wanted));
        }
        self.other_sizes += 1;
        Ok(None)
    }

    /// Whether a blob begins like a database of this length.
    fn is_database(&self, id: &str, found: u64, file: &Archived) -> Result<bool, VerifyError> {
        let key: Option<Key> = match (&file.key, self.keys) {
            (Some(key), Some(keys)) => match keys.unwrap(key) {
                Ok(key) => Some(key),
                Err(_) => return Ok(false),
            },
            (Some(_), None) | (None, _) => None,
        };
        let path = format!("{}/{id}", id.get(..2).unwrap_or_default());
        let head = sealed::head::<32>(&self.jail.open_file(&path)?, key.as_ref())?;
        let len = head.as_ref().and_then(database_len);
        Ok(len.is_some_and(|len| sealed::sealed_len(len, key.is_some()) == found))
    }

    fn count(&mut self, id: &str, len: u64) {
        let (one, report) = (u64::from(self.sample.takes(id)), &mut *self.report);
        report.files += 1;
        report.bytes = report.bytes.saturating_add(len);
        self.planned.files += one;
        self.planned.bytes = self.planned.bytes.saturating_add(one * len);
    }

    fn finish(mut self) -> Result<Reread, VerifyError> {
        self.skip_to(folders::COUNT)?;
        if self.report.encrypted && self.taken_over > 0 {
            self.report.note(format!(
                "{} encrypted files were received by another program, and nobody can tell without the password whether they are whole",
                self.taken_over
            ));
        }
        if self.other_sizes > 0 {
            self.report.note(format!(
                "files that are longer or shorter than the phone's list says, as databases are that were in use: {}",
                self.other_sizes
            ));
        }
        if let Hashes::Adopt(ledger) = self.hashes {
            ledger.commit()?;
        }
        Ok(Reread {
            of_files: self.report.files,
            of_bytes: self.report.bytes,
            ..self.planned
        })
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
        let name = folders::name(number);
        let entries = match self.folders.list(number) {
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
        let hashed = match self.hashes.get() {
            Some(ledger) => ledger.in_folder(&name)?.into_iter().collect(),
            None => BTreeMap::new(),
        };
        let folder = Folder {
            name,
            unnamed,
            hashed,
        };
        self.adopt(&folder)?;
        self.folder = Some(folder);
        (self.each_folder)(self.report);
        Ok(())
    }

    /// What no row named is a stray; without a manifest it is just a file. What arrived and is not there is lost.
    fn leave(&mut self) {
        let Some(mut folder) = self.folder.take() else {
            return;
        };
        for (id, found) in folder.unnamed {
            let arrived = folder.hashed.remove(&id);
            if self.has_manifest {
                self.stray(format!("{}/{id}", folder.name));
                continue;
            }
            self.count(&id, found);
            if let Some(seen) = arrived.filter(|seen| seen.len != found) {
                let wanted = seen.len;
                self.report.find(Finding::BlobSize { id, wanted, found });
            }
        }
        for id in folder.hashed.into_keys() {
            self.report.find(Finding::BlobMissing { id });
        }
    }

    /// Adds the blobs that are in no ledger yet to one that takes them.
    fn adopt(&mut self, folder: &Folder) -> Result<(), VerifyError> {
        let Hashes::Adopt(ledger) = &mut self.hashes else {
            return Ok(());
        };
        for id in (folder.unnamed.keys()).filter(|id| !folder.hashed.contains_key(*id)) {
            self.taken_over += 1;
            add(
                self.jail,
                ledger,
                &format!("{}/{id}", folder.name),
                self.stop,
            )?;
        }
        Ok(())
    }

    /// As [`Walk::adopt`], of a file beside the folders. Info.plist is our own, and was written just now.
    fn adopt_top(&mut self, name: &str, len: u64) -> Result<(), VerifyError> {
        let Hashes::Adopt(ledger) = &mut self.hashes else {
            return Ok(());
        };
        let arrived = ledger.get(name)?.filter(|_| name != "Info.plist");
        match arrived {
            Some(seen) if seen.len == len => {}
            Some(_) => self.report.find(Finding::Changed {
                id: name.to_owned(),
            }),
            None => add(self.jail, ledger, name, self.stop)?,
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

/// Reads a file and adds its hash.
fn add(jail: &Jail, ledger: &mut Ledger, path: &str, stop: &AtomicBool) -> Result<(), VerifyError> {
    let Some(seen) = read_file(jail, path, stop)? else {
        return Err(VerifyError::Stopped);
    };
    ledger.apply(&Change::Put {
        path: path.to_owned(),
        seen,
    })?;
    Ok(())
}

/// The length that an SQLite file says that it has.
fn database_len(head: &[u8; 32]) -> Option<u64> {
    let [magic @ .., a, b, c, d] = head;
    let (size, _) = magic
        .strip_prefix(super::manifest::MAGIC)?
        .split_first_chunk::<2>()?;
    let size = match u16::from_be_bytes(*size) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u64::from(u32::from_be_bytes([*a, *b, *c, *d]));
    (pages > 0).then_some(size * pages)
}

fn is_prefix(name: &str) -> bool {
    name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
