use super::{Mode, location_by_address, location_by_ports, port_name, serial};

#[test]
fn modes_by_product_id() {
    let table = [
        ("an iPhone", 0x05ac, 0x12a8, Some(Mode::Normal)),
        ("an iPad", 0x05ac, 0x12ab, Some(Mode::Normal)),
        ("the first iPhone", 0x05ac, 0x1290, Some(Mode::Normal)),
        ("the last of the range", 0x05ac, 0x12bf, Some(Mode::Normal)),
        ("recovery", 0x05ac, 0x1281, Some(Mode::Recovery)),
        ("DFU", 0x05ac, 0x1227, Some(Mode::Dfu)),
        ("WTF", 0x05ac, 0x1222, Some(Mode::Wtf)),
        ("an iPod classic", 0x05ac, 0x1261, None),
        ("an Apple TV", 0x05ac, 0x12a7, None),
        ("a watch", 0x05ac, 0x12af, None),
        ("a HomePod", 0x05ac, 0x12b0, None),
        ("below the range", 0x05ac, 0x128f, None),
        ("above the range", 0x05ac, 0x12c0, None),
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
    let table: [(&str, &[u8], Option<&str>); 12] = [
        (
            "newer",
            b"00008130001A2B3C4D5E6F70\n",
            Some("00008130-001A2B3C4D5E6F70"),
        ),
        (
            "filled",
            b"00008130001A2B3C4D5E6F70\0\0\0\0",
            Some("00008130-001A2B3C4D5E6F70"),
        ),
        (
            "dashed",
            b"00008130-001A2B3C4D5E6F70\n",
            Some("00008130-001A2B3C4D5E6F70"),
        ),
        (
            "older",
            b"5d7a9b0c1e2f30415263748596a7b8c9d0e1f203\n",
            Some(long),
        ),
        ("empty", b"", None),
        ("short", b"0000813000\n", None),
        (
            "recovery",
            b"CPID:8130 CPRV:11 BDID:0A ECID:001A2B3C4D5E6F70 SRNM:[F2L]\n",
            None,
        ),
        ("not hexadecimal", b"0000813000GGGGGGGGGGGGGG\n", None),
        ("control characters", b"00008130\x1b[2J2B3C4D5E6F7\n", None),
        ("no UTF-8", b"00008130\xff\xfe1A2B3C4D5E6F70\n", None),
        (
            "split in a character",
            "0000813\u{e9}01A2B3C4D5E6F70".as_bytes(),
            None,
        ),
        ("a path", b"../../../../../etc/passwd\n", None),
    ];
    for (name, bytes, udid) in table {
        assert_eq!(serial::udid(bytes).as_deref(), udid, "{name}");
    }
}

#[test]
fn ports_have_the_numbers_that_each_systems_usbmuxd_gives_them() {
    assert_eq!(port_name(3, &[1, 2]), "3-1.2");
    assert_eq!(location_by_address(3, 17), 0x0003_0011);
    assert_eq!(location_by_ports(0x14, &[1]), Some(0x1410_0000));
    assert_eq!(location_by_ports(0x14, &[1, 4, 2]), Some(0x1414_2000));
    assert_eq!(
        location_by_ports(0x14, &[1, 2, 3, 4, 5, 6]),
        Some(0x1412_3456)
    );
    assert_eq!(location_by_ports(0x14, &[1, 2, 3, 4, 5, 6, 7]), None);
    assert_eq!(location_by_ports(0x14, &[16]), None);
    assert_eq!(location_by_ports(0x14, &[]), None);
}
