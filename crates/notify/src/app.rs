//! Who owns the main thread. AppKit wants it for itself, so on macOS, inside the app bundle, the program runs beside it; elsewhere
//! it simply runs.

use crate::FromDesktop;
use tokio::{runtime::Handle, sync::mpsc};

/// Runs `program` to its end, with whatever the desktop needs on the main thread beside it. Called once, on the main thread, before
/// anything else has begun threads; what the desktop has to say is told to whoever calls [`listen`].
pub fn run<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(target_os = "macos")]
    if is_bundled() {
        return crate::mac::run(program);
    }
    program()
}

/// From now on the desktop tells `desk` what it has to say besides answers to notices and choices in the menu: that the computer
/// woke up, and on macOS what is done to the app in Finder.
pub fn listen(runtime: &Handle, desk: mpsc::Sender<FromDesktop>) {
    #[cfg(target_os = "linux")]
    drop(runtime.spawn(crate::waking::listen(desk)));
    #[cfg(target_os = "macos")]
    {
        let _nothing_to_run = runtime;
        crate::mac::INBOX.listen(desk);
    }
}

/// Whether this is the app of macOS, and not the bare program.
#[must_use]
pub fn is_bundled() -> bool {
    #[cfg(target_os = "macos")]
    return crate::mac::is_bundled();
    #[cfg(not(target_os = "macos"))]
    false
}

/// Says something to the person in a window of its own, and waits until they have read it: for a program that was started by a
/// double click, which has no terminal. Only within [`run`] of the app; nothing elsewhere.
pub fn alert(title: &str, text: &str) {
    #[cfg(target_os = "macos")]
    crate::mac::alert(title.to_owned(), text.to_owned());
    #[cfg(not(target_os = "macos"))]
    tracing::debug!(title, text, "there is no window to say it in");
}
