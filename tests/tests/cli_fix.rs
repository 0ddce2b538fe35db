//! `backupwatch fix`: the ladder in the terminal, for a person who is asked and for a script that is not.

#![cfg(unix)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    conversation::Conversation,
    peers,
    table::{PATIENCE, Said, Table, persona},
};
use serde_json::Value;
use std::collections::BTreeSet;

fn fix(table: &Table, more: &[&str]) -> Said {
    let mut command = table.ours(&["fix"]);
    peers::run(command.args(more), PATIENCE).into()
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// A phone whose iCloud storage is full.
fn table() -> Table {
    let mut phone = persona("icloud-full");
    phone.passcode.after_s = 0.1;
    let table = Table::of(vec![phone]);
    configure(&table, WATCH_ONLY);
    table
}

/// An agent that has read in a local backup why it stopped: S3 is next.
fn agent(table: &Table) -> Agent<'_> {
    let agent = Agent::start(table);
    agent.when_device(&table.udid(), "it is seen", |device| {
        device.seen_at.is_some()
    });
    let said: Said = peers::run(&mut table.ours(&["backup"]), PATIENCE).into();
    assert_eq!(said.code, Some(0), "{said:?}");
    agent.when_device(&table.udid(), "its notes are read", |device| {
        device.step.as_deref() == Some("S3")
    });
    agent
}

fn step<'d>(document: &'d Value, id: &str) -> &'d Value {
    let steps = document["steps"].as_array().expect("it has steps");
    let found = steps.iter().find(|step| step["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {document}"))
}

/// Every field with its type, lists by what is in them.
fn shape(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                shape(value, &format!("{path}.{name}"), out);
            }
        }
        Value::Array(entries) => {
            out.insert(format!("{path}: list"));
            for entry in entries {
                shape(entry, &format!("{path}[]"), out);
            }
        }
        Value::String(_) => drop(out.insert(format!("{path}: string"))),
        Value::Number(_) => drop(out.insert(format!("{path}: number"))),
        Value::Bool(_) => drop(out.insert(format!("{path}: bool"))),
        Value::Null => drop(out.insert(format!("{path}: null"))),
    }
}

#[test]
fn the_document_is_a_contract() {
    let table = table();
    let agent = agent(&table);
    let said = fix(&table, &["--did", "S0", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let said = fix(&table, &["--json"]);
    let document = json(&said);
    assert_eq!(document["device"], table.udid());
    let mut fields = BTreeSet::new();
    shape(&document, "", &mut fields);
    let fields: Vec<String> = fields.into_iter().collect();
    insta::assert_snapshot!("shape", fields.join("\n"));
    for step in document["steps"].as_array().unwrap() {
        let state = step["state"].as_str().unwrap();
        assert!(
            ["done", "next", "ready", "locked", "never", "tried"].contains(&state),
            "{step}"
        );
    }
    agent.end();
}

#[test]
fn a_script_says_what_was_done_and_takes_it_back() {
    let table = table();
    let agent = agent(&table);
    // (flag, what stands of the step then, whether a person marked it)
    for (flag, state, marked) in [
        ("--did", None, true),
        ("--did-not-help", Some("tried"), true),
        ("--not-for-me", Some("tried"), true),
        ("--undo", None, false),
    ] {
        let said = fix(&table, &[flag, "s2", "--json"]);
        assert_eq!(said.code, Some(0), "{flag}: {said:?}");
        let document = json(&said);
        let step = step(&document, "S2");
        assert_eq!(!step["marked"].is_null(), marked, "{flag}: {step}");
        if let Some(state) = state {
            assert_eq!(step["state"], state, "{flag}: {step}");
        } else {
            assert_ne!(step["state"], "tried", "{flag}: {step}");
        }
    }
    let said = fix(&table, &["--did", "S2"]);
    assert!(said.out.starts_with("Noted: you did S2."), "{said:?}");
    for wrong in [
        ["--did", "S99"].as_slice(),
        &["--did"],
        &["--did", "S2", "--undo", "S2"],
    ] {
        assert_eq!(fix(&table, wrong).code, Some(2), "{wrong:?}");
    }
    assert_eq!(fix(&table, &["Eve"]).code, Some(2));
    agent.end();
}

#[test]
fn a_pipe_gets_everything_at_once_and_no_question() {
    let table = table();
    let agent = agent(&table);
    let said = fix(&table, &[]);
    assert_eq!(
        said.code,
        Some(3),
        "as status ends for this phone: {said:?}"
    );
    for words in ["Next: ", "All steps", "S9", "`backupwatch fix --did "] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    for other in ["Which?", "\u{1b}"] {
        assert!(!said.out.contains(other), "{said:?}");
    }
    agent.end();
}

#[test]
fn without_an_agent_it_shows_what_was_known_and_keeps_nothing() {
    let table = table();
    assert_eq!(fix(&table, &[]).code, Some(6), "nothing is known yet");
    let agent = agent(&table);
    let with = json(&fix(&table, &["--json"]));
    agent.end();

    let said = fix(&table, &[]);
    assert!(
        said.out
            .contains("The agent is not running; it last looked"),
        "{said:?}"
    );
    assert!(said.out.contains("All steps"), "{said:?}");
    let without = json(&fix(&table, &["--json"]));
    for what in ["schema", "device", "name", "causes", "steps"] {
        assert_eq!(with[what], without[what], "{what}");
    }
    let said = fix(&table, &["--did", "S2", "--json"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert_eq!(json(&said)["error"], "agent_down");
    assert!(said.err.contains("the agent is not running"), "{said:?}");
    let after = json(&fix(&table, &["--json"]));
    assert_eq!(after["steps"], without["steps"]);
}

#[test]
fn without_any_agent_the_notes_in_the_backup_are_read() {
    let table = table();
    let said: Said = peers::run(&mut table.ours(&["backup"]), PATIENCE).into();
    assert_eq!(said.code, Some(0), "{said:?}");
    let ladder = json(&fix(&table, &["--json"]));
    assert_eq!(ladder["causes"][0]["code"], "icloud_full");
    assert_eq!(step(&ladder, "S3")["state"], "next");
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_is_asked_and_hears_what_comes_next() {
    let table = table();
    let agent = agent(&table);
    let Some(mut talk) = Conversation::start(&table, &["fix"]) else {
        return;
    };
    talk.hear("Next: S3, make room in iCloud");
    talk.hear("Which?");
    talk.say("x");
    talk.hear("Type one of");
    talk.say("a");
    talk.hear("All steps");
    talk.hear("Which?");
    talk.say("d S99");
    talk.hear("There is no such step");
    talk.say("h");
    talk.hear("Noted: S3 did not help.");
    talk.hear("Which?");
    talk.say("q");
    let (code, _) = talk.ended();
    assert_eq!(code, Some(3));
    let document = json(&fix(&table, &["--json"]));
    assert_eq!(step(&document, "S3")["state"], "tried");
    agent.end();
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_leaves_at_once_and_leaves_nothing_behind() {
    let table = table();
    let agent = agent(&table);
    let before = json(&fix(&table, &["--json"]));
    for (key, code) in [("\u{3}", 130), ("\u{4}", 3)] {
        let Some(mut talk) = Conversation::start(&table, &["fix"]) else {
            return;
        };
        talk.hear("Which?");
        talk.press(key);
        let (ended, said) = talk.ended();
        assert_eq!(ended, Some(code), "{said:?}");
        assert!(
            said.ends_with('\n') && !said.contains("panicked"),
            "{said:?}"
        );
    }
    let after = json(&fix(&table, &["--json"]));
    assert_eq!(after["steps"], before["steps"]);
    agent.end();
}
