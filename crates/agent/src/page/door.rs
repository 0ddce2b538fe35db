//! The door of the page, as the rest of the agent knows it: it gives links, each with a key of its own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backupwatch_core::Udid;
use backupwatch_core::steps::StepId;

use super::entrance::{Entrance, Secret};
use crate::clock::Clock;

/// A place on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// All devices.
    Devices,
    /// One of them, at a step of its ladder if one is named.
    Device(Udid, Option<StepId>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Devices => f.write_str("/"),
            Self::Device(udid, None) => write!(f, "/devices/{udid}"),
            Self::Device(udid, Some(step)) => write!(f, "/devices/{udid}#{step}"),
        }
    }
}

/// Gives links to the page. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    port: u16,
    clock: Arc<dyn Clock>,
    entrance: Mutex<Entrance>,
}

impl Door {
    /// The door of the page at this port.
    pub fn new(port: u16, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            port,
            clock,
            entrance: Mutex::default(),
        }))
    }

    /// A link to `place`, good for two minutes and one use. Whoever has it comes in: it belongs into no log.
    pub fn link(&self, place: Place) -> std::io::Result<String> {
        let key = Secret::random().map_err(std::io::Error::other)?;
        self.entrance().issue(key, place, self.0.clock.now());
        Ok(format!("http://127.0.0.1:{}/enter?key={key}", self.0.port))
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port
    }

    pub(super) fn entrance(&self) -> MutexGuard<'_, Entrance> {
        // Every change behind this lock is whole before anything can panic.
        let entrance = self.0.entrance.lock();
        entrance.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("port", &self.0.port)
            .finish_non_exhaustive()
    }
}
