//! `cargo xtask dist`: what a release consists of, as far as this machine can make it, with its checksums.
//!
//! On Linux an archive and the Debian package, on a Mac the app. Whoever has all of them in one folder writes the checksums and
//! the Homebrew formula with `--sums`.

use crate::{bundle, deb, peers, stage};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const FORMULA: &str = include_str!("../packaging/backupwatch.rb");

/// What a person reads before they run it.
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Build nothing: only the checksums and the formula, of what is there
    #[arg(long)]
    sums: bool,
    /// Where the release will be on GitHub, for the formula
    #[arg(long, value_name = "OWNER/NAME", env = "GITHUB_REPOSITORY")]
    repository: Option<String>,
    /// Put everything here [default: dist, where cargo builds]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| peers::target().join("dist"));
    fs::create_dir_all(&out)?;
    if !options.sums {
        if cfg!(target_os = "macos") {
            app(&out)?;
        } else {
            linux(&out)?;
        }
    }
    match &options.repository {
        Some(repository) => formula(repository, &out)?,
        None => println!("dist: no formula, for want of --repository"),
    }
    sums(&out)
}

/// The app, universal where both kinds of Mac can be built for.
fn app(out: &Path) -> Result<()> {
    let app = bundle::run(&bundle::Options::default())?;
    // What keeps links, modes and the seal as they are.
    let status = Command::new("ditto")
        .args(["-c", "-k", "--keepParent"])
        .arg(app)
        .arg(out.join(app_archive()))
        .status()
        .context("failed to start ditto")?;
    ensure!(status.success(), "ditto ended with {status}");
    Ok(())
}

fn app_archive() -> String {
    format!("Backupwatch-{VERSION}.zip")
}

fn linux(out: &Path) -> Result<()> {
    let executable = deb::release()?;
    deb::pack(&executable, out, false)?;
    let name = format!("backupwatch-{VERSION}-{}-linux", std::env::consts::ARCH);
    let folder = out.join(&name);
    fs::create_dir_all(&folder)?;
    fs::copy(&executable, folder.join("backupwatch"))?;
    let status = Command::new("strip")
        .arg(folder.join("backupwatch"))
        .status()?;
    ensure!(status.success(), "strip ended with {status}");
    stage::manual(&executable, &folder)?;
    for text in TEXTS {
        fs::copy(crate::root().join(text), folder.join(text))?;
    }
    // The same files give the same archive, whoever packs them.
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mtime=@0", "-C"])
        .arg(out)
        .args(["-czf"])
        .arg(out.join(format!("{name}.tar.gz")))
        .arg(&name)
        .status()
        .context("failed to start tar")?;
    ensure!(status.success(), "tar ended with {status}");
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// The formula of a tap of one's own, if the app is here.
fn formula(repository: &str, out: &Path) -> Result<()> {
    let archive = app_archive();
    let path = out.join(&archive);
    if !path.exists() {
        println!("dist: no formula, for want of {archive}");
        return Ok(());
    }
    // It is pasted into a program.
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    ensure!(
        repository.split('/').count() == 2 && repository.chars().all(harmless),
        "{repository} is no repository of GitHub's"
    );
    let text = FORMULA
        .replace("@REPOSITORY@", repository)
        .replace("@VERSION@", VERSION)
        .replace("@ARCHIVE@", &archive)
        .replace("@SHA256@", &sha256(&path)?)
        .replace("@PLIST@", &agent_of_homebrew()?);
    fs::write(out.join("backupwatch.rb"), text).context("failed to write the formula")
}

/// launchd's file, with the path that Homebrew fills in as it installs.
fn agent_of_homebrew() -> Result<String> {
    let agent = bundle::agent("#{opt_prefix}/Backupwatch.app/Contents/MacOS/backupwatch")?;
    let mut text = Vec::new();
    plist::to_writer_xml(&mut text, &agent)?;
    let text = String::from_utf8(text)?;
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("      {}", line.replace('\t', "  ")))
        .collect();
    Ok(lines.join("\n"))
}

/// The checksums of everything here, in the form that `shasum -c` reads.
fn sums(out: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(out).context("failed to list what was made")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && name != "SHA256SUMS" {
            names.push(name);
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "there is nothing in {}", out.display());
    let mut text = String::new();
    for name in names {
        writeln!(text, "{}  {name}", sha256(&out.join(&name))?)?;
    }
    fs::write(out.join("SHA256SUMS"), &text)?;
    print!("{text}");
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
