//! The agent as a process, from an attached phone to a verdict, through everything that happens to processes: usbmuxd away,
//! signals, a second one, a crash, a restart, a damaged state.

use backupwatch_agent::api::words::{BackupEvent, BackupRequest};
use backupwatch_core::Udid;
use backupwatch_e2e::{
    agent::{Agent, BY_DAY, WATCH_ONLY, configure, log},
    peers,
    table::{PATIENCE, Said, Table, persona},
    tree::Tree,
};
use backupwatch_sim::{
    persona::{Answers, Dialog, LinkKind, Persona, PromptAnswer},
    usbmuxd::MuxFault,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Ends of processes are waited for no longer than launchd and systemd do.
const POLITE: Duration = Duration::from_secs(25);

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

fn stale() -> Persona {
    let mut phone = persona("stale-58-days");
    phone.passcode.after_s = 0.2;
    phone
}

fn table(personas: Vec<Persona>, configuration: &str) -> Table {
    let table = Table::of(personas);
    configure(&table, configuration);
    table
}

/// What a person does with one phone, and what they see.
#[test]
fn a_phone_comes_goes_and_comes_again() {
    let table = table(vec![stale()], WATCH_ONLY);
    let (phone, udid) = (table.phone(), table.udid());
    phone.unplug();
    let agent = Agent::start(&table);
    let none = ours(&table, &["status"]);
    assert_eq!(none.code, Some(6), "{none:?}");
    assert!(none.out.contains("No device is known yet"), "{none:?}");

    phone.plug();
    let seen = agent.when_device(&udid, "it is judged", |device| {
        device.icloud.state == "critical"
    });
    assert_eq!(
        (seen.links.as_slice(), seen.trust.as_str()),
        (["usb".to_owned()].as_slice(), "trusted")
    );
    let said = ours(&table, &["status", "--json"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["agent"]["running"], true);
    assert_eq!(document["agent"]["usbmuxd"], true);
    assert_eq!(document["devices"][0]["protection"], "unprotected");

    phone.unplug();
    let gone = agent.when_device(&udid, "it is away", |device| device.links.is_empty());
    assert_eq!(gone.icloud.state, "critical", "what was seen stays true");
    let said = ours(&table, &["status"]);
    assert!(said.out.contains("not attached now"), "{said:?}");

    phone.plug();
    agent.when_device(&udid, "it is looked at again", |device| {
        device.links == ["usb"] && device.seen_at > gone.seen_at
    });
    let told = agent.notices();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("no iCloud backup for 58 days"), "{told:?}");
    agent.end();
}

#[test]
fn usbmuxd_may_be_absent_go_and_come_back() {
    let table = table(vec![stale()], WATCH_ONLY);
    let udid = table.udid();
    table.wait("usbmuxd ends", table.sim().mux_down());
    let agent = Agent::start(&table);
    let blind = |agent: &Agent<'_>| {
        agent.when("usbmuxd is missed", |status| {
            let remarks = status.agent.remarks.join(" ");
            status.agent.usbmuxd == Some(false)
                && remarks.contains("Phones cannot be seen: usbmuxd is not running")
        });
        let said = ours(&table, &["status"]);
        assert!(said.out.contains("usbmuxd does not answer"), "{said:?}");
        assert_ne!(said.code, Some(0));
    };
    let sees = |agent: &Agent<'_>| {
        agent.when("the phone is seen", |status| {
            status.agent.usbmuxd == Some(true)
                && status.agent.remarks.is_empty()
                && status
                    .devices
                    .iter()
                    .any(|device| device.links == ["usb"] && device.icloud.state == "critical")
        });
    };
    blind(&agent);
    table
        .wait("usbmuxd comes", async { table.sim().mux_up() })
        .unwrap();
    sees(&agent);

    table.wait("usbmuxd ends", table.sim().mux_down());
    blind(&agent);
    let away = agent.when_device(&udid, "it is away", |device| device.links.is_empty());
    assert_eq!(away.icloud.state, "critical");
    table
        .wait("usbmuxd comes", async { table.sim().mux_up() })
        .unwrap();
    sees(&agent);
    assert_eq!(agent.notices().len(), 1, "its return is no news");
    agent.end();
}

#[test]
fn what_is_not_usbmuxd_is_a_state_and_no_end() {
    for (fault, why) in [
        (MuxFault::Rubbish, "is not usbmuxd"),
        (MuxFault::HugeLength, "is not usbmuxd"),
        (MuxFault::NotADictionary, "is not usbmuxd"),
        (MuxFault::Close, "closed the connection"),
        (MuxFault::Stall, "does not answer"),
    ] {
        let table = table(vec![stale()], WATCH_ONLY);
        table.sim().set_mux_fault(fault);
        let agent = Agent::start(&table);
        let status = agent.when("usbmuxd is missed", |status| {
            status.agent.usbmuxd == Some(false)
        });
        let remarks = status.agent.remarks.join(" ");
        assert!(remarks.contains(why), "{fault:?}: {remarks}");
        assert_eq!(status.devices, [], "{fault:?}");
        table.sim().set_mux_fault(MuxFault::None);
        agent.when_device(&table.udid(), "it is judged after all", |device| {
            device.icloud.state == "critical"
        });
        agent.end();
    }
}

/// Polls are a quarter of an hour apart, so only a hint of the phone can bring this.
#[test]
fn an_icloud_backup_that_ends_is_seen_at_once() {
    let table = table(vec![stale()], WATCH_ONLY);
    let (phone, udid) = (table.phone(), table.udid());
    let agent = Agent::start(&table);
    agent.when_device(&udid, "it is judged", |device| {
        device.icloud.state == "critical"
    });
    table.wait(
        "the agent listens to the phone",
        phone
            .phone()
            .journal()
            .wait_for(|seen| seen.name == "observe com.apple.mobile.backup.domain_changed"),
    );
    // A phone that repeats itself is asked every ten seconds at the most.
    std::thread::sleep(Duration::from_millis(10_500));
    let begin = Instant::now();
    phone.set_cloud_date(jiff::Timestamp::now());
    let fresh = agent.when_device(&udid, "it is fresh", |device| {
        device.icloud.state == "fresh"
    });
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(fresh.protection, "protected");
    assert_eq!(fresh.reason, "The last iCloud backup ended just now.");
    let told = agent.notices();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("iCloud Backup works again"), "{told:?}");
    assert_eq!(ours(&table, &["status"]).code, Some(0));
    agent.end();
}

/// Over Wi-Fi nobody is known to be at the phone, until somebody unlocks it.
#[test]
fn a_backup_begins_when_somebody_unlocks_the_phone() {
    let mut phone = persona("locked");
    phone.link = persona("wifi-only").link;
    let table = table(vec![phone], BY_DAY);
    let (phone, udid) = (table.phone(), table.udid());
    let agent = Agent::start(&table);
    let waits = agent.when_device(&udid, "it is due", |device| device.due.is_some());
    assert_eq!(
        waits.due.unwrap().waiting_for,
        "somebody to plug in or unlock the device"
    );
    table.wait(
        "the agent listens to the phone",
        phone
            .phone()
            .journal()
            .wait_for(|seen| seen.name == "observe com.apple.springboard.lockstate"),
    );
    phone.unlock();
    table.wait("the phone asks for its passcode", phone.prompt_shown());
    agent.when_device(&udid, "it waits for the passcode", |device| {
        let phase = device.backup.as_ref().map(|backup| backup.phase.as_str());
        phase == Some("waiting_for_passcode") && device.next.code == "enter_passcode"
    });
    assert!(phone.enter_passcode());
    agent.when_device(&udid, "it is backed up", |device| {
        device.local.state == "verified"
    });
    agent.end();
}

#[test]
fn a_phone_that_was_never_unlocked_is_asked_again() {
    let table = table(
        vec![persona("never-unlocked")],
        &format!("{WATCH_ONLY}poll.retry = \"1 s\"\n"),
    );
    let agent = Agent::start(&table);
    let locked = agent.when_device(&table.udid(), "it refuses", |device| {
        device.icloud.why.as_deref() == Some("never_unlocked")
    });
    assert_eq!(locked.protection, "unknown");
    table.phone().unlock();
    agent.when_device(&table.udid(), "it tells", |device| {
        device.icloud.state == "stale"
    });
    agent.end();
}

#[test]
fn the_cable_is_preferred() {
    let mut phone = persona("wifi-and-cable");
    for link in &mut phone.link {
        if link.kind == LinkKind::Network {
            link.answers = Answers::Silent;
        }
    }
    let table = table(vec![phone], WATCH_ONLY);
    let (phone, udid) = (table.phone(), table.udid());
    let agent = Agent::start(&table);
    let both = agent.when_device(&udid, "it answers by cable", |device| {
        device.icloud.state == "stale" && device.links.len() == 2
    });
    assert_eq!(both.links, ["usb", "network"]);

    phone.unplug_link(LinkKind::Usb);
    agent.when_device(&udid, "it is on Wi-Fi alone", |device| {
        device.links == ["network"]
    });
    let said = ours(&table, &["status"]);
    assert!(said.out.contains("on Wi-Fi now"), "{said:?}");
    phone.plug_link(LinkKind::Usb);
    agent.when_device(&udid, "it answers by cable again", |device| {
        device.links == ["usb", "network"] && device.seen_at > both.seen_at
    });
    agent.end();
}

fn pair_requests(table: &Table) -> usize {
    let seen = table.phone().seen();
    seen.iter().filter(|seen| seen.name == "Pair").count()
}

#[test]
fn trust_is_asked_for_once_in_words_and_given() {
    let table = table(vec![persona("untrusted")], WATCH_ONLY);
    let (phone, udid) = (table.phone(), table.udid());
    let agent = Agent::start(&table);
    table.wait("the phone asks", phone.trust_dialog_shown());
    agent.when("the person is told", |_| !agent.notices().is_empty());
    let waits = agent.when_device(&udid, "it is known", |device| device.trust != "unknown");
    assert_eq!(
        (waits.protection.as_str(), waits.next.code.as_str()),
        ("unknown", "trust")
    );
    // The dialog stays while nobody taps, and nobody is told again.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        agent.notices(),
        ["Alan’s iPhone does not trust this computer yet"]
    );
    assert!(phone.tap_trust());
    let trusted = agent.when_device(&udid, "it is judged", |device| {
        device.trust == "trusted" && device.icloud.state == "fresh"
    });
    assert_eq!(trusted.protection, "protected");
    assert_eq!(agent.notices().len(), 1);
    agent.end();
}

#[test]
fn who_says_no_is_not_asked_again_until_the_cable_is_pulled() {
    let mut phone = persona("untrusted");
    phone.trust.dialog = Dialog::DenyAfter(0.1);
    let table = table(vec![phone], &format!("{WATCH_ONLY}poll.retry = \"1 s\"\n"));
    let (phone, udid) = (table.phone(), table.udid());
    let agent = Agent::start(&table);
    let denied = agent.when_device(&udid, "it said no", |device| device.trust == "denied");
    assert!(denied.next.words.contains("plug it in again"), "{denied:?}");
    let asked = pair_requests(&table);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(pair_requests(&table), asked, "it is asked again and again");
    phone.unplug();
    agent.when("it is away", |status| {
        status.devices.iter().all(|device| device.links.is_empty())
    });
    phone.plug();
    let begin = Instant::now();
    while pair_requests(&table) == asked {
        assert!(begin.elapsed() < PATIENCE, "a replug does not ask again");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(agent.notices().len(), 1, "{:?}", agent.notices());
    agent.end();
}

#[test]
fn who_cannot_be_asked_is_not_nagged() {
    for (name, trust, next) in [
        ("untrusted-locked", "locked_for_pairing", "unlock"),
        ("managed", "managed_forbids", "ask_administrator"),
    ] {
        let table = table(
            vec![persona(name)],
            &format!("{WATCH_ONLY}poll.retry = \"1 s\"\n"),
        );
        let agent = Agent::start(&table);
        let device = agent.when_device(&table.udid(), "it refused", |device| device.trust == trust);
        assert_eq!(device.next.code, next, "{name}");
        assert!(agent.notices().len() <= 1, "{name}: {:?}", agent.notices());
        if name == "untrusted-locked" {
            table.phone().unlock();
            table.wait("the phone asks", table.phone().trust_dialog_shown());
            assert!(table.phone().tap_trust());
            agent.when_device(&table.udid(), "it is trusted", |device| {
                device.trust == "trusted"
            });
        }
        agent.end();
    }
}

/// A phone of which a verified backup is there, whose owner no longer enters the passcode by themselves.
fn backed_up(table: &Table) -> Tree {
    let said = ours(table, &["backup"]);
    assert!(said.ok(), "{said:?}");
    Tree::of(&table.state().join("backups").join(table.udid()))
}

/// SIGTERM while a backup waits for the passcode, and while it copies.
#[test]
fn the_end_is_polite_and_the_backup_before_is_untouched() {
    let mut phone = persona("backup-mixed");
    phone.passcode.answer = PromptAnswer::Wait;
    let table = table(vec![phone], WATCH_ONLY);
    let (phone, udid) = (table.phone(), table.udid());
    let current = table.state().join("backups").join(&udid);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            table.wait("the phone asks", phone.prompt_shown());
            assert!(phone.enter_passcode());
        });
        backed_up(&table)
    });
    assert!(!first.0.is_empty());

    for when in ["waiting for the passcode", "copying"] {
        let agent = Agent::start(&table);
        agent.when_device(&udid, "it is attached", |device| device.links == ["usb"]);
        let mut story = table
            .wait(
                "the backup begins",
                agent
                    .client()
                    .backup(&Udid::parse(&udid).unwrap(), &BackupRequest { full: true }),
            )
            .unwrap();
        table.wait("the phone asks", phone.prompt_shown());
        if when == "copying" {
            phone.single_step(true);
            assert!(phone.enter_passcode());
            table.wait("files arrive", async {
                while !phone.step().await.contains("DLMessageUploadFiles") {}
                for _ in 0..10 {
                    phone.step().await;
                }
            });
        }
        let begin = Instant::now();
        agent.signal("TERM");
        // A phone that is told to stop says so.
        phone.single_step(false);
        let last = table.wait("the story ends", async {
            let mut last = None;
            while let Ok(Some(event)) = story.next().await {
                last = Some(event);
            }
            last
        });
        let said = agent.ended(POLITE);
        assert_eq!(said.code, Some(0), "{when}: {said:?}\n{}", log(&table));
        assert!(begin.elapsed() < POLITE);
        assert!(
            matches!(&last, Some(BackupEvent::Ended(end)) if end.outcome == "cancelled"),
            "{when}: {last:?}"
        );
        assert!(
            !phone.phone().sync_locked(),
            "{when}: the phone is left locked"
        );
        first.assert_untouched(&Tree::of(&current), when);
    }
    let work = table.state().join("backups/.backupwatch/work").join(&udid);
    assert!(work.is_dir(), "there is nothing to go on from");

    // And the next one goes on and ends well.
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            table.wait("the phone asks", phone.prompt_shown());
            assert!(phone.enter_passcode());
        });
        ours(&table, &["backup"])
    });
    assert!(said.ok(), "{said:?}");
    let verdict = phone.verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
}

#[test]
fn a_second_one_is_refused_in_a_clear_sentence() {
    let table = table(vec![stale()], WATCH_ONLY);
    let agent = Agent::start(&table);
    let second = ours(&table, &["agent", "--log-to-stderr"]);
    assert_eq!(second.code, Some(2), "{second:?}");
    let sentence = format!("one is already running (process {})", agent.id());
    assert!(second.err.contains(&sentence), "{second:?}");
    assert!(!second.err.contains("panicked"), "{second:?}");
    agent.when_device(&table.udid(), "the first one is not disturbed", |device| {
        device.icloud.state == "critical"
    });
    agent.end();
    assert!(!table.state().join("agent.sock").exists());
}

#[test]
fn a_killed_one_leaves_nothing_in_the_way() {
    let table = table(vec![stale()], WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    agent.when("it is told", |_| !agent.notices().is_empty());
    agent.kill();
    assert!(
        table.state().join("agent.sock").exists(),
        "the kill was too polite"
    );
    let said = ours(&table, &["status", "--json"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["agent"]["running"], false);
    assert_eq!(document["devices"][0]["icloud"]["state"], "critical");
    let again = Agent::start(&table);
    again.when_device(&table.udid(), "it is attached", |device| {
        device.links == ["usb"]
    });
    again.end();
}

#[test]
fn nobody_is_told_twice_because_of_a_restart() {
    let table = table(vec![stale(), persona("cloud-off")], WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when("both are told about", |_| agent.notices().len() == 2);
    let told = agent.notices();
    agent.end();
    for kill in [true, false] {
        let agent = Agent::start(&table);
        agent.when("both are judged again", |status| {
            status.devices.len() == 2
                && status
                    .devices
                    .iter()
                    .all(|device| device.links == ["usb"] && device.seen_at.is_some())
        });
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(agent.notices(), told);
        if kill {
            agent.kill();
        } else {
            agent.end();
        }
    }
}

/// What a person is told on the terminal is not what the desktop has shown them.
#[test]
fn a_look_from_the_terminal_uses_up_no_notice() {
    let table = table(vec![stale(), persona("untrusted")], WATCH_ONLY);
    assert_eq!(ours(&table, &["check"]).code, Some(4));
    let history = ours(&table, &["history"]);
    assert!(
        history.out.contains("Nothing has happened yet"),
        "{history:?}"
    );
    let agent = Agent::start(&table);
    agent.when("both are told about", |_| agent.notices().len() == 2);
    let mut told = agent.notices();
    told.sort();
    assert!(told[0].contains("no iCloud backup for 58 days"), "{told:?}");
    assert!(
        told[1].contains("does not trust this computer yet"),
        "{told:?}"
    );
    agent.end();
}

#[test]
fn a_damaged_state_is_set_aside_and_said() {
    let table = table(vec![stale()], WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when("it is told", |_| !agent.notices().is_empty());
    agent.end();
    let file = table.state().join("state.db");
    let mut damaged = std::fs::read(&file).unwrap();
    // The pages after the header: what a failing disk leaves.
    for byte in damaged.iter_mut().skip(100) {
        *byte = 0xA5;
    }
    std::fs::write(&file, &damaged).unwrap();

    let status = ours(&table, &["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.err.contains("state.db"), "{status:?}");

    let agent = Agent::start(&table);
    let status = agent.when("it is judged", |status| !status.devices.is_empty());
    let remarks = status.agent.remarks.join(" ");
    let aside = table.state().join("state.db.damaged-1");
    assert!(
        remarks.contains("The state was damaged") && remarks.contains(&aside.display().to_string()),
        "{remarks}"
    );
    let said = ours(&table, &["status"]);
    assert!(said.out.contains("The state was damaged"), "{said:?}");
    assert_eq!(std::fs::read(&aside).unwrap(), damaged, "evidence is kept");
    assert!(log(&table).contains("ERROR"), "{}", log(&table));
    agent.end();
}

#[test]
fn a_state_of_a_newer_release_or_of_another_program_is_refused() {
    for (pragma, words) in [
        (
            "PRAGMA user_version = 99",
            "a newer backupwatch wrote it (schema 99",
        ),
        (
            "PRAGMA application_id = 252006674",
            "a database of another program",
        ),
    ] {
        let table = table(vec![stale()], WATCH_ONLY);
        assert_eq!(ours(&table, &["check"]).code, Some(4));
        let file = table.state().join("state.db");
        let state = rusqlite::Connection::open(&file).unwrap();
        state.execute_batch(pragma).unwrap();
        state
            .pragma_update(None, "wal_checkpoint", "TRUNCATE")
            .unwrap_or_default();
        drop(state);
        let before = std::fs::read(&file).unwrap();
        for arguments in [
            ["agent", "--log-to-stderr"].as_slice(),
            &["status"],
            &["check"],
            &["backup"],
            &["history"],
        ] {
            let said = ours(&table, arguments);
            assert_eq!(said.code, Some(1), "{arguments:?}: {said:?}");
            assert!(said.err.contains(words), "{arguments:?}: {said:?}");
            assert_eq!(said.err.matches("backupwatch: ").count(), 1, "{said:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), before, "{pragma}");
    }
}

/// The whole story without a hand on the keyboard: attach, notice, passcode, verified.
#[test]
fn a_stale_phone_ends_with_a_verified_backup_by_itself() {
    let table = table(vec![stale()], BY_DAY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is backed up", |device| {
        device.local.state == "verified" && device.backup.is_none()
    });
    agent.when("all is told", |_| agent.notices().len() == 3);
    let told = agent.notices();
    for (notice, words) in told.iter().zip([
        "no iCloud backup for 58 days",
        "Enter the passcode on Ada’s iPhone",
        "is backed up to this computer",
    ]) {
        assert!(notice.contains(words), "{told:?}");
    }
    let verdict = table.phone().verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
    let said = ours(&table, &["status"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("verified (L2)"), "{said:?}");
    agent.end();
}
