//! `cargo xtask schema`: the JSON Schemas in `docs/schema`, from the types that the program writes and reads. The types can say what
//! they look like only in their own tests, so this runs the one test that asks; with `--write` it writes.

use anyhow::{Context as _, Result, bail};
use std::process::Command;

const TEST: &str = "schemas::the_files_are_what_the_types_say";

pub(crate) fn run(write: bool) -> Result<()> {
    let mut test = Command::new("cargo");
    test.args([
        "test",
        "--quiet",
        "-p",
        "backupwatch",
        "--bin",
        "backupwatch",
    ])
    .args(["--", "--exact", TEST])
    .current_dir(crate::root());
    if write {
        test.env("BACKUPWATCH_WRITE_SCHEMAS", "1");
    }
    let status = test.status().context("failed to run cargo")?;
    if !status.success() {
        bail!("docs/schema is not what the types say");
    }
    Ok(())
}
