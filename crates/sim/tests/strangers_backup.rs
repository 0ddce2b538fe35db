//! Strangers at our backup service: idevicebackup2 over a Unix socket, pymobiledevice3 over TCP. Both were made with real
//! phones; what they accept from ours, and what ours says about what they wrote, is the proof that the order, the rules
//! and the bytes are right.

#![cfg(test)]

mod peers;
mod table;

use std::path::Path;

use backupwatch_sim::mobilebackup2::How;
use backupwatch_sim::phone::Channel;
use peers::{Said, find};
use table::{PASSWORD, Table, encrypted, plain};

fn successful(said: &Said) {
    assert!(
        said.ok && said.out.contains("Backup Successful."),
        "{}\n{}",
        said.out,
        said.err
    );
}

/// The tree is whole, and nothing was done that a phone would not forgive.
fn whole(table: &Table, how: How) -> usize {
    let phone = table.phone();
    let verdict = phone.verdict(&table.root());
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(phone.violations(), Vec::<String>::new());
    let finished = phone.finished_backup().unwrap();
    assert_eq!(finished.how, how);
    assert_eq!(
        verdict.files,
        finished.items().filter(|item| item.is_file()).count()
    );
    finished.uploaded
}

fn change_something(table: &Table) {
    table.phone().change_contents(|catalog| {
        catalog.mutate(2.0);
        catalog
            .add("HomeDomain", "Library/new 🆕.txt", 777)
            .unwrap();
        catalog.delete("HomeDomain", "Library/empty").unwrap();
        catalog
            .rename("HomeDomain", "Library/note.txt", "Library/renamed.txt")
            .unwrap();
    });
}

async fn idevicebackup2_backs_up(table: &Table) {
    let Some(tool) = find("idevicebackup2") else {
        return;
    };
    let root = table.root_text();
    let all = table.phone().catalog().files().count();

    successful(&table.run(&tool, &["backup", &root]).await);
    assert_eq!(whole(table, How::Full), all);

    successful(&table.run(&tool, &["backup", &root]).await);
    assert_eq!(whole(table, How::Incremental), 0, "nothing has changed");

    change_something(table);
    successful(&table.run(&tool, &["backup", &root]).await);
    let uploaded = whole(table, How::Incremental);
    assert!((2..all / 10).contains(&uploaded), "{uploaded}");

    successful(&table.run(&tool, &["backup", "--full", &root]).await);
    assert_eq!(whole(table, How::Full), all);
    assert!(
        table
            .phone()
            .phone()
            .value("com.apple.mobile.backup", "LastiTunesBackupDate")
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicebackup2_backs_up_a_plain_phone() {
    idevicebackup2_backs_up(&Table::unix(plain())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicebackup2_backs_up_an_encrypted_phone() {
    idevicebackup2_backs_up(&Table::unix(encrypted())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicebackup2_switches_encryption_on_changes_and_off() {
    let Some(tool) = find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(plain());
    let root = table.root_text();
    let will_encrypt = || {
        table
            .phone()
            .phone()
            .value("com.apple.mobile.backup", "WillEncrypt")
            .and_then(|value| value.as_boolean())
    };
    successful(&table.run(&tool, &["backup", &root]).await);
    assert_eq!(will_encrypt(), None);

    let said = table
        .run(&tool, &["encryption", "on", "first", &root])
        .await;
    assert!(said.ok, "{said:?}");
    assert_eq!(will_encrypt(), Some(true));
    successful(&table.run(&tool, &["backup", &root]).await);
    whole(&table, How::Full);

    let said = table
        .run(&tool, &["changepw", "wrong", "second", &root])
        .await;
    assert!(!said.ok && said.out.contains("207"), "{said:?}");
    let said = table
        .run(&tool, &["changepw", "first", "second", &root])
        .await;
    assert!(said.ok, "{said:?}");
    successful(&table.run(&tool, &["backup", &root]).await);
    whole(&table, How::Full);
    successful(&table.run(&tool, &["backup", &root]).await);
    whole(&table, How::Incremental);

    let said = table
        .run(&tool, &["encryption", "off", "second", &root])
        .await;
    assert!(said.ok, "{said:?}");
    assert_eq!(will_encrypt(), Some(false));
    successful(&table.run(&tool, &["backup", &root]).await);
    whole(&table, How::Full);
    let journal = table
        .phone()
        .seen()
        .iter()
        .map(|seen| format!("{seen:?}"))
        .collect::<String>();
    assert!(!journal.contains("second"), "a password is in the journal");
}

fn spoil(root: &Path, table: &Table) {
    let catalog = table.phone().catalog();
    let item = catalog.get("HomeDomain", "Library/SMS/sms.db").unwrap();
    let path = root
        .join(table.udid())
        .join(item.id.folder())
        .join(item.id.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

async fn idevicebackup2_restores(table: &Table, more: &[&str]) {
    let Some(tool) = find("idevicebackup2") else {
        return;
    };
    let root = table.root_text();
    successful(&table.run(&tool, &["backup", &root]).await);
    let arguments = [
        &["restore", "--system", "--settings"],
        more,
        &[root.as_str()],
    ]
    .concat();
    let said = table.run(&tool, &arguments).await;
    assert!(
        said.ok && said.out.contains("Restore Successful"),
        "{said:?}"
    );
    assert!(
        table
            .phone()
            .seen()
            .iter()
            .any(|seen| seen.channel == Channel::Backup && seen.name == "Restore")
    );

    spoil(&table.root(), table);
    let said = table.run(&tool, &arguments).await;
    assert!(!said.out.contains("Restore Successful"), "{said:?}");
    assert!(said.out.contains("205"), "{said:?}");
    assert_eq!(
        table.phone().verdict(&table.root()).differing,
        ["HomeDomain/Library/SMS/sms.db"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicebackup2_restores_a_plain_backup_and_not_a_spoiled_one() {
    idevicebackup2_restores(&Table::unix(plain()), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicebackup2_restores_an_encrypted_backup_and_not_a_spoiled_one() {
    idevicebackup2_restores(&Table::unix(encrypted()), &["--password", PASSWORD]).await;
}

async fn pymobiledevice3_backs_up_and_restores(table: &Table, password: &[&str]) {
    let Some(tool) = find("pymobiledevice3") else {
        return;
    };
    let root = table.root_text();
    let all = table.phone().catalog().files().count();
    let backup = async |more: &[&str]| {
        let arguments = [&["backup2", "backup"], more, &[root.as_str()]].concat();
        let said = table.run(&tool, &arguments).await;
        assert!(
            said.ok && !said.err.contains("Traceback"),
            "{}\n{}",
            said.out,
            said.err
        );
    };
    backup(&[]).await;
    assert_eq!(whole(table, How::Full), all);
    backup(&[]).await;
    assert_eq!(whole(table, How::Incremental), 0);
    change_something(table);
    backup(&[]).await;
    assert!(whole(table, How::Incremental) < all / 10);
    // It seeds a finished Status.plist and an empty Manifest.plist to ask for this.
    backup(&["--full"]).await;
    assert_eq!(whole(table, How::Full), all);

    let arguments = [
        &["backup2", "restore", "--system"],
        password,
        &[root.as_str()],
    ]
    .concat();
    let said = table.run(&tool, &arguments).await;
    assert!(
        said.ok && !said.err.contains("Traceback"),
        "{}\n{}",
        said.out,
        said.err
    );
    assert_eq!(table.phone().violations(), Vec::<String>::new());
    spoil(&table.root(), table);
    let said = table.run(&tool, &arguments).await;
    assert!(
        format!("{}{}", said.out, said.err).contains("205"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_backs_up_and_restores_a_plain_phone() {
    pymobiledevice3_backs_up_and_restores(&Table::tcp(plain()), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_backs_up_and_restores_an_encrypted_phone() {
    pymobiledevice3_backs_up_and_restores(&Table::tcp(encrypted()), &["--password", PASSWORD])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_noted_and_not_obeyed() {
    let Some(tool) = find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(plain());
    let said = table
        .run(&tool, &["cloud", "off", &table.root_text()])
        .await;
    let violations = table.phone().violations();
    assert!(
        violations
            .iter()
            .any(|what| what.contains("EnableCloudBackup")),
        "{violations:?} {said:?}"
    );
    let enabled = table
        .phone()
        .phone()
        .value("com.apple.mobile.backup", "CloudBackupEnabled");
    assert_eq!(enabled.and_then(|value| value.as_boolean()), Some(true));
}
