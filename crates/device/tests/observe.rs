//! Hints: a changed backup domain and the lock, without a lockdown session in the background.

#![cfg(test)]

mod common;

use backupwatch_core::NoAnswer;
use backupwatch_device::{Attached, DeviceError, Hint, Timeouts, Transport, observe};
use backupwatch_sim::phone::Channel;
use common::{Stage, soon};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Ear {
    hints: mpsc::Receiver<Hint>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), DeviceError>>,
}

async fn listen(stage: &Stage) -> Ear {
    let attached: Attached = stage.attached().await;
    let (sender, hints) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let (transport, timeouts): (Transport, Timeouts) = (stage.transport.clone(), stage.timeouts);
    let task =
        tokio::spawn(async move { observe(&transport, &attached, &timeouts, sender, token).await });
    Ear {
        hints,
        cancel,
        task,
    }
}

/// Until the phone has taken both requests.
async fn heard(stage: &Stage) {
    let phone = stage.phone();
    soon("both requests", async {
        while phone
            .phone()
            .journal()
            .names(Channel::NotificationProxy)
            .len()
            < 2
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn changes_and_the_lock_are_heard() {
    for lines in ["", "[services]\nssl = \"never\"\n"] {
        let stage = Stage::with(lines);
        let mut ear = listen(&stage).await;
        heard(&stage).await;
        let phone = stage.phone();
        phone.set_cloud_date("2026-11-01T00:00:00Z".parse().unwrap());
        assert_eq!(
            soon("a hint", ear.hints.recv()).await,
            Some(Hint::DomainChanged)
        );
        phone.lock();
        assert_eq!(
            soon("a hint", ear.hints.recv()).await,
            Some(Hint::LockChanged)
        );
        phone.unlock();
        assert_eq!(
            soon("a hint", ear.hints.recv()).await,
            Some(Hint::LockChanged)
        );

        assert_eq!(stage.times_asked("StartSession"), 1);
        assert_eq!(stage.times_asked("StopSession"), 1, "no session is held");
        ear.cancel.cancel();
        soon("the end", ear.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn it_ends_with_the_phone() {
    let stage = Stage::with("");
    let ear = listen(&stage).await;
    heard(&stage).await;
    stage.phone().unplug();
    let error = soon("the end", ear.task).await.unwrap().unwrap_err();
    assert_eq!(error.no_answer(), NoAnswer::LinkLost, "{error:?}");
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let stage = Stage::with("");
    let ear = listen(&stage).await;
    heard(&stage).await;
    drop(ear.hints);
    soon("the end", ear.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn phones_that_do_not_tell_say_why() {
    for (name, lines, want) in [
        (
            "never paired",
            "[trust]\npaired = false\n",
            NoAnswer::NotTrusted,
        ),
        (
            "forbidden",
            "[services]\nrefuse = { \"com.apple.mobile.notification_proxy\" = \"ServiceProhibited\" }\n",
            NoAnswer::Prohibited,
        ),
    ] {
        let stage = Stage::with(lines);
        let ear = listen(&stage).await;
        let error = soon("the end", ear.task).await.unwrap().unwrap_err();
        assert_eq!(error.no_answer(), want, "{name}");
    }
}
