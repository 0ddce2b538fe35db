use backupwatch_core::Udid;

use super::looking::{Listing, compare};
use super::{Listed, Mode, OnBus, Speed, could_be, port_name, serial};

#[test]
fn modes_by_product_id() {
    let table = [
        ("an iPhone", 0x05ac, 0x12a8, Some(Mode::Normal)),
        ("an iPad", 0x05ac, 0x12ab, Some(Mode::Normal)),
        ("the first iPhone", 0x05ac, 0x1290, Some(Mode::Normal)),
        ("recovery", 0x05ac, 0x1281, Some(Mode::Recovery)),
        ("DFU", 0x05ac, 0x1227, Some(Mode::Dfu)),
        ("WTF", 0x05ac, 0x1222, Some(Mode::Wtf)),
        ("an iPod classic", 0x05ac, 0x1261, None),
        ("an Apple TV", 0x05ac, 0x12a7, None),
        ("a watch", 0x05ac, 0x12af, None),
        ("a HomePod", 0x05ac, 0x12b0, None),
        ("below the range", 0x05ac, 0x128f, None),
        ("above the range", 0x05ac, 0x12b1, None),
        ("a keyboard", 0x05ac, 0x024f, None),
        ("the T2 of a Mac", 0x05ac, 0x8600, None),
        ("a Mac that is restored", 0x05ac, 0x1901, None),
        ("another vendor's", 0x0781, 0x12a8, None),
    ];
    for (name, vendor, product, mode) in table {
        assert_eq!(Mode::of(vendor, product), mode, "{name}");
    }
}

#[test]
fn serial_strings() {
    let long = "5d7a9b0c1e2f30415263748596a7b8c9d0e1f203";
    let short = "00008130-001A2B3C4D5E6F70";
    let table = [
        ("newer", "00008130001A2B3C4D5E6F70", Some(short)),
        ("filled", "00008130001A2B3C4D5E6F70\0\0\0\0", Some(short)),
        ("dashed", short, Some(short)),
        ("older", long, Some(long)),
        ("empty", "", None),
        ("nothing but filling", "\0\0\0\0", None),
        ("too short", "0000813000", None),
        (
            "recovery",
            "CPID:8130 CPRV:11 BDID:0A ECID:001A2B3C4D5E6F70",
            None,
        ),
        ("not hexadecimal", "0000813000GGGGGGGGGGGGGG", None),
        ("control characters", "00008130\x1b[2J2B3C4D5E6F70", None),
        (
            "24 bytes, fewer characters",
            "0000813\u{e9}1A2B3C4D5E6F700",
            None,
        ),
        ("a path", "../../../../../../passwd", None),
    ];
    for (name, text, udid) in table {
        assert_eq!(serial::udid(text).as_deref(), udid, "{name}");
    }
}

#[test]
fn ports_are_named_as_linux_names_them() {
    assert_eq!(port_name(3, &[2]), "3-2");
    assert_eq!(port_name(3, &[2, 4]), "3-2.4");
}

const ONE: &str = "00008130-001A2B3C4D5E6F70";
const OTHER: &str = "5d7a9b0c1e2f30415263748596a7b8c9d0e1f203";

fn phone(mode: Mode, serial: Option<&str>, location: u32) -> OnBus {
    OnBus {
        serial: serial.map(str::to_owned),
        product_id: 0x12a8,
        mode,
        speed: Some(Speed::High),
        port: "1-1".to_owned(),
        location,
    }
}

fn listing(udid: &str, location: Option<u32>) -> Listing {
    Listing {
        udid: Udid::parse(udid).unwrap(),
        location,
    }
}

#[test]
fn what_usbmuxd_makes_of_a_phone() {
    let one = || phone(Mode::Normal, Some(ONE), 7);
    let nameless = || phone(Mode::Normal, None, 7);
    let as_one = || Listed::As(Udid::parse(ONE).unwrap());
    let table = [
        ("listed", one(), Some(vec![listing(ONE, Some(7))]), as_one()),
        (
            "numbered in another way",
            one(),
            Some(vec![listing(ONE, Some(9))]),
            as_one(),
        ),
        (
            "without a number",
            one(),
            Some(vec![listing(ONE, None)]),
            as_one(),
        ),
        (
            "in another case",
            phone(Mode::Normal, Some(&ONE.to_lowercase()), 7),
            Some(vec![listing(ONE, None)]),
            as_one(),
        ),
        (
            "only another one",
            one(),
            Some(vec![listing(OTHER, Some(3))]),
            Listed::Not,
        ),
        (
            "another one has its number",
            one(),
            Some(vec![listing(OTHER, Some(7))]),
            Listed::Not,
        ),
        ("nobody", one(), Some(vec![]), Listed::Not),
        (
            "nameless, by its number",
            nameless(),
            Some(vec![listing(OTHER, None), listing(ONE, Some(7))]),
            as_one(),
        ),
        (
            "nameless, with no such number",
            nameless(),
            Some(vec![listing(ONE, Some(9))]),
            Listed::Not,
        ),
        ("no usbmuxd", one(), None, Listed::Unknown),
        ("no usbmuxd, nameless", nameless(), None, Listed::Unknown),
        (
            "recovery",
            phone(Mode::Recovery, None, 7),
            Some(vec![listing(ONE, Some(7))]),
            Listed::Not,
        ),
        (
            "DFU, no usbmuxd",
            phone(Mode::Dfu, None, 7),
            None,
            Listed::Not,
        ),
    ];
    for (name, phone, listed, want) in table {
        let found = compare(vec![phone.clone()], listed.as_deref());
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(
            (&found[0].phone, &found[0].listed),
            (&phone, &want),
            "{name}"
        );
    }
}

#[test]
fn models_that_could_be_faster() {
    let table = [
        (
            "iPhone 15 Pro",
            "iPhone16,1",
            Speed::High,
            Some(Speed::SuperPlus),
        ),
        (
            "iPhone 17 Pro Max",
            "iPhone18,2",
            Speed::High,
            Some(Speed::SuperPlus),
        ),
        ("with the right cable", "iPhone16,1", Speed::SuperPlus, None),
        ("in an older port", "iPhone16,1", Speed::Super, None),
        (
            "through an old hub",
            "iPhone16,1",
            Speed::Full,
            Some(Speed::SuperPlus),
        ),
        ("iPhone 15", "iPhone15,4", Speed::High, None),
        ("iPhone 16", "iPhone17,3", Speed::High, None),
        ("iPhone 16e", "iPhone17,5", Speed::High, None),
        ("iPhone 17", "iPhone18,3", Speed::High, None),
        ("iPhone Air", "iPhone18,4", Speed::High, None),
        ("iPhone 14 Pro, Lightning", "iPhone15,2", Speed::High, None),
        ("iPad Air 4", "iPad13,1", Speed::High, Some(Speed::Super)),
        ("iPad mini 6", "iPad14,1", Speed::High, Some(Speed::Super)),
        (
            "iPad Pro M4",
            "iPad16,3",
            Speed::High,
            Some(Speed::SuperPlus),
        ),
        ("iPad 10", "iPad13,18", Speed::High, None),
        ("iPad A16", "iPad15,7", Speed::High, None),
        ("newer than the list", "iPhone19,1", Speed::High, None),
        ("a number that goes on", "iPhone16,11", Speed::High, None),
        ("no model", "", Speed::High, None),
        ("nonsense", "16,1", Speed::High, None),
        ("too large", "iPhone99999999999,1", Speed::High, None),
        ("more than ASCII", "iPhone\u{661}6,1", Speed::High, None),
    ];
    for (name, model, speed, want) in table {
        assert_eq!(could_be(model, speed), want, "{name}");
    }
}
