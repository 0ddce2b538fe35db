//! From an attached phone to a verdict, a notice and a verified local backup: the whole agent on real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

mod common;
#[path = "watch/notes.rs"]
mod notes;
#[path = "watch/reread.rs"]
mod reread;

use std::time::Duration;

use backupwatch_agent::api::words::{BackupEvent, BackupRequest, HistoryEntry};
use backupwatch_agent::client::ClientError;
use backupwatch_agent::config::Config;
use backupwatch_agent::process::InProcess;
use backupwatch_agent::state::open_read_only;
use backupwatch_agent::status::{OwnStores, status_from_state};
use backupwatch_core::notice::NoticeKind;
use backupwatch_core::{Now, Udid};
use common::{ADA, Home, ada, device, persona};

const DAY: &str = "[backup]\nquiet = \"off\"\n[notify]\nquiet = \"off\"\n";

fn udid() -> Udid {
    Udid::parse(ADA).unwrap()
}

#[tokio::test]
async fn a_stale_phone_ends_with_a_verified_backup() {
    let home = Home::with(vec![ada()]);
    let agent = home.agent(DAY).up().await;
    let status = agent.when("a verified copy", |status| {
        device(status, ADA)
            .is_some_and(|device| device.local.state == "verified" && device.backup.is_none())
    });
    let status = status.await;
    let found = device(&status, ADA).unwrap();
    assert_eq!(found.name.as_deref(), Some("Ada’s iPhone 📱"));
    assert_eq!(
        (found.os_version.as_deref(), found.trust.as_str()),
        (Some("18.4.1"), "trusted")
    );
    assert_eq!(
        (found.icloud.state.as_str(), found.protection.as_str()),
        ("critical", "at_risk")
    );
    assert!(
        (58 * 86_400 - 60..58 * 86_400 + 60).contains(&found.icloud.age_s.unwrap()),
        "{:?}",
        found.icloud
    );
    assert_eq!(found.local.level.as_deref(), Some("L2"));

    let verdict = home.sim.phone(ADA).unwrap().verdict(&home.paths().backups);
    assert!(verdict.is_whole(), "{verdict:#?}");
    let told: Vec<NoticeKind> = home
        .recorder
        .posted()
        .iter()
        .map(|notice| notice.kind)
        .collect();
    for kind in [
        NoticeKind::CloudStale,
        NoticeKind::PasscodeWanted,
        NoticeKind::BackupVerified,
    ] {
        assert!(told.contains(&kind), "{kind:?} is missing in {told:?}");
    }
    let history = agent.client.history(Some(&udid()), 50).await.unwrap();
    let runs = history
        .entries
        .iter()
        .filter(|entry| matches!(entry, HistoryEntry::Run(run) if run.ok));
    assert_eq!(runs.count(), 1, "{history:#?}");
    assert!(
        history
            .entries
            .iter()
            .any(|entry| matches!(entry, HistoryEntry::Notice(_)))
    );
    agent.end().await;

    let state = open_read_only(&home.paths().database).unwrap();
    let now = Now {
        host: backupwatch_core::HostTime(status.as_of),
        utc_offset_s: 0,
    };
    let kept =
        status_from_state(&state, &Config::default(), None, &OwnStores::new(), &now).unwrap();
    assert!(!kept.agent.running);
    assert_eq!(
        device(&kept, ADA).unwrap().local.state,
        "verified",
        "known without an agent"
    );
}

#[tokio::test]
async fn a_backup_is_followed_joined_and_stopped_through_the_socket() {
    let waits = persona("stale-58-days", |text| {
        text.replace("answer = \"enter\"", "answer = \"wait\"")
    });
    let home = Home::with(vec![waits]);
    let agent = home
        .agent(&format!("{DAY}[device.\"{ADA}\"]\nbackup.mode = \"off\"\n"))
        .up()
        .await;
    agent
        .when("judged", |status| {
            device(status, ADA).is_some_and(|one| one.icloud.state == "critical")
        })
        .await;
    let mut story = agent
        .client
        .backup(&udid(), &BackupRequest::default())
        .await
        .unwrap();
    let mut second = agent
        .client
        .backup(&udid(), &BackupRequest { full: true })
        .await
        .unwrap();
    loop {
        match story.next().await.unwrap().unwrap() {
            BackupEvent::Progress(progress) if progress.phase == "waiting_for_passcode" => break,
            BackupEvent::Progress(_) => {}
            BackupEvent::Ended(end) => panic!("{end:?}"),
        }
    }
    agent.client.cancel_backup(&udid()).await.unwrap();
    for story in [&mut story, &mut second] {
        let mut last = None;
        while let Some(event) = story.next().await.unwrap() {
            last = Some(event);
        }
        assert!(
            matches!(&last, Some(BackupEvent::Ended(end)) if end.outcome == "cancelled" && !end.ok),
            "{last:?}"
        );
    }
    agent.end().await;
}

#[tokio::test]
async fn the_end_of_the_agent_is_told_to_those_who_follow() {
    let waits = persona("stale-58-days", |text| {
        text.replace("answer = \"enter\"", "answer = \"wait\"")
    });
    let home = Home::with(vec![waits]);
    let agent = home
        .agent(&format!("{DAY}[device.\"{ADA}\"]\nbackup.mode = \"off\"\n"))
        .up()
        .await;
    agent
        .when("judged", |status| {
            device(status, ADA).is_some_and(|one| one.icloud.state == "critical")
        })
        .await;
    let mut story = agent
        .client
        .backup(&udid(), &BackupRequest::default())
        .await
        .unwrap();
    home.sim.phone(ADA).unwrap().prompt_shown().await;
    let follow = async {
        let mut last = None;
        while let Some(event) = story.next().await.unwrap() {
            last = Some(event);
        }
        last
    };
    let (last, ()) = tokio::join!(follow, agent.end());
    assert!(
        matches!(&last, Some(BackupEvent::Ended(end)) if end.words.contains("agent ended")),
        "{last:?}"
    );
    assert!(
        !home.sim.phone(ADA).unwrap().phone().sync_locked(),
        "the phone is left tidy"
    );
}

#[tokio::test]
async fn usbmuxd_may_come_later_and_go() {
    let home = Home::with(vec![ada()]);
    home.sim.mux_down().await;
    let agent = home.agent(DAY).up().await;
    let down = agent
        .when("down", |status| status.agent.usbmuxd == Some(false))
        .await;
    assert!(
        down.agent
            .remarks
            .iter()
            .any(|remark| remark.starts_with("Phones cannot be seen")),
        "{down:?}"
    );
    home.sim.mux_up().unwrap();
    agent
        .when("seen", |status| {
            device(status, ADA).is_some_and(|one| one.links == ["usb"])
        })
        .await;
    home.sim.phone(ADA).unwrap().unplug();
    agent
        .when("unplugged", |status| {
            device(status, ADA).is_none_or(|one| one.links.is_empty())
        })
        .await;
    agent.end().await;
}

#[tokio::test]
async fn trust_is_asked_for_and_given_through_the_socket() {
    let home = Home::with(vec![persona("untrusted", |text| text)]);
    let phone = home.sim.phones().remove(0);
    let udid = Udid::parse(phone.udid()).unwrap();
    let agent = home.agent(DAY).up().await;
    agent
        .when("seen", |status| {
            device(status, udid.as_str()).is_some_and(|one| one.seen_at.is_some())
        })
        .await;
    let tap = async {
        phone.trust_dialog_shown().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        phone.tap_trust();
    };
    let (answer, ()) = tokio::join!(agent.client.pair(&udid), tap);
    assert_eq!(answer.unwrap().trust, "trusted");
    agent
        .when("judged", |status| {
            device(status, udid.as_str()).is_some_and(|one| one.trust == "trusted")
        })
        .await;
    agent.end().await;
}

#[tokio::test]
async fn a_person_checks_and_backs_up_without_an_agent() {
    let home = Home::with(vec![ada()]);
    let process = InProcess::start(home.setup(DAY)).unwrap();
    let status = process.check().await.unwrap();
    assert!(!status.agent.running && status.agent.last_poll.is_some());
    let found = device(&status, ADA).unwrap();
    assert_eq!(
        (found.icloud.state.as_str(), found.protection.as_str()),
        ("critical", "unprotected")
    );
    assert_eq!(found.backup, None, "a check begins no backup");

    let following = process.backup(udid(), false).await.unwrap();
    let mut events = process.events(following);
    let mut last = None;
    let mut phases = Vec::new();
    while let Some(event) = events.recv().await {
        if let BackupEvent::Progress(progress) = &event {
            phases.push(progress.phase.clone());
        }
        last = Some(event);
    }
    assert!(
        matches!(&last, Some(BackupEvent::Ended(end)) if end.ok),
        "{last:?}"
    );
    assert!(
        phases.iter().any(|phase| phase == "waiting_for_passcode"),
        "{phases:?}"
    );
    process.finish().await.unwrap();
    assert!(
        home.sim
            .phone(ADA)
            .unwrap()
            .verdict(&home.paths().backups)
            .is_whole()
    );

    let again = InProcess::start(home.setup(DAY)).unwrap();
    let status = again.check().await.unwrap();
    assert_eq!(device(&status, ADA).unwrap().local.state, "verified");
    again.finish().await.unwrap();
}

#[tokio::test]
async fn a_check_without_usbmuxd_says_so_and_keeps_what_is_known() {
    let home = Home::with(vec![ada()]);
    let process = InProcess::start(home.setup(DAY)).unwrap();
    process.check().await.unwrap();
    process.finish().await.unwrap();
    home.sim.mux_down().await;
    let process = InProcess::start(home.setup(DAY)).unwrap();
    let status = process.check().await.unwrap();
    assert_eq!(status.agent.usbmuxd, Some(false));
    assert_eq!(device(&status, ADA).unwrap().icloud.state, "critical");
    process.finish().await.unwrap();
}

#[tokio::test]
async fn there_is_one_agent_and_commands_go_through_it() {
    let home = Home::with(vec![ada()]);
    let agent = home.agent("[backup]\nmode = \"off\"").up().await;
    let second = home.agent("");
    let refused = tokio::time::timeout(Duration::from_secs(5), second.up_or_error())
        .await
        .unwrap();
    assert!(refused.contains("already running"), "{refused}");
    let refused = InProcess::start(home.setup("")).err().unwrap().to_string();
    assert!(refused.contains("already running"), "{refused}");
    assert!(
        agent.client.version().await.is_ok(),
        "the first one is not disturbed"
    );
    agent.end().await;
    let gone = home.agent("").client.status().await.unwrap_err();
    assert!(matches!(gone, ClientError::NotRunning), "{gone}");
}

/// Every persona that is about being watched, at once, the hostile ones among them: what the agent says of each.
#[tokio::test(flavor = "multi_thread")]
async fn a_wall_of_phones_of_every_kind() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    let mut personas = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Those differ in how a backup of them goes.
        let watched = !name.starts_with("backup-") || name == "backup-domain-empty";
        if watched
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            personas.push((name.clone(), persona(&name, |text| text)));
        }
    }
    personas.sort_by(|(one, _), (other, _)| one.cmp(other));
    let home = Home::with(
        personas
            .iter()
            .map(|(_, persona)| persona.clone())
            .collect(),
    );
    let process = InProcess::start(home.setup("[notify]\nquiet = \"off\"")).unwrap();
    let status = process.check().await.unwrap();
    process.finish().await.unwrap();
    let line = |(name, persona): &(String, backupwatch_sim::persona::Persona)| {
        let one = device(&status, &persona.identity.udid).expect(name);
        let why = one
            .icloud
            .why
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        let (state, trust, word, next) =
            (one.icloud.state, one.trust, one.protection, one.next.code);
        format!("{name}: {state}{why}, {trust}, {word}, next: {next}")
    };
    insta::assert_snapshot!(personas.iter().map(line).collect::<Vec<_>>().join("\n"));
}
