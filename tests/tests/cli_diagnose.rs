//! `diagnose` as a person and a program meet it: what the phone noted, out of plain and encrypted backups; what it says into its
//! log meanwhile; with an agent and without one; and phones that lie.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_e2e::{
    agent::{Agent, BY_DAY, WATCH_ONLY, configure},
    peers,
    table::{PATIENCE, Said, Table, persona},
};
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::Channel;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::Value;
use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PASSWORD: &str = "correct horse 🐴";

/// The same phone with a backup password that takes no time to try.
fn sealed(name: &str) -> Persona {
    let mut persona = persona(name);
    persona.backup.password = Some(PASSWORD.to_owned());
    (persona.backup.dpic, persona.backup.iter) = (10, 10);
    persona
}

fn table(persona: Persona, config: &str) -> Table {
    let table = Table::unix(persona);
    let root = table.root();
    configure(
        &table,
        &format!("{config}backup.root = \"{}\"\n", root.display()),
    );
    std::fs::create_dir(root).unwrap();
    table
}

fn run(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn with_input(table: &Table, arguments: &[&str], input: &str) -> Said {
    let mut child = piped(&mut table.ours(arguments));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

fn piped(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[track_caller]
fn assert_said(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    for word in words {
        assert!(said.all().contains(word), "no {word:?} in {said:?}");
    }
}

fn backed_up(persona: Persona) -> Table {
    let table = table(persona, BY_DAY);
    let said = run(&table, &["backup"]);
    assert!(said.ok(), "{said:?}");
    table
}

#[test]
fn without_an_agent_the_newest_backup_says_why() {
    let table = backed_up(persona("icloud-full"));
    let said = run(&table, &["diagnose"]);
    let words = [
        "Why",
        "iCloud storage is full",
        "because",
        "What the phone noted",
        "just now",
        "MBErrorDomain 303",
        "9 failures",
        "then it was unlocked",
        "photos and videos: 9.4 GB",
    ];
    assert_said(&said, 3, &words);

    let known = json(&run(&table, &["diagnose", "ada’s iphone", "--json"]));
    assert_eq!(known["schema"], 1);
    assert_eq!(known["causes"][0]["code"], "icloud_full");
    assert_eq!(known["causes"][0]["confidence"], "certain");
    assert_eq!(known["notes"]["state"], "read");
    assert_eq!(known["notes"]["enabled"], true);
    assert!(known["notes"]["last"].is_string());
    assert_eq!(known["notes"]["attempts"].as_array().unwrap().len(), 10);
    assert_eq!(known["notes"]["windows"][0]["ended_by"][0], "unlocked");

    let status = json(&run(&table, &["status", "--json"]));
    assert_ne!(
        status["devices"][0]["cause"], "icloud_full",
        "nothing is kept"
    );
    assert_said(&run(&table, &["diagnose", "Eve"]), 2, &["Ada’s iPhone"]);
}

#[test]
fn an_encrypted_backup_wants_its_password() {
    let table = backed_up(sealed("icloud-full"));
    let said = run(&table, &["diagnose"]);
    assert_said(
        &said,
        3,
        &["inside the encrypted backup", "enter its password"],
    );
    let known = json(&run(&table, &["diagnose", "--json"]));
    assert_eq!(known["notes"]["state"], "sealed");

    let ask = ["diagnose", "--password-stdin"];
    let right = with_input(&table, &ask, &format!("{PASSWORD}\n"));
    assert_said(&right, 3, &["iCloud storage is full", "MBErrorDomain 303"]);
    let wrong = with_input(&table, &ask, "Tr0ub4dor&3\n");
    assert_said(&wrong, 2, &["the password does not open the backup"]);
    assert!(!wrong.all().contains("Tr0ub4dor"), "{wrong:?}");
    assert_said(&with_input(&table, &ask, ""), 2, &["there is no password"]);
    let wrong = with_input(&table, &["diagnose", "--password-stdin", "--json"], "no\n");
    assert_eq!(json(&wrong)["error"], "wrong_password");

    let left = ["Tr0ub4dor", PASSWORD];
    for file in files(table.home()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !left.iter().any(|secret| text.contains(secret)),
            "a password is in {}",
            file.display()
        );
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push(path);
        }
    }
    all
}

#[test]
fn the_agent_reads_by_itself_what_is_not_encrypted() {
    let table = table(persona("icloud-full"), BY_DAY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "a verified copy", |device| {
        device.local.state == "verified" && device.backup.is_none()
    });
    let begin = Instant::now();
    let known = loop {
        let known = json(&run(&table, &["fix", "--json"]));
        if known["causes"][0]["code"] == "icloud_full" || begin.elapsed() > PATIENCE {
            break known;
        }
    };
    assert_eq!(
        known["causes"][0]["code"],
        "icloud_full",
        "{}",
        agent.words()
    );
    assert!(
        !agent.words().contains("not enough space"),
        "no text of the phone is logged"
    );
    agent.end();
}

#[test]
fn what_was_opened_with_the_password_stays_with_the_agent() {
    let table = table(sealed("icloud-full"), BY_DAY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "a verified copy", |device| {
        device.local.state == "verified" && device.backup.is_none()
    });
    let known = json(&run(&table, &["diagnose", "--json"]));
    assert_eq!(known["notes"]["state"], "sealed");
    let hint = "Ada’s iPhone: The phone’s own notes are inside the encrypted backup";
    let status = run(&table, &["status"]);
    assert!(status.out.contains(hint), "{status:?}");
    let ask = ["diagnose", "--password-stdin", "--json"];
    let known = json(&with_input(&table, &ask, &format!("{PASSWORD}\n")));
    assert_eq!(known["causes"][0]["code"], "icloud_full");
    let known = json(&run(&table, &["diagnose", "--json"]));
    assert_eq!(known["notes"]["state"], "read", "without the password");
    let fix = json(&run(&table, &["fix", "--json"]));
    assert_eq!(fix["causes"][0]["code"], "icloud_full", "the ladder knows");
    let status = run(&table, &["status"]);
    assert!(!status.out.contains(hint), "{status:?}");
    agent.end();
}

/// An agent that has seen the phone.
fn watching(table: &Table) -> Agent<'_> {
    let agent = Agent::start(table);
    agent.when_device(&table.udid(), "it was visited", |device| {
        !device.links.is_empty() && device.trust == "trusted" && device.seen_at.is_some()
    });
    agent
}

/// Waits until the phone is listened to.
fn wait_until_heard(table: &Table) {
    let begin = Instant::now();
    let phone = table.phone();
    while !(phone.phone().journal().names(Channel::Log)).contains(&"StartActivity".to_owned()) {
        assert!(begin.elapsed() < PATIENCE, "nobody listens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_attempt_is_heard_while_it_fails() {
    for with_agent in [true, false] {
        let table = table(persona("icloud-full"), WATCH_ONLY);
        let agent = with_agent.then(|| watching(&table));
        let child = piped(&mut table.ours(&["diagnose", "--live"]));
        wait_until_heard(&table);
        table.phone().back_up_to_icloud_now();
        let said: Said = child.wait_with_output().unwrap().into();
        let words = [
            "tap Back Up Now",
            "The phone says: iCloud storage is full (303).",
            "The attempt has ended.",
            "because",
        ];
        assert_said(&said, 4, &words);
        let known = json(&run(&table, &["diagnose", "--json"]));
        let attempt = &known["heard"]["attempt"];
        assert_eq!(
            attempt["errors"][0], "MBErrorDomain 303",
            "it is kept: {known}"
        );
        if let Some(agent) = agent {
            agent.end();
        }
    }
}

#[test]
fn what_is_heard_as_lines_for_programs() {
    let table = table(persona("icloud-no-network"), WATCH_ONLY);
    let agent = watching(&table);
    let child = piped(&mut table.ours(&["diagnose", "--live", "--json"]));
    wait_until_heard(&table);
    table.phone().back_up_to_icloud_now();
    let said: Said = child.wait_with_output().unwrap().into();
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (events[0], *events.last().unwrap()),
        ("listening", "ended"),
        "{said:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line["event"] == "sign" && line["code"] == "failed"),
        "{said:?}"
    );
    assert_eq!(lines.last().unwrap()["why"], "attempt_ended");
    agent.end();
}

#[test]
fn listening_is_stopped_politely_and_one_listens_at_a_time() {
    for with_agent in [true, false] {
        let table = table(persona("icloud-full"), WATCH_ONLY);
        let agent = with_agent.then(|| watching(&table));
        let child = piped(&mut table.ours(&["diagnose", "--live"]));
        wait_until_heard(&table);
        let second = run(&table, &["diagnose", "--live"]);
        assert_eq!(second.code, Some(2), "{second:?}");
        signal("INT", &child);
        let said: Said = child.wait_with_output().unwrap().into();
        assert_said(&said, 130, &["Listening was stopped."]);
        if let Some(agent) = agent {
            agent.end();
        }
    }
}

fn signal(name: &str, child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_phone_whose_log_lies_ends_in_a_sentence() {
    use backupwatch_sim::persona::TraceRogue::{Endless, HugeLength, LongMessage, Rubbish};
    for (rogue, code, words) in [
        (LongMessage, 4, "The attempt has ended."),
        (Endless, 4, "The attempt has ended."),
        (HugeLength, 1, "Nothing more can be heard"),
        (Rubbish, 1, "Nothing more can be heard"),
    ] {
        let mut nell = persona("hostile-log");
        nell.log.trace = vec![rogue];
        let table = table(nell, WATCH_ONLY);
        let agent = watching(&table);
        let said = run(&table, &["diagnose", "--live"]);
        assert_said(&said, code, &[words]);
        assert!(!said.all().contains("script"), "{said:?}");
        assert_eq!(agent.status().devices.len(), 1, "the agent goes on");
        agent.end();
    }
}

#[test]
fn a_phone_whose_notes_lie_is_not_believed() {
    for (name, state) in [("hostile-books", "read"), ("hostile-books-deep", "none")] {
        let table = backed_up(persona(name));
        let said = run(&table, &["diagnose", "--json"]);
        let known = json(&said);
        assert_eq!(known["notes"]["state"], state, "{name}: {said:?}");
        assert!(
            said.out.len() < 64 << 10,
            "{name}: {} bytes",
            said.out.len()
        );
        assert!(run(&table, &["diagnose"]).code.is_some(), "{name}");
    }
}

/// Our end of a terminal at which somebody sits, and the program's.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (File::from(ours), theirs)
}

fn at(terminal: &File, command: &mut Command) -> Child {
    command
        .env("TERM", "dumb")
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal.try_clone().unwrap())
        .spawn()
        .unwrap()
}

/// What is on the screen, once this is there.
fn screen(ours: &mut File, seen: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !seen.contains(wanted) {
        let count = ours.read(&mut buffer).unwrap();
        assert!(count > 0, "the terminal closed: {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

fn echoes(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    modes.contains(LocalModes::ECHO)
}

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let table = backed_up(sealed("icloud-full"));
    for (arguments, question, answer) in [
        (&["diagnose"][..], "Its password", "303"),
        (
            &["verify", "--password-stdin"],
            "Password of the backup: ",
            "(L4)",
        ),
    ] {
        let (mut ours, theirs) = terminal();
        let mut child = at(&theirs, &mut table.ours(arguments));
        let mut seen = String::new();
        screen(&mut ours, &mut seen, question);
        ours.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        screen(&mut ours, &mut seen, answer);
        assert!(!seen.contains("correct horse"), "{seen}");
        assert!(child.wait().unwrap().code().is_some());
        assert!(echoes(&theirs), "the terminal is as it was");
    }
}

#[test]
fn who_stops_at_the_password_finds_the_terminal_as_it_was() {
    let table = backed_up(sealed("icloud-full"));
    for (arguments, question) in [
        (&["diagnose"][..], "Its password"),
        (&["verify", "--password-stdin"], "Password of the backup: "),
    ] {
        let (mut ours, theirs) = terminal();
        let mut child = at(&theirs, &mut table.ours(arguments));
        screen(&mut ours, &mut String::new(), question);
        assert!(!echoes(&theirs), "what is typed now is not shown");
        signal("INT", &child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(echoes(&theirs));
    }
}

#[test]
fn without_the_password_a_person_sees_what_is_known() {
    let table = backed_up(sealed("icloud-full"));
    let (mut ours, theirs) = terminal();
    let mut child = at(&theirs, &mut table.ours(&["diagnose"]));
    let mut seen = String::new();
    screen(&mut ours, &mut seen, "Its password");
    ours.write_all(b"wrong\n").unwrap();
    screen(&mut ours, &mut seen, "That is not the password");
    ours.write_all(b"\n").unwrap();
    screen(&mut ours, &mut seen, "What the phone noted");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
