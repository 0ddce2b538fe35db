//! Lines in, signs and evidence out.

use super::*;
use proptest::prelude::*;

const BACKUPD: &str = "/System/Library/PrivateFrameworks/MobileBackup.framework/backupd";

fn moment(second: i64) -> DeviceTime {
    DeviceTime(jiff::Timestamp::from_second(1_790_000_000 + second).unwrap())
}

fn line(text: &str) -> Line<'_> {
    Line {
        at: moment(0),
        process: BACKUPD,
        level: Some(LogLevel::Default),
        subsystem: "com.apple.mobilebackup",
        category: "",
        text,
    }
}

fn end() -> HostTime {
    HostTime(moment(60).0)
}

/// The words of one line alone.
fn told(text: &str) -> Option<String> {
    Listening::default()
        .take(&line(text))
        .map(|sign| sign.words)
}

#[test]
fn what_each_line_means() {
    let table = [
        (
            "=cloud-backup= Backup failed: MBErrorDomain(303), <private>",
            Some("The phone says: iCloud storage is full (303)."),
        ),
        (
            "=cloud-backup= Backup failed: MBErrorDomain(300) Underlying error: NSURLErrorDomain(-1009), x",
            Some("The phone says: The phone was offline (300)."),
        ),
        (
            "=cloud-backup= Backup failed: MBErrorDomain(1) Underlying CloudKit errors: [CKErrorDomain(25)]",
            Some("The phone says: iCloud storage is full (1)."),
        ),
        (
            "========== Backup failed: Couldn't communicate with a helper application. (NSCocoaErrorDomain/4097)",
            Some("The phone says: A part of iOS that talks to iCloud stopped working (4097)."),
        ),
        (
            "ERROR: Backup failed: Error Domain=NSCocoaErrorDomain Code=4097 \"connection to service named com.apple.cloudd\"",
            Some("The phone says: A part of iOS that talks to iCloud stopped working (4097)."),
        ),
        (
            "=cloud-backup= Backup failed: MBErrorDomain(777), <private>",
            Some("The phone says: The phone reports an error that is not known here (777)."),
        ),
        (
            "=cloud-backup= Backup failed: <private>",
            Some("The phone says that the backup failed."),
        ),
        (
            "=cloud-backup= Backup finished successfully",
            Some("The phone says: the backup to iCloud is done."),
        ),
        (
            "=cloud-backup= Scanning done in 12.345s",
            Some("The phone is backing up to iCloud."),
        ),
        (
            "=scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1, onWiFi:1, onCellular:0(0), changes:{locked:0}",
            Some("The phone is on the charger, on Wi-Fi and locked: it may begin by itself."),
        ),
        (
            "=scheduler= [Off condition after 12.3s] state changed, enabled:1, locked:0, onPower:1, onWiFi:0",
            Some("The phone does not begin by itself now: it is not on Wi-Fi, it is unlocked."),
        ),
        (
            "=scheduler= [Off condition] of another form",
            Some("The phone does not begin by itself now."),
        ),
        (
            "=scheduler= The device lost WiFi but is otherwise still in condition - will wait 120s",
            Some("The phone lost its Wi-Fi, and waits two minutes for it."),
        ),
        (
            "=scheduler= Already backed up recently (3600 s): 2026-09-21",
            Some("The phone says that it backed up recently, and that nothing is due."),
        ),
        (
            "=scheduler= The next backup date was pushed later (3600 s): 2026-09-21",
            Some("The phone has put its next backup off."),
        ),
        (
            "=scheduler= Backup is disabled by the current MC policy",
            Some("The phone says that the organization that manages it forbids iCloud backups."),
        ),
        (
            "Failed to upload AppDomain-com.vblast.flipaclip:Library/projects/a name.fci (<CKError 0x1: \"Asset File Not Found\" (16/3002)>)",
            Some("The phone cannot read or send a file of one app: com.vblast.flipaclip."),
        ),
        (
            "Failed to upload AppDomain-com.apple.mobilenotes:a name",
            Some("The phone cannot read or send a file of one app."),
        ),
        ("=scheduler= something else", None),
        ("Backup failed: MBErrorDomain(303)", None),
        (
            "Backup failed, says a note of somebody: =cloud-backup= Backup failed: MBErrorDomain(209)",
            None,
        ),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(told(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn others_are_not_listened_to() {
    let failed = line("=cloud-backup= Backup failed: MBErrorDomain(303)");
    let table = [
        (
            "our own backup's partner",
            Line {
                process: "BackupAgent2",
                ..failed
            },
        ),
        (
            "another process",
            Line {
                process: "/usr/libexec/notbackupd",
                ..failed
            },
        ),
        (
            "another subsystem",
            Line {
                subsystem: "com.example.app",
                ..failed
            },
        ),
        (
            "for developers",
            Line {
                level: Some(LogLevel::Debug),
                ..failed
            },
        ),
    ];
    for (name, line) in table {
        let mut listening = Listening::default();
        assert_eq!(listening.take(&line), None, "{name}");
        assert_eq!(listening, Listening::default(), "{name}");
    }
    // The older service tells neither subsystem nor level.
    let bare = Line {
        process: "backupd",
        subsystem: "",
        level: None,
        ..failed
    };
    assert!(Listening::default().take(&bare).is_some());
}

#[test]
fn one_attempt_watched_from_beginning_to_end() {
    let mut listening = Listening::default();
    let mut kinds = Vec::new();
    for (second, text) in [
        (0, "=cloud-backup= Preparing done in 0.1s"),
        (1, "=cloud-backup= Scanning done in 12.3s"),
        (
            2,
            "Failed to upload AppDomain-org.example.notes:Documents/x (<CKError: (16/3002)>)",
        ),
        (
            3,
            "=cloud-backup= Backup failed: MBErrorDomain(1), <private>",
        ),
        (
            4,
            "=cloud-backup= Backup failed: MBErrorDomain(1), <private>",
        ),
        (
            500,
            "=cloud-backup= Backup failed: MBErrorDomain(1), <private>",
        ),
    ] {
        let sign = listening.take(&Line {
            at: moment(second),
            ..line(text)
        });
        kinds.extend(sign.map(|sign| (second, sign.kind)));
    }
    assert_eq!(
        kinds,
        [
            (0, SignKind::UnderWay),
            (2, SignKind::App),
            (3, SignKind::Failed),
            (500, SignKind::Failed),
        ]
    );
}

#[test]
fn the_evidence_of_a_failed_attempt() {
    let mut listening = Listening::default();
    for text in [
        "=scheduler= [Off condition] state changed, enabled:1, locked:0, onPower:1, onWiFi:1",
        "=scheduler= The next backup date was pushed later (3600 s)",
        "Failed to upload AppDomain-org.example.notes:Documents/My Diary.txt (<CKError: (16/3002)>)",
        "=cloud-backup= Backup failed: MBErrorDomain(100), Documents/My Diary.txt of anna@example.org",
        "=cloud-backup= Backup failed: MBErrorDomain(100), Documents/My Diary.txt of anna@example.org",
    ] {
        listening.take(&line(text));
    }
    let heard = listening.heard(end());
    let attempt = heard.attempt.unwrap();
    assert_eq!(
        attempt.chain,
        [ErrorCode::new("MBErrorDomain", 100).unwrap()]
    );
    assert_eq!(attempt.app.as_deref(), Some("org.example.notes"));
    assert_eq!(attempt.text.as_deref(), Some("MBErrorDomain(100), …"));
    assert!(heard.put_off && !heard.forbidden && !heard.nothing_due);
    let conditions = heard.conditions.unwrap();
    assert!(conditions.enabled && !conditions.locked && conditions.on_power && conditions.on_wifi);
}

#[test]
fn a_success_settles_what_was_before() {
    let mut listening = Listening::default();
    for text in [
        "=scheduler= Backup is disabled by the current MC policy",
        "=cloud-backup= Backup failed: MBErrorDomain(22)",
        "=cloud-backup= Backup finished successfully",
    ] {
        assert!(listening.take(&line(text)).is_some(), "{text}");
    }
    let heard = listening.heard(end());
    assert!(heard.attempt.unwrap().succeeded());
    assert!(!heard.forbidden);
}

#[test]
fn a_failure_without_a_code_is_still_a_failure() {
    let mut listening = Listening::default();
    listening.take(&line("=cloud-backup= Backup failed: <private>"));
    let attempt = listening.heard(end()).attempt.unwrap();
    assert!(!attempt.succeeded());
}

proptest! {
    #[test]
    fn a_hostile_log_is_only_text(
        texts in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                "(=cloud-backup=|=scheduler=)? ?(Backup failed:|\\[O(n|ff) condition\\]?|Failed to upload AppDomain-)? ?[a-zA-Z0-9:,(){}/. é-]{0,60}",
            ],
            0..40,
        ),
    ) {
        let mut listening = Listening::default();
        for text in &texts {
            if let Some(sign) = listening.take(&line(text)) {
                prop_assert!(sign.words.chars().count() <= 300, "{}", sign.words);
            }
        }
        prop_assert!(listening.told.len() <= 7);
        let heard = listening.heard(end());
        prop_assert_eq!(heard.clone().bounded(), heard);
    }
}
