//! A file on its way in: a temporary name beside its final one, until it is known to be whole, or the final one where nothing has
//! it and a torn file is known for what it is.
//!
//! Not here: when it is whole. The engine says so at the end marker with code 0 (protocol.md 8.4).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::io::Errno;

use crate::disk;

/// How temporary names begin. They are in the tree only while a file arrives, or after a crash.
const PREFIX: &str = ".backupwatch-";
const SUFFIX: &str = ".part";

/// Names that are tried; none of them is likely to be taken.
const TRIES: u32 = 8;

/// Whether a name is one of a file that never became whole.
#[must_use]
pub fn is_part(name: &str) -> bool {
    // However a file system takes capitals.
    let has = |part: Option<&str>, wanted| part.is_some_and(|it| it.eq_ignore_ascii_case(wanted));
    has(name.get(..PREFIX.len()), PREFIX)
        && has(name.get(name.len().saturating_sub(SUFFIX.len())..), SUFFIX)
}

/// A name that nobody else has or can foresee, in this process or another.
pub(super) fn temporary_name() -> Result<String, Errno> {
    static SALT: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let salt = match SALT.get() {
        Some(salt) => *salt,
        None => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
            *SALT.get_or_init(|| u64::from_ne_bytes(bytes))
        }
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{PREFIX}{salt:016x}-{number:x}{SUFFIX}"))
}

/// What is to be told of a part that was not kept and could not be removed either.
pub(super) type Litter = Arc<Mutex<Option<Errno>>>;

/// See the module. Dropped before [`Part::keep`], it leaves nothing behind, or says so to its jail.
#[derive(Debug)]
pub struct Part {
    folder: OwnedFd,
    /// The name that it has, if it is to be removed: a temporary one, or the one that it is to have.
    at: Option<String>,
    name: String,
    file: Option<File>,
    len: u64,
    litter: Litter,
}

impl Part {
    /// Under a temporary name.
    pub(super) fn create(folder: OwnedFd, name: &str, litter: Litter) -> Result<Self, Errno> {
        for _ in 0..TRIES {
            let temporary = temporary_name()?;
            match disk::create(&folder, temporary.as_str()) {
                Ok(file) => return Ok(Self::at(folder, temporary, name, file, litter)),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Errno::EXIST)
    }

    /// Under the name that it is to have, where nothing has that.
    pub(super) fn create_in_place(
        folder: OwnedFd,
        name: &str,
        litter: Litter,
    ) -> Result<Self, Errno> {
        match disk::create(&folder, name) {
            Ok(file) => Ok(Self::at(folder, name.to_owned(), name, file, litter)),
            Err(Errno::EXIST) => Self::create(folder, name, litter),
            Err(e) => Err(e),
        }
    }

    fn at(folder: OwnedFd, at: String, name: &str, file: File, litter: Litter) -> Self {
        Self {
            folder,
            at: Some(at),
            name: name.to_owned(),
            file: Some(file),
            len: 0,
            litter,
        }
    }

    /// Appends.
    ///
    /// # Errors
    /// As the file system says; the part is then good for nothing but to be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| io::Error::from(Errno::BADF))?;
        disk::write(file, bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// How much was written.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Gives the file its name, in the place of what has it now. With `sync` its bytes are on the medium before.
    ///
    /// # Errors
    /// `EISDIR` when a folder has the name; `EIO` when the file is not as long as what was written to it.
    pub fn keep(mut self, sync: bool) -> io::Result<()> {
        let file = self
            .file
            .take()
            .ok_or_else(|| io::Error::from(Errno::BADF))?;
        if disk::look_at(&file)?.st_size.try_into() != Ok(self.len) {
            self.file = Some(file);
            return Err(Errno::IO.into());
        }
        if sync {
            disk::sync(&file)?;
        }
        drop(file);
        let at = self.at.as_deref().unwrap_or(&self.name);
        if at != self.name {
            disk::rename_at(&self.folder, at, &self.folder, self.name.as_str())?;
        }
        self.at = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some(at) = &self.at else {
            return;
        };
        match disk::remove_file(&self.folder, at.as_str()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => *self.litter.lock().unwrap_or_else(PoisonError::into_inner) = Some(e),
        }
    }
}
