//! The phone's log, by both of its services, on real sockets.

#![cfg(test)]

mod common;

use backupwatch_core::diagnosis::log::{Listening, LogLevel, SignKind};
use backupwatch_device::{Attached, DeviceError, LogEvent, LogLine, live};
use backupwatch_sim::phone::Channel;
use common::{Noon, Stage, soon};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A phone whose iCloud is full.
const FULL: &str =
    "[icloud]\ncure = \"icloud-room\"\n[icloud.failure]\nchain = [\"MBErrorDomain/303\"]\n";

struct Ear {
    events: mpsc::Receiver<LogEvent>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), DeviceError>>,
}

impl Ear {
    /// Until the phone lets us hear.
    async fn open(stage: &Stage) -> Self {
        let mut ear = Self::at(stage).await;
        assert_eq!(
            soon("a start", ear.events.recv()).await,
            Some(LogEvent::Listening)
        );
        ear
    }

    async fn at(stage: &Stage) -> Self {
        Self::of(stage, "backupd").await
    }

    async fn of(stage: &Stage, program: &'static str) -> Self {
        let attached: Attached = stage.attached().await;
        let (sender, events) = mpsc::channel(256);
        let cancel = CancellationToken::new();
        let (token, transport, timeouts) =
            (cancel.clone(), stage.transport.clone(), stage.timeouts);
        let task = tokio::spawn(async move {
            live(
                &transport, &attached, &timeouts, &Noon, program, sender, token,
            )
            .await
        });
        Self {
            events,
            cancel,
            task,
        }
    }

    async fn line(&mut self) -> LogLine {
        loop {
            match soon("a line", self.events.recv()).await {
                Some(LogEvent::Line(line)) => return *line,
                Some(LogEvent::Listening) => {}
                None => panic!("it ended"),
            }
        }
    }

    /// The line that says that the backup failed.
    async fn failure(&mut self) -> LogLine {
        loop {
            let line = self.line().await;
            assert!(line.process.ends_with("backupd"), "{line:?}");
            if line.text.contains("Backup failed:") {
                return line;
            }
        }
    }

    async fn end(self) -> Result<(), DeviceError> {
        soon("the end", self.task).await.unwrap()
    }
}

#[tokio::test]
async fn what_backupd_says_is_heard_and_nothing_else() {
    for ssl in ["", "[services]\nssl = \"never\"\n"] {
        let stage = Stage::with(&format!("{ssl}{FULL}"));
        let mut ear = Ear::open(&stage).await;
        stage.phone().back_up_to_icloud_now();
        let line = ear.failure().await;
        assert_eq!(line.level, Some(LogLevel::Error));
        assert_eq!(line.subsystem, "com.apple.mobilebackup");
        let sign = Listening::default().take(&line.as_line()).unwrap();
        assert_eq!(sign.kind, SignKind::Failed);
        assert_eq!(sign.error.unwrap().code, 303);

        assert_eq!(
            stage.times_asked("StartSession"),
            stage.times_asked("StopSession"),
            "no session is held"
        );
        let asked = stage.phone().phone().journal().names(Channel::Log);
        assert_eq!(asked, ["PidList", "StartActivity"]);
        ear.cancel.cancel();
        ear.end().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_one_service_is_refused_the_other_one_tells() {
    let stage = Stage::with(&format!(
        "[services.refuse]\n\"com.apple.os_trace_relay\" = \"InvalidService\"\n{FULL}"
    ));
    let mut ear = Ear::open(&stage).await;
    stage.phone().back_up_to_icloud_now();
    let line = ear.failure().await;
    assert_eq!(
        (line.process.as_str(), line.level),
        ("backupd", Some(LogLevel::Error))
    );
    assert_eq!(line.at.to_string(), "2026-11-01T12:00:00Z", "when it came");
    let sign = Listening::default().take(&line.as_line()).unwrap();
    assert_eq!(sign.error.unwrap().code, 303);
    drop(ear.events);
    soon("the end", ear.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_phone_that_lets_nobody_listen_says_so() {
    let stage = Stage::with(
        "[services.refuse]\n\"com.apple.os_trace_relay\" = \"InvalidService\"\n\"com.apple.syslog_relay\" = \"ServiceProhibited\"\n",
    );
    let mut ear = Ear::at(&stage).await;
    assert_eq!(soon("the end", ear.events.recv()).await, None);
    let ended = ear.end().await;
    assert!(
        matches!(ended, Err(DeviceError::Refused { .. })),
        "{ended:?}"
    );
}

/// A program that does not run has no number, and everything is listened to for it.
#[tokio::test]
async fn what_others_say_is_not_passed_on() {
    for service in [
        "",
        "[services.refuse]\n\"com.apple.os_trace_relay\" = \"InvalidService\"\n",
    ] {
        let stage = Stage::with(&format!("{service}{FULL}"));
        let mut ear = Ear::of(&stage, "nobody").await;
        assert_eq!(
            soon("a start", ear.events.recv()).await,
            Some(LogEvent::Listening)
        );
        stage.phone().back_up_to_icloud_now();
        // What was said until now is heard by then; a slow machine only makes this test forgive more.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        stage.phone().unplug();
        assert_eq!(soon("the end", ear.events.recv()).await, None, "not a line");
        soon("the end", ear.task).await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn the_cable_is_pulled() {
    let stage = Stage::with(FULL);
    let ear = Ear::open(&stage).await;
    stage.phone().unplug();
    let ended = ear.end().await;
    assert!(matches!(ended, Err(DeviceError::Link { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_log_that_lies_is_read_as_far_as_it_can_be() {
    for (service, rogue, survives) in [
        ("trace", "unknown-level", true),
        ("trace", "cut-record", true),
        ("trace", "wrong-lengths", true),
        ("trace", "huge-length", false),
        ("trace", "rubbish", false),
        ("lines", "rubbish", true),
        ("lines", "controls", true),
        ("lines", "long", true),
    ] {
        let refused = if service == "lines" {
            "[services.refuse]\n\"com.apple.os_trace_relay\" = \"InvalidService\"\n"
        } else {
            ""
        };
        let stage = Stage::with(&format!(
            "{refused}{FULL}[log]\n{service} = [\"{rogue}\"]\n"
        ));
        let mut ear = Ear::open(&stage).await;
        if survives {
            stage.phone().back_up_to_icloud_now();
            while !ear.failure().await.text.contains("303") {}
            ear.cancel.cancel();
            ear.end().await.unwrap();
        } else {
            let ended = ear.end().await;
            assert!(
                matches!(ended, Err(DeviceError::Log(_))),
                "{rogue}: {ended:?}"
            );
        }
    }
}
