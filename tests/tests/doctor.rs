//! Set-ups that are broken for real, and what `backupwatch doctor` says of each: which check fails, in which words, and what the
//! one cure is. The whole report is pinned, so that no check of something else cries along.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    desktop::Desktop,
    peers,
    somebody::{NOBODY, as_somebody, is_root},
    table::{PATIENCE, Running, Said, Table, persona},
    tree::Tree,
};
use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// No phone hangs on a cable of this computer.
const NO_PHONES: &str = "no-phones";

fn table() -> Table {
    let table = Table::unix(persona("stale-58-days"));
    configure(&table, WATCH_ONLY);
    table
}

/// The agent, once it has looked at the phone.
fn agent(table: &Table) -> Agent<'_> {
    let agent = Agent::start(table);
    agent.when("it has looked", |status| status.agent.last_poll.is_some());
    agent
}

/// `backupwatch doctor`, with what is on the USB bus as in `fixtures/usb`, and a systemd that says that it has started whoever holds
/// the state. `None` when a program is missing; the skip was recorded.
fn doctor(table: &Table, usb: &str, ours: &Command) -> Option<Said> {
    let umockdev = peers::find("umockdev-run")?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/usb");
    let programs = table.home().join("programs");
    if !programs.exists() {
        fs::create_dir(&programs).unwrap();
        systemd(&programs, table);
    }
    let path = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(programs).chain(std::env::split_paths(&path));
    let mut words: Vec<_> = std::iter::once(ours.get_program())
        .chain(ours.get_args())
        .collect();
    // The stand-in for the kernel's files is made by whoever reads them.
    let at = words
        .iter()
        .position(|word| *word == "--clear-groups")
        .map_or(0, |at| at + 1);
    let rest = words.split_off(at);
    let device = fixture.join(usb).with_extension("umockdev");
    let copy = table.home().join("on-usb");
    fs::copy(device, &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    words.extend([
        umockdev.as_os_str(),
        "-d".as_ref(),
        copy.as_os_str(),
        "--".as_ref(),
    ]);
    words.extend(rest);
    let mut command = Command::new(words.remove(0));
    command.args(words).env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("PATH", std::env::join_paths(path).unwrap());
    Some(peers::run(&mut command, PATIENCE).into())
}

fn systemd(programs: &Path, table: &Table) {
    let script = format!(
        "#!/bin/sh\npid=$(cat '{}' 2>/dev/null)\nif [ -n \"$pid\" ] && kill -0 \"$pid\" 2>/dev/null; then\n  echo ActiveState=active\nelse\n  \
         pid=0\n  echo ActiveState=inactive\nfi\necho LoadState=loaded\necho UnitFileState=enabled\necho MainPID=$pid\n",
        table.state().join("agent.lock").display()
    );
    let program = programs.join("systemctl");
    fs::write(&program, script).unwrap();
    for path in [program.as_path(), programs] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}

/// Without what differs from one run to the next.
fn plain(table: &Table, said: &Said) -> String {
    assert_eq!(said.err, "", "{said:?}");
    let text = said
        .out
        .replace(&table.home().display().to_string(), "[home]");
    // Which backend answers, and what the other one would be, depends on the machine and on the pass.
    let spoken_to = "Devices are spoken to with ";
    let mut text = text;
    if let Some(at) = text.find(spoken_to).map(|at| at + spoken_to.len()) {
        // One line, or more where the name of its file is long.
        let end = ["\npass", "\nwarn", "\nFAIL", "\""]
            .iter()
            .filter_map(|next| text[at..].find(next));
        let end = end.min().map_or(text.len(), |end| at + end);
        text.replace_range(at..end, "[backend]");
    }
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let last = words.last().map(String::as_str).unwrap_or_default();
        let of_process =
            ["process", "(process", "(processes", "kill"].contains(&last) || last == "[pid],";
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if of_process && digits.len() < word.len() {
            words.push(format!("[pid]{digits}"));
        } else if word == "days" && words.len() > 1 && words[words.len() - 2] == "is" {
            // "The clock is 2517 days ahead": it was set to a date, and the real one goes on.
            words.pop();
            words.push("[number]".to_owned());
            words.push(word.to_owned());
        } else if ["kB", "MB", "GB", "TB", "bytes"].contains(&word) {
            // "32.7 GB are free"
            let number = words.pop().unwrap_or_default();
            let label = number.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            words.push(format!("{label}[size]"));
        } else {
            words.push(word.to_owned());
        }
    }
    let code = said
        .code
        .map_or_else(|| "none".to_owned(), |code| code.to_string());
    format!("exit code {code}\n{}", words.join(" "))
}

/// Asks and pins.
macro_rules! assert_told {
    ($name:expr, $table:expr, $usb:expr, $ours:expr) => {{
        let Some(said) = doctor($table, $usb, $ours) else {
            return;
        };
        insta::assert_snapshot!($name, plain($table, &said));
        said
    }};
}

#[test]
fn all_is_well() {
    let table = table();
    configure(
        &table,
        &WATCH_ONLY.replace("notify.desktop = false", "notify.desktop = true"),
    );
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let with_desktop = |arguments: &[&str]| {
        let mut ours = table.ours(arguments);
        ours.env("DISPLAY", &desktop.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus);
        ours
    };
    let agent = Agent::launch(&table, &mut with_desktop(&["agent"]));
    agent.wait_until_up();
    agent.when("it has looked", |status| status.agent.last_poll.is_some());
    assert_told!("all_is_well", &table, NO_PHONES, &table.ours(&["doctor"]));
    // The desktop is asked by the agent: this command has none.
    let said = assert_told!(
        "all_is_well_notify",
        &table,
        NO_PHONES,
        &table.ours(&["doctor", "--notify"])
    );
    assert_eq!(said.code, Some(0));
    let notice = desktop.wait_for_notice("backupwatch is watching");
    assert!(notice.body.contains("tap Trust"), "{notice:?}");
    let said = assert_told!(
        "all_is_well_json",
        &table,
        NO_PHONES,
        &table.ours(&["doctor", "--json"])
    );
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["schema"], 1);
    assert!(!said.out.contains(&table.udid()), "the whole UDID is in it");
    agent.end();
}

#[test]
fn no_usbmuxd() {
    let table = table();
    let nobody = table.home().join("nobody");
    let at = |arguments: &[&str]| {
        let mut ours = table.ours(arguments);
        ours.env("USBMUXD_SOCKET_ADDRESS", &nobody);
        ours
    };
    let agent = Agent::launch(&table, &mut at(&["agent"]));
    agent.wait_until_up();
    assert_told!("no_usbmuxd", &table, NO_PHONES, &at(&["doctor"]));

    // A socket that somebody left behind.
    drop(UnixListener::bind(&nobody).unwrap());
    assert_told!("dead_socket", &table, NO_PHONES, &at(&["doctor"]));
    agent.end();
}

/// What listens there answers with something else, or with nothing.
#[test]
fn something_else_than_usbmuxd() {
    let table = table();
    let place = table.home().join("other");
    let at = |arguments: &[&str]| {
        let mut ours = table.ours(arguments);
        ours.env("USBMUXD_SOCKET_ADDRESS", &place);
        ours
    };
    let agent = agent(&table);
    let listener = UnixListener::bind(&place).unwrap();
    let web = std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut asked = [0; 64];
            let length = stream.read(&mut asked).unwrap_or(0);
            if asked.starts_with(b"end") {
                return listener;
            }
            assert!(length > 0);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
        unreachable!("the listener does not fail");
    });
    let said = assert_told!("not_usbmuxd", &table, NO_PHONES, &at(&["doctor"]));
    assert_eq!(said.code, Some(1));
    let mut end = std::os::unix::net::UnixStream::connect(&place).unwrap();
    end.write_all(b"end").unwrap();
    // Now nobody takes the connections any more; the kernel still accepts them.
    let _silent = web.join().unwrap();
    let begin = Instant::now();
    assert_told!("silent_usbmuxd", &table, NO_PHONES, &at(&["doctor"]));
    assert!(
        begin.elapsed() < Duration::from_secs(12),
        "{:?}",
        begin.elapsed()
    );
    agent.end();
}

#[test]
fn wrong_permissions() {
    let table = table();
    if !is_root() || as_somebody(&table, &[]).is_none() {
        return;
    }
    let socket = table.home().join("usbmuxd");
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    assert_told!(
        "closed_socket",
        &table,
        NO_PHONES,
        &as_somebody(&table, &["doctor"]).unwrap()
    );
    fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();

    chown(table.state(), Some(0), Some(0)).unwrap();
    assert_told!(
        "state_of_another_user",
        &table,
        NO_PHONES,
        &as_somebody(&table, &["doctor"]).unwrap()
    );
    chown(table.state(), Some(NOBODY), Some(NOBODY)).unwrap();

    let root = table.home().join("locked");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, Permissions::from_mode(0o555)).unwrap();
    configure(&table, &format!("{WATCH_ONLY}backup.root = {root:?}\n"));
    assert_told!(
        "root_of_another_user",
        &table,
        NO_PHONES,
        &as_somebody(&table, &["doctor"]).unwrap()
    );
}

/// A disk of its own at this folder, gone at the end.
struct Disk {
    folder: PathBuf,
    device: Option<String>,
}

impl Disk {
    /// `None` where the system permits no mounts; the skip was recorded.
    fn at(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let options = [
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size},mode=700"),
            "tmpfs",
        ];
        if !is_root() || !ran(Command::new("mount").args(options).arg(&folder)) {
            peers::missed("mount");
            return None;
        }
        Some(Self {
            folder,
            device: None,
        })
    }

    /// One with exFAT, in a file of this image.
    fn exfat(folder: PathBuf, image: &Path) -> Option<Self> {
        let (make, mount) = (peers::find("mkfs.exfat")?, peers::find("mount.exfat-fuse")?);
        fs::create_dir(&folder).unwrap();
        fs::File::create(image).unwrap().set_len(64 << 20).unwrap();
        assert!(ran(Command::new(make).arg(image)));
        let attached = Command::new("losetup")
            .args(["--show", "-f"])
            .arg(image)
            .output();
        let attached = attached.ok().filter(|output| output.status.success());
        let Some(attached) = attached else {
            peers::missed("loop devices");
            return None;
        };
        let device = String::from_utf8(attached.stdout)
            .unwrap()
            .trim()
            .to_owned();
        let disk = Self {
            folder,
            device: Some(device.clone()),
        };
        if ran(Command::new(mount).arg(device).arg(&disk.folder)) {
            Some(disk)
        } else {
            peers::missed("FUSE");
            None
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because whoever failed may still be in it.
        ran(Command::new("umount").arg("-l").arg(&self.folder));
        if let Some(device) = &self.device {
            ran(Command::new("losetup").args(["-d", device]));
        }
    }
}

fn ran(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The agent of somebody whose backups go onto this disk.
fn onto<'t>(table: &'t Table, disk: &Disk) -> Agent<'t> {
    let root = disk.folder.join("phones");
    configure(table, &format!("{WATCH_ONLY}backup.root = {root:?}\n"));
    agent(table)
}

#[test]
fn a_full_disk() {
    let table = table();
    let Some(disk) = Disk::at(table.home().join("disk"), "256k") else {
        return;
    };
    let agent = onto(&table, &disk);
    let mut file = fs::File::create(disk.folder.join("films")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    assert_told!("full_disk", &table, NO_PHONES, &table.ours(&["doctor"]));
    agent.end();
}

#[test]
fn a_disk_for_reading_only() {
    let table = table();
    let Some(disk) = Disk::at(table.home().join("disk"), "16m") else {
        return;
    };
    let agent = onto(&table, &disk);
    assert!(ran(Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&disk.folder)));
    assert_told!(
        "read_only_root",
        &table,
        NO_PHONES,
        &table.ours(&["doctor"])
    );
    agent.end();
}

#[test]
fn a_disk_with_exfat() {
    let table = table();
    let Some(disk) = Disk::exfat(table.home().join("disk"), &table.home().join("image")) else {
        return;
    };
    let agent = onto(&table, &disk);
    assert_told!("exfat_root", &table, NO_PHONES, &table.ours(&["doctor"]));
    let found = Command::new("find").arg(&disk.folder).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(!found.contains("doctor"), "something stays behind: {found}");
    agent.end();
}

#[test]
fn no_desktop() {
    let table = table();
    configure(
        &table,
        &WATCH_ONLY.replace("notify.desktop = false", "notify.desktop = true"),
    );
    let at = |arguments: &[&str]| {
        let mut ours = table.ours(arguments);
        let bus = format!("unix:path={}", table.home().join("no-bus").display());
        ours.env("DBUS_SESSION_BUS_ADDRESS", bus);
        ours
    };
    let agent = Agent::launch(&table, &mut at(&["agent"]));
    agent.wait_until_up();
    agent.when("it has looked", |status| status.agent.last_poll.is_some());
    assert_told!(
        "no_desktop",
        &table,
        NO_PHONES,
        &at(&["doctor", "--notify"])
    );
    agent.end();
}

#[test]
fn clocks_that_are_wrong() {
    let phone = Table::unix(persona("clock-wrong"));
    configure(&phone, WATCH_ONLY);
    let running = agent(&phone);
    let said = assert_told!(
        "clock_of_the_phone",
        &phone,
        NO_PHONES,
        &phone.ours(&["doctor"])
    );
    assert!(said.out.contains("40 days behind"), "{said:?}");
    running.end();

    let Some(faketime) = peers::find("faketime") else {
        return;
    };
    let table = table();
    let ours = table.ours(&["doctor"]);
    let mut command = Command::new(faketime);
    command
        .args(["-f", "@2020-01-01 10:00:00"])
        .arg(ours.get_program())
        .args(ours.get_args());
    command
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("TZ", "UTC");
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let said = assert_told!("clock_of_this_computer", &table, NO_PHONES, &command);
    assert!(said.out.contains("1 January 2020"), "{said:?}");
}

#[test]
fn a_configuration_with_a_mistake() {
    let table = table();
    configure(&table, "backup.roof = \"/backups\"\n");
    assert_told!("bad_config", &table, NO_PHONES, &table.ours(&["doctor"]));
}

const FIRST: &str = include_str!("../../crates/agent/src/state/migrations/0001_first.sql");

#[test]
fn states_of_other_releases() {
    let table = table();
    let folder = table.state();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let database = folder.join("state.db");
    let state = rusqlite::Connection::open(&database).unwrap();
    state.pragma_update(None, "journal_mode", "wal").unwrap();
    state.execute_batch(FIRST).unwrap();
    state
        .pragma_update(None, "application_id", 0x626b_7774)
        .unwrap();
    state.pragma_update(None, "user_version", 1).unwrap();
    drop(state);
    let old = fs::read(&database).unwrap();
    // In the header, big-endian: bytes 60 to 63.
    let newer = [&old[..60], &99_u32.to_be_bytes(), &old[64..]].concat();
    let damaged = [&old[..200], &vec![7; old.len() - 200]].concat();
    for (name, bytes) in [
        ("old_schema", &old),
        ("newer_schema", &newer),
        ("damaged_state", &damaged),
    ] {
        fs::write(&database, bytes).unwrap();
        let before = Tree::of(&folder);
        assert_told!(name, &table, NO_PHONES, &table.ours(&["doctor"]));
        before.assert_untouched(&Tree::of(&folder), name);
    }
}

fn signal(pid: &str, name: &str) {
    assert!(
        ran(Command::new("kill").args(["-s", name, pid])),
        "{pid} is there"
    );
}

/// The program behind a disk stands still, and whoever looks at the disk waits for ever; then the agent stands still as well. Not
/// with a made-up bus: umockdev would wait too.
#[test]
fn a_disk_and_an_agent_that_hang() {
    let table = table();
    let Some(disk) = Disk::exfat(table.home().join("disk"), &table.home().join("image")) else {
        return;
    };
    let agent = onto(&table, &disk);
    let device = disk.device.clone().unwrap();
    let found = Command::new("pgrep")
        .args(["-f", &format!("exfat-fuse {device} ")])
        .output();
    let daemon = String::from_utf8(found.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned();
    let told = |id: &str| {
        let begin = Instant::now();
        let mut ours = table.ours(&["doctor", "--json"]);
        let said: Said = peers::run(&mut ours, PATIENCE).into();
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );
        let report: serde_json::Value = serde_json::from_str(&said.out).expect(&said.err);
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        assert_eq!(check["status"], "fail", "{said:?}");
        assert!(
            checks
                .iter()
                .any(|check| check["id"] == "usbmuxd" && check["status"] == "pass")
        );
        check["says"].as_str().unwrap().to_owned()
    };
    signal(&daemon, "STOP");
    let says = told("backup_root");
    assert!(
        says.ends_with("disk/phones did not answer within 5 s."),
        "{says}"
    );
    let pid = fs::read_to_string(table.state().join("agent.lock")).unwrap();
    signal(pid.trim(), "STOP");
    assert_eq!(told("agent"), "The agent did not answer within 5 s.");
    signal(pid.trim(), "CONT");
    signal(&daemon, "CONT");
    agent.end();
}

#[test]
fn two_agents() {
    let table = table();
    let agent = agent(&table);
    let other = table.home().join("elsewhere");
    let mut second = Running::start(&mut table.ours_at(&other, &["agent", "--log-to-stderr"]));
    let begin = Instant::now();
    while !other.join("agent.sock").exists() {
        assert!(
            begin.elapsed() < PATIENCE,
            "the second agent does not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_told!("two_agents", &table, NO_PHONES, &table.ours(&["doctor"]));
    second.signal("TERM");
    assert!(second.end().ok());
    agent.end();
}

#[test]
fn a_phone_in_recovery_mode() {
    let table = Table::of(Vec::new());
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    assert_told!(
        "recovery_mode",
        &table,
        "recovery",
        &table.ours(&["doctor"])
    );
    agent.end();
}
