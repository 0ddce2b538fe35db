//! What the phone noted of its iCloud backups: when the agent reads it, and what it takes from others.

use std::time::Duration;

use backupwatch_agent::client::ClientError;
use backupwatch_agent::diagnosis::DiagnosisDocument;
use backupwatch_agent::process::InProcess;
use backupwatch_core::evidence::{Attempt, Books, ErrorCode, Part};
use backupwatch_core::{DeviceTime, HostTime, Period, Udid};
use backupwatch_sim::persona::Persona;
use jiff::Timestamp;

use super::common::{Home, Running, device, persona};

const FULL: &str = "00008140-000A11112222C001";

const AUTO: &str = "[backup]\nquiet = \"off\"\n[notify]\nquiet = \"off\"\n";

fn udid() -> Udid {
    Udid::parse(FULL).unwrap()
}

fn full() -> Persona {
    persona("icloud-full", |text| text)
}

/// The diagnosis once it is as it should be.
async fn when(agent: &Running, is: impl Fn(&DiagnosisDocument) -> bool) -> DiagnosisDocument {
    let mut last = None;
    for _ in 0..600 {
        match agent.client.diagnosis(&udid()).await {
            Ok(known) if is(&known) => return known,
            other => last = Some(other),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{last:#?}");
}

async fn backed_up(agent: &Running) {
    agent
        .when("a verified copy", |status| {
            device(status, FULL)
                .is_some_and(|one| one.local.state == "verified" && one.backup.is_none())
        })
        .await;
}

#[tokio::test]
async fn they_are_read_after_a_backup_and_survive_a_restart() {
    let home = Home::with(vec![full()]);
    let agent = home.agent(AUTO).up().await;
    let known = when(&agent, |known| known.notes.state == "read").await;
    assert_eq!(known.causes[0].code, "icloud_full", "{known:#?}");
    assert_eq!(known.notes.failures, Some(9));
    assert_eq!(known.notes.attempts.len(), 10);
    assert!(
        known.notes.attempts[0].at > known.notes.attempts[1].at,
        "the newest is first"
    );
    agent.end().await;

    home.sim.mux_down().await;
    let again = home.agent(AUTO).up().await;
    let remembered = again.client.diagnosis(&udid()).await.unwrap();
    assert_eq!(remembered.notes, known.notes);
    again.end().await;
}

/// The command ends before anybody reads them.
#[tokio::test]
async fn those_of_a_backup_that_a_command_made_are_read_at_the_start() {
    let home = Home::with(vec![full()]);
    let process = InProcess::start(home.setup(AUTO)).unwrap();
    process.check().await.unwrap();
    let mut following = process.backup(udid(), false).await.unwrap();
    following.end.wait_for(Option::is_some).await.unwrap();
    let known = process.desk().diagnosis(udid()).await.unwrap();
    assert_eq!(known.notes.state, "none");
    process.finish().await.unwrap();

    let agent = home.agent("[backup]\nmode = \"off\"\n").up().await;
    let known = when(&agent, |known| known.notes.state == "read").await;
    assert_eq!(known.causes[0].code, "icloud_full");
    agent.end().await;
}

#[tokio::test]
async fn those_of_an_encrypted_backup_come_from_whoever_has_the_password() {
    let mut sealed = full();
    sealed.backup.password = Some("1234".to_owned());
    (sealed.backup.dpic, sealed.backup.iter) = (10, 10);
    let home = Home::with(vec![sealed]);
    let agent = home.agent(AUTO).up().await;
    backed_up(&agent).await;
    let known = when(&agent, |known| known.notes.state == "sealed").await;
    assert!(
        known.notes.words.contains("enter its password"),
        "{}",
        known.notes.words
    );

    let now = HostTime(Timestamp::now());
    let told = agent.client.books(&udid(), &books(now)).await.unwrap();
    assert_eq!(told.notes.state, "read");
    let [attempt] = told.notes.attempts.as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!(
        attempt.text.as_deref(),
        Some("It cannot read …"),
        "scrubbed here, too"
    );
    assert_eq!(attempt.errors.len(), 12, "and bounded");
    assert_eq!(told.notes.largest, []);

    let older = Books::blank(HostTime(now.0 - jiff::SignedDuration::from_hours(1)));
    let told = agent.client.books(&udid(), &older).await.unwrap();
    assert_eq!(told.notes.attempts.len(), 1, "older ones are no news");

    let ahead = Books::blank(now.plus(Period::hours(1)));
    let refused = agent.client.books(&udid(), &ahead).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused:?}");
    let mut long = books(now);
    long.attempts = vec![long.attempts[0].clone(); 200];
    let refused = agent.client.books(&udid(), &long).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused:?}");
    let nobody = Udid::parse("00008140-000A111122220000").unwrap();
    let refused = agent.client.books(&nobody, &books(now)).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused(failure) if failure.error == "unknown_device"),
        "{refused:?}"
    );
    agent.end().await;
}

/// Notes that nobody scrubbed or bounded.
fn books(at: HostTime) -> Books {
    let error = ErrorCode {
        domain: "MBErrorDomain".to_owned(),
        code: 100,
    };
    Books {
        attempts: vec![Attempt {
            at: DeviceTime(at.0),
            chain: vec![error; 50],
            app: None,
            text: Some("It cannot read /var/mobile/Anna’s diary.pages".to_owned()),
        }],
        largest: vec![Part {
            domain: "/private/var".to_owned(),
            bytes: 1,
        }],
        ..Books::blank(at)
    }
}
