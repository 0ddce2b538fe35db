//! Two programs at work on one phone, one folder of backups or one state: commands, agents, and a stranger. One waits or gives up
//! in a sentence, nothing is damaged, and the other ends well.
//!
//! Two commands on one state: `backup_faults`. What Finder does is `hold_sync_lock`, in `backup_faults` too.

use backupwatch_backup::Store;
use backupwatch_e2e::{
    agent::{Agent, BY_DAY, WATCH_ONLY, configure},
    peers,
    story::{Before, assert_told, live_on, small},
    table::{PATIENCE, Running, Said, Table, persona},
};
use backupwatch_sim::persona::{Persona, PromptAnswer};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

const IN_USE: &str = "Another process is using this folder of backups. Try again when it is done.";
const BUSY: &str = "Another program is synchronising with the phone (Finder, iTunes or the like).";
const WELL: &str = "The backup is complete and was checked on disk";

/// A phone at whose passcode a backup waits until the test enters it, so that everything happens in its order.
fn patient(mut phone: Persona) -> Persona {
    phone.passcode.answer = PromptAnswer::Wait;
    phone
}

/// A phone with one verified backup, and a run that holds it.
fn held() -> (Table, Before, Running) {
    let table = Table::unix(patient(small()));
    let run = table.start_backup(&[]);
    enter_passcode(&table);
    assert!(run.end().ok());
    let before = Before::of(&table, "beside another");
    let run = table.start_backup(&[]);
    table.wait("the phone asks", table.phone().prompt_shown());
    (table, before, run)
}

fn enter_passcode(table: &Table) {
    table.wait("the phone asks", table.phone().prompt_shown());
    assert!(table.phone().enter_passcode());
}

/// `backup` of another user of this computer, with a state of their own.
fn another(table: &Table, root: PathBuf) -> Command {
    let mut command = table.ours_at(&table.home().join("another state"), &["backup", "--root"]);
    command.arg(root);
    command
}

fn other_root(table: &Table) -> PathBuf {
    table.home().join("other backups")
}

/// The run that was first goes on as if nothing had been.
fn ends_well(table: &Table, run: Running, before: &Before) {
    before.assert_untouched(table);
    assert!(table.phone().enter_passcode());
    let said = run.end();
    assert_told(&said, "the first", 0, &said.out, WELL);
    table.assert_whole();
    before.assert_is_the_version(table);
}

#[test]
fn two_commands_and_one_folder() {
    let (table, before, run) = held();
    let begin = Instant::now();
    let said: Said = peers::run(&mut another(&table, table.root()), PATIENCE).into();
    assert_told(&said, "the second", 7, &said.out, IN_USE);
    assert!(begin.elapsed() < PATIENCE);
    ends_well(&table, run, &before);
    // And now it is free for the other one.
    let run = Running::start(&mut another(&table, table.root()));
    enter_passcode(&table);
    let said = run.end();
    assert_told(&said, "the second, later", 0, &said.out, WELL);
    table.assert_whole();
}

#[test]
fn two_commands_one_phone_and_a_folder_for_each() {
    let (table, before, run) = held();
    let said: Said = peers::run(&mut another(&table, other_root(&table)), PATIENCE).into();
    assert_told(&said, "the second", 7, &said.out, BUSY);
    ends_well(&table, run, &before);
}

/// The phone's lock is waited for, for as long as other programs do.
#[test]
fn the_second_waits_for_the_phone_when_that_is_not_long() {
    let (table, before, run) = held();
    let asked = |table: &Table| {
        let seen = table.phone().seen();
        let locks = seen.iter().filter(|seen| seen.name.contains("Exclusive"));
        locks.count()
    };
    let already = asked(&table);
    let second = Running::start(&mut another(&table, other_root(&table)));
    let begin = Instant::now();
    while asked(&table) < already + 3 {
        assert!(begin.elapsed() < PATIENCE, "it does not ask again");
        std::thread::sleep(Duration::from_millis(20));
    }
    ends_well(&table, run, &before);
    enter_passcode(&table);
    let said = second.end();
    assert_told(&said, "the second", 0, &said.out, WELL);
    let verdict = table.phone().verdict(&other_root(&table));
    assert!(verdict.is_whole(), "{verdict}");
}

/// What a process held goes with it, on the phone and on the disk.
#[test]
fn a_killed_process_keeps_nobody_out() {
    let (table, before, run) = held();
    assert!(table.phone().phone().sync_locked());
    assert!(run.kill());
    let begin = Instant::now();
    while table.phone().phone().sync_locked() {
        assert!(begin.elapsed() < PATIENCE, "the phone keeps its lock");
        std::thread::sleep(Duration::from_millis(10));
    }
    before.assert_untouched(&table);
    let run = Running::start(&mut another(&table, table.root()));
    enter_passcode(&table);
    let said = run.end();
    assert_told(&said, "the next", 0, &said.out, WELL);
    table.assert_whole();
    before.assert_is_the_version(&table);
}

#[test]
fn an_agent_beside_a_command() {
    let (table, before, run) = held();
    configure(
        &table,
        &format!("{WATCH_ONLY}backup.root = {:?}\n", table.root()),
    );
    let said: Said = peers::run(&mut table.ours(&["agent"]), PATIENCE).into();
    assert_told(&said, "the agent", 2, &said.err, "one is already running");
    ends_well(&table, run, &before);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "what the command made is known", |device| {
        device.local.state == "verified"
    });
    agent.end();
}

/// Through the agent both follow one run, and neither is refused.
#[test]
fn two_commands_and_an_agent() {
    let table = Table::unix(patient(small()));
    let config = format!("{WATCH_ONLY}backup.root = {:?}\n", table.root());
    configure(&table, &config);
    let agent = Agent::start(&table);
    let first = Running::start(&mut table.ours(&["backup"]));
    table.wait("the phone asks", table.phone().prompt_shown());
    let second = Running::start(&mut table.ours(&["backup", "--json"]));
    std::thread::sleep(Duration::from_millis(300));
    enter_passcode(&table);
    for run in [first, second] {
        let said = run.end();
        assert_told(&said, "one of two", 0, &said.out, WELL);
    }
    table.assert_whole();
    let begun = table.phone().seen();
    let begun = begun.iter().filter(|seen| seen.name == "Backup").count();
    assert_eq!(begun, 1, "one run for both");
    agent.end();
}

#[test]
fn two_agents_on_one_state() {
    let table = Table::unix(small());
    configure(&table, WATCH_ONLY);
    let first = Agent::start(&table);
    let said: Said = peers::run(&mut table.ours(&["agent"]), PATIENCE).into();
    assert_told(
        &said,
        "the second",
        2,
        &said.err,
        "one is already running (process ",
    );
    assert!(said.err.contains("--state-dir"), "{said:?}");
    let id = first.id().to_string();
    assert!(said.err.contains(&id), "{said:?}");
    first.when_device(&table.udid(), "the first one watches", |device| {
        device.trust == "trusted"
    });
    first.end();
}

/// Two users of one computer who keep their backups in one folder: both agents see the phone, one makes the backup, both know it.
#[test]
fn two_agents_with_one_folder() {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.5;
    let table = Table::unix(phone);
    let config = format!("{BY_DAY}backup.root = {:?}\n", table.root());
    configure(&table, &config);
    let state = table.home().join("another state");
    let first = Agent::start(&table);
    let second = Running::start(&mut table.ours_at(&state, &["agent"]));
    let udid = table.udid();
    let ask = |verb: &str| -> Value {
        let said: Said = peers::run(&mut table.ours_at(&state, &[verb, "--json"]), PATIENCE).into();
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    };
    // By whichever of them: its own run tells it, and the other finds it at its next look.
    let begin = Instant::now();
    let verified = |status: &Value| status["devices"][0]["local"]["state"] == "verified";
    loop {
        let looked: Said = peers::run(&mut table.ours(&["check"]), PATIENCE).into();
        let known = first.status();
        let known = known.devices.iter().find(|device| device.udid == udid);
        if known.is_some_and(|device| device.local.state == "verified") && verified(&ask("check")) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{looked:?}\n{}", first.words());
        std::thread::sleep(Duration::from_millis(100));
    }
    first.end();
    let mut second = second;
    second.signal("TERM");
    assert_eq!(second.end().code, Some(0));
    table.assert_whole();
}

/// Four phones, four processes, one folder that is not there yet.
#[test]
fn a_new_folder_is_made_once() {
    let names = ["A", "B", "C", "D"];
    let phones = names.map(|name| {
        let mut phone = small();
        phone.identity.udid = format!("00008101-000A11112222F1A{name}");
        phone
    });
    let table = Table::of(phones.to_vec());
    let root = table.home().join("new/backups");
    let runs = phones.map(|phone| {
        let state = table.home().join(&phone.identity.udid);
        let mut command = table.ours_at(&state, &["backup", &phone.identity.udid, "--root"]);
        Running::start(command.arg(&root))
    });
    for run in runs {
        let said = run.end();
        assert_told(&said, "one of four", 0, &said.out, WELL);
    }
    let store = Store::open(&root).unwrap();
    assert_eq!(store.phones().unwrap().len(), 4);
    for phone in table.sim().phones() {
        let verdict = phone.verdict(&root);
        assert!(verdict.is_whole(), "{verdict}");
    }
    // Each has remembered the one mark, and takes the folder for its own again.
    for name in names {
        let udid = format!("00008101-000A11112222F1A{name}");
        let state = table.home().join(&udid);
        let mut command = table.ours_at(&state, &["backup", &udid, "--root"]);
        let said: Said = peers::run(command.arg(&root), PATIENCE).into();
        assert_told(&said, name, 0, &said.out, WELL);
    }
}

#[test]
fn a_stranger_has_the_phone() {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(patient(small()));
    let run = table.start_backup(&[]);
    enter_passcode(&table);
    assert!(run.end().ok());
    let before = Before::of(&table, "beside a stranger");
    let folder = other_root(&table);
    std::fs::create_dir(&folder).unwrap();
    let theirs = ["-u", &table.udid(), "backup", folder.to_str().unwrap()];
    let stranger = table.start_stranger(&tool, &theirs);
    table.wait("the phone asks", table.phone().prompt_shown());
    let said = table.back_up(&[]);
    assert_told(&said, "beside a stranger", 7, &said.out, BUSY);
    before.assert_untouched(&table);
    assert!(table.phone().enter_passcode());
    let said = stranger.end();
    assert!(said.ok(), "{said:?}");
    let verdict = table.phone().verdict(&folder);
    assert!(
        verdict.missing.is_empty() && verdict.differing.is_empty(),
        "{verdict}"
    );
    let run = table.start_backup(&[]);
    enter_passcode(&table);
    let said = run.end();
    assert_told(&said, "after the stranger", 0, &said.out, WELL);
    before.assert_is_the_version(&table);
}

#[test]
fn a_stranger_comes_while_we_have_the_phone() {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    let (table, before, run) = held();
    let folder = other_root(&table);
    std::fs::create_dir(&folder).unwrap();
    let udid = table.udid();
    let said = table.stranger(&tool, &["-u", &udid, "backup", folder.to_str().unwrap()]);
    assert!(!said.ok(), "{said:?}");
    let theirs = folder.join(&udid).join("Manifest.db");
    assert!(!theirs.exists(), "the stranger has forced the lock");
    ends_well(&table, run, &before);
}

/// The stranger writes into the very folder that is ours, as Finder would. What it leaves is whole, and nobody here has checked it.
#[test]
fn a_stranger_writes_into_our_folder() {
    let Some(tool) = peers::find("idevicebackup2") else {
        return;
    };
    let table = Table::unix(small());
    configure(
        &table,
        &format!("{WATCH_ONLY}backup.root = {:?}\n", table.root()),
    );
    table.back_up_well(&[]);
    live_on(&table);
    let root = table.root();
    let said = table.stranger(
        &tool,
        &["-u", &table.udid(), "backup", root.to_str().unwrap()],
    );
    assert!(said.ok(), "{said:?}");
    let said: Said = peers::run(&mut table.ours(&["check", "--json"]), PATIENCE).into();
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        status["devices"][0]["local"]["state"], "elsewhere",
        "{said:?}"
    );
    table.back_up_well(&[]);
}
