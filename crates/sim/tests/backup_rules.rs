//! The rules of a backup as the phone keeps them (protocol.md 8.6 and 9), against a host in the same process that can make
//! any mistake.

#![cfg(test)]

mod backup_host;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup_host::{Act, Host, Outcome};
use backupwatch_sim::mobilebackup2::How;
use backupwatch_sim::persona::{Persona, PromptAnswer, RequiresEncryption, Setup};
use backupwatch_sim::phone::{BACKUP_DOMAIN, MuxSide, Phone, PhoneHandle};
use backupwatch_sim::verdict::verdict;
use backupwatch_wire::devicelink::{
    DeviceMessage, HostMessage, ItemError, StatusCode, StatusResponse, frame,
};
use backupwatch_wire::mobilebackup2::{HostCommand, Password, PasswordChange};
use plist::{Dictionary, Value};

const UDID: &str = "00008101-000A11112222F1E5";
const FILES: usize = 300;

fn persona() -> Persona {
    let mut persona = Persona::plain(UDID, "Ada");
    persona.contents = toml::from_str(
        r#"
        seed = 9
        [[groups]]
        domain = "CameraRollDomain"
        prefix = "Media"
        count = 299
        size = [0, 2000]
        [[files]]
        domain = "HomeDomain"
        path = "first"
        size = 70_000
        "#,
    )
    .unwrap();
    persona
}

fn phone(persona: Persona) -> Arc<Phone> {
    Arc::new(Phone::new(persona, MuxSide::new()))
}

fn blob(domain: &str, path: &str) -> String {
    let id = backupwatch_sim::contents::FileId::of(domain, path);
    format!("{}/{id}", id.folder())
}

#[track_caller]
fn assert_whole(phone: &Phone, host: &Host, how: How) {
    let root = tempfile::tempdir().unwrap();
    host.dump(root.path());
    let verdict = verdict(phone, root.path());
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(phone.backup().finished().unwrap().how, how);
    assert_eq!(phone.backup().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_backup_takes_the_steps_in_order() {
    let phone = phone(persona());
    let mut host = Host::default();
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert_whole(&phone, &host, How::Full);
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for name in &host.log {
        match runs.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => runs.push((name, 1)),
        }
    }
    assert_eq!(
        runs,
        [
            ("DLMessageDownloadFiles", 1), // Status.plist, which is not there
            ("DLMessageGetFreeDiskSpace", 1),
            ("DLMessageCreateDirectory", 2 * 257),
            ("DLMessageUploadFiles", 1 + 3 + 2 + 1), // uploading, 300 files by 128, two manifests, moving
            ("DLMessageMoveItems", 3 + 2),
            ("DLMessageUploadFiles", 1), // removing
            ("DLContentsOfDirectory", 256),
            ("DLMessageRemoveItems", 2),   // Snapshot, Manifest.mbdx
            ("DLMessageUploadFiles", 1),   // finished
            ("DLMessageDownloadFiles", 3), // the verification pass
            ("DLContentsOfDirectory", 256),
            ("DLMessageProcessMessage", 1),
        ]
    );
    assert_eq!(host.phases, ["uploading", "moving", "removing", "finished"]);
}

#[tokio::test]
async fn the_date_of_the_backup_is_set_at_its_end_and_announced() {
    let phone = phone(persona());
    let date = |phone: &Phone| phone.value(BACKUP_DOMAIN, "LastiTunesBackupDate");
    let on: backup_host::Hook = Box::new({
        let phone = phone.clone();
        move |message| {
            let last = matches!(message, DeviceMessage::ProcessMessage(_));
            assert_eq!(date(&phone).is_some(), last, "only just before the end");
            Act::Honest
        }
    });
    let mut host = Host {
        on,
        ..Host::default()
    };
    assert_eq!(host.back_up(&phone).await.code(), 0);
    let seconds = date(&phone).unwrap().as_signed_integer().unwrap();
    let now = phone.clock().now().as_second() - 978_307_200;
    assert!((now - 60..=now).contains(&seconds));
}

/// Runs a backup with the free space that the host reports, and says what the phone asked for.
async fn with_free_space(free: i64, purged: bool) -> (i64, Vec<u64>, usize) {
    let phone = phone(persona());
    let need = i64::try_from(phone.backup().catalog().bytes()).unwrap() + (128 << 20);
    let mut host = Host {
        free: u64::try_from(need + free).unwrap(),
        ..Host::default()
    };
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = asked.clone();
    host.on = Box::new(move |message| {
        let DeviceMessage::PurgeDiskSpace { bytes, urgency } = message else {
            return Act::Honest;
        };
        assert_eq!(*urgency, Some(4));
        note.lock().unwrap().push(*bytes);
        if purged {
            Act::Answer(StatusResponse::ok_with(Value::from(1)))
        } else {
            Act::Honest
        }
    });
    let code = host.back_up(&phone).await.code();
    let asked = asked.lock().unwrap().clone();
    (code, asked, host.count("DLMessageGetFreeDiskSpace"))
}

#[tokio::test]
async fn free_space_must_be_more_than_the_files_and_128_mib() {
    const EXTRA: u64 = 2 << 30;
    for (name, free, purged, code, asked, questions) in [
        ("one byte more", 1, false, 0, vec![], 1),
        ("exactly", 0, false, 105, vec![EXTRA], 1),
        (
            "exactly, and the purge worked by its own word",
            0,
            true,
            105,
            vec![EXTRA],
            2,
        ),
        (
            "a mebibyte short",
            -(1 << 20),
            false,
            105,
            vec![EXTRA + (1 << 20)],
            1,
        ),
    ] {
        assert_eq!(
            with_free_space(free, purged).await,
            (code, asked, questions),
            "{name}"
        );
    }
}

#[tokio::test]
async fn free_space_that_the_host_cannot_tell_is_not_checked() {
    let phone = phone(persona());
    let asked: Is = |message| matches!(message, DeviceMessage::GetFreeDiskSpace);
    let on = once(asked, || error(StatusCode::Io));
    let mut host = Host {
        on,
        ..Host::default()
    };
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert_whole(&phone, &host, How::Full);
}

#[tokio::test]
async fn results_of_single_files_decide() {
    for (name, code, times, end, omitted) in [
        ("gone for a moment", StatusCode::NotFound, 1, 0, 0),
        ("gone for good", StatusCode::NotFound, 9, 0, 1),
        ("I/O once", StatusCode::Io, 1, 0, 0),
        ("I/O twice", StatusCode::Io, 2, 104, 0),
        ("no space", StatusCode::NoSpace, 1, 105, 0),
        ("no reason", StatusCode::Generic, 1, 104, 0),
    ] {
        let phone = phone(persona());
        let mut host = Host::default();
        host.fail.insert(
            format!("{UDID}/Snapshot/{}", blob("HomeDomain", "first")),
            (code, times),
        );
        assert_eq!(host.back_up(&phone).await.code(), end, "{name}");
        if end == 0 {
            assert_whole(&phone, &host, How::Full);
            assert_eq!(
                phone.backup().finished().unwrap().omitted.len(),
                omitted,
                "{name}"
            );
        }
    }
}

/// Answers the first message that `is` says with `act`.
fn once(
    is: impl Fn(&DeviceMessage) -> bool + Send + 'static,
    act: impl Fn() -> Act + Send + 'static,
) -> backup_host::Hook {
    let mut done = false;
    Box::new(move |message| {
        if !done && is(message) {
            done = true;
            return act();
        }
        Act::Honest
    })
}

fn error(code: StatusCode) -> Act {
    Act::Answer(StatusResponse::error(code))
}

fn multi(path: &str, code: StatusCode) -> Act {
    Act::Answer(StatusResponse::of_items(&[ItemError::new(path, code)]))
}

type Is = fn(&DeviceMessage) -> bool;

const CREATE: Is = |message| matches!(message, DeviceMessage::CreateDirectory { .. });
const UPLOAD: Is = |message| matches!(message, DeviceMessage::UploadFiles { .. });
const MOVE: Is = |message| matches!(message, DeviceMessage::MoveItems { .. });
const REMOVE: Is = |message| matches!(message, DeviceMessage::RemoveItems { .. });
const LIST: Is = |message| matches!(message, DeviceMessage::ContentsOfDirectory { .. });

#[tokio::test]
async fn failures_of_whole_messages_decide() {
    type Row = (&'static str, Is, fn() -> Act, i64);
    let rows: [Row; 9] = [
        (
            "a folder that exists",
            CREATE,
            || error(StatusCode::Exists),
            0,
        ),
        (
            "a folder that cannot be made",
            CREATE,
            || error(StatusCode::Io),
            100,
        ),
        (
            "an upload without words",
            UPLOAD,
            || error(StatusCode::Generic),
            104,
        ),
        (
            "an upload without space",
            UPLOAD,
            || error(StatusCode::NoSpace),
            105,
        ),
        (
            "a move that fails",
            MOVE,
            || multi("x", StatusCode::NotFound),
            4,
        ),
        (
            "a move of a manifest that was done before",
            MOVE,
            || multi("x/Manifest.db", StatusCode::NotFound),
            0,
        ),
        (
            "a bare failure to move",
            MOVE,
            || error(StatusCode::Generic),
            1,
        ),
        (
            "a removal with errors",
            REMOVE,
            || multi("x", StatusCode::Io),
            0,
        ),
        (
            "a bare failure to remove",
            REMOVE,
            || error(StatusCode::Generic),
            1,
        ),
    ];
    for (name, is, act, code) in rows {
        let phone = phone(persona());
        let mut host = Host {
            on: once(is, act),
            ..Host::default()
        };
        assert_eq!(host.back_up(&phone).await.code(), code, "{name}");
    }
}

#[tokio::test]
async fn a_status_of_three_elements_is_a_failure_and_noted() {
    let phone = phone(persona());
    let three = || {
        Act::Raw(frame::encode(&Value::Array(vec![
            "DLMessageStatusResponse".into(),
            0.into(),
            "".into(),
        ])))
    };
    let mut host = Host {
        on: once(CREATE, three),
        ..Host::default()
    };
    assert_eq!(host.back_up(&phone).await.code(), 1);
    assert_eq!(
        phone.backup().violations(),
        ["a status of 3 elements instead of four"]
    );
}

#[tokio::test]
async fn a_result_for_an_unknown_path_kills_the_agent() {
    let phone = phone(persona());
    let mut host = Host {
        on: once(UPLOAD, || multi("somewhere", StatusCode::Io)),
        ..Host::default()
    };
    assert!(matches!(host.back_up(&phone).await, Outcome::Gone));
    assert_eq!(phone.backup().violations().len(), 1);
}

#[tokio::test]
async fn large_frames_to_the_phone_are_noted() {
    let phone = phone(persona());
    let mut host = Host {
        chunk: (32 << 10) + 1,
        ..Host::default()
    };
    assert_eq!(host.back_up(&phone).await.code(), 0);
    let violations = phone.backup().violations();
    assert_eq!(
        violations,
        ["a frame of 32769 bytes, more than 32768"],
        "Manifest.db is larger than a frame"
    );
}

#[tokio::test]
async fn what_lies_on_the_host_decides_how_a_backup_begins() {
    let plist = |values: &[(&str, Value)]| {
        let values: Dictionary = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        backupwatch_wire::codec::to_binary(&Value::Dictionary(values))
    };
    let status = |version: &str, state: &str, full: bool| {
        let date = Value::Date(std::time::SystemTime::now().into());
        let values = [
            ("Version", version.into()),
            ("SnapshotState", state.into()),
            ("UUID", "A".into()),
        ];
        plist(
            &[
                &values[..],
                &[
                    ("Date", date),
                    ("IsFullBackup", full.into()),
                    ("BackupState", "new".into()),
                ],
            ]
            .concat(),
        )
    };
    let rows = [
        ("nothing", vec![], 0, ""),
        (
            "rubbish",
            vec![("Status.plist", b"rubbish".to_vec())],
            205,
            "status",
        ),
        (
            "a version from the future",
            vec![("Status.plist", status("4.0", "finished", false))],
            203,
            "version",
        ),
        (
            "no manifest",
            vec![("Status.plist", status("3.3", "finished", false))],
            205,
            "No such file",
        ),
        (
            "an empty manifest",
            vec![
                ("Status.plist", status("3.3", "finished", false)),
                ("Manifest.plist", vec![]),
            ],
            205,
            "Cannot parse a NULL or zero-length data",
        ),
        (
            "what pymobiledevice3 seeds to ask for a full backup",
            vec![
                ("Status.plist", status("3.3", "finished", true)),
                ("Manifest.plist", vec![]),
            ],
            0,
            "",
        ),
        (
            "an interrupted backup of another life",
            vec![("Status.plist", status("3.3", "uploading", true))],
            0,
            "",
        ),
        (
            "moves that cannot be finished",
            vec![("Status.plist", status("3.3", "moving", true))],
            205,
            "No such file",
        ),
    ];
    for (name, files, code, words) in rows {
        let phone = phone(persona());
        let mut host = Host::default();
        for (file, bytes) in files {
            host.put(&format!("{UDID}/{file}"), &bytes);
        }
        let outcome = host.back_up(&phone).await;
        assert_eq!(outcome.code(), code, "{name}");
        assert!(
            outcome.words().contains(words),
            "{name}: {}",
            outcome.words()
        );
        if code == 0 {
            assert_whole(&phone, &host, How::Full);
        }
    }
}

#[tokio::test]
async fn an_incremental_backup_that_cannot_be_becomes_a_full_one_without_a_word() {
    type Spoil = fn(&Phone, &mut Host);
    let rows: [(&str, Spoil, How); 6] = [
        ("nothing is wrong", |_, _| {}, How::Incremental),
        (
            "a blob is missing",
            |_, host| {
                drop(
                    host.files
                        .remove(&format!("{UDID}/{}", blob("HomeDomain", "first"))),
                )
            },
            How::Full,
        ),
        (
            "the manifest is rubbish",
            |_, host| host.put(&format!("{UDID}/Manifest.db"), b"rubbish"),
            How::Full,
        ),
        (
            "the manifest is gone",
            |_, host| drop(host.files.remove(&format!("{UDID}/Manifest.db"))),
            How::Full,
        ),
        (
            "encryption was switched on",
            |phone, _| phone.backup().set_password(Some("x".into())),
            How::Full,
        ),
        (
            "Status.plist is gone",
            |_, host| drop(host.files.remove(&format!("{UDID}/Status.plist"))),
            How::Full,
        ),
    ];
    for (name, spoil, how) in rows {
        let phone = phone(persona());
        let mut host = Host::default();
        assert_eq!(host.back_up(&phone).await.code(), 0);
        spoil(&phone, &mut host);
        assert_eq!(host.back_up(&phone).await.code(), 0, "{name}");
        assert_whole(&phone, &host, how);
    }
}

#[tokio::test]
async fn a_blob_that_the_host_loses_is_found_by_the_verification_pass() {
    let phone = phone(persona());
    // The first 256 listings are for what may be swept away, the next for the verification.
    let count = AtomicUsize::new(0);
    let on: backup_host::Hook = Box::new(move |message| {
        if LIST(message) && count.fetch_add(1, Ordering::Relaxed) >= 256 {
            return Act::Answer(StatusResponse::ok());
        }
        Act::Honest
    });
    let mut host = Host {
        on,
        ..Host::default()
    };
    let outcome = host.back_up(&phone).await;
    assert_eq!(outcome.code(), 205);
    assert!(
        outcome
            .words()
            .contains("Manifest references files not in backup")
    );
}

/// Interrupts the backup at the `nth` message that `is` says.
fn cut(is: Is, nth: usize) -> backup_host::Hook {
    let count = AtomicUsize::new(0);
    Box::new(move |message| {
        if is(message) && count.fetch_add(1, Ordering::Relaxed) == nth {
            Act::HangUp
        } else {
            Act::Honest
        }
    })
}

async fn an_interrupted_backup_goes_on_where_it_was(encrypted: bool, over_a_finished_one: bool) {
    for (name, is, nth, how) in [
        ("the first batch", UPLOAD, 1, How::Resumed),
        ("the second batch", UPLOAD, 2, How::Resumed),
        ("the manifests", UPLOAD, 5, How::Resumed),
        ("the first move", MOVE, 0, How::FinishedMoves),
        ("the second move", MOVE, 1, How::FinishedMoves),
        ("the move of a manifest", MOVE, 4, How::FinishedMoves),
        ("the removals", REMOVE, 0, How::FinishedMoves),
    ] {
        let mut persona = persona();
        persona.backup.password = encrypted.then(|| "secret".to_owned());
        let phone = phone(persona);
        let mut host = Host::default();
        if over_a_finished_one {
            assert_eq!(host.back_up(&phone).await.code(), 0);
            // Everything changes, so that the steps of the second backup are as many as of the first.
            phone.backup().change(|catalog| catalog.mutate(100.0));
        }
        host.on = cut(is, nth);
        assert!(
            matches!(host.back_up(&phone).await, Outcome::Gone),
            "{name}"
        );
        // The phone goes on with its snapshot, whatever happens to it meanwhile.
        phone.backup().change(|catalog| catalog.mutate(10.0));
        host.on = Box::new(|_| Act::Honest);
        assert_eq!(host.back_up(&phone).await.code(), 0, "{name}");
        assert_whole(&phone, &host, how);
        let uploaded = phone.backup().finished().unwrap().uploaded;
        assert!(
            name == "the first batch" || uploaded < FILES,
            "{name}: {uploaded}"
        );
    }
}

#[tokio::test]
async fn an_interrupted_first_backup_goes_on_where_it_was() {
    an_interrupted_backup_goes_on_where_it_was(false, false).await;
}

#[tokio::test]
async fn an_interrupted_incremental_backup_goes_on_where_it_was() {
    an_interrupted_backup_goes_on_where_it_was(false, true).await;
}

#[tokio::test]
async fn an_interrupted_encrypted_backup_goes_on_where_it_was() {
    an_interrupted_backup_goes_on_where_it_was(true, false).await;
}

#[tokio::test]
async fn an_interrupted_encrypted_incremental_backup_goes_on_where_it_was() {
    an_interrupted_backup_goes_on_where_it_was(true, true).await;
}

#[tokio::test]
async fn a_snapshot_that_the_phone_has_lost_means_a_new_beginning() {
    let phone = phone(persona());
    let mut host = Host {
        on: cut(UPLOAD, 2),
        ..Host::default()
    };
    assert!(matches!(host.back_up(&phone).await, Outcome::Gone));
    let faults = toml::from_str("forget_snapshot = true").unwrap();
    phone.backup().set_faults(faults);
    host.on = Box::new(|_| Act::Honest);
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert_whole(&phone, &host, How::Full);
}

#[tokio::test]
async fn a_listing_that_fails_during_a_resume_is_205() {
    let phone = phone(persona());
    let mut host = Host {
        on: cut(UPLOAD, 2),
        ..Host::default()
    };
    assert!(matches!(host.back_up(&phone).await, Outcome::Gone));
    host.on = once(LIST, || error(StatusCode::NotFound));
    assert_eq!(host.back_up(&phone).await.code(), 205);
}

#[tokio::test]
async fn a_command_for_another_phone_kills_the_link() {
    let phone = phone(persona());
    let target = "00008101-000A11112222F1E6".to_owned();
    let command = HostCommand::Backup {
        target,
        source: None,
        force_full: false,
    };
    assert!(matches!(
        Host::default().ask(&phone, command.to_message()).await,
        Outcome::Gone
    ));
    assert_eq!(phone.backup().violations(), ["a command for another phone"]);
}

fn request(name: &str) -> HostMessage {
    let body = [("MessageName", name), ("TargetIdentifier", UDID)];
    HostMessage::ProcessMessage(
        body.into_iter()
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect(),
    )
}

#[tokio::test]
async fn other_commands_fail_and_the_forbidden_ones_are_noted() {
    for (name, violations) in [
        ("Info", 0),
        ("List", 0),
        ("Unback", 0),
        ("Extract", 0),
        ("Remove", 0),
        ("EraseDevice", 1),
        ("EnableCloudBackup", 1),
    ] {
        let phone = phone(persona());
        assert_eq!(
            Host::default().ask(&phone, request(name)).await.code(),
            1,
            "{name}"
        );
        assert_eq!(phone.backup().violations().len(), violations, "{name}");
    }
}

#[tokio::test]
async fn preconditions_of_the_phone_come_first() {
    type Set = fn(&mut Persona);
    let rows: [(&str, Set, i64); 6] = [
        (
            "set-up is not finished",
            |persona| persona.setup = Setup::InProgress,
            212,
        ),
        (
            "a restore is running",
            |persona| persona.setup = Setup::Restoring,
            25,
        ),
        (
            "encryption is required",
            |persona| persona.local.requires_encryption = Some(RequiresEncryption::Number(1)),
            207,
        ),
        (
            "encryption is required and on",
            |persona| {
                persona.local.requires_encryption = Some(RequiresEncryption::Flag(true));
                persona.backup.password = Some("x".to_owned());
            },
            0,
        ),
        (
            "an old snapshot is in the way",
            |persona| persona.faults.snapshot_exists = true,
            3,
        ),
        (
            "the passcode is not entered",
            |persona| persona.passcode.answer = PromptAnswer::Cancel,
            208,
        ),
    ];
    for (name, set, code) in rows {
        let mut persona = persona();
        set(&mut persona);
        assert_eq!(
            Host::default().back_up(&phone(persona)).await.code(),
            code,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_passcode_that_nobody_enters_times_out_after_half_an_hour() {
    let mut persona = persona();
    persona.passcode.answer = PromptAnswer::Wait;
    let phone = phone(persona);
    let start = tokio::time::Instant::now();
    let outcome = Host::default().back_up(&phone).await;
    assert_eq!((outcome.code(), start.elapsed().as_secs() / 60), (208, 30));
    assert!(
        outcome
            .words()
            .contains("timeout waiting for passcode entry")
    );
}

#[tokio::test]
async fn a_host_that_leaves_while_the_phone_asks_ends_the_prompt() {
    let mut persona = persona();
    persona.passcode.answer = PromptAnswer::Wait;
    let phone = phone(persona);
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(backupwatch_sim::mobilebackup2::serve(
        theirs,
        phone.clone(),
        true,
    ));
    let command = HostCommand::Backup {
        target: UDID.to_owned(),
        source: None,
        force_full: false,
    };
    let mut host = Host::default();
    let handle = PhoneHandle::new(phone);
    {
        let talk = backup_host::Connection::new(ours).talk(&mut host, command.to_message());
        tokio::select! {
            _ = talk => panic!("nobody has entered the passcode"),
            () = handle.prompt_shown() => {}
        }
    }
    served.await.unwrap();
    assert!(!handle.enter_passcode(), "the prompt is gone");
}

fn change(old: Option<&str>, new: Option<&str>) -> HostMessage {
    let password = |text: &str| Password::new(text.to_owned());
    let change = match (old, new) {
        (None, Some(new)) => PasswordChange::Enable { new: password(new) },
        (Some(old), None) => PasswordChange::Disable { old: password(old) },
        (Some(old), Some(new)) => PasswordChange::Change {
            old: password(old),
            new: password(new),
        },
        (None, None) => panic!("no change"),
    };
    HostCommand::ChangePassword {
        target: UDID.to_owned(),
        change,
    }
    .to_message()
}

#[tokio::test]
async fn a_new_password_rewraps_the_keybag_on_the_host() {
    let mut persona = persona();
    persona.backup.password = Some("old".to_owned());
    let phone = phone(persona);
    let mut host = Host::default();
    assert_eq!(host.back_up(&phone).await.code(), 0);
    let before = host.files[&format!("{UDID}/Manifest.plist")].bytes.clone();
    assert_eq!(
        host.ask(&phone, change(Some("wrong"), Some("new")))
            .await
            .code(),
        207
    );
    assert_eq!(
        host.ask(&phone, change(None, Some("new"))).await.code(),
        207,
        "there is one already"
    );
    assert_eq!(
        host.ask(&phone, change(Some("old"), Some("new")))
            .await
            .code(),
        0
    );
    assert_ne!(host.files[&format!("{UDID}/Manifest.plist")].bytes, before);
    // The verdict opens the tree with the new password.
    assert_whole(&phone, &host, How::Full);
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert_whole(&phone, &host, How::Incremental);
}

#[tokio::test]
async fn required_encryption_cannot_be_switched_off() {
    let mut persona = persona();
    persona.backup.password = Some("old".to_owned());
    persona.local.requires_encryption = Some(RequiresEncryption::Number(1));
    let phone = phone(persona);
    assert_eq!(
        Host::default()
            .ask(&phone, change(Some("old"), None))
            .await
            .code(),
        22
    );
}

#[tokio::test]
async fn two_hosts_at_once_are_one_too_many() {
    let phone = phone(persona());
    let handle = PhoneHandle::new(phone.clone());
    handle.single_step(true);
    let first = tokio::spawn({
        let phone = phone.clone();
        async move { Host::default().back_up(&phone).await.code() }
    });
    while handle.step().await != "DLMessageDownloadFiles" {}
    let second = tokio::spawn({
        let phone = phone.clone();
        async move { Host::default().back_up(&phone).await.code() }
    });
    // The first has hundreds of steps to go, the second four.
    while !second.is_finished() {
        handle.step().await;
    }
    assert_eq!(second.await.unwrap(), 14);
    handle.single_step(false);
    assert_eq!(first.await.unwrap(), 0);
}

#[tokio::test]
async fn two_runs_of_one_persona_leave_the_same_bytes() {
    for password in [None, Some("secret")] {
        let tree = async || {
            let mut persona = persona();
            persona.backup.password = password.map(str::to_owned);
            let phone = phone(persona);
            phone.clock().fix("2026-10-04T11:41:53Z".parse().unwrap());
            let mut host = Host::default();
            assert_eq!(host.back_up(&phone).await.code(), 0);
            let bytes = host
                .files
                .into_iter()
                .map(|(path, stored)| (path, stored.bytes));
            bytes.collect::<Vec<_>>()
        };
        assert!(tree().await == tree().await, "password: {password:?}");
    }
}
