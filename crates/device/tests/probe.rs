//! A visit to phones of every mood: what each reading is, or why there is none.

#![cfg(test)]

mod common;

use backupwatch_core::facts::{Battery, Disk, Setup};
use backupwatch_core::{DeviceTime, Facts, LinkKind, NoAnswer, Trust};
use backupwatch_device::{DeviceError, probe};
use backupwatch_sim::usbmuxd::MuxFault;
use backupwatch_wire::lockdown::{PairRecord, Secret};
use common::{Noon, Socket, Stage, UDID, persona};

async fn visit(stage: &Stage) -> Result<Facts, DeviceError> {
    let attached = stage.attached().await;
    probe(&stage.transport, &attached, &Noon, &stage.timeouts).await
}

fn at(text: &str) -> DeviceTime {
    DeviceTime(text.parse().unwrap())
}

/// Every reading that needs a session has this reason and no other.
#[track_caller]
fn closed(facts: &Facts, why: &NoAnswer) {
    for (name, reading) in [
        ("locked", facts.locked.clone().map(|_| ())),
        ("device clock", facts.device_clock.clone().map(|_| ())),
        ("cloud enabled", facts.cloud_enabled.clone().map(|_| ())),
        ("cloud last", facts.cloud_last.clone().map(|_| ())),
        ("local last", facts.local_last.clone().map(|_| ())),
        ("will encrypt", facts.will_encrypt.clone().map(|_| ())),
        ("requires", facts.requires_encryption.clone().map(|_| ())),
        ("battery", facts.battery.clone().map(|_| ())),
        ("disk", facts.disk.clone().map(|_| ())),
        ("setup", facts.setup.clone().map(|_| ())),
        ("find my", facts.find_my.clone().map(|_| ())),
        ("managed", facts.managed.clone().map(|_| ())),
    ] {
        assert_eq!(reading.as_ref(), Err(why), "{name}");
    }
}

const HEALTHY: &str = r#"
[clock]
start = "2026-11-01T12:00:03Z"
[icloud]
last = { integer = 812806913 }
[local]
last = { integer = 769034247 }
requires_encryption = 1
[battery]
percent = 61
charging = false
[disk]
total = 128000000000
data_total = 100000000000
data_available = 7000000000
"#;

#[tokio::test]
async fn a_healthy_phone_tells_everything_over_either_socket() {
    for socket in [Socket::Unix, Socket::Tcp] {
        let stage = Stage::on(socket, vec![persona(UDID, HEALTHY)]);
        let facts = visit(&stage).await.unwrap();
        assert_eq!(facts.udid.as_str(), UDID);
        assert_eq!(facts.seen_at, backupwatch_backup::Clock::now(&Noon));
        assert_eq!(facts.links, [LinkKind::Usb]);
        assert_eq!(facts.trust, Trust::Trusted);
        assert_eq!(facts.name, Ok("Ada’s iPhone".into()));
        assert_eq!(facts.device_class, Ok("iPhone".into()));
        assert!(facts.model.is_ok() && facts.os_version.is_ok() && facts.build.is_ok());
        assert_eq!(facts.locked, Ok(false));
        let clock = facts.device_clock.unwrap();
        let late = clock.0.duration_since(at("2026-11-01T12:00:03Z").0);
        assert!(late.as_secs().abs() < 60, "{late}");
        assert_eq!(facts.cloud_enabled, Ok(true));
        assert_eq!(facts.cloud_last, Ok(at("2026-10-04T11:41:53Z")));
        assert_eq!(facts.local_last, Ok(at("2025-05-15T20:37:27Z")));
        assert_eq!(facts.will_encrypt, Ok(false), "absent means no");
        assert_eq!(facts.requires_encryption, Ok(true), "an integer is a truth");
        assert_eq!(
            facts.battery,
            Ok(Battery {
                percent: 61,
                on_power: false
            })
        );
        assert_eq!(
            facts.disk,
            Ok(Disk {
                total: 100_000_000_000,
                free: 7_200_000_000
            })
        );
        assert_eq!(facts.setup, Ok(Setup::Done));
        assert_eq!(facts.find_my, Ok(true));
        assert_eq!(facts.managed, Ok(false));
    }
}

#[tokio::test]
async fn a_visit_is_one_session_that_is_ended() {
    let stage = Stage::with("");
    visit(&stage).await.unwrap();
    let asked = stage.asked();
    assert_eq!(stage.times_asked("StartSession"), 1, "{asked:?}");
    assert_eq!(asked.first().unwrap(), "QueryType");
    assert_eq!(asked.last().unwrap(), "StopSession");
    assert_eq!(stage.times_asked("Pair"), 0, "a visit never asks for trust");
    assert_eq!(
        stage.times_asked("GetValue"),
        7,
        "whole domains, one question each: {asked:?}"
    );
}

#[tokio::test]
async fn nothing_personal_stays_in_the_facts() {
    let stage = Stage::with(
        "[values.root]\nPhoneNumber = \"+49 30 1234567\"\nInternationalMobileEquipmentIdentity = \"356938035643809\"\n",
    );
    let facts = visit(&stage).await.unwrap();
    let text = format!("{facts:?}");
    for secret in ["1234567", "356938035643809"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn phones_that_do_not_let_us_in_still_tell_their_name() {
    for (name, lines, trust, why) in [
        (
            "never paired",
            "[trust]\npaired = false\n",
            Trust::NotTrusted,
            NoAnswer::NotTrusted,
        ),
        (
            "paired, and forgotten by the phone",
            "[trust]\nexpired = true\n",
            Trust::Expired,
            NoAnswer::NotTrusted,
        ),
        (
            "not unlocked since it was started",
            "[passcode]\nlocked = true\nunlocked_since_boot = false\n",
            Trust::Trusted,
            NoAnswer::NeverUnlocked,
        ),
    ] {
        let stage = Stage::with(lines);
        let facts = visit(&stage).await.unwrap();
        assert_eq!(facts.trust, trust, "{name}");
        assert_eq!(facts.name, Ok("Ada’s iPhone".into()), "{name}");
        assert_eq!(facts.device_class, Ok("iPhone".into()), "{name}");
        assert!(facts.os_version.is_ok(), "{name}");
        closed(&facts, &why);
        assert_eq!(stage.times_asked("Pair"), 0, "{name}");
    }
}

#[tokio::test]
async fn a_locked_phone_that_knows_us_tells_everything() {
    let stage = Stage::with("[passcode]\nlocked = true\n");
    let facts = visit(&stage).await.unwrap();
    assert_eq!(facts.locked, Ok(true));
    assert_eq!(facts.cloud_enabled, Ok(true));
    assert!(facts.cloud_last.is_ok());
}

#[tokio::test]
async fn each_kind_of_no_answer_is_its_own() {
    let unreadable = |raw: &str| NoAnswer::Unreadable { raw: raw.into() };
    let backup = "com.apple.mobile.backup";
    let fault = |kind: &str| {
        format!(
            "[[lockdown.fault]]\nrequest = \"GetValue\"\ndomain = \"{backup}\"\nkind = {kind}\n"
        )
    };
    for (name, lines, want) in [
        (
            "prohibited",
            format!("[lockdown]\nprohibited = [\"{backup}\"]\n"),
            NoAnswer::Prohibited,
        ),
        (
            "domain missing",
            format!("[lockdown]\nmissing = [\"{backup}\"]\n"),
            NoAnswer::Missing,
        ),
        (
            "key missing",
            format!("[lockdown]\nmissing = [\"{backup}/LastCloudBackupDate\"]\n"),
            NoAnswer::Missing,
        ),
        (
            "a Unix time",
            "[icloud]\nlast = { integer = 1791115200 }\n".into(),
            unreadable("1791115200"),
        ),
        (
            "text",
            "[icloud]\nlast = { text = \"yesterday\" }\n".into(),
            unreadable("yesterday"),
        ),
        (
            "locked",
            fault("{ error = \"PasswordProtected\" }"),
            NoAnswer::Locked,
        ),
        (
            "escrow",
            fault("{ error = \"EscrowLocked\" }"),
            NoAnswer::NeverUnlocked,
        ),
        (
            "no longer trusted",
            fault("{ error = \"InvalidHostID\" }"),
            NoAnswer::NotTrusted,
        ),
        (
            "an unknown word",
            fault("{ error = \"MoonInWrongPhase\" }"),
            unreadable("the device answered MoonInWrongPhase"),
        ),
        (
            "rubbish",
            fault("\"rubbish\""),
            unreadable("the phone's answer to GetValue is unreadable"),
        ),
        (
            "no dictionary",
            fault("\"not-a-dictionary\""),
            unreadable("the phone's answer to GetValue is unreadable"),
        ),
        ("closed", fault("\"close\""), NoAnswer::LinkLost),
        ("cut", fault("\"cut\""), NoAnswer::LinkLost),
        ("unplugged", fault("\"unplug\""), NoAnswer::LinkLost),
        ("silence", fault("\"stall\""), NoAnswer::LinkLost),
    ] {
        let stage = Stage::with(&lines);
        let facts = visit(&stage).await.unwrap();
        assert_eq!(facts.cloud_last, Err(want.clone()), "{name}");
        assert_eq!(
            facts.name,
            Ok("Ada’s iPhone".into()),
            "{name}: what came before stays"
        );
        assert_eq!(facts.trust, Trust::Trusted, "{name}");
        if want == NoAnswer::LinkLost {
            assert_eq!(facts.battery, Err(NoAnswer::LinkLost), "{name}");
        } else {
            assert!(facts.battery.is_ok(), "{name}: what comes after is asked");
        }
    }
}

#[tokio::test]
async fn a_claimed_length_of_4_gib_ends_in_words_not_in_memory() {
    let stage = Stage::with(
        "[[lockdown.fault]]\nrequest = \"GetValue\"\ndomain = \"com.apple.mobile.backup\"\nkind = \"huge-length\"\n",
    );
    let facts = visit(&stage).await.unwrap();
    assert_eq!(
        facts.cloud_last,
        Err(NoAnswer::Unreadable {
            raw: "the phone sent a message that is too long".into()
        })
    );
    // Behind such a frame nothing can be read any more.
    assert!(facts.battery.is_err());
}

#[tokio::test]
async fn a_visit_that_learns_nothing_is_an_error_with_its_reason() {
    let fault = |kind: &str| format!("[[lockdown.fault]]\nkind = \"{kind}\"\n");
    for (name, lines) in [
        ("silent", fault("stall")),
        ("closes", fault("close")),
        ("cut", fault("cut")),
    ] {
        let stage = Stage::with(&lines);
        let error = visit(&stage).await.unwrap_err();
        assert_eq!(error.no_answer(), NoAnswer::LinkLost, "{name}: {error:?}");
    }
    let stage = Stage::with("");
    let attached = stage.attached().await;
    stage.phone().unplug();
    let error = probe(&stage.transport, &attached, &Noon, &stage.timeouts)
        .await
        .unwrap_err();
    assert!(matches!(error, DeviceError::NotAttached), "{error:?}");
    assert_eq!(error.no_answer(), NoAnswer::LinkLost);
}

#[tokio::test]
async fn a_phone_on_wifi_that_is_long_gone_costs_only_a_short_wait() {
    let stage = Stage::with("[[link]]\nkind = \"network\"\n[[lockdown.fault]]\nkind = \"stall\"\n");
    let begun = std::time::Instant::now();
    let error = visit(&stage).await.unwrap_err();
    assert_eq!(error.no_answer(), NoAnswer::LinkLost, "{error:?}");
    assert!(
        begun.elapsed() < stage.timeouts.request,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn slow_answers_are_cut_off_by_the_patience_for_the_whole_visit() {
    let mut stage =
        Stage::with("[[lockdown.fault]]\nrequest = \"GetValue\"\nkind = { slow = 0.4 }\n");
    stage.timeouts.probe = std::time::Duration::from_millis(1000);
    let begun = std::time::Instant::now();
    let facts = visit(&stage).await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    assert!(facts.name.is_ok());
    assert_eq!(facts.find_my, Err(NoAnswer::LinkLost));
}

#[tokio::test]
async fn a_usbmuxd_that_breaks_down_is_a_lost_link() {
    for fault in [
        MuxFault::Rubbish,
        MuxFault::Stall,
        MuxFault::Close,
        MuxFault::HugeLength,
        MuxFault::ShortLength,
        MuxFault::NotAPlist,
        MuxFault::NotADictionary,
        MuxFault::Cut,
        MuxFault::BinaryVersion,
    ] {
        let stage = Stage::with("");
        let attached = stage.attached().await;
        stage.sim.set_mux_fault(fault);
        let error = probe(&stage.transport, &attached, &Noon, &stage.timeouts)
            .await
            .unwrap_err();
        // On a slow machine the patience for the whole question is over before the one for usbmuxd.
        let is_late = fault == MuxFault::Stall && matches!(error, DeviceError::Silent { .. });
        assert!(
            is_late || matches!(error, DeviceError::Mux(_)),
            "{fault:?}: {error:?}"
        );
        assert_eq!(error.no_answer(), NoAnswer::LinkLost, "{fault:?}");
    }
}

/// A session needs less of a pair record than other tools want to see in it (protocol.md 13.12).
#[tokio::test]
async fn records_with_the_least_will_do() {
    for (name, strip) in [
        (
            "no root key, no Wi-Fi address, no escrow bag",
            (|record: &mut PairRecord| {
                record.root_private_key = None;
                record.wifi_mac_address = None;
                record.escrow_bag = None;
                record.device_certificate = None;
                record.udid = None;
            }) as fn(&mut PairRecord),
        ),
        (
            "only the root's identity, as libimobiledevice uses it",
            |record| {
                record.host_private_key = None;
                record.host_certificate = None;
            },
        ),
    ] {
        let stage = Stage::with("");
        let mut record = PairRecord::decode(&stage.sim.hub().pair_record(UDID).unwrap()).unwrap();
        strip(&mut record);
        stage.sim.hub().set_pair_record(UDID, Some(record.encode()));
        let facts = visit(&stage).await.unwrap();
        assert_eq!(facts.trust, Trust::Trusted, "{name}");
        assert_eq!(facts.cloud_enabled, Ok(true), "{name}");
    }
}

#[tokio::test]
async fn broken_records_are_no_trust_and_no_panic() {
    let stranger = rsa_key();
    type Spoil = Box<dyn Fn(&mut PairRecord)>;
    let broken: Vec<(&str, Spoil)> = vec![
        (
            "no keys",
            Box::new(|record| {
                record.host_private_key = None;
                record.root_private_key = None;
            }),
        ),
        (
            "no root certificate",
            Box::new(|record| record.root_certificate = None),
        ),
        (
            "a key that is no PEM",
            Box::new(|record| {
                record.host_private_key = Some(Secret(b"nonsense".to_vec()));
            }),
        ),
        (
            "a certificate that is no certificate",
            Box::new(|record| {
                let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
                record.host_certificate = Some(Secret(pem.into()));
            }),
        ),
        (
            "the key of somebody else",
            Box::new(move |record| {
                record.host_private_key = Some(Secret(stranger.clone().into_bytes()));
            }),
        ),
    ];
    for (name, spoil) in broken {
        let stage = Stage::with("");
        let mut record = PairRecord::decode(&stage.sim.hub().pair_record(UDID).unwrap()).unwrap();
        spoil(&mut record);
        stage.sim.hub().set_pair_record(UDID, Some(record.encode()));
        let facts = visit(&stage).await.unwrap();
        assert_eq!(facts.trust, Trust::NotTrusted, "{name}");
        closed(&facts, &NoAnswer::NotTrusted);
    }
    let stage = Stage::with("");
    stage
        .sim
        .hub()
        .set_pair_record(UDID, Some(b"\xFF\xFE nonsense".to_vec()));
    let facts = visit(&stage).await.unwrap();
    assert_eq!(facts.trust, Trust::NotTrusted);
}

/// Our certificate is as old as ever, but the phone has another one for us: it says so in TLS.
#[tokio::test]
async fn a_phone_that_refuses_our_certificate_has_forgotten_us() {
    let stage = Stage::new(vec![persona(UDID, ""), persona(common::OTHER, "")]);
    let hub = stage.sim.hub();
    let mut record = PairRecord::decode(&hub.pair_record(UDID).unwrap()).unwrap();
    let (certificate, key) = stranger();
    record.host_certificate = Some(Secret(certificate.into_bytes()));
    record.host_private_key = Some(Secret(key.into_bytes()));
    hub.set_pair_record(UDID, Some(record.encode()));
    let attached = stage.attached().await;
    let attached = if attached.udid.as_str() == UDID {
        attached
    } else {
        backupwatch_device::list(&stage.address, &stage.timeouts)
            .await
            .unwrap()
            .remove(1)
    };
    let facts = probe(&stage.transport, &attached, &Noon, &stage.timeouts)
        .await
        .unwrap();
    assert_eq!(facts.trust, Trust::Expired);
    closed(&facts, &NoAnswer::NotTrusted);
}

fn rsa_key() -> String {
    stranger().1
}

/// A key and a certificate for it that no phone has heard of.
fn stranger() -> (String, String) {
    use rsa::pkcs8::EncodePrivateKey;
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let pair = rcgen::KeyPair::from_pem(&pem).unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&pair)
        .unwrap();
    (certificate.pem(), pem.to_string())
}
