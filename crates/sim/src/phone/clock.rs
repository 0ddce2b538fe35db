//! The phone's own clock. It runs with the host's by default; a persona may start it elsewhere, and a driver may set it.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::lock;
use crate::persona::ClockSpec;

#[derive(Debug)]
pub struct Clock {
    shown: Mutex<Shown>,
}

#[derive(Clone, Copy, Debug)]
enum Shown {
    /// So far ahead of the host's clock.
    Ahead(SignedDuration),
    /// Standing still, as tests with a paused clock want it.
    Fixed(Timestamp),
}

impl Clock {
    #[must_use]
    pub fn new(spec: &ClockSpec) -> Self {
        let from_start = spec.start.map_or(SignedDuration::ZERO, |start| {
            start.duration_since(Timestamp::now())
        });
        let ahead = from_start.saturating_add(SignedDuration::from_secs(spec.ahead_s));
        Self {
            shown: Mutex::new(Shown::Ahead(ahead)),
        }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        match *lock(&self.shown) {
            Shown::Ahead(ahead) => {
                let host = Timestamp::now();
                host.checked_add(ahead).unwrap_or(host)
            }
            Shown::Fixed(at) => at,
        }
    }

    /// Sets the clock; it runs on from there.
    pub fn set(&self, at: Timestamp) {
        *lock(&self.shown) = Shown::Ahead(at.duration_since(Timestamp::now()));
    }

    /// Sets the clock and stops it.
    pub fn fix(&self, at: Timestamp) {
        *lock(&self.shown) = Shown::Fixed(at);
    }
}
