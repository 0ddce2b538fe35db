//! Notices on a person's screen, and the answers they give there.
//!
//! What a notice says and when it is due is decided in `core`; this crate only shows it. A notice that cannot be shown
//! is no error of the agent: every notice is also in the history, and [`Notifier::trouble`] says why the screen stays empty.

pub mod app;
mod click;
#[cfg(not(target_os = "macos"))]
mod desktop;
#[cfg(any(target_os = "macos", test))]
mod inbox;
#[cfg(target_os = "macos")]
pub mod mac;
pub mod menu;
mod reach;
mod recorder;
#[cfg(target_os = "linux")]
mod waking;

#[cfg(not(target_os = "macos"))]
pub use desktop::Desktop;
#[cfg(target_os = "macos")]
pub use mac::Desktop;
pub use reach::{Unreachable, reachable};
pub use recorder::Recorder;

use backupwatch_core::{
    Udid,
    notice::{Action, Notice},
};
use tokio::sync::oneshot;

/// Shows notices. Implemented by the desktop, and by a [`Recorder`] for tests, demonstrations and machines without one.
pub trait Notifier: Send + Sync {
    /// Show this notice in place of the one before it about the same matter. Returns at once; who wants to know whether it
    /// has come onto the screen can wait for what is returned.
    fn post(&self, notice: &Notice) -> Posted;

    /// Why the last notice could not be shown, in words for the person; `None` when all is well.
    fn trouble(&self) -> Option<String>;
}

/// Whether a notice has come onto the screen, once that is known, and if not, why, in words for the person. It breaks when a
/// newer notice took the place before.
pub type Posted = oneshot::Receiver<Result<(), String>>;

/// For a notice of which that is known already.
#[must_use]
pub fn posted(known: Result<(), String>) -> Posted {
    let (tell, posted) = oneshot::channel();
    let _nobody_asked = tell.send(known);
    posted
}

/// What the desktop has to say to the agent. It comes back on the channel that the notifier and the menu were made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromDesktop {
    /// Something was chosen on a notice.
    Answer(Answer),
    /// Something was chosen in the menu.
    Menu(menu::Choice),
    /// The computer woke up.
    Woke,
}

/// What a person chose on a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// [`Notice::id`] of the notice.
    pub notice: String,
    /// Of which device it spoke, if of one.
    pub udid: Option<Udid>,
    /// What was chosen; a click on the notice itself opens the page.
    pub action: Action,
}
