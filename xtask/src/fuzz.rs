//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, each for some minutes. What they found before is replayed by the
//! ordinary tests, without any of what this needs.

use anyhow::{Context as _, Result, bail, ensure};
use std::{fs, process::Command};

/// What an input may cost, in MiB and in seconds. What it leaks is looked for by itself.
const LIMITS: [&str; 4] = [
    "-rss_limit_mb=512",
    "-malloc_limit_mb=64",
    "-timeout=10",
    "-max_len=16384",
];

pub(crate) fn run(target: Option<&str>, minutes: u32) -> Result<()> {
    ensure!(
        crate::peers::find("cargo-fuzz").is_some(),
        "cargo-fuzz is not here: `cargo install cargo-fuzz`"
    );
    let nightly = Command::new("rustc").args(["+nightly", "-V"]).output();
    ensure!(
        nightly.is_ok_and(|output| output.status.success()),
        "libFuzzer needs a nightly toolchain: `rustup toolchain install nightly`"
    );
    let folder = crate::root().join("tests/fuzz");
    let mut targets = Vec::new();
    for file in fs::read_dir(folder.join("fuzz_targets")).context("failed to list the targets")? {
        let name = file?.path().with_extension("");
        targets.extend(
            name.file_name()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    targets.sort();
    if let Some(wanted) = target {
        if !targets.iter().any(|name| name == wanted) {
            bail!(
                "there is no target {wanted}; there are {}",
                targets.join(", ")
            );
        }
        targets.retain(|name| name == wanted);
    }
    for name in targets {
        println!("\n== {name}, {minutes} minutes");
        // New inputs go to the first folder; the second one is the committed corpus.
        let found = folder.join("target/found").join(&name);
        fs::create_dir_all(&found)?;
        let status = Command::new("cargo")
            .args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", &name])
            .args([&found, &folder.join("corpus").join(&name)])
            .args(["--", "-print_final_stats=1", "-dict=words.dict"])
            .args(LIMITS)
            .arg(format!("-max_total_time={}", minutes.saturating_mul(60)))
            // Freed memory that the sanitizer keeps is not the program's.
            .env("ASAN_OPTIONS", "quarantine_size_mb=16")
            .current_dir(&folder)
            .status()
            .context("failed to start cargo fuzz")?;
        ensure!(
            status.success(),
            "{name} found something: see tests/fuzz/artifacts/{name}"
        );
    }
    Ok(())
}
