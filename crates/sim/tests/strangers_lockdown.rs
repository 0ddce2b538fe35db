//! Strangers at our usbmuxd and lockdownd: libimobiledevice's tools over a Unix socket, pymobiledevice3 over TCP. Their
//! authors learned the protocol from real phones, so what they accept is not only our own reading of it.

#![cfg(test)]

mod peers;

use std::path::Path;
use std::time::Duration;

use backupwatch_sim::persona::{Dialog, LinkKind, LinkSpec, Persona};
use backupwatch_sim::phone::{Channel, PhoneHandle};
use backupwatch_sim::{Listen, Sim, SimHandle};
use peers::{PATIENCE, Said, find};

const UDID: &str = "00008101-000A11112222F1E5";
const OTHER: &str = "00008101-000A111122220BAD";

struct Table {
    sim: SimHandle,
    address: String,
    home: tempfile::TempDir,
}

impl Table {
    fn unix(personas: Vec<Persona>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(home.path().join("usbmuxd"));
        Self::with(personas, listen, home)
    }

    fn tcp(personas: Vec<Persona>) -> Self {
        let listen = Listen::Tcp("127.0.0.1:0".parse().unwrap());
        Self::with(personas, listen, tempfile::tempdir().unwrap())
    }

    fn with(personas: Vec<Persona>, listen: Listen, home: tempfile::TempDir) -> Self {
        let sim = Sim::start(personas, listen).unwrap();
        let address = sim.listen().environment().unwrap();
        Self { sim, address, home }
    }

    fn phone(&self, udid: &str) -> PhoneHandle {
        self.sim.phone(udid).unwrap()
    }

    async fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        let mut command = peers::command(program, &self.address, self.home.path());
        command.args(arguments);
        peers::run(command, PATIENCE).await
    }
}

fn trusted() -> Persona {
    Persona::plain(UDID, "Ada’s iPhone 📱")
}

fn untrusted() -> Persona {
    let mut persona = Persona::plain(OTHER, "Bo’s iPhone");
    persona.trust.paired = false;
    persona
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_id_lists_the_phones() {
    let Some(idevice_id) = find("idevice_id") else {
        return;
    };
    let table = Table::unix(vec![trusted(), untrusted()]);
    let said = table.run(&idevice_id, &["-l"]).await;
    assert!(said.ok, "{said:?}");
    assert_eq!(said.out.lines().collect::<Vec<_>>(), [UDID, OTHER]);

    table.phone(UDID).unplug();
    let said = table.run(&idevice_id, &["-l"]).await;
    assert_eq!(said.out.trim(), OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn idevice_id_tells_cable_from_wifi() {
    let Some(idevice_id) = find("idevice_id") else {
        return;
    };
    let mut both = trusted();
    both.link = vec![
        LinkSpec::new(LinkKind::Network, true),
        LinkSpec::new(LinkKind::Usb, false),
    ];
    let table = Table::unix(vec![both]);
    let said = table.run(&idevice_id, &["-n"]).await;
    assert!(said.ok && said.out.contains(UDID), "{said:?}");
    let said = table.run(&idevice_id, &["-l"]).await;
    assert!(!said.out.contains(UDID), "{said:?}");
}

/// Every domain that Debian's ideviceinfo names in its help.
const DOMAINS: &[(&str, &str)] = &[
    ("com.apple.disk_usage", "TotalDataAvailable: "),
    ("com.apple.disk_usage.factory", "TotalDiskCapacity: "),
    ("com.apple.mobile.battery", "BatteryCurrentCapacity: 80"),
    ("com.apple.iqagent", ""),
    ("com.apple.purplebuddy", "SetupDone: true"),
    ("com.apple.PurpleBuddy", ""),
    ("com.apple.mobile.chaperone", "DeviceIsChaperoned: false"),
    ("com.apple.mobile.third_party_termination", ""),
    ("com.apple.mobile.lockdownd", ""),
    ("com.apple.mobile.lockdown_cache", ""),
    ("com.apple.xcode.developerdomain", ""),
    ("com.apple.international", "Language: en"),
    ("com.apple.mobile.data_sync", "Calendars"),
    ("com.apple.mobile.tethered_sync", ""),
    ("com.apple.mobile.mobile_application_usage", ""),
    ("com.apple.mobile.backup", "LastCloudBackupDate: "),
    ("com.apple.mobile.nikita", ""),
    ("com.apple.mobile.restriction", ""),
    ("com.apple.mobile.user_preferences", ""),
    ("com.apple.mobile.sync_data_class", ""),
    ("com.apple.mobile.software_behavior", ""),
    (
        "com.apple.mobile.iTunes.SQLMusicLibraryPostProcessCommands",
        "",
    ),
    ("com.apple.mobile.iTunes.accessories", ""),
    ("com.apple.mobile.internal", ""),
    (
        "com.apple.mobile.wireless_lockdown",
        "EnableWifiConnections: true",
    ),
    ("com.apple.fairplay", ""),
    ("com.apple.iTunes", "iTunesStoreDomain: "),
    ("com.apple.mobile.iTunes.store", ""),
    ("com.apple.mobile.iTunes", "MinITunesVersion: "),
];

#[tokio::test(flavor = "multi_thread")]
async fn ideviceinfo_reads_the_root_and_every_domain() {
    let Some(ideviceinfo) = find("ideviceinfo") else {
        return;
    };
    let table = Table::unix(vec![trusted()]);
    let said = table.run(&ideviceinfo, &[]).await;
    assert!(said.ok, "{said:?}");
    for line in [
        "DeviceName: Ada’s iPhone 📱",
        "ProductType: iPhone13,2",
        "PasswordProtected: false",
        "UniqueDeviceID: 00008101-000A11112222F1E5",
    ] {
        assert!(said.out.contains(line), "{line} is missing in {}", said.out);
    }
    for (domain, expected) in DOMAINS {
        let said = table.run(&ideviceinfo, &["-q", domain]).await;
        assert!(said.ok, "{domain}: {said:?}");
        assert!(said.out.contains(expected), "{domain}: {said:?}");
    }
    // It went through a session each time, and ended it.
    let names = table.phone(UDID).phone().journal().names(Channel::Lockdown);
    assert_eq!(names.last().map(String::as_str), Some("StopSession"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ideviceinfo_sees_the_driver_change_the_date() {
    let Some(ideviceinfo) = find("ideviceinfo") else {
        return;
    };
    let table = Table::unix(vec![trusted()]);
    // protocol.md 5.1, capture A
    table
        .phone(UDID)
        .set_cloud_date("2025-05-15T20:37:27Z".parse().unwrap());
    let arguments = ["-q", "com.apple.mobile.backup", "-k", "LastCloudBackupDate"];
    let said = table.run(&ideviceinfo, &arguments).await;
    assert_eq!(said.out.trim(), "769034247", "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ideviceinfo_without_pairing_reads_only_what_is_public() {
    let Some(ideviceinfo) = find("ideviceinfo") else {
        return;
    };
    let table = Table::unix(vec![untrusted()]);
    let said = table.run(&ideviceinfo, &["-s"]).await;
    assert!(
        said.ok && said.out.contains("DeviceName: Bo’s iPhone"),
        "{said:?}"
    );
    assert!(!said.out.contains("SerialNumber"), "{said:?}");
    let said = table
        .run(&ideviceinfo, &["-s", "-q", "com.apple.mobile.backup"])
        .await;
    assert!(!said.out.contains("LastCloudBackupDate"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicepair_pairs_validates_and_unpairs() {
    let Some(idevicepair) = find("idevicepair") else {
        return;
    };
    let table = Table::unix(vec![untrusted()]);
    let phone = table.phone(OTHER);

    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(
        !said.ok && said.out.contains("accept the trust dialog"),
        "{said:?}"
    );
    assert!(phone.tap_trust());
    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(said.ok && said.out.contains("SUCCESS: Paired"), "{said:?}");
    let said = table.run(&idevicepair, &["validate"]).await;
    assert!(
        said.ok && said.out.contains("SUCCESS: Validated"),
        "{said:?}"
    );

    let said = table.run(&idevicepair, &["unpair"]).await;
    assert!(
        said.ok && said.out.contains("SUCCESS: Unpaired"),
        "{said:?}"
    );
    assert!(table.sim.hub().pair_record(OTHER).is_none());
    let said = table.run(&idevicepair, &["validate"]).await;
    assert!(!said.ok, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idevicepair_says_why_it_cannot_pair() {
    let Some(idevicepair) = find("idevicepair") else {
        return;
    };
    let table = Table::unix(vec![untrusted()]);
    let phone = table.phone(OTHER);

    phone.lock();
    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(!said.ok && said.out.contains("passcode is set"), "{said:?}");

    phone.unlock();
    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(said.out.contains("accept the trust dialog"), "{said:?}");
    assert!(phone.deny_trust());
    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(
        !said.ok && said.out.contains("denied the trust dialog"),
        "{said:?}"
    );

    // A replug asks again.
    phone.unplug();
    phone.plug();
    let said = table.run(&idevicepair, &["pair"]).await;
    assert!(said.out.contains("accept the trust dialog"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_lists_and_reads() {
    let Some(program) = find("pymobiledevice3") else {
        return;
    };
    let table = Table::tcp(vec![trusted()]);
    let said = table.run(&program, &["usbmux", "list"]).await;
    assert!(
        said.ok && said.out.contains(UDID) && said.out.contains("\"USB\""),
        "{said:?}"
    );

    let said = table
        .run(&program, &["lockdown", "info", "--udid", UDID])
        .await;
    assert!(
        said.ok && said.out.contains("\"PasswordProtected\": false"),
        "{said:?}"
    );
    // Its values are read in a session, where the serial number is one of them.
    assert!(said.out.contains("SerialNumber"), "{said:?}");

    let domain = ["lockdown", "get", "com.apple.mobile.backup", "--udid", UDID];
    let said = table.run(&program, &domain).await;
    assert!(
        said.ok && said.out.contains("LastCloudBackupDate"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_pairs_and_unpairs() {
    let Some(program) = find("pymobiledevice3") else {
        return;
    };
    let mut persona = untrusted();
    persona.trust.dialog = Dialog::TapAfter(1.0);
    let table = Table::tcp(vec![persona]);
    let phone = table.phone(OTHER);

    let said = table
        .run(&program, &["lockdown", "pair", "--udid", OTHER])
        .await;
    assert!(said.ok, "{said:?}");
    let asked = phone.phone().journal().names(Channel::Lockdown);
    assert!(
        asked.iter().filter(|name| *name == "Pair").count() >= 2,
        "{asked:?}"
    );
    let said = table
        .run(&program, &["lockdown", "info", "--udid", OTHER])
        .await;
    assert!(said.ok && said.out.contains("SerialNumber"), "{said:?}");
    let said = table
        .run(&program, &["lockdown", "unpair", "--udid", OTHER])
        .await;
    assert!(said.ok, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymobiledevice3_uses_the_small_services() {
    let Some(program) = find("pymobiledevice3") else {
        return;
    };
    let mut persona = trusted();
    persona.afc.insert(
        "/iTunes_Control/iTunes/iTunesPrefs".to_owned(),
        "invented".to_owned(),
    );
    persona.app =
        vec![toml::from_str("bundle_id = \"example.weather.rain\"\nname = \"Rain\"").unwrap()];
    let table = Table::tcp(vec![persona]);
    let phone = table.phone(UDID);

    let copy = table.home.path().join("copy");
    let copy_name = copy.to_string_lossy().into_owned();
    let afc = [
        "afc",
        "pull",
        "/iTunes_Control/iTunes/iTunesPrefs",
        &copy_name,
        "--udid",
        UDID,
    ];
    let said = table.run(&program, &afc).await;
    assert!(said.ok, "{said:?}");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "invented");
    let said = table.run(&program, &["apps", "list", "--udid", UDID]).await;
    assert!(
        said.ok && said.out.contains("example.weather.rain"),
        "{said:?}"
    );

    // It observes until it is stopped; news of a change must reach it.
    let mut observe = peers::command(&program, &table.address, table.home.path());
    let name = "com.apple.mobile.backup.domain_changed";
    observe.args(["notification", "observe", name, "--udid", UDID]);
    let child = observe.spawn().unwrap();
    let observing = format!("observe {name}");
    tokio::time::timeout(
        PATIENCE,
        phone
            .phone()
            .journal()
            .wait_for(|seen| seen.name == observing),
    )
    .await
    .unwrap();
    phone.set_cloud_enabled(Some(false));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let id = child.id().unwrap().to_string();
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(name), "{said}");
}
