//! Readers that nobody here wrote open *our* backups: iphone_backup_decrypt and MVT with the password, MVT and plain SQLite
//! without one. They know Apple's format from real backups.

use backupwatch_e2e::{
    peers,
    table::{PASSWORD, Said, Table, encrypted, plain},
};
use backupwatch_sim::contents::{Item, Kind};
use std::{path::Path, sync::Arc};

fn content(item: &Item) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(item.size()).unwrap()];
    item.read(0, &mut bytes);
    bytes
}

fn files(table: &Table) -> Vec<Arc<Item>> {
    let catalog = table.phone().phone().backup().catalog();
    catalog.files().cloned().collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A phone of which there are two backups, so that the current one is of both runs.
fn backed_up(table: Table) -> Table {
    table.back_up_well(&[]);
    table
        .phone()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    table.back_up_well(&[]);
    table
}

#[test]
fn iphone_backup_decrypt_opens_our_encrypted_backup() {
    let Some(python) = peers::python("iphone_backup_decrypt") else {
        return;
    };
    let table = backed_up(Table::unix(encrypted()));
    let out = table.home().join("decrypted");
    std::fs::create_dir(&out).unwrap();
    let script = r#"
import sys
from iphone_backup_decrypt import EncryptedBackup
tree, password, out = sys.argv[1:]
try:
    EncryptedBackup(backup_directory=tree, passphrase="wrong").test_decryption()
    sys.exit("the wrong password opened it")
except ValueError:
    pass
backup = EncryptedBackup(backup_directory=tree, passphrase=password)
backup.save_manifest_file(out + "/Manifest.db")
open(out + "/sms.db", "wb").write(backup.extract_file_as_bytes("Library/SMS/sms.db"))
count = backup.extract_files(relative_paths_like="%", domain_like="CameraRollDomain",
                             output_folder=out + "/camera", preserve_folders=True)
print("extracted", count)
"#;
    let tree = table.tree();
    let arguments = ["-c", script, text(&tree), PASSWORD, text(&out)];
    let said = table.stranger(&python, &arguments);
    // It tells when a decrypted length is not the one of the manifest.
    assert!(
        said.ok() && said.out.contains("extracted 180") && !said.out.contains("INFO"),
        "{said:?}"
    );
    let mut compared = 0;
    for item in files(&table) {
        let path = match (&*item.domain, &*item.path) {
            ("HomeDomain", "Library/SMS/sms.db") => out.join("sms.db"),
            ("CameraRollDomain", path) => out.join("camera").join(path),
            _ => continue,
        };
        assert!(
            std::fs::read(&path).unwrap() == content(&item),
            "{}",
            item.path
        );
        compared += 1;
    }
    assert_eq!(compared, 181);
    sqlite_reads(&table, &out.join("Manifest.db"));
}

#[test]
fn mvt_decrypts_our_encrypted_backup_and_reads_its_manifest() {
    let Some(mvt) = peers::find("mvt-ios") else {
        return;
    };
    let table = backed_up(Table::unix(encrypted()));
    let out = table.home().join("decrypted");
    let tree = table.tree();
    let arguments = [
        "decrypt-backup",
        "-p",
        PASSWORD,
        "-d",
        text(&out),
        text(&tree),
    ];
    let said = table.stranger(&mvt, &arguments);
    assert!(said.ok(), "{said:?}");
    for item in files(&table) {
        let path = out.join(item.id.folder()).join(item.id.to_string());
        assert!(
            std::fs::read(&path).unwrap_or_default() == content(&item),
            "{}",
            item.path
        );
    }
    mvt_reads(&table, &mvt, &out);
}

#[test]
fn mvt_reads_the_manifest_of_our_plain_backup() {
    let Some(mvt) = peers::find("mvt-ios") else {
        return;
    };
    let table = backed_up(Table::unix(plain()));
    mvt_reads(&table, &mvt, &table.tree());
}

/// MVT's Manifest module lists everything that the phone holds, with its size and kind, and misses nothing.
fn mvt_reads(table: &Table, mvt: &Path, tree: &Path) {
    let Some(python) = peers::python("mvt") else {
        return;
    };
    let out = table.home().join("results");
    let arguments = [
        "check-backup",
        "-m",
        "Manifest",
        "-o",
        text(&out),
        text(tree),
    ];
    let said = table.stranger(mvt, &arguments);
    assert!(
        said.ok() && !said.out.contains("missing from the backup"),
        "{said:?}"
    );
    let script = r#"
import json, sys
for row in json.load(open(sys.argv[1])):
    print(row["domain"], row["relative_path"], row.get("size"), row.get("mode"), row.get("missing", False), sep="\t")
"#;
    let json = out.join("manifest.json");
    let said: Said = table.stranger(&python, &["-c", script, text(&json)]);
    let mut rows: Vec<&str> = said.out.lines().collect();
    rows.sort_unstable();
    let catalog = table.phone().phone().backup().catalog();
    let line = |item: &Arc<Item>| {
        let mode = match &item.kind {
            Kind::File { .. } => "0o100644",
            Kind::Directory => "0o40755",
            Kind::Symlink { .. } => "0o120755",
        };
        let (domain, path, size) = (&item.domain, &item.path, item.size());
        format!("{domain}\t{path}\t{size}\t{mode}\tFalse")
    };
    let mut expected: Vec<String> = catalog.items().map(line).collect();
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

#[test]
fn plain_sqlite_reads_the_manifest_of_our_plain_backup() {
    let table = backed_up(Table::unix(plain()));
    sqlite_reads(&table, &table.tree().join("Manifest.db"));
}

fn sqlite_reads(table: &Table, database: &Path) {
    let Some(sqlite) = peers::find("sqlite3") else {
        return;
    };
    let ask = |query: &str| table.stranger(&sqlite, &[text(database), query]).out;
    assert_eq!(ask("PRAGMA integrity_check").trim(), "ok");
    let catalog = table.phone().phone().backup().catalog();
    let files = catalog.files().count();
    let directories = catalog.items().count() - files - 1;
    assert_eq!(
        ask("SELECT flags, count(*) FROM Files GROUP BY flags"),
        format!("1|{files}\n2|{directories}\n4|1\n")
    );
    // The name that this file has in every backup of every iPhone.
    let query = "SELECT fileID FROM Files WHERE domain = 'HomeDomain' AND relativePath = 'Library/SMS/sms.db'";
    assert_eq!(
        ask(query).trim(),
        "3d0d7e5fb2ce288813306e4d4636395e047a3d28"
    );
}
