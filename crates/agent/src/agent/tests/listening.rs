//! Somebody listens to a phone's log: what they are told, how it ends, and what stays of it.

use backupwatch_core::DeviceTime;
use backupwatch_core::diagnosis::log::{LogLevel, SignKind};
use backupwatch_device::LogLine;

use super::*;
use crate::diagnosis::{ListenEnd, ListenEvent};
use crate::phones::LogEvent;

fn line(text: &str) -> LogEvent {
    LogEvent::Line(Box::new(LogLine {
        at: DeviceTime("2026-11-22T10:00:00Z".parse().unwrap()),
        process: "/System/Library/backupd".to_owned(),
        level: Some(LogLevel::Error),
        subsystem: "com.apple.mobilebackup".to_owned(),
        category: String::new(),
        text: text.to_owned(),
    }))
}

/// A phone whose log says so, attached and judged.
async fn rig(log: Vec<LogEvent>) -> Rig {
    let rig = Rig::new(config(Mode::Off));
    rig.phones.set(&udid(1), |phone| {
        phone.cloud_days = 58;
        phone.log = log;
    });
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("judged", |status| {
        (status.devices.first()).is_some_and(|device| device.icloud.state == "critical")
    })
    .await;
    rig
}

async fn all(mut events: mpsc::Receiver<ListenEvent>) -> (Vec<ListenEvent>, ListenEnd) {
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        if let ListenEvent::Ended(end) = event {
            assert_eq!(events.recv().await, None, "the end is the last");
            return (told, end);
        }
        told.push(event);
    }
    panic!("no end after {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_heard_told_and_kept() {
    let log = vec![
        LogEvent::Listening,
        line("=scheduler= nothing that anybody knows"),
        line("=cloud-backup= Backup failed: MBErrorDomain(303), <private>"),
        line("=cloud-backup= Backup finished successfully"),
    ];
    let rig = rig(log).await;
    let (told, end) = all(rig.desk.listen(udid(1)).await.unwrap()).await;
    let [ListenEvent::Listening, ListenEvent::Sign(sign)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(sign.code, SignKind::Failed);
    assert_eq!(sign.error.as_deref(), Some("MBErrorDomain 303"));
    assert!(sign.words.contains("303"), "{}", sign.words);
    assert_eq!(end.why, "attempt_ended", "what follows is not waited for");
    assert!(!end.causes.is_empty(), "{end:?}");

    let known = rig.desk.diagnosis(udid(1)).await.unwrap();
    assert_eq!(known.causes, end.causes, "and it stays known");
    let attempt = known.heard.unwrap().attempt.unwrap();
    assert_eq!(attempt.errors, ["MBErrorDomain 303"]);
    assert!(attempt.means.is_some());
    let dir = rig.end().await;
    let state = reader(&dir);
    let kept = state
        .devices::<backupwatch_core::watcher::Remembered>()
        .unwrap();
    assert!(
        kept[0].remembered.evidence.heard.is_some(),
        "after the end, too"
    );
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nothing_happens_when_it_is_stopped_and_when_the_phone_goes() {
    let listens = vec![LogEvent::Listening];
    let rig = rig(listens).await;

    let begun = tokio::time::Instant::now();
    let (_, end) = all(rig.desk.listen(udid(1)).await.unwrap()).await;
    assert_eq!(end.why, "time_up");
    assert_eq!(begun.elapsed().as_secs(), 600);

    let events = rig.desk.listen(udid(1)).await.unwrap();
    assert_eq!(
        rig.desk.listen(udid(1)).await.unwrap_err(),
        Refusal::Listening,
        "one at a time"
    );
    rig.desk.stop_listening(udid(1)).await.unwrap();
    assert_eq!(all(events).await.1.why, "stopped");
    assert_eq!(
        rig.desk.stop_listening(udid(1)).await.unwrap_err(),
        Refusal::NotListening
    );

    drop(rig.desk.listen(udid(1)).await.unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let next = rig.desk.listen(udid(1)).await;
    drop(next.expect("whoever goes away makes room"));

    rig.tell(Event::Detached {
        attachment: Attachment(1),
    })
    .await;
    rig.when("gone", |status| state_of(status, 1).links.is_empty())
        .await;
    assert_eq!(
        rig.desk.listen(udid(1)).await.unwrap_err(),
        Refusal::NotAttached
    );
    assert_eq!(
        rig.desk.listen(udid(7)).await.unwrap_err(),
        Refusal::UnknownDevice
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_does_not_let_us_is_not_said_to_be_silent() {
    for (log, why) in [
        (Vec::new(), "refused"),
        (vec![LogEvent::Listening], "link_lost"),
    ] {
        let rig = rig(log).await;
        rig.phones.set(&udid(1), |phone| phone.log_breaks = true);
        let (_, end) = all(rig.desk.listen(udid(1)).await.unwrap()).await;
        assert_eq!(end.why, why);
        let heard = rig.desk.diagnosis(udid(1)).await.unwrap().heard;
        assert_eq!(
            heard.is_some(),
            why == "link_lost",
            "what was not heard is not kept"
        );
        rig.end().await;
    }
}

/// A follower who reads nothing and does not go away either.
#[tokio::test(start_paused = true)]
async fn a_follower_who_does_not_read_keeps_nobody_for_ever() {
    let mut log = vec![LogEvent::Listening];
    for n in 0..100 {
        let code = if n % 2 == 0 { "onPower:0" } else { "onPower:1" };
        log.push(line(&format!(
            "=scheduler= [Off condition] state changed, enabled:1, locked:0, {code}, onWiFi:{}",
            n / 2 % 2
        )));
    }
    let rig = rig(log).await;
    let events = rig.desk.listen(udid(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(700)).await;
    drop(rig.desk.listen(udid(1)).await.expect("its time was up"));
    drop(events);
    rig.end().await;
}
