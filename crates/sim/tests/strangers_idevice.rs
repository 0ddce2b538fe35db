//! A stranger in this process: the backup client of the `idevice` crate, against our phone.

#![cfg(test)]

mod peers;
mod table;

use backupwatch_sim::mobilebackup2::How;
use idevice::IdeviceService;
use idevice::lockdown::LockdownClient;
use idevice::mobilebackup2::{FsBackupDelegate, MobileBackup2Client, RestoreOptions};
use idevice::provider::{IdeviceProvider, UsbmuxdProvider};
use idevice::usbmuxd::UsbmuxdAddr;
use table::{PASSWORD, Table, encrypted, plain};

async fn provider(table: &Table) -> UsbmuxdProvider {
    let address =
        UsbmuxdAddr::UnixSocket(table.home().join("usbmuxd").to_str().unwrap().to_owned());
    let device = address
        .connect(1)
        .await
        .unwrap()
        .get_device(&table.udid())
        .await
        .unwrap();
    device.to_provider(address, "stranger")
}

/// The client over a service that was started with the escrow bag, which its own `connect` leaves out.
async fn client(table: &Table) -> MobileBackup2Client {
    let provider = provider(table).await;
    let pairing = provider.get_pairing_file().await.unwrap();
    let mut lockdown = LockdownClient::connect(&provider).await.unwrap();
    let legacy = lockdown.start_session(&pairing).await.unwrap();
    let bag = pairing.escrow_bag.clone();
    let (port, ssl) = lockdown
        .start_service_with_escrow("com.apple.mobilebackup2", bag)
        .await
        .unwrap();
    let mut stream = provider.connect(port).await.unwrap();
    if ssl {
        stream.start_session(&pairing, legacy).await.unwrap();
    }
    stream.set_udid(table.udid());
    MobileBackup2Client::from_stream(stream).await.unwrap()
}

async fn backs_up(table: &Table, mut client: MobileBackup2Client, how: How) {
    let end = client
        .backup_from_path(&table.root(), None, None, &FsBackupDelegate)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end["ErrorCode"].as_signed_integer(), Some(0), "{end:?}");
    client.disconnect().await.unwrap();
    let phone = table.phone();
    let verdict = phone.verdict(&table.root());
    assert!(verdict.is_whole(), "{verdict}");
    let side = phone.phone().backup();
    assert_eq!(side.violations(), Vec::<String>::new());
    assert_eq!(side.finished().unwrap().how, how);
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_backs_up_a_plain_phone() {
    let table = Table::unix(plain());
    backs_up(&table, client(&table).await, How::Full).await;
    table.phone().change_contents(|catalog| catalog.mutate(5.0));
    // Its own way in, without the escrow bag, will do while the phone stays unlocked.
    let own = MobileBackup2Client::connect(&provider(&table).await)
        .await
        .unwrap();
    backs_up(&table, own, How::Incremental).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_backs_up_and_restores_an_encrypted_phone() {
    let table = Table::unix(encrypted());
    backs_up(&table, client(&table).await, How::Full).await;
    let restore = async |password: &str| {
        let options = RestoreOptions::new().with_password(password);
        let end = client(&table)
            .await
            .restore_from_path(&table.root(), None, Some(options), &FsBackupDelegate)
            .await;
        end.unwrap().unwrap()["ErrorCode"].as_signed_integer()
    };
    assert_eq!(restore(PASSWORD).await, Some(0));
    assert_eq!(restore("wrong").await, Some(207));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_escrow_bag_a_phone_that_locks_itself_ends_the_backup() {
    let mut persona = plain();
    persona.backup.batch = 4;
    let table = Table::unix(persona);
    let mut own = MobileBackup2Client::connect(&provider(&table).await)
        .await
        .unwrap();
    let phone = table.phone();
    phone.single_step(true);
    let steps = async {
        let mut uploads = 0;
        while uploads < 5 {
            uploads += usize::from(phone.step().await == "DLMessageUploadFiles");
        }
        phone.lock();
        phone.single_step(false);
    };
    let root = table.root();
    let (end, ()) = tokio::join!(
        own.backup_from_path(&root, None, None, &FsBackupDelegate),
        steps
    );
    assert_eq!(
        end.unwrap().unwrap()["ErrorCode"].as_signed_integer(),
        Some(208)
    );
}
