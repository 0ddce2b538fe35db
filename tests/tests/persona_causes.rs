//! Every phone whose iCloud backups fail, backed up by the agent: what it makes of the phone's own notes, which step it proposes,
//! which it keeps locked or never proposes, and in which words. A table to read through.

#![cfg(unix)]

use backupwatch_agent::{api::words::BackupRequest, ladder::LadderDocument};
use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    table::{Table, persona},
};
use std::fmt::Write as _;

/// The phones of `fixtures/phones` that are about iCloud, by name.
fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/phones");
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
        .filter(|name| name.starts_with("icloud-") || name == "seed-story")
        .collect();
    names.sort();
    names
}

#[test]
fn every_cause_its_first_step_and_its_words() {
    let names = names();
    let phones = names.iter().map(|name| {
        let mut phone = persona(name);
        phone.passcode.after_s = 0.05;
        phone
    });
    let phones: Vec<_> = phones.collect();
    let udids: Vec<String> = phones
        .iter()
        .map(|phone| phone.identity.udid.clone())
        .collect();
    let table = Table::of(phones);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when("every phone is seen", |status| {
        status.devices.len() == names.len()
            && status.devices.iter().all(|device| device.seen_at.is_some())
    });
    for udid in &udids {
        let (udid, request) = (udid.parse().unwrap(), BackupRequest { full: false });
        // Two at a time; for the others that is no refusal, they follow.
        let _ = table.wait("it is asked for", agent.client().backup(&udid, &request));
    }
    for udid in &udids {
        agent.when_device(udid, "it is backed up", |device| {
            device.local.state == "verified"
        });
    }
    agent.when("the notes of all are read", |_| {
        let log = agent.words();
        log.matches("notes of its iCloud backups are read").count() == names.len()
    });
    let mut text = String::new();
    for (name, udid) in names.iter().zip(&udids) {
        let udid = udid.parse().unwrap();
        let ladder = table.wait("the agent tells", agent.client().ladder(&udid));
        let _ = writeln!(text, "{name}\n{}", without_dates(&told(&ladder.unwrap())));
    }
    insta::assert_snapshot!(text);
    agent.end();
}

fn told(ladder: &LadderDocument) -> String {
    let mut out = format!("  {}\n", ladder.words);
    for cause in &ladder.causes {
        let error = cause.error.as_deref().unwrap_or("no error");
        let _ = writeln!(
            out,
            "  {} ({}, {error}): {}, {}. {}",
            cause.code, cause.confidence, cause.title, cause.because, cause.advice
        );
        if let Some(says) = &cause.says {
            let _ = writeln!(out, "    says: {says}");
        }
    }
    for state in ["next", "locked", "never", "tried", "done"] {
        let steps: Vec<_> = ladder
            .steps
            .iter()
            .filter(|step| step.state == state)
            .collect();
        let mut said = "";
        for step in steps {
            // The same reason is told once.
            let why = if step.why == said {
                "as before"
            } else {
                &step.why
            };
            said = &step.why;
            let _ = writeln!(out, "  {state:<6} {:<3} {why}", step.id);
        }
    }
    if let Some(held) = &ladder.held {
        let _ = writeln!(out, "  held   {held}");
    }
    out
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The phones' dates are so many days before the day of the test: `17 November 2026` becomes `[date]`.
fn without_dates(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let mut kept = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let is_month = |at: usize| words.get(at).is_some_and(|word| MONTHS.contains(word));
            let is_day =
                word.parse::<u8>().is_ok() || word.trim_start_matches('(').parse::<u8>().is_ok();
            if at > 0 && is_month(at) || at > 1 && is_month(at - 1) {
                // Its day has said it.
                if let (true, Some(end)) = (is_month(at - 1), word.strip_prefix("20")) {
                    let end = end.trim_start_matches(|digit: char| digit.is_ascii_digit());
                    kept.push(format!("[date]{end}"));
                }
            } else if !(is_day && is_month(at + 1)) {
                kept.push((*word).to_owned());
            }
        }
        let _ = writeln!(lines, "{}", kept.join(" "));
    }
    lines
}
