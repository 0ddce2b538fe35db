//! The computer's sleep: it stays away from a backup, and what was due meanwhile is done when it is over.

use super::*;

async fn attached_and_judged(rig: &Rig) {
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("judged", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.seen_at.is_some())
    })
    .await;
}

/// A panic too is an end.
#[tokio::test(start_paused = true)]
async fn the_computer_is_kept_awake_until_a_backup_ends_in_whatever_way() {
    for backup in [
        Backup::Works,
        Backup::WorksAlone,
        Backup::WaitsForPasscode,
        Backup::Stuck,
        Backup::Panics,
    ] {
        let rig = Rig::new(config(Mode::Off));
        rig.phones.set(&udid(1), |phone| phone.backup = backup);
        attached_and_judged(&rig).await;
        assert!(!rig.is_kept_awake(), "{backup:?}: watching is no reason");
        let mut following = rig.desk.backup(udid(1), false).await.unwrap();
        match backup {
            Backup::Works | Backup::WorksAlone => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(rig.is_kept_awake(), "{backup:?}");
            }
            Backup::WaitsForPasscode => {
                tokio::time::sleep(Duration::from_secs(20 * 60)).await;
                assert!(rig.is_kept_awake(), "{backup:?}");
                rig.desk.cancel(udid(1)).await.unwrap();
            }
            Backup::Stuck => {
                // Aborted with the loop, after all patience.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let held = Arc::clone(&rig.held);
                rig.end().await;
                assert_eq!(Arc::strong_count(&held), 1, "{backup:?}");
                continue;
            }
            Backup::Panics => {}
        }
        following.end.wait_for(Option::is_some).await.unwrap();
        assert!(!rig.is_kept_awake(), "{backup:?}");
        rig.end().await;
    }
}

/// Too short for the clocks to tell it; the desktop tells it.
#[tokio::test(start_paused = true)]
async fn a_nap_is_over_when_the_desktop_says_so() {
    let rig = Rig::new(config(Mode::Off));
    attached_and_judged(&rig).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = rig.phones.get(&udid(1)).probes;
    rig.clock.sleep(20);
    rig.answers.send(FromDesktop::Woke).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.phones.get(&udid(1)).probes, before + 1);
    rig.end().await;
}

/// The night passes on the wall clock only. In the morning the backup does not wait for the rest of a timer.
#[tokio::test(start_paused = true)]
async fn what_was_put_off_until_the_morning_begins_at_waking() {
    let mut night = config(Mode::Auto);
    // The story begins at ten.
    night.policies.general.backup.quiet = "09:00-18:00".parse().unwrap();
    let rig = Rig::new(night);
    rig.phones.set(&udid(1), |phone| phone.cloud_days = 58);
    attached_and_judged(&rig).await;
    let put_off = rig
        .when("put off", |status| state_of(status, 1).due.is_some())
        .await;
    let due = state_of(&put_off, 1).due.clone().unwrap();
    assert!(due.waiting_for.contains("quiet"), "{due:?}");

    let begin = Instant::now();
    rig.clock.sleep(9 * 3600);
    rig.answers.send(FromDesktop::Woke).await.unwrap();
    rig.news
        .send(Event::Detached {
            attachment: Attachment(1),
        })
        .await
        .unwrap();
    rig.tell(attached(1)).await;
    rig.when("backed up", |status| {
        state_of(status, 1).backup.is_some() || state_of(status, 1).local.state == "verified"
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{begin:?}");
    rig.end().await;
}
