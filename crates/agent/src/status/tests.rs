//! The document as bytes: what scripts read must not change without somebody noticing.

use backupwatch_core::verdict::{CloudVerdict, Concern, Level, NextStep, Verdict};
use backupwatch_core::{DeviceTime, Facts, NoAnswer};

use super::*;
use crate::medium::Condition;

fn host(text: &str) -> HostTime {
    HostTime(text.parse().unwrap())
}

fn udid(n: u8) -> Udid {
    Udid::parse(&format!("00008110-{n:016X}")).unwrap()
}

fn verdict(state: CloudState, net: SafetyNet, protection: Protection, code: NextCode) -> Verdict {
    Verdict {
        as_of: Some(host("2026-11-22T08:00:00Z")),
        cloud: CloudVerdict {
            state,
            enabled: Some(true),
            last: Some(DeviceTime("2026-09-25T07:00:00Z".parse().unwrap())),
            age_s: Some(5_014_800),
            flags: Vec::new(),
            concern: Concern::Critical,
        },
        net,
        protection,
        reason: "why".to_owned(),
        next: NextStep {
            code,
            words: "what to do".to_owned(),
        },
    }
}

fn view(n: u8, verdict: Verdict) -> DeviceView {
    DeviceView {
        udid: udid(n),
        name: None,
        links: Vec::new(),
        trust: None,
        seen_at: None,
        facts: None,
        verdict,
        backup: BackupView::NotDue,
        reread_at: None,
        local_only: false,
        snoozed_until: None,
        muted_since: None,
        step: None,
        cause: None,
    }
}

fn stale() -> DeviceView {
    let seen = host("2026-11-22T08:00:00Z");
    let links = vec![LinkKind::Usb, LinkKind::Network];
    let mut facts = Facts::unanswered(
        udid(1),
        seen,
        links.clone(),
        Trust::Trusted,
        &NoAnswer::Missing,
    );
    facts.model = Ok("iPhone15,3".to_owned());
    facts.os_version = Ok("26.1".to_owned());
    let net = SafetyNet::Verified {
        level: Level::L2,
        at: host("2026-11-21T20:00:00.25Z"),
        age_s: 43_200,
        checked: Some(host("2026-11-22T03:00:00Z")),
    };
    DeviceView {
        name: Some("Ada’s iPhone 📱".to_owned()),
        links,
        trust: Some(Trust::Trusted),
        seen_at: Some(seen),
        facts: Some(facts),
        backup: BackupView::Due {
            reasons: vec!["iCloud 58 d old".to_owned()],
            waiting_for: "the phone to be unlocked".to_owned(),
        },
        reread_at: None,
        snoozed_until: Some(host("2026-11-23T08:00:00Z")),
        ..view(
            1,
            verdict(
                CloudState::Critical,
                net,
                Protection::AtRisk,
                NextCode::ShowSteps,
            ),
        )
    }
}

fn agent() -> AgentStatus {
    AgentStatus {
        running: true,
        last_poll: Some("2026-11-22T07:59:00Z".parse().unwrap()),
        usbmuxd: Some(true),
        remarks: Vec::new(),
        managed: None,
    }
}

#[test]
fn the_document() {
    let copy = LocalCopy {
        level: Level::L2,
        at: host("2026-11-21T20:00:00.25Z"),
        encrypted: true,
        bytes: 64_000_000_000,
        files: 150_000,
    };
    let unknown = verdict(
        CloudState::Unknown(UnknownWhy::NotTrusted),
        SafetyNet::None,
        Protection::Unknown,
        NextCode::Trust,
    );
    let second = udid(2);
    let running = Progress {
        phase: backupwatch_core::run::Phase::Transferring,
        percent: Some(12.5),
        bytes: 8_000_000_000,
        files: 1_200,
        started: host("2026-11-22T07:50:00Z"),
    };
    let document = document(
        host("2026-11-22T08:00:00Z"),
        agent(),
        &[stale(), view(2, unknown)],
        &BTreeMap::from([(udid(1), copy)]),
        &BTreeMap::from([(udid(2), "Grandma".to_owned())]),
        &Live {
            medium: Some(&Medium::there(
                "/Volumes/Safe".into(),
                Some(64_000_000_000),
                None,
            )),
            progress: BTreeMap::from([(&second, running)]),
            ..Live::default()
        },
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(
        serde_json::from_str::<Status>(&text).unwrap(),
        document,
        "our own client reads it"
    );
}

/// What the newest copy says about encryption is not said of another copy.
#[test]
fn encryption_is_only_said_of_the_copy_that_is_meant() {
    let at = host("2026-11-20T00:00:00Z");
    let net = SafetyNet::Unverified {
        at,
        age_s: 1,
        medium_missing: true,
    };
    let copy = |at| LocalCopy {
        level: Level::L2,
        at,
        encrypted: true,
        bytes: 0,
        files: 0,
    };
    assert_eq!(local(&net, Some(&copy(at)), None).encrypted, Some(true));
    assert_eq!(
        local(&net, Some(&copy(host("2026-11-19T00:00:00Z"))), None).encrypted,
        None
    );
    assert_eq!(local(&net, None, None).encrypted, None);
}

#[test]
fn the_worst_device_gives_the_exit_code() {
    let with = |words: &[Protection]| {
        let views: Vec<DeviceView> = words
            .iter()
            .zip(1..)
            .map(|(word, n)| {
                view(
                    n,
                    verdict(CloudState::Fresh, SafetyNet::None, *word, NextCode::Nothing),
                )
            })
            .collect();
        let none = BTreeMap::new();
        document(
            host("2026-11-22T08:00:00Z"),
            agent(),
            &views,
            &none,
            &BTreeMap::new(),
            &Live::default(),
        )
    };
    use Protection::{AtRisk, Protected, Unknown, Unprotected};
    let rows: [(&[Protection], ExitCode); 6] = [
        (&[], ExitCode::NoDevice),
        (&[Protected, Protected], ExitCode::Ok),
        (&[Protected, AtRisk], ExitCode::AtRisk),
        (&[AtRisk, Unprotected, Protected], ExitCode::Unprotected),
        (&[Protected, Unknown], ExitCode::AtRisk),
        (&[Unknown, Unprotected], ExitCode::Unprotected),
    ];
    for (words, expected) in rows {
        assert_eq!(exit_code(&with(words)), expected, "{words:?}");
    }
}

#[test]
fn a_state_without_an_agent_says_that_none_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = crate::state::open(&path).unwrap().state;
    let seen = host("2026-11-20T08:00:00Z");
    let mut one = Remembered::new(udid(1));
    one.past.first_seen = Some(seen);
    one.past.name = Some("Ada’s iPhone".to_owned());
    state.remember(&udid(1), seen, &one).unwrap();
    state.polled(seen).unwrap();
    drop(state);

    let state = crate::state::open_read_only(&path).unwrap();
    let now = Now::new("2026-11-22T08:00:00Z".parse().unwrap(), 0);
    let status =
        status_from_state(&state, &Config::default(), None, &OwnStores::new(), &now).unwrap();
    assert_eq!(status.as_of, now.host.0);
    assert_eq!(
        (status.agent.running, status.agent.last_poll),
        (false, Some(seen.0))
    );
}

/// Each trouble with the place has its own code and its own advice, and none of them is "no backups".
#[test]
fn a_place_that_cannot_be_looked_at_is_not_an_empty_one() {
    let verdict = verdict(
        CloudState::Critical,
        SafetyNet::None,
        Protection::Unprotected,
        NextCode::ConnectStore,
    );
    let views = [view(1, verdict)];
    let mut said = Vec::new();
    for (condition, local) in [
        (Condition::Missing, "unknown"),
        (Condition::Empty, "unknown"),
        (Condition::Other, "unknown"),
        (Condition::NotPermitted, "unknown"),
        (Condition::Unusable, "unknown"),
        (Condition::ReadOnly, "none"),
        (Condition::NoRoom, "none"),
    ] {
        let trouble = Trouble {
            condition,
            words: "why".to_owned(),
        };
        let medium = Medium {
            root: "/Volumes/Safe".into(),
            condition,
            free: None,
            disk: None,
            trouble: Some(trouble),
        };
        let live = Live {
            medium: Some(&medium),
            ..Live::default()
        };
        let (copies, names) = (BTreeMap::new(), BTreeMap::new());
        let document = document(
            views[0].verdict.as_of.unwrap(),
            agent(),
            &views,
            &copies,
            &names,
            &live,
        );
        assert_eq!(document.devices[0].local.state, local, "{condition:?}");
        let store = document.store.unwrap();
        assert_eq!(store.words.as_deref(), Some("why"));
        said.push(format!(
            "{}: {}",
            store.state, document.devices[0].next.words
        ));
    }
    insta::assert_snapshot!(said.join("\n"));
}
