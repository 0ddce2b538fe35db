//! The other way to a phone, through the very binary: the same backup by both, a library that is of no use, and a usbmuxd that the
//! library would not find by itself. What both ways read of a phone is compared in `crates/device/tests/backends.rs`, and the
//! words for each fault by the other tests here, which `cargo xtask test --backend libimobiledevice` makes by this way.

use backupwatch_e2e::{
    agent::{Agent, configure},
    binary::BACKEND,
    peers,
    table::{PATIENCE, Said, Table, plain},
    tree::Tree,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn said(command: &mut Command) -> Said {
    peers::run(command, PATIENCE).into()
}

fn backup(table: &Table, backend: &str) -> Said {
    let mut command = table.ours(&["backup", "--root"]);
    command.arg(table.root()).env(BACKEND, backend);
    said(&mut command)
}

/// Whether the library is here. Its tools come with it.
fn is_here() -> bool {
    peers::find("ideviceinfo").is_some()
}

#[test]
fn both_make_the_same_backup() {
    if !is_here() {
        return;
    }
    let trees = ["idevice", "libimobiledevice"].map(|backend| {
        let table = Table::unix(plain());
        let said = backup(&table, backend);
        assert!(said.ok(), "{backend}: {said:?}");
        table.assert_whole();
        Tree::of(&table.tree())
    });
    let [ours, theirs] = &trees;
    assert!(ours.names().len() > 20, "{:?}", ours.names());
    assert_eq!(ours.names(), theirs.names());
    for name in ours.names() {
        // Each of these has the time of its backup, or an identifier of its own.
        let of_the_run = ["Info.plist", "Status.plist", "Manifest.plist"];
        if !of_the_run.contains(&name.as_str()) {
            assert!(ours.bytes(&name) == theirs.bytes(&name), "{name}");
        }
    }
}

/// The library that the program finds first.
fn in_the_way(table: &Table, library: &Path) -> PathBuf {
    let folder = table.home().join("lib");
    fs::create_dir_all(&folder).unwrap();
    fs::rename(library, folder.join("libimobiledevice-1.0.so.6")).unwrap();
    folder
}

/// A library, but not this one.
fn too_old(table: &Table) -> PathBuf {
    let (source, library) = (table.home().join("old.c"), table.home().join("old.so"));
    fs::write(&source, "int idevice_new(void) { return 0; }\n").unwrap();
    let mut compile = Command::new("cc");
    compile
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    assert!(said(&mut compile).ok());
    in_the_way(table, &library)
}

fn broken(table: &Table) -> PathBuf {
    let library = table.home().join("broken.so");
    fs::write(&library, "no library").unwrap();
    in_the_way(table, &library)
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_is_of_no_use_is_one_sentence_and_never_another_way() {
    for (name, make, words) in [
        (
            "too old",
            too_old as fn(&Table) -> PathBuf,
            "is too old: it has no ",
        ),
        ("broken", broken, "cannot be loaded"),
    ] {
        let table = Table::unix(plain());
        configure(
            &table,
            "device.backend = \"libimobiledevice\"\nnotify.desktop = false\n",
        );
        let folder = make(&table);
        let ours = |arguments: &[&str]| {
            let mut command = table.ours(arguments);
            command.env_remove(BACKEND).env("LD_LIBRARY_PATH", &folder);
            command
        };

        let refused = said(&mut ours(&["check"]));
        assert_eq!(refused.code, Some(2), "{name}: {refused:?}");
        assert!(refused.err.contains(words), "{name}: {refused:?}");
        assert!(
            refused.err.contains("apt install libimobiledevice"),
            "{name}: {refused:?}"
        );

        let agent = Agent::launch(&table, &mut ours(&["agent"]));
        agent.wait_until_up();
        agent.when("it says why it sees nobody", |status| {
            let mut remarks = status.agent.remarks.iter();
            remarks
                .any(|remark| remark.starts_with("Phones cannot be seen") && remark.contains(words))
        });
        assert!(agent.status().devices.is_empty(), "{name}");
        let report = said(&mut ours(&["doctor"]));
        assert!(
            report
                .out
                .contains("FAIL  No device can be spoken to: libimobiledevice at ")
                && report.out.contains(words),
            "{name}: {report:?}"
        );
        agent.end();
        assert!(
            table.phone().seen().is_empty(),
            "{name}: the phone was asked"
        );

        // Where it is only for what `idevice` does not understand, nobody misses it.
        let checked = said(ours(&["check"]).env(BACKEND, "auto"));
        assert!(checked.out.contains("iCloud backup"), "{name}: {checked:?}");
    }
}

#[test]
fn the_library_is_told_where_usbmuxd_is() {
    if !is_here() {
        return;
    }
    for spelling in ["", "unix://"] {
        let table = Table::unix(plain());
        let socket = table.home().join("usbmuxd");
        let address = format!("{spelling}{}", socket.display());
        configure(
            &table,
            &format!("usbmuxd.address = {address:?}\nnotify.desktop = false\n"),
        );
        let mut check = table.ours(&["check"]);
        check
            .env_remove("USBMUXD_SOCKET_ADDRESS")
            .env(BACKEND, "libimobiledevice");
        let said = said(&mut check);
        assert!(said.out.contains("iCloud backup"), "{spelling}: {said:?}");
    }
}

/// A phone whose answers `idevice` cannot read, once: the next question goes the other way, and the log says why.
#[test]
fn a_phone_that_is_not_understood_falls_back_for_good() {
    if !is_here() {
        return;
    }
    let mut odd = plain();
    odd.lockdown.fault = backupwatch_sim::persona::Persona::parse(
        "[identity]\nudid = \"00008101-000A11112222F1E5\"\nname = \"Ada\"\n[[lockdown.fault]]\nrequest = \"GetValue\"\nkind = \"rubbish\"\ntimes = 1\n",
    )
    .unwrap()
    .lockdown
    .fault;
    let table = Table::unix(odd);
    let mut check = table.ours(&["check", "-v"]);
    let said = said(check.env(BACKEND, "auto"));
    assert!(said.out.contains("iCloud backup  "), "{said:?}");
    let told = "the phone is spoken to with libimobiledevice from now on";
    assert_eq!(said.err.matches(told).count(), 1, "{said:?}");
}
