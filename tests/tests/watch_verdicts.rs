//! Every phone of `fixtures/phones` at the real binary: which word it gets, why, and with which exit code.
//!
//! The rows say what a person should read. Beside them stands a rule that knows nothing of the rows: only a phone whose own file
//! describes a good iCloud backup may ever be called protected.

use backupwatch_e2e::{
    agent::{Agent, BY_DAY, WATCH_ONLY, configure, log},
    binary, peers,
    table::{PATIENCE, Said, Table, persona},
};
use backupwatch_sim::persona::{Answers, Persona, Setup, Stamp};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, sync::Mutex};

/// What `check --json` has to say of one phone.
struct Row {
    phone: &'static str,
    trust: &'static str,
    /// The state, and why where it is unknown.
    cloud: &'static str,
    protection: &'static str,
    exit: i32,
    /// Words of the reason.
    says: &'static [&'static str],
    next: &'static str,
}

const fn row(
    phone: &'static str,
    (trust, cloud): (&'static str, &'static str),
    (protection, exit): (&'static str, i32),
    says: &'static [&'static str],
    next: &'static str,
) -> Row {
    Row {
        phone,
        trust,
        cloud,
        protection,
        exit,
        says,
        next,
    }
}

const GREEN: (&str, i32) = ("protected", 0);
const RISK: (&str, i32) = ("at_risk", 3);
const RED: (&str, i32) = ("unprotected", 4);
const UNSURE: (&str, i32) = ("unknown", 3);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("fresh", ("trusted", "fresh"), GREEN, &["ended 9 hours ago"], "nothing"),
    row("wifi-only", ("trusted", "fresh"), GREEN, &["ended 12 hours ago"], "nothing"),
    row("late", ("trusted", "late"), GREEN, &["3 days ago", "later than usual"], "wait"),
    row("wifi-and-cable", ("trusted", "stale"), RISK, &["for 6 days", "no copy on this computer"], "wait"),
    row("locked", ("trusted", "alarm"), RED, &["for 20 days", "no copy on this computer"], "back_up_now"),
    row("old-iphone", ("trusted", "critical"), RED, &["for 33 days", "no copy on this computer"], "back_up_now"),
    row("stale-58-days", ("trusted", "critical"), RED, &["for 58 days", "a computer backed it up 212 days ago", "not verified here"], "back_up_now"),
    row("demo", ("trusted", "critical"), RED, &["for 58 days"], "back_up_now"),
    row("cloud-off", ("trusted", "off"), RED, &["switched off on this iPad", "no copy on this computer"], "switch_on"),
    row("never-backed-up", ("trusted", "unknown/no_date"), UNSURE, &["is on", "tells no date"], "wait"),
    row("backup-domain-empty", ("trusted", "unknown/no_switch"), UNSURE, &["does not say whether iCloud Backup is on"], "show_steps"),
    row("unreadable-date", ("trusted", "unknown/unreadable"), UNSURE, &["makes no sense (1759577513)"], "show_steps"),
    row("wrong-type-date", ("trusted", "unknown/unreadable"), UNSURE, &["makes no sense (yesterday)"], "show_steps"),
    row("clock-wrong", ("trusted", "unknown/clock_wrong"), UNSURE, &["clocks", "differ too much"], "fix_clock"),
    row("prohibited", ("trusted", "unknown/prohibited"), UNSURE, &["refuses to tell about iCloud Backup"], "show_steps"),
    row("restoring", ("trusted", "unknown/setting_up"), UNSURE, &["being set up or restored"], "wait"),
    row("setup-in-progress", ("trusted", "unknown/setting_up"), UNSURE, &["being set up or restored"], "wait"),
    row("never-unlocked", ("trusted", "unknown/never_unlocked"), UNSURE, &["restarted", "not been unlocked"], "unlock"),
    row("untrusted", ("not_trusted", "unknown/not_trusted"), UNSURE, &["does not trust this computer"], "trust"),
    row("untrusted-locked", ("not_trusted", "unknown/not_trusted"), UNSURE, &["does not trust this computer"], "trust"),
    row("trust-denied", ("not_trusted", "unknown/not_trusted"), UNSURE, &["does not trust this computer"], "trust"),
    row("trust-expired", ("expired", "unknown/not_trusted"), UNSURE, &["does not trust this computer"], "trust"),
    row("managed", ("not_trusted", "unknown/not_trusted"), UNSURE, &["iPad does not trust this computer"], "trust"),
    row("lockdown-rubbish", ("trusted", "unknown/unreadable"), UNSURE, &["What this", "tells about its iCloud Backup makes no sense"], "show_steps"),
    row("lockdown-huge", ("trusted", "unknown/unreadable"), UNSURE, &["What this", "tells about its iCloud Backup makes no sense"], "show_steps"),
    row("lockdown-stalls", ("unknown", "unknown/link_lost"), UNSURE, &["connection", "ended before it answered"], "reconnect"),
    row("link-lost", ("unknown", "unknown/link_lost"), UNSURE, &["connection", "ended before it answered"], "reconnect"),
    row("wifi-dead", ("unknown", "unknown/link_lost"), UNSURE, &["connection", "ended before it answered"], "reconnect"),
    row("seed-story", ("trusted", "stale"), RED, &["for 7 days", "no copy on this computer"], "back_up_now"),
    row("icloud-full", ("trusted", "stale"), RED, &["for 9 days", "no copy on this computer"], "back_up_now"),
    row("icloud-corrupt-copy", ("trusted", "stale"), RED, &["for 8 days", "no copy on this computer"], "back_up_now"),
    row("icloud-phone-full", ("trusted", "stale"), RED, &["for 7 days", "no copy on this computer"], "back_up_now"),
    row("icloud-conditions-never", ("trusted", "stale"), RED, &["for 11 days", "no copy on this computer"], "back_up_now"),
    row("icloud-account", ("trusted", "stale"), RISK, &["for 6 days", "no copy on this computer"], "wait"),
    row("icloud-bad-app", ("trusted", "stale"), RISK, &["for 6 days", "no copy on this computer"], "wait"),
    row("icloud-unknown-code", ("trusted", "stale"), RISK, &["for 6 days", "no copy on this computer"], "wait"),
    row("icloud-missing-key", ("trusted", "stale"), RISK, &["for 5 days", "no copy on this computer"], "wait"),
    row("icloud-no-network", ("trusted", "stale"), RISK, &["for 5 days", "no copy on this computer"], "wait"),
    row("icloud-server-busy", ("trusted", "stale"), RISK, &["for 4 days", "no copy on this computer"], "wait"),
    row("icloud-managed", ("trusted", "critical"), RED, &["for 40 days", "no copy on this computer"], "back_up_now"),
    row("icloud-switched-off", ("trusted", "off"), RED, &["switched off on this iPhone", "no copy on this computer"], "switch_on"),
    row("icloud-first-upload", ("trusted", "unknown/no_date"), UNSURE, &["is on", "tells no date"], "wait"),
    row("hostile-name", ("trusted", "stale"), RED, &["for 9 days", "no copy on this computer"], "back_up_now"),
    row("hostile-books", ("trusted", "stale"), RED, &["for 9 days", "no copy on this computer"], "back_up_now"),
    row("hostile-books-deep", ("trusted", "stale"), RED, &["for 9 days", "no copy on this computer"], "back_up_now"),
    row("hostile-log", ("trusted", "stale"), RED, &["for 9 days", "no copy on this computer"], "back_up_now"),
];

/// A length that is absurd is a lost link to libimobiledevice.
const HUGE_IS_LOST: Row = row(
    "lockdown-huge",
    ("unknown", "unknown/link_lost"),
    UNSURE,
    &["connection", "ended before it answered"],
    "reconnect",
);

/// By the phone's own file, without a thought about how the watch comes to its word.
fn is_in_good_order(persona: &Persona) -> bool {
    let last = match persona.icloud.last {
        Some(Stamp::DaysAgo(days)) => (0.0..4.0).contains(&days),
        Some(_) | None => false,
    };
    let icloud = persona.icloud.enabled && !persona.icloud.absent && !persona.icloud.never && last;
    let reached = persona
        .link
        .iter()
        .any(|link| link.plugged && link.answers == Answers::Yes);
    icloud
        && reached
        && persona.setup == Setup::Done
        && persona.trust.paired
        && !persona.trust.expired
        && persona.passcode.unlocked_since_boot
        && persona.lockdown.fault.is_empty()
        && persona.lockdown.prohibited.is_empty()
        && persona.clock.ahead_s.abs() < 3_600
}

fn check(table: &Table) -> (Said, Value) {
    let said: Said = peers::run(&mut table.ours(&["check", "--json"]), PATIENCE).into();
    let document = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (said, document)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("-")
}

/// What is wrong with the verdict of this row's phone.
fn wrong(row: &Row) -> Vec<String> {
    let persona = persona(row.phone);
    let good = is_in_good_order(&persona);
    let table = Table::unix(persona);
    let (said, document) = check(&table);
    let device = &document["devices"][0];
    let cloud = match text(device, "/icloud/why") {
        "-" => text(device, "/icloud/state").to_owned(),
        why => format!("{}/{why}", text(device, "/icloud/state")),
    };
    let reason = text(device, "/reason");
    let mut wrong = Vec::new();
    let mut same = |what: &str, is: &str, should: &str| {
        if is != should {
            wrong.push(format!("{}: {what} is {is}, not {should}", row.phone));
        }
    };
    same("trust", text(device, "/trust"), row.trust);
    same("iCloud", &cloud, row.cloud);
    same("protection", text(device, "/protection"), row.protection);
    same("next", text(device, "/next/code"), row.next);
    same(
        "the exit code",
        &format!("{:?}", said.code),
        &format!("{:?}", Some(row.exit)),
    );
    same("UDID", text(device, "/udid"), &table.udid());
    let green = text(device, "/protection") == "protected" || said.code == Some(0);
    same("green", &green.to_string(), &good.to_string());
    same("what it says beside the document", said.err.trim(), "");
    for words in row.says {
        same(
            &format!("“{words}” in “{reason}”"),
            &reason.contains(words).to_string(),
            "true",
        );
    }
    // One visit by each link. A phone that is asked for trust meanwhile has more of them.
    let visits = table
        .phone()
        .seen()
        .iter()
        .filter(|seen| seen.name == "QueryType")
        .count();
    let links = table.phone().phone().attachments().len().max(1);
    // To libimobiledevice a session is another connection than what comes before it.
    let each = if binary::by_libimobiledevice() { 2 } else { 1 };
    if row.trust == "trusted" && visits > links * each {
        wrong.push(format!(
            "{}: it was visited {visits} times for one check",
            row.phone
        ));
    }
    wrong
}

#[test]
fn each_phone_gets_its_own_word() {
    let queue = Mutex::new(ROWS.iter());
    let faults = Mutex::new(Vec::new());
    // Most of the time is somebody waiting for a phone that says nothing.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(row) = queue.lock().unwrap().next() else {
                        break;
                    };
                    let other = row.phone == HUGE_IS_LOST.phone && binary::by_libimobiledevice();
                    let faulty = wrong(if other { &HUGE_IS_LOST } else { row });
                    faults.lock().unwrap().extend(faulty);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The phones that `backup_*` tests are about. Their iCloud is in good order, whatever their backups do.
fn phones_of_backups() -> Vec<Persona> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/phones");
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.phone).collect();
    let mut phones = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|kind| kind != "toml") || rows.contains(name) {
            continue;
        }
        assert!(
            name.starts_with("backup-"),
            "{name} is a phone without a row in this file"
        );
        phones.push(Persona::load(&path).unwrap());
    }
    phones
}

#[test]
fn dozens_of_phones_are_judged_in_one_check() {
    let phones = phones_of_backups();
    assert!(phones.len() > 30);
    assert!(phones.iter().all(is_in_good_order));
    let table = Table::of(phones.clone());
    let (said, document) = check(&table);
    let told: BTreeSet<(&str, &str, &str)> = document["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| {
            (
                text(device, "/udid"),
                text(device, "/icloud/state"),
                text(device, "/protection"),
            )
        })
        .collect();
    let expected: BTreeSet<_> = phones
        .iter()
        .map(|phone| (phone.identity.udid.as_str(), "fresh", "protected"))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn the_worst_phone_decides_the_exit_code() {
    for (phones, exit) in [
        (vec![], 6),
        (vec!["fresh", "late"], 0),
        (vec!["fresh", "unreadable-date"], 3),
        (vec!["fresh", "wifi-and-cable"], 3),
        (vec!["fresh", "stale-58-days"], 4),
        (vec!["unreadable-date", "cloud-off", "fresh"], 4),
    ] {
        let table = Table::of(phones.iter().map(|name| persona(name)).collect());
        let (said, document) = check(&table);
        assert_eq!(said.code, Some(exit), "{phones:?}: {said:?}");
        assert_eq!(document["devices"].as_array().unwrap().len(), phones.len());
    }
}

#[test]
fn a_phone_behind_a_tcp_port_is_judged_like_any_other() {
    let table = Table::tcp(persona("stale-58-days"));
    let (said, document) = check(&table);
    assert_eq!(text(&document, "/devices/0/icloud/state"), "critical");
    assert_eq!(said.code, Some(4), "{said:?}");
}

/// Moves everything that the state remembers into the past, as if nobody had looked since.
fn days_later(table: &Table, days: i64) {
    fn shift(value: &mut Value, by: jiff::SignedDuration) {
        match value {
            Value::String(text) => {
                if let Ok(at) = text.parse::<jiff::Timestamp>() {
                    *text = (at - by).to_string();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
            Value::Object(fields) => fields.values_mut().for_each(|field| shift(field, by)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let state = rusqlite::Connection::open(table.state().join("state.db")).unwrap();
    let (udid, text): (String, String) = state
        .query_row("SELECT udid, remembered FROM devices", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let mut remembered: Value = serde_json::from_str(&text).unwrap();
    shift(&mut remembered, jiff::SignedDuration::from_hours(24 * days));
    assert_ne!(remembered.to_string(), text, "nothing was moved");
    state
        .execute(
            "UPDATE devices SET remembered = ?1 WHERE udid = ?2",
            (remembered.to_string(), udid),
        )
        .unwrap();
}

#[test]
fn good_news_of_long_ago_is_no_news() {
    let table = Table::unix(persona("fresh"));
    assert_eq!(check(&table).0.code, Some(0));
    let status = || -> (Said, Value) {
        let said: Said = peers::run(&mut table.ours(&["status", "--json"]), PATIENCE).into();
        let document = serde_json::from_str(&said.out).unwrap();
        (said, document)
    };
    let (said, document) = status();
    assert_eq!(text(&document, "/devices/0/protection"), "protected");
    assert_eq!(said.code, Some(5), "nobody watches: {said:?}");

    table.phone().unplug();
    days_later(&table, 3);
    for (said, document) in [status(), check(&table)] {
        let device = &document["devices"][0];
        assert_eq!(text(device, "/protection"), "unknown");
        assert_eq!(text(device, "/icloud/why"), "not_seen");
        assert!(
            text(device, "/reason").starts_with("Not seen since"),
            "{device}"
        );
        assert_ne!(said.code, Some(0));
    }
}

/// Whatever names a person, or opens their phone.
struct Secrets(Vec<(String, Vec<u8>)>);

/// Invented numbers of the ranges that are kept free for inventions.
const PERSONAL: &[(&str, &str)] = &[
    ("PhoneNumber", "+1 (202) 555-0147"),
    ("InternationalMobileEquipmentIdentity", "004400152020307"),
    ("InternationalMobileEquipmentIdentity2", "004400152020315"),
    ("MobileEquipmentIdentifier", "00440015202030"),
    ("IntegratedCircuitCardIdentity", "8901000000000000017"),
    ("InternationalMobileSubscriberIdentity", "001010000000017"),
];

const PASSWORD: &str = backupwatch_e2e::table::PASSWORD;

impl Secrets {
    fn of(table: &Table) -> Self {
        let mut all: Vec<(String, Vec<u8>)> = PERSONAL
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        all.push(("the password".to_owned(), PASSWORD.into()));
        let identity = table.phone().phone().persona().identity.clone();
        all.push(("SerialNumber".to_owned(), identity.serial().into()));
        all.push(("WiFiAddress".to_owned(), identity.wifi_address().into()));
        let record = table.sim().hub().pair_record(&table.udid()).unwrap();
        let record: plist::Dictionary = plist::from_bytes(&record).unwrap();
        for (key, value) in record {
            match value {
                plist::Value::Data(data) => all.push((key, data)),
                plist::Value::String(text) if key == "HostID" || key == "SystemBUID" => {
                    all.push((key, text.into()));
                }
                _ => {}
            }
        }
        let expected = ["EscrowBag", "HostPrivateKey", "RootPrivateKey", "HostID"];
        assert!(
            expected
                .iter()
                .all(|key| all.iter().any(|(name, _)| name == key))
        );
        Self(all)
    }

    /// Which of them `bytes` hold, as they are or in the spellings that loggers and databases use.
    fn found_in(&self, what: &str, bytes: &[u8]) -> Vec<String> {
        let lower = bytes.to_ascii_lowercase();
        let holds = |needle: &[u8]| {
            let needle = needle.to_ascii_lowercase();
            lower.windows(needle.len()).any(|window| window == needle)
        };
        let mut found = Vec::new();
        for (name, secret) in &self.0 {
            // Of a key, its middle is enough: its frame is the same for all keys.
            let middle = match secret.len() {
                0..=64 => secret.as_slice(),
                length => &secret[length / 2..length / 2 + 24],
            };
            let hex: String = middle.iter().map(|byte| format!("{byte:02x}")).collect();
            let numbers = format!("{middle:?}");
            let numbers = numbers.trim_matches(['[', ']']);
            let spellings = [
                ("as it is", middle),
                ("in hex", hex.as_bytes()),
                ("as numbers", numbers.as_bytes()),
            ];
            for (spelling, needle) in spellings {
                if holds(needle) {
                    found.push(format!("{name} {spelling} in {what}"));
                }
            }
        }
        found
    }

    /// The same of every file below the home but the backups themselves, which hold what Finder's hold.
    fn found_below(&self, folder: &Path, but: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && entry.path() != but {
                found.extend(self.found_below(&entry.path(), but));
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                found.extend(self.found_in(&entry.path().display().to_string(), &bytes));
            }
        }
        found
    }
}

fn with_personal_data(name: &str) -> Persona {
    let mut phone = persona(name);
    let root = phone.values.entry("root".to_owned()).or_default();
    for (key, value) in PERSONAL {
        root.insert((*key).to_owned(), toml::Value::String((*value).to_owned()));
    }
    phone
}

fn private(table: &Table, more: &str) {
    let root = table.root();
    configure(table, &format!("{more}backup.root = {:?}\n", root));
}

#[test]
fn nothing_personal_is_kept_logged_or_said_when_a_phone_is_backed_up() {
    let table = Table::unix(with_personal_data("backup-encrypted"));
    private(&table, WATCH_ONLY);
    let secrets = Secrets::of(&table);
    let mut found = Vec::new();
    let mut say = |arguments: &[&str], expected: i32| {
        let said: Said = peers::run(&mut table.ours(arguments), PATIENCE).into();
        assert_eq!(said.code, Some(expected), "{arguments:?}: {said:?}");
        found.extend(secrets.found_in(&format!("{arguments:?}"), said.all().as_bytes()));
    };
    // By itself, as loudly as it can.
    say(&["check", "--json", "-vv"], 0);
    say(&["backup", "-vv", "--json"], 0);
    {
        let agent = Agent::launch(&table, table.ours(&["agent", "-vv"]).arg("--log-to-stderr"));
        agent.wait_until_up();
        agent.when_device(&table.udid(), "it is judged", |device| {
            device.icloud.state == "fresh"
        });
        say(&["backup", "--full"], 0);
        say(&["check"], 0);
        say(&["status", "--json", "-vv"], 0);
        say(&["history", "--json"], 0);
        agent.end();
    }
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is attached", |device| {
        device.links == ["usb"]
    });
    agent.end();
    say(&["history"], 0);
    // Logs are pasted into public places; a UDID names a phone for as long as it lives.
    let usual = log(&table);
    assert!(usual.contains("attached udid=\"00008101\""), "{usual}");
    assert!(!usual.contains(&table.udid()), "{usual}");
    table.assert_whole();
    // The search itself: the backup's own Info.plist holds the number, as Finder's does.
    let info = std::fs::read(table.tree().join("Info.plist")).unwrap();
    assert!(
        !secrets.found_in("Info.plist", &info).is_empty(),
        "the search finds nothing where something is"
    );
    found.extend(secrets.found_below(table.home(), &table.root()));
    assert!(found.is_empty(), "{}", found.join("\n"));
    let log = std::fs::read_to_string(table.home().join("agent.err")).unwrap();
    assert!(log.contains("DEBUG"), "the log was not loud: {log}");
}

#[test]
fn nothing_of_a_new_pair_record_is_kept_logged_or_said() {
    let table = Table::unix(with_personal_data("untrusted"));
    private(&table, BY_DAY);
    let agent = Agent::launch(&table, table.ours(&["agent", "-vv"]).arg("--log-to-stderr"));
    agent.wait_until_up();
    table.wait("the phone asks", table.phone().trust_dialog_shown());
    assert!(table.phone().tap_trust());
    agent.when_device(&table.udid(), "it is trusted", |device| {
        device.trust == "trusted" && device.icloud.state == "fresh"
    });
    agent.end();
    let found = Secrets::of(&table).found_below(table.home(), &table.root());
    assert!(found.is_empty(), "{}", found.join("\n"));
}
