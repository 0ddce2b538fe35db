//! What the phone says, and what we make of it: tables, stories, and what must hold for any evidence at all.

mod codes;
mod data;
mod laws;
mod situations;
mod stories;

use super::*;
use crate::evidence::{Attempt, Books, Conditions, Heard, Window};
use crate::facts::Facts;
use crate::fixture::{at, earlier, facts};
use crate::time::HostTime;

/// The moment of asking, in every test that does not say another.
fn now() -> Now {
    at("2026-11-22T18:00:00Z")
}

/// What is known of a phone whose last iCloud backup is nine days old.
fn stale() -> Past {
    dated(Period::days(9))
}

fn dated(age: Period) -> Past {
    let mut past = Past::default();
    let then = now();
    past.absorb(facts(&then, age), &CloudPolicy::default(), &then);
    past
}

fn ask(past: &Past, evidence: &Evidence) -> Vec<Cause> {
    let evidence = evidence.clone().bounded();
    diagnose(past, &evidence, &CloudPolicy::default(), &now())
}

/// "MB 300, NSURLErrorDomain -1009", the outermost first.
fn chain(text: &str) -> Vec<ErrorCode> {
    text.split(", ")
        .filter(|link| !link.is_empty())
        .map(|link| {
            let (domain, code) = link.split_once(' ').unwrap();
            let domain = match domain {
                "MB" => "MBErrorDomain",
                "CK" => "CKErrorDomain",
                "CKI" => "CKInternalErrorDomain",
                "URL" => "NSURLErrorDomain",
                "Cocoa" => "NSCocoaErrorDomain",
                "POSIX" => "NSPOSIXErrorDomain",
                other => other,
            };
            ErrorCode::new(domain, code.parse().unwrap()).unwrap()
        })
        .collect()
}

fn hours_ago(hours: i64) -> DeviceTime {
    DeviceTime(earlier(&now(), Period::hours(hours)).0)
}

fn host(time: DeviceTime) -> HostTime {
    HostTime(time.0)
}

fn attempt(hours: i64, errors: &str) -> Attempt {
    Attempt {
        at: hours_ago(hours),
        chain: chain(errors),
        app: None,
        text: None,
    }
}

/// Books of an hour ago with these attempts in them, oldest first.
fn books(attempts: Vec<Attempt>) -> Books {
    Books {
        attempts,
        ..Books::blank(host(hours_ago(1)))
    }
}

fn noted(attempts: Vec<Attempt>) -> Evidence {
    of(books(attempts))
}

fn of(books: Books) -> Evidence {
    Evidence {
        books: Some(books),
        heard: None,
    }
}

fn silence(hours: i64) -> Heard {
    Heard {
        at: host(hours_ago(hours)),
        attempt: None,
        conditions: None,
        forbidden: false,
        nothing_due: false,
        put_off: false,
    }
}

fn heard(heard: Heard) -> Evidence {
    Evidence {
        books: None,
        heard: Some(heard),
    }
}

/// A stretch on charger and Wi-Fi of so many minutes, ended by unlocking.
fn window(hours: i64, minutes: i64) -> Window {
    Window {
        start: hours_ago(hours),
        length: Period::minutes(minutes),
        enabled: true,
        on_power: true,
        locked: false,
        on_wifi: true,
        ignored: 0,
        error: None,
    }
}

fn codes(causes: &[Cause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.code.as_str()).collect()
}

/// "S4 S5 S7".
fn list(steps: &[StepId]) -> String {
    let names: Vec<&str> = steps.iter().map(|step| step.code()).collect();
    names.join(" ")
}

/// A phone whose last iCloud backup is nine days old, with something else about it.
fn with(change: impl FnOnce(&mut Facts)) -> Past {
    let then = now();
    let mut facts = facts(&then, Period::days(9));
    change(&mut facts);
    let mut past = Past::default();
    past.absorb(facts, &CloudPolicy::default(), &then);
    past
}

fn books_with(change: impl FnOnce(&mut Books)) -> Evidence {
    let mut books = books(Vec::new());
    change(&mut books);
    of(books)
}

fn heard_with(change: impl FnOnce(&mut Heard)) -> Evidence {
    let mut hearing = silence(1);
    change(&mut hearing);
    heard(hearing)
}

const ALL_WELL: Conditions = Conditions {
    enabled: true,
    locked: true,
    on_power: true,
    on_wifi: true,
};
