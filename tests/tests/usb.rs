//! The cables of this computer: the agent in a world of its own, in which umockdev answers for the USB bus and the simulator for the
//! system's usbmuxd, at the very address where the system's is.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    table::{Table, persona},
};
use std::{path::Path, process::Command};

/// The iPad of `fixtures/usb/ipad-behind-hub.umockdev`.
const IPAD: &str = "5d7a9b0c1e2f30415263748596a7b8c9d0e1f203";
/// What the phone of `fixtures/usb/recovery.umockdev` tells of itself, and nobody else may.
const PRIVATE: [&str; 3] = ["001A2B3C4D5E6F70", "F2LTESTTEST1", "CPID"];

/// What must come before a program for it to have its own mounts and processes: the first so that usbmuxd's place can be another
/// one, the second so that everything ends with the first of them. `None` when nobody may have that here.
fn world(table: &Table) -> Option<Command> {
    let own = [
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
    ];
    let may = Command::new("unshare").args(own).arg("true").status();
    if !may.is_ok_and(|status| status.success()) {
        let is_required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some();
        assert!(
            !is_required || !rustix::process::geteuid().is_root(),
            "root cannot have mounts of its own"
        );
        eprintln!("SKIPPED: this machine gives nobody mounts of their own");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(own).args([
        "sh",
        "-c",
        "mount --bind \"$1\" \"$(readlink -f /var/run)\" && shift && exec \"$@\"",
        "sh",
    ]);
    command.arg(table.home());
    Some(command)
}

/// The agent, with these devices on its bus.
fn agent<'t>(table: &'t Table, fixtures: &[&str]) -> Option<Agent<'t>> {
    let umockdev = peers::find("umockdev-run")?;
    let mut command = world(table)?;
    command.arg(umockdev);
    for fixture in fixtures {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/usb"));
        command
            .arg("-d")
            .arg(folder.join(format!("{fixture}.umockdev")));
    }
    let ours = table.ours(&["agent"]);
    command
        .arg("--")
        .arg(ours.get_program())
        .args(ours.get_args());
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // The system's own.
    command.env_remove("USBMUXD_SOCKET_ADDRESS");
    let agent = Agent::launch(table, &mut command);
    agent.wait_until_up();
    Some(agent)
}

#[test]
fn phones_on_the_cable_are_told_of_until_usbmuxd_has_them() {
    let mut ipad = persona("fresh");
    ipad.identity.udid = IPAD.to_owned();
    let table = Table::unix(ipad);
    configure(&table, WATCH_ONLY);
    table.phone().unplug();
    let Some(agent) = agent(&table, &["recovery", "ipad-behind-hub"]) else {
        return;
    };

    let says =
        |remarks: &[String], words: &str| remarks.iter().any(|remark| remark.contains(words));
    let unlisted = "An iPad is on the cable, but this computer's usbmuxd does not list it";
    let recovery = "An iPhone or iPad on the cable is in recovery mode";
    let status = agent.when("both are told of", |status| {
        says(&status.agent.remarks, unlisted) && says(&status.agent.remarks, recovery)
    });
    let told = format!("{status:?}{}", agent.words());
    for secret in PRIVATE {
        assert!(!told.contains(secret), "{secret} was told");
    }

    table.phone().plug();
    let status = agent.when("the iPad is listed", |status| {
        !says(&status.agent.remarks, unlisted)
    });
    assert!(says(&status.agent.remarks, recovery), "{status:?}");
    assert_eq!(
        status.devices.len(),
        1,
        "a phone in recovery mode is no device: {status:?}"
    );
}
