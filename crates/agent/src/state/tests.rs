//! The state file through its life: new, old, newer, foreign, damaged, full.

use std::path::Path;

use backupwatch_core::{HostTime, Udid};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn note(text: &str) -> Note {
    Note {
        text: text.to_owned(),
    }
}

fn udid(n: u64) -> Udid {
    Udid::parse(&format!("00008110-{n:016X}")).unwrap()
}

fn at(seconds: i64) -> HostTime {
    HostTime(Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_secs(seconds))
}

fn opened(path: &Path) -> State {
    let opened = open(path).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.state
}

#[test]
fn what_is_written_is_read_back_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = opened(&path);
    state.remember(&udid(1), at(10), &note("old")).unwrap();
    state.remember(&udid(1), at(20), &note("new")).unwrap();
    state.remember(&udid(2), at(30), &note("other")).unwrap();
    state.observe(&udid(1), at(20), &note("seen")).unwrap();
    state
        .add_run(&udid(1), at(21), at(25), "verified", &note("run"))
        .unwrap();
    state
        .add_notice(Some(&udid(1)), at(26), "alarm", "Title", "Body")
        .unwrap();
    state
        .add_notice(None, at(27), "info", "About the agent", "")
        .unwrap();
    state.polled(at(31)).unwrap();
    state.polled(at(32)).unwrap();

    let reader = open_read_only(&path).unwrap();
    let devices: Vec<Device<Note>> = reader.devices().unwrap();
    let seen: Vec<_> = devices
        .iter()
        .map(|d| (d.udid.clone(), d.last_seen, d.remembered.text.as_str()))
        .collect();
    assert_eq!(seen, [(udid(2), at(30), "other"), (udid(1), at(20), "new")]);
    assert_eq!(
        reader.observations::<Note>(&udid(1), 10).unwrap()[0].body,
        note("seen")
    );
    assert_eq!(reader.observations::<Note>(&udid(2), 10).unwrap(), []);
    let runs: Vec<RunRow<Note>> = reader.runs(None, 10).unwrap();
    assert_eq!(
        (runs[0].outcome.as_str(), &runs[0].report),
        ("verified", &note("run"))
    );
    assert_eq!(reader.runs::<Note>(Some(&udid(2)), 10).unwrap(), []);
    let titles = |rows: Vec<NoticeRow>| rows.into_iter().map(|row| row.title).collect::<Vec<_>>();
    assert_eq!(
        titles(reader.notices(None, 10).unwrap()),
        ["About the agent", "Title"]
    );
    assert_eq!(
        titles(reader.notices(Some(&udid(1)), 10).unwrap()),
        ["Title"]
    );
    assert_eq!(reader.agent().unwrap().last_poll, Some(at(32)));
    let refused = reader.polled(at(40)).unwrap_err();
    assert!(
        matches!(refused, StateError::Sqlite { .. }),
        "a reader must not write: {refused}"
    );
}

#[test]
fn a_reader_of_nothing_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert!(matches!(
        open_read_only(&path),
        Err(StateError::Missing { .. })
    ));
    assert!(!path.exists(), "a reader creates nothing");
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    drop(opened(&path));
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    for result in [
        open(&path).map(|opened| opened.state),
        open_read_only(&path),
    ] {
        let refused = result.unwrap_err();
        assert!(
            matches!(
                refused,
                StateError::Newer {
                    found: 99,
                    known: 3,
                    ..
                }
            ),
            "{refused}"
        );
        assert!(
            refused.to_string().contains("update backupwatch"),
            "{refused}"
        );
    }

    let foreign = dir.path().join("photos.db");
    let raw = rusqlite::Connection::open(&foreign).unwrap();
    raw.execute_batch(
        "CREATE TABLE photo (id); PRAGMA application_id = 77; PRAGMA user_version = 1",
    )
    .unwrap();
    drop(raw);
    let before = std::fs::read(&foreign).unwrap();
    assert!(matches!(
        open(&foreign),
        Err(StateError::Foreign { id: 77, .. })
    ));
    assert!(std::fs::read(&foreign).unwrap() == before);
}

/// Each row damages a good file in its own way.
#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage); 4] = [
        ("not a database", |bytes| {
            *bytes = b"this was a database once, but not any more ".repeat(40)
        }),
        ("header overwritten", |bytes| bytes[..64].fill(0xff)),
        ("a page of noise", |bytes| {
            let end = bytes.len().min(3 * 4096);
            bytes[4096..end].fill(0xa5);
        }),
        ("cut in the middle", |bytes| bytes.truncate(4096 + 100)),
    ];
    for (name, damage) in rows {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let state = opened(&path);
        for n in 0..50 {
            state
                .observe(&udid(n), at(0), &note(&"x".repeat(500)))
                .unwrap();
        }
        state
            .connection
            .pragma_update(None, "journal_mode", "delete")
            .unwrap();
        drop(state);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();

        let again = open(&path).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let aside = again
            .set_aside
            .unwrap_or_else(|| panic!("{name}: taken for whole"));
        assert!(
            std::fs::read(&aside).unwrap() == bytes,
            "{name}: the damaged file is kept as it was"
        );
        assert_eq!(again.state.devices::<Note>().unwrap(), [], "{name}");
        again.state.polled(at(1)).unwrap();
    }
}

#[test]
fn damaged_files_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    for n in 0..6 {
        std::fs::write(&path, format!("rubbish {n} ").repeat(100)).unwrap();
        assert!(open(&path).unwrap().set_aside.is_some());
    }
    let damaged = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("damaged")
    });
    assert_eq!(damaged.count(), 3);
}

#[test]
fn an_empty_file_is_a_new_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(
        open_read_only(&path),
        Err(StateError::Missing { .. })
    ));
    opened(&path).polled(at(1)).unwrap();
}

#[test]
fn rows_that_cannot_be_read_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = opened(&path);
    state.remember(&udid(1), at(1), &note("good")).unwrap();
    let rows = [
        ("'00008110-0000000000000002', 1, 1", "'{not json'"),
        (
            "'00008110-0000000000000003', 1, 2",
            "'{\"text\":\"of another schema\"}'",
        ),
        ("'../../etc', 1, 1", "'{\"text\":\"of no device\"}'"),
        (
            "'00008110-0000000000000004', 9223372036854775807, 1",
            "'{\"text\":\"after the end of time\"}'",
        ),
        (
            "'00008110-0000000000000005', 1, 1",
            &format!("'{}'", "[".repeat(100_000)),
        ),
    ];
    for (keys, body) in rows {
        let sql = format!(
            "INSERT INTO devices (udid, last_seen, schema, remembered) VALUES ({keys}, {body})"
        );
        state.connection.execute(&sql, ()).unwrap();
    }
    let devices: Vec<Device<Note>> = state.devices().unwrap();
    assert_eq!(
        devices.iter().map(|d| d.udid.clone()).collect::<Vec<_>>(),
        [udid(1)]
    );
}

#[test]
fn the_file_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = opened(&dir.path().join("state.db"));
    state.connection.execute_batch("BEGIN").unwrap();
    for n in 0..5_100 {
        state
            .remember(&udid(n), at(i64::try_from(n).unwrap()), &note("d"))
            .unwrap();
        state.add_notice(None, at(0), "info", "n", "").unwrap();
    }
    let busy = udid(5_099);
    let day = 86_400;
    // 1 500 days, and 2 100 polls of the day after them.
    for n in 0..1_500 {
        state
            .observe(&busy, at((n - 1_500) * day), &note("o"))
            .unwrap();
        let later = at((n - 1_500) * day + 60);
        state.observe(&busy, later, &note("o")).unwrap();
    }
    for n in 0..2_100 {
        state.observe(&busy, at(n), &note("o")).unwrap();
    }
    state
        .observe(&udid(0), at(0), &note("of a device that is forgotten"))
        .unwrap();
    state
        .add_run(
            &busy,
            at(-90_000_000),
            at(-90_000_000),
            "verified",
            &note("old, but the last one"),
        )
        .unwrap();
    state.connection.execute_batch("COMMIT").unwrap();

    state.prune(at(-200 * day)).unwrap();
    assert_eq!(state.devices::<Note>().unwrap().len(), 5_000);
    let observations = state.observations::<Note>(&busy, 9_999).unwrap();
    assert_eq!(
        (observations.len(), observations[0].at),
        (1_200, at(2_099)),
        "the newest stay, and one of each day before"
    );
    let yesterday = observations[1_000].at;
    assert_eq!(yesterday, at(60 - day), "the last one of that day");
    assert_eq!(state.observations::<Note>(&udid(0), 9).unwrap().len(), 0);
    assert_eq!(
        state.runs::<Note>(Some(&busy), 9).unwrap().len(),
        1,
        "the last of a kind stays, however old"
    );
    assert_eq!(state.notices(None, 9_999).unwrap().len(), 5_000);
    state.prune(at(10_000)).unwrap();
    assert_eq!(state.observations::<Note>(&busy, 9_999).unwrap().len(), 1);
    assert_eq!(state.notices(None, 9_999).unwrap(), []);
}

#[test]
fn what_a_timeline_needs_is_read_without_the_documents() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = opened(&path);
    let told = |date: serde_json::Value| serde_json::json!({ "facts": { "cloud_last": date } });
    let (old, new) = ("2026-09-01T01:00:00Z", "2026-09-20T01:00:00Z");
    let hour = 3_600;
    for (hours, date) in [
        (-2_000, serde_json::json!({ "Ok": "2026-06-01T01:00:00Z" })),
        (0, serde_json::json!({ "Ok": new })),
        (1, serde_json::json!({ "Ok": old })),
        (2, serde_json::json!({ "Ok": new })),
        (24, serde_json::json!({ "Err": "locked" })),
        (25, serde_json::json!({ "Ok": "soon" })),
        (26, serde_json::json!({ "Ok": 7 })),
        (27, serde_json::json!(null)),
    ] {
        state
            .observe(&udid(1), at(hours * hour), &told(date))
            .unwrap();
    }
    state
        .observe(&udid(2), at(0), &told(serde_json::json!({ "Ok": new })))
        .unwrap();
    state
        .execute(
            "UPDATE observations SET body = '{' WHERE at = ?1",
            [at(27 * hour).0.as_millisecond()],
        )
        .unwrap();

    let state = open_read_only(&path).unwrap();
    let dates = state.cloud_dates(&udid(1), at(-hour)).unwrap();
    let parse = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(dates, [parse(old), parse(new)]);
    // The epoch of these tests is at 14:13 UTC, so that the first three are of one day and 24 to 27 hours later of the next.
    let days = state.contacts(&udid(1), at(-hour), 0).unwrap();
    assert_eq!(
        days,
        [(at(0), at(2 * hour)), (at(24 * hour), at(27 * hour))]
    );
    let days = state.contacts(&udid(1), at(-hour), 9 * 3_600).unwrap();
    assert_eq!(days.len(), 3, "midnight is between them there: {days:?}");
}

/// The bytes of schema 1 as a release wrote them: what is on disks must keep opening, whatever the code becomes.
#[test]
fn schema_one_as_it_was_shipped_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("migrations/0001_first.sql"))
        .unwrap();
    raw.execute_batch(
        "INSERT INTO devices VALUES ('00008110-0000000000000001', 1790000000000, 1, '{\"text\":\"kept\"}');
         INSERT INTO agent VALUES ('last_poll', 1790000000000);
         PRAGMA application_id = 1651210100; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(raw);
    let state = opened(&path);
    assert_eq!(state.devices::<Note>().unwrap()[0].remembered, note("kept"));
    assert_eq!(state.agent().unwrap().last_poll, Some(at(0)));
}

#[derive(Serialize)]
struct Received {
    bytes: u64,
}

#[test]
fn runs_come_to_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let state = opened(&dir.path().join("state.db"));
    let one = udid(1);
    let run = |from: i64, outcome: &str, bytes: u64| {
        let body = Received { bytes };
        state
            .add_run(&one, at(from), at(from + 5), outcome, &body)
            .unwrap();
    };
    assert_eq!(state.tally(&one, at(0)).unwrap(), Tally::default());
    run(0, "unplugged", 1_000);
    run(10, "verified", 2_000);
    run(20, "unplugged", 4_000);
    run(30, "cancelled", 8_000);
    run(40, "passcode_timeout", 16_000);
    let tally = state.tally(&one, at(10)).unwrap();
    let counted = |code: &str| {
        tally
            .outcomes
            .iter()
            .find(|(other, _)| other == code)
            .map(|(_, n)| *n)
    };
    assert_eq!(counted("unplugged"), Some(1), "the first one ended before");
    assert_eq!((counted("verified"), counted("io")), (Some(1), None));
    assert_eq!(tally.received, 30_000.0);
    assert_eq!(
        tally.failures_in_a_row, 2,
        "what a person stopped is no failure"
    );
    let last = tally.last.unwrap();
    assert_eq!(
        (last.started, last.ended, last.is_verified),
        (at(40), at(45), false)
    );
    assert_eq!(last.received, Some(16_000.0));
    assert_eq!(state.tally(&udid(2), at(0)).unwrap(), Tally::default());
    run(50, "verified", 1);
    let tally = state.tally(&one, at(1_000)).unwrap();
    assert_eq!((tally.outcomes.len(), tally.failures_in_a_row), (0, 0));
    assert!(tally.last.unwrap().is_verified);
}

#[test]
fn a_run_that_this_release_cannot_read_is_counted_and_weighs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = opened(&path);
    let (one, body) = (udid(1), Received { bytes: 7 });
    state.add_run(&one, at(1), at(2), "io", &body).unwrap();
    state.add_run(&one, at(3), at(4), "io", &body).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute(
            "UPDATE runs SET body = 'no json' WHERE started = ?1",
            [at(3).0.as_millisecond()],
        )
        .unwrap();
    let tally = state.tally(&one, at(0)).unwrap();
    assert_eq!(
        (tally.outcomes, tally.received),
        (vec![("io".to_owned(), 2)], 7.0)
    );
    assert_eq!(tally.last.unwrap().received, None);
}
