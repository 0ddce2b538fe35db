//! The four streams of a backup: opened in one session, over the cable where there is one, and why not.

#![cfg(test)]

mod common;

use backupwatch_backup::{OpenError, Opened, Phone};
use backupwatch_core::Udid;
use backupwatch_device::{DeviceStream, IdevicePhone, MuxAddress};
use backupwatch_sim::persona::LinkKind as Cable;
use backupwatch_sim::phone::Channel;
use backupwatch_sim::usbmuxd::MuxFault;
use backupwatch_wire::lockdown::PairRecord;
use common::{Stage, UDID, impatient, persona, soon};
use tokio::io::AsyncReadExt;

async fn open(stage: &Stage) -> Result<Opened<DeviceStream>, OpenError> {
    let udid = Udid::parse(UDID).unwrap();
    let phone = IdevicePhone::new(stage.address.clone(), udid, stage.timeouts);
    soon("the services", phone.open()).await
}

const SERVICES: [&str; 5] = [
    "com.apple.afc",
    "com.apple.mobile.installation_proxy",
    "com.apple.mobile.notification_proxy",
    "com.apple.mobilebackup2",
    "com.apple.springboardservices",
];

fn connected(stage: &Stage) -> Vec<String> {
    let mut names = stage.phone().phone().journal().names(Channel::Service);
    names.sort();
    names
}

/// The first four bytes of mobilebackup2, which the phone says by itself: a short length.
async fn greeting(opened: &mut Opened<DeviceStream>) -> u32 {
    soon("the greeting", opened.backup.read_u32())
        .await
        .unwrap()
}

#[tokio::test]
async fn one_session_opens_everything_with_and_without_tls() {
    for (name, lines) in [
        ("TLS for services", "[services]\nssl = \"always\"\n"),
        ("none over the cable", "[services]\nssl = \"wifi-only\"\n"),
        (
            "no TLS at all",
            "[services]\nssl = \"never\"\n[lockdown]\nsession_ssl = false\n",
        ),
        (
            "TLS on Wi-Fi",
            "[services]\nssl = \"wifi-only\"\n[[link]]\nkind = \"network\"\n",
        ),
    ] {
        let stage = Stage::with(lines);
        let mut opened = open(&stage).await.unwrap();
        assert_eq!(stage.times_asked("StartSession"), 1, "{name}");
        assert_eq!(stage.times_asked("StopSession"), 1, "{name}");
        assert_eq!(connected(&stage), SERVICES, "{name}");
        assert!(opened.apps.is_some(), "{name}");
        assert!(greeting(&mut opened).await < 4096, "{name}");
        let about = &opened.about;
        assert_eq!(
            about
                .root
                .get("UniqueDeviceID")
                .and_then(|one| one.as_string()),
            Some(UDID),
            "{name}"
        );
        assert!(
            about.mobile_itunes.contains_key("MinITunesVersion"),
            "{name}"
        );
        assert!(about.itunes.contains_key("DBVersion"), "{name}");
        assert!(
            about.backup_domain.contains_key("CloudBackupEnabled"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_escrow_bag_goes_to_mobilebackup2() {
    let stage = Stage::with("");
    let _opened = open(&stage).await.unwrap();
    let with_bag: Vec<_> = stage
        .phone()
        .seen()
        .into_iter()
        .filter(|seen| seen.name == "StartService")
        .filter_map(|seen| seen.body?.into_dictionary())
        .filter(|request| request.contains_key("EscrowBag"))
        .map(|request| request["Service"].as_string().unwrap().to_owned())
        .collect();
    assert_eq!(with_bag, ["com.apple.mobilebackup2"]);
}

#[tokio::test]
async fn a_locked_phone_opens_with_the_bag() {
    let stage = Stage::with("[passcode]\nlocked = true\n");
    let mut opened = open(&stage).await.unwrap();
    assert_eq!(connected(&stage), SERVICES);
    greeting(&mut opened).await;
}

#[tokio::test]
async fn the_cable_is_preferred_and_wifi_will_do() {
    let both =
        "[[link]]\nkind = \"network\"\n[[link]]\nkind = \"usb\"\n[services]\nssl = \"wifi-only\"\n";
    let stage = Stage::with(both);
    let through = |wanted: Cable| {
        let all = stage.phone().phone().attachments();
        all.into_iter().find(|one| one.kind == wanted).unwrap().gone
    };
    let mut opened = open(&stage).await.unwrap();
    greeting(&mut opened).await;
    // Wi-Fi goes: nothing happens. The cable goes: the stream ends.
    let cable = through(Cable::Usb);
    stage.phone().unplug_link(Cable::Network);
    let mut rest = Vec::new();
    let more = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        opened.notifications.read_to_end(&mut rest),
    );
    assert!(more.await.is_err(), "the stream goes through the cable");
    assert!(!cable.is_cancelled());
    stage.phone().unplug_link(Cable::Usb);
    let end = soon("the end", opened.notifications.read_to_end(&mut rest)).await;
    assert!(end.is_ok() && rest.is_empty(), "{end:?}");

    stage.phone().plug_link(Cable::Network);
    let mut opened = open(&stage).await.unwrap();
    greeting(&mut opened).await;
}

/// Phones leave TLS without a word (protocol.md 4.4).
#[tokio::test]
async fn a_stream_in_tls_that_is_cut_off_just_ends() {
    let stage = Stage::with("[services]\nssl = \"always\"\n");
    let mut opened = open(&stage).await.unwrap();
    let length = greeting(&mut opened).await;
    stage.phone().unplug();
    let mut rest = Vec::new();
    let end = soon("the end", opened.backup.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "{end:?}");
    assert!(rest.len() <= length as usize);
}

#[tokio::test]
async fn a_service_that_backups_can_do_without_may_be_missing() {
    let stage = Stage::with(
        "[services]\nrefuse = { \"com.apple.mobile.installation_proxy\" = \"ServiceProhibited\" }\n",
    );
    assert!(open(&stage).await.unwrap().apps.is_none());
}

#[tokio::test]
async fn values_that_info_plist_can_do_without_may_be_missing() {
    let stage = Stage::with(
        "[lockdown]\nmissing = [\"com.apple.iTunes\"]\nprohibited = [\"com.apple.mobile.iTunes\"]\n",
    );
    let about = open(&stage).await.unwrap().about;
    assert!(about.itunes.is_empty() && about.mobile_itunes.is_empty());
    assert!(!about.root.is_empty());
}

#[tokio::test]
async fn each_reason_why_not() {
    let refuse = |word: &str| {
        format!("[services]\nrefuse = {{ \"com.apple.mobilebackup2\" = \"{word}\" }}\n")
    };
    type Check = fn(&OpenError) -> bool;
    let table: Vec<(&str, String, Check)> = vec![
        ("never paired", "[trust]\npaired = false\n".into(), |why| {
            matches!(why, OpenError::NotTrusted)
        }),
        ("forgotten", "[trust]\nexpired = true\n".into(), |why| {
            matches!(why, OpenError::NotTrusted)
        }),
        (
            "never unlocked, no session",
            "[passcode]\nlocked = true\nunlocked_since_boot = false\n".into(),
            |why| matches!(why, OpenError::NeverUnlocked),
        ),
        (
            "never unlocked, with a session",
            "[passcode]\nlocked = true\nunlocked_since_boot = false\nbefore_first_unlock = \"session\"\n".into(),
            |why| matches!(why, OpenError::NeverUnlocked),
        ),
        ("forbidden", refuse("ServiceProhibited"), |why| {
            matches!(why, OpenError::ServiceProhibited { service } if service == "com.apple.mobilebackup2")
        }),
        ("no such service", refuse("InvalidService"), |why| {
            matches!(why, OpenError::ServiceMissing { service } if service == "com.apple.mobilebackup2")
        }),
        (
            "closes in the middle",
            "[[lockdown.fault]]\nrequest = \"StartService\"\nkind = \"close\"\n".into(),
            |why| matches!(why, OpenError::LinkLost),
        ),
        (
            "silent in the middle",
            "[[lockdown.fault]]\nrequest = \"StartService\"\nkind = \"stall\"\n".into(),
            |why| matches!(why, OpenError::LinkLost),
        ),
        (
            "unplugged in the middle",
            "[[lockdown.fault]]\nrequest = \"StartService\"\nafter = 1\nkind = \"unplug\"\n".into(),
            |why| matches!(why, OpenError::LinkLost),
        ),
        (
            "rubbish in the middle",
            "[[lockdown.fault]]\nrequest = \"StartService\"\nkind = \"rubbish\"\n".into(),
            |why| matches!(why, OpenError::Other(_)),
        ),
    ];
    for (name, lines, right) in table {
        let stage = Stage::with(&lines);
        let why = open(&stage).await.unwrap_err();
        assert!(right(&why), "{name}: {why:?}");
    }
}

#[tokio::test]
async fn locked_without_a_bag_is_locked() {
    let stage = Stage::new(vec![persona(UDID, "[passcode]\nlocked = true\n")]);
    let hub = stage.sim.hub();
    let mut record = PairRecord::decode(&hub.pair_record(UDID).unwrap()).unwrap();
    record.escrow_bag = None;
    hub.set_pair_record(UDID, Some(record.encode()));
    let why = open(&stage).await.unwrap_err();
    assert!(matches!(why, OpenError::Locked), "{why:?}");
}

#[tokio::test]
async fn nobody_there_and_no_daemon_are_two_things() {
    let stage = Stage::with("");
    stage.phone().unplug();
    let why = open(&stage).await.unwrap_err();
    assert!(matches!(why, OpenError::LinkLost), "{why:?}");

    stage.sim.set_mux_fault(MuxFault::HugeLength);
    let why = open(&stage).await.unwrap_err();
    assert!(matches!(why, OpenError::MuxDown(_)), "{why:?}");

    let udid = Udid::parse(UDID).unwrap();
    let nowhere = MuxAddress::resolve(Some("/nonexistent/usbmuxd")).unwrap();
    let phone = IdevicePhone::new(nowhere, udid, impatient());
    let why = phone.open().await.unwrap_err();
    assert!(
        matches!(&why, OpenError::MuxDown(text) if text.contains("/nonexistent/usbmuxd")),
        "{why:?}"
    );
}
