//! `cargo xtask check-macos`: the lints of the code for macOS, warnings denied, on a machine without a Mac. Nothing is linked.

use crate::peers;
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGET: &str = "aarch64-apple-darwin";

/// What a program that `CHECK_MACOS` names answers when it cannot check here.
const CANNOT: i32 = 77;

/// A C compiler that makes empty objects and an archiver that makes empty archives. A check reads neither, and the real ones of
/// another system know nothing of macOS.
const STUBS: [(&str, &str, &str); 2] = [
    (
        "CC_aarch64_apple_darwin",
        "cc",
        "#!/bin/sh\nout= prev=\nfor a in \"$@\"; do\n  [ \"$prev\" = -o ] && out=$a\n  prev=$a\ndone\n[ -z \"$out\" ] || : > \"$out\"\n",
    ),
    (
        "AR_aarch64_apple_darwin",
        "ar",
        "#!/bin/sh\nfor a in \"$@\"; do\n  case \"$a\" in *.a) printf '!<arch>\\n' > \"$a\" ;; esac\ndone\n",
    ),
];

pub(crate) fn check() -> Result<()> {
    if has_target(TARGET) {
        return here();
    }
    match std::env::var_os("CHECK_MACOS") {
        Some(program) => by(Path::new(&program)),
        None => {
            skipped(&format!(
                "this toolchain has no {TARGET} (`rustup target add {TARGET}`), and CHECK_MACOS names no program that checks without it"
            ));
            Ok(())
        }
    }
}

/// Whether the toolchain can compile for this target.
pub(crate) fn has_target(target: &str) -> bool {
    Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| {
            let folder = String::from_utf8_lossy(&output.stdout);
            output.status.success() && Path::new(folder.trim()).is_dir()
        })
}

fn here() -> Result<()> {
    // Beside the other builds: what a stub has compiled must not be linked by anybody.
    let folder = peers::target().join("check-macos");
    let mut command = Command::new("cargo");
    command
        .args(["clippy", "--workspace", "--locked", "--target", TARGET])
        .args(["--", "-D", "warnings"])
        .env("CARGO_TARGET_DIR", &folder)
        .current_dir(crate::root());
    if !cfg!(target_os = "macos") {
        for (variable, name, text) in STUBS {
            command.env(variable, stub(&folder, name, text)?);
        }
    }
    let status = command.status().context("failed to start cargo clippy")?;
    ensure!(status.success(), "the code for macOS does not pass");
    println!("check-macos: passed for {TARGET}");
    Ok(())
}

fn stub(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join("stubs").join(name);
    fs::create_dir_all(folder.join("stubs"))?;
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn by(program: &Path) -> Result<()> {
    let status = Command::new(program)
        .args(["--clippy", "--workspace"])
        .current_dir(crate::root())
        .status()
        .with_context(|| format!("failed to start {}", program.display()))?;
    if status.code() == Some(CANNOT) {
        skipped(&format!("{} cannot check here", program.display()));
        return Ok(());
    }
    ensure!(status.success(), "the code for macOS does not pass");
    println!("check-macos: passed for {TARGET}, by {}", program.display());
    Ok(())
}

fn skipped(why: &str) {
    println!("SKIPPED: the check for macOS: {why}");
}
