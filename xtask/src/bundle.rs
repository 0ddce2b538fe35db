//! `cargo xtask bundle`: `Backupwatch.app`, with one executable for the command line, the agent and the click on a notice.
//!
//! It is signed ad hoc: by `codesign` on a Mac, by `rcodesign` elsewhere. Real executables for macOS come from a Mac; on Linux
//! the bundle is made of executables that were built elsewhere.

use crate::{icon, macos, peers};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use plist::{Dictionary, Value};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Not the agent's label: macOS keeps a record for each.
const IDENTIFIER: &str = "dev.backupwatch";

const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-apple-darwin"];

/// Without it the executable wants the macOS of the machine that built it.
const DEPLOYMENT_TARGET: (&str, &str) = ("MACOSX_DEPLOYMENT_TARGET", "13.0");

const INFO: &str = include_str!("../packaging/Info.plist");
const AGENT: &str = include_str!("../../launchd/dev.backupwatch.agent.plist");

#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Build for this target only, not for every Mac that the toolchain can build for
    #[arg(long, conflicts_with = "executables")]
    target: Option<String>,
    /// An executable that is built already; one for each kind of processor
    #[arg(long = "executable", value_name = "FILE")]
    executables: Vec<PathBuf>,
    /// Put Backupwatch.app here [default: bundle, where cargo builds]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<PathBuf> {
    let executables = if options.executables.is_empty() {
        build(options.target.as_deref())?
    } else {
        options.executables.clone()
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| peers::target().join("bundle"));
    let app = out.join("Backupwatch.app");
    if app.exists() {
        fs::remove_dir_all(&app).context("failed to remove the bundle before")?;
    }
    compose(&app.join("Contents"), &executables)?;
    sign(&app)?;
    verify(&app)?;
    println!("bundle: {}", app.display());
    Ok(app)
}

/// Builds for one target, or for each that is there.
fn build(target: Option<&str>) -> Result<Vec<PathBuf>> {
    if !cfg!(target_os = "macos") {
        bail!(
            "an executable for macOS is linked on a Mac: give the ones that were built there with --executable"
        );
    }
    let targets = match target {
        Some(target) => vec![target],
        None => TARGETS
            .into_iter()
            .filter(|target| macos::has_target(target))
            .collect(),
    };
    ensure!(!targets.is_empty(), "the toolchain can build for no Mac");
    let mut executables = Vec::new();
    for target in targets {
        println!("bundle: building for {target}");
        run_to_end(
            Command::new("cargo")
                .args(["build", "--release", "--locked", "-p", "backupwatch"])
                .args(["--target", target])
                .env(DEPLOYMENT_TARGET.0, DEPLOYMENT_TARGET.1)
                .current_dir(crate::root()),
        )?;
        executables.push(peers::target().join(target).join("release/backupwatch"));
    }
    Ok(executables)
}

/// Everything but the signature.
fn compose(contents: &Path, executables: &[PathBuf]) -> Result<()> {
    for folder in ["MacOS", "Resources", "Library/LaunchAgents"] {
        fs::create_dir_all(contents.join(folder)).context("failed to make the bundle's folders")?;
    }
    let executable = contents.join("MacOS/backupwatch");
    join(executables, &executable)?;
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o755))?;
    let info = INFO.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    fs::write(contents.join("Info.plist"), info)?;
    fs::write(contents.join("Resources/AppIcon.icns"), icon::icns()?)?;
    plist::to_file_xml(
        contents.join("Library/LaunchAgents/dev.backupwatch.agent.plist"),
        &agent_in_bundle()?,
    )?;
    Ok(())
}

/// One executable for every kind of processor.
fn join(executables: &[PathBuf], into: &Path) -> Result<()> {
    if let [only] = executables {
        fs::copy(only, into).with_context(|| format!("failed to copy {}", only.display()))?;
        return Ok(());
    }
    if cfg!(target_os = "macos") {
        return run_to_end(
            Command::new("lipo")
                .arg("-create")
                .args(executables)
                .arg("-output")
                .arg(into),
        );
    }
    run_to_end(
        rcodesign()?
            .args(["macho-universal-create", "--output"])
            .arg(into)
            .args(executables),
    )
}

/// The agent's definition for everybody: a path of one person's cannot be in it, so what is said before there is a log goes nowhere.
pub(crate) fn agent(program: &str) -> Result<Dictionary> {
    let mut agent: Dictionary =
        plist::from_bytes(AGENT.as_bytes()).context("failed to read the file of launchd/")?;
    for path in ["StandardOutPath", "StandardErrorPath"] {
        agent
            .remove(path)
            .with_context(|| format!("launchd's file has no {path}"))?;
    }
    let arguments = agent
        .get_mut("ProgramArguments")
        .and_then(Value::as_array_mut);
    let first = arguments.and_then(|arguments| arguments.first_mut());
    *first.context("launchd's file has no ProgramArguments")? = program.into();
    Ok(agent)
}

/// The same for an app that registers its own agent: the program is named from the bundle's root.
fn agent_in_bundle() -> Result<Dictionary> {
    let mut agent = agent("backupwatch")?;
    agent.insert(
        "BundleProgram".to_owned(),
        "Contents/MacOS/backupwatch".into(),
    );
    Ok(agent)
}

/// The linker's own signature binds neither the identifier nor Info.plist, and macOS drops the notices of such a bundle.
fn sign(app: &Path) -> Result<()> {
    if cfg!(target_os = "macos") {
        return run_to_end(
            Command::new("codesign")
                .args(["--force", "--sign", "-", "--identifier", IDENTIFIER])
                .arg(app),
        );
    }
    run_to_end(rcodesign()?.arg("sign").arg(app))
}

fn verify(app: &Path) -> Result<()> {
    if cfg!(target_os = "macos") {
        run_to_end(
            Command::new("codesign")
                .args(["--verify", "--strict", "--verbose=2"])
                .arg(app),
        )?;
        let output = Command::new("codesign").arg("-dv").arg(app).output()?;
        let said = String::from_utf8_lossy(&output.stderr).replace(" flags=", "\nflags=");
        let said = said.replace("(adhoc) ", "(adhoc)\n");
        says(&said, "Identifier=", IDENTIFIER)?;
        return says(&said, "flags=", "0x2(adhoc)");
    }
    let executable = app.join("Contents/MacOS/backupwatch");
    let output = rcodesign()?.arg("verify").arg(&executable).output()?;
    // A signature ad hoc has no certificate, which rcodesign takes for a mistake. All else that it finds is one.
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = said
        .lines()
        .find(|line| !line.contains("CMS error: missing"));
    ensure!(wrong.is_none(), "the signature does not hold:\n{said}");
    let output = rcodesign()?
        .arg("print-signature-info")
        .arg(&executable)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    says(&said, "identifier: ", IDENTIFIER)?;
    says(&said, "flags: ", "CodeSignatureFlags(ADHOC)")
}

/// Whether this is said at least once, and nothing else, of every executable in the file.
fn says(said: &str, before: &str, expected: &str) -> Result<()> {
    let mut values = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix(before))
        .peekable();
    ensure!(
        values.peek().is_some() && values.all(|value| value == expected),
        "the signature is not “{before}{expected}”:\n{said}"
    );
    Ok(())
}

/// From the peers' folder, or from the PATH.
fn rcodesign() -> Result<Command> {
    peers::tool("rcodesign")
        .map(Command::new)
        .context("rcodesign is not here: `cargo xtask peers` installs it")
}

fn run_to_end(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output = command
        .output()
        .with_context(|| format!("failed to start {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
