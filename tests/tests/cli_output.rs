//! What comes out of the binary besides words: completion scripts, manual pages, colours, broken pipes.

#![cfg(unix)]

use backupwatch_e2e::{
    binary, peers,
    table::{PATIENCE, Said, Table, persona},
};
use std::{
    path::Path,
    process::{Command, Stdio},
};

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn alone(home: &Path, arguments: &[&str]) -> Said {
    peers::run(binary::command(home).args(arguments), PATIENCE).into()
}

#[test]
fn each_shell_reads_its_completions() {
    let home = tempfile::tempdir().unwrap();
    // (shell, how it is made to read a script without running it)
    for (shell, arguments) in [
        ("bash", ["-n"].as_slice()),
        ("zsh", &["-n"]),
        ("fish", &["--no-execute"]),
    ] {
        let said = alone(home.path(), &["completions", shell]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        for word in ["history", "state-dir", "simulate"] {
            assert!(said.out.contains(word), "{shell}: {word} is missing");
        }
        let Some(program) = peers::find(shell) else {
            continue;
        };
        let script = home.path().join(shell);
        std::fs::write(&script, &said.out).unwrap();
        let read: Said = peers::run(
            Command::new(&program).args(arguments).arg(&script),
            PATIENCE,
        )
        .into();
        assert_eq!(
            (read.code, read.err.as_str()),
            (Some(0), ""),
            "{shell}: {read:?}"
        );
    }
}

/// Not only readable: bash offers what there is.
#[test]
fn bash_completes_a_command() {
    let Some(bash) = peers::find("bash") else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("completions");
    std::fs::write(&script, alone(home.path(), &["completions", "bash"]).out).unwrap();
    for (line, offered) in [
        ("his", "history"),
        ("config sh", "show"),
        ("backup --fu", "--full"),
    ] {
        let words: Vec<&str> = std::iter::once("backupwatch")
            .chain(line.split(' '))
            .collect();
        let (before, last) = (words[words.len() - 2], words[words.len() - 1]);
        let program = format!(
            "source '{}'\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_backupwatch backupwatch '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script.display(),
            words.join(" "),
            words.len() - 1,
        );
        let said: Said = peers::run(Command::new(&bash).args(["-c", &program]), PATIENCE).into();
        assert_eq!(said.out.trim(), offered, "{line}: {said:?}");
    }
}

/// A page as it is read: bold is a letter over itself there.
fn rendered(mandoc: &Path, page: &Path) -> String {
    let said: Said = peers::run(
        Command::new(mandoc).args(["-T", "utf8"]).arg(page),
        PATIENCE,
    )
    .into();
    let mut text = String::new();
    for letter in said.out.chars() {
        match letter {
            '\u{8}' => drop(text.pop()),
            letter => text.push(letter),
        }
    }
    text
}

#[test]
fn the_manual_pages_render_without_an_error() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("man");
    let said = alone(home.path(), &["man", "--out", out.to_str().unwrap()]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    let mut pages: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    assert!(pages.len() > 12, "{pages:?}");
    let whole = home.path().join("backupwatch.1");
    std::fs::write(&whole, alone(home.path(), &["man"]).out).unwrap();
    assert_eq!(
        std::fs::read(&whole).unwrap(),
        std::fs::read(out.join("backupwatch.1")).unwrap()
    );
    let Some(mandoc) = peers::find("mandoc") else {
        return;
    };
    for page in &pages {
        let checked: Said = peers::run(
            Command::new(&mandoc)
                .args(["-T", "lint", "-W", "error"])
                .arg(page),
            PATIENCE,
        )
        .into();
        assert_eq!(checked.code, Some(0), "{}: {checked:?}", page.display());
        let text = rendered(&mandoc, page);
        assert!(text.contains("SYNOPSIS"), "{}: {text}", page.display());
    }
    let text = rendered(&mandoc, &whole);
    for words in ["Exit codes", "130", "unprotected"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

const ESCAPE: char = '\u{1b}';

/// Everything that has colours for a person has none for a pipe.
#[test]
fn a_pipe_gets_no_colours() {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.1;
    let table = Table::of(vec![phone]);
    for arguments in [
        ["check"].as_slice(),
        &["backup"],
        &["status"],
        &["history"],
        &["backup", "Eve"],
        &["--help"],
        &["--nope"],
        &["backup", "-vv"],
    ] {
        let said = ours(&table, arguments);
        assert!(!said.all().contains(ESCAPE), "{arguments:?}: {said:?}");
        assert!(!said.all().contains('\r'), "{arguments:?}: {said:?}");
    }
}

/// The same command on a terminal of its own, by `script` of util-linux.
fn on_a_terminal(
    table: &Table,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Option<String> {
    let script = peers::find("script")?;
    let ours = table.ours(arguments);
    let line = std::iter::once(ours.get_program())
        .chain(ours.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect::<Vec<_>>()
        .join(" ");
    let mut command = Command::new(script);
    command
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh");
    command.envs(environment.iter().copied());
    let said: Said = peers::run(&mut command, PATIENCE).into();
    Some(said.out)
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_gets_colours_unless_they_want_none() {
    let table = Table::of(vec![persona("stale-58-days")]);
    let Some(coloured) = on_a_terminal(&table, &["check"], &[]) else {
        return;
    };
    assert!(coloured.contains("UNPROTECTED"), "{coloured}");
    assert!(coloured.contains(ESCAPE), "{coloured}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let said = on_a_terminal(&table, &["check"], &[plain]).unwrap();
        assert!(said.contains("UNPROTECTED"), "{said}");
        assert!(!said.contains(ESCAPE), "{plain:?}: {said:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_sees_the_passcode_wait_and_the_bar() {
    let mut phone = persona("backup-mixed");
    // On a busy machine a second is over before anything is drawn.
    phone.passcode.after_s = 3.0;
    let table = Table::of(vec![phone]);
    let Some(said) = on_a_terminal(&table, &["backup"], &[("COLUMNS", "80")]) else {
        return;
    };
    for words in [
        "waiting for the passcode on the phone",
        "copying",
        "%",
        "is complete",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.contains("[="), "no bar is drawn: {said:?}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    assert!(
        !last.contains("copying"),
        "the bar is cleared away: {last:?}"
    );
}

/// `| head` has what it wanted. Nothing panics, nothing complains, and a backup goes on to its end.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.5;
    let table = Table::of(vec![phone]);
    for (arguments, code) in [
        (["config", "show"].as_slice(), 0),
        (&["completions", "bash"], 0),
        (&["man"], 0),
        (&["check"], 4),
        (&["backup", "--json"], 0),
        (&["status", "--json"], 5),
        (&["history", "--json"], 0),
    ] {
        let mut child = table
            .ours(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let said: Said = child.wait_with_output().unwrap().into();
        // After the backup the phone is at risk and no longer unprotected.
        let at_risk = arguments[0] == "status" && said.code == Some(3);
        assert!(
            said.code == Some(code) || at_risk,
            "{arguments:?}: {said:?}"
        );
        for word in ["panicked", "Broken pipe", "failed"] {
            assert!(!said.err.contains(word), "{arguments:?}: {said:?}");
        }
    }
    let verdict = table.phone().verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
}

/// A full disk behind `>` is one.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = binary::command(home.path())
        .args(["config", "show"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said: Said = output.into();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .contains("failed to write the output: No space left"),
        "{said:?}"
    );
}
