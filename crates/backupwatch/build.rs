//! Tells the linker which functions run often (`often.ld`), so that the others stay on the disk. What that is good for is told where
//! the file is made: `xtask/src/bench/order.rs`.

#![expect(clippy::print_stdout, reason = "so a build script speaks to cargo")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=often.ld");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    // The linker that Rust brings along on this system understands the script; one that somebody chose may not.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let rusts = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if rusts && !chosen && is("PROFILE", "release") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{folder}/often.ld");
    }
}
