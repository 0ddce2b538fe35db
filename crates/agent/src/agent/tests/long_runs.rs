//! Stories over hours and restarts: polling, sleep, a usbmuxd and a disk that come and go, many phones.

use super::*;

#[tokio::test(start_paused = true)]
async fn phones_are_asked_again_at_every_interval_and_after_a_sleep() {
    let rig = Rig::new(config(Mode::Off));
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("judged", |status| {
        status
            .devices
            .first()
            .is_some_and(|device| device.icloud.state == "fresh")
    })
    .await;
    let first = rig.phones.get(&udid(1)).probes;
    tokio::time::sleep(Duration::from_secs(4 * 15 * 60 + 30)).await;
    let later = rig.phones.get(&udid(1)).probes;
    assert!(
        (first + 3..=first + 5).contains(&later),
        "four intervals: {first} then {later}"
    );

    // The wall clock runs eight hours while the timer stands still; the next turn notices, whatever causes it.
    rig.clock.sleep(8 * 3600);
    let before = rig.desk.status().await.unwrap();
    rig.when("polled after the sleep", |status| {
        status.agent.last_poll > before.agent.last_poll
    })
    .await;
    assert!(rig.phones.get(&udid(1)).probes > later);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn usbmuxd_comes_and_goes() {
    let rig = Rig::new(config(Mode::Off));
    rig.tell(Event::MuxDown {
        why: "usbmuxd is not running".to_owned(),
    })
    .await;
    let down = rig
        .when("down", |status| status.agent.usbmuxd == Some(false))
        .await;
    assert_eq!(
        down.agent.remarks,
        ["Phones cannot be seen: usbmuxd is not running."]
    );
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("up", |status| {
        status.agent.usbmuxd == Some(true)
            && status.devices.iter().any(|device| device.seen_at.is_some())
    })
    .await;
    rig.tell(Event::MuxDown {
        why: "usbmuxd closed the connection".to_owned(),
    })
    .await;
    rig.when("detached", |status| state_of(status, 1).links.is_empty())
        .await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_is_said_and_comes_back() {
    let rig = Rig::new(config(Mode::Off));
    rig.when("scanned", |status| status.agent.remarks.is_empty())
        .await;
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    rig.when("seen", |status| {
        status.devices.iter().any(|device| device.seen_at.is_some())
    })
    .await;
    let dir = rig.end().await;
    std::fs::remove_dir_all(dir.path().join("backups")).unwrap();
    std::fs::write(dir.path().join("backups"), "in the way").unwrap();

    let rig = Rig::at(dir, config(Mode::Off));
    let status = rig
        .when("missing", |status| !status.agent.remarks.is_empty())
        .await;
    assert!(
        status.agent.remarks[0].starts_with("Backups cannot be made: "),
        "{:?}",
        status.agent.remarks
    );
    assert_eq!(status.devices.len(), 1, "the device is remembered");
    std::fs::remove_file(rig.dir.path().join("backups")).unwrap();
    rig.when("back at the next round", |status| {
        status.agent.remarks.is_empty()
    })
    .await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_tells_nothing_twice() {
    let story = async |dir| {
        let rig = Rig::at(dir, config(Mode::Off));
        rig.phones.set(&udid(1), |phone| phone.cloud_days = 58);
        rig.tell(Event::MuxUp).await;
        rig.tell(attached(1)).await;
        rig.when("judged", |status| {
            status
                .devices
                .first()
                .is_some_and(|device| device.seen_at.is_some())
        })
        .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let told = rig
            .kinds()
            .into_iter()
            .filter(|kind| *kind == NoticeKind::CloudStale)
            .count();
        (rig.end().await, told)
    };
    let (dir, first) = story(tempfile::tempdir().unwrap()).await;
    let (_dir, second) = story(dir).await;
    assert_eq!((first, second), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn five_hundred_phones_at_once() {
    let rig = Rig::new(config(Mode::Off));
    rig.tell(Event::MuxUp).await;
    for n in 1..=500 {
        rig.tell(attached(n)).await;
    }
    let status = rig.when("all judged", |status| {
        status.devices.len() == 500
            && status
                .devices
                .iter()
                .all(|device| device.icloud.state == "fresh")
    });
    status.await;
    let dir = rig.end().await;
    let remembered: Vec<crate::state::Device<Remembered>> = reader(&dir).devices().unwrap();
    assert_eq!(remembered.len(), 500);
}
