//! The document as a contract: which notes are said to be there, and the whole of it once.

use backupwatch_core::Level;
use backupwatch_core::diagnosis::Confidence;
use backupwatch_core::evidence::{Part, Uploading};
use backupwatch_core::{DeviceTime, Period};

use super::*;

fn at(text: &str) -> HostTime {
    HostTime(text.parse().unwrap())
}

const NOW: &str = "2026-11-22T10:00:00Z";

fn copy(made: &str, encrypted: bool) -> LocalCopy {
    LocalCopy {
        level: Level::L2,
        at: at(made),
        encrypted,
        bytes: 1,
        files: 1,
    }
}

#[test]
fn whether_there_are_notes_and_of_which_backup() {
    let (old, new) = ("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z");
    for (books, copy, state) in [
        (None, None, "no_backup"),
        (None, Some(copy(new, false)), "none"),
        (None, Some(copy(new, true)), "sealed"),
        (Some(old), Some(copy(new, true)), "sealed"),
        (Some(old), Some(copy(new, false)), "read"),
        (Some(new), Some(copy(new, true)), "read"),
        (Some(new), Some(copy(new, false)), "read"),
        (Some(old), None, "read"),
    ] {
        let read = books.map(|made| Books::blank(at(made)));
        let entry = notes(read.as_ref(), copy.as_ref());
        assert_eq!(entry.state, state, "{books:?} {copy:?}");
        assert_eq!(
            entry.as_of.is_some(),
            books.is_some(),
            "what is known is shown"
        );
        assert_eq!(
            entry.words.contains("older"),
            state == "read" && copy.is_some() && books == Some(old)
        );
    }
}

#[test]
fn the_whole_document() {
    let day = |day: i8| DeviceTime(format!("2026-11-{day:02}T02:00:00Z").parse().unwrap());
    let error = |domain, code| ErrorCode::new(domain, code).unwrap();
    let attempt = |day, chain| Attempt {
        at: day,
        chain,
        app: None,
        text: Some("There is not enough space.".to_owned()),
    };
    let full = vec![error("MBErrorDomain", 303), error("CKErrorDomain", 25)];
    let books = Books {
        attempts: vec![attempt(day(12), Vec::new()), attempt(day(19), full.clone())],
        failures: Some(9),
        retry_after: Some(day(23)),
        windows: Some(vec![Window {
            start: day(19),
            length: Period::hours(6),
            enabled: true,
            on_power: true,
            locked: false,
            on_wifi: true,
            ignored: 0,
            error: None,
        }]),
        upload: Some(Uploading {
            permille: 371,
            left: None,
        }),
        largest: vec![Part {
            domain: "CameraRollDomain".to_owned(),
            bytes: 9_400_000_000,
        }],
        total: Some(10_300_000_000),
        ..Books::blank(at("2026-11-20T00:00:00Z"))
    };
    let evidence = Evidence {
        books: Some(books),
        heard: Some(Heard {
            at: at("2026-11-21T09:00:00Z"),
            attempt: Some(attempt(day(21), full)),
            conditions: None,
            forbidden: false,
            nothing_due: false,
            put_off: false,
        }),
    };
    let cause = Cause {
        code: "icloud_full".to_owned(),
        title: "iCloud storage is full".to_owned(),
        confidence: Confidence::Certain,
        because: "because the phone says so".to_owned(),
        error: Some(error("MBErrorDomain", 303)),
        app: None,
        says: None,
        advice: String::new(),
        hard: true,
        steps: Vec::new(),
        never: Vec::new(),
        wait_until: None,
    };
    let udid = Udid::parse("00008110-000A1B2C3D4E5F60").unwrap();
    let known = Known {
        udid: &udid,
        name: Some("Anna’s iPhone".to_owned()),
        causes: &[cause],
        evidence: &evidence,
        copy: Some(&copy("2026-11-20T00:00:00Z", false)),
    };
    insta::assert_json_snapshot!(document(&known, at(NOW)));
}
