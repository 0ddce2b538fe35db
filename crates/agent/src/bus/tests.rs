use backupwatch_device::bus::{OnBus, Speed};

use super::*;

const UDID: &str = "00008130-001A2B3C4D5E6F70";

fn at(seconds: i64) -> HostTime {
    HostTime("2026-11-22T10:00:00Z".parse().unwrap()).plus(Period::seconds(seconds))
}

fn found(mode: Mode, product_id: u16, speed: Speed, listed: Listed) -> Found {
    let phone = OnBus {
        serial: None,
        product_id,
        mode,
        speed: Some(speed),
        port: "1-1".to_owned(),
        location: 0x10005,
    };
    Found { phone, listed }
}

fn listed() -> Listed {
    Listed::As(Udid::parse(UDID).unwrap())
}

#[test]
fn one_look_is_enough_for_all_hints_until_then() {
    let mut cables = Cables::default();
    assert_eq!(cables.due(), None, "nothing is looked at without a hint");
    assert!(!cables.begin(at(0)));

    cables.hint(at(0));
    cables.hint(at(10));
    assert_eq!(
        cables.due(),
        Some(at(15)),
        "a later hint does not put it off"
    );
    assert!(!cables.begin(at(14)));
    assert!(cables.begin(at(15)));
    assert_eq!(cables.due(), None);

    cables.hint(at(16));
    assert!(!cables.begin(at(40)), "one look at a time");
    cables.found(Vec::new());
    assert_eq!(cables.due(), Some(at(31)), "a hint during a look counts");
    assert!(cables.begin(at(40)));
    cables.found(Vec::new());
    assert_eq!(cables.due(), None, "and then it is quiet");
}

#[test]
fn what_a_person_hears() {
    let table = [
        ("all is well", Mode::Normal, 0x12a8, listed(), None),
        (
            "not listed",
            Mode::Normal,
            0x12a8,
            Listed::Not,
            Some("An iPhone is on the cable, but this computer's usbmuxd does not list it"),
        ),
        (
            "an iPad",
            Mode::Normal,
            0x12ab,
            Listed::Not,
            Some("An iPad is on the cable"),
        ),
        (
            "an old iPod",
            Mode::Normal,
            0x12aa,
            Listed::Not,
            Some("An iPod touch is on the cable"),
        ),
        (
            "no usbmuxd",
            Mode::Normal,
            0x12a8,
            Listed::Unknown,
            Some("An iPhone is on the cable, but usbmuxd does not answer"),
        ),
        (
            "recovery",
            Mode::Recovery,
            0x1281,
            Listed::Not,
            Some("An iPhone or iPad on the cable is in recovery mode (its screen shows a cable)"),
        ),
        (
            "DFU",
            Mode::Dfu,
            0x1227,
            Listed::Not,
            Some("An iPhone or iPad on the cable is in DFU mode (its screen stays black)"),
        ),
        (
            "WTF",
            Mode::Wtf,
            0x1222,
            Listed::Not,
            Some("An iPhone or iPad on the cable is in WTF mode"),
        ),
    ];
    for (name, mode, product_id, listed, want) in table {
        let mut cables = Cables::default();
        cables.found(vec![found(mode, product_id, Speed::High, listed)]);
        let remarks = cables.remarks();
        match want {
            None => assert_eq!(remarks, Vec::<String>::new(), "{name}"),
            Some(words) => {
                assert_eq!(remarks.len(), 1, "{name}");
                assert!(remarks[0].starts_with(words), "{name}: {}", remarks[0]);
                assert!(
                    remarks[0].ends_with('.')
                        && remarks[0].contains("neither watched nor backed up"),
                    "{name}"
                );
            }
        }
        cables.found(Vec::new());
        assert_eq!(cables.remarks(), Vec::<String>::new(), "{name}, unplugged");
    }
}

#[test]
fn the_same_is_said_once_and_never_much() {
    let mut cables = Cables::default();
    let recovery = || found(Mode::Recovery, 0x1281, Speed::High, Listed::Not);
    cables.found(vec![
        recovery(),
        found(Mode::Dfu, 0x1227, Speed::High, Listed::Not),
        recovery(),
    ]);
    assert_eq!(cables.remarks().len(), 2);
}

#[test]
fn a_cable_that_is_slower_than_its_phone() {
    let high = || found(Mode::Normal, 0x12a8, Speed::High, listed());
    let table = [
        (
            "iPhone 15 Pro on its own cable",
            "iPhone16,1",
            high(),
            Some("Anna is connected at 480 Mb/s, and this model could have 10 Gb/s"),
        ),
        (
            "on a better one",
            "iPhone16,1",
            found(Mode::Normal, 0x12a8, Speed::SuperPlus, listed()),
            None,
        ),
        ("iPhone 16, which has no more", "iPhone17,3", high(), None),
        ("a model of next year", "iPhone20,1", high(), None),
        (
            "another phone",
            "iPhone16,1",
            found(Mode::Normal, 0x12a8, Speed::High, Listed::Not),
            None,
        ),
    ];
    for (name, model, found, want) in table {
        let mut cables = Cables::default();
        cables.found(vec![found]);
        let said = cables.slow(&Udid::parse(UDID).unwrap(), model, "Anna");
        match want {
            None => assert_eq!(said, None, "{name}"),
            Some(words) => assert!(said.is_some_and(|said| said.starts_with(words)), "{name}"),
        }
    }
    assert_eq!(
        Cables::default().slow(&Udid::parse(UDID).unwrap(), "iPhone16,1", "Anna"),
        None,
        "never looked"
    );
}
