//! Safe bindings to the C library libimobiledevice, loaded when the program runs: nothing is linked, and nothing is needed to build.
//!
//! Blocking, as the library is; whoever calls it keeps a thread for that. Not here: when it is used instead of `idevice`
//! (`device`), and what the values mean.
#![doc = include_str!("../README.md")]

mod connection;
mod device;
mod error;
mod library;
mod lockdown;
mod pump;
mod services;
mod subscription;
#[expect(
    unsafe_code,
    reason = "a C library cannot be called without; all of it is below this module"
)]
mod sys;

pub use connection::{Breaker, Connection, Ended, Ending};
pub use device::{Device, Listed, Lookup, Via, devices, pair_record};
pub use error::{AfcError, Error, IdeviceError, LockdownError, NotificationError, ServiceError};
pub use library::{Library, LoadError};
pub use lockdown::{Descriptor, Lockdown, PairRecord};
pub use services::{Afc, AfcFile, AfcLock, AfcMode, Notification, Notifications, Service};
pub use subscription::{Event, Subscription, subscribe};
