//! A stranger in this process: the `idevice` crate's own usbmuxd, lockdown and small clients, against our phone.

#![cfg(test)]

use std::time::Duration;

use backupwatch_sim::persona::{Answers, Dialog, LinkKind, LinkSpec, Persona};
use backupwatch_sim::phone::{BACKUP_DOMAIN, BACKUP_DOMAIN_CHANGED, Channel, PhoneHandle};
use backupwatch_sim::{Listen, Sim, SimHandle};
use idevice::afc::AfcClient;
use idevice::afc::opcode::{AfcFopenMode, AfcLockOp};
use idevice::heartbeat::HeartbeatClient;
use idevice::installation_proxy::InstallationProxyClient;
use idevice::lockdown::LockdownClient;
use idevice::notification_proxy::NotificationProxyClient;
use idevice::provider::{IdeviceProvider, UsbmuxdProvider};
use idevice::usbmuxd::{Connection, UsbmuxdAddr};
use idevice::{IdeviceError, IdeviceService};

const UDID: &str = "00008101-000A11112222F1E5";
const LABEL: &str = "stranger";

struct Table {
    sim: SimHandle,
    address: UsbmuxdAddr,
    _home: tempfile::TempDir,
}

impl Table {
    fn new(persona: Persona) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("usbmuxd");
        let sim = Sim::start(vec![persona], Listen::Unix(path.clone())).unwrap();
        let address = UsbmuxdAddr::UnixSocket(path.to_str().unwrap().to_owned());
        Self {
            sim,
            address,
            _home: home,
        }
    }

    fn phone(&self) -> PhoneHandle {
        self.sim.phone(UDID).unwrap()
    }

    async fn provider(&self) -> UsbmuxdProvider {
        let mut mux = self.address.connect(1).await.unwrap();
        let device = mux.get_device(UDID).await.unwrap();
        device.to_provider(self.address.clone(), LABEL)
    }

    async fn trusted(&self) -> LockdownClient {
        let provider = self.provider().await;
        let mut lockdown = LockdownClient::connect(&provider).await.unwrap();
        let pairing = provider.get_pairing_file().await.unwrap();
        lockdown.start_session(&pairing).await.unwrap();
        lockdown
    }
}

fn phone() -> Persona {
    Persona::plain(UDID, "Ada’s iPhone 📱")
}

#[tokio::test]
async fn it_lists_a_phone_on_cable_and_wifi() {
    let mut persona = phone();
    persona.link = vec![
        LinkSpec::new(LinkKind::Usb, true),
        LinkSpec {
            answers: Answers::Refuses,
            ..LinkSpec::new(LinkKind::Network, true)
        },
    ];
    let table = Table::new(persona);
    let mut mux = table.address.connect(1).await.unwrap();
    let devices = mux.get_devices().await.unwrap();
    assert_eq!(devices.len(), 2);
    assert!(devices.iter().all(|device| device.udid == UDID));
    assert_eq!(devices[0].connection_type, Connection::Usb);
    // It reads the raw address of the network device.
    assert!(
        matches!(devices[1].connection_type, Connection::Network(_)),
        "{:?}",
        devices[1]
    );
    let dead = mux
        .connect_to_device(devices[1].device_id, 62078, LABEL)
        .await;
    assert!(dead.is_err(), "{dead:?}");
}

#[tokio::test]
async fn it_reads_values_in_a_session_and_stops_it() {
    let table = Table::new(phone());
    let mut lockdown = table.trusted().await;
    // protocol.md 5.1, capture A
    table
        .phone()
        .set_cloud_date("2025-05-15T20:37:27Z".parse().unwrap());
    let date = lockdown
        .get_value(Some("LastCloudBackupDate"), Some(BACKUP_DOMAIN))
        .await
        .unwrap();
    assert_eq!(date.as_signed_integer(), Some(769_034_247));
    let prohibited = lockdown.set_value("SerialNumber", "x".into(), None).await;
    assert!(prohibited.is_err());
    lockdown.stop_session().await.unwrap();
}

#[tokio::test]
async fn it_pairs_when_the_owner_taps() {
    let mut persona = phone();
    persona.trust.paired = false;
    persona.trust.dialog = Dialog::TapAfter(0.5);
    let table = Table::new(persona);
    let provider = table.provider().await;
    assert!(provider.get_pairing_file().await.is_err(), "no record yet");

    let mut mux = table.address.connect(1).await.unwrap();
    let buid = mux.get_buid().await.unwrap();
    let mut lockdown = LockdownClient::connect(&provider).await.unwrap();
    let host_id = "0FA4E000-0000-4000-8000-00000000BEEF";
    let mut pairing = lockdown
        .pair(host_id, buid, Some("stranger"))
        .await
        .unwrap();
    assert!(pairing.escrow_bag.is_some());
    pairing.udid = Some(UDID.to_owned());
    mux.save_pair_record(UDID, pairing.serialize().unwrap())
        .await
        .unwrap();

    let mut lockdown = table.trusted().await;
    assert!(lockdown.get_value(None, Some(BACKUP_DOMAIN)).await.is_ok());
    lockdown.unpair(host_id).await.unwrap();
    let pairing = provider.get_pairing_file().await.unwrap();
    let mut again = LockdownClient::connect(&provider).await.unwrap();
    let refused = again.start_session(&pairing).await;
    assert!(
        matches!(refused, Err(IdeviceError::InvalidHostID)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn it_hears_that_the_owner_says_no() {
    let mut persona = phone();
    persona.trust.paired = false;
    persona.trust.dialog = Dialog::DenyAfter(0.2);
    let table = Table::new(persona);
    let provider = table.provider().await;
    let mut lockdown = LockdownClient::connect(&provider).await.unwrap();
    let denied = lockdown
        .pair("0FA4E000-0000-4000-8000-00000000BEEF", "B", None)
        .await;
    assert!(
        matches!(denied, Err(IdeviceError::UserDeniedPairing)),
        "{denied:?}"
    );
}

#[tokio::test]
async fn its_small_clients_are_served() {
    let mut persona = phone();
    persona.app =
        vec![toml::from_str("bundle_id = \"example.weather.rain\"\nname = \"Rain\"").unwrap()];
    let table = Table::new(persona);
    let provider = table.provider().await;
    let driver = table.phone();

    let mut notifications = NotificationProxyClient::connect(&provider).await.unwrap();
    notifications
        .observe_notification(BACKUP_DOMAIN_CHANGED)
        .await
        .unwrap();
    let observing = format!("observe {BACKUP_DOMAIN_CHANGED}");
    driver
        .phone()
        .journal()
        .wait_for(|seen| seen.name == observing)
        .await;
    driver.set_cloud_enabled(Some(false));
    let heard = notifications.receive_notification().await.unwrap();
    assert_eq!(heard, BACKUP_DOMAIN_CHANGED);
    notifications.shutdown().await.unwrap();

    let mut heart = HeartbeatClient::connect(&provider).await.unwrap();
    heart.get_marco(15).await.unwrap();
    heart.send_polo().await.unwrap();
    let polo = driver
        .phone()
        .journal()
        .wait_for(|seen| seen.channel == Channel::Heartbeat);
    tokio::time::timeout(Duration::from_secs(20), polo)
        .await
        .unwrap();

    let mut apps = InstallationProxyClient::connect(&provider).await.unwrap();
    let apps = apps.browse(None).await.unwrap();
    assert_eq!(apps.len(), 1);

    let mut one = AfcClient::connect(&provider).await.unwrap();
    let mut other = AfcClient::connect(&provider).await.unwrap();
    let path = "/com.apple.itunes.lock_sync";
    let mut mine = one.open(path, AfcFopenMode::Rw).await.unwrap();
    let mut theirs = other.open(path, AfcFopenMode::Rw).await.unwrap();
    mine.lock(AfcLockOp::ExclusiveLock).await.unwrap();
    let busy = theirs.lock(AfcLockOp::ExclusiveLock).await;
    assert!(format!("{busy:?}").contains("OpWouldBlock"), "{busy:?}");
    mine.lock(AfcLockOp::Unlock).await.unwrap();
    theirs.lock(AfcLockOp::ExclusiveLock).await.unwrap();
    assert!(driver.phone().sync_locked());
    // A descriptor that is dropped without this panics.
    mine.close().await.unwrap();
    theirs.close().await.unwrap();
    assert!(!driver.phone().sync_locked());
}
