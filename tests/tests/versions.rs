//! Several backups of one phone, days apart: what is listed, what goes and why, and what stays whatever happens.

#![cfg(unix)]

use backupwatch_e2e::{
    peers,
    table::{PATIENCE, Said, Table, plain},
    tree::Tree,
};
use serde_json::Value;
use std::path::PathBuf;

fn ours(table: &Table, arguments: &[&str]) -> Said {
    let root = table.root();
    let mut command = table.ours(arguments);
    peers::run(command.arg("--root").arg(root), PATIENCE).into()
}

fn json(table: &Table, arguments: &[&str]) -> Value {
    let said = ours(table, &[arguments, &["--json"]].concat());
    assert!(said.ok(), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

fn configure(table: &Table, retention: &str) {
    let text = format!("[notify]\ndesktop = false\n[retention]\n{retention}\n");
    std::fs::write(table.config(), text).unwrap();
}

fn ours_of(table: &Table, folder: &str) -> PathBuf {
    table
        .root()
        .join(".backupwatch")
        .join(folder)
        .join(table.udid())
}

fn versions(table: &Table) -> Vec<String> {
    let entries = std::fs::read_dir(ours_of(table, "versions"));
    let entries = entries.into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Makes a backup on this day: the record of the current one is dated back, and a version is named after its record.
fn back_up_on(table: &Table, at: &str) {
    table
        .phone()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    table.back_up_well(&[]);
    let records = std::fs::read_dir(ours_of(table, "copies")).unwrap();
    let records = records.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (record["serial"].as_u64().unwrap(), path, record)
    };
    let (_, path, mut record) = records
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(read)
        .max_by_key(|(serial, ..)| *serial)
        .unwrap();
    record["at"] = at.into();
    std::fs::write(path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}

/// Five backups over five weeks, with a configuration that keeps all of them.
fn five() -> Table {
    let table = Table::unix(plain());
    configure(&table, "last = 50\nkeep_free = 0");
    for at in [
        "2026-08-30T08:00:00Z",
        "2026-09-30T08:00:00Z",
        "2026-10-04T08:00:00Z",
        "2026-10-04T11:41:00Z",
        "2026-10-05T09:00:00Z",
    ] {
        back_up_on(&table, at);
    }
    table
}

#[test]
fn what_goes_is_said_before_with_its_reasons_and_then_it_goes() {
    let table = five();
    let names = [
        "2026-08-30T080000Z",
        "2026-09-30T080000Z",
        "2026-10-04T080000Z",
        "2026-10-04T114100Z",
    ];
    assert_eq!(versions(&table), names);
    let listed = ours(&table, &["versions"]);
    assert!(listed.ok(), "{listed:?}");
    let first: Vec<_> = listed
        .out
        .lines()
        .map(|line| line.split_whitespace().next().unwrap_or_default())
        .take(6)
        .collect();
    assert_eq!(
        first,
        ["NAME", "current", names[3], names[2], names[1], names[0]]
    );

    configure(
        &table,
        "last = 1\ndaily = 2\nweekly = 0\nmonthly = 0\nkeep_free = 0",
    );
    let before = Tree::of(&table.root());
    let dry = ours(&table, &["versions", "prune", "--dry-run"]);
    assert!(dry.ok(), "{dry:?}");
    for line in [
        "keep 2026-10-04 11:41: one of the last, newest of its day",
        "delete 2026-10-04 08:00: 1 newer one is kept, frees ",
        "keep 2026-09-30 08:00: newest of its day",
        "delete 2026-08-30 08:00: 2 newer ones are kept, frees ",
        "2 to be deleted, frees ",
        "Nothing was deleted: this was --dry-run.",
    ] {
        assert!(
            dry.out.lines().any(|said| said.starts_with(line)),
            "{line}: {dry:?}"
        );
    }
    before.assert_untouched(&Tree::of(&table.root()), "by a plan");

    let document = json(&table, &["versions", "prune"]);
    assert_eq!(document["deleted"], serde_json::json!([names[2], names[0]]));
    assert_eq!(versions(&table), [names[1], names[3]]);
    table.assert_whole();
    let again = json(&table, &["versions", "prune"]);
    assert_eq!(again["deleted"], serde_json::json!([]));
    assert_eq!(again["frees"], 0);
    // The shape is a contract.
    let sizes = |pairs: &mut Value| {
        for key in ["frees", "bytes", "files", "free"] {
            if pairs[key].is_number() {
                pairs[key] = format!("[{key}]").into();
            }
        }
    };
    let tidy = |mut document: Value, list: &str| {
        sizes(&mut document);
        for entry in document[list].as_array_mut().unwrap() {
            sizes(entry);
            if let Some(path) = entry["path"].as_str() {
                entry["path"] = path
                    .replace(table.root().to_str().unwrap(), "[root]")
                    .into();
            }
            if let Some(words) = entry["words"].as_str() {
                entry["words"] = words.split(", frees").next().unwrap().into();
            }
        }
        document
    };
    insta::assert_json_snapshot!("prune", tidy(document, "plan"));
    insta::assert_json_snapshot!("versions", tidy(json(&table, &["versions"]), "versions"));
}

#[test]
fn room_is_made_in_spite_of_the_rules_but_never_with_the_last_verified_backup() {
    let table = five();
    // As another program leaves a backup that it goes on with.
    let info = table.tree().join("Info.plist");
    let mut bytes = std::fs::read(&info).unwrap();
    bytes.push(b'\n');
    std::fs::remove_file(&info).unwrap();
    std::fs::write(&info, bytes).unwrap();
    configure(&table, "last = 50\nkeep_free = 1_000_000_000_000_000");
    let said = ours(&table, &["versions", "prune"]);
    assert!(said.ok(), "{said:?}");
    for words in [
        "keep 2026-10-04 11:41: the newest verified backup",
        "delete 2026-10-04 08:00: the disk has too little room, frees ",
        "will be free instead of 1000.0 TB",
        "3 versions were deleted.",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    assert_eq!(versions(&table), ["2026-10-04T114100Z"]);
}

#[test]
fn a_backup_is_followed_by_what_the_configuration_says() {
    let table = Table::unix(plain());
    configure(
        &table,
        "last = 1\ndaily = 0\nweekly = 0\nmonthly = 0\nkeep_free = 0",
    );
    for day in 1..=4 {
        back_up_on(&table, &format!("2026-10-0{day}T08:00:00Z"));
    }
    assert_eq!(versions(&table), ["2026-10-03T080000Z"]);
    let nobody = ours(&table, &["versions", "Eve"]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    let elsewhere = table.home().join("nothing");
    let mut command = table.ours(&["versions", "--json", "--root"]);
    let missing: Said = peers::run(command.arg(elsewhere), PATIENCE).into();
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.out.contains("is its disk attached?"), "{missing:?}");
}
