//! Reading files again on a few threads: each is hashed, and decrypted on the way where its key is there.
//!
//! Each thread has one buffer. Not here: which files, and what is said of them (`contents`).

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use rustix::io::Errno;

use super::deep::{Progress, Stage};
use super::keybag::Keys;
use super::report::Reread;
use super::sealed::{self, Opener, STRETCH};
use super::{CipherFault, VerifyError};
use crate::disk;
use crate::jail::Jail;
use crate::ledger::Seen;

/// Most threads. Disks gain nothing from more.
const MAX_THREADS: usize = 4;

/// What the threads share.
pub(super) struct Reader<'a> {
    pub(super) jail: &'a Jail,
    pub(super) keys: Option<&'a Keys>,
    pub(super) progress: &'a (dyn Fn(Progress) + Sync),
    pub(super) stop: &'a AtomicBool,
    /// How much there is to read.
    pub(super) planned: Reread,
    pub(super) counters: Counters,
}

/// A file that is to be read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: String,
    pub(super) id: String,
    /// Domain and path on the phone.
    pub(super) place: Option<(String, String)>,
    pub(super) arrived: Option<Seen>,
    /// The wrapped key, and the length below the encryption.
    pub(super) cipher: Option<(Vec<u8>, u64)>,
}

/// What was read of it.
#[derive(Debug)]
pub(super) enum Read {
    /// And this is wrong with it.
    All(Option<Fault>),
    /// It is missing or cut, as was found before.
    Gone,
}

#[derive(Debug)]
pub(super) enum Fault {
    Changed,
    Cipher(CipherFault),
    Unreadable(Errno),
}

/// What all threads have read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Reader<'_> {
    /// What came of each job. The order says nothing.
    pub(super) fn read_all(&self, jobs: &[Job]) -> Result<BTreeMap<usize, Read>, VerifyError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Read)>, VerifyError> {
            let mut buffer = vec![0; STRETCH];
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(number) else {
                    return Ok(done);
                };
                done.push((number, self.read(job, &mut buffer)?));
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = threads.min(MAX_THREADS).min(jobs.len());
        let mut all = BTreeMap::new();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                let broke = |_| VerifyError::Io(std::io::Error::other("a thread broke"));
                all.extend(thread.join().map_err(broke)??);
            }
            Ok(all)
        })
    }

    fn read(&self, job: &Job, buffer: &mut [u8]) -> Result<Read, VerifyError> {
        let file = match self.jail.open_file(&job.path) {
            Ok(file) => file,
            Err(e) if is_the_files(e) => return Ok(Read::Gone),
            Err(e) => return Err(e.into()),
        };
        let len = disk::len(&file)?;
        if job.arrived.is_some_and(|seen| seen.len != len) {
            return Ok(Read::Gone);
        }
        let fault = match self.read_file(job, file, len, buffer) {
            Ok(fault) => fault,
            Err(VerifyError::Io(e)) if is_the_files(crate::jail::errno(&e)) => {
                Some(Fault::Unreadable(crate::jail::errno(&e)))
            }
            Err(e) => return Err(e),
        };
        self.counters.files.fetch_add(1, Ordering::Relaxed);
        self.tell();
        Ok(Read::All(fault))
    }

    fn read_file(
        &self,
        job: &Job,
        file: File,
        len: u64,
        buffer: &mut [u8],
    ) -> Result<Option<Fault>, VerifyError> {
        let mut opener = match (&job.cipher, self.keys) {
            (Some((key, _)), Some(keys)) => Some(keys.unwrap(key).map(|key| Opener::new(&key))),
            (Some(_), None) | (None, _) => None,
        };
        let mut hasher = blake3::Hasher::new();
        let mut padding = None;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(VerifyError::Stopped);
            }
            let count = sealed::read_full(&mut disk::Reading(&file), buffer)?;
            let Some(piece) = buffer.get_mut(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            hasher.update(piece);
            if let Some(Ok(opener)) = &mut opener {
                opener.update(piece);
                padding = sealed::padding(piece);
            }
            (self.counters.bytes).fetch_add(count as u64, Ordering::Relaxed);
            self.tell();
        }
        let changed = (job.arrived).is_some_and(|seen| seen.hash != hasher.finalize());
        Ok(match (changed, opener, &job.cipher) {
            (true, _, _) => Some(Fault::Changed),
            (false, Some(Err(_)), _) => Some(Fault::Cipher(CipherFault::Key)),
            (false, Some(Ok(_)), Some((_, size))) if !ends_well(len, *size, padding) => {
                Some(Fault::Cipher(CipherFault::Padding))
            }
            (false, Some(Ok(_)) | None, _) => None,
        })
    }

    fn tell(&self) {
        (self.progress)(Progress {
            stage: Stage::Contents,
            files: self.counters.files.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            of_files: Some(self.planned.files),
            of_bytes: Some(self.planned.bytes),
        });
    }
}

/// Whether the end of something decrypted is as its size wants it. Where the size is of another moment, any good end will do.
fn ends_well(len: u64, size: u64, padding: Option<u64>) -> bool {
    let Some(padding) = padding.filter(|_| len.is_multiple_of(sealed::BLOCK)) else {
        return false;
    };
    sealed::sealed_len(size, true) != len || size.checked_add(padding) == Some(len)
}

/// Whether an error is about this one file: names that nobody can use, and bad blocks.
pub(super) fn is_the_files(e: Errno) -> bool {
    matches!(
        e,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::INVAL
            | Errno::ILSEQ
            | Errno::IO
    )
}
