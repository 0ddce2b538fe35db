//! Readers that nobody here wrote open what a host saved from our phones: iphone_backup_decrypt, MVT, pyiosbackup and plain
//! SQLite. They know Apple's format from real backups.

#![cfg(test)]

mod peers;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backupwatch_sim::contents::{Item, Kind};
use peers::find;
use table::{PASSWORD, Table, encrypted, plain};

/// A phone, and the backup of it that idevicebackup2 made.
async fn backed_up(table: &Table) -> Option<PathBuf> {
    let tool = find("idevicebackup2")?;
    let said = table.run(&tool, &["backup", &table.root_text()]).await;
    assert!(said.out.contains("Backup Successful."), "{said:?}");
    Some(table.root().join(table.udid()))
}

fn content(item: &Item) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(item.size()).unwrap()];
    item.read(0, &mut bytes);
    bytes
}

fn files(table: &Table) -> Vec<Arc<Item>> {
    table.phone().catalog().files().cloned().collect()
}

async fn python(table: &Table, script: &str, arguments: &[&str]) -> Option<peers::Said> {
    let python = find("python")?;
    Some(
        table
            .run(&python, &[&["-c", script], arguments].concat())
            .await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn iphone_backup_decrypt_opens_an_encrypted_backup() {
    let table = Table::unix(encrypted());
    let Some(tree) = backed_up(&table).await else {
        return;
    };
    let out = table.home().join("decrypted");
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
    std::fs::create_dir(&out).unwrap();
    let arguments = [tree.to_str().unwrap(), PASSWORD, out.to_str().unwrap()];
    let Some(said) = python(&table, script, &arguments).await else {
        return;
    };
    // It tells when a decrypted length is not the one of the manifest.
    assert!(
        said.ok && said.out.contains("extracted 180") && !said.out.contains("INFO"),
        "{said:?}"
    );
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
    }
    assert_manifest_is_sound(&table, &out.join("Manifest.db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mvt_decrypts_an_encrypted_backup_and_reads_its_manifest() {
    let Some(mvt) = find("mvt-ios") else { return };
    let table = Table::unix(encrypted());
    let Some(tree) = backed_up(&table).await else {
        return;
    };
    let out = table.home().join("decrypted");
    let said = table
        .run(
            &mvt,
            &[
                "decrypt-backup",
                "-p",
                PASSWORD,
                "-d",
                out.to_str().unwrap(),
                tree.to_str().unwrap(),
            ],
        )
        .await;
    assert!(said.ok, "{said:?}");
    let mut compared = 0;
    for item in files(&table) {
        let path = out.join(item.id.folder()).join(item.id.to_string());
        assert!(
            std::fs::read(&path).unwrap_or_default() == content(&item),
            "{}",
            item.path
        );
        compared += 1;
    }
    assert_eq!(compared, files(&table).len());
    mvt_reads(&table, &mvt, &out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mvt_reads_the_manifest_of_a_plain_backup() {
    let Some(mvt) = find("mvt-ios") else { return };
    let table = Table::unix(plain());
    let Some(tree) = backed_up(&table).await else {
        return;
    };
    mvt_reads(&table, &mvt, &tree).await;
}

/// MVT's Manifest module lists everything, with the sizes and dates of the phone, and misses nothing.
async fn mvt_reads(table: &Table, mvt: &Path, tree: &Path) {
    let out = table.home().join("results");
    let said = table
        .run(
            mvt,
            &[
                "check-backup",
                "-m",
                "Manifest",
                "-o",
                out.to_str().unwrap(),
                tree.to_str().unwrap(),
            ],
        )
        .await;
    assert!(said.ok, "{said:?}");
    assert!(!said.out.contains("missing from the backup"), "{said:?}");
    let script = r#"
import json, sys
for row in json.load(open(sys.argv[1])):
    print(row["domain"], row["relative_path"], row.get("size"), row.get("mode"), row.get("missing", False), sep="\t")
"#;
    let json = out.join("manifest.json");
    let Some(said) = python(table, script, &[json.to_str().unwrap()]).await else {
        return;
    };
    let mut rows: Vec<&str> = said.out.lines().collect();
    rows.sort_unstable();
    let mut expected: Vec<String> = table
        .phone()
        .catalog()
        .items()
        .map(|item| {
            let mode = match &item.kind {
                Kind::File { .. } => "0o100644",
                Kind::Directory => "0o40755",
                Kind::Symlink { .. } => "0o120755",
            };
            format!(
                "{}\t{}\t{}\t{mode}\tFalse",
                item.domain,
                item.path,
                item.size()
            )
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_sqlite_reads_the_manifest_of_a_plain_backup() {
    let table = Table::unix(plain());
    let Some(tree) = backed_up(&table).await else {
        return;
    };
    assert_manifest_is_sound(&table, &tree.join("Manifest.db")).await;
}

async fn assert_manifest_is_sound(table: &Table, database: &Path) {
    let Some(sqlite) = find("sqlite3") else {
        return;
    };
    let database = database.to_str().unwrap();
    let said = table
        .run(&sqlite, &[database, "PRAGMA integrity_check"])
        .await;
    assert_eq!(said.out.trim(), "ok", "{said:?}");
    let catalog = table.phone().catalog();
    let said = table
        .run(
            &sqlite,
            &[database, "SELECT flags, count(*) FROM Files GROUP BY flags"],
        )
        .await;
    let files = catalog.files().count();
    let directories = catalog.items().count() - files - 1;
    assert_eq!(said.out, format!("1|{files}\n2|{directories}\n4|1\n"));
    let query = "SELECT fileID FROM Files WHERE domain = 'HomeDomain' AND relativePath = 'Library/SMS/sms.db'";
    let said = table.run(&sqlite, &[database, query]).await;
    assert_eq!(said.out.trim(), "3d0d7e5fb2ce288813306e4d4636395e047a3d28");
}

async fn pyiosbackup_unpacks(table: Table, password: &str) {
    let Some(tree) = backed_up(&table).await else {
        return;
    };
    let out = table.home().join("unpacked");
    // It takes for granted that every file of an encrypted backup has a key; an empty one has none.
    let script = r#"
import pathlib, sys
from pyiosbackup import Backup
tree, password, out = sys.argv[1:]
for entry in Backup.from_path(tree, password).iter_files():
    if entry.size:
        to = pathlib.Path(out) / entry.domain / entry.relative_path
        to.parent.mkdir(exist_ok=True, parents=True)
        to.write_bytes(entry.read_bytes())
"#;
    let arguments = [tree.to_str().unwrap(), password, out.to_str().unwrap()];
    let Some(said) = python(&table, script, &arguments).await else {
        return;
    };
    assert!(said.ok, "{said:?}");
    for item in files(&table).iter().filter(|item| item.size() > 0) {
        let path = out.join(&*item.domain).join(&*item.path);
        assert!(
            std::fs::read(&path).unwrap() == content(item),
            "{}",
            item.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pyiosbackup_unpacks_a_plain_backup() {
    pyiosbackup_unpacks(Table::unix(plain()), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyiosbackup_unpacks_an_encrypted_backup() {
    pyiosbackup_unpacks(Table::unix(encrypted()), PASSWORD).await;
}
