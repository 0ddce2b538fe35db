//! Which way phones are reached: by usbmuxd's address, and then with `idevice` or with libimobiledevice (`docs/adr/0014`).
//!
//! Whatever is asked of usbmuxd alone (who is there, the pair records, the question for trust) is the same on both ways and
//! needs only the address. Not here: what is said on either way (`lockdown`, `service`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use backupwatch_core::Udid;

use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::library::{Libimobiledevice, LibraryError};

/// More phones than this are not remembered as having fallen back; each of them is then tried anew.
const MOST_FALLEN: usize = 4096;

/// What speaks to a phone, as a person chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Our own codec over `idevice`'s TLS.
    #[default]
    Idevice,
    /// The system's library, loaded when it is needed.
    Libimobiledevice,
    /// `idevice`, and libimobiledevice for the phones that `idevice` does not understand.
    Auto,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Idevice, Self::Libimobiledevice, Self::Auto];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idevice => "idevice",
            Self::Libimobiledevice => "libimobiledevice",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are idevice, libimobiledevice and auto")]
pub struct UnknownBackend;

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or(UnknownBackend)
    }
}

/// The way to phones. Its clones know the same.
#[derive(Clone, Debug)]
pub struct Transport {
    address: MuxAddress,
    backend: Backend,
    library: Libimobiledevice,
    fallen: Arc<Mutex<BTreeSet<Udid>>>,
}

/// Who speaks to one phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Idevice,
    Libimobiledevice,
}

impl Transport {
    /// `variable` is the text of `USBMUXD_SOCKET_ADDRESS` in this process: libimobiledevice takes usbmuxd's address from there and
    /// from nowhere else. Where it would find another usbmuxd than `address`, it is not used.
    #[must_use]
    pub fn new(address: MuxAddress, backend: Backend, variable: Option<&str>) -> Self {
        Self {
            library: Libimobiledevice::of(&address, variable),
            address,
            backend,
            fallen: Arc::default(),
        }
    }

    #[must_use]
    pub fn address(&self) -> &MuxAddress {
        &self.address
    }

    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether phones can be spoken to as was chosen. Blocks, while the library is loaded.
    ///
    /// # Errors
    /// When libimobiledevice was chosen and cannot be used. Nothing else is used in its place.
    pub fn ready(&self) -> Result<(), LibraryError> {
        match self.backend {
            Backend::Idevice | Backend::Auto => Ok(()),
            Backend::Libimobiledevice => self.library.get().map(|_| ()),
        }
    }

    /// The library's name, version and file. Blocks, while it is loaded.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn library_found(&self) -> Result<String, LibraryError> {
        let library = match self.backend {
            // Wherever usbmuxd is: it is only named.
            Backend::Idevice => Libimobiledevice::load()?,
            Backend::Libimobiledevice | Backend::Auto => self.library.get()?,
        };
        let file = library.file().display();
        Ok(format!("libimobiledevice {} ({file})", library.version()))
    }

    /// How many phones `idevice` did not understand.
    #[must_use]
    pub fn fallen_back(&self) -> usize {
        self.fallen().len()
    }

    pub(crate) fn library(&self) -> &Libimobiledevice {
        &self.library
    }

    pub(crate) fn speaker(&self, udid: &Udid) -> Speaker {
        match self.backend {
            Backend::Idevice => Speaker::Idevice,
            Backend::Libimobiledevice => Speaker::Libimobiledevice,
            Backend::Auto if self.fallen().contains(udid) => Speaker::Libimobiledevice,
            Backend::Auto => Speaker::Idevice,
        }
    }

    /// Remembers that `idevice` does not understand this phone, where that is so and there is another way. Whoever began a piece of
    /// work with a phone asks for the [`Speaker`] again when it is over, and begins once more where it is another.
    pub(crate) async fn note(&self, udid: &Udid, error: &DeviceError) {
        if self.backend != Backend::Auto
            || !error.is_beyond_us()
            || self.speaker(udid) == Speaker::Libimobiledevice
        {
            return;
        }
        let library = self.library.clone();
        let loaded = tokio::task::spawn_blocking(move || library.get().map(|_| ())).await;
        let reason = error as &dyn std::error::Error;
        match loaded {
            Ok(Ok(())) => {
                let mut fallen = self.fallen();
                if fallen.len() < MOST_FALLEN && fallen.insert(udid.clone()) {
                    tracing::info!(
                        udid = udid.short(),
                        reason,
                        "the phone is spoken to with libimobiledevice from now on"
                    );
                }
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(udid = udid.short(), reason, error, "there is no other way");
            }
            Err(broken) => tracing::debug!(%broken, "loading libimobiledevice broke off"),
        }
    }

    fn fallen(&self) -> std::sync::MutexGuard<'_, BTreeSet<Udid>> {
        self.fallen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With `idevice`.
impl From<MuxAddress> for Transport {
    fn from(address: MuxAddress) -> Self {
        Self::new(address, Backend::Idevice, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_known_by_its_name() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        for other in ["", "Auto", "idevice ", "usbmuxd"] {
            assert_eq!(other.parse::<Backend>(), Err(UnknownBackend), "{other:?}");
        }
    }
}
