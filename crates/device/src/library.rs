//! libimobiledevice, as the rest of this crate may use it: loaded when it is first needed, and called on threads of its own.
//!
//! Its calls block, some of them for half a minute, and nothing can interrupt them. So each piece of work with a phone has a
//! thread ([`Lane`]) that is waited for only as long as an answer may take; one that is stuck is left behind and ends with its
//! call. There are only so many of them, for a phone and in all: version 1.3 waits with `select`, and ends the whole program when
//! its file is beyond the first thousand. Not here: what is said (`lockdown`, `service`).

mod error;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use backupwatch_core::{LinkKind, Udid};
use backupwatch_imobiledevice::{Library, LoadError, Lookup};
use tokio::sync::{Semaphore, oneshot};

pub(crate) use self::error::{as_ours, unknown_word};
use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::listen::Attached;

/// A backup, a visit, the notifications and the log may be begun at the same time; the rest is for stuck ones.
const MOST_LANES_OF_ONE: usize = 8;
/// Threads of all phones together. None of them is needed for longer than a conversation with lockdownd.
const MOST_LANES: usize = 32;

/// Whether it is in this process.
static LOADED: AtomicBool = AtomicBool::new(false);

/// Ends the process with this code, if libimobiledevice is in it: its threads may still be at work, and its TLS library would
/// take away at the end of the program what they use. Everything must have been written.
pub fn leave(code: u8) {
    if LOADED.load(Ordering::Relaxed) {
        Library::exit_process(code.into());
    }
}

/// Why libimobiledevice is not used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(transparent)]
    Load(Arc<LoadError>),
    #[error("libimobiledevice would not find the usbmuxd at {address}")]
    Elsewhere { address: String },
}

/// The library, once somebody has needed it. Its clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Libimobiledevice(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: MuxAddress,
    finds_it: bool,
    loaded: OnceLock<Result<&'static Library, LibraryError>>,
    lanes: Arc<Mutex<BTreeMap<Udid, usize>>>,
    room: Arc<Semaphore>,
}

impl Libimobiledevice {
    pub(crate) fn of(address: &MuxAddress, variable: Option<&str>) -> Self {
        Self(Arc::new(Shared {
            address: address.clone(),
            finds_it: address.is_what_libusbmuxd_reads(variable),
            loaded: OnceLock::new(),
            lanes: Arc::default(),
            room: Arc::new(Semaphore::new(MOST_LANES)),
        }))
    }

    /// Loads it, wherever it would look for usbmuxd. Blocks.
    pub(crate) fn load() -> Result<&'static Library, LibraryError> {
        let library = Library::load().map_err(|error| LibraryError::Load(Arc::new(error)))?;
        LOADED.store(true, Ordering::Relaxed);
        Ok(library)
    }

    /// Loads it for use. Blocks.
    pub(crate) fn get(&self) -> Result<&'static Library, LibraryError> {
        let load = || {
            if self.0.finds_it {
                Self::load()
            } else {
                Err(LibraryError::Elsewhere {
                    address: self.0.address.to_string(),
                })
            }
        };
        self.0.loaded.get_or_init(load).clone()
    }

    /// A thread for a piece of work with this phone, for which so long is waited while others have them all.
    pub(crate) async fn lane<S: Send + 'static>(
        &self,
        udid: &Udid,
        within: Duration,
    ) -> Result<Lane<S>, DeviceError> {
        let place = Place::take(&self.0.lanes, udid).ok_or(DeviceError::Stuck)?;
        let room = tokio::time::timeout(within, Arc::clone(&self.0.room).acquire_owned());
        let Ok(Ok(room)) = room.await else {
            return Err(DeviceError::Stuck);
        };
        let library = self.clone();
        let (jobs, to_do) = mpsc::channel::<Job<S>>();
        let work = move || {
            let _until_the_end = (place, room);
            let library = match library.get() {
                Ok(library) => library,
                Err(error) => {
                    // Whoever asks is told why.
                    while let Ok(job) = to_do.recv() {
                        job(Err(&error));
                    }
                    return;
                }
            };
            let mut held = Held {
                library,
                state: None,
            };
            while let Ok(job) = to_do.recv() {
                job(Ok(&mut held));
            }
        };
        std::thread::Builder::new()
            .name("libimobiledevice".to_owned())
            .spawn(work)
            .map_err(|source| DeviceError::Link {
                doing: "starting a thread",
                source,
            })?;
        Ok(Lane { jobs })
    }
}

/// Which of a phone's links the library looks for.
pub(crate) fn lookup(attached: &Attached) -> Lookup {
    match attached.link {
        LinkKind::Usb => Lookup::Usb,
        LinkKind::Network => Lookup::Network,
    }
}

type Job<S> = Box<dyn FnOnce(Result<&mut Held<S>, &LibraryError>) + Send>;

/// What a lane's thread has in its hands.
pub(crate) struct Held<S> {
    pub(crate) library: &'static Library,
    pub(crate) state: Option<S>,
}

/// A thread for blocking calls. It ends, and gives up what it holds, when this is dropped and its last call has returned.
pub(crate) struct Lane<S> {
    jobs: mpsc::Sender<Job<S>>,
}

impl<S: Send + 'static> Lane<S> {
    /// Runs `work` on the lane's thread, and waits so long for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        within: Duration,
        work: impl FnOnce(&mut Held<S>) -> Result<T, DeviceError> + Send + 'static,
    ) -> Result<T, DeviceError> {
        let (answer, told) = oneshot::channel();
        let job = Box::new(move |held: Result<&mut Held<S>, &LibraryError>| {
            let done = match held {
                Ok(held) => work(held),
                Err(error) => Err(DeviceError::Library(error.clone())),
            };
            // Nobody waits any more: what was done is dropped here.
            let _ = answer.send(done);
        });
        let broke_off = || DeviceError::Link {
            doing,
            source: io::Error::other("the thread that asked broke off"),
        };
        self.jobs.send(job).map_err(|_| broke_off())?;
        match tokio::time::timeout(within, told).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(broke_off()),
            Err(_) => Err(DeviceError::Silent {
                doing,
                after: within,
            }),
        }
    }
}

/// One of the threads that a phone may have.
struct Place {
    lanes: Arc<Mutex<BTreeMap<Udid, usize>>>,
    udid: Udid,
}

impl Place {
    fn take(lanes: &Arc<Mutex<BTreeMap<Udid, usize>>>, udid: &Udid) -> Option<Self> {
        let mut taken = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(udid).copied().unwrap_or_default();
        if own >= MOST_LANES_OF_ONE {
            return None;
        }
        taken.insert(udid.clone(), own + 1);
        Some(Self {
            lanes: Arc::clone(lanes),
            udid: udid.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.udid) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(taken.remove(&self.udid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_has_only_so_many_threads_and_gets_them_back() {
        let lanes = Arc::default();
        let one = Udid::parse("00008101-000A11112222F1E5").unwrap();
        let other = Udid::parse("00008030-000B33334444E2D4").unwrap();
        let mut places: Vec<_> = (0..MOST_LANES_OF_ONE)
            .map(|_| Place::take(&lanes, &one).unwrap())
            .collect();
        assert!(Place::take(&lanes, &one).is_none());
        assert!(Place::take(&lanes, &other).is_some());
        places.pop();
        assert!(Place::take(&lanes, &one).is_some());
        places.clear();
        assert!(lanes.lock().unwrap().is_empty());
    }
}
