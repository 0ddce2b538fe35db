//! What the tests have a process of its own do with the library: `exercise SCENARIO UDID [ROUNDS]`.
//!
//! A process of its own, because libusbmuxd knows the address of usbmuxd by the environment only. It says what it does in lines;
//! after a line that ends with `?` it waits for one.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a part of the tests"
)]

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use backupwatch_imobiledevice::{
    Afc, AfcLock, AfcMode, Connection, Descriptor, Device, Ending, Error, Event, Library, Lockdown,
    Lookup, Notification, Notifications, Service, devices, pair_record, subscribe,
};

const AFC: &str = "com.apple.afc";
const PROXY: &str = "com.apple.mobile.notification_proxy";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let library = Library::load().unwrap_or_else(|error| panic!("{error}"));
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => list(library),
        ["load", file] => match Library::load_from(file.as_ref()) {
            Ok(library) => println!("version {}", library.version()),
            Err(error) => println!("{error}"),
        },
        ["library"] => println!("{} {}", library.version(), library.file().display()),
        ["events", udid] => events(library, udid),
        ["session", udid] => {
            say(&open(library, udid).and_then(|device| session(library, udid, &device)))
        }
        ["pair", udid] => pair(library, udid),
        ["services", udid] => services(library, udid),
        ["stream", udid, count] => stream(library, udid, count.parse().unwrap()),
        ["states", udid, rounds] => {
            for _ in 0..rounds.parse().unwrap() {
                states(library, udid);
            }
        }
        other => panic!("what is {other:?}?"),
    }
}

/// Says a line and waits for one.
fn ask(line: &str) {
    println!("{line}?");
    let mut answer = String::new();
    assert_ne!(
        std::io::stdin().lock().read_line(&mut answer).unwrap(),
        0,
        "nobody there"
    );
}

fn say<T>(result: &Result<T, Error>) {
    match result {
        Ok(_) => println!("ok"),
        Err(error) => println!("error {error}"),
    }
}

fn list(library: &'static Library) {
    for listed in devices(library).unwrap() {
        println!("{} {:?}", listed.udid, listed.via);
    }
}

fn open(library: &'static Library, udid: &str) -> Result<Device, Error> {
    Device::open(library, udid, Lookup::PreferUsb)
}

fn host_id(library: &'static Library, udid: &str) -> String {
    let record = pair_record(library, udid).unwrap();
    let Some(record) = record else {
        return "nobody".to_owned();
    };
    let record: plist::Value = plist::from_bytes(&record).unwrap();
    record
        .as_dictionary()
        .unwrap()
        .get("HostID")
        .unwrap()
        .as_string()
        .unwrap()
        .to_owned()
}

fn session(library: &'static Library, udid: &str, device: &Device) -> Result<Lockdown, Error> {
    let mut lockdown = Lockdown::connect(device, "exercise")?;
    lockdown.start_session(&host_id(library, udid))?;
    // In TLS 1.3 a refused certificate shows only now.
    lockdown.value(None, Some("UniqueDeviceID"))?;
    Ok(lockdown)
}

fn service(library: &'static Library, udid: &str, name: &str) -> (Device, Descriptor) {
    let device = open(library, udid).unwrap();
    let descriptor = session(library, udid, &device)
        .unwrap()
        .start_service(name, true)
        .unwrap();
    (device, descriptor)
}

fn connect(library: &'static Library, udid: &str) -> (UnixStream, Ending) {
    let (device, descriptor) = service(library, udid, AFC);
    let mut connection = Connection::open(&device, descriptor.port).unwrap();
    if descriptor.tls {
        connection.enable_tls().unwrap();
    }
    connection.into_stream().unwrap()
}

/// Two subscriptions one after the other see the same.
fn events(library: &'static Library, udid: &str) {
    for _ in 0..2 {
        let subscription = subscribe(library).unwrap();
        say(&subscribe(library));
        let next = || match subscription.next_within(PATIENCE) {
            Some(Event::Attached(listed)) => format!("attached {}", listed.udid == udid),
            Some(Event::Detached(listed)) => format!("detached {}", listed.udid == udid),
            other => format!("{other:?}"),
        };
        println!("{}", next());
        ask("listening");
        println!("{}", next());
        ask("gone");
        println!("{}", next());
        drop(subscription);
        ask("unsubscribed");
    }
}

fn pair(library: &'static Library, udid: &str) {
    let device = open(library, udid).unwrap();
    say(&session(library, udid, &device));
    let mut lockdown = Lockdown::connect(&device, "exercise").unwrap();
    for _ in 0..3 {
        let answer = lockdown.pair(None);
        say(&answer);
        if let Ok(Some(answer)) = answer {
            let bag = answer.as_dictionary().unwrap().get("EscrowBag");
            println!("escrow bag {}", bag.is_some());
            break;
        }
        ask("asked");
    }
    say(&session(library, udid, &device));
}

/// The library's own clients: locks of two connections, notifications, and a raw exchange.
fn services(library: &'static Library, udid: &str) {
    let (device, descriptor) = service(library, udid, AFC);
    let mut first = Afc::open(&device, descriptor).unwrap();
    let (device, descriptor) = service(library, udid, AFC);
    let mut second = Afc::open(&device, descriptor).unwrap();
    let path = "/com.apple.itunes.lock_sync";
    say(&first.open_file("/no such file", AfcMode::Read));
    let ours = first.open_file(path, AfcMode::ReadWrite).unwrap();
    let theirs = second.open_file(path, AfcMode::ReadWrite).unwrap();
    say(&first.lock(&ours, AfcLock::Exclusive));
    say(&second.lock(&theirs, AfcLock::Exclusive));
    say(&first.lock(&ours, AfcLock::Unlock));
    say(&second.lock(&theirs, AfcLock::Exclusive));
    say(&second.close_file(theirs));

    let (device, descriptor) = service(library, udid, PROXY);
    let mut proxy = Notifications::open(&device, descriptor).unwrap();
    proxy.post("com.example.posted").unwrap();
    proxy
        .observe("com.apple.itunes-client.syncCancelRequest")
        .unwrap();
    ask("observing");
    match proxy.next_within(PATIENCE) {
        Some(Notification::Named(name)) => println!("notified {name}"),
        other => println!("{other:?}"),
    }
    drop(proxy);

    let (device, descriptor) = service(library, udid, AFC);
    let mut raw = Service::open(&device, descriptor).unwrap();
    raw.send(&packet(7)).unwrap();
    let mut answer = [0; ANSWER];
    raw.receive(&mut answer, PATIENCE).unwrap();
    println!("answer {}", number(&answer));
    println!(
        "{}",
        raw.receive(&mut answer, Duration::from_millis(300))
            .unwrap_err()
    );
}

/// A question to the file service that it does not know, and answers by its number.
fn packet(number: u64) -> Vec<u8> {
    let mut packet = b"CFA6LPAA".to_vec();
    for field in [40, 40, number, 0x99] {
        packet.extend_from_slice(&u64::to_le_bytes(field));
    }
    packet
}

const ANSWER: usize = 48;

fn number(answer: &[u8; ANSWER]) -> u64 {
    u64::from_le_bytes(*answer.get(24..).unwrap().first_chunk().unwrap())
}

/// Writes questions until none fits in for half a second, and tells how many did.
fn fill(stream: &mut UnixStream, from: u64, most: u64) -> u64 {
    stream.set_nonblocking(true).unwrap();
    let mut last = Instant::now();
    let mut written = from;
    while written < most && last.elapsed() < Duration::from_millis(500) {
        match write_all(stream, &packet(written)) {
            true => {
                written += 1;
                last = Instant::now();
            }
            false => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

/// All or nothing at first, and then the rest, for which room comes: the device takes whole questions.
fn write_all(stream: &mut UnixStream, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && rest.len() == bytes.len() => {
                return false;
            }
            Err(error) => panic!("{error} after {} bytes", bytes.len() - rest.len()),
        }
    }
    true
}

/// Questions without a look at the answers until both ways are full, and then all answers, in order.
fn stream(library: &'static Library, udid: &str, count: u64) {
    let (mut stream, ending) = connect(library, udid);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let held_back = fill(&mut stream, 0, count);
    println!("held back {}", held_back < count);
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for question in held_back..count {
            writing.write_all(&packet(question)).unwrap();
        }
    });
    let mut answer = [0; ANSWER];
    for expected in 0..count {
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(number(&answer), expected);
    }
    writer.join().unwrap();
    println!("all answers {:?}", ending.get());
    ask("idle");
    let rest = stream.read(&mut answer).unwrap();
    println!("then {rest} {:?}", ending.get());
}

/// One state after the other, in which somebody unplugs the phone and plugs it in again before the next.
fn states(library: &'static Library, udid: &str) {
    let before = held();
    let over = |name: &str| {
        let until = Instant::now() + PATIENCE;
        while held() != before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        ask(&format!(
            "over {name} {}",
            if held() == before { "clean" } else { "LEAKS" }
        ));
    };

    let device = open(library, udid).unwrap();
    let mut lockdown = Lockdown::connect(&device, "exercise").unwrap();
    ask("unplug");
    until_lost(|| lockdown.value(None, Some("DeviceName")));
    drop((lockdown, device));
    over("lockdown");

    let device = open(library, udid).unwrap();
    let mut lockdown = session(library, udid, &device).unwrap();
    ask("unplug");
    until_lost(|| lockdown.value(None, Some("DeviceName")));
    lockdown.start_service(AFC, true).unwrap_err();
    drop((lockdown, device));
    over("session");

    let (device, descriptor) = service(library, udid, AFC);
    ask("unplug");
    until_lost(|| Connection::open(&device, descriptor.port));
    drop(device);
    over("service");

    let (device, descriptor) = service(library, udid, AFC);
    let connection = Connection::open(&device, descriptor.port).unwrap();
    ask("unplug");
    drop((connection, device));
    over("connection");

    let (device, descriptor) = service(library, udid, AFC);
    let mut connection = Connection::open(&device, descriptor.port).unwrap();
    connection.enable_tls().unwrap();
    ask("unplug");
    drop((connection, device));
    over("TLS");

    let (mut stream, ending) = connect(library, udid);
    ask("unplug");
    let rest = stream.read(&mut [0; 64]).unwrap_or(0);
    assert_eq!(rest, 0);
    assert!(ending.get().is_some());
    drop((stream, ending));
    over("stream");

    let (mut stream, ending) = connect(library, udid);
    fill(&mut stream, 0, 20_000);
    ask("unplug");
    // What had come is still read; what comes after that is the end.
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(ending.get().is_some());
    drop((stream, ending));
    over("full stream");

    let (mut stream, _) = connect(library, udid);
    fill(&mut stream, 0, 20_000);
    drop(stream);
    ask("unplug");
    over("dropped stream");

    let subscription = subscribe(library).unwrap();
    assert!(matches!(
        subscription.next_within(PATIENCE),
        Some(Event::Attached(_))
    ));
    ask("unplug");
    assert!(matches!(
        subscription.next_within(PATIENCE),
        Some(Event::Detached(_))
    ));
    drop(subscription);
    over("subscription");
}

/// An answer may be under way while the cable comes out.
fn until_lost<T>(mut call: impl FnMut() -> Result<T, Error>) {
    let until = Instant::now() + PATIENCE;
    while call().is_ok() {
        assert!(Instant::now() < until, "the phone still answers");
    }
}

/// How many files and threads this process has.
fn held() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).map_or(0, Iterator::count);
    (count("/proc/self/fd"), count("/proc/self/task"))
}
