//! Asking for trust: each answer of the phone, the wait for it, and what is kept of it.

#![cfg(test)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backupwatch_core::{LinkKind, Trust};
use backupwatch_device::{DeviceError, PairOptions, pair, probe};
use backupwatch_sim::phone::Channel;
use backupwatch_wire::lockdown::PairRecord;
use common::{Noon, Stage, UDID, soon};
use tokio_util::sync::CancellationToken;

/// One question, and how often its dialog was reported.
async fn ask(stage: &Stage, patience: Duration) -> (Result<Trust, DeviceError>, usize) {
    let attached = stage.attached().await;
    let pending = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pending);
    let options = PairOptions {
        host_name: Some("a test".to_owned()),
        patience,
    };
    let answer = pair(
        &stage.transport,
        &attached,
        &options,
        &Noon,
        &stage.timeouts,
        move || {
            count.fetch_add(1, Ordering::Relaxed);
        },
        CancellationToken::new(),
    );
    let answer = soon("the answer", answer).await;
    (answer, pending.load(Ordering::Relaxed))
}

const LONG: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(300);
const UNPAIRED: &str = "[trust]\npaired = false\n";

#[tokio::test]
async fn every_answer_of_the_phone_is_its_own() {
    for (name, lines, patience, want, dialogs) in [
        (
            "tapped Trust after a while",
            "[trust]\npaired = false\ndialog = { tap-after = 0.3 }\n",
            LONG,
            Trust::Trusted,
            1,
        ),
        (
            "tapped Don't Trust",
            "[trust]\npaired = false\ndialog = { deny-after = 0.3 }\n",
            LONG,
            Trust::Denied,
            1,
        ),
        ("nobody there", UNPAIRED, SHORT, Trust::DialogPending, 1),
        (
            "locked",
            "[trust]\npaired = false\n[passcode]\nlocked = true\n",
            LONG,
            Trust::LockedForPairing,
            0,
        ),
        (
            "managed",
            "[trust]\npaired = false\npairing = \"managed\"\n",
            LONG,
            Trust::ManagedForbids,
            0,
        ),
        (
            "managed, with a challenge",
            "[trust]\npaired = false\npairing = \"managed-challenge\"\n",
            LONG,
            Trust::ManagedForbids,
            0,
        ),
        (
            "on Wi-Fi",
            "[trust]\npaired = false\n[[link]]\nkind = \"network\"\n",
            LONG,
            Trust::CableNeeded,
            0,
        ),
        (
            "forgotten by the phone, trusted again",
            "[trust]\nexpired = true\ndialog = { tap-after = 0.1 }\n",
            LONG,
            Trust::Trusted,
            1,
        ),
        ("trusted already", "", LONG, Trust::Trusted, 0),
        (
            "trusted, but not unlocked since it was started",
            "[passcode]\nlocked = true\nunlocked_since_boot = false\n",
            LONG,
            Trust::LockedForPairing,
            0,
        ),
        (
            "the same, on a phone that says it does not know us",
            "[passcode]\nlocked = true\nunlocked_since_boot = false\nbefore_first_unlock = \"invalid-host-id\"\n",
            LONG,
            Trust::LockedForPairing,
            0,
        ),
    ] {
        let stage = Stage::with(lines);
        let (answer, pending) = ask(&stage, patience).await;
        assert_eq!(answer.unwrap(), want, "{name}");
        assert_eq!(
            pending, dialogs,
            "{name}: said once that the phone is asking"
        );
    }
}

#[tokio::test]
async fn a_phone_that_trusts_us_is_not_asked() {
    let stage = Stage::with("");
    ask(&stage, LONG).await.0.unwrap();
    assert_eq!(stage.times_asked("Pair"), 0);
}

#[tokio::test]
async fn the_new_record_lets_us_in_and_has_what_others_expect() {
    let stage = Stage::with("[trust]\npaired = false\ndialog = { tap-after = 0.1 }\n");
    assert!(stage.sim.hub().pair_record(UDID).is_none());
    ask(&stage, LONG).await.0.unwrap();

    let record = PairRecord::decode(&stage.sim.hub().pair_record(UDID).unwrap()).unwrap();
    assert!(
        record.escrow_bag.is_some(),
        "the phone's escrow bag is kept"
    );
    for (name, there) in [
        ("DeviceCertificate", record.device_certificate.is_some()),
        ("HostCertificate", record.host_certificate.is_some()),
        ("HostPrivateKey", record.host_private_key.is_some()),
        ("RootCertificate", record.root_certificate.is_some()),
        ("RootPrivateKey", record.root_private_key.is_some()),
        ("SystemBUID", record.system_buid.is_some()),
        ("WiFiMACAddress", record.wifi_mac_address.is_some()),
    ] {
        assert!(there, "{name}");
    }
    let attached = stage.attached().await;
    let facts = probe(&stage.transport, &attached, &Noon, &stage.timeouts)
        .await
        .unwrap();
    assert_eq!(facts.trust, Trust::Trusted);
    assert_eq!(facts.cloud_enabled, Ok(true));
}

#[tokio::test]
async fn all_repeats_are_one_question_and_no_private_key_leaves() {
    let stage = Stage::with("[trust]\npaired = false\ndialog = { tap-after = 0.4 }\n");
    ask(&stage, LONG).await.0.unwrap();
    let questions: Vec<_> = stage
        .phone()
        .seen()
        .into_iter()
        .filter(|seen| seen.channel == Channel::Lockdown && seen.name == "Pair")
        .filter_map(|seen| seen.body)
        .collect();
    assert!(questions.len() >= 3, "{}", questions.len());
    assert!(
        questions.iter().all(|one| *one == questions[0]),
        "the same keys each time"
    );
    let record = questions[0].as_dictionary().unwrap()["PairRecord"]
        .as_dictionary()
        .unwrap();
    for key in ["HostPrivateKey", "RootPrivateKey"] {
        assert!(!record.contains_key(key), "{key}");
    }
    let everything = format!("{questions:?}");
    assert!(!everything.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_dropped_connection_does_not_end_the_question() {
    let stage = Stage::with(
        "[trust]\npaired = false\n[[lockdown.fault]]\nrequest = \"Pair\"\nafter = 2\ntimes = 1\nkind = \"close\"\n",
    );
    let phone = stage.phone();
    let owner = async {
        phone.trust_dialog_shown().await;
        let journal = phone.phone().journal();
        while journal
            .names(Channel::Lockdown)
            .iter()
            .filter(|name| *name == "Pair")
            .count()
            < 5
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(phone.tap_trust());
    };
    let ((answer, pending), ()) = tokio::join!(ask(&stage, LONG), owner);
    assert_eq!(answer.unwrap(), Trust::Trusted);
    assert_eq!(pending, 1);
}

#[tokio::test]
async fn cancelling_ends_the_wait() {
    let stage = Stage::with(UNPAIRED);
    let attached = stage.attached().await;
    let cancel = CancellationToken::new();
    let options = PairOptions {
        host_name: None,
        patience: LONG,
    };
    let phone = stage.phone();
    let (answer, ()) = tokio::join!(
        pair(
            &stage.transport,
            &attached,
            &options,
            &Noon,
            &stage.timeouts,
            || {},
            cancel.clone()
        ),
        async {
            soon("the dialog", phone.trust_dialog_shown()).await;
            cancel.cancel();
        }
    );
    assert!(matches!(answer, Err(DeviceError::Cancelled)), "{answer:?}");
    assert!(stage.sim.hub().pair_record(UDID).is_none());
}

#[tokio::test]
async fn a_phone_with_a_rubbish_key_is_an_error_and_no_panic() {
    let stage = Stage::with(
        "[trust]\npaired = false\n[values.root]\nDevicePublicKey = \"not even data\"\n",
    );
    let (answer, _) = ask(&stage, LONG).await;
    assert!(
        matches!(answer, Err(DeviceError::Unexpected { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn unplugging_during_the_question_is_an_error() {
    let stage = Stage::with(UNPAIRED);
    assert_eq!(stage.attached().await.link, LinkKind::Usb);
    let phone = stage.phone();
    let ((answer, _), ()) = tokio::join!(ask(&stage, LONG), async {
        soon("the dialog", phone.trust_dialog_shown()).await;
        phone.unplug();
    });
    assert!(
        matches!(answer, Err(DeviceError::NotAttached)),
        "{answer:?}"
    );
}
