//! The two ways to a phone beside each other: whatever one of them reads, the other reads too, and where they differ a table says it.
//!
//! libimobiledevice learns only from the environment where usbmuxd is, so the work is done in a child of the test.

#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_backup::{Opened, Phone};
use backupwatch_core::Udid;
use backupwatch_device::{
    Attached, Backend, DeviceStream, IdevicePhone, MuxAddress, Timeouts, Transport, list, probe,
};
use backupwatch_sim::persona::Persona;
use backupwatch_sim::{Listen, Sim};
use common::{Noon, impatient};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What a stranger needs to know of the differences.
const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/protocol/backends.md"
);
const PHONES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/phones");
/// Where the child's usbmuxd is to listen.
const SOCKET: &str = "BACKUPWATCH_TEST_SOCKET";

/// In the child: where to listen. In the parent: nothing, once the child has come to a good end.
fn socket(test: &str) -> Option<PathBuf> {
    if let Some(socket) = std::env::var_os(SOCKET) {
        return Some(socket.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("usbmuxd");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(SOCKET, &socket)
        .env(
            "USBMUXD_SOCKET_ADDRESS",
            format!("UNIX:{}", socket.display()),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{:?}\n{said}",
        output.status
    );
    None
}

fn transport(backend: Backend) -> Transport {
    let variable = std::env::var("USBMUXD_SOCKET_ADDRESS").unwrap();
    let address = MuxAddress::resolve(Some(&variable)).unwrap();
    Transport::new(address, backend, Some(&variable))
}

/// Whether the library is here. Without it nothing can be compared.
fn has_library() -> bool {
    let Err(error) = transport(Backend::Libimobiledevice).ready() else {
        return true;
    };
    assert!(
        std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_none_or(|value| value != "1"),
        "{error}, and BACKUPWATCH_REQUIRE_PEERS=1"
    );
    eprintln!("SKIPPED: {error}");
    false
}

/// One phone of a moment's world.
struct Case {
    name: String,
    text: String,
}

/// Words by which a phone refuses; the last one is not known to anybody. No phone refuses to say what it is.
fn words(request: &str) -> &'static [&'static str] {
    match request {
        "GetValue" => &[
            "PasswordProtected",
            "InvalidHostID",
            "MissingValue",
            "GetProhibited",
            "MCProtected",
            "SomethingNew",
        ],
        "StartSession" => &["PasswordProtected", "InvalidHostID", "SomethingNew"],
        "StartService" => &[
            "PasswordProtected",
            "InvalidService",
            "ServiceProhibited",
            "ServiceLimit",
            "MCProtected",
            "EscrowLocked",
            "SomethingNew",
        ],
        _ => &[],
    }
}

/// Every persona that is about more than the content of a backup, and a phone for each way to break an answer.
fn cases() -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir(PHONES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        // It leaves for good in its first visit.
        .filter(|path| !path.ends_with("link-lost.toml"))
        .collect();
    files.sort();
    let mut cases: Vec<_> = files.iter().map(|file| from_file(file)).collect();
    for request in ["QueryType", "StartSession", "GetValue", "StartService"] {
        for kind in [
            "stall",
            "close",
            "cut",
            "rubbish",
            "not-a-dictionary",
            "huge-length",
        ] {
            cases.push(broken(request, kind, &format!("\"{kind}\"")));
        }
        for word in words(request) {
            cases.push(broken(request, word, &format!("{{ error = \"{word}\" }}")));
        }
    }
    for (name, lines) in [
        ("TLS for services", "[services]\nssl = \"always\"\n"),
        ("no TLS for services", "[services]\nssl = \"never\"\n"),
        (
            "no TLS at all",
            "[services]\nssl = \"never\"\n[lockdown]\nsession_ssl = false\n",
        ),
    ] {
        cases.push(Case {
            name: name.to_owned(),
            text: format!("[identity]\nudid = \"\"\nname = \"Ada’s iPhone\"\n{lines}"),
        });
    }
    cases
}

fn from_file(file: &Path) -> Case {
    Case {
        name: file.file_stem().unwrap().to_string_lossy().into_owned(),
        text: std::fs::read_to_string(file).unwrap(),
    }
}

fn broken(request: &str, name: &str, kind: &str) -> Case {
    Case {
        name: format!("{request}: {name}"),
        text: format!(
            "[identity]\nudid = \"\"\nname = \"Ada’s iPhone\"\n[[lockdown.fault]]\nrequest = \"{request}\"\nkind = {kind}\n"
        ),
    }
}

impl Case {
    /// With a UDID of its own, so that all can be there at the same time.
    fn persona(&self, number: usize) -> Persona {
        let udid = udid(number);
        let lines = self.text.lines().map(|line| {
            if line.starts_with("udid = ") {
                format!("udid = \"{udid}\"\n")
            } else {
                format!("{line}\n")
            }
        });
        let text: String = lines.collect();
        Persona::parse(&text).unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }
}

fn udid(number: usize) -> Udid {
    Udid::parse(&format!("00008101-000A11112222{number:04X}")).unwrap()
}

/// Everything that was learnt of a phone, by name.
type Learnt = BTreeMap<String, String>;

async fn learn(attached: &Attached, transport: &Transport, timeouts: Timeouts) -> Learnt {
    let mut learnt = Learnt::new();
    let mut put = |name: &str, value: &dyn Debug| {
        learnt.insert(name.to_owned(), format!("{value:?}"));
    };
    match probe(transport, attached, &Noon, &timeouts).await {
        Ok(facts) => {
            put("seen at", &facts.seen_at);
            put("links", &facts.links);
            put("trust", &facts.trust);
            put("name", &facts.name);
            put("model", &facts.model);
            put("class", &facts.device_class);
            put("version", &facts.os_version);
            put("build", &facts.build);
            // It runs on between two visits.
            put("clock", &facts.device_clock.map(|_| "a moment"));
            put("locked", &facts.locked);
            put("cloud on", &facts.cloud_enabled);
            put("cloud last", &facts.cloud_last);
            put("local last", &facts.local_last);
            put("will encrypt", &facts.will_encrypt);
            put("must encrypt", &facts.requires_encryption);
            put("battery", &facts.battery);
            put("disk", &facts.disk);
            put("set-up", &facts.setup);
            put("Find My", &facts.find_my);
            put("managed", &facts.managed);
        }
        Err(error) => {
            put("no answer", &error.no_answer());
            put("trust", &error.trust());
        }
    }
    let phone = IdevicePhone::new(transport.clone(), attached.udid.clone(), timeouts);
    match phone.open().await {
        Ok(opened) => put("backup", &services(&opened)),
        Err(error) => put("backup", &error),
    }
    learnt
}

fn services(opened: &Opened<DeviceStream>) -> impl Debug + use<> {
    let about = &opened.about;
    let domains = [
        &about.root,
        &about.itunes,
        &about.mobile_itunes,
        &about.backup_domain,
    ];
    let values: usize = domains.map(plist::Dictionary::len).iter().sum();
    let has = |there| if there { "with" } else { "without" };
    format!(
        "opens {} apps and {} icons, {values} values",
        has(opened.apps.is_some()),
        has(opened.icons.is_some()),
    )
}

/// What the two ways learnt differently of one phone: by `idevice` and by libimobiledevice, and what that is of.
fn differences(ours: &Learnt, theirs: &Learnt) -> BTreeMap<(String, String), Vec<String>> {
    const NO_ANSWER: &str = "no answer";
    let mut found = BTreeMap::<_, Vec<_>>::new();
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    if ours.contains_key(NO_ANSWER) != theirs.contains_key(NO_ANSWER) {
        // One of the two learnt nothing at all, so that there is nothing to compare but that.
        for learnt in [&mut ours, &mut theirs] {
            let visit = learnt
                .get(NO_ANSWER)
                .map_or_else(|| "facts".to_owned(), |why| format!("no answer: {why}"));
            learnt.retain(|name, _| name == "backup");
            learnt.insert("the visit".to_owned(), visit);
        }
    }
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let nothing = "–".to_owned();
    for name in names {
        let ours = ours.get(name).unwrap_or(&nothing).clone();
        let theirs = theirs.get(name).unwrap_or(&nothing).clone();
        if ours != theirs {
            found.entry((ours, theirs)).or_default().push(name.clone());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_learn_the_same_but_for_what_the_page_says() {
    let test = "both_ways_learn_the_same_but_for_what_the_page_says";
    let Some(socket) = socket(test) else {
        return;
    };
    if !has_library() {
        return;
    }
    let cases = cases();
    let personas = cases.iter().enumerate();
    let personas = personas.map(|(number, case)| case.persona(number));
    let _sim = Sim::start(personas.collect(), Listen::Unix(socket)).unwrap();
    let (ours, theirs) = (
        transport(Backend::Idevice),
        transport(Backend::Libimobiledevice),
    );
    // Many are asked at the same time, on a machine that may be busy; what stalls stalls this long.
    let timeouts = Timeouts {
        mux: Duration::from_secs(6),
        network_hello: Duration::from_secs(4),
        request: Duration::from_secs(4),
        tls: Duration::from_secs(6),
        probe: Duration::from_secs(40),
        ..impatient()
    };
    let attached = list(ours.address(), &timeouts).await.unwrap();
    let mut visits = JoinSet::new();
    // The phones are in this process, too, and the library takes only the first thousand of its files.
    let room = Arc::new(Semaphore::new(16));
    for (number, case) in cases.into_iter().enumerate() {
        let udid = udid(number);
        let found = attached.iter().find(|one| one.udid == udid);
        let attached = found.unwrap_or_else(|| panic!("{} is not listed", case.name));
        let (attached, ours, theirs) = (attached.clone(), ours.clone(), theirs.clone());
        let room = Arc::clone(&room);
        visits.spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            let by_idevice = learn(&attached, &ours, timeouts).await;
            let by_library = learn(&attached, &theirs, timeouts).await;
            (case.name, differences(&by_idevice, &by_library))
        });
    }
    let mut found: Vec<_> = visits.join_all().await;
    found.sort();
    let compared = found.len();
    let rows: String = found
        .into_iter()
        .flat_map(|(case, rows)| {
            rows.into_iter().map(move |((ours, theirs), of)| {
                let of = match of.len() {
                    many @ 5.. => format!("{many} readings"),
                    _ => of.join(", "),
                };
                format!("| {case} | {of} | {ours} | {theirs} |\n")
            })
        })
        .collect();
    assert!(compared > 90, "{compared}");
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, table) = page.split_once("|---|---|---|---|\n").unwrap();
    let table: String = (table.lines().take_while(|line| line.starts_with('|')))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(table, rows, "the table of {PAGE} must be:\n{rows}");
}
