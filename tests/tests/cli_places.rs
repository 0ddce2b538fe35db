//! Folders that cannot be used: for backups, for the state. Each gets its own sentence, before the phone is troubled.

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    somebody::{NOBODY, as_somebody, is_root},
    table::{PATIENCE, Said, Table, persona},
    tree::Tree,
};
use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn stale() -> Table {
    Table::unix(persona("stale-58-days"))
}

/// Nobody was asked for a passcode in vain.
fn assert_not_troubled(table: &Table, what: &str) {
    let seen = table.phone().seen();
    let began = seen.iter().any(|seen| seen.name.contains("mobilebackup2"));
    assert!(!began, "{what}: the phone was troubled for nothing");
}

#[test]
fn each_folder_that_is_none_for_backups_gets_its_own_sentence() {
    let table = stale();
    let home = table.home().to_owned();
    let file = home.join("a file");
    std::fs::write(&file, "precious").unwrap();
    let filled = home.join("pictures");
    std::fs::create_dir(&filled).unwrap();
    std::fs::write(filled.join("cat.jpg"), "precious").unwrap();
    // (where, said to be, words)
    let rows: [(&str, PathBuf, &[&str]); 3] = [
        ("a file", file.clone(), &["a file is not a folder"]),
        (
            "in a file",
            file.join("below"),
            &["a file/below is not a folder"],
        ),
        (
            "where the system keeps something else",
            "/proc/backups".into(),
            &["/proc/backups"],
        ),
    ];
    for (what, root, words) in rows {
        let root = root.to_str().unwrap();
        for (how, said) in [
            ("named", ours(&table, &["backup", "--root", root])),
            ("configured", {
                configure(&table, &format!("{WATCH_ONLY}backup.root = {root:?}\n"));
                let said = ours(&table, &["backup"]);
                configure(&table, WATCH_ONLY);
                said
            }),
        ] {
            assert_eq!(said.code, Some(7), "{what}, {how}: {said:?}");
            for words in words {
                assert!(said.err.contains(words), "{what}, {how}: {said:?}");
            }
            assert!(!said.err.contains("?."), "{said:?}");
            assert!(!said.err.contains("waits for the disk"), "{said:?}");
        }
        assert_not_troubled(&table, what);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    // A folder with somebody's pictures is a place like any other, and they stay.
    let said = ours(&table, &["backup", "--root", filled.to_str().unwrap()]);
    assert!(said.ok(), "{said:?}");
    assert_eq!(
        std::fs::read_to_string(filled.join("cat.jpg")).unwrap(),
        "precious"
    );
}

#[test]
fn a_disk_that_is_not_connected_is_no_empty_one() {
    let table = stale();
    let disk = table.home().join("disk");
    let root = disk.join("phones");
    configure(&table, &format!("{WATCH_ONLY}backup.root = {root:?}\n"));
    let said = ours(&table, &["backup"]);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.err.contains("is the disk connected?"), "{said:?}");
    assert!(!root.exists(), "a folder was made where a disk belongs");
    assert_not_troubled(&table, "the disk is away");

    let agent = Agent::start(&table);
    let status = agent.when("the disk is missed", |status| {
        status
            .agent
            .remarks
            .iter()
            .any(|remark| remark.contains("Backups cannot be made"))
    });
    let remark = status.agent.remarks.join(" ");
    assert!(remark.ends_with("is the disk connected?"), "{remark}");
    let device = agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    assert_eq!(device.next.code, "connect_store");
    let through = ours(&table, &["backup"]);
    assert!(!through.ok(), "{through:?}");
    assert!(
        through.err.contains("is the disk connected?"),
        "{through:?}"
    );

    std::fs::create_dir(&disk).unwrap();
    let through = ours(&table, &["backup"]);
    assert!(through.ok(), "{through:?}");
    assert!(root.join(table.udid()).join("Manifest.db").exists());
    agent.end();
}

#[test]
fn a_folder_that_may_not_be_written_to_is_said_to_be_that() {
    let table = stale();
    let closed = table.home().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    for root in [closed.clone(), closed.join("below")] {
        let Some(mut command) = as_somebody(&table, &["backup", "--root", root.to_str().unwrap()])
        else {
            return;
        };
        let said: Said = peers::run(&mut command, PATIENCE).into();
        assert_eq!(said.code, Some(7), "{said:?}");
        assert!(said.err.contains("does not permit"), "{said:?}");
        assert!(said.err.contains(closed.to_str().unwrap()), "{said:?}");
    }
    assert_not_troubled(&table, "the folder is closed");

    // A store that was made before, on a disk that is now mounted for reading only.
    let root = table.home().join("store");
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
    let named = ["backup", "--root", root.to_str().unwrap()];
    let Some(mut command) = as_somebody(&table, &named) else {
        return;
    };
    let said: Said = peers::run(&mut command, PATIENCE).into();
    assert!(said.ok(), "{said:?}");
    let asked = |table: &Table| {
        let seen = table.phone().seen();
        seen.iter()
            .filter(|seen| seen.name.contains("mobilebackup2"))
            .count()
    };
    let before = asked(&table);
    // As `mount -o ro` says it, but that needs no disk.
    close(&root);
    let said: Said = peers::run(&mut as_somebody(&table, &named).unwrap(), PATIENCE).into();
    open(&root);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(
        said.all().contains("does not permit") || said.all().contains("Permission denied"),
        "{said:?}"
    );
    assert_eq!(
        asked(&table),
        before,
        "the passcode was asked for in vain: {said:?}"
    );
}

fn close(folder: &Path) {
    each_folder(folder, 0o555);
}

fn open(folder: &Path) {
    each_folder(folder, 0o755);
}

fn each_folder(folder: &Path, mode: u32) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            each_folder(&entry.path(), mode);
        }
    }
    std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_folder_that_is_none_for_the_state_gets_its_own_sentence() {
    let table = stale();
    let home = table.home();
    let file = home.join("a file");
    std::fs::write(&file, "precious").unwrap();
    let open = home.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::write(open.join("letter.txt"), "precious").unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let mut rows = vec![
        (file.clone(), "something else is there"),
        (file.join("below"), "Not a directory"),
        (open.clone(), "others can read it (mode 755)"),
        (
            "/proc/backupwatch".into(),
            "make the folder /proc/backupwatch",
        ),
    ];
    if is_root() {
        let theirs = home.join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(NOBODY), None).unwrap();
        rows.push((theirs, "belongs to another user (uid 65534)"));
    }
    for (state, words) in rows {
        for verb in [
            ["check"].as_slice(),
            &["agent", "--log-to-stderr"],
            &["backup"],
        ] {
            let mut arguments = verb.to_vec();
            arguments.extend(["--state-dir", state.to_str().unwrap()]);
            let mut command = backupwatch_e2e::binary::command(home);
            command.args(&arguments);
            let said: Said = peers::run(&mut command, PATIENCE).into();
            assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
            assert!(said.err.contains(words), "{arguments:?}: {said:?}");
        }
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let mode = std::fs::metadata(&open).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "somebody's folder was closed");
}

/// A disk that the system mounted for reading only, as it does with one that fails. In a mount namespace of its own, where the
/// system permits one.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_for_reading_only_is_said_to_be_that() {
    let table = stale();
    let root = table.home().join("disk");
    let named = ["backup", "--root", root.to_str().unwrap()];
    assert!(ours(&table, &named).ok());
    let before = Tree::of(&root);
    let read_only = |program: &[&str]| -> Said {
        let mut command = Command::new("unshare");
        let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
        command
            .args(["-rm", "sh", "-c", mount])
            .arg(&root)
            .args(program);
        let ours = table.ours(&[]);
        command.env_clear();
        for (name, value) in ours.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        peers::run(&mut command, PATIENCE).into()
    };
    if read_only(&["true"]).code != Some(0) {
        eprintln!("SKIPPED: this system permits no mount namespaces");
        return;
    }
    let troubled = table.phone().seen().len();
    let ours = table.ours(&named);
    let mut program = vec![ours.get_program().to_str().unwrap()];
    program.extend(ours.get_args().map(|word| word.to_str().unwrap()));
    let said = read_only(&program);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(
        said.all().contains(root.to_str().unwrap()) && said.all().contains("read-only"),
        "{said:?}"
    );
    before.assert_untouched(&Tree::of(&root), "the disk");
    let seen = table.phone().seen();
    assert!(
        !seen[troubled..]
            .iter()
            .any(|seen| seen.name.contains("mobilebackup2")),
        "the passcode was asked for in vain"
    );
}
