//! Who owns the main thread. AppKit wants it for itself, so on macOS, inside the app bundle, the program runs beside it; elsewhere
//! it simply runs.

/// Runs `program` to its end, with whatever the desktop needs on the main thread beside it. Called once, on the main thread, before
/// anything else has begun threads.
pub fn run<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> T {
    program()
}
