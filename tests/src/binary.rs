//! The very binary a person runs, and a home of its own for each test.

use std::{path::PathBuf, process::Command, sync::OnceLock};

/// Path of the `backupwatch` binary, built once for this run in this run's profile.
pub fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        // For a binary that was built elsewhere, be it a release that is about to be published.
        std::env::var_os("BACKUPWATCH_BINARY").map_or_else(|| built("backupwatch"), PathBuf::from)
    })
}

/// The project's own tasks, as `cargo xtask` runs them.
#[must_use]
pub fn xtask() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PATH.get_or_init(|| built("xtask")))
}

/// Builds a package whose binary has its name.
fn built(package: &str) -> PathBuf {
    // target/<profile>/deps/<this test>: the binary lies two folders up.
    let mut folder = std::env::current_exe().expect("a test knows its own path");
    folder.pop();
    folder.pop();
    let release = folder.ends_with("release");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", package]);
    if release {
        build.arg("--release");
    }
    // What cargo tells a test about its own package must not reach the cargo within: build scripts that watch these
    // variables (ring's) would run again, and everything above them would be built again at each test run.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        {
            build.env_remove(name);
        }
    }
    if let Some(target) = folder.parent() {
        build.env("CARGO_TARGET_DIR", target);
    }
    let status = build
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "{package} does not build");
    folder.join(package)
}

/// What speaks to phones, in a run of these tests as in any other.
pub const BACKEND: &str = "BACKUPWATCH_BACKEND";

/// Whether libimobiledevice speaks to the phone in this run. What differs then is in `docs/protocol/backends.md`.
#[must_use]
pub fn by_libimobiledevice() -> bool {
    std::env::var(BACKEND).is_ok_and(|backend| backend == "libimobiledevice")
}

/// A command with nothing of this machine's own settings in it.
#[must_use]
pub fn command(home: &std::path::Path) -> Command {
    let mut command = Command::new(path());
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_BACKTRACE", "1");
    // Every test may be made by the other way to the phone, too (`cargo xtask test --backend`).
    if let Some(backend) = std::env::var_os(BACKEND) {
        command.env(BACKEND, backend);
    }
    command
}
