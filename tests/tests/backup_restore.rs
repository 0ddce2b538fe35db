//! A backup is worth what comes back from it: strangers restore *our* tree onto the phone, and the phone reads every file back
//! and compares it with what it holds. A tree with one wrong bit is refused, so the "yes" means something.

use backupwatch_e2e::{
    peers,
    table::{PASSWORD, Said, Table, encrypted, plain},
};
use backupwatch_sim::phone::Channel;
use std::path::Path;

/// Turns one bit of one blob.
fn spoil(table: &Table) {
    let catalog = table.phone().phone().backup().catalog();
    let item = catalog.get("HomeDomain", "Library/SMS/sms.db").unwrap();
    let blob = table
        .tree()
        .join(item.id.folder())
        .join(item.id.to_string());
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
}

/// Makes our backup, changes the phone, makes it again; the tree that is restored has files of both runs.
fn back_up_twice(table: &Table) {
    table.back_up_well(&[]);
    table
        .phone()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    table.back_up_well(&[]);
}

fn was_restored(table: &Table) -> bool {
    let seen = table.phone().seen();
    seen.iter()
        .any(|seen| seen.channel == Channel::Backup && seen.name == "Restore")
}

fn idevicebackup2_restores(table: &Table, more: &[&str]) {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    back_up_twice(table);
    let root = table.root();
    let options = ["restore", "--system", "--settings", "--no-reboot"];
    let arguments = [&options, more, &[root.to_str().unwrap()]].concat();
    let restore = || table.stranger(&tool, &arguments);

    let said = restore();
    assert!(
        said.ok() && said.out.contains("Restore Successful"),
        "{said:?}"
    );
    assert!(was_restored(table));
    table.assert_whole();

    spoil(table);
    let said = restore();
    assert!(
        !said.out.contains("Restore Successful") && said.out.contains("205"),
        "{said:?}"
    );
}

#[test]
fn idevicebackup2_restores_our_plain_backup() {
    idevicebackup2_restores(&Table::unix(plain()), &[]);
}

#[test]
fn idevicebackup2_restores_our_encrypted_backup() {
    idevicebackup2_restores(&Table::unix(encrypted()), &["--password", PASSWORD]);
}

fn pymobiledevice3_restores(table: &Table, password: &[&str]) {
    let Some(tool) = peers::find("pymobiledevice3") else {
        return;
    };
    back_up_twice(table);
    let root = table.root();
    let options = ["backup2", "restore", "--system"];
    let arguments = [&options, password, &[root.to_str().unwrap()]].concat();
    let restore = |tool: &Path| -> Said { table.stranger(tool, &arguments) };

    let said = restore(&tool);
    assert!(said.ok() && !said.err.contains("Traceback"), "{said:?}");
    assert!(was_restored(table));
    table.assert_whole();

    spoil(table);
    let said = restore(&tool);
    assert!(said.all().contains("205"), "{said:?}");
}

#[test]
fn pymobiledevice3_restores_our_plain_backup() {
    pymobiledevice3_restores(&Table::tcp(plain()), &[]);
}

#[test]
fn pymobiledevice3_restores_our_encrypted_backup() {
    pymobiledevice3_restores(&Table::tcp(encrypted()), &["--password", PASSWORD]);
}
