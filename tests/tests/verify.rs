//! `verify` as a person and a program meet it: how deep it looked, what is damaged and where it was on the phone, what the
//! status says from then on, and how the next backup mends it.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY},
    peers,
    table::{PASSWORD, PATIENCE, Said, Table, encrypted, plain},
};
use backupwatch_sim::contents::FileId;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::Stdio,
};

/// Three megabytes, so a bit in its middle is nothing that any list of sizes shows.
const MESSAGES: (&str, &str) = ("HomeDomain", "Library/SMS/sms.db");

fn blob(table: &Table, (domain, path): (&str, &str)) -> PathBuf {
    let id = FileId::of(domain, path);
    table.tree().join(id.folder()).join(id.to_string())
}

/// Turns one bit of a file of the current backup, as an old disk does.
fn flip(table: &Table, file: (&str, &str)) {
    let path = blob(table, file);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    // In place: the blob keeps its inode, and with it every other name that it has.
    let mut open = std::fs::File::options().write(true).open(&path).unwrap();
    open.write_all(&bytes).unwrap();
}

fn verify(table: &Table, more: &[&str], input: Option<&str>) -> Said {
    let mut command = table.ours(&["verify"]);
    command.arg("--root").arg(table.root()).args(more);
    let Some(input) = input else {
        return peers::run(&mut command, PATIENCE).into();
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

fn json(table: &Table, command: &[&str]) -> Value {
    let said: Said = peers::run(&mut table.ours(command), PATIENCE).into();
    serde_json::from_str(&said.out).unwrap()
}

#[track_caller]
fn assert_said(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    for word in words {
        assert!(said.all().contains(word), "no {word:?} in {said:?}");
    }
}

/// Encrypted, arguments, standard input, exit code, words.
type Row<'a> = (bool, &'a [&'a str], Option<&'a str>, i32, &'a [&'a str]);

#[test]
fn a_whole_backup_is_said_to_be_whole_as_deep_as_it_was_looked_at() {
    let secret = format!("{PASSWORD}\n");
    let not_it = "Tr0ub4dor&3\n";
    let right = Some(secret.as_str());
    let wrong = Some(not_it);
    let stdin = "--password-stdin";
    let every_one = "every one of its 286 files was read again and is as it arrived (L4)";
    let sealed = "Without the password nobody can tell";
    let table: [Row<'_>; 14] = [
        (false, &[], None, 0, &["Zoë’s iPhone", every_one]),
        (false, &["--level", "L1"], None, 0, &["in order (L1)"]),
        (
            false,
            &["--level", "l2"],
            None,
            0,
            &["286 files with the right size (L2)"],
        ),
        (
            false,
            &["--level", "L3"],
            None,
            0,
            &["its list of files is sound (L3)"],
        ),
        (false, &["--sample", "5%"], None, 0, &["(L4 in part)"]),
        (false, &["--sample", "0%"], None, 2, &["more than 0"]),
        (
            false,
            &["--version", "2001"],
            None,
            2,
            &["no backup “2001”", "current"],
        ),
        (false, &["--level", "L5"], None, 2, &["L4"]),
        (true, &[], None, 0, &[every_one, sealed]),
        (true, &["--level", "L3"], None, 3, &["(L1)", sealed]),
        (
            true,
            &[stdin, "--level", "L3"],
            right,
            0,
            &["the password opens it (L3)"],
        ),
        (
            true,
            &[stdin],
            right,
            0,
            &["Zoë’s secret iPhone", every_one],
        ),
        (
            true,
            &[stdin],
            wrong,
            2,
            &["The password is not the one of this backup"],
        ),
        (true, &[stdin], Some("\n"), 2, &["no password"]),
    ];
    for is_encrypted in [false, true] {
        let phone = Table::unix(if is_encrypted { encrypted() } else { plain() });
        phone.back_up_well(&[]);
        for (encrypted, arguments, input, code, words) in &table {
            if *encrypted == is_encrypted {
                let said = verify(&phone, arguments, *input);
                assert_said(&said, *code, words);
                assert!(!said.all().contains("Tr0ub4dor"), "{said:?}");
            }
        }
    }
}

/// From the first rotten bit to a backup that can be relied on again.
#[test]
fn what_is_damaged_is_named_no_longer_counted_and_mended_by_the_next_backup() {
    let table = Table::unix(plain());
    table.back_up_well(&[]);
    flip(&table, MESSAGES);
    assert_said(&verify(&table, &["--level", "L2"], None), 0, &["(L2)"]);
    let local = |table: &Table| json(table, &["status", "--json"])["devices"][0]["local"].clone();
    assert_eq!(local(&table)["state"], "verified");

    let words = [
        "1 file of the backup of Zoë’s iPhone",
        "HomeDomain, Library/SMS/sms.db (changed)",
        "Make a new backup now",
    ];
    assert_said(&verify(&table, &[], None), 8, &words);
    assert_eq!(
        (&local(&table)["state"], &local(&table)["damaged"]),
        (&"unverified".into(), &1.into())
    );
    let status: Said = peers::run(&mut table.ours(&["status"]), PATIENCE).into();
    assert!(
        status.out.contains("DAMAGED: 1 file is not what it was"),
        "{status:?}"
    );
    assert_said(&verify(&table, &["--level", "L2"], None), 0, &["(L2)"]);
    assert_eq!(
        local(&table)["state"],
        "unverified",
        "a glance does not mend it"
    );

    // The phone would have sent nothing of what did not change.
    table.phone().plug();
    table.back_up_well(&[]);
    assert_said(
        &verify(&table, &[], None),
        0,
        &["every one of its 286 files"],
    );
    let mended = local(&table);
    assert_eq!(
        (&mended["state"], &mended["level"]),
        (&"verified".into(), &"L4".into())
    );
    assert_eq!(mended["damaged"], Value::Null);

    let versions = std::fs::read_dir(
        table
            .root()
            .join(".backupwatch/versions")
            .join(table.udid()),
    );
    let version = versions.unwrap().next().unwrap().unwrap().file_name();
    let version = version.to_str().unwrap();
    let old = verify(&table, &["--version", version], None);
    assert_said(
        &old,
        8,
        &["sms.db", "The current backup has it as they were"],
    );
    assert_eq!(
        local(&table)["state"],
        "verified",
        "the version is not the current one"
    );
    let history = json(&table, &["history", "--json"]);
    let looks: Vec<(bool, &str)> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["entry"] == "verification")
        .map(|entry| (entry["ok"] == true, entry["version"].as_str().unwrap()))
        .collect();
    let current = |ok| (ok, "current");
    assert_eq!(
        looks,
        [
            (false, version),
            current(true),
            current(true),
            current(false),
            current(true)
        ]
    );
    assert!(
        !history.to_string().contains("sms.db"),
        "the names are for who asked"
    );
}

/// A version that shares no bytes with what is damaged still has the file, and is named.
#[test]
fn the_version_that_still_has_a_damaged_file_is_named() {
    let table = Table::unix(plain());
    table.back_up_well(&[]);
    table.phone().phone().backup().change(|catalog| {
        catalog.delete(MESSAGES.0, MESSAGES.1).unwrap();
        catalog.add(MESSAGES.0, MESSAGES.1, 3_000_000).unwrap();
    });
    table.phone().plug();
    table.back_up_well(&[]);
    let other = ("HomeDomain", "Library/one block");
    flip(&table, MESSAGES);
    flip(&table, other);
    let said = verify(&table, &[], None);
    assert_said(
        &said,
        8,
        &["2 files of", "sms.db", "one block", "1 file of these 2"],
    );
}

#[test]
fn the_document_for_programs() {
    let table = Table::unix(encrypted());
    table.back_up_well(&[]);
    flip(&table, MESSAGES);
    let secret = format!("{PASSWORD}\r\n");
    let with = verify(&table, &["--json", "--password-stdin"], Some(&secret));
    let without = verify(&table, &["--json", "--level", "L3"], None);
    assert_eq!(
        (with.code, without.code),
        (Some(8), Some(3)),
        "{with:?} {without:?}"
    );
    assert_eq!(with.err, "", "nothing beside the document");
    let document = |said: &Said| {
        let mut document: Value = serde_json::from_str(&said.out).unwrap();
        for time in ["made_at", "checked_at"] {
            let at: Result<jiff::Timestamp, _> = document[time].as_str().unwrap().parse();
            assert!(at.is_ok(), "{document:#}");
            document[time] = "a time".into();
        }
        // The lists beside the blobs have dates in them, and some of those have another length each time.
        document["bytes"] = "a size".into();
        document["re_read"]["bytes"] = "a size".into();
        document["re_read"]["of_bytes"] = "a size".into();
        serde_json::to_string_pretty(&document).unwrap()
    };
    insta::assert_snapshot!(
        "verify_json",
        [document(&with), document(&without)].join("\n")
    );
    let wrong = verify(&table, &["--json", "Nobody"], None);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.out.contains("\"error\":\"which_device\""),
        "{wrong:?}"
    );
}

/// The agent hears of it at once, says so once, and looks at the store itself: what it is told is not what counts.
#[test]
fn an_agent_is_told_and_tells_the_person_once() {
    let table = Table::unix(plain());
    let config = format!("{WATCH_ONLY}backup.root = {:?}\n", table.root());
    std::fs::write(table.config(), config).unwrap();
    table.back_up_well(&[]);
    let agent = Agent::start(&table);
    let udid = table.udid();
    agent.when_device(&udid, "the copy counts", |device| {
        device.local.state == "verified"
    });
    flip(&table, MESSAGES);
    for _ in 0..2 {
        assert_said(&verify(&table, &[], None), 8, &["sms.db"]);
        let status = agent.status();
        let local = &status.devices[0].local;
        assert_eq!(
            (local.state.as_str(), local.damaged),
            ("unverified", Some(1))
        );
    }
    let told = || {
        agent
            .notices()
            .into_iter()
            .filter(|title| title.contains("damaged"))
            .count()
    };
    agent.when("the notice is posted", |_| told() > 0);
    assert_eq!(told(), 1, "{:?}", agent.notices());
}

/// The password is tried so often that nobody would wait for it: ctrl-c must end that, too.
#[test]
fn ctrl_c_ends_it_and_nothing_has_changed() {
    let table = Table::unix(encrypted());
    table.back_up_well(&[]);
    let path = table.tree().join("Manifest.plist");
    let mut properties = std::fs::read(&path).unwrap();
    let rounds = b"DPIC\0\0\0\x04";
    let at = properties.windows(8).position(|bytes| bytes == rounds);
    let at = at.expect("the keys say how often the password is hashed") + 8;
    properties[at..at + 4].copy_from_slice(&40_000_000_u32.to_be_bytes());
    std::fs::write(&path, properties).unwrap();

    let mut command = table.ours(&["verify", "--password-stdin", "--level", "L3", "--root"]);
    let mut child = command
        .arg(table.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let secret = format!("{PASSWORD}\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(secret.as_bytes()).unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("trying the password") {
        line.clear();
        let read = words.read_line(&mut line).unwrap();
        assert_ne!(read, 0, "it ended before it tried the password");
    }
    let id = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    peers::run(kill.args(["-s", "INT", &id]), PATIENCE);
    let ended = child.wait().unwrap();
    let mut rest = String::new();
    words.read_to_string(&mut rest).unwrap();
    assert_eq!(ended.code(), Some(130), "{rest}");
    assert!(rest.contains("Stopped."), "{rest}");
    let local = &json(&table, &["status", "--json"])["devices"][0]["local"];
    assert_eq!(
        local["state"], "verified",
        "what was not looked at to the end says nothing"
    );
}
