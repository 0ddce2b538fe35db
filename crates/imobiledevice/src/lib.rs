//! Safe bindings to the C library libimobiledevice, loaded when the program runs: nothing is linked, and nothing is needed to build.
//!
//! Blocking, as the library is; whoever calls it keeps a thread for that. Not here: when it is used instead of `idevice`
//! (`device`), and what the values mean.
