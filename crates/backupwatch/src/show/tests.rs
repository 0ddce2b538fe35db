use super::*;
use crate::choice::stranger;
use backupwatch_agent::status::{AgentStatus, SCHEMA};

fn device(number: usize, protection: &str, age_d: Option<i64>) -> DeviceStatus {
    let mut device = stranger(&format!("00008110-{number:016X}").parse().unwrap());
    device.name = Some(format!("iPad {number}"));
    device.protection = protection.to_owned();
    device.icloud.age_s = age_d.map(|days| days * 86_400);
    device.reason = match age_d {
        Some(days) => format!("The last iCloud backup ended {days} days ago."),
        None => "Nobody has looked yet.".to_owned(),
    };
    device
}

fn shown(devices: Vec<DeviceStatus>) -> String {
    let as_of = "2026-11-22T10:00:00Z".parse().unwrap();
    let all = Status {
        schema: SCHEMA,
        as_of,
        agent: AgentStatus {
            running: true,
            last_poll: Some(as_of),
            usbmuxd: Some(true),
            remarks: Vec::new(),
            managed: None,
        },
        store: None,
        stores: Vec::new(),
        devices,
    };
    let text = status(Terminal::of_width(80), &all, true, &TimeZone::UTC);
    anstream::adapter::strip_str(&text).to_string()
}

fn names(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("iPad"))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn the_worst_comes_first_and_of_equals_the_oldest() {
    let few = vec![
        device(1, "protected", Some(1)),
        device(2, "at_risk", Some(5)),
        device(3, "unknown", None),
        device(4, "at_risk", Some(9)),
        device(5, "unprotected", Some(40)),
    ];
    let text = shown(few);
    assert_eq!(
        names(&text),
        ["iPad 5", "iPad 4", "iPad 2", "iPad 3", "iPad 1"]
    );
}

/// A school has hundreds: how many of each sort, the bad ones in full, a line for each of the others.
#[test]
fn many_are_told_by_groups() {
    let many = (0..12).map(|number| match number {
        3 => device(number, "unprotected", Some(61)),
        5 | 7 => device(number, "at_risk", Some(i64::try_from(number).unwrap())),
        8 => device(number, "unknown", None),
        _ => device(number, "protected", Some(1)),
    });
    insta::assert_snapshot!(shown(many.collect()));
}
