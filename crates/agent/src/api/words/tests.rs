//! The messages as bytes. A client of an older release reads them, so a change here is a change of contract.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn run() -> RunSummary {
    RunSummary {
        udid: "00008110-0000000000000001".to_owned(),
        started: at("2026-11-22T10:00:00Z"),
        ended: at("2026-11-22T10:20:00.5Z"),
        ok: true,
        outcome: "verified".to_owned(),
        words: "The backup is complete.".to_owned(),
        kind: "incremental".to_owned(),
        level: Some("L2".to_owned()),
        encrypted: Some(true),
        bytes: 64_000_000_000,
        files: 150_000,
        refused: 2,
        warnings: vec!["two files were refused".to_owned()],
    }
}

#[test]
fn the_lines_of_a_backup() {
    let progress = Progress {
        phase: "transferring".to_owned(),
        percent: Some(41.5),
        bytes: 1,
        files: 2,
    };
    let lines = [BackupEvent::Progress(progress), BackupEvent::Ended(run())].map(|event| {
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<BackupEvent>(&line).unwrap(), event);
        line
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_history() {
    let history = History {
        schema: SCHEMA,
        as_of: at("2026-11-22T11:00:00Z"),
        entries: vec![
            HistoryEntry::Run(run()),
            HistoryEntry::Verification(VerificationEntry {
                udid: "00008110-0000000000000001".to_owned(),
                at: at("2026-11-22T09:30:00Z"),
                version: "current".to_owned(),
                ok: false,
                level: Some("L3".to_owned()),
                files: 150_000,
                bytes: 64_000_000_000,
                reread_files: 4_687,
                wrong: 1,
                scheduled: true,
                words: "The local backup is damaged.".to_owned(),
            }),
            HistoryEntry::Notice(NoticeEntry {
                udid: None,
                at: at("2026-11-22T09:00:00Z"),
                level: "quiet".to_owned(),
                title: "A title".to_owned(),
                body: "A body.".to_owned(),
            }),
        ],
    };
    let text = serde_json::to_string_pretty(&history).unwrap();
    assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    insta::assert_snapshot!(text);
}

#[test]
fn requests_are_read_strictly_and_answers_leniently() {
    assert!(serde_json::from_str::<BackupRequest>("{\"ful\":true}").is_err());
    assert_eq!(
        serde_json::from_str::<BackupRequest>("{}").unwrap(),
        BackupRequest { full: false }
    );
    assert!(serde_json::from_str::<PairRequest>("{\"udid\":\"x\",\"y\":1}").is_err());
    let newer = "{\"schema\":1,\"error\":\"e\",\"message\":\"m\",\"next\":null,\"added_later\":7}";
    assert_eq!(serde_json::from_str::<Failure>(newer).unwrap().error, "e");
}
