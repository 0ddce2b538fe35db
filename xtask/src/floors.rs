//! The floors of the architecture: an edge between our crates may only point down.

use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// What each crate may use of ours. Tests (`[dev-dependencies]`) may reach sideways to the simulator.
const ALLOWED: &[(&str, &[&str])] = &[
    ("backupwatch-core", &[]),
    ("backupwatch-wire", &[]),
    ("backupwatch-backup", &["core", "wire"]),
    ("backupwatch-imobiledevice", &[]),
    (
        "backupwatch-device",
        &["core", "wire", "backup", "imobiledevice"],
    ),
    ("backupwatch-notify", &["core"]),
    ("backupwatch-sim", &["wire"]),
    (
        "backupwatch-agent",
        &["core", "wire", "backup", "device", "notify"],
    ),
    (
        "backupwatch",
        &["core", "wire", "backup", "device", "notify", "agent", "sim"],
    ),
    (
        "backupwatch-e2e",
        &["core", "wire", "backup", "device", "notify", "agent", "sim"],
    ),
    // The guide in docs/remediation is written from core's data.
    ("xtask", &["core"]),
];

pub(crate) fn check() -> Result<()> {
    let out = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(crate::root())
        .output()
        .context("failed to run cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let wrong = wrong_edges(&metadata);
    if !wrong.is_empty() {
        bail!(
            "edges that the floors forbid (docs/ARCHITECTURE.md):\n  {}",
            wrong.join("\n  ")
        );
    }
    println!("floors: every edge points down");
    Ok(())
}

fn wrong_edges(metadata: &serde_json::Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            wrong.push(format!("{name}: a crate without a floor"));
            continue;
        };
        for dep in package["dependencies"].as_array().into_iter().flatten() {
            let target = dep["name"].as_str().unwrap_or_default();
            if dep["kind"] == "dev" {
                continue;
            }
            let ours = target == "backupwatch" || target == "xtask";
            let short = target.strip_prefix("backupwatch-");
            if ours || short.is_some_and(|short| !allowed.contains(&short)) {
                wrong.push(format!("{name} -> {target}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::wrong_edges;
    use serde_json::json;

    #[test]
    fn an_edge_upward_and_a_crate_without_a_floor_are_found() {
        let metadata = json!({"packages": [
            {"name": "backupwatch-core", "dependencies": [{"name": "backupwatch-wire", "kind": null}]},
            {"name": "backupwatch-wire", "dependencies": [{"name": "backupwatch-sim", "kind": "dev"}]},
            {"name": "backupwatch-new", "dependencies": []},
            {"name": "backupwatch-backup", "dependencies": [{"name": "backupwatch-core", "kind": null}]},
        ]});
        assert_eq!(
            wrong_edges(&metadata),
            [
                "backupwatch-core -> backupwatch-wire",
                "backupwatch-new: a crate without a floor"
            ]
        );
    }
}
