//! L4: the files are read again and held against the hashes that were taken as they arrived; what is encrypted is decrypted
//! on the way, where the password was given.
//!
//! Files that are missing or have another length were found before (`blobs`), and are not found again here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::blobs::TOP;
use super::deep::{Progress, Sample};
use super::keybag::Keys;
use super::manifest::{Manifest, Scanned, is_file_id};
use super::reader::{Counters, Fault, Job, Read, Reader, is_the_files};
use super::report::Reread;
use super::{Finding, VerifyError, VerifyReport};
use crate::jail::{Jail, Kind};
use crate::ledger::Ledger;

/// Files that are shared out among the threads at a time.
const BATCH: usize = 512;

/// What is read, and against what.
pub(super) struct Contents<'a> {
    pub(super) jail: &'a Jail,
    pub(super) ledger: Option<&'a Ledger>,
    pub(super) keys: Option<&'a Keys>,
    pub(super) sample: Sample,
    pub(super) progress: &'a (dyn Fn(Progress) + Sync),
    pub(super) stop: &'a AtomicBool,
}

impl Contents<'_> {
    /// The files beside the blobs. They are held against their hashes before anything is believed that is in them.
    pub(super) fn top(&self, report: &mut VerifyReport) -> Result<(), VerifyError> {
        for name in TOP {
            let arrived = match self.ledger {
                Some(ledger) => ledger.get(name)?,
                None => None,
            };
            let Some(arrived) = arrived else { continue };
            let seen = match crate::store::read_file(self.jail, name, self.stop) {
                Ok(Some(seen)) => seen,
                Ok(None) => return Err(VerifyError::Stopped),
                Err(e) if is_the_files(crate::jail::errno(&e)) => continue,
                Err(e) => return Err(e.into()),
            };
            report.read.bytes = report.read.bytes.saturating_add(seen.len);
            if seen != arrived {
                report.find(Finding::Changed {
                    id: name.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The blobs of the sample, of which there are about as many as `planned`. Gives how many of those that were read have no
    /// hash.
    pub(super) fn blobs(
        &self,
        manifest: Option<&Manifest>,
        planned: Reread,
        report: &mut VerifyReport,
    ) -> Result<u64, VerifyError> {
        let mut reading = Reading {
            what: self,
            reader: Reader {
                jail: self.jail,
                keys: self.keys,
                progress: self.progress,
                stop: self.stop,
                planned,
                counters: Counters::default(),
            },
            jobs: Vec::with_capacity(BATCH),
            report,
            not_hashed: 0,
        };
        match manifest {
            Some(manifest) => reading.rows(manifest)?,
            None => reading.folders()?,
        }
        reading.flush()?;
        let (done, report) = (reading.reader.counters, reading.report);
        report.read.files = done.files.into_inner();
        report.read.bytes = (report.read.bytes).saturating_add(done.bytes.into_inner());
        report.read.of_files = planned.of_files;
        report.read.of_bytes = planned.of_bytes;
        Ok(reading.not_hashed)
    }
}

struct Reading<'a, 'b> {
    what: &'a Contents<'b>,
    reader: Reader<'b>,
    jobs: Vec<Job>,
    report: &'a mut VerifyReport,
    not_hashed: u64,
}

impl Reading<'_, '_> {
    fn rows(&mut self, manifest: &Manifest) -> Result<(), VerifyError> {
        // What is wrong with the manifest was found when it was read before.
        manifest.scan(|scanned| {
            let Scanned::File(row) = scanned else {
                return Ok(());
            };
            if !self.what.sample.takes(row.id) {
                return Ok(());
            }
            let Some(file) = row.file() else {
                return Ok(());
            };
            let path = format!("{}/{}", row.id.get(..2).unwrap_or_default(), row.id);
            let arrived = match self.what.ledger {
                Some(ledger) => ledger.get(&path)?,
                None => None,
            };
            let key = file.key.filter(|_| self.what.keys.is_some());
            self.push(Job {
                path,
                id: row.id.to_owned(),
                place: Some((row.domain.to_owned(), row.path.to_owned())),
                arrived,
                cipher: key.map(|key| (key, file.size)),
            })
        })?;
        if self.what.stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Stopped);
        }
        Ok(())
    }

    /// Without a manifest, what the disk has.
    fn folders(&mut self) -> Result<(), VerifyError> {
        for number in 0..=u8::MAX {
            let folder = format!("{number:02x}");
            let entries = match self.what.jail.list(&folder) {
                Ok(entries) => entries,
                Err(Errno::NOENT | Errno::OVERFLOW | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(e) => return Err(e.into()),
            };
            let hashed: BTreeMap<_, _> = match self.what.ledger {
                Some(ledger) => ledger.in_folder(&folder)?.into_iter().collect(),
                None => BTreeMap::new(),
            };
            for entry in entries {
                let is_blob = entry.kind == Kind::File && is_file_id(&entry.name);
                if is_blob && self.what.sample.takes(&entry.name) {
                    self.push(Job {
                        path: format!("{folder}/{}", entry.name),
                        arrived: hashed.get(&entry.name).copied(),
                        id: entry.name,
                        place: None,
                        cipher: None,
                    })?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, job: Job) -> Result<(), VerifyError> {
        self.jobs.push(job);
        if self.jobs.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    /// Reads what has come together. Findings are in the order of the jobs, whichever thread is the fastest.
    fn flush(&mut self) -> Result<(), VerifyError> {
        let jobs = std::mem::take(&mut self.jobs);
        for (number, read) in self.reader.read_all(&jobs)? {
            let (Some(job), Read::All(fault)) = (jobs.get(number), read) else {
                continue;
            };
            self.not_hashed += u64::from(job.arrived.is_none());
            let id = job.id.clone();
            let finding = match fault {
                None => continue,
                Some(Fault::Changed) => Finding::Changed { id },
                Some(Fault::Cipher(why)) => Finding::Undecryptable { id, why },
                Some(Fault::Unreadable(e)) => Finding::BlobUnreadable {
                    id,
                    why: e.to_string(),
                },
            };
            let place = job.place.as_ref();
            self.report
                .find_at(finding, place.map(|(domain, path)| (&**domain, &**path)));
        }
        self.jobs = jobs;
        self.jobs.clear();
        Ok(())
    }
}

impl Sample {
    /// Whether the blob of this name is in it.
    pub(super) fn takes(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Part { fraction, seed } => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&seed.to_le_bytes()).update(id.as_bytes());
                let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
                f64::from(u32::from_le_bytes([a, b, c, d])) < fraction * f64::from(u32::MAX)
                    || *fraction >= 1.0
            }
            // A name is a hash already.
            Self::Slice { index, of } => {
                let number = id.get(..8).and_then(|id| u32::from_str_radix(id, 16).ok());
                number.unwrap_or_default() % (*of).max(1) == *index
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        (0..1000_u32)
            .map(|n| blake3::hash(&n.to_le_bytes()).to_hex()[..40].to_owned())
            .collect()
    }

    #[test]
    fn each_blob_is_in_one_slice() {
        for of in [1, 2, 30, 365] {
            for id in ids() {
                let slices = (0..of).filter(|index| Sample::Slice { index: *index, of }.takes(&id));
                assert_eq!(slices.count(), 1, "{id} of {of}");
            }
        }
    }

    #[test]
    fn a_part_is_a_part_and_the_same_one_for_a_seed() {
        let taken = |fraction, seed| {
            let sample = Sample::Part { fraction, seed };
            let mut ids = ids();
            ids.retain(|id| sample.takes(id));
            ids
        };
        assert_eq!(taken(0.0, 1).len(), 0);
        assert_eq!(taken(1.0, 1).len(), 1000);
        assert_eq!(taken(f64::NAN, 1).len(), 0);
        assert!((150..250).contains(&taken(0.2, 1).len()));
        assert_eq!(taken(0.2, 1), taken(0.2, 1));
        assert_ne!(taken(0.2, 1), taken(0.2, 2));
    }
}
