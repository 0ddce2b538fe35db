//! The faults of a phone do what their words say: each is a line of a persona, seen from an honest host.

#![cfg(test)]

mod backup_host;

use std::sync::Arc;
use std::time::Duration;

use backup_host::{Host, Outcome};
use backupwatch_sim::mobilebackup2::{How, ROGUE_CONTENT};
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{MuxSide, Phone};
use backupwatch_sim::verdict::verdict;
use backupwatch_wire::devicelink::StatusCode;

const UDID: &str = "00008101-000A11112222F1E5";

fn phone(faults: &str) -> Arc<Phone> {
    let mut persona = Persona::plain(UDID, "Ada");
    persona.contents = toml::from_str(
        r#"
        seed = 9
        [[groups]]
        domain = "CameraRollDomain"
        prefix = "Media"
        count = 20
        size = [1000, 2000]
        [[files]]
        domain = "HomeDomain"
        path = "big"
        size = 200_000
        "#,
    )
    .unwrap();
    persona.faults = toml::from_str(faults).unwrap();
    Arc::new(Phone::new(persona, MuxSide::new()))
}

#[track_caller]
fn assert_whole(phone: &Phone, host: &Host) {
    let root = tempfile::tempdir().unwrap();
    host.dump(root.path());
    let verdict = verdict(phone, root.path());
    assert!(verdict.is_whole(), "{verdict}");
}

#[tokio::test]
async fn the_cable_comes_out_and_the_next_run_goes_on() {
    for after in [1, 500, 100_000, 200_000] {
        let phone = phone(&format!("unplug_after = {after}"));
        let mut host = Host::default();
        assert!(
            matches!(host.back_up(&phone).await, Outcome::Gone),
            "{after}"
        );
        phone.backup().set_faults(Default::default());
        assert_eq!(host.back_up(&phone).await.code(), 0, "{after}");
        assert_whole(&phone, &host);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_phone_says_nothing_more() {
    let phone = phone("stall_after = 100_000");
    let mut host = Host::default();
    let day = Duration::from_secs(86_400);
    assert!(
        tokio::time::timeout(day, host.back_up(&phone))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_dripping_phone_takes_its_time() {
    let phone = phone("drip = 10_000");
    let mut host = Host::default();
    let start = tokio::time::Instant::now();
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert!(
        start.elapsed() > Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_whole(&phone, &host);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_tried_twice_and_left_out() {
    for (name, code, status, after, times, end, refused) in [
        (
            "not found, before data, once",
            0x06,
            StatusCode::NotFound,
            0,
            1,
            0,
            1,
        ),
        (
            "not found, before data",
            0x06,
            StatusCode::NotFound,
            0,
            9,
            0,
            2,
        ),
        (
            "not found, after data",
            0x06,
            StatusCode::NotFound,
            70_000,
            9,
            0,
            2,
        ),
        (
            "I/O, after data, once",
            0x0B,
            StatusCode::Io,
            70_000,
            1,
            0,
            1,
        ),
        (
            "I/O, after data, for good",
            0x0B,
            StatusCode::Io,
            70_000,
            9,
            104,
            2,
        ),
        ("no space", 0x0F, StatusCode::NoSpace, 0, 9, 105, 1),
    ] {
        let phone = phone(&format!(
            "[[file]]\ndomain = 'HomeDomain'\npath = 'big'\nmessage = 'No such file or directory'\ncode = {code}\nafter = {after}\ntimes = {times}"
        ));
        let mut host = Host::default();
        assert_eq!(host.back_up(&phone).await.code(), end, "{name}");
        assert_eq!(host.refused.len(), refused, "{name}");
        assert!(
            host.refused
                .iter()
                .all(|(_, code, words)| *code == status && words == "No such file or directory"),
            "{name}"
        );
        if end == 0 {
            assert_whole(&phone, &host);
            assert_eq!(
                phone.backup().finished().unwrap().omitted.len(),
                usize::from(times > 1),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn any_code_can_end_a_backup_at_any_moment() {
    for moment in ["start", "uploading", "moving", "end"] {
        for code in [1, 24, 105, 202, 208, 500, -1] {
            let phone = phone(&format!(
                "end = {{ code = {code}, text = 'because', at = '{moment}' }}"
            ));
            let mut host = Host::default();
            let outcome = host.back_up(&phone).await;
            assert_eq!(outcome.code(), code, "{moment}");
            assert!(
                outcome.words().starts_with("because (MBErrorDomain/"),
                "{}",
                outcome.words()
            );
            let dated = phone
                .value("com.apple.mobile.backup", "LastiTunesBackupDate")
                .is_some();
            assert!(!dated, "{moment}: a failed backup has no date");
        }
    }
}

#[tokio::test]
async fn more_space_is_demanded_than_any_disk_has() {
    let phone = phone("extra_need = 967_000_000_000");
    let mut host = Host {
        free: 500_000_000_000,
        ..Host::default()
    };
    assert_eq!(host.back_up(&phone).await.code(), 105);
    assert_eq!(host.count("DLMessagePurgeDiskSpace"), 1);
}

/// A rogue message at the moment at which it hurts most.
fn rogue(send: &str) -> Arc<Phone> {
    phone(&format!("[[rogue]]\nat = 'uploading'\nsend = {send}"))
}

#[tokio::test]
async fn messages_that_can_be_answered_do_not_end_the_backup() {
    for (send, message) in [
        (
            "{ unknown = 'DLMessageSelfDestruct' }",
            "DLMessageSelfDestruct",
        ),
        (
            "{ download = '../../etc/passwd' }",
            "DLMessageDownloadFiles",
        ),
        ("{ remove = '/tmp/nothing' }", "DLMessageRemoveItems"),
        (
            "{ move = { from = '{udid}/nothing', to = '../nothing' } }",
            "DLMessageMoveItems",
        ),
        (
            "{ copy = { from = '{udid}/Status.plist', to = '/tmp/nothing' } }",
            "DLMessageCopyItem",
        ),
        (
            "{ create-directory = '../elsewhere' }",
            "DLMessageCreateDirectory",
        ),
        ("{ list = '/' }", "DLContentsOfDirectory"),
        ("'ping'", "DLMessagePing"),
        ("'empty-frames'", "DLMessageUploadFiles"),
    ] {
        let phone = rogue(send);
        let mut host = Host::default();
        let outcome = host.back_up(&phone).await;
        assert!(host.log.iter().any(|name| name == message), "{send}");
        // A bare failure to move is fatal to nobody but the rogue itself.
        assert_eq!(outcome.code(), 0, "{send}: {outcome:?}");
        assert_eq!(phone.backup().finished().unwrap().how, How::Full);
    }
}

#[tokio::test]
async fn rogue_uploads_carry_content_that_can_be_searched_for() {
    for (send, path) in [
        ("{ upload = '../escaped' }", "../escaped".to_owned()),
        ("{ upload = '/tmp/escaped' }", "/tmp/escaped".to_owned()),
        (
            "{ upload = '00008101-000A11112222BEEF/escaped' }",
            "00008101-000A11112222BEEF/escaped".to_owned(),
        ),
        ("'upload-nul'", format!("{UDID}/a\0b")),
    ] {
        let phone = rogue(send);
        let mut host = Host::default();
        assert_eq!(host.back_up(&phone).await.code(), 0, "{send}");
        assert_eq!(
            host.files[&path].bytes.as_deref(),
            Some(ROGUE_CONTENT),
            "{send}"
        );
    }
    let phone = rogue("{ upload-twice = '{udid}/Snapshot/twice' }");
    let mut host = Host::default();
    assert_eq!(host.back_up(&phone).await.code(), 0);
}

#[tokio::test]
async fn what_is_no_protocol_ends_with_the_link() {
    // The host of these tests gives up where ours must: at the first byte that makes no sense.
    for send in [
        "'huge-message'",
        "'rubbish'",
        "'not-a-message'",
        "'zero-frame'",
        "'huge-path'",
        "'disconnect'",
    ] {
        let phone = rogue(send);
        assert!(
            matches!(Host::default().back_up(&phone).await, Outcome::Gone),
            "{send}"
        );
    }
}

#[tokio::test]
async fn a_success_out_of_turn_is_only_a_word() {
    let phone = phone("[[rogue]]\nat = 'uploading'\nsend = 'success'");
    let mut host = Host::default();
    assert_eq!(host.back_up(&phone).await.code(), 0);
    assert_eq!(
        host.phases,
        ["uploading"],
        "and the host must see that it is not finished"
    );
    assert!(phone.backup().finished().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_promises_more_than_comes_leaves_the_host_waiting() {
    for send in ["'huge-frame'", "'status'", "'version-exchange'"] {
        let phone = rogue(send);
        let mut host = Host::default();
        let day = Duration::from_secs(86_400);
        assert!(
            tokio::time::timeout(day, host.back_up(&phone))
                .await
                .is_err(),
            "{send}"
        );
    }
}
