//! Which device is meant, and what is told of devices: none, several, by name, without an agent, as JSON, and what happened before.

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    table::{PATIENCE, Said, Table, persona},
};
use backupwatch_sim::persona::Persona;
use serde_json::Value;
use std::collections::BTreeSet;

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn json(table: &Table, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = ours(table, arguments);
    let document = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (said.code, document)
}

fn stale() -> Persona {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.2;
    phone
}

#[test]
fn no_device_is_six_and_says_what_to_do() {
    let table = Table::of(Vec::new());
    for arguments in [["check"].as_slice(), &["backup"], &["pair"]] {
        let said = ours(&table, arguments);
        assert_eq!(said.code, Some(6), "{said:?}");
        let words = said.all().to_lowercase();
        assert!(
            words.contains("no device is known yet") && words.contains("connect the iphone"),
            "{said:?}"
        );
    }
    let agent = Agent::start(&table);
    assert_eq!(ours(&table, &["status"]).code, Some(6));
    agent.end();
}

#[test]
fn without_usbmuxd_nobody_is_sent_for_a_cable() {
    let table = Table::of(vec![stale()]);
    table.wait("usbmuxd ends", table.sim().mux_down());
    for arguments in [["check"].as_slice(), &["backup"], &["pair"]] {
        let said = ours(&table, arguments);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.all()
                .to_lowercase()
                .contains("phones cannot be seen: usbmuxd"),
            "{said:?}"
        );
        assert!(!said.err.contains("cable"), "{said:?}");
    }
    let (code, document) = json(&table, &["backup", "--json"]);
    assert_eq!((code, &document["error"]), (Some(1), &"usbmuxd".into()));
}

#[test]
fn a_device_is_named_as_people_name_things() {
    let table = Table::of(vec![stale(), persona("fresh"), persona("old-iphone")]);
    configure(
        &table,
        &format!("{WATCH_ONLY}[device.\"00008101-000A11112222F1E5\"]\nname = \"Mum\"\n"),
    );
    assert_eq!(ours(&table, &["check"]).code, Some(4));
    // (what is typed, whose history it is)
    for (named, meant) in [
        ("Ada’s iPhone 📱", Ok("5058")),
        ("ada’s iphone", Ok("F1E5")),
        ("Mum", Ok("F1E5")),
        ("00008101-000A111122225058", Ok("5058")),
        ("00008101000a111122225058", Ok("5058")),
        ("fa4e", Ok("0008")),
        ("00008101", Err("fits several devices")),
        ("Eve", Err("no device is called “Eve”")),
        ("", Err("no device is called")),
    ] {
        let said = ours(&table, &["pair", named]);
        match meant {
            // They trust us all, so to ask is to be told.
            Ok(_) => assert_eq!(said.code, Some(0), "{named}: {said:?}"),
            Err(words) => {
                assert_eq!(said.code, Some(2), "{named}: {said:?}");
                assert!(said.err.contains(words), "{named}: {said:?}");
                assert!(
                    said.err.contains("Name one of") && said.err.contains("00008101-000A"),
                    "{named}: {said:?}"
                );
            }
        }
        if let Ok(end) = meant {
            let (_, answer) = json(&table, &["pair", named, "--json"]);
            assert!(answer["udid"].as_str().unwrap().ends_with(end), "{answer}");
            assert_eq!(answer["trust"], "trusted");
        }
    }
    let said = ours(&table, &["backup"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("several devices are known"), "{said:?}");
    let said = ours(&table, &["status"]);
    assert!(said.out.contains("Mum"), "the nickname is shown: {said:?}");
}

#[test]
fn a_device_that_is_away_or_shut_is_not_backed_up_and_says_why() {
    let table = Table::of(vec![stale(), persona("untrusted")]);
    configure(&table, WATCH_ONLY);
    assert_eq!(ours(&table, &["check"]).code, Some(4));
    table.phone().unplug();
    let run = |how: &str| {
        for (device, words) in [
            ("00008101-000A111122225058", "the device is not connected"),
            (
                "00008101-000A11112222C0DE",
                "it waits for the device to trust this computer",
            ),
        ] {
            let said = ours(&table, &["backup", device]);
            assert_eq!(said.code, Some(7), "{how}: {said:?}");
            assert!(said.err.contains(words), "{how}: {said:?}");
        }
    };
    run("alone");
    let agent = Agent::start(&table);
    agent.when_device("00008101-000A11112222C0DE", "it is there", |device| {
        device.links == ["usb"]
    });
    run("through the agent");
    let said = ours(&table, &["backup", "--root", "/elsewhere"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err
            .contains("the agent is running and keeps its backups in"),
        "{said:?}"
    );
    agent.end();
}

#[test]
fn pairing_from_the_terminal_waits_for_the_person() {
    for (with_agent, answer, code) in [
        (false, "trusted", 0),
        (false, "denied", 3),
        (true, "trusted", 0),
    ] {
        let table = Table::of(vec![persona("untrusted")]);
        configure(&table, WATCH_ONLY);
        let agent = with_agent.then(|| Agent::start(&table));
        let (said, document) = std::thread::scope(|scope| {
            scope.spawn(|| {
                table.wait("the phone asks", table.phone().trust_dialog_shown());
                match answer {
                    "trusted" => assert!(table.phone().tap_trust()),
                    _ => assert!(table.phone().deny_trust()),
                }
            });
            let said = ours(&table, &["pair", "--json"]);
            let document: Value =
                serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
            (said, document)
        });
        assert_eq!(said.code, Some(code), "{said:?}");
        assert_eq!(document["trust"], answer, "{said:?}");
        assert!(said.err.contains("tap Trust"), "{said:?}");
        if let Some(agent) = agent {
            agent.end();
        }
        if answer == "trusted" {
            let (code, document) = json(&table, &["check", "--json"]);
            assert_eq!(code, Some(0), "{document}");
        }
    }
}

#[test]
fn without_an_agent_the_last_state_is_told_with_its_age_and_is_five() {
    let table = Table::of(vec![persona("fresh")]);
    let said = ours(&table, &["status"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(
        said.out
            .contains("The agent is not running; it has not looked yet"),
        "{said:?}"
    );
    assert_eq!(ours(&table, &["check"]).code, Some(0));
    let said = ours(&table, &["status"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    for words in [
        "Ada’s iPhone (iPhone13,2, iOS 18.4.1): protected",
        "The last iCloud backup ended 9 hours ago.",
        "Seen           just now\n",
        "The agent is not running; it last looked just now.",
        "Start it with `backupwatch install`.",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    // No command at all is the same.
    let short = ours(&table, &[]);
    assert_eq!((short.code, &short.out), (Some(5), &said.out));
    let (code, document) = json(&table, &["status", "--json"]);
    assert_eq!(code, Some(5));
    assert_eq!(document["agent"]["running"], false);
}

/// Every path to a value of the document, with lists as `[]`.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                paths(field, &format!("{at}.{name}"), into);
            }
        }
        Value::Array(items) => {
            into.insert(format!("{at}[]"));
            for item in items {
                paths(item, &format!("{at}[]"), into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.insert(at.to_owned());
        }
    }
}

/// What scripts rely on. A line may come in; none may go, and none may change its meaning.
const SCHEMA_1: &str = "
.agent.last_poll .agent.remarks[] .agent.running .agent.usbmuxd
.as_of
.devices[].alias .devices[]
.devices[].backup.bytes .devices[].backup.files .devices[].backup.percent .devices[].backup.phase
.devices[].cause .devices[].due
.devices[].icloud.age_s .devices[].icloud.enabled .devices[].icloud.last .devices[].icloud.state .devices[].icloud.why
.devices[].links[]
.devices[].local.age_s .devices[].local.damaged .devices[].local.encrypted .devices[].local.last .devices[].local.level
.devices[].local.reread_at .devices[].local.state .devices[].local.verified_at
.devices[].model .devices[].name
.devices[].next.code .devices[].next.words
.devices[].nickname .devices[].os_version .devices[].protection .devices[].reason .devices[].seen_at
.devices[].snoozed_until .devices[].step .devices[].trust .devices[].udid
.schema
.store.free .store.root .store.state .store.words";

#[test]
fn the_status_document_of_schema_1() {
    let mut phone = stale();
    phone.passcode.answer = backupwatch_sim::persona::PromptAnswer::Wait;
    let table = Table::of(vec![phone]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    let mut backup = table
        .ours(&["backup", "--json"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    table.wait("the phone asks", table.phone().prompt_shown());
    agent.when_device(&table.udid(), "the passcode is waited for", |device| {
        device
            .backup
            .as_ref()
            .is_some_and(|backup| backup.phase == "waiting_for_passcode")
    });
    let (code, document) = json(&table, &["status", "--json"]);
    assert!(table.phone().cancel_passcode());
    assert_eq!(backup.wait().unwrap().code(), Some(7));
    agent.end();

    assert_eq!(code, Some(4));
    let mut is = BTreeSet::new();
    paths(&document, "", &mut is);
    let should: BTreeSet<String> = SCHEMA_1.split_whitespace().map(str::to_owned).collect();
    assert_eq!(is, should);
    for moment in [
        "/as_of",
        "/agent/last_poll",
        "/devices/0/seen_at",
        "/devices/0/icloud/last",
    ] {
        let text = document.pointer(moment).and_then(Value::as_str).unwrap();
        assert!(
            text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(),
            "{moment}: {text}"
        );
    }
    // Without an agent it is the same document.
    let (_, alone) = json(&table, &["status", "--json"]);
    let keys = |document: &Value| -> Vec<String> {
        document["devices"][0]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(&alone), keys(&document));
}

#[test]
fn the_history_tells_what_happened_newest_first() {
    let table = Table::of(vec![stale(), persona("cloud-off")]);
    configure(&table, WATCH_ONLY);
    let nothing = ours(&table, &["history"]);
    assert_eq!(
        (nothing.code, nothing.out.trim()),
        (Some(0), "Nothing has happened yet.")
    );
    let ada = "00008101-000A111122225058";
    let agent = Agent::start(&table);
    agent.when("both are told about", |_| agent.notices().len() == 2);
    let said = ours(&table, &["backup", ada]);
    assert!(said.ok(), "{said:?}");
    let (_, through) = json(&table, &["history", "--json"]);
    agent.end();
    let (code, document) = json(&table, &["history", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        document["entries"], through["entries"],
        "with and without an agent"
    );
    let entries = document["entries"].as_array().unwrap();
    let kinds: Vec<&str> = entries
        .iter()
        .map(|entry| entry["entry"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "run").count(), 1);
    // Two verdicts, the passcode, and the end.
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "notice").count(),
        4,
        "{document:#}"
    );
    let moments: Vec<&str> = entries
        .iter()
        .map(|entry| {
            entry
                .get("at")
                .or(entry.get("ended"))
                .unwrap()
                .as_str()
                .unwrap()
        })
        .collect();
    let at: Vec<jiff::Timestamp> = moments.iter().map(|at| at.parse().unwrap()).collect();
    assert!(at.is_sorted_by(|one, next| one >= next), "{moments:?}");
    let run = entries
        .iter()
        .find(|entry| entry["entry"] == "run")
        .unwrap();
    assert_eq!(
        (&run["ok"], &run["outcome"], &run["level"]),
        (&true.into(), &"verified".into(), &"L2".into())
    );

    let of = |arguments: &[&str]| {
        json(&table, arguments).1["entries"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(of(&["history", "--json", "--limit", "2"]), 2);
    assert_eq!(of(&["history", "--json", ada]), 4);
    assert_eq!(of(&["history", "--json", "Konrad’s iPad"]), 1);
    let said = ours(&table, &["history"]);
    for words in [
        "Ada’s iPhone 📱: The backup is complete",
        "Notice: Ada’s iPhone 📱: no iCloud backup for 58 days",
        "Notice: Konrad’s iPad: iCloud Backup is off",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
}
