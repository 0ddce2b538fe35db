//! The phones of `fixtures/phones`: each can be read, no two are one, and each says to a host what its comment says.

#![cfg(test)]

mod host;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backupwatch_sim::persona::Persona;
use backupwatch_wire::lockdown::{LockdownError, Reply, Request};
use host::{Lockdown, call, devices, record, sim};
use plist::{Dictionary, Value};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones")
}

fn load(name: &str) -> Persona {
    Persona::load(&folder().join(format!("{name}.toml"))).unwrap()
}

#[test]
fn each_file_is_a_phone_of_its_own() {
    let all = Persona::load_dir(&folder()).unwrap();
    assert!(all.len() >= 20);
    let udids: BTreeSet<&str> = all.iter().map(|one| one.identity.udid.as_str()).collect();
    assert_eq!(udids.len(), all.len(), "a UDID is used twice");
}

/// The backup domain as a host in a session reads it.
async fn backup_domain(name: &str) -> Result<Dictionary, LockdownError> {
    let persona = load(name);
    let udid = persona.identity.udid.clone();
    let sim = sim(vec![persona]);
    let mut lockdown = Lockdown::new(&sim, &udid).await;
    lockdown.start_session(&record(&sim, &udid)).await?;
    let value = lockdown.get(Some("com.apple.mobile.backup"), None).await?;
    Ok(value.into_dictionary().unwrap())
}

#[tokio::test]
async fn what_the_backup_domain_says() {
    // (persona, enabled, age of the iCloud backup in whole days by the host's clock)
    for (name, enabled, days) in [
        ("fresh", Some(true), Some(0)),
        ("late", Some(true), Some(3)),
        ("stale-58-days", Some(true), Some(58)),
        ("cloud-off", Some(false), Some(120)),
        ("never-backed-up", Some(true), None),
        ("backup-domain-empty", None, None),
        ("clock-wrong", Some(true), Some(40)),
        ("old-iphone", Some(true), Some(33)),
        ("locked", Some(true), Some(20)),
    ] {
        let domain = backup_domain(name).await.unwrap();
        let is = domain.get("CloudBackupEnabled").and_then(Value::as_boolean);
        assert_eq!(is, enabled, "{name}");
        let last = domain
            .get("LastCloudBackupDate")
            .and_then(Value::as_signed_integer);
        let now = jiff::Timestamp::now().as_second();
        let age = last.map(|last| (now - (last + 978_307_200)) / 86_400);
        assert_eq!(age, days, "{name}");
        assert_eq!(
            domain.get("Version").and_then(Value::as_string),
            Some("2.0"),
            "{name}"
        );
    }
    let unreadable = backup_domain("unreadable-date").await.unwrap();
    let raw = unreadable
        .get("LastCloudBackupDate")
        .and_then(Value::as_signed_integer);
    assert_eq!(raw, Some(1_759_577_513));
    let word = backup_domain("wrong-type-date").await.unwrap();
    let raw = word.get("LastCloudBackupDate").and_then(Value::as_string);
    assert_eq!(raw, Some("yesterday"));
}

#[tokio::test]
async fn who_gets_no_answer() {
    for (name, expected) in [
        ("prohibited", LockdownError::GetProhibited),
        ("trust-expired", LockdownError::InvalidHostID),
        ("never-unlocked", LockdownError::PasswordProtected),
    ] {
        assert_eq!(backup_domain(name).await, Err(expected), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_paired() {
    let other = sim(vec![host::phone()]);
    let mut stranger = record(&other, host::UDID);
    stranger.host_id = "0FA4E000-0000-4000-8000-00000000BEEF".to_owned();
    for (name, cable, expected) in [
        (
            "untrusted",
            true,
            LockdownError::PairingDialogResponsePending,
        ),
        ("untrusted-locked", true, LockdownError::PasswordProtected),
        ("trust-denied", true, LockdownError::UserDeniedPairing),
        ("managed", true, LockdownError::MCProtected),
        (
            "wifi-only",
            false,
            LockdownError::PairingProhibitedOverThisConnection,
        ),
    ] {
        let persona = load(name);
        let udid = persona.identity.udid.clone();
        let sim = sim(vec![persona]);
        let mut lockdown = Lockdown::by(&sim, &udid, cable).await;
        let pair = Request::Pair(call(&stranger));
        lockdown.ask(&pair).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            lockdown.ask(&pair).await,
            Reply::Refused(expected),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whose_lockdown_is_broken() {
    let get = Request::GetValue {
        domain: Some("com.apple.mobile.backup".to_owned()),
        key: None,
    };
    for (name, expected) in [
        ("lockdown-rubbish", "malformed"),
        ("lockdown-stalls", "silence"),
        ("lockdown-huge", "claims"),
        ("link-lost", "without sending TLS close_notify"),
    ] {
        let persona = load(name);
        let udid = persona.identity.udid.clone();
        let sim = sim(vec![persona]);
        let mut lockdown = Lockdown::trusted(&sim, &udid).await;
        let asked = tokio::time::timeout(Duration::from_secs(60), lockdown.try_ask(&get)).await;
        let said = match asked {
            Ok(answer) => {
                answer.map_or_else(|error| error.to_string(), |reply| format!("{reply:?}"))
            }
            Err(_) => "silence".to_owned(),
        };
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[tokio::test]
async fn how_they_are_linked_and_set_up() {
    for (name, links) in [("wifi-and-cable", 2), ("wifi-only", 1), ("fresh", 1)] {
        assert_eq!(devices(&sim(vec![load(name)])).await.len(), links, "{name}");
    }
    for (name, key, expected) in [
        ("fresh", "SetupDone", Value::Boolean(true)),
        ("setup-in-progress", "SetupDone", Value::Boolean(false)),
        (
            "restoring",
            "RestoreState",
            Value::from("BackgroundRestoringFromiCloudBackup"),
        ),
    ] {
        let persona = load(name);
        let udid = persona.identity.udid.clone();
        let sim = sim(vec![persona]);
        let mut lockdown = Lockdown::trusted(&sim, &udid).await;
        let value = lockdown.get(Some("com.apple.purplebuddy"), Some(key)).await;
        assert_eq!(value, Ok(expected), "{name}");
    }
}

/// All its examples together are one.
#[test]
fn the_examples_of_the_readme_are_a_phone() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let examples: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .collect();
    assert_eq!(examples.len(), 3);
    let persona = Persona::parse(&examples.concat()).unwrap();
    assert_eq!(persona.books.unwrap().attempts.len(), 2);
}
