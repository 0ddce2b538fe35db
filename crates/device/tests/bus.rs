//! The bus of this computer, as umockdev lays it out from `fixtures/usb`. The part of a test that looks at it is started again by
//! `umockdev-run`, as a program of its own: what is preloaded there answers for the kernel.

#![cfg(test)]
#![cfg(target_os = "linux")]

#[path = "../../sim/tests/peers/mod.rs"]
mod peers;

use std::process::Command;
use std::time::Duration;

use backupwatch_device::bus::{self, OnBus};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

/// The last line of the part that runs inside.
const DONE: &str = "nothing more is there";

/// What `part` prints where these devices are on the bus. `None` where a stranger is missing.
fn inside(before: &[&str], fixtures: &[&str], part: &str) -> Option<Vec<String>> {
    let umockdev = peers::find("umockdev-run")?;
    let mut words: Vec<_> = before.iter().map(|word| (*word).into()).collect();
    words.push(umockdev.into_os_string());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/usb");
    for fixture in fixtures {
        words.extend(["-d".into(), format!("{folder}/{fixture}.umockdev").into()]);
    }
    words.extend([
        "--".into(),
        std::env::current_exe().unwrap().into_os_string(),
    ]);
    words.extend([part, "--exact", "--ignored", "--nocapture"].map(Into::into));
    let mut command = Command::new(words.remove(0));
    let output = command.args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        lines.last().map(String::as_str),
        Some(DONE),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(lines)
}

fn line(phone: &OnBus) -> String {
    let OnBus {
        serial,
        product_id,
        mode,
        speed,
        port,
        location,
    } = phone;
    let serial = serial.as_deref().unwrap_or("-");
    let speed = speed.map_or("-".to_owned(), |speed| format!("{speed:?}"));
    format!("{port} {location:#x} {product_id:04x} {mode:?} {speed} {serial}")
}

#[test]
#[ignore = "a part of phones_on_the_bus"]
fn print_the_bus() {
    println!();
    match bus::scan() {
        Ok(phones) => phones
            .iter()
            .for_each(|phone| println!("| {}", line(phone))),
        Err(error) => println!("| {error}"),
    }
    println!("| {DONE}");
}

#[test]
fn phones_on_the_bus() {
    let table: [(&[&str], &[&str]); 8] = [
        (
            &["iphone"],
            &["1-1 0x10005 12a8 Normal High 00008130-001A2B3C4D5E6F70"],
        ),
        (
            &["iphone-10-gbit"],
            &["2-1 0x20003 12a8 Normal SuperPlus 00008130-001A2B3C4D5E6F70"],
        ),
        (
            &["ipad-behind-hub"],
            &["3-2.4 0x30009 12ab Normal High 5d7a9b0c1e2f30415263748596a7b8c9d0e1f203"],
        ),
        // Their strings have the numbers of the phone, and none of these is told.
        (&["recovery"], &["1-1 0x10006 1281 Recovery High -"]),
        (&["dfu"], &["1-1 0x10007 1227 Dfu High -"]),
        // A stick, a hub and a keyboard of Apple, and the chip in a Mac.
        (&["no-phones"], &[]),
        (
            &["recovery", "ipad-behind-hub"],
            &[
                "1-1 0x10006 1281 Recovery High -",
                "3-2.4 0x30009 12ab Normal High 5d7a9b0c1e2f30415263748596a7b8c9d0e1f203",
            ],
        ),
        // Control characters, no Unicode, far too long, a path, none; a speed of the future, and no speed. Product and vendor are
        // read from the descriptor, whatever the attributes of that name say; a device number that is too large is passed over.
        (
            &["hostile"],
            &[
                "1-1 0x1000b 12a8 Normal High -",
                "1-2 0x1000c 12a8 Normal High -",
                "1-3 0x1000d 12a8 Normal High -",
                "1-4 0x1000e 12a8 Normal High -",
                "1-5 0x1000f 12a8 Normal High -",
                "1-6 0x10010 12a8 Normal - 00008130-001A2B3C4D5E6F70",
                "1-7 0x10011 12a8 Normal High 00008130-001A2B3C4D5E6F70",
                "1-8 0x10012 12a8 Normal High 00008130-001A2B3C4D5E6F70",
                "1-10 0x10014 12a8 Normal - 00008130-001A2B3C4D5E6F71",
            ],
        ),
    ];
    for (fixtures, want) in table {
        let Some(mut lines) = inside(&[], fixtures, "print_the_bus") else {
            return;
        };
        lines.pop();
        assert_eq!(lines, want, "{fixtures:?}");
    }
}

#[test]
fn a_computer_without_a_bus_says_so() {
    let Some(lines) = inside(&[], &[], "print_the_bus") else {
        return;
    };
    assert_eq!(
        lines,
        ["this computer shows no USB bus to its programs", DONE]
    );
}

/// What udev sends to everybody when it has dealt with a device.
fn udev_says(action: &str, path: &str, device: u8) {
    let properties = format!(
        "ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0BUSNUM=001\0DEVNUM={device:03}\0"
    );
    let mut packet = b"libudev\0\xfe\xed\xca\xfe".to_vec();
    let length = u32::try_from(properties.len()).unwrap();
    // Length of the header, offset and length of what follows it, and four hashes for filters.
    for number in [40, 40, length, 0, 0, 0, 0] {
        packet.extend(number.to_ne_bytes());
    }
    packet.extend(properties.as_bytes());
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(KOBJECT_UEVENT),
    );
    let everybody = SocketAddrNetlink::new(0, 2);
    sendto(socket.unwrap(), &packet, SendFlags::empty(), &everybody).unwrap();
}

#[tokio::test]
#[ignore = "a part of who_plugs_and_unplugs_is_told"]
async fn print_the_hints() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn(bus::plugged(move || tell.send(()).unwrap()));
    println!();
    let hub = "/devices/pci0000:00/0000:00:14.0/usb1";
    for (name, action, path, device) in [
        ("a phone comes", "add", "/1-1", 6),
        ("a stick comes", "add", "/1-2", 2),
        ("a phone changes", "change", "/1-1", 6),
        ("something goes", "remove", "/1-2", 2),
        ("a phone comes that is gone already", "add", "/1-9", 9),
        ("a phone goes", "remove", "/1-1", 6),
    ] {
        // The listener may not be there yet when the first is sent.
        let mut tries = if name == "a phone comes" { 50 } else { 1 };
        let hint = loop {
            udev_says(action, &format!("{hub}{path}"), device);
            let hint = tokio::time::timeout(Duration::from_millis(200), told.recv()).await;
            tries -= 1;
            if hint.is_ok() || tries == 0 {
                break hint;
            }
        };
        println!(
            "| {name}: {}",
            if hint.is_ok() { "a hint" } else { "nothing" }
        );
    }
    watch.abort();
    println!("| {DONE}");
}

#[test]
fn who_plugs_and_unplugs_is_told() {
    // A network of its own: nobody else hears what udev seems to say, and its root may say it.
    let own = ["unshare", "--net", "--map-root-user", "--user"];
    let may = Command::new(own[0]).args(&own[1..]).arg("true").status();
    if !may.is_ok_and(|status| status.success()) {
        let is_required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some();
        assert!(
            !is_required || !rustix::process::geteuid().is_root(),
            "root cannot have a network of its own"
        );
        eprintln!("SKIPPED: this machine gives nobody a network of its own");
        return;
    }
    let Some(lines) = inside(&own, &["recovery", "stick"], "print_the_hints") else {
        return;
    };
    assert_eq!(
        lines,
        [
            "a phone comes: a hint",
            "a stick comes: nothing",
            "a phone changes: nothing",
            "something goes: a hint",
            "a phone comes that is gone already: nothing",
            "a phone goes: a hint",
            DONE,
        ]
    );
}
