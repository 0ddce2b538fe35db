//! The loaded C library.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::sys::{Candidate, Loaded, NotLoaded};

/// What people install to have it.
const INSTALL: &str = if cfg!(target_os = "macos") {
    "brew install libimobiledevice"
} else {
    "apt install libimobiledevice-1.0-6 (libimobiledevice6 before Debian 13), or dnf install libimobiledevice"
};

/// The names that distributions give the library. The number is that of its interface: 6 since 1.2.1, also in 1.4.
const NAMES: &[&str] = if cfg!(target_os = "macos") {
    &[]
} else {
    &["libimobiledevice-1.0.so.6"]
};

/// Where package managers put it that the system does not look into: Homebrew's on Apple silicon and on Intel, and MacPorts'.
const FILES: &[&str] = if cfg!(target_os = "macos") {
    &[
        "/opt/homebrew/lib/libimobiledevice-1.0.6.dylib",
        "/opt/homebrew/lib/libimobiledevice-1.0.dylib",
        "/usr/local/lib/libimobiledevice-1.0.6.dylib",
        "/usr/local/lib/libimobiledevice-1.0.dylib",
        "/opt/local/lib/libimobiledevice-1.0.6.dylib",
    ]
} else {
    &["/usr/local/lib/libimobiledevice-1.0.so.6"]
};

/// Why there is no library to work with. Each is a sentence with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is not installed.
    #[error("libimobiledevice is not installed; install it with: {INSTALL}")]
    Missing,
    /// It is there, and cannot be loaded: it is no library, is of another processor, or needs something that is not there.
    #[error("libimobiledevice at {} cannot be loaded ({why}); install it anew with: {INSTALL}", file.display())]
    Broken {
        /// Which file, or the name that the system looked up.
        file: PathBuf,
        /// What the dynamic linker says.
        why: String,
    },
    /// It lacks a function that 1.3.0 has.
    #[error(
        "libimobiledevice at {} is too old: it has no {symbol}, and version 1.3 or newer is needed; update it with: {INSTALL}",
        file.display()
    )]
    TooOld {
        /// Which file.
        file: PathBuf,
        /// The function that is not there.
        symbol: &'static str,
    },
}

/// The C library, loaded for the rest of the process's life: it keeps threads and exit handlers, so it is never unloaded.
///
/// May be shared by all threads.
#[derive(Debug)]
pub struct Library {
    loaded: Loaded,
    name: PathBuf,
}

impl Library {
    /// Finds the library where distributions and Homebrew put it, and loads it. The second call gives what the first one
    /// found; what was not found is looked for again.
    ///
    /// Looked up are the bare name in the system's own folders, and absolute paths; never the current folder.
    ///
    /// # Errors
    /// When there is none that works. The first that is there decides: a broken one is not passed over for another.
    pub fn load() -> Result<&'static Self, LoadError> {
        static LIBRARY: OnceLock<&'static Library> = OnceLock::new();
        static LOADING: Mutex<()> = Mutex::new(());
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = LIBRARY.get() {
            return Ok(library);
        }
        let names = NAMES.iter().map(|name| Candidate::Name(name));
        let files = FILES.iter().map(|file| Candidate::File(Path::new(file)));
        for candidate in names.chain(files) {
            match Self::open(candidate) {
                Err(LoadError::Missing) => {}
                Err(error) => return Err(error),
                Ok(library) => return Ok(LIBRARY.get_or_init(|| library)),
            }
        }
        Err(LoadError::Missing)
    }

    /// Loads the library from this file, whose code the caller trusts as much as the program's own.
    ///
    /// # Errors
    /// As [`Library::load`].
    pub fn load_from(file: &Path) -> Result<&'static Self, LoadError> {
        // A path without a folder would be looked up like a name.
        let file = std::path::absolute(file).map_err(|_| LoadError::Missing)?;
        Self::open(Candidate::File(&file))
    }

    fn open(candidate: Candidate<'_>) -> Result<&'static Self, LoadError> {
        let name = match candidate {
            Candidate::Name(name) => PathBuf::from(name),
            Candidate::File(file) => file.to_owned(),
        };
        match Loaded::open(candidate) {
            Ok(loaded) => Ok(Box::leak(Box::new(Self { loaded, name }))),
            Err(NotLoaded::Absent) => Err(LoadError::Missing),
            Err(NotLoaded::Broken { why }) => Err(LoadError::Broken { file: name, why }),
            Err(NotLoaded::Lacks { symbol, file }) => Err(LoadError::TooOld {
                file: file.unwrap_or(name),
                symbol,
            }),
        }
    }

    /// Ends the process with this code and without the exit handlers of the C libraries, which take away what threads that are
    /// still within them use. Whoever has used the library and may have left such threads behind ends like this; what is to be
    /// written must have been written.
    pub fn exit_process(code: i32) -> ! {
        crate::sys::exit_at_once(code)
    }

    /// What the library calls its version. 1.3 cannot say, and is known by what it lacks.
    #[must_use]
    pub fn version(&self) -> &str {
        self.loaded.version.as_deref().unwrap_or("1.3")
    }

    /// The file that was loaded.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.loaded.file.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn table(&self) -> &crate::sys::Table {
        &self.loaded.table
    }

    /// How decrypted bytes are got without waiting for more.
    pub(crate) fn reading(&self) -> Reading {
        match (
            self.loaded.openssl,
            self.loaded.table.idevice_events_subscribe,
        ) {
            (true, None) => Reading::NonBlocking,
            (true, Some(_)) => Reading::Briefly,
            (false, Some(_) | None) => Reading::RecordByRecord,
        }
    }
}

/// How a TLS connection of the C library is read so that no call waits for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// OpenSSL reads the socket itself (1.3): of a socket that does not block, a call gives what is there.
    NonBlocking,
    /// OpenSSL reads through the library, which waits with `select` whatever the socket is (newer ones): a call with a time limit
    /// of a millisecond gives what is there. The library takes a limit within a record for the end, so it is only ever
    /// given whole records.
    Briefly,
    /// GnuTLS and mbedTLS do not survive a time limit: one call for each record, which is there whole.
    RecordByRecord,
}
