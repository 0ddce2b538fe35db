//! `device set` as a household uses it: a name, peace and quiet for one phone, its own thresholds; with an agent and without one.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_agent::status::DeviceStatus;
use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers, schema,
    table::{PATIENCE, Said, Table, persona},
};
use serde_json::Value;
use std::fs;

const ADA: &str = "00008101-000A111122225058";
const ALAN: &str = "00008101-000A11112222F1E5";

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn json(table: &Table, arguments: &[&str]) -> Value {
    let said = ours(table, arguments);
    serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
}

fn device(status: &Value, udid: &str) -> Value {
    let devices = status["devices"].as_array().unwrap();
    let found = devices.iter().find(|device| device["udid"] == udid);
    found.unwrap_or_else(|| panic!("{status:#}")).clone()
}

#[test]
fn a_phone_is_named_and_muted_while_the_agent_runs() {
    let table = Table::of(vec![persona("stale-58-days"), persona("fresh")]);
    configure(
        &table,
        &format!("# ours\n{WATCH_ONLY}[notify.repeat] # seldom\nfirst = \"9 d\"\n"),
    );
    assert_eq!(ours(&table, &["check"]).code, Some(4));

    // Muted before an agent runs, it tells nothing, and shows everything.
    let muted = json(
        &table,
        &["device", "set", ADA, "--name", "Mum", "--mute", "--json"],
    );
    assert_eq!(
        (&muted["in_force"], &muted["why"]),
        (&false.into(), &Value::Null),
        "{muted:#}"
    );
    assert_eq!(muted["own"]["name"], "\"Mum\"", "{muted:#}");
    schema::assert_hold(&[("device".to_owned(), muted.clone())]);
    let file = fs::read_to_string(table.config()).unwrap();
    assert!(
        file.contains("# ours") && file.contains("# seldom"),
        "{file}"
    );
    let agent = Agent::start(&table);
    agent.when_device(ADA, "it is judged", |device| {
        device.protection == "unprotected" && !device.links.is_empty()
    });
    let status = json(&table, &["status", "--json"]);
    let shown = device(&status, ADA);
    assert_eq!(
        (&shown["nickname"], &shown["protection"]),
        (&"Mum".into(), &"unprotected".into()),
        "{shown:#}"
    );
    assert_eq!(
        format!("{}", shown["muted_since"]),
        muted["own"]["muted_since"].as_str().unwrap(),
        "{shown:#}"
    );
    assert!(device(&status, ALAN).get("muted_since").is_none());
    let said = ours(&table, &["status"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(
        said.out.contains("Mum") && said.out.contains("so nothing is told about it"),
        "{said:?}"
    );
    assert_eq!(agent.notices(), Vec::<String>::new());

    // A threshold of the other phone's own holds at once, and so does the end of the silence.
    let said = ours(
        &table,
        &["device", "set", ALAN, "icloud.late=0.1", "icloud.stale=0.2"],
    );
    assert!(
        said.ok() && said.out.contains("The agent goes by it from now on"),
        "{said:?}"
    );
    let stale = agent.when_device(ALAN, "its own threshold holds", |device| {
        device.icloud.state == "stale"
    });
    assert_eq!(stale.nickname, None);
    let status = json(&table, &["status", "--json"]);
    let own = &device(&status, ALAN)["own"];
    assert!(own["icloud.stale"].is_string(), "{own:#}");
    assert!(device(&status, ADA).get("own").is_none(), "{status:#}");
    schema::assert_hold(&[("status".to_owned(), status.clone())]);
    let said = ours(&table, &["status"]);
    assert!(said.out.contains("icloud.late = "), "{said:?}");
    let said = ours(&table, &["device", "unset", "Mum", "--mute"]);
    assert!(said.ok(), "{said:?}");
    agent.when("what was not told before is told", |_| {
        agent
            .notices()
            .iter()
            .any(|title| title.contains("58 days"))
    });
    let back = json(&table, &["device", "unset", ADA, "--name", "--json"]);
    assert_eq!(back["own"], serde_json::json!({}), "{back:#}");
    agent.end();
}

/// As other daemons do; without a terminal there is none that could go away.
#[test]
fn a_hangup_has_the_agent_read_its_configuration_again() {
    let table = Table::of(vec![persona("fresh")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when_device(ALAN, "it is judged", |device| {
        device.protection == "protected" && device.nickname.is_none()
    });
    let named = |name: &str| {
        let name = name.to_owned();
        move |device: &DeviceStatus| device.nickname.as_deref() == Some(&name)
    };
    let call = |name: &str, rest: &str| {
        let text = format!("{WATCH_ONLY}[device.{ALAN}]\nname = \"{name}\"\n{rest}");
        configure(&table, &text);
        agent.signal("HUP");
    };
    call("Ben", "");
    agent.when_device(ALAN, "its name holds", named("Ben"));
    // A mistake is told in the log, and the agent goes on as it did.
    call("Carl", "icloud.stael = 3\n");
    agent.when("the mistake is told", |_| {
        agent
            .words()
            .contains("the old configuration stays at work")
    });
    assert!(agent.words().contains("stael"), "{}", agent.words());
    agent.when_device(ALAN, "its name still holds", named("Ben"));
    call("Dora", "");
    agent.when_device(ALAN, "its next name holds", named("Dora"));
    agent.end();
}

#[test]
fn what_would_be_wrong_is_not_written() {
    let table = Table::of(vec![persona("fresh")]);
    configure(&table, WATCH_ONLY);
    assert_eq!(ours(&table, &["check"]).code, Some(0));
    let before = fs::read_to_string(table.config()).unwrap();
    for (arguments, words) in [
        (
            ["device", "set", ALAN, "icloud.stael=3"].as_slice(),
            "unknown field `stael`",
        ),
        (
            &["device", "set", ALAN, "icloud.stale=40"],
            "must be greater",
        ),
        (
            &["device", "set", ALAN, "notify.desktop=false"],
            "holds for all devices",
        ),
        (
            &["device", "set", ALAN, "backup.root=photos"],
            "is a whole path",
        ),
        (
            &["device", "set", ALAN, "muted_since=yesterday"],
            "nothing was written",
        ),
        (&["device", "set", ALAN, "--name", " "], "a name is text"),
        (&["device", "set", "Eve", "--mute"], "no device is called"),
        (&["device", "unset", ALAN, "icloud.stale"], "is not set"),
        (&["device", "unset", ALAN, "--mute"], "`mute` is not set"),
        (&["device", "set", ALAN], "required"),
        (
            &["device", "set", ALAN, "icloud.stale"],
            "must be a key and its value",
        ),
    ] {
        let said = ours(&table, arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
        assert_eq!(
            fs::read_to_string(table.config()).unwrap(),
            before,
            "{arguments:?}"
        );
    }
    // One that nobody has met yet is named whole.
    let said = ours(&table, &["device", "set", ADA, "--name", "Mum"]);
    assert!(said.ok(), "{said:?}");
}
