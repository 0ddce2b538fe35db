//! lockdownd against the facts of protocol.md section 4: who may read what, pairing, sessions, services, faults.

#![cfg(test)]

mod host;

use std::time::Duration;

use backupwatch_sim::persona::{
    BeforeFirstUnlock, Dialog, LinkKind, LinkSpec, LockdownFault, LockdownFaultKind, PairingPolicy,
    Persona, ServiceSsl,
};
use backupwatch_wire::lockdown::{LockdownError, PORT, PairRecord, Reply, Request, Secret};
use host::{Lockdown, UDID, call, client_config, connect, device, phone, record, sim, soon};
use plist::Value;

const BACKUP: Option<&str> = Some("com.apple.mobile.backup");

#[tokio::test]
async fn without_a_session_only_public_values_are_readable() {
    let sim = sim(vec![phone()]);
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    let cases = [
        (None, Some("DeviceName"), Ok(Value::from("Ada’s iPhone"))),
        (Some(""), Some("ProductVersion"), Ok(Value::from("18.4.1"))),
        (
            None,
            Some("SerialNumber"),
            Err(LockdownError::GetProhibited),
        ),
        (
            None,
            Some("TimeIntervalSince1970"),
            Err(LockdownError::GetProhibited),
        ),
        (BACKUP, None, Err(LockdownError::GetProhibited)),
        (
            BACKUP,
            Some("LastCloudBackupDate"),
            Err(LockdownError::GetProhibited),
        ),
    ];
    for (domain, key, expected) in cases {
        assert_eq!(
            lockdown.get(domain, key).await,
            expected,
            "{domain:?} {key:?}"
        );
    }
    let root = lockdown.get(None, None).await.unwrap();
    let root = root.as_dictionary().unwrap();
    assert!(root.contains_key("UniqueDeviceID") && root.contains_key("DevicePublicKey"));
    assert!(!root.contains_key("SerialNumber") && !root.contains_key("PasswordProtected"));
}

#[tokio::test]
async fn in_a_session_the_rest_is_readable_too() {
    let mut persona = phone();
    persona.lockdown.prohibited = vec![
        "com.apple.iTunes".to_owned(),
        "com.apple.disk_usage/TotalDiskCapacity".to_owned(),
    ];
    persona.lockdown.missing = vec![
        "root/TimeIntervalSince1970".to_owned(),
        "com.apple.mobile.iTunes".to_owned(),
    ];
    let sim = sim(vec![persona]);
    let mut lockdown = Lockdown::trusted(&sim, UDID).await;
    let cases = [
        (
            "prohibited domain",
            Some("com.apple.iTunes"),
            None,
            LockdownError::GetProhibited,
        ),
        (
            "key in it",
            Some("com.apple.iTunes"),
            Some("DBVersion"),
            LockdownError::GetProhibited,
        ),
        (
            "missing domain",
            Some("com.apple.mobile.iTunes"),
            None,
            LockdownError::MissingValue,
        ),
        (
            "unknown domain",
            Some("com.example"),
            Some("x"),
            LockdownError::MissingValue,
        ),
        (
            "missing key",
            None,
            Some("TimeIntervalSince1970"),
            LockdownError::MissingValue,
        ),
        (
            "unknown key",
            BACKUP,
            Some("WillEncrypt"),
            LockdownError::MissingValue,
        ),
        (
            "prohibited key",
            Some("com.apple.disk_usage"),
            Some("TotalDiskCapacity"),
            LockdownError::GetProhibited,
        ),
    ];
    for (name, domain, key, expected) in cases {
        assert_eq!(lockdown.get(domain, key).await, Err(expected), "{name}");
    }
    let disk = lockdown
        .get(Some("com.apple.disk_usage"), None)
        .await
        .unwrap();
    let disk = disk.as_dictionary().unwrap();
    assert!(disk.contains_key("TotalDataCapacity") && !disk.contains_key("TotalDiskCapacity"));
    assert_eq!(
        lockdown.get(None, Some("PasswordProtected")).await,
        Ok(Value::Boolean(false))
    );
}

#[tokio::test]
async fn values_change_under_the_drivers_hand_and_the_hosts() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    let mut lockdown = Lockdown::trusted(&sim, UDID).await;

    // protocol.md 5.1, capture B
    driver.set_cloud_date("2026-10-04T11:41:53Z".parse().unwrap());
    let date = lockdown.get(BACKUP, Some("LastCloudBackupDate")).await;
    assert_eq!(date, Ok(Value::from(812_806_913)));
    driver.set_cloud_stamp(None);
    let date = lockdown.get(BACKUP, Some("LastCloudBackupDate")).await;
    assert_eq!(date, Err(LockdownError::MissingValue));
    driver.lock();
    assert_eq!(
        lockdown.get(None, Some("PasswordProtected")).await,
        Ok(Value::Boolean(true))
    );

    driver
        .phone()
        .clock()
        .fix("2025-05-16T21:03:08Z".parse().unwrap());
    let clock = lockdown.get(None, Some("TimeIntervalSince1970")).await;
    assert_eq!(clock, Ok(Value::Real(1_747_429_388.0)));

    let set = |key: &str, value: Value| Request::SetValue {
        domain: None,
        key: Some(key.to_owned()),
        value,
    };
    assert_eq!(
        lockdown.ask(&set("DeviceName", "Hugo".into())).await,
        Reply::Done
    );
    assert_eq!(
        lockdown.get(None, Some("DeviceName")).await,
        Ok(Value::from("Hugo"))
    );
    let refused = lockdown.ask(&set("SerialNumber", "x".into())).await;
    assert_eq!(refused, Reply::Refused(LockdownError::SetProhibited));
}

/// A record whose certificates are real and which the phone has never seen.
fn strangers_record() -> PairRecord {
    let other = sim(vec![Persona::plain("00008101-000A11112222FFFF", "other")]);
    let mut record = record(&other, "00008101-000A11112222FFFF");
    record.host_id = "0FA4E000-0000-4000-8000-00000000BEEF".to_owned();
    record
}

fn untrusting() -> Persona {
    let mut persona = phone();
    persona.trust.paired = false;
    persona
}

#[tokio::test]
async fn pairing_waits_for_the_owner() {
    let sim = sim(vec![untrusting()]);
    let driver = sim.phone(UDID).unwrap();
    let record = strangers_record();
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    let pair = Request::Pair(call(&record));
    let pending = Reply::Refused(LockdownError::PairingDialogResponsePending);

    assert!(!driver.tap_trust(), "there is nothing to tap yet");
    assert_eq!(lockdown.ask(&pair).await, pending);
    driver.trust_dialog_shown().await;
    assert_eq!(lockdown.ask(&pair).await, pending);
    assert_eq!(
        lockdown.start_session(&record).await,
        Err(LockdownError::InvalidHostID),
        "not before the tap"
    );
    assert!(driver.tap_trust());
    let Reply::Paired {
        escrow_bag: Some(escrow_bag),
    } = lockdown.ask(&pair).await
    else {
        panic!("paired");
    };
    assert_eq!(escrow_bag.0.len(), 32);
    assert_eq!(
        lockdown.ask(&Request::ValidatePair(call(&record))).await,
        Reply::Done
    );
    lockdown.start_session(&record).await.unwrap();
    assert!(lockdown.get(BACKUP, None).await.is_ok());

    let mut again = Lockdown::new(&sim, UDID).await;
    assert_eq!(
        again.ask(&Request::Unpair(call(&record))).await,
        Reply::Done
    );
    let validate = again.ask(&Request::ValidatePair(call(&record))).await;
    assert_eq!(validate, Reply::Refused(LockdownError::InvalidHostID));
}

#[tokio::test]
async fn pairing_fails_in_each_of_its_ways() {
    type Change = fn(&mut Persona);
    let cases: [(&str, Change, bool, LockdownError); 5] = [
        (
            "locked",
            |p| p.passcode.locked = true,
            true,
            LockdownError::PasswordProtected,
        ),
        (
            "managed",
            |p| p.trust.pairing = PairingPolicy::Managed,
            true,
            LockdownError::MCProtected,
        ),
        (
            "challenge",
            |p| p.trust.pairing = PairingPolicy::ManagedChallenge,
            true,
            LockdownError::MCChallengeRequired,
        ),
        (
            "over Wi-Fi",
            |p| p.link = vec![LinkSpec::new(LinkKind::Network, true)],
            false,
            LockdownError::PairingProhibitedOverThisConnection,
        ),
        (
            "nobody answers",
            |p| p.trust.dialog = Dialog::Wait,
            true,
            LockdownError::PairingDialogResponsePending,
        ),
    ];
    for (name, change, cable, expected) in cases {
        let mut persona = untrusting();
        change(&mut persona);
        let sim = sim(vec![persona]);
        let mut lockdown = Lockdown::by(&sim, UDID, cable).await;
        let reply = lockdown
            .ask(&Request::Pair(call(&strangers_record())))
            .await;
        assert_eq!(reply, Reply::Refused(expected), "{name}");
    }
    let sim = sim(vec![untrusting()]);
    let mut broken = strangers_record();
    broken.device_certificate = Some(Secret(b"no certificate".to_vec()));
    let reply = Lockdown::new(&sim, UDID)
        .await
        .ask(&Request::Pair(call(&broken)))
        .await;
    assert_eq!(reply, Reply::Refused(LockdownError::InvalidPairRecord));
}

#[tokio::test(start_paused = true)]
async fn the_persona_taps_by_itself() {
    for (dialog, expected) in [
        (Dialog::TapAfter(2.0), true),
        (Dialog::DenyAfter(2.0), false),
    ] {
        let mut persona = untrusting();
        persona.trust.dialog = dialog;
        let sim = sim(vec![persona]);
        let record = strangers_record();
        let mut lockdown = Lockdown::new(&sim, UDID).await;
        let pair = Request::Pair(call(&record));
        let mut replies = Vec::new();
        for _ in 0..4 {
            replies.push(lockdown.ask(&pair).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(
            replies[0],
            Reply::Refused(LockdownError::PairingDialogResponsePending)
        );
        let paired = matches!(replies[3], Reply::Paired { .. });
        assert_eq!(paired, expected, "{dialog:?}");
        if !expected {
            assert_eq!(replies[3], Reply::Refused(LockdownError::UserDeniedPairing));
        }
    }
}

#[tokio::test]
async fn a_forgotten_host_gets_no_session() {
    let mut persona = phone();
    persona.trust.expired = true;
    let sim = sim(vec![persona]);
    let record = record(&sim, UDID);
    let refused = Lockdown::new(&sim, UDID).await.start_session(&record).await;
    assert_eq!(refused, Err(LockdownError::InvalidHostID));
}

#[tokio::test]
async fn tls_wants_the_certificate_of_the_pair_record() {
    let sim = sim(vec![phone()]);
    let record = record(&sim, UDID);
    let start = Request::StartSession {
        host_id: record.host_id.clone(),
        system_buid: record.system_buid.clone(),
    };
    // A host that knows the HostID but not the key.
    let params = rcgen::CertificateParams::default();
    let key = rcgen::KeyPair::generate().unwrap();
    let forged = params.self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let forged = host::config()
        .with_client_auth_cert(vec![forged.der().clone()], key)
        .unwrap();
    let mut root = record.clone();
    root.host_certificate.clone_from(&record.root_certificate);
    root.host_private_key.clone_from(&record.root_private_key);

    for (name, config, expected) in [
        ("none", host::nobodys_config(), false),
        ("forged", forged, false),
        ("the host's", client_config(&record), true),
        (
            "the root's, as libimobiledevice does",
            client_config(&root),
            true,
        ),
    ] {
        let mut lockdown = Lockdown::new(&sim, UDID).await;
        assert!(
            matches!(lockdown.ask(&start).await, Reply::Session { tls: true, .. }),
            "{name}"
        );
        let shaken = lockdown.start_tls(config).await;
        // In TLS 1.3 the host hears of the refusal when it first reads.
        let asked = match shaken {
            Ok(()) => lockdown.try_ask(&Request::QueryType).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(asked, expected, "{name}");
    }
}

#[tokio::test]
async fn the_phone_presents_the_certificate_that_the_host_made() {
    let sim = sim(vec![phone()]);
    let record = record(&sim, UDID);
    let stream = host::service(&sim, UDID, "com.apple.mobile.notification_proxy").await;
    let presented = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let pem = &record.device_certificate.as_ref().unwrap().0;
    let made: rustls::pki_types::CertificateDer<'_> =
        rustls::pki_types::pem::PemObject::from_pem_slice(pem).unwrap();
    assert_eq!(presented, made);
}

#[tokio::test]
async fn after_the_session_the_connection_goes_on_in_the_open() {
    let sim = sim(vec![phone()]);
    let mut lockdown = Lockdown::trusted(&sim, UDID).await;
    assert!(lockdown.get(BACKUP, None).await.is_ok());
    let start = Request::StartSession {
        host_id: "x".to_owned(),
        system_buid: None,
    };
    assert_eq!(
        lockdown.ask(&start).await,
        Reply::Refused(LockdownError::SessionActive)
    );

    lockdown.stop_session().await;
    assert_eq!(
        lockdown.get(BACKUP, None).await,
        Err(LockdownError::GetProhibited)
    );
    assert!(lockdown.get(None, Some("DeviceName")).await.is_ok());
    // And once more round.
    lockdown.start_session(&record(&sim, UDID)).await.unwrap();
    assert!(lockdown.get(BACKUP, None).await.is_ok());
    lockdown.stop_session().await;
    assert_eq!(lockdown.ask(&Request::Goodbye).await, Reply::Done);
    assert!(
        lockdown.try_ask(&Request::QueryType).await.is_err(),
        "Goodbye is the end"
    );
}

#[tokio::test]
async fn a_session_without_tls_is_possible() {
    let mut persona = phone();
    persona.lockdown.session_ssl = false;
    let sim = sim(vec![persona]);
    let mut lockdown = Lockdown::trusted(&sim, UDID).await;
    assert!(lockdown.get(BACKUP, None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_ten_seconds() {
    let sim = sim(vec![phone()]);
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    assert!(lockdown.try_ask(&Request::QueryType).await.is_ok());
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(
        lockdown.try_ask(&Request::QueryType).await.is_ok(),
        "nine seconds are none too many"
    );
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(lockdown.try_ask(&Request::QueryType).await.is_err());
}

/// Which escrow bag the host sends.
#[derive(Clone, Copy, Debug)]
enum Bag {
    None,
    Wrong,
    Right,
}

#[tokio::test]
async fn services_start_as_the_lock_allows() {
    const BACKUP2: &str = "com.apple.mobilebackup2";
    const PROXY: &str = "com.apple.mobile.notification_proxy";
    let refused = |error| Err(error);
    let cases = [
        // locked, unlocked since boot, service, bag, outcome
        (false, true, BACKUP2, Bag::None, Ok(())),
        (false, true, BACKUP2, Bag::Right, Ok(())),
        (
            true,
            true,
            BACKUP2,
            Bag::None,
            refused(LockdownError::PasswordProtected),
        ),
        (
            true,
            true,
            BACKUP2,
            Bag::Wrong,
            refused(LockdownError::PasswordProtected),
        ),
        (true, true, BACKUP2, Bag::Right, Ok(())),
        (true, true, PROXY, Bag::None, Ok(())),
        (
            true,
            false,
            BACKUP2,
            Bag::None,
            refused(LockdownError::PasswordProtected),
        ),
        (
            true,
            false,
            BACKUP2,
            Bag::Right,
            refused(LockdownError::EscrowLocked),
        ),
        (true, false, PROXY, Bag::None, Ok(())),
        (
            false,
            true,
            "com.example.nothing",
            Bag::None,
            refused(LockdownError::InvalidService),
        ),
        (
            false,
            true,
            "com.apple.refused",
            Bag::None,
            refused(LockdownError::ServiceLimit),
        ),
    ];
    for (locked, unlocked_since_boot, service, bag, expected) in cases {
        let name = format!("locked {locked}, since boot {unlocked_since_boot}, {service}, {bag:?}");
        let mut persona = phone();
        persona.passcode.locked = locked;
        persona.passcode.unlocked_since_boot = unlocked_since_boot;
        persona.passcode.before_first_unlock = BeforeFirstUnlock::Session;
        persona
            .services
            .refuse
            .insert("com.apple.refused".to_owned(), "ServiceLimit".to_owned());
        let sim = sim(vec![persona]);
        let bag = match bag {
            Bag::None => None,
            Bag::Wrong => Some(Secret(vec![7; 32])),
            Bag::Right => record(&sim, UDID).escrow_bag,
        };
        let mut lockdown = Lockdown::trusted(&sim, UDID).await;
        let outcome = lockdown.start_service(service, bag).await.map(drop);
        assert_eq!(outcome, expected, "{name}");
    }
}

#[tokio::test]
async fn before_the_first_unlock_a_session_is_refused_in_either_way() {
    for (how, expected) in [
        (
            BeforeFirstUnlock::PasswordProtected,
            Err(LockdownError::PasswordProtected),
        ),
        (
            BeforeFirstUnlock::InvalidHostId,
            Err(LockdownError::InvalidHostID),
        ),
        (BeforeFirstUnlock::Session, Ok(())),
    ] {
        let mut persona = phone();
        persona.passcode.before_first_unlock = how;
        let sim = sim(vec![persona]);
        let driver = sim.phone(UDID).unwrap();
        driver.reboot();
        let record = record(&sim, UDID);
        let outcome = Lockdown::new(&sim, UDID).await.start_session(&record).await;
        assert_eq!(outcome, expected, "{how:?}");
        driver.unlock();
        let outcome = Lockdown::new(&sim, UDID).await.start_session(&record).await;
        assert_eq!(outcome, Ok(()), "{how:?}, unlocked");
    }
}

#[tokio::test]
async fn services_need_a_session_and_ask_for_tls_where_they_should() {
    let sim_of = |ssl| {
        let mut persona = phone();
        persona.services.ssl = ssl;
        persona.link = vec![
            LinkSpec::new(LinkKind::Network, true),
            LinkSpec::new(LinkKind::Usb, true),
        ];
        sim(vec![persona])
    };
    const PROXY: &str = "com.apple.mobile.notification_proxy";
    for (ssl, cable, expected) in [
        (ServiceSsl::Always, true, true),
        (ServiceSsl::WifiOnly, true, false),
        (ServiceSsl::WifiOnly, false, true),
        (ServiceSsl::Never, false, false),
    ] {
        let sim = sim_of(ssl);
        let mut lockdown = Lockdown::by(&sim, UDID, cable).await;
        let without = lockdown.start_service(PROXY, None).await;
        assert_eq!(without, Err(LockdownError::SessionInactive));
        lockdown.start_session(&record(&sim, UDID)).await.unwrap();
        let (_, tls) = lockdown.start_service(PROXY, None).await.unwrap();
        assert_eq!(tls, expected, "{ssl:?}, by cable: {cable}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_looks_to_the_host_as_it_is_named() {
    let get = Request::GetValue {
        domain: None,
        key: Some("DeviceName".to_owned()),
    };
    for (kind, expected) in [
        (LockdownFaultKind::Stall, "silence"),
        (LockdownFaultKind::Close, "unexpected end of file"),
        (LockdownFaultKind::Cut, "unexpected end of file"),
        (LockdownFaultKind::Unplug, "unexpected end of file"),
        (LockdownFaultKind::Rubbish, "malformed property list"),
        (LockdownFaultKind::NotADictionary, "not a dictionary"),
        (LockdownFaultKind::HugeLength, "claims 4294967280 bytes"),
        (
            LockdownFaultKind::Error("ServiceLimit".to_owned()),
            "ServiceLimit",
        ),
        (LockdownFaultKind::Slow(5.0), "late"),
    ] {
        let mut persona = phone();
        persona.lockdown.fault = vec![LockdownFault {
            request: Some("GetValue".to_owned()),
            domain: None,
            after: 1,
            times: None,
            kind: kind.clone(),
        }];
        let sim = sim(vec![persona]);
        let mut lockdown = Lockdown::new(&sim, UDID).await;
        assert!(
            lockdown.try_ask(&Request::QueryType).await.is_ok(),
            "{kind:?}: another request"
        );
        assert!(
            lockdown.try_ask(&get).await.is_ok(),
            "{kind:?}: the first is answered well"
        );
        let asked = tokio::time::Instant::now();
        let outcome = tokio::time::timeout(Duration::from_secs(60), lockdown.try_ask(&get)).await;
        let said = match outcome {
            Err(_) => "silence".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(Reply::Value(_))) if asked.elapsed() >= Duration::from_secs(5) => {
                "late".to_owned()
            }
            Ok(Ok(reply)) => format!("{reply:?}"),
        };
        assert!(said.contains(expected), "{kind:?}: {said}");
        let attached = !host::devices(&sim).await.is_empty();
        assert_eq!(attached, kind != LockdownFaultKind::Unplug, "{kind:?}");
    }
}

#[tokio::test]
async fn hostile_requests_end_the_connection_and_nothing_else() {
    let sim = sim(vec![phone()]);
    for (name, bytes) in [
        ("no plist", [&8_u32.to_be_bytes()[..], b"rubbish!"].concat()),
        ("huge length", 0xFFFF_FFFF_u32.to_be_bytes().to_vec()),
        ("no dictionary", {
            let body = backupwatch_wire::codec::to_xml(&Value::from("hello"));
            backupwatch_wire::lockdown::encode_frame(&body)
        }),
        ("no request", {
            let body = Value::Dictionary(plist::Dictionary::new());
            backupwatch_wire::lockdown::encode_frame(&backupwatch_wire::codec::to_xml(&body))
        }),
    ] {
        let mut lockdown = Lockdown::new(&sim, UDID).await;
        lockdown.send_raw(&bytes).await.unwrap();
        assert!(soon(lockdown.frame()).await.is_err(), "{name}");
    }
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    let unknown = Request::Unknown {
        request: "EraseEverything".to_owned(),
    };
    let refused = lockdown.ask(&unknown).await;
    assert_eq!(
        refused,
        Reply::Refused(LockdownError::Other("InvalidRequest".to_owned()))
    );
    assert!(lockdown.try_ask(&Request::QueryType).await.is_ok());
}

#[tokio::test]
async fn a_single_stepped_phone_waits_for_each_step() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    driver.single_step(true);
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    let asking = tokio::spawn(async move {
        lockdown.ask(&Request::QueryType).await;
        lockdown.get(None, Some("DeviceName")).await
    });
    assert_eq!(soon(driver.step()).await, "QueryType");
    tokio::task::yield_now().await;
    assert!(!asking.is_finished());
    assert_eq!(soon(driver.step()).await, "GetValue");
    assert!(soon(asking).await.unwrap().is_ok());

    // Off lets everything go.
    let mut lockdown = Lockdown::new(&sim, UDID).await;
    let asking = tokio::spawn(async move { lockdown.try_ask(&Request::QueryType).await.is_ok() });
    tokio::task::yield_now().await;
    driver.single_step(false);
    assert!(soon(asking).await.unwrap());
}

#[tokio::test]
async fn the_journal_has_the_requests_in_order() {
    use backupwatch_sim::phone::Channel;
    let sim = sim(vec![phone()]);
    let mut lockdown = Lockdown::trusted(&sim, UDID).await;
    lockdown.get(BACKUP, None).await.unwrap();
    lockdown.stop_session().await;
    let driver = sim.phone(UDID).unwrap();
    let names = driver.phone().journal().names(Channel::Lockdown);
    assert_eq!(names, ["StartSession", "GetValue", "StopSession"]);
    let get = driver
        .seen()
        .into_iter()
        .find(|seen| seen.name == "GetValue")
        .unwrap();
    let domain = get
        .body
        .unwrap()
        .into_dictionary()
        .unwrap()
        .get("Domain")
        .cloned();
    assert_eq!(domain, BACKUP.map(Value::from));
    assert!(
        connect(&sim, device(&sim, UDID, true).await, PORT + 1)
            .await
            .is_err()
    );
}
