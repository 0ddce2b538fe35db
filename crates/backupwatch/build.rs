//! Tells the linker which functions run often (`often.ld`), so that the others stay on the disk. What that is good for is told where
//! the file is made: `xtask/src/bench/order.rs`.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=often.ld");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    // The linker that Rust brings along on this system understands the script; one that somebody chose may not.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let rusts = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if rusts && !chosen && brings_its_linker() && is("PROFILE", "release") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{folder}/often.ld");
    }
}

/// A distribution's Rust may come without, and then the system's linker takes a script for all that it shall do.
fn brings_its_linker() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = said
        .ok()
        .and_then(|said| String::from_utf8(said.stdout).ok());
    sysroot.is_some_and(|sysroot| {
        PathBuf::from(sysroot.trim())
            .join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld")
            .is_file()
    })
}
