//! Finding the library, and keeping it for ever.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::events::text;
use super::table::Table;

/// A library to try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidate<'a> {
    /// A name without a folder, which the system looks up in its own.
    Name(&'a str),
    /// A file.
    File(&'a Path),
}

/// Why a candidate did not serve.
#[derive(Debug)]
pub(crate) enum NotLoaded {
    /// It is not there.
    Absent,
    /// It is there and cannot be loaded.
    Broken { why: String },
    /// It lacks a function.
    Lacks {
        symbol: &'static str,
        file: Option<PathBuf>,
    },
}

/// A loaded library: its functions, and what is known of it. It is never unloaded, for it has threads and exit handlers.
pub(crate) struct Loaded {
    pub(crate) table: Table,
    pub(crate) file: Option<PathBuf>,
    pub(crate) version: Option<String>,
    /// Whether TLS is OpenSSL's, the only one of the three that can be asked to read without waiting.
    pub(crate) openssl: bool,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("file", &self.file)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    pub(crate) fn open(candidate: Candidate<'_>) -> Result<Self, NotLoaded> {
        let name = match candidate {
            Candidate::Name(name) => OsStr::new(name),
            Candidate::File(file) if !file.is_file() => return Err(NotLoaded::Absent),
            Candidate::File(file) => file.as_os_str(),
        };
        // SAFETY: loading runs the initialisers of the library and of what it needs. They come from the system's own library
        // folders or from a file that the caller trusts, and those of libimobiledevice set up its TLS and nothing else.
        let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| not_loaded(candidate, &error))?;
        // SAFETY: a library of this name is libimobiledevice, and it is leaked right below, also where a function lacks: what
        // has been initialised stays.
        let table = unsafe { Table::look_up(&library) };
        // SAFETY: only the address is taken.
        let openssl = unsafe { library.get::<*const c_void>("SSL_read\0") }.is_ok();
        // SAFETY: only the address is taken.
        let any = unsafe { library.get::<*const c_void>("idevice_free\0") };
        let file = any.ok().and_then(|symbol| file_of(symbol.as_raw_ptr()));
        // The handle is given up, not closed.
        let _ = library.into_raw();
        let table = table.map_err(|symbol| NotLoaded::Lacks {
            symbol,
            file: file.clone(),
        })?;
        let version = table.libimobiledevice_version.and_then(|version| {
            // SAFETY: the function takes nothing and returns a constant of the library, which is never unloaded.
            unsafe { text(version()) }
        });
        Ok(Self {
            table,
            file,
            version,
            openssl,
        })
    }
}

fn not_loaded(candidate: Candidate<'_>, error: &libloading::Error) -> NotLoaded {
    let why = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    match candidate {
        // glibc and musl name the file first; where that is another one, a library is missing that this one needs.
        Candidate::Name(name) if absent(name, &why) => NotLoaded::Absent,
        Candidate::Name(_) | Candidate::File(_) => NotLoaded::Broken { why },
    }
}

/// Whether the dynamic linker says that it found no file of this very name.
fn absent(name: &str, why: &str) -> bool {
    why.starts_with(&format!(
        "{name}: cannot open shared object file: No such file"
    )) || why.starts_with(&format!(
        "Error loading shared library {name}: No such file"
    )) || (why.contains(&format!("dlopen({name}")) && why.contains("no such file"))
}

/// `Dl_info`
#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// The file that holds an address.
fn file_of(address: *const c_void) -> Option<PathBuf> {
    let mut info = DlInfo {
        file: std::ptr::null(),
        base: std::ptr::null_mut(),
        symbol: std::ptr::null(),
        address: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked for, and `info` has the layout of the platform's `Dl_info`.
    let found = unsafe { dladdr(address, &raw mut info) };
    if found == 0 || info.file.is_null() {
        return None;
    }
    // SAFETY: the name is the dynamic linker's own, which lives as long as the library: for ever.
    let file = unsafe { CStr::from_ptr(info.file) };
    Some(PathBuf::from(OsStr::from_bytes(file.to_bytes())))
}
