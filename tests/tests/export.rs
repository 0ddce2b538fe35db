//! What leaves the store for others: strangers restore and read it, and what they have already is not harmed.

#![cfg(unix)]

use backupwatch_e2e::{
    peers,
    table::{PASSWORD, PATIENCE, Said, Table, encrypted, plain},
    tree::Tree,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn export(table: &Table, more: &[&str]) -> Said {
    let root = table.root();
    let mut command = table.ours(&["export"]);
    command.arg("--root").arg(root).args(more);
    peers::run(&mut command, PATIENCE).into()
}

fn folder(table: &Table, name: &str) -> PathBuf {
    let folder = table.home().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// The current backup has files of both runs, and there is a version before it.
fn backed_up_twice(table: &Table) {
    table.back_up_well(&[]);
    table
        .phone()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    table.back_up_well(&[]);
}

#[test]
fn idevicebackup2_restores_what_was_exported() {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(plain());
    backed_up_twice(&table);
    let to = folder(&table, "to");
    let said = export(&table, &["--to", text(&to)]);
    assert!(
        said.ok() && said.out.contains("is as it arrived"),
        "{said:?}"
    );
    // Nothing of ours is needed for it.
    std::fs::rename(table.root(), table.home().join("away")).unwrap();
    let options = [
        "restore",
        "--system",
        "--settings",
        "--no-reboot",
        text(&to),
    ];
    let said = table.stranger(&tool, &options);
    assert!(
        said.ok() && said.out.contains("Restore Successful"),
        "{said:?}"
    );
}

#[test]
fn iphone_backup_decrypt_opens_an_exported_version() {
    let Some(python) = peers::python("iphone_backup_decrypt") else {
        return;
    };
    let table = Table::unix(encrypted());
    backed_up_twice(&table);
    let to = folder(&table, "to");
    let said = export(&table, &["--version", "20", "--to", text(&to)]);
    assert!(said.ok(), "{said:?}");
    let script = "import sys\n\
                  from iphone_backup_decrypt import EncryptedBackup\n\
                  backup = EncryptedBackup(backup_directory=sys.argv[1], passphrase=sys.argv[2])\n\
                  print('read', len(backup.extract_file_as_bytes('Library/SMS/sms.db')) > 0)\n";
    let tree = to.join(table.udid());
    let said = table.stranger(&python, &["-c", script, text(&tree), PASSWORD]);
    assert!(said.out.contains("read True"), "{said:?}");
}

#[test]
fn what_others_have_already_is_not_harmed() {
    let table = Table::unix(plain());
    backed_up_twice(&table);
    let to = folder(&table, "to");
    let older = export(&table, &["--version", "20", "--to", text(&to)]);
    assert!(older.ok(), "{older:?}");
    let older = Tree::of(&to.join(table.udid()));

    let said = export(&table, &["--to", text(&to), "--json"]);
    assert!(said.ok() && said.err.is_empty(), "{said:?}");
    let mut report: Value = serde_json::from_str(&said.out).unwrap();
    let aside = PathBuf::from(report["aside"].as_str().unwrap());
    older.assert_untouched(&Tree::of(&aside), "moved aside");
    let exported = to.join(table.udid());
    assert_eq!(report["path"], text(&exported.canonicalize().unwrap()));
    let bytes: u64 = report["bytes"].as_u64().unwrap();
    assert!(bytes > 1_000_000, "{bytes}");
    for key in ["aside", "bytes", "cloned", "files", "path"] {
        report[key] = format!("[{key}]").into();
    }
    insta::assert_json_snapshot!("report", report);

    // Both the older one in the place of the newer, and the same once more.
    let newer = Tree::of(&to);
    for (version, code) in [("20", "newer_there"), ("current", "already_there")] {
        let said = export(&table, &["--version", version, "--to", text(&to), "--json"]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.out.contains(code), "{said:?}");
    }
    newer.assert_untouched(&Tree::of(&to), "what was there");
}

#[test]
fn where_nothing_can_be_put_is_said_and_left_as_it_is() {
    let table = Table::unix(plain());
    table.back_up_well(&[]);
    let (root, home) = (table.root(), table.home().to_owned());
    let linked = folder(&table, "linked");
    std::os::unix::fs::symlink("/etc", linked.join(table.udid())).unwrap();
    let missing = home.join("missing");
    let inside = root.join(".backupwatch");
    let cases = [
        (text(&missing), "no_folder"),
        (text(&root), "in_store"),
        (text(&inside), "in_store"),
        (text(&linked), "unknown_there"),
        ("finder", "no_finder"),
    ];
    let before = Tree::of(&root);
    for (to, code) in cases {
        if code == "no_finder" && cfg!(target_os = "macos") {
            continue;
        }
        let said = export(&table, &["--to", to, "--json"]);
        assert_eq!(said.code, Some(2), "{to}: {said:?}");
        assert!(said.out.contains(code), "{to}: {said:?}");
    }
    assert!(!missing.exists());
    before.assert_untouched(&Tree::of(&root), "the store");

    // One wrong bit, on the other hand, is a backup that is damaged.
    let blob = table.phone().phone().backup().catalog();
    let blob = blob.get("HomeDomain", "Library/SMS/sms.db").unwrap().id;
    let blob = table.tree().join(blob.folder()).join(blob.to_string());
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let to = folder(&table, "to");
    let said = export(&table, &["--to", text(&to)]);
    assert_eq!(said.code, Some(8), "{said:?}");
    assert!(said.err.contains("is damaged"), "{said:?}");
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
}

/// A disk that is too small, and one that is for reading only, each in a mount namespace of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_or_for_reading_only_is_said_to_be_that() {
    let table = Table::unix(plain());
    table.back_up_well(&[]);
    let to = folder(&table, "to");
    let on_disk = |options: &str, program: &[&str]| -> Said {
        let mount = format!("mount -t tmpfs -o {options} tmpfs \"$0\" && exec \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", &mount, text(&to)])
            .args(program);
        command.env_clear();
        for (name, value) in table.ours(&[]).get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        peers::run(&mut command, PATIENCE).into()
    };
    if on_disk("size=1m", &["true"]).code != Some(0) {
        assert!(
            std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_none(),
            "this system permits no mount namespaces"
        );
        eprintln!("SKIPPED: this system permits no mount namespaces");
        return;
    }
    let root = table.root();
    let ours = table.ours(&["export", "--root", text(&root), "--to", text(&to), "--json"]);
    let mut program = vec![ours.get_program().to_str().unwrap()];
    program.extend(ours.get_args().map(|word| word.to_str().unwrap()));
    for (options, words) in [("size=1m", "no_room"), ("ro", "read-only")] {
        let said = on_disk(options, &program);
        assert_eq!(said.code, Some(7), "{options}: {said:?}");
        assert!(said.out.contains(words), "{options}: {said:?}");
    }
}
