//! The computer's sleep: a real message bus, and a logind from python-dbusmock, which nobody here wrote.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    table::{PATIENCE, Running, Table, persona},
};
use backupwatch_sim::persona::PromptAnswer;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Debian's own Python has the module, no other one.
const PYTHON: &str = "/usr/bin/python3";
const DBUSMOCK: &str = "/usr/lib/python3/dist-packages/dbusmock/__init__.py";

const BUS: &str =
    "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
<busconfig>
  <type>system</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context=\"default\">
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow eavesdrop=\"true\"/>
    <allow own=\"*\"/>
  </policy>
</busconfig>
";

/// What is asked of the mock: `list` its locks, let it `refuse` to those without a seat, or go to `sleep` and wake up.
const ASK: &str = r#"
import sys, dbus
bus = dbus.SystemBus()
logind = bus.get_object('org.freedesktop.login1', '/org/freedesktop/login1')
manager, mock = 'org.freedesktop.login1.Manager', 'org.freedesktop.DBus.Mock'
if sys.argv[1] == 'list':
    for lock in logind.ListInhibitors(dbus_interface=manager):
        print('|'.join(str(part) for part in lock[:4]))
elif sys.argv[1] == 'refuse':
    logind.AddMethod(manager, 'Inhibit', 'ssss', 'h', '''
import os, dbus
from dbusmock import mockobject
if 'sleep' in args[0]:
    raise dbus.exceptions.DBusException('no seat', name='org.freedesktop.DBus.Error.AccessDenied')
mockobject.inhibitors = [tuple(args) + (dbus.UInt32(1000), dbus.UInt32(123456))]
mockobject.kept, ret = os.pipe()
''', dbus_interface=mock)
elif sys.argv[1] == 'sleep':
    for asleep in (True, False):
        logind.EmitSignal(manager, 'PrepareForSleep', 'b', [asleep], dbus_interface=mock)
"#;

/// A system bus with a logind. Both end when this is dropped.
struct Seat {
    logind: Child,
    bus: Child,
    address: String,
}

impl Seat {
    /// `None` when a part of it is missing and the skip was recorded.
    fn new(folder: &Path) -> Option<Self> {
        let daemon = peers::find("dbus-daemon")?;
        peers::find(DBUSMOCK)?;
        let settings = folder.join("bus.conf");
        fs::write(&settings, BUS).unwrap();
        let mut bus = Command::new(daemon)
            .arg("--config-file")
            .arg(&settings)
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim().to_owned();
        let logind = Command::new(PYTHON)
            .args(["-m", "dbusmock", "--system", "--template", "logind"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seat = Self {
            logind,
            bus,
            address,
        };
        seat.wait("logind answers", || seat.ask("list").is_some());
        Some(seat)
    }

    fn ask(&self, what: &str) -> Option<String> {
        let output = Command::new(PYTHON)
            .args(["-c", ASK, what])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .output()
            .unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| words.trim().to_owned())
    }

    fn locks(&self) -> String {
        self.ask("list").expect("logind answers")
    }

    #[track_caller]
    fn wait(&self, what: &str, mut is: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is() {
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn agent<'t>(&self, table: &'t Table) -> Agent<'t> {
        let mut command = table.ours(&["agent"]);
        let agent = Agent::launch(table, command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address));
        agent.wait_until_up();
        agent
    }

    fn backup(&self, table: &Table) -> Running {
        let mut command = table.ours(&["backup"]);
        Running::start(command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for child in [&mut self.logind, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A phone whose owner does nothing until the test does it for them.
fn table() -> Table {
    let mut phone = persona("stale-58-days");
    phone.passcode.answer = PromptAnswer::Wait;
    let table = Table::unix(phone);
    configure(&table, WATCH_ONLY);
    table
}

fn until_asked(table: &Table) {
    table.wait(
        "the phone asks for its passcode",
        table.phone().prompt_shown(),
    );
}

const LOCK: &str = "idle:sleep|backupwatch|A backup of an iPhone or iPad is running|block";

#[test]
fn the_computer_stays_awake_exactly_as_long_as_a_backup_runs() {
    let table = table();
    let Some(seat) = Seat::new(table.home()) else {
        return;
    };
    let agent = seat.agent(&table);
    agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    assert_eq!(seat.locks(), "", "watching keeps nobody awake");

    let mut backup = seat.backup(&table);
    until_asked(&table);
    assert_eq!(seat.locks(), LOCK);
    assert!(table.phone().enter_passcode());
    seat.wait("the backup is over", || backup.has_ended());
    agent.when_device(&table.udid(), "it is backed up", |device| {
        device.local.state == "verified"
    });
    seat.wait("the computer may sleep", || seat.locks().is_empty());
    agent.end();
}

/// Whatever ends a backup: a person, a cable, a signal, a crash of the agent.
#[test]
fn a_backup_that_does_not_end_well_lets_the_computer_sleep() {
    type End = for<'t> fn(&Table, &mut Running, Agent<'t>) -> Option<Agent<'t>>;
    let ends: [(&str, End); 4] = [
        ("a person stops it", |_, backup, agent| {
            backup.signal("INT");
            Some(agent)
        }),
        ("the cable is pulled", |table, _, agent| {
            table.phone().unplug();
            Some(agent)
        }),
        ("the agent is ended", |_, _, agent| {
            agent.end();
            None
        }),
        ("the agent is killed", |_, _, agent| {
            agent.kill();
            None
        }),
    ];
    for (what, end) in ends {
        let table = table();
        let Some(seat) = Seat::new(table.home()) else {
            return;
        };
        let agent = seat.agent(&table);
        agent.when_device(&table.udid(), "it is judged", |device| {
            device.icloud.state == "critical"
        });
        let mut backup = seat.backup(&table);
        until_asked(&table);
        assert_eq!(seat.locks(), LOCK, "{what}");
        let _still_there = end(&table, &mut backup, agent);
        seat.wait(what, || seat.locks().is_empty());
    }
}

/// Without a seat at the computer polkit does not let anybody forbid sleep. What anybody may ask for is asked for then.
#[test]
fn who_may_not_forbid_sleep_still_keeps_an_idle_computer_awake() {
    let table = table();
    let Some(seat) = Seat::new(table.home()) else {
        return;
    };
    seat.ask("refuse").expect("the mock learns to refuse");
    let mut backup = seat.backup(&table);
    until_asked(&table);
    assert_eq!(
        seat.locks(),
        "idle|backupwatch|A backup of an iPhone or iPad is running|block"
    );
    assert!(table.phone().enter_passcode());
    seat.wait("the backup is over", || backup.has_ended());
}

/// No bus at all: said once, and the backups are made.
#[test]
fn a_computer_that_cannot_be_kept_awake_is_backed_up_to_all_the_same() {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.1;
    let table = Table::unix(phone);
    configure(&table, WATCH_ONLY);
    let nowhere = format!("unix:path={}", table.home().join("no-bus").display());
    let mut command = table.ours(&["agent"]);
    let agent = Agent::launch(&table, command.env("DBUS_SYSTEM_BUS_ADDRESS", &nowhere));
    agent.wait_until_up();
    agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    for _ in 0..2 {
        let said = peers::run(&mut table.ours(&["backup"]), PATIENCE);
        assert!(said.status.success(), "{}", peers::words(&said));
    }
    let log = agent.words();
    let said = log.matches("may fall asleep during a backup").count();
    assert_eq!(said, 1, "{log}");
    agent.end();
}

/// The phone is looked at again at once, not when a timer that stood still has run out.
#[test]
fn a_computer_that_woke_up_looks_at_the_phones() {
    let table = table();
    let Some(seat) = Seat::new(table.home()) else {
        return;
    };
    let agent = seat.agent(&table);
    let before = agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    seat.ask("sleep").expect("logind tells of sleep");
    agent.when_device(&table.udid(), "it is looked at again", |device| {
        device.seen_at > before.seen_at
    });
    let log = agent.words();
    assert_eq!(log.matches("the computer woke up").count(), 1, "{log}");
    agent.end();
}
