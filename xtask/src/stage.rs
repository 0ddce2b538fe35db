//! The files that go with the executable into every package for Linux: made from the executable's own definition, from
//! `launchd/`, and from the project's own texts.

use anyhow::{Context as _, Result, ensure};
use std::{fs, path::Path, process::Command};

const UNIT: &str = include_str!("../../launchd/systemd/backupwatch.service");
const COPYRIGHT: &str = include_str!("../packaging/copyright");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

/// What `completions` is asked for, and what that shell looks for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "backupwatch"),
    ("zsh", "_backupwatch"),
    ("fish", "backupwatch.fish"),
];

/// Manual pages and completions, from the executable itself.
pub(crate) fn manual(executable: &Path, folder: &Path) -> Result<()> {
    let output = Command::new(executable)
        .args(["man", "--out"])
        .arg(folder.join("man"))
        .output()
        .with_context(|| format!("failed to start {}", executable.display()))?;
    ensure!(output.status.success(), "the manual pages were not written");
    for (shell, name) in COMPLETIONS {
        let output = Command::new(executable)
            .args(["completions", shell])
            .output()?;
        ensure!(
            output.status.success(),
            "there are no completions for {shell}"
        );
        let folder = folder.join("completions").join(shell);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), output.stdout)?;
    }
    Ok(())
}

/// The unit for an executable that a package installs.
pub(crate) fn unit() -> String {
    // The first line tells how to fill the template in.
    let text = UNIT
        .lines()
        .filter(|line| !line.starts_with("# A template"));
    let text: String = text.flat_map(|line| [line, "\n"]).collect();
    text.replace("@EXECUTABLE@", "/usr/bin/backupwatch")
}

/// Debian's copyright file, with the text of the licence that Debian has not.
pub(crate) fn copyright() -> Result<String> {
    let licence = fs::read_to_string(crate::root().join("LICENSE-MIT"))?;
    let licence: Vec<String> = licence
        .lines()
        .map(|line| match line {
            "" => " .".to_owned(),
            line => format!(" {line}"),
        })
        .collect();
    Ok(COPYRIGHT.replace("@MIT@", &licence.join("\n")))
}

/// The changelog as Debian writes them: one entry for the version that is packed.
pub(crate) fn changelog(maintainer: &str) -> Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let ours = CHANGELOG
        .split("\n## ")
        .find(|part| part.split_whitespace().next() == Some(version))
        .with_context(|| format!("CHANGELOG.md has no {version}"))?;
    let mut changes: Vec<String> = Vec::new();
    for line in ours.lines().skip(1).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("- "), changes.last_mut()) {
            (None, Some(begun)) => begun.extend([" ", line.trim_start()]),
            (change, _) => changes.push(change.unwrap_or(line).to_owned()),
        }
    }
    let layout = textwrap::Options::new(80)
        .initial_indent("  * ")
        .subsequent_indent("    ");
    let changes: Vec<String> = changes
        .iter()
        .map(|change| textwrap::fill(change, &layout))
        .collect();
    Ok(format!(
        "backupwatch ({version}-1) unstable; urgency=medium\n\n{}\n\n -- {maintainer}  {}\n",
        changes.join("\n"),
        date()?
    ))
}

/// When the packed state was committed; without a history, now.
fn date() -> Result<String> {
    let committed = Command::new("git")
        .args(["log", "-1", "--format=%cD"])
        .current_dir(crate::root())
        .output();
    let date = match committed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => output.stdout,
        _ => Command::new("date").arg("-R").output()?.stdout,
    };
    Ok(String::from_utf8(date)?.trim().to_owned())
}
