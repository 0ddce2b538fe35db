//! `cargo xtask deb`: the Debian package. What is in it is listed in `crates/backupwatch/Cargo.toml`; here it is laid out, and
//! cargo-deb packs it.

use crate::{peers, stage};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pack this executable, which is built already, instead of a release
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// Compress little: for a package that is installed once, on this machine
    #[arg(long)]
    fast: bool,
    /// Put the package here [default: dist, where cargo builds]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<PathBuf> {
    let executable = match &options.executable {
        Some(executable) => executable.clone(),
        None => release()?,
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| peers::target().join("dist"));
    pack(&executable, &out, options.fast)
}

/// Builds what is released for this machine.
pub(crate) fn release() -> Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "backupwatch"])
        .current_dir(crate::root())
        .status()
        .context("failed to start cargo build")?;
    ensure!(status.success(), "the release does not build");
    Ok(peers::target().join("release/backupwatch"))
}

pub(crate) fn pack(executable: &Path, out: &Path, fast: bool) -> Result<PathBuf> {
    fs::create_dir_all(out)?;
    let out = fs::canonicalize(out)?;
    // cargo-deb takes what it packs from a folder that looks as if cargo had built there.
    let built = out.join("deb-layout");
    lay_out(executable, &built.join("release"))?;
    let deb = out.join(format!(
        "backupwatch_{}-1_{}.deb",
        env!("CARGO_PKG_VERSION"),
        architecture()?
    ));
    let status = cargo_deb()?
        .args([
            "--no-build",
            "--package",
            "backupwatch",
            "--locked",
            "--strip",
        ])
        .args(fast.then_some("--fast"))
        .arg("--output")
        .arg(&deb)
        .env("CARGO_TARGET_DIR", &built)
        .current_dir(crate::root())
        .stdout(Stdio::null())
        .status()
        .context("failed to start cargo-deb")?;
    ensure!(status.success(), "cargo-deb ended with {status}");
    fs::remove_dir_all(&built)?;
    println!("deb: {}", deb.display());
    Ok(deb)
}

fn lay_out(executable: &Path, folder: &Path) -> Result<()> {
    let package = folder.join("package");
    fs::create_dir_all(&package)?;
    fs::copy(executable, folder.join("backupwatch"))
        .with_context(|| format!("failed to copy {}", executable.display()))?;
    stage::manual(&folder.join("backupwatch"), &package)?;
    fs::write(package.join("backupwatch.service"), stage::unit())?;
    fs::write(package.join("copyright"), stage::copyright()?)?;
    let changelog = package.join("changelog.Debian");
    fs::write(&changelog, stage::changelog(&maintainer()?)?)?;
    let mut compress = Command::new("gzip");
    compress.arg("-9n").arg(changelog);
    for page in fs::read_dir(package.join("man"))? {
        compress.arg(page?.path());
    }
    let status = compress.status().context("failed to start gzip")?;
    ensure!(status.success(), "gzip ended with {status}");
    Ok(())
}

/// Who stands in the package's own description.
fn maintainer() -> Result<String> {
    let manifest = fs::read_to_string(crate::root().join("crates/backupwatch/Cargo.toml"))?;
    manifest
        .lines()
        .find_map(|line| line.strip_prefix("maintainer = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .context("crates/backupwatch/Cargo.toml names no maintainer")
}

fn architecture() -> Result<String> {
    let output = Command::new("dpkg")
        .arg("--print-architecture")
        .output()
        .context("a Debian package is made on Debian")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// From the peers' folder, or from the PATH.
fn cargo_deb() -> Result<Command> {
    peers::tool("cargo-deb")
        .map(Command::new)
        .context("cargo-deb is not here: `cargo xtask peers` installs it")
}
