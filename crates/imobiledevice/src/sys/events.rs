//! What threads of the C library call: their messages are put into bounded channels, and nothing else happens there.
//!
//! C is given a number, not a pointer: a call that comes too late finds nothing under it, and touches no freed memory.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::device::room_for_a_descriptor;
use super::table::{CEvent, CSubscription};
use crate::device::{Listed, Via};
use crate::error::IdeviceError;
use crate::subscription::Event;
use crate::{Error, Library};

/// The sending ends of the channels that C's threads write to.
pub(super) struct Registry<T>(Mutex<Ends<T>>);

struct Ends<T> {
    next: usize,
    open: BTreeMap<usize, (SyncSender<T>, Arc<AtomicBool>)>,
}

/// The receiving end of one.
pub(crate) struct Inbox<T: 'static> {
    registry: &'static Registry<T>,
    key: usize,
    pub(crate) messages: Receiver<T>,
    missed: Arc<AtomicBool>,
}

impl<T> Registry<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Ends {
            next: 1,
            open: BTreeMap::new(),
        }))
    }

    pub(super) fn open(&'static self, bound: usize) -> Inbox<T> {
        let (sender, messages) = sync_channel(bound);
        let missed = Arc::new(AtomicBool::new(false));
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ends.next;
        ends.next += 1;
        ends.open.insert(key, (sender, Arc::clone(&missed)));
        Inbox {
            registry: self,
            key,
            messages,
            missed,
        }
    }

    /// Never waits, and has no cancellation point of POSIX: libusbmuxd cancels the thread that calls this.
    pub(super) fn put(&self, user_data: *mut c_void, message: T) {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sender, missed)) = ends.open.get(&user_data.addr())
            && sender.try_send(message).is_err()
        {
            missed.store(true, Ordering::Release);
        }
    }
}

impl<T> Inbox<T> {
    /// What C is given.
    pub(super) fn user_data(&self) -> *mut c_void {
        ptr::without_provenance_mut(self.key)
    }

    /// Whether messages did not fit, since this was last asked.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }

    /// From now on what C sends goes nowhere.
    pub(super) fn close(&self) {
        let mut ends = self
            .registry
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ends.open.remove(&self.key);
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.close();
    }
}

static EVENTS: Registry<Event> = Registry::new();

/// Whether the one subscription that 1.3 knows is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A subscription to what comes and goes.
pub(crate) struct SubscriptionHandle {
    library: &'static Library,
    /// Null for the one of 1.3.
    context: *mut CSubscription,
    pub(crate) inbox: Inbox<Event>,
}

// SAFETY: the library guards its subscriptions by a lock of its own and binds them to no thread.
unsafe impl Send for SubscriptionHandle {}

impl SubscriptionHandle {
    pub(crate) fn open(library: &'static Library, bound: usize) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let inbox = EVENTS.open(bound);
        let mut context = ptr::null_mut();
        let table = library.table();
        let code = match (
            table.idevice_events_subscribe,
            table.idevice_events_unsubscribe,
        ) {
            // SAFETY: the callback may be called from any thread, at any time, also after the end; the context is written.
            (Some(subscribe), Some(_)) => unsafe {
                subscribe(&raw mut context, on_event, inbox.user_data())
            },
            (Some(_) | None, None) | (None, Some(_)) => {
                if TAKEN.swap(true, Ordering::AcqRel) {
                    return Err(Error::AlreadySubscribed);
                }
                // SAFETY: as above, without a context.
                let code = unsafe { (table.idevice_event_subscribe)(on_event, inbox.user_data()) };
                if code != 0 {
                    TAKEN.store(false, Ordering::Release);
                }
                code
            }
        };
        IdeviceError::check(code)?;
        Ok(Self {
            library,
            context,
            inbox,
        })
    }
}

impl Drop for SubscriptionHandle {
    fn drop(&mut self) {
        // First: 1.4 says of every device that it went, from within the call below.
        self.inbox.close();
        let table = self.library.table();
        if self.context.is_null() {
            // SAFETY: this subscription is the one that there is; the call joins the thread that calls back.
            unsafe { (table.idevice_event_unsubscribe)() };
            TAKEN.store(false, Ordering::Release);
        } else if let Some(unsubscribe) = table.idevice_events_unsubscribe {
            // SAFETY: the context is ours and is not used again.
            unsafe { unsubscribe(self.context) };
        }
    }
}

unsafe extern "C" fn on_event(event: *const CEvent, user_data: *mut c_void) {
    // A panic must not reach C. Nothing here panics, and nothing is left half done if it did.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if event.is_null() {
            return;
        }
        // SAFETY: the library passes a valid event for the time of the call.
        let CEvent {
            event,
            udid,
            conn_type,
        } = unsafe { ptr::read(event) };
        let Some(via) = Via::of(conn_type) else {
            return;
        };
        // SAFETY: as above, and a UDID is ended by NUL.
        let Some(udid) = (unsafe { text(udid) }) else {
            return;
        };
        let listed = Listed { udid, via };
        let message = match event {
            1 => Event::Attached(listed),
            2 => Event::Detached(listed),
            3 => Event::Paired(listed),
            _ => return,
        };
        EVENTS.put(user_data, message);
    }));
}

/// A copy of C's text.
///
/// # Safety
/// It is null, or ended by NUL and valid for the time of the call.
pub(super) unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    Some(text.to_string_lossy().into_owned())
}
