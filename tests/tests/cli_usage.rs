//! The command line as it is typed, rightly and wrongly: help, mistakes, configuration files, errors for programs.

use backupwatch_e2e::{
    binary, peers,
    table::{PATIENCE, Said, Table, persona},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Our binary in an empty home, where no usbmuxd answers.
fn alone(home: &Path, arguments: &[&str]) -> Said {
    let mut command = binary::command(home);
    command
        .env("USBMUXD_SOCKET_ADDRESS", home.join("nobody"))
        .args(arguments);
    peers::run(&mut command, PATIENCE).into()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const COMMANDS: &[&[&str]] = &[
    &[],
    &["status"],
    &["check"],
    &["device", "set"],
    &["device", "unset"],
    &["device"],
    &["backup"],
    &["verify"],
    &["versions"],
    &["versions", "prune"],
    &["export"],
    &["fix"],
    &["diagnose"],
    &["doctor"],
    &["pair"],
    &["open"],
    &["history"],
    &["agent"],
    &["agent", "status"],
    &["install"],
    &["uninstall"],
    &["restart"],
    &["config"],
    &["config", "path"],
    &["config", "check"],
    &["config", "show"],
    &["simulate"],
    &["demo"],
    &["completions"],
    &["man"],
];

#[test]
fn the_help_of_every_command() {
    let home = home();
    let mut all = String::new();
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let said = alone(home.path(), &arguments);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        all.push_str(&format!(
            "$ backupwatch {}\n{}\n",
            arguments.join(" "),
            said.out
        ));
        let widest = said.out.lines().map(|line| line.chars().count()).max();
        assert!(
            widest <= Some(100),
            "{arguments:?}: a line of {widest:?} characters"
        );
    }
    insta::assert_snapshot!(all);
    let listed: BTreeSet<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .collect();
    let tested: BTreeSet<&str> = COMMANDS
        .iter()
        .filter_map(|words| words.first().copied())
        .collect();
    assert_eq!(listed, tested, "a command without its help in this test");
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        0,
        "to help is to leave nothing behind"
    );
}

#[test]
fn what_is_typed_wrongly_is_said_and_is_two() {
    let home = home();
    for (arguments, words) in [
        (["--nope"].as_slice(), "unexpected argument '--nope'"),
        (&["statsu"], "a similar subcommand exists: 'status'"),
        (&["status", "extra"], "unexpected argument 'extra'"),
        (&["backup", "a", "b"], "unexpected argument 'b'"),
        (&["config"], "backupwatch config"),
        (&["config", "edit"], "unrecognized subcommand 'edit'"),
        (&["history", "--limit", "0"], "0 is not in 1..=10000"),
        (&["history", "--limit", "many"], "invalid digit"),
        (&["completions", "nosh"], "possible values: bash"),
        (&["--state-dir"], "a value is required"),
        (&["backup", "--root"], "a value is required"),
        (
            &["simulate", "--listen", "nope://x"],
            "neither a path nor host:port",
        ),
        (
            &["simulate", "--listen", "256.0.0.1:1"],
            "neither a path nor host:port",
        ),
        (
            &["simulate", "/nothing/here.toml"],
            "/nothing/here.toml: No such file",
        ),
        (&["simulate", "/proc/self/status"], "/proc/self/status"),
        (
            &["simulate", "--listen", "/proc/none/mux"],
            "failed to listen on UNIX:/proc/none/mux: No such file",
        ),
        (&["man", "--out", "/proc/none"], "/proc/none"),
    ] {
        let said = alone(home.path(), arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
        assert_eq!(said.out, "", "{arguments:?}: mistakes are no data");
        assert!(!said.err.contains("failed to failed"), "{said:?}");
        assert!(!said.err.contains("panicked"), "{said:?}");
    }
}

#[test]
fn an_address_of_usbmuxd_that_is_none_is_said() {
    let home = home();
    for address in ["tcp:", "host:port:again", "127.0.0.1:99999"] {
        for arguments in [["check"].as_slice(), &["agent"], &["backup"]] {
            let mut command = binary::command(home.path());
            command
                .env("USBMUXD_SOCKET_ADDRESS", address)
                .args(arguments);
            let said: Said = peers::run(&mut command, PATIENCE).into();
            assert_eq!(said.code, Some(2), "{address}: {said:?}");
            assert!(
                said.err.contains("the address of usbmuxd cannot be used")
                    && said.err.contains("USBMUXD_SOCKET_ADDRESS"),
                "{address}: {said:?}"
            );
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let home = home();
    let said = alone(home.path(), &["--version"]);
    assert_eq!(
        said.out,
        format!("backupwatch {}\n", env!("CARGO_PKG_VERSION"))
    );
}

fn configurations(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/config")
        .join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn a_wrong_configuration_is_named_with_its_line_by_every_command() {
    let home = home();
    for file in configurations("bad") {
        let file = file.to_str().unwrap();
        let lines = std::fs::read_to_string(file).unwrap().lines().count();
        for command in [
            ["config", "check"].as_slice(),
            &["config", "show"],
            &["status"],
            &["check"],
            &["agent"],
        ] {
            let mut arguments = vec!["--config", file];
            arguments.extend(command);
            let said = alone(home.path(), &arguments);
            assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
            assert_eq!(said.out, "", "{arguments:?}");
            assert!(said.err.contains(file), "{arguments:?}: {said:?}");
            let line = said
                .err
                .split_once("line ")
                .and_then(|(_, rest)| rest.split_once(','))
                .and_then(|(line, _)| line.parse::<usize>().ok());
            assert!(
                line.is_some_and(|line| (1..=lines).contains(&line)),
                "{arguments:?}: {said:?}"
            );
        }
        let path = alone(home.path(), &["--config", file, "config", "path"]);
        assert_eq!(
            (path.code, path.out.trim_end()),
            (Some(0), file),
            "where it is helps most now"
        );
    }
}

#[test]
fn a_right_configuration_is_shown_as_it_holds() {
    let home = home();
    for file in configurations("good") {
        let file = file.to_str().unwrap();
        let checked = alone(home.path(), &["--config", file, "config", "check"]);
        assert_eq!(
            (checked.code, checked.out.as_str()),
            (Some(0), ""),
            "{checked:?}"
        );
        assert!(checked.err.contains("is right"), "{checked:?}");
        let shown = alone(home.path(), &["--config", file, "config", "show"]);
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{shown:?}");
        let again = home.path().join("again.toml");
        std::fs::write(&again, &shown.out).unwrap();
        let again = alone(
            home.path(),
            &["--config", again.to_str().unwrap(), "config", "show"],
        );
        assert_eq!(
            again.out, shown.out,
            "{file}: what is shown is another configuration"
        );
    }
}

#[test]
fn the_configuration_is_found_where_people_put_it() {
    let home = home();
    let path = |command: &mut std::process::Command| -> String {
        let said: Said = peers::run(command.args(["config", "path"]), PATIENCE).into();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        said.out.trim_end().to_owned()
    };
    let usual = home.path().join(".config/backupwatch/config.toml");
    assert_eq!(
        path(&mut binary::command(home.path())),
        usual.to_str().unwrap()
    );
    let xdg = home.path().join("xdg");
    assert_eq!(
        path(binary::command(home.path()).env("XDG_CONFIG_HOME", &xdg)),
        xdg.join("backupwatch/config.toml").to_str().unwrap()
    );
    // One that is named must be there; the usual one need not.
    assert_eq!(alone(home.path(), &["config", "check"]).code, Some(0));
    for named in ["nothing.toml", "."] {
        let said = alone(home.path(), &["--config", named, "status"]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(named), "{said:?}");
    }
    std::fs::create_dir_all(usual.parent().unwrap()).unwrap();
    std::fs::write(&usual, "icloud.late = \"3 d\"\n").unwrap();
    let shown = alone(home.path(), &["config", "show"]);
    assert!(shown.out.contains("late = \"3 d\""), "{shown:?}");
}

/// One document, also when something is wrong; the same words for the person beside it.
#[test]
fn errors_for_programs_are_json() {
    let table = Table::of(vec![persona("fresh"), persona("late")]);
    let file = table.home().join("wrong.toml");
    std::fs::write(&file, "icloud.stael = 3\n").unwrap();
    let wrong = file.to_str().unwrap();
    // (arguments, exit code, the stable word)
    for (arguments, code, error) in [
        (
            ["status", "--json", "--config", wrong].as_slice(),
            2,
            "config",
        ),
        (&["check", "--json", "--config", wrong], 2, "config"),
        (&["backup", "--json", "--config", wrong], 2, "config"),
        (&["backup", "--json"], 2, "which_device"),
        (&["backup", "Nobody’s iPhone", "--json"], 2, "which_device"),
        (&["pair", "00008101", "--json"], 2, "which_device"),
        (&["history", "--json", "Nobody’s iPhone"], 2, "which_device"),
        (
            &["check", "--json", "--state-dir", "/proc/none"],
            2,
            "start",
        ),
    ] {
        let said: Said = peers::run(table.ours(&[]).args(arguments), PATIENCE).into();
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        let document: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{arguments:?}: {said:?}"));
        let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "message", "next", "schema"], "{said:?}");
        assert_eq!(document["schema"], 1);
        assert_eq!(document["error"], error, "{arguments:?}");
        let message = document["message"].as_str().unwrap();
        assert!(said.err.contains(message), "{arguments:?}: {said:?}");
    }
}
