//! `cargo xtask test`: peers, then format, lints, floors and all rings of tests, each named as it runs.

use crate::{floors, peers};
use anyhow::{Context as _, Result, bail};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

/// End-to-end tests that are made a second time, with libimobiledevice speaking to the phone. `--backend` makes all of them.
const BOTH_WAYS: &str = "package(backupwatch-e2e) & \
    (binary(watch_verdicts) | binary(cli_devices) | binary(backup_whole) | binary(backup_faults))";

pub(crate) fn run(no_install: bool, backend: Option<&str>, filter: &[String]) -> Result<()> {
    let whole = filter.is_empty() && backend.is_none();
    let required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let found = if no_install {
        peers::look()
    } else {
        peers::install()?
    };
    found.print();
    if required && !found.missing.is_empty() {
        bail!(
            "BACKUPWATCH_REQUIRE_PEERS=1, and these peers are missing: {}",
            found.missing.join(", ")
        );
    }

    let mut ran = Vec::new();
    if whole {
        step(&mut ran, "format", cargo(&["fmt", "--all", "--check"]))?;
        step(
            &mut ran,
            "lints",
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]),
        )?;
        floors::check()?;
        ran.push("floors".to_owned());
    }

    // The end-to-end tests run the very binary a person runs.
    step(
        &mut ran,
        "build of the binary",
        cargo(&["build", "--locked", "-p", "backupwatch"]),
    )?;
    // Tests that skip say so here, for a passing test's output is not shown.
    let skips = found.venv.with_file_name("skipped.txt");
    if let Some(folder) = skips.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&skips, "")?;
    let has_nextest = peers::find("cargo-nextest").is_some();
    let runner: &[&str] = if has_nextest {
        &["nextest", "run", "--locked"]
    } else {
        &["test", "--locked"]
    };
    let tests = |packages: &[&str], backend: Option<&str>| {
        let mut tests = cargo(runner);
        tests
            .args(packages)
            .args(filter)
            .env("BACKUPWATCH_PEERS_VENV", &found.venv)
            .env("BACKUPWATCH_SKIP_LOG", &skips);
        if let Some(backend) = backend {
            tests.env("BACKUPWATCH_BACKEND", backend);
        }
        tests
    };
    if backend.is_some() {
        step(
            &mut ran,
            "tests",
            tests(&["-p", "backupwatch-e2e"], backend),
        )?;
    } else {
        step(&mut ran, "tests", tests(&["--workspace"], None))?;
    }
    if whole && has_nextest {
        // Chosen from the whole workspace, as before: one package alone has other features, and much would be built again.
        let some = ["--workspace", "-E", BOTH_WAYS];
        let tests = tests(&some, Some("libimobiledevice"));
        step(&mut ran, "tests by libimobiledevice", tests)?;
    }
    if whole {
        step(
            &mut ran,
            "examples in the docs",
            cargo(&["test", "--workspace", "--locked", "--doc", "--quiet"]),
        )?;
    }

    println!("\nran: {}", ran.join(", "));
    let skipped = std::fs::read_to_string(&skips).unwrap_or_default();
    if skipped.is_empty() {
        println!("skipped: nothing");
    } else {
        println!("SKIPPED, for want of a peer:");
        for line in skipped.lines() {
            println!("  {line}");
        }
        if required {
            bail!("BACKUPWATCH_REQUIRE_PEERS=1 turns a skip into a failure");
        }
    }
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(crate::root());
    command
}

fn step(ran: &mut Vec<String>, name: &str, mut command: Command) -> Result<()> {
    println!("\n== {name}");
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("failed to start the step {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    ran.push(format!("{name} ({} s)", started.elapsed().as_secs()));
    Ok(())
}
