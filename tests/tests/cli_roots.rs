//! Two phones of a household, each backed up to a disk of its own: what is the matter with one disk is said of its phone, and
//! concerns no other.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    mount::Mount,
    peers, schema,
    table::{PATIENCE, Said, Table, persona},
};
use backupwatch_sim::persona::Persona;
use serde_json::Value;
use std::{fs, path::PathBuf};

const ADA: &str = "00008101-000A111122225058";
const ALAN: &str = "00008101-000A11112222F1E5";
const GRACE: &str = "00008101-000A111122221A7E";

/// Ada's phone, of which iCloud has had nothing for long, has a root of its own; Alan's has the one of all others.
struct Household {
    table: Table,
    disk: PathBuf,
    shared: PathBuf,
    own: PathBuf,
}

impl Household {
    fn new() -> Self {
        Self::with(vec![persona("stale-58-days"), persona("fresh")])
    }

    fn with(phones: Vec<Persona>) -> Self {
        let table = Table::of(phones);
        let disk = table.home().join("photos");
        fs::create_dir(&disk).unwrap();
        let (shared, own) = (table.home().join("safe"), disk.join("backups"));
        configure(&table, &format!("{WATCH_ONLY}backup.root = {shared:?}\n"));
        Self {
            table,
            disk,
            shared,
            own,
        }
    }

    fn ours(&self, arguments: &[&str]) -> Said {
        peers::run(&mut self.table.ours(arguments), PATIENCE).into()
    }

    fn set_root(&self) -> Said {
        self.set_root_of(ADA)
    }

    fn set_root_of(&self, udid: &str) -> Said {
        let own = self.own.to_str().unwrap();
        let said = self.ours(&["device", "set", udid, "--root", own]);
        assert!(said.ok(), "{said:?}");
        said
    }

    /// How often a phone was asked for a backup.
    fn asked(&self, udid: &str) -> usize {
        let phones = self.table.sim().phones().into_iter();
        let seen = phones.filter(|phone| phone.udid() == udid);
        let seen = seen.flat_map(|phone| phone.seen());
        seen.filter(|seen| seen.name.contains("mobilebackup2"))
            .count()
    }

    fn status(&self) -> Value {
        let said = self.ours(&["status", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    }
}

fn device<'s>(status: &'s Value, udid: &str) -> &'s Value {
    let devices = status["devices"].as_array().unwrap();
    let found = devices.iter().find(|device| device["udid"] == udid);
    found.unwrap_or_else(|| panic!("{status:#}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn one_phone_whose_disk_is_away_and_one_that_is_backed_up() {
    let home = Household::new();
    assert!(home.ours(&["check"]).code.is_some());
    home.set_root();
    for udid in [ADA, ALAN] {
        let said = home.ours(&["backup", udid]);
        assert!(said.ok(), "{said:?}");
    }
    assert!(home.own.join(ADA).join("Manifest.db").is_file());
    assert!(home.shared.join(ALAN).join("Manifest.db").is_file());
    assert!(!home.shared.join(ADA).exists() && !home.own.join(ALAN).exists());
    // Each is found where it is, whoever else is elsewhere.
    for command in ["verify", "versions", "diagnose"] {
        let said = home.ours(&[command, ADA, "--json"]);
        let document: Value = serde_json::from_str(&said.out).unwrap();
        assert!(said.err.is_empty(), "{command}: {said:?}");
        assert!(document.to_string().contains(ADA), "{command}: {said:?}");
    }
    let out = home.table.home().join("exported");
    fs::create_dir(&out).unwrap();
    let said = home.ours(&["export", ADA, "--to", out.to_str().unwrap()]);
    assert!(said.ok(), "{said:?}");
    assert!(home.ours(&["versions", "prune", ADA]).ok());

    let pocket = home.table.home().join("pocket");
    let look = |how: &str| {
        fs::rename(&home.disk, &pocket).unwrap();
        if how == "through the agent" {
            assert!(home.ours(&["check"]).code.is_some());
        }
        let status = home.status();
        schema::assert_hold(&[("status".to_owned(), status.clone())]);
        let (ada, alan) = (device(&status, ADA), device(&status, ALAN));
        assert_eq!(ada["root"], home.own.to_str().unwrap(), "{how}: {status:#}");
        assert!(alan.get("root").is_none(), "{how}: {status:#}");
        assert_eq!(status["store"]["state"], "ready", "{how}: {status:#}");
        assert_eq!(status["stores"][0]["state"], "missing", "{how}: {status:#}");
        assert_eq!(ada["local"]["state"], "unverified", "{how}: {status:#}");
        assert_eq!(ada["next"]["code"], "connect_store", "{how}: {status:#}");
        assert_ne!(ada["protection"], "protected", "{how}: {status:#}");
        assert_eq!(alan["local"]["state"], "verified", "{how}: {status:#}");
        assert_eq!(alan["protection"], "protected", "{how}: {status:#}");
        let said = home.ours(&["status"]);
        let told = one_line(&said.out);
        assert!(
            told.contains("cannot be made: the backups are not at") && told.contains("Backups of"),
            "{how}: {said:?}"
        );
        assert!(!told.contains("Backups cannot be made"), "{how}: {said:?}");
        let said = home.ours(&["backup", ADA]);
        assert_eq!(said.code, Some(7), "{how}: {said:?}");
        assert!(
            said.err.contains("is the disk connected?"),
            "{how}: {said:?}"
        );
        let said = home.ours(&["backup", ALAN]);
        assert!(said.ok(), "{how}: {said:?}");
        let said = one_line(&home.ours(&["doctor"]).out);
        assert!(
            said.contains("FAIL No backup can be made: the backups are not at"),
            "{said}"
        );
        assert!(said.contains("and it can be written to."), "{said}");
        fs::rename(&pocket, &home.disk).unwrap();
    };
    look("alone");
    assert_eq!(device(&home.status(), ADA)["local"]["state"], "verified");

    let agent = Agent::start(&home.table);
    for udid in [ADA, ALAN] {
        agent.when_device(udid, "its backup is seen", |device| {
            device.local.state == "verified" && !device.links.is_empty()
        });
    }
    look("through the agent");
    assert!(home.ours(&["check"]).code.is_some());
    assert_eq!(device(&home.status(), ADA)["local"]["state"], "verified");

    // Back to the place of all: nothing is moved, and what is elsewhere is not called a backup of today.
    let said = home.ours(&["device", "unset", ADA, "--root"]);
    let told = one_line(&said.out);
    assert!(
        said.ok() && told.contains("The agent goes by it from now on"),
        "{said:?}"
    );
    assert!(told.contains("Its backups so far stay in"), "{said:?}");
    let status = agent.when_device(ADA, "its backup is elsewhere", |device| {
        device.local.state != "verified" && device.root.is_none()
    });
    assert_ne!(status.protection, "protected");
    assert!(home.own.join(ADA).join("Manifest.db").is_file());
    home.set_root();
    agent.when_device(ADA, "its backup is there again", |device| {
        device.local.state == "verified" && device.root.is_some()
    });
    agent.end();
}

/// What lies in the old place is not taken for a backup in the new one, with an agent or without one.
#[test]
fn a_backup_in_the_old_place_does_not_count_in_the_new_one() {
    let home = Household::new();
    let said = home.ours(&["backup", ADA]);
    assert!(said.ok(), "{said:?}");
    let verified = |status: &Value| device(status, ADA)["local"]["state"] == "verified";
    assert!(verified(&home.status()));
    let told = one_line(&home.set_root().out);
    assert!(
        told.contains("untouched, and do not count any more"),
        "{told}"
    );
    let status = home.status();
    assert!(!verified(&status), "{status:#}");
    assert_eq!(
        device(&status, ADA)["protection"],
        "unprotected",
        "{status:#}"
    );
    assert!(home.ours(&["check"]).code.is_some());
    assert!(!verified(&home.status()));
    let said = home.ours(&["device", "unset", ADA, "--root"]);
    assert!(said.ok(), "{said:?}");
    assert!(home.ours(&["check"]).code.is_some());
    assert!(verified(&home.status()), "what was there is there again");
}

#[test]
fn a_root_in_another_store_is_refused() {
    let home = Household::new();
    assert!(home.ours(&["backup", ALAN]).ok());
    let before = fs::read_to_string(home.table.config()).unwrap();
    let link = home.table.home().join("link");
    std::os::unix::fs::symlink(&home.shared, &link).unwrap();
    let inside = home.shared.join("ada");
    for (root, words) in [
        (inside.as_path(), "lies inside"),
        (&link.join("ada"), "lies inside"),
        (home.table.home(), "lies inside"),
    ] {
        let said = home.ours(&["device", "set", ADA, "--root", root.to_str().unwrap()]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(one_line(&said.err).contains(words), "{said:?}");
        let after = fs::read_to_string(home.table.config()).unwrap();
        assert_eq!(after, before, "{said:?}");
    }
    // By hand it is refused as well.
    let text = format!("{before}[device.\"{ADA}\"]\nbackup.root = {inside:?}\n");
    fs::write(home.table.config(), text).unwrap();
    let said = home.ours(&["status"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("lies inside"), "{said:?}");
}

/// A disk that is full, and one for reading only: its phone is told so, and has the backup that is on it; the other phone is backed up.
#[test]
fn a_disk_that_takes_no_backup_is_said_of_its_phone_alone() {
    let home = Household::new();
    let Some(mount) = Mount::at(&home.disk) else {
        return;
    };
    assert!(home.ours(&["check"]).code.is_some());
    home.set_root();
    for udid in [ADA, ALAN] {
        let said = home.ours(&["backup", udid]);
        assert!(said.ok(), "{said:?}");
    }
    let look = |state: &str, words: &str, how: &str| {
        if how == "through the agent" {
            assert!(home.ours(&["check"]).code.is_some());
        }
        let status = home.status();
        let (ada, alan) = (device(&status, ADA), device(&status, ALAN));
        assert_eq!(status["store"]["state"], "ready", "{how}: {status:#}");
        assert_eq!(status["stores"][0]["state"], state, "{how}: {status:#}");
        for device in [ada, alan] {
            assert_eq!(device["local"]["state"], "verified", "{how}: {status:#}");
        }
        let said = home.ours(&["status"]);
        let told = one_line(&said.out);
        assert!(
            told.contains("Backups of Ada’s iPhone 📱 cannot be made: "),
            "{how}: {said:?}"
        );
        assert!(told.contains(words), "{how}: {said:?}");
        assert!(!told.contains("Backups cannot be made"), "{how}: {said:?}");
        let asked = home.asked(ADA);
        let said = home.ours(&["backup", ADA]);
        assert_eq!(said.code, Some(7), "{how}: {said:?}");
        assert!(one_line(&said.all()).contains(words), "{how}: {said:?}");
        assert_eq!(
            home.asked(ADA),
            asked,
            "{how}: the passcode was asked for in vain"
        );
        let said = home.ours(&["backup", ALAN]);
        assert!(said.ok(), "{how}: {said:?}");
    };
    mount.close();
    look(
        "read_only",
        "cannot be written to: it is read-only",
        "alone",
    );
    mount.open();
    let agent = Agent::start(&home.table);
    for udid in [ADA, ALAN] {
        agent.when_device(udid, "its backup is seen", |device| {
            device.local.state == "verified" && !device.links.is_empty()
        });
    }
    mount.fill();
    look("no_room", "kB free", "through the agent");
    mount.empty();
    assert!(home.ours(&["check"]).code.is_some());
    let status = home.status();
    assert_eq!(status["stores"][0]["state"], "ready", "{status:#}");
    let said = home.ours(&["backup", ADA]);
    assert!(said.ok(), "{said:?}");
    agent.end();
}

/// Two phones on one disk, which is not the one of all others. They share it as all others share theirs.
#[test]
fn two_phones_that_share_a_disk_of_their_own() {
    let home = Household::with(["stale-58-days", "fresh", "late"].map(persona).into());
    assert!(home.ours(&["check"]).code.is_some());
    let agent = Agent::start(&home.table);
    for udid in [ADA, ALAN] {
        home.set_root_of(udid);
    }
    for udid in [ADA, ALAN, GRACE] {
        agent.when_device(udid, "it is there", |device| !device.links.is_empty());
        let said = home.ours(&["backup", udid]);
        assert!(said.ok(), "{said:?}");
    }
    let lies = |folder: &PathBuf, udid: &str| folder.join(udid).join("Manifest.db").is_file();
    for udid in [ADA, ALAN] {
        assert!(lies(&home.own, udid) && !home.shared.join(udid).exists());
    }
    assert!(lies(&home.shared, GRACE) && !home.own.join(GRACE).exists());
    let verified = |udids: &[&str]| {
        assert!(home.ours(&["check"]).code.is_some());
        let status = home.status();
        for udid in [ADA, ALAN, GRACE] {
            let is = device(&status, udid)["local"]["state"] == "verified";
            assert_eq!(is, udids.contains(&udid), "{udid}: {status:#}");
        }
        status
    };
    let status = verified(&[ADA, ALAN, GRACE]);
    let stores = status["stores"].as_array().unwrap();
    assert_eq!(stores.len(), 1, "it is one place: {status:#}");

    // It is away: one sentence about both, and nothing about the third.
    let pocket = home.table.home().join("pocket");
    fs::rename(&home.disk, &pocket).unwrap();
    verified(&[GRACE]);
    let said = home.ours(&["status"]);
    let told = one_line(&said.out);
    assert!(
        told.contains("Backups of Ada’s iPhone 📱, Ada’s iPhone cannot be made: "),
        "{said:?}"
    );
    fs::rename(&pocket, &home.disk).unwrap();
    verified(&[ADA, ALAN, GRACE]);

    // One of them goes back to where all others are. The other one stays, and nobody's backup is touched.
    assert!(home.ours(&["device", "unset", ALAN, "--root"]).ok());
    verified(&[ADA, GRACE]);
    assert!(lies(&home.own, ALAN), "nothing is moved or removed");
    let said = home.ours(&["backup", ALAN]);
    assert!(said.ok(), "{said:?}");
    assert!(lies(&home.shared, ALAN) && lies(&home.own, ALAN));
    verified(&[ADA, ALAN, GRACE]);
    agent.end();
}

/// A process that has just begun knows what was on it, and does not begin anew on a mount point.
#[test]
fn a_mount_point_without_the_disk_of_one_phone() {
    let home = Household::new();
    assert!(home.ours(&["check"]).code.is_some());
    home.set_root();
    let said = home.ours(&["backup", ADA]);
    assert!(said.ok(), "{said:?}");
    let pocket = home.table.home().join("pocket");
    fs::rename(&home.disk, &pocket).unwrap();
    fs::create_dir_all(&home.own).unwrap();
    let look = |how: &str| {
        let status = home.status();
        assert_eq!(status["stores"][0]["state"], "empty", "{how}: {status:#}");
        let said = home.ours(&["backup", ADA]);
        assert_eq!(said.code, Some(7), "{how}: {said:?}");
        assert!(
            said.err.contains("the backups are not in it"),
            "{how}: {said:?}"
        );
        let made = fs::read_dir(&home.own).unwrap().count();
        assert_eq!(made, 0, "{how}: something was made on the mount point");
    };
    look("alone");
    let agent = Agent::start(&home.table);
    agent.when_device(ADA, "it is there", |device| !device.links.is_empty());
    assert!(home.ours(&["check"]).code.is_some());
    look("through the agent");
    agent.end();
}
