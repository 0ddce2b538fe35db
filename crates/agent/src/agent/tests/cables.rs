//! The phones on the cables: looked at once after each change, said in the status, and quiet otherwise.

use backupwatch_device::bus::{Found, Listed, Mode, OnBus, Speed};

use super::*;

fn found(mode: Mode, listed: Listed) -> Found {
    let phone = OnBus {
        serial: None,
        product_id: 0x12a8,
        mode,
        speed: Some(Speed::High),
        port: "1-1".to_owned(),
        location: 0x10005,
    };
    Found { phone, listed }
}

impl Rig {
    fn lay(&self, found: &[Found]) {
        *self.phones.cables.lock().unwrap() = found.to_vec();
    }

    fn looks(&self) -> usize {
        self.phones.looks.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_phone_in_recovery_mode_is_told_of_and_forgotten_when_it_is_back() {
    let rig = Rig::new(config(backupwatch_core::policy::Mode::Off));
    rig.tell(Event::MuxUp).await;
    rig.when("scanned", |status| status.agent.usbmuxd == Some(true))
        .await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        rig.looks(),
        1,
        "one look after the start, and no more without a hint"
    );

    rig.lay(&[found(Mode::Recovery, Listed::Not)]);
    rig.phones.plugs.notify_one();
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(rig.looks(), 1, "usbmuxd has its turn first");
    let status = rig
        .when("told", |status| !status.agent.remarks.is_empty())
        .await;
    let [remark] = status.agent.remarks.as_slice() else {
        panic!("{:?}", status.agent.remarks);
    };
    assert!(remark.contains("is in recovery mode"), "{remark}");

    rig.lay(&[found(Mode::Normal, Listed::As(udid(1)))]);
    rig.tell(attached(1)).await;
    rig.when("forgotten", |status| status.agent.remarks.is_empty())
        .await;
    assert_eq!(rig.looks(), 3);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_cable_is_told_while_a_backup_runs() {
    let rig = Rig::new(config(backupwatch_core::policy::Mode::Auto));
    rig.phones.set(&udid(1), |phone| {
        phone.model = "iPhone16,1";
        phone.backup = Backup::WaitsForPasscode;
    });
    rig.lay(&[found(Mode::Normal, Listed::As(udid(1)))]);
    rig.tell(Event::MuxUp).await;
    rig.tell(attached(1)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        rig.desk.status().await.unwrap().agent.remarks,
        Vec::<String>::new(),
        "nobody waits"
    );
    rig.desk.backup(udid(1), false).await.unwrap();
    let status = rig
        .when("told", |status| !status.agent.remarks.is_empty())
        .await;
    assert!(
        status.agent.remarks[0].contains("480 Mb/s, and this model could have 10 Gb/s"),
        "{:?}",
        status.agent.remarks
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_breaks_is_not_the_last() {
    let rig = Rig::new(config(backupwatch_core::policy::Mode::Off));
    rig.phones.looks_panic.store(true, Ordering::SeqCst);
    rig.tell(Event::MuxUp).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.phones.looks_panic.store(false, Ordering::SeqCst);
    rig.lay(&[found(Mode::Dfu, Listed::Not)]);
    rig.phones.plugs.notify_one();
    rig.when("told", |status| !status.agent.remarks.is_empty())
        .await;
    rig.end().await;
}
