//! macOS, inside the app bundle: who owns the main thread, notices, the menu-bar item, and what System Settings says of us. What can
//! be decided without a Mac is not here but in [`crate::click`], [`crate::inbox`] and [`crate::menu`].
#![expect(
    unsafe_code,
    reason = "AppKit and UserNotifications are called by selectors, which the compiler cannot check"
)]

mod application;
mod centre;
mod login;
pub(crate) mod menu;

pub use centre::{Desktop, Permission, permission};
pub use login::{LoginItem, login_item};

pub(crate) use application::{alert, run};

use crate::inbox::Inbox;
use objc2_foundation::NSBundle;

/// What AppKit and the notification centre tell.
pub(crate) static INBOX: Inbox = Inbox::new();

/// Whether this is the app, and not the bare program. Without a bundle the notification centre ends the process instead of
/// answering, and AppKit has no name for us.
#[must_use]
pub fn is_bundled() -> bool {
    NSBundle::mainBundle().bundleIdentifier().is_some()
}
