//! What comes and goes.

use std::time::Duration;

use crate::device::Listed;
use crate::sys::SubscriptionHandle;
use crate::{Error, Library};

/// Events that wait to be taken; more than a computer has ports.
const WAITING: usize = 256;

/// What usbmuxd tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A device is there. All that are there already are told at first.
    Attached(Listed),
    /// A device has gone.
    Detached(Listed),
    /// A device now trusts this computer.
    Paired(Listed),
    /// Events came faster than they were taken and some are lost: [`devices`](crate::devices) tells what is there.
    Missed,
}

/// Events of usbmuxd, from now until it is dropped, which waits for the library's thread.
///
/// One thread takes them; it may be another one each time.
pub struct Subscription(SubscriptionHandle);

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Listens. A thread of the library waits for usbmuxd, and also for it to come up.
///
/// # Errors
/// [`Error::AlreadySubscribed`] with 1.3, which has one subscription per process.
pub fn subscribe(library: &'static Library) -> Result<Subscription, Error> {
    SubscriptionHandle::open(library, WAITING).map(Subscription)
}

impl Subscription {
    /// The next event; `None` where none has come in this time.
    #[must_use]
    pub fn next_within(&self, time: Duration) -> Option<Event> {
        if self.0.inbox.take_missed() {
            return Some(Event::Missed);
        }
        self.0.inbox.messages.recv_timeout(time).ok()
    }
}
