use super::{Mode, port_name, serial};

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
