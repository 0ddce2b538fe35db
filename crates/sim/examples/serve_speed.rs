//! How fast a simulated phone serves: whole backups over a Unix socket without TLS, to a host that throws the files away.
//!
//! `cargo run --release -p backupwatch-sim --example serve_speed`

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

use std::sync::Arc;
use std::time::Instant;

use backup_host::{Connection, Host};
use backupwatch_sim::contents::Group;
use backupwatch_sim::mobilebackup2::serve;
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{MuxSide, Phone};
use backupwatch_wire::mobilebackup2::HostCommand;
use tokio::net::UnixStream;

#[tokio::main]
async fn main() {
    for (what, count, size, password) in [
        ("large files, plain", 200, 20_000_000, None),
        ("large files, encrypted", 200, 10_000_000, Some("secret")),
        ("small files, plain", 50_000, 4_096, None),
        ("150 000 files of 4 KB", 150_000, 4_096, None),
    ] {
        let mut persona = Persona::plain("00008101-000A11112222F1E5", "Speed");
        let names = vec!["file {n}".to_owned()];
        let group = Group {
            domain: "SpeedDomain".to_owned(),
            prefix: "a".to_owned(),
            count,
            size: (size, size),
            names,
            class: 3,
            attributes: 0,
        };
        persona.contents.groups.push(group);
        persona.backup.password = password.map(str::to_owned);
        let phone = Arc::new(Phone::new(persona, MuxSide::new()));
        let mut host = Host {
            drain: true,
            ..Host::default()
        };
        let bytes = phone.backup().catalog().bytes();
        let full = back_up(&phone, &mut host).await;
        phone.backup().change(|catalog| catalog.mutate(1.0));
        let incremental = back_up(&phone, &mut host).await;
        let rate = bytes as f64 / full / 1e6;
        println!(
            "{what}: {} MB in {full:.2} s, {rate:.0} MB/s; incremental of 1 %: {incremental:.2} s",
            bytes / 1_000_000
        );
    }
}

async fn back_up(phone: &Arc<Phone>, host: &mut Host) -> f64 {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let served = tokio::spawn(serve(theirs, phone.clone(), true));
    let request = HostCommand::Backup {
        target: phone.udid().to_owned(),
        source: None,
        force_full: false,
    };
    let start = Instant::now();
    let outcome = Connection::new(ours).talk(host, request.to_message()).await;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    served.await.unwrap();
    seconds
}
