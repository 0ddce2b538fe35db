//! Strangers at the services that send the phone's log: `idevicesyslog`, pymobiledevice3, and the two clients of the `idevice`
//! crate. Their authors learned the forms from real phones.

#![cfg(test)]

mod peers;
mod table;

use std::path::Path;

use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::Channel;
use idevice::IdeviceService;
use idevice::os_trace_relay::{LogLevel, OsTraceRelayClient};
use idevice::syslog_relay::SyslogRelayClient;
use idevice::usbmuxd::UsbmuxdAddr;
use peers::{PATIENCE, find};
use table::Table;
use tokio::io::{AsyncBufReadExt, BufReader};

const CHAIN: &str =
    "=cloud-backup= Backup failed: MBErrorDomain(303) Underlying error: CKErrorDomain(25)";

fn persona(name: &str) -> Persona {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    Persona::load(&folder.join(format!("{name}.toml"))).unwrap()
}

/// Lets a stranger listen, and somebody tap Back Up Now once it does. Answers what it printed until the failure was in it.
async fn listen(table: &Table, program: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = peers::command(program, &address(table), table.home());
    command.args(arguments);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let phone = table.phone();
    let heard = async {
        let journal = phone.phone().journal();
        journal.wait_for(|seen| seen.channel == Channel::Log).await;
        phone.lock();
        phone.back_up_to_icloud_now();
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let last = line.contains("nextBackupDateOnWiFi");
            printed.push(line);
            if last {
                break;
            }
        }
        printed
    };
    let printed = tokio::time::timeout(PATIENCE, heard).await;
    child.kill().await.unwrap();
    printed.unwrap_or_else(|_| panic!("{program:?} said nothing of the failure"))
}

fn address(table: &Table) -> String {
    table.sim().listen().environment().unwrap()
}

/// The one line with the chain.
fn line<'p>(printed: &'p [String], part: &str) -> &'p str {
    let found = printed.iter().find(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("no {part:?} in {printed:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicesyslog_prints_the_failure() {
    let Some(program) = find("idevicesyslog") else {
        return;
    };
    let table = Table::unix(persona("icloud-full"));
    let printed = listen(&table, &program, &["-u", &table.udid(), "--no-colors"]).await;
    // A form of line that it does not know it prints as it came, so the columns prove little; its filter reads them.
    let failed = line(&printed, CHAIN);
    assert!(failed.contains("backupd[214] <Error>: "), "{failed}");
    line(
        &printed,
        "SpringBoard[34] <Notice>: Front display did change: <private>",
    );
    line(&printed, "=scheduler= [On condition] state changed");

    let table = Table::unix(persona("icloud-full"));
    let only = ["-u", &table.udid(), "--no-colors", "-p", "backupd"];
    let printed = listen(&table, &program, &only).await;
    line(&printed, CHAIN);
    let others = printed.iter().filter(|line| line.contains("SpringBoard["));
    assert_eq!(others.count(), 0, "{printed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_prints_the_failure_with_its_label() {
    let Some(program) = find("pymobiledevice3") else {
        return;
    };
    let table = Table::tcp(persona("icloud-full"));
    let arguments = ["syslog", "live", "--udid", &table.udid(), "--label"];
    let printed = listen(&table, &program, &arguments).await;
    let failed = line(&printed, CHAIN);
    for part in ["backupd{", "[214]", "<ERROR>", "[com.apple.mobilebackup]"] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert!(line(&printed, "“<private>”").contains("<DEBUG>"));
    line(&printed, "=scheduler= [On condition] state changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_reads_the_lines_too() {
    let Some(program) = find("pymobiledevice3") else {
        return;
    };
    let table = Table::tcp(persona("icloud-full"));
    let arguments = ["syslog", "live-old", "--udid", &table.udid()];
    let printed = listen(&table, &program, &arguments).await;
    assert!(line(&printed, CHAIN).contains("Adas-iPhone backupd[214] <Error>: "));
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.expect("a stranger waits for nothing")
}

/// The phone as the `idevice` crate sees it.
async fn provider(table: &Table) -> idevice::provider::UsbmuxdProvider {
    let socket = table.home().join("usbmuxd");
    let address = UsbmuxdAddr::UnixSocket(socket.to_str().unwrap().to_owned());
    let mut daemon = address.connect(1).await.unwrap();
    let device = daemon.get_device(&table.udid()).await.unwrap();
    device.to_provider(address, "stranger")
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_finds_backupd_and_follows_it() {
    let table = Table::unix(persona("icloud-full"));
    let provider = provider(&table).await;
    let mut client = OsTraceRelayClient::connect(&provider).await.unwrap();
    let running = in_time(client.get_pid_list()).await.unwrap();
    assert!(running.contains(&214), "{running:?}");
    let client = OsTraceRelayClient::connect(&provider).await.unwrap();
    let mut log = in_time(client.start_trace(Some(214))).await.unwrap();
    table.phone().back_up_to_icloud_now();
    let failed = in_time(async {
        loop {
            let line = log.next().await.unwrap();
            assert_eq!(line.pid, 214);
            if line.level == LogLevel::Error {
                break line;
            }
        }
    })
    .await;
    assert!(failed.message.starts_with(CHAIN), "{failed:?}");
    assert!(failed.filename.ends_with("/backupd"));
    assert_eq!(failed.label.unwrap().subsystem, "com.apple.mobilebackup");
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_reads_the_lines_too() {
    let table = Table::unix(persona("icloud-full"));
    let mut client = SyslogRelayClient::connect(&provider(&table).await)
        .await
        .unwrap();
    in_time(client.next()).await.unwrap();
    table.phone().back_up_to_icloud_now();
    let failed = in_time(async {
        loop {
            let line = client.next().await.unwrap();
            if line.contains(CHAIN) {
                break line;
            }
        }
    });
    let failed = failed.await;
    assert!(failed.contains("backupd[214] <Error>: "), "{failed}");
}
