//! Attachments and their addresses, as daemons describe them.

use plist::{Dictionary, Value};

use super::*;

#[test]
fn attachments_as_other_daemons_describe_them() {
    let entry = |id: Option<Value>, properties: Vec<(&str, Value)>| {
        let properties = Dictionary::from_iter(properties);
        let mut entry = Dictionary::from_iter([("Properties", Value::from(properties))]);
        if let Some(id) = id {
            entry.insert("DeviceID".into(), id);
        }
        entry
    };
    let on_usb = |location_id| {
        let link = Link::Usb {
            location_id,
            product_id: None,
            speed: None,
        };
        Some(Attachment { link, ..usb() })
    };
    let serial = |text: &str| ("SerialNumber", Value::from(text));
    let usb_type = ("ConnectionType", Value::from("USB"));
    let least = vec![serial(UDID), usb_type.clone()];
    for (name, entry, want) in [
        ("least", entry(Some(7.into()), least.clone()), on_usb(None)),
        (
            "UDID without hyphen",
            {
                entry(
                    Some(7.into()),
                    vec![serial("00008101000A1B2C3D4E5F60"), usb_type.clone()],
                )
            },
            on_usb(None),
        ),
        (
            "number only among the properties",
            { entry(None, [least.clone(), vec![("DeviceID", 7.into())]].concat()) },
            on_usb(None),
        ),
        (
            "location as a signed number",
            {
                entry(
                    Some(7.into()),
                    [least.clone(), vec![("LocationID", (-2).into())]].concat(),
                )
            },
            on_usb(Some(0xffff_fffe)),
        ),
        (
            "location as an unsigned number",
            {
                entry(
                    Some(7.into()),
                    [least.clone(), vec![("LocationID", 0xffff_fffe_u32.into())]].concat(),
                )
            },
            on_usb(Some(0xffff_fffe)),
        ),
        ("no number", entry(None, least.clone()), None),
        (
            "number of 33 bits",
            entry(Some((1_u64 << 32).into()), least.clone()),
            None,
        ),
        (
            "no UDID",
            entry(Some(7.into()), vec![usb_type.clone()]),
            None,
        ),
        (
            "a path for a UDID",
            entry(Some(7.into()), vec![serial("../../etc"), usb_type]),
            None,
        ),
        (
            "no kind of connection",
            entry(Some(7.into()), vec![serial(UDID)]),
            None,
        ),
        (
            "no properties",
            Dictionary::from_iter([("DeviceID", Value::from(7))]),
            None,
        ),
    ] {
        assert_eq!(Attachment::decode(&entry).ok(), want, "{name}");
    }
}

#[test]
fn attachments_on_the_wire() {
    let link = Link::Network {
        service_name: "aa:bb:cc:dd:ee:ff@fe80::1._apple-mobdev2._tcp.local.".into(),
        interface: Some(3),
        address: NetworkAddress(vec![16, 2, 0, 0]),
    };
    let network = Attachment { link, ..usb() };
    let properties = |pairs: Vec<(&str, Value)>| {
        let both = [("DeviceID", 7.into()), ("SerialNumber", UDID.into())];
        Dictionary::from_iter(both.into_iter().chain(pairs))
    };
    for (attachment, want) in [
        (
            usb(),
            properties(vec![
                ("ConnectionType", "USB".into()),
                ("ConnectionSpeed", 480_000_000.into()),
                ("LocationID", 0x1410_0000.into()),
                ("ProductID", 0x12a8.into()),
            ]),
        ),
        (
            network,
            properties(vec![
                ("ConnectionType", "Network".into()),
                (
                    "EscapedFullServiceName",
                    "aa:bb:cc:dd:ee:ff@fe80::1._apple-mobdev2._tcp.local.".into(),
                ),
                ("InterfaceIndex", 3.into()),
                ("NetworkAddress", Value::Data(vec![16, 2, 0, 0])),
            ]),
        ),
    ] {
        let want = dict([
            ("MessageType", "Attached".into()),
            ("DeviceID", 7.into()),
            ("Properties", want.into()),
        ]);
        assert_eq!(Value::from(attachment.encode()), want);
    }
}

#[test]
fn five_hundred_phones_on_cable_and_wifi_fit() {
    let attachments: Vec<_> = (0..1000)
        .map(|id| Attachment {
            device_id: MuxDeviceId(id),
            ..usb()
        })
        .collect();
    let reply = Reply::Devices {
        attachments,
        unreadable: 0,
    };
    let bytes = reply.encode(1);
    assert!(bytes.len() < MAX_PACKET / 4, "{} bytes", bytes.len());
    assert_eq!(Reply::decode(&only_packet(&bytes)), Ok(reply));
}

#[test]
fn network_addresses_of_every_system() {
    let v6 = [
        0, 0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0,
    ];
    let v4 = [0xf2, 0x7e, 192, 168, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    let with = |family: [u8; 2], rest: &[u8]| [&family, rest].concat();
    let phone4 = "192.168.1.2:62078".parse().ok();
    let phone6 = "[fe80::1%3]:0".parse().ok();
    for (name, bytes, want) in [
        ("Linux, v4", with([2, 0], &v4), phone4),
        ("macOS, v4", with([16, 2], &v4), phone4),
        ("Linux, v6", with([10, 0], &v6), phone6),
        ("macOS, v6", with([28, 30], &v6), phone6),
        ("Windows, v6", with([23, 0], &v6), phone6),
        (
            "netmuxd's 128 bytes",
            [with([10, 0], &v6), vec![0; 100]].concat(),
            phone6,
        ),
        ("another family", with([1, 0], b"/path"), None),
        ("cut", with([10, 0], &v6[..25]), None),
        ("family alone", vec![2, 0], None),
        ("nothing", vec![], None),
    ] {
        assert_eq!(NetworkAddress(bytes).socket_addr(), want, "{name}");
    }
    assert_eq!(
        NetworkAddress::bsd("192.168.1.2:62078".parse().unwrap()).0,
        with([16, 2], &v4)
    );
    assert_eq!(
        NetworkAddress::linux("[fe80::1%3]:0".parse().unwrap()).0,
        with([10, 0], &v6)
    );
}
