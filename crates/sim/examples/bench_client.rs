//! Two hosts of `cargo xtask bench`, in the same surroundings: `bench_client drain|idevice SOCKET UDID ROOT`.
//!
//! `drain` speaks the host's side and answers everything, but throws the files away: no host can be faster than that.
//! `idevice` is the backup client of the crate of that name, a stranger. Both take the way to the service from there.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a measurement"
)]

#[path = "../tests/backup_host/mod.rs"]
mod backup_host;

use std::path::Path;

use backup_host::{Connection, Host};
use backupwatch_wire::mobilebackup2::HostCommand;
use idevice::lockdown::LockdownClient;
use idevice::mobilebackup2::{FsBackupDelegate, MobileBackup2Client};
use idevice::provider::IdeviceProvider as _;
use idevice::usbmuxd::UsbmuxdAddr;
use idevice::{Idevice, IdeviceService as _};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, socket, udid, root] = &arguments[..] else {
        panic!("bench_client drain|idevice SOCKET UDID ROOT")
    };
    let service = backup_service(socket, udid).await;
    match mode.as_str() {
        "drain" => drain(service, udid).await,
        "idevice" => idevice(service, Path::new(root)).await,
        other => panic!("{other} is neither drain nor idevice"),
    }
}

/// The backup service, started with the escrow bag.
async fn backup_service(socket: &str, udid: &str) -> Idevice {
    let address = UsbmuxdAddr::UnixSocket(socket.to_owned());
    let mut usbmuxd = address.connect(1).await.unwrap();
    let device = usbmuxd.get_device(udid).await.unwrap();
    let provider = device.to_provider(address, "bench");
    let pairing = provider.get_pairing_file().await.unwrap();
    let mut lockdown = LockdownClient::connect(&provider).await.unwrap();
    let legacy = lockdown.start_session(&pairing).await.unwrap();
    let bag = pairing.escrow_bag.clone();
    let (port, ssl) = lockdown
        .start_service_with_escrow("com.apple.mobilebackup2", bag)
        .await
        .unwrap();
    let mut service = provider.connect(port).await.unwrap();
    if ssl {
        service.start_session(&pairing, legacy).await.unwrap();
    }
    service.set_udid(udid);
    service
}

async fn drain(service: Idevice, udid: &str) {
    let mut host = Host {
        drain: true,
        ..Host::default()
    };
    let request = HostCommand::Backup {
        target: udid.to_owned(),
        source: None,
        force_full: false,
    };
    let stream = service.get_socket().unwrap();
    let outcome = Connection::new(stream)
        .talk(&mut host, request.to_message())
        .await;
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let manifest = &host.files[&format!("{udid}/Manifest.db")];
    println!("Manifest.db of {} bytes", manifest.len);
}

async fn idevice(service: Idevice, root: &Path) {
    let mut client = MobileBackup2Client::from_stream(service).await.unwrap();
    let end = client
        .backup_from_path(root, None, None, &FsBackupDelegate)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end["ErrorCode"].as_signed_integer(), Some(0), "{end:?}");
    client.disconnect().await.unwrap();
}
