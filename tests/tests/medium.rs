//! The disk for backups in every condition that it can be in. Each has its own code and its own sentence in `status`,
//! `status --json` and `backup`; none of them reads as "no backups", none looks better than it is, none troubles the phone; and
//! when it is over, the backup that was there is there.

use backupwatch_backup::Store;
use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    mount::Mount,
    peers,
    somebody::{as_somebody, is_root},
    table::{PATIENCE, Said, Table, persona},
    tree::Tree,
};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

/// What a person finds.
struct Found {
    /// In JSON.
    state: &'static str,
    /// In words.
    words: &'static str,
    /// Whether the backups can be looked at.
    within_reach: bool,
}

const MISSING: Found = Found {
    state: "missing",
    words: "is the disk connected?",
    within_reach: false,
};
const EMPTY: Found = Found {
    state: "empty",
    words: "is there, but the backups are not in it; is the disk connected?",
    within_reach: false,
};
const OTHER: Found = Found {
    state: "other",
    words: "is another disk or folder than the one with the backups",
    within_reach: false,
};
const NOT_PERMITTED: Found = Found {
    state: "not_permitted",
    words: "the system does not permit backupwatch to use",
    within_reach: false,
};
const READ_ONLY: Found = Found {
    state: "read_only",
    words: "cannot be written to: it is read-only",
    within_reach: true,
};
const NO_ROOM: Found = Found {
    state: "no_room",
    words: "kB free",
    within_reach: true,
};

/// A phone of which iCloud has had nothing for long, so that all hangs on the local backup, and the disk that this is on.
struct Desk {
    table: Table,
    disk: PathBuf,
    root: PathBuf,
}

impl Desk {
    /// With one verified backup on the disk. `ready` does what the disk needs to be one.
    fn new(ready: impl FnOnce(&Path)) -> Self {
        let table = Table::unix(persona("stale-58-days"));
        let disk = table.home().join("disk");
        fs::create_dir(&disk).unwrap();
        ready(&disk);
        let root = disk.join("phones");
        configure(&table, &format!("{WATCH_ONLY}backup.root = {root:?}\n"));
        Self { table, disk, root }
    }

    fn ours(&self, arguments: &[&str]) -> Said {
        peers::run(&mut self.table.ours(arguments), PATIENCE).into()
    }

    fn backed_up(self) -> Self {
        let said = self.ours(&["backup"]);
        assert!(said.ok(), "{said:?}");
        self
    }

    fn pocket(&self) -> PathBuf {
        self.table.home().join("pocket")
    }
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
}

/// What is said while it is so, by `ask`, which runs our binary with these arguments.
#[track_caller]
fn assert_found(desk: &Desk, found: &Found, ask: &dyn Fn(&[&str]) -> Said) {
    let what = found.state;
    let troubled = desk.table.phone().seen().len();
    let said = ask(&["status", "--json"]);
    let status = json(&said);
    assert_eq!(status["store"]["state"], what, "{said:?}");
    let words = status["store"]["words"].as_str().unwrap_or_default();
    assert!(words.contains(found.words), "{what}: {said:?}");
    let device = &status["devices"][0];
    let local = if found.within_reach {
        "verified"
    } else {
        "unverified"
    };
    assert_eq!(device["local"]["state"], local, "{what}: {said:?}");
    if !found.within_reach {
        assert_eq!(device["protection"], "unprotected", "{what}: {said:?}");
        assert_eq!(device["next"]["code"], "connect_store", "{what}: {said:?}");
        assert!(said.code != Some(0), "{what}: {said:?}");
    }

    let said = ask(&["status"]);
    let told = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("Backups cannot be made: "),
        "{what}: {said:?}"
    );
    assert!(told.contains(found.words), "{what}: {said:?}");
    assert!(!told.contains("no copy"), "{what}: {said:?}");

    // The bookkeeping of a run that found no room may be there; the backup is as it was.
    let kept = match found.within_reach {
        true => desk.root.join(desk.table.udid()),
        false => desk.disk.clone(),
    };
    let before = Tree::of(&kept);
    let said = ask(&["backup"]);
    assert_eq!(said.code, Some(7), "{what}: {said:?}");
    assert!(said.all().contains(found.words), "{what}: {said:?}");
    assert!(!said.err.contains("panicked"), "{what}: {said:?}");
    before.assert_untouched(&Tree::of(&kept), what);
    let seen = desk.table.phone().seen();
    let began = seen[troubled..]
        .iter()
        .any(|seen| seen.name.contains("mobilebackup2"));
    assert!(!began, "{what}: the passcode was asked for in vain");
}

/// What is said when it is over.
#[track_caller]
fn assert_well(desk: &Desk, ask: &dyn Fn(&[&str]) -> Said) {
    let status = json(&ask(&["status", "--json"]));
    assert_eq!(status["store"]["state"], "ready", "{status}");
    assert_eq!(
        status["devices"][0]["local"]["state"], "verified",
        "{status}"
    );
    assert!(
        desk.root
            .join(desk.table.udid())
            .join("Manifest.db")
            .is_file()
    );
}

/// Without an agent, and with one that is told to look.
fn tell(desk: &Desk, found: &Found, strike: &dyn Fn(), heal: &dyn Fn()) {
    let alone = |arguments: &[&str]| desk.ours(arguments);
    strike();
    assert_found(desk, found, &alone);
    heal();
    assert_well(desk, &alone);

    let agent = Agent::start(&desk.table);
    let udid = desk.table.udid();
    agent.when_device(
        &udid,
        "it is judged, and its store was looked at",
        |device| device.icloud.state == "critical" && device.local.state == "verified",
    );
    let through = |arguments: &[&str]| {
        assert!(desk.ours(&["check"]).code.is_some());
        desk.ours(arguments)
    };
    strike();
    assert_found(desk, found, &through);
    heal();
    assert_well(desk, &through);
    agent.end();
}

#[test]
fn a_disk_that_is_not_connected() {
    let desk = Desk::new(|_| {}).backed_up();
    let pocket = desk.pocket();
    tell(
        &desk,
        &MISSING,
        &|| fs::rename(&desk.disk, &pocket).unwrap(),
        &|| fs::rename(&pocket, &desk.disk).unwrap(),
    );
}

#[test]
fn a_mount_point_without_its_disk() {
    let desk = Desk::new(|_| {}).backed_up();
    let pocket = desk.pocket();
    let strike = || {
        fs::rename(&desk.disk, &pocket).unwrap();
        fs::create_dir_all(&desk.root).unwrap();
    };
    let heal = || {
        // Nothing was made there, or this would fail.
        fs::remove_dir(&desk.root).unwrap();
        fs::remove_dir(&desk.disk).unwrap();
        fs::rename(&pocket, &desk.disk).unwrap();
    };
    tell(&desk, &EMPTY, &strike, &heal);
}

#[test]
fn another_disk_in_its_place() {
    let desk = Desk::new(|_| {}).backed_up();
    let pocket = desk.pocket();
    let strike = || {
        fs::rename(&desk.disk, &pocket).unwrap();
        fs::create_dir(&desk.disk).unwrap();
        Store::create(&desk.root).unwrap();
    };
    let heal = || {
        fs::remove_dir_all(&desk.disk).unwrap();
        fs::rename(&pocket, &desk.disk).unwrap();
    };
    tell(&desk, &OTHER, &strike, &heal);
}

/// A folder that a person named on the command line may be a mount point as well.
#[test]
fn a_mount_point_that_was_named_on_the_command_line() {
    let desk = Desk::new(|_| {});
    configure(&desk.table, WATCH_ONLY);
    let named = ["backup", "--root", desk.root.to_str().unwrap()];
    assert!(desk.ours(&named).ok());
    fs::rename(&desk.disk, desk.pocket()).unwrap();
    fs::create_dir_all(&desk.root).unwrap();
    let said = desk.ours(&named);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.err.contains(EMPTY.words), "{said:?}");
    assert_eq!(fs::read_dir(&desk.root).unwrap().count(), 0);
}

/// Who has forgotten everything cannot know whether there is a backup on a disk that is away.
#[test]
fn a_disk_that_is_away_and_a_state_that_is_new() {
    let mut desk = Desk::new(|_| {}).backed_up();
    fs::rename(&desk.disk, desk.pocket()).unwrap();
    fs::remove_dir_all(desk.table.state()).unwrap();
    // So has the phone, or it would tell of a backup that somebody made.
    let mut forgetful = persona("stale-58-days");
    forgetful.local.last = None;
    desk.table.replace(forgetful);
    let said = desk.ours(&["check", "--json"]);
    let status = json(&said);
    assert_eq!(status["store"]["state"], "missing", "{said:?}");
    assert_eq!(
        status["devices"][0]["local"]["state"], "unknown",
        "{said:?}"
    );
    let reason = status["devices"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("nobody can look now"), "{said:?}");
}

#[test]
fn a_folder_that_the_system_keeps_us_out_of() {
    let desk = Desk::new(|disk| {
        if is_root() {
            chown(disk, Some(backupwatch_e2e::somebody::NOBODY), None).unwrap();
        }
    });
    let ask = |arguments: &[&str]| -> Said {
        let command = as_somebody(&desk.table, arguments);
        peers::run(&mut command.expect("it was there before"), PATIENCE).into()
    };
    if as_somebody(&desk.table, &[]).is_none() {
        return;
    }
    let said = ask(&["backup"]);
    assert!(said.ok(), "{said:?}");
    let close = |mode| fs::set_permissions(&desk.root, Permissions::from_mode(mode)).unwrap();
    close(0o000);
    assert_found(&desk, &NOT_PERMITTED, &ask);
    close(0o700);
    assert_well(&desk, &ask);
    // It can be looked into and not written to.
    close(0o500);
    let status = json(&ask(&["status", "--json"]));
    assert_eq!(status["store"]["state"], "not_permitted", "{status}");
    close(0o700);
}

/// A desk whose disk is a real one.
fn mounted() -> Option<(Desk, Mount)> {
    let mut mount = None;
    let desk = Desk::new(|disk| mount = Mount::at(disk));
    Some((desk.backed_up(), mount?))
}

#[test]
fn a_disk_that_is_mounted_for_reading_only() {
    let Some((desk, mount)) = mounted() else {
        return;
    };
    tell(&desk, &READ_ONLY, &|| mount.close(), &|| mount.open());
}

#[test]
fn a_disk_without_room() {
    let Some((desk, mount)) = mounted() else {
        return;
    };
    tell(&desk, &NO_ROOM, &|| mount.fill(), &|| mount.empty());
}

/// Mounted over it, as a second disk at the same place is.
#[test]
fn a_real_disk_in_the_place_of_another() {
    let Some((desk, _mount)) = mounted() else {
        return;
    };
    let above = std::cell::RefCell::new(None);
    let strike = || {
        *above.borrow_mut() = Mount::at(&desk.disk);
        Store::create(&desk.root).unwrap();
    };
    tell(&desk, &OTHER, &strike, &|| drop(above.take()));
    let strike = || *above.borrow_mut() = Mount::at(&desk.disk);
    tell(&desk, &MISSING, &strike, &|| drop(above.take()));
}
