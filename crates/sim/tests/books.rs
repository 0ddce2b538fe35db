//! What the phone notes of its iCloud backups is in its backups on a computer: at the true places, as of that moment, plain and
//! encrypted, and only sent again when it says something new.

#![cfg(test)]

mod backup_host;

use std::path::Path;
use std::sync::Arc;

use backup_host::Host;
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{MuxSide, Phone, PhoneHandle};
use backupwatch_sim::verdict::verdict;
use backupwatch_wire::codec::{self, Limits};
use plist::{Dictionary, Value};

const NOTES: &str = "2f/2f0b2af6ff2371fcfaf405572b94d0e8551c5659";
const LOCKDOWN: &str = "2f/2f771621fd3c627d0db75fe173f3dae8ce50e98b";

fn phone(name: &str, change: impl FnOnce(&mut Persona)) -> PhoneHandle {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    let mut persona = Persona::load(&folder.join(format!("{name}.toml"))).unwrap();
    change(&mut persona);
    PhoneHandle::new(Arc::new(Phone::new(persona, MuxSide::new())))
}

async fn back_up(host: &mut Host, phone: &PhoneHandle) {
    assert_eq!(host.back_up(phone.phone()).await.code(), 0);
    let root = tempfile::tempdir().unwrap();
    host.dump(root.path());
    let verdict = verdict(phone.phone(), root.path());
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(phone.violations(), Vec::<String>::new());
}

fn file(host: &Host, phone: &PhoneHandle, name: &str) -> Vec<u8> {
    let path = format!("{}/{name}", phone.udid());
    host.files[&path].bytes.clone().unwrap()
}

fn read(bytes: &[u8]) -> Dictionary {
    let value = codec::decode(bytes, Limits::of_bytes(1 << 20)).unwrap();
    value.into_dictionary().unwrap()
}

fn codes(notes: &Dictionary) -> Vec<i64> {
    let errors = notes["BackupStateInfo"].as_dictionary().unwrap()["errors"]
        .as_array()
        .unwrap();
    let code = |error: &Value| error.as_dictionary()?.get("code")?.as_signed_integer();
    errors.iter().filter_map(code).collect()
}

#[tokio::test(start_paused = true)]
async fn they_are_in_a_plain_backup_as_of_its_moment() {
    let phone = phone("icloud-full", |_| {});
    let mut host = Host::default();
    back_up(&mut host, &phone).await;
    let notes = read(&file(&host, &phone, NOTES));
    assert_eq!(
        codes(&notes),
        [0, 303, 303, 303, 303, 303, 303, 303, 303, 303]
    );
    assert_eq!(notes["FailureCount"].as_unsigned_integer(), Some(9));
    let told = read(&file(&host, &phone, LOCKDOWN));
    assert_eq!(told["CloudBackupEnabled"].as_boolean(), Some(true));
    let server = notes["RemoteConfiguration"].as_dictionary().unwrap();
    assert_eq!(server["BackupPeriod"].as_unsigned_integer(), Some(86_400));
    let sizes = notes["PreflightSizing"].as_dictionary().unwrap();
    assert_eq!(
        sizes["_TotalSize"].as_unsigned_integer(),
        Some(10_350_000_000)
    );
    let windows = notes["LastOnConditionEvents"].as_array().unwrap();
    let fields = |window: &Value| window.as_string().map(|line| line.split('|').count());
    assert!(windows.iter().all(|window| fields(window) == Some(19)));

    // Nothing new: the files are not sent again. Then an attempt by hand, five minutes before the next backup.
    back_up(&mut host, &phone).await;
    assert_eq!(phone.finished_backup().unwrap().uploaded, 0);
    phone.back_up_to_icloud_now();
    back_up(&mut host, &phone).await;
    assert_eq!(phone.finished_backup().unwrap().uploaded, 1);
    assert_eq!(codes(&read(&file(&host, &phone, NOTES))), [303; 10]);

    phone.free_icloud_room();
    phone.back_up_to_icloud_now();
    back_up(&mut host, &phone).await;
    assert_eq!(phone.finished_backup().unwrap().uploaded, 2);
    let notes = read(&file(&host, &phone, NOTES));
    assert_eq!(codes(&notes).last(), Some(&0));
}

#[tokio::test(start_paused = true)]
async fn they_are_sealed_in_an_encrypted_backup() {
    let phone = phone("seed-story", |persona| {
        persona.backup.password = Some("correct horse".to_owned());
        (persona.backup.dpic, persona.backup.iter) = (200, 20);
    });
    let mut host = Host::default();
    back_up(&mut host, &phone).await;
    let sealed = file(&host, &phone, NOTES);
    assert!(!sealed.starts_with(b"bplist"));
    // The verdict has opened them with the password; what is in them is what the phone has.
    let catalog = phone.catalog();
    let item = catalog
        .get(
            "HomeDomain",
            "Library/Preferences/com.apple.MobileBackup.plist",
        )
        .unwrap();
    let mut bytes = vec![0; usize::try_from(item.size()).unwrap()];
    item.read(0, &mut bytes);
    assert_eq!(codes(&read(&bytes)), [0, 1, 1, 1, 1, 1, 1, 1]);
}

/// A phone whose file says nothing of notes has none: the phones of other tests stay as they are.
#[tokio::test(start_paused = true)]
async fn other_phones_have_none() {
    let phone = phone("backup-mixed", |_| {});
    let mut host = Host::default();
    back_up(&mut host, &phone).await;
    assert!(
        !host
            .files
            .contains_key(&format!("{}/{NOTES}", phone.udid()))
    );
}

/// Absurd notes are files like others.
#[tokio::test(start_paused = true)]
async fn absurd_ones_are_sent_as_they_are() {
    for name in ["hostile-books", "hostile-books-deep"] {
        let phone = phone(name, |_| {});
        let mut host = Host::default();
        back_up(&mut host, &phone).await;
        assert!(file(&host, &phone, NOTES).len() > 1 << 20, "{name}");
    }
}

/// Each phone of the diagnosis does what its comment says: what its last attempt came to, and what makes the next one work.
#[test]
fn each_phone_is_cured_by_its_own_hand() {
    type Hand = fn(&PhoneHandle);
    let sign: Hand = |phone| {
        phone.sign_out();
        phone.sign_in();
    };
    let delete: Hand = |phone| {
        phone.turn_cloud_off(true);
        phone.turn_cloud_on();
    };
    let nothing: Hand = |_| {};
    let rows: [(&str, bool, Hand, bool); 15] = [
        ("icloud-full", false, PhoneHandle::free_icloud_room, true),
        (
            "icloud-no-network",
            false,
            PhoneHandle::join_other_network,
            true,
        ),
        ("icloud-server-busy", false, PhoneHandle::reboot, false),
        (
            "icloud-account",
            false,
            PhoneHandle::answer_account_prompt,
            true,
        ),
        ("icloud-corrupt-copy", false, delete, true),
        ("icloud-missing-key", false, PhoneHandle::reboot, true),
        ("icloud-managed", false, sign, false),
        ("icloud-conditions-never", true, nothing, true),
        (
            "icloud-phone-full",
            false,
            PhoneHandle::free_phone_room,
            true,
        ),
        (
            "icloud-first-upload",
            false,
            |phone| {
                phone.upload_goes_on(1000);
            },
            true,
        ),
        (
            "icloud-switched-off",
            false,
            PhoneHandle::turn_cloud_on,
            true,
        ),
        ("icloud-unknown-code", false, sign, true),
        ("icloud-bad-app", false, PhoneHandle::leave_out_app, true),
        ("seed-story", false, PhoneHandle::join_other_network, false),
        ("seed-story", false, delete, true),
    ];
    let works = |phone: &PhoneHandle| {
        phone.back_up_to_icloud_now() == backupwatch_sim::CloudAttempt::Succeeded
    };
    for (name, before, hand, after) in rows {
        let phone = phone(name, |_| {});
        assert_eq!(works(&phone), before, "{name} before");
        hand(&phone);
        assert_eq!(works(&phone), after, "{name} after");
    }
}
