//! From documents to numbers: what is said, and above all what is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use backupwatch_core::HostTime;
use serde_json::{Value, json};

use super::*;
use crate::metrics::families::ALL;
use crate::metrics::text::open_metrics;
use crate::state::LastRun;

const UDID: &str = "00008110-000A1B2C3D4E5F60";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A device as the status says it, with what `patch` changes of it.
fn device_with(patch: &Value) -> Value {
    let mut device = json!({
        "udid": UDID, "alias": "a11a5", "name": "Anna", "model": null, "os_version": null,
        "links": [], "trust": "trusted", "seen_at": "2026-11-22T07:59:00Z",
        "icloud": { "state": "critical", "why": null, "enabled": true, "last": "2026-09-25T07:00:00Z", "age_s": 5_014_800 },
        "local": { "state": "verified", "level": "L2", "last": "2026-11-21T08:00:00Z", "age_s": 86_400, "encrypted": false,
                   "verified_at": "2026-11-21T09:00:00Z" },
        "protection": "at_risk", "reason": "", "next": { "code": "nothing", "words": "" },
        "snoozed_until": null, "backup": null,
    });
    merge(&mut device, patch);
    device
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn status(devices: &[Value]) -> Status {
    serde_json::from_value(json!({
        "schema": 1, "as_of": "2026-11-22T08:00:00Z",
        "agent": { "running": true, "last_poll": "2026-11-22T07:58:00Z", "usbmuxd": true, "remarks": ["One."] },
        "store": { "root": "/Volumes/Safe", "state": "ready", "words": null, "free": 64_000_000_000_u64 },
        "devices": devices,
    }))
    .unwrap()
}

fn text_of(devices: &[Value], tallies: &BTreeMap<String, Tally>, names: bool) -> String {
    let health = Health {
        started: at("2026-11-22T06:00:00Z"),
        turns: 17,
    };
    open_metrics(Arc::new(measure(&status(devices), tallies, health, names))).unwrap()
}

/// Those samples of one device that say anything of `family`.
fn samples(patch: &Value, family: &str) -> Vec<String> {
    let text = text_of(&[device_with(patch)], &BTreeMap::new(), false);
    text.lines()
        .filter(|line| line.starts_with(family))
        .map(str::to_owned)
        .collect()
}

fn tally() -> Tally {
    Tally {
        outcomes: vec![("unplugged".to_owned(), 2), ("verified".to_owned(), 1)],
        received: 5e9,
        failures_in_a_row: 2,
        last: Some(LastRun {
            started: HostTime(at("2026-11-22T07:00:00Z")),
            ended: HostTime(at("2026-11-22T07:10:00.5Z")),
            is_verified: false,
            received: Some(1e9),
        }),
    }
}

#[test]
fn every_number_of_an_agent_with_one_device() {
    let text = text_of(
        &[device_with(
            &json!({ "local": { "damaged": 3 }, "due": { "reasons": [], "waiting_for": "" } }),
        )],
        &BTreeMap::from([(UDID.to_owned(), tally())]),
        false,
    );
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    insta::assert_snapshot!(
        said.join("\n")
            .replace(env!("CARGO_PKG_VERSION"), "[release]")
    );
    let families: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    assert_eq!(families.len(), ALL.len(), "each family is said, once");
}

#[test]
fn what_is_not_known_is_absent_and_no_zero() {
    let enabled = |value: Value| {
        samples(
            &json!({ "icloud": { "enabled": value } }),
            "backupwatch_icloud_enabled",
        )
    };
    assert_eq!(
        enabled(json!(true)),
        ["backupwatch_icloud_enabled{device=\"a11a5\"} 1.0"]
    );
    assert_eq!(
        enabled(json!(false)),
        ["backupwatch_icloud_enabled{device=\"a11a5\"} 0.0"]
    );
    assert_eq!(enabled(Value::Null), [""; 0]);
    let never = json!({
        "seen_at": null, "protection": "unknown",
        "icloud": { "state": "unknown", "why": "never_asked", "enabled": null, "last": null, "age_s": null },
        "local": { "state": "none", "level": null, "last": null, "age_s": null, "encrypted": null, "verified_at": null },
    });
    let mut unknown = Vec::new();
    for family in [
        "backupwatch_icloud_last",
        "backupwatch_local_last",
        "backupwatch_local_verified",
        "backupwatch_local_damaged",
        "backupwatch_last_contact",
        "backupwatch_backup_runs",
        "backupwatch_backup_last",
        "backupwatch_backup_failures",
    ] {
        unknown.extend(samples(&never, family));
    }
    assert_eq!(unknown, [""; 0]);
    assert!(samples(&never, "backupwatch_protection").contains(
        &"backupwatch_protection{device=\"a11a5\",protection=\"unknown\"} 1.0".to_owned()
    ));
}

/// A phone whose clock is a year ahead, or that tells a date of tomorrow, would look young for a year.
#[test]
fn a_date_that_is_in_doubt_makes_no_backup_young() {
    let last = |patch: Value| samples(&json!({ "icloud": patch }), "backupwatch_icloud_last").len();
    assert_eq!(last(json!({})), 1);
    assert_eq!(
        last(json!({ "state": "unknown", "why": "not_seen" })),
        1,
        "history grows old by itself"
    );
    assert_eq!(last(json!({ "state": "unknown", "why": "clock_wrong" })), 0);
    assert_eq!(last(json!({ "state": "unknown", "why": "unreadable" })), 0);
    assert_eq!(
        last(json!({ "last": "2026-11-22T08:00:01Z" })),
        0,
        "later than now"
    );
}

#[test]
fn a_backup_of_another_computer_is_none_of_ours() {
    let patch = json!({ "local": { "state": "elsewhere", "level": null, "verified_at": null } });
    assert_eq!(samples(&patch, "backupwatch_local_last"), [""; 0]);
    let states = samples(&patch, "backupwatch_local_state");
    assert_eq!(
        states.iter().filter(|line| line.ends_with(" 1.0")).count(),
        1
    );
}

#[test]
fn a_name_is_told_only_where_a_person_allowed_it() {
    let told = |patch: Value, names: bool| text_of(&[device_with(&patch)], &BTreeMap::new(), names);
    let without = told(json!({ "nickname": "Grandma" }), false);
    for private in ["Anna", "Grandma", UDID, "Volumes"] {
        assert!(!without.contains(private), "{private}");
    }
    assert!(told(json!({}), true).contains("device=\"a11a5\",name=\"Anna\""));
    assert!(told(json!({ "nickname": "Grandma" }), true).contains("name=\"Grandma\""));
    let hostile = told(json!({ "name": "\"} 1\nfoo\u{202e}\u{1b}[31m" }), true);
    assert!(hostile.contains("name=\"\\\"} 1 foo [31m\"}"), "{hostile}");
    assert!(!hostile.lines().any(|line| line.starts_with("foo")));
    let long = told(json!({ "name": "x".repeat(10_000) }), true);
    assert!(!long.contains(&"x".repeat(65)));
    let nameless = told(json!({ "alias": null }), true);
    assert!(
        !nameless.contains("Anna"),
        "no label but a name would be two devices in one"
    );
}

#[test]
fn too_many_devices_are_counted_and_the_worst_are_shown() {
    let devices: Vec<Value> = (0..DEVICES + 5)
        .map(|n| {
            let protection = if n == DEVICES + 4 {
                "unprotected"
            } else {
                "protected"
            };
            device_with(&json!({ "alias": format!("{n:016x}"), "protection": protection }))
        })
        .collect();
    let text = text_of(&devices, &BTreeMap::new(), false);
    assert!(text.contains("\nbackupwatch_devices_left_out 5.0\n"));
    assert!(text.contains("\nbackupwatch_devices{protection=\"protected\"} 1004.0\n"));
    let worst = format!(
        "backupwatch_protection{{device=\"{:016x}\",protection=\"unprotected\"}} 1.0",
        DEVICES + 4
    );
    assert!(text.contains(&worst));
    let shown = text
        .lines()
        .filter(|line| line.starts_with("backupwatch_last_contact"));
    assert_eq!(shown.count(), DEVICES);
}

#[test]
fn an_agent_that_ends_leaves_no_verdict_behind() {
    let text = open_metrics(Arc::new(farewell(at("2026-11-22T08:00:00Z")))).unwrap();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        said,
        [
            "backupwatch_agent_up 0.0",
            "backupwatch_as_of_timestamp_seconds 1795334400.0"
        ]
    );
}

/// Every name, its sort and its unit stand in the page that people write alerts by.
#[test]
fn the_page_of_metrics_is_complete() {
    let page = include_str!("../../../../../docs/metrics.md");
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `backupwatch_")?.split('`').next())
        .collect();
    let names: Vec<String> = ALL.iter().map(full_name).collect();
    let known: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_prefix("backupwatch_"))
        .collect();
    assert_eq!(listed, known);
}

fn full_name(family: &crate::metrics::sheet::Family) -> String {
    let unit = family
        .unit
        .map(|unit| format!("_{}", unit.name()))
        .unwrap_or_default();
    let total = match family.sort {
        crate::metrics::sheet::Sort::Counter => "_total",
        crate::metrics::sheet::Sort::Gauge => "",
    };
    format!("{}{unit}{total}", family.name)
}
