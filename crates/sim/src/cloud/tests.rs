use std::sync::Arc;

use backupwatch_wire::codec::{self, Limits};
use plist::{Dictionary, Value};

use super::*;
use crate::contents::FileId;
use crate::persona::{Absurd, Books};
use crate::phone::log::{Level, LogLine};
use crate::phone::{BACKUP_DOMAIN, MuxSide, Phone, PhoneHandle, ROOT_DOMAIN};

const NOW: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A phone at noon with something in its notes.
fn phone(more: &str) -> PhoneHandle {
    let text = format!(
        "[identity]\nudid = \"00008140-000A11112222000F\"\nname = \"Zoë’s iPhone\"\nutc_offset_s = 3600\n\
         [clock]\nstart = \"{NOW}\"\n{more}"
    );
    let phone = Phone::new(Persona::parse(&text).unwrap(), MuxSide::new());
    phone.clock().fix(at(NOW));
    PhoneHandle::new(Arc::new(phone))
}

fn broken(cure: &str) -> PhoneHandle {
    phone(&format!(
        "[icloud]\nlast = {{ days-ago = 7.4 }}\ncure = \"{cure}\"\n\
         failure = {{ chain = [\"MBErrorDomain/4\", \"CKErrorDomain/11\"] }}\n[books]\nfailures = 2\n"
    ))
}

fn now_is(phone: &PhoneHandle, text: &str) {
    phone.phone().clock().fix(at(text));
}

fn note(phone: &PhoneHandle, number: usize) -> Dictionary {
    let notes = notes(phone.phone());
    let value = codec::decode(&notes[number].bytes, Limits::of_bytes(8 << 20)).unwrap();
    value.into_dictionary().unwrap()
}

fn errors(phone: &PhoneHandle) -> Vec<Value> {
    let own = note(phone, 0);
    let info = own["BackupStateInfo"].as_dictionary().unwrap();
    info["errors"].as_array().unwrap().clone()
}

fn date(phone: &PhoneHandle) -> Option<i64> {
    let date = phone.phone().value(BACKUP_DOMAIN, "LastCloudBackupDate");
    date.and_then(|value| value.as_signed_integer())
}

/// The lines that backupd writes while something is done.
fn heard(phone: &PhoneHandle, done: impl FnOnce(&PhoneHandle)) -> Vec<LogLine> {
    let mut lines = phone.phone().log().listen();
    done(phone);
    std::iter::from_fn(|| lines.try_recv().ok()).collect()
}

type Hand = (&'static str, fn(&PhoneHandle));

const HANDS: [Hand; 10] = [
    ("restart", PhoneHandle::reboot),
    ("network", PhoneHandle::join_other_network),
    ("icloud-room", PhoneHandle::free_icloud_room),
    ("phone-room", PhoneHandle::free_phone_room),
    ("delete", |phone| {
        phone.turn_cloud_off(true);
        phone.turn_cloud_on();
    }),
    ("account", PhoneHandle::answer_account_prompt),
    ("sign-in", |phone| {
        phone.sign_out();
        phone.sign_in();
    }),
    ("reset-network", PhoneHandle::reset_network),
    ("app", PhoneHandle::leave_out_app),
    ("off and on only", |phone| {
        phone.turn_cloud_off(false);
        phone.turn_cloud_on();
    }),
];

#[test]
fn each_cure_is_in_one_hand() {
    for (cure, _) in HANDS
        .iter()
        .take(9)
        .chain(&[("never", PhoneHandle::reboot as fn(&PhoneHandle))])
    {
        for (name, hand) in HANDS {
            let phone = broken(cure);
            hand(&phone);
            // Whoever signs in anew has answered the account's questions too.
            let heals = name == *cure || (name, *cure) == ("sign-in", "account");
            let expected = if heals {
                CloudAttempt::Succeeded
            } else {
                CloudAttempt::Failed
            };
            assert_eq!(
                phone.back_up_to_icloud_now(),
                expected,
                "{name} against {cure}"
            );
        }
    }
}

#[test]
fn an_attempt_that_fails_is_noted_and_said() {
    let phone = broken("delete");
    let before = date(&phone);
    let lines = heard(&phone, |phone| {
        assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Failed);
    });
    assert_eq!(date(&phone), before);
    let last = lines
        .iter()
        .find(|line| line.level == Level::Error)
        .unwrap();
    assert_eq!(
        last.message,
        "=cloud-backup= Backup failed: MBErrorDomain(4) Underlying error: CKErrorDomain(11), <MBError: 0x281101f50>"
    );
    let says = |part: &str| lines.iter().any(|line| line.message.contains(part));
    assert!(
        says("=cloud-backup= Scanning done in 12.903s") && says(": 3(2)"),
        "{lines:?}"
    );
    assert!(!says("Uploading done"));

    let own = note(&phone, 0);
    assert_eq!(own["FailureCount"].as_unsigned_integer(), Some(3));
    let [error] = errors(&phone).try_into().unwrap();
    let error = error.into_dictionary().unwrap();
    assert_eq!(error["code"].as_signed_integer(), Some(4));
    assert_eq!(error["date"].as_date().unwrap().to_xml_format(), NOW);
    let below = error["underlyingError"].as_dictionary().unwrap();
    assert_eq!(below["domain"].as_string(), Some("CKErrorDomain"));
    assert_eq!(below["code"].as_signed_integer(), Some(11));
}

#[test]
fn an_attempt_that_succeeds_moves_the_date_and_clears_the_counters() {
    let phone = broken("network");
    phone.back_up_to_icloud_now();
    phone.join_other_network();
    now_is(&phone, "2026-11-22T12:05:00Z");
    let lines = heard(&phone, |phone| {
        assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
    });
    let says = |part: &str| lines.iter().any(|line| line.message.contains(part));
    assert!(says("=cloud-backup= Backup finished successfully") && says(": 0(3)"));
    let unix = date(&phone).unwrap() + crate::persona::EPOCH_2001;
    assert_eq!(
        Timestamp::from_second(unix).unwrap(),
        at("2026-11-22T12:05:00Z")
    );
    assert_eq!(errors(&phone).len(), 2);
    let own = note(&phone, 0);
    assert_eq!(own["FailureCount"].as_unsigned_integer(), Some(0));
    assert!(!own.contains_key("RetryAfter"));
    let told = note(&phone, 1);
    assert_eq!(
        told["LastCloudBackupDate"].as_signed_integer(),
        date(&phone)
    );
}

#[test]
fn a_missing_key_is_counted_apart() {
    let phone = phone(
        "[icloud]\ncure = \"restart\"\nfailure = { chain = [\"MBErrorDomain/209\"] }\n[books]\nmissing_key_failures = 4\n",
    );
    phone.back_up_to_icloud_now();
    let own = note(&phone, 0);
    assert_eq!(
        own["MissingEncryptionKeyFailureCount"].as_unsigned_integer(),
        Some(5)
    );
    assert_eq!(own["FailureCount"].as_unsigned_integer(), Some(0));
}

#[test]
fn only_the_last_ten_attempts_are_kept() {
    let phone = phone(
        "[icloud]\ncure = \"never\"\nfailure = { chain = [\"MBErrorDomain/303\"] }\n\
         [books]\nattempts = [{ days_ago = 40.0 }]\nfailed_nights = 12\n",
    );
    phone.back_up_to_icloud_now();
    let errors = errors(&phone);
    assert_eq!(errors.len(), 10);
    let dates: Vec<String> = errors
        .iter()
        .map(|error| {
            error.as_dictionary().unwrap()["date"]
                .as_date()
                .unwrap()
                .to_xml_format()
        })
        .collect();
    assert!(dates.is_sorted(), "{dates:?}");
    assert_eq!(dates.last().unwrap(), NOW);
}

#[test]
fn off_and_delete_takes_the_date_and_off_alone_does_not() {
    for (delete, kept) in [(true, false), (false, true)] {
        let phone = broken("delete");
        phone.turn_cloud_off(delete);
        assert_eq!(date(&phone).is_some(), kept);
        assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Off);
        phone.turn_cloud_on();
        let enabled = note(&phone, 0)["AccountEnabledDate"].as_date().unwrap();
        assert_eq!(enabled.to_xml_format(), NOW);
    }
}

fn try_now(phone: &PhoneHandle, cured: bool) {
    if cured {
        phone.leave_out_app();
    }
    phone.back_up_to_icloud_now();
}

/// Whoever observes the backup domain is told; what lockdown does not know changes in silence.
#[test]
fn what_changes_in_lockdown_is_posted() {
    let hands: [(Hand, bool); 6] = [
        (("off", |phone| phone.turn_cloud_off(false)), true),
        (("on", PhoneHandle::turn_cloud_on), true),
        (("out", PhoneHandle::sign_out), true),
        (("room", PhoneHandle::free_icloud_room), false),
        (("a failure", |phone| try_now(phone, false)), false),
        (("a success", |phone| try_now(phone, true)), true),
    ];
    for ((name, hand), told) in hands {
        let phone = broken("app");
        let mut posts = phone.phone().posts();
        hand(&phone);
        let posted = std::iter::from_fn(|| posts.try_recv().ok())
            .any(|name| name == crate::phone::BACKUP_DOMAIN_CHANGED);
        assert_eq!(posted, told, "{name}");
    }
}

#[test]
fn signing_out_wipes_the_notes_and_find_my() {
    let phone = broken("sign-in");
    phone.back_up_to_icloud_now();
    phone.sign_out();
    let find_my = |phone: &PhoneHandle| phone.phone().value("com.apple.fmip", "IsAssociated");
    assert_eq!(find_my(&phone), Some(false.into()));
    let own = note(&phone, 0);
    assert!(!own.contains_key("BackupStateInfo") && !own.contains_key("AccountEnabledDate"));
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Off);
    phone.sign_in();
    assert_eq!(find_my(&phone), Some(true.into()));
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
}

#[test]
fn the_other_hands_leave_their_marks_in_lockdown() {
    let phone = broken("never");
    let free = |phone: &PhoneHandle| {
        let value = phone
            .phone()
            .value("com.apple.disk_usage", "AmountDataAvailable");
        value.unwrap().as_unsigned_integer().unwrap()
    };
    let before = free(&phone);
    phone.free_phone_room();
    assert!(free(&phone) > before);
    phone.update_ios("26.2", "23C55");
    let build = phone.phone().value(ROOT_DOMAIN, "BuildVersion");
    assert_eq!(build, Some("23C55".into()));
    assert!(!phone.state().unlocked_since_boot);
}

/// Nothing to enter, nothing to tell: without Wi-Fi the attempt fails with the error of that.
#[test]
fn without_wifi_even_a_healthy_phone_fails() {
    let phone = phone("[books]\n");
    phone.set_wifi(false);
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Failed);
    let error = errors(&phone).remove(0).into_dictionary().unwrap();
    assert_eq!(error["code"].as_signed_integer(), Some(308));
    phone.set_wifi(true);
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
}

#[test]
fn conditions_that_change_are_said_and_windows_noted() {
    let phone = phone("[battery]\npercent = 50\ncharging = false\n[books]\n");
    let lines = heard(&phone, |phone| {
        phone.set_charging(true);
        phone.lock();
        phone.lock();
        now_is(phone, "2026-11-22T12:00:12.3Z");
        phone.unlock();
        phone.lock();
        now_is(phone, "2026-11-22T12:07:12.3Z");
        phone.set_charging(false);
    });
    let lines: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
    let tail = "onCellular:0(0), expensiveCellular:0, changes:";
    assert_eq!(
        lines,
        [
            &format!(
                "=scheduler= [Off condition] state changed, enabled:1, locked:0, onPower:1, onWiFi:1, {tail}{{onPower:1}}"
            ),
            &format!(
                "=scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1, onWiFi:1, {tail}{{locked:1}}"
            ),
            &format!(
                "=scheduler= [Off condition after 12.3s] state changed, enabled:1, locked:0, onPower:1, onWiFi:1, {tail}{{locked:0}}"
            ),
            &format!(
                "=scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1, onWiFi:1, {tail}{{locked:1}}"
            ),
            "=scheduler= The device lost power but is otherwise still in condition - will wait 60s before stopping",
            &format!(
                "=scheduler= [Off condition after 420.0s] state changed, enabled:1, locked:1, onPower:0, onWiFi:1, {tail}{{onPower:0}}"
            ),
        ]
    );
    // The first window was too short; the second says so.
    let windows = note(&phone, 0)["LastOnConditionEvents"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        windows,
        [Value::from(
            "2026-11-22T13:00:12.300+01:00|420.000|1|0|1|1|1|0|0|0|0|0|(null)|0|2|0|0|0|1"
        )]
    );
}

#[test]
fn a_night_on_the_charger_is_an_attempt_if_one_is_due() {
    let due = broken("never");
    assert_eq!(due.a_night_on_the_charger(), CloudAttempt::Failed);
    let lines = heard(&due, |due| {
        assert_eq!(due.a_night_on_the_charger(), CloudAttempt::NotDue);
    });
    assert!(lines.iter().any(|line| {
        line.message
            .contains("The next backup date was pushed later (")
    }));

    let never_tried = phone("[icloud]\ncure = \"conditions\"\n[books]\n");
    assert_eq!(
        never_tried.a_night_on_the_charger(),
        CloudAttempt::Succeeded
    );
    let lines = heard(&never_tried, |phone| {
        assert_eq!(phone.a_night_on_the_charger(), CloudAttempt::NotDue);
    });
    assert!(
        lines
            .iter()
            .any(|line| line.message.contains("Already backed up recently (0 s)"))
    );
}

#[test]
fn a_long_upload_goes_on_until_it_is_done() {
    let phone =
        phone("[icloud]\nnever = true\n[books]\nupload = { permille = 430, left_s = 570.0 }\n");
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::UnderWay);
    let info = |phone: &PhoneHandle, key: &str| {
        let own = note(phone, 0);
        own["BackupStateInfo"].as_dictionary().unwrap()[key]
            .as_real()
            .unwrap()
    };
    assert_eq!(phone.upload_goes_on(715), CloudAttempt::UnderWay);
    assert_eq!(
        (
            info(&phone, "progress"),
            info(&phone, "estimatedTimeRemaining")
        ),
        (0.715, 285.0)
    );
    assert_eq!(date(&phone), None);
    assert_eq!(phone.upload_goes_on(1000), CloudAttempt::Succeeded);
    assert!(date(&phone).is_some());
}

#[test]
fn the_files_are_where_every_backup_has_them() {
    let phone = broken("never");
    let ids: Vec<String> = notes(phone.phone())
        .iter()
        .map(|note| FileId::of(note.domain, note.path).to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "2f0b2af6ff2371fcfaf405572b94d0e8551c5659",
            "2f771621fd3c627d0db75fe173f3dae8ce50e98b",
        ]
    );
    assert!(notes(super::tests::phone("").phone()).is_empty());
}

#[test]
fn one_bad_app_is_named() {
    let phone = phone(
        "[icloud]\ncure = \"app\"\nfailure = { chain = [\"MBErrorDomain/100\", \"NSPOSIXErrorDomain/5\"], app = \"org.example.app\" }\n[books]\n",
    );
    let lines = heard(&phone, |phone| {
        phone.back_up_to_icloud_now();
    });
    let named = "Failed to upload AppDomain-org.example.app:Library/Drafts/0017.draft";
    assert!(lines.iter().any(|line| line.message.starts_with(named)));
    let error = errors(&phone).remove(0).into_dictionary().unwrap();
    let below = error["underlyingError"].as_dictionary().unwrap();
    assert_eq!(below["localizedDescription"].as_string(), Some(named));
}

#[test]
fn a_managed_phone_says_so() {
    let phone = phone(
        "[icloud]\ncure = \"never\"\nfailure = { chain = [\"MBErrorDomain/22\"] }\n[books]\n",
    );
    let lines = heard(&phone, |phone| {
        phone.back_up_to_icloud_now();
    });
    let info = lines.iter().find(|line| line.level == Level::Info).unwrap();
    assert_eq!(
        info.message,
        "=scheduler= Backup is disabled by the current MC policy"
    );
}

/// The wide one is a list that a careful reader just reads, or it would not be read at all; the deep one is not.
#[test]
fn absurd_notes() {
    let limits = Limits::of_bytes(8 << 20);
    assert!(codec::decode(&absurd::file(Absurd::Wide), limits).is_ok());
    assert!(codec::decode(&absurd::file(Absurd::Deep), limits).is_err());
}

#[test]
fn a_persona_that_makes_no_sense_is_refused() {
    let smallest = "[identity]\nudid = \"00008140-000A11112222000F\"\nname = \"Zoë\"\n";
    for more in [
        "[icloud]\ncure = \"prayer\"\n",
        "[icloud]\ncure = \"delete\"\n",
        "[icloud.failure]\nchain = [\"MBErrorDomain 303\"]\n",
        "[icloud.failure]\nchain = [\"MBErrorDomain/\"]\n",
        "[books]\nattempts = [{ days_ago = 1.0, code = 3 }]\n",
        "[books]\nfailure = 3\n",
        "[log]\ntrace = [\"honest\"]\n",
    ] {
        assert!(
            Persona::parse(&format!("{smallest}{more}")).is_err(),
            "{more}"
        );
    }
    let books: Books = toml::from_str("").unwrap();
    assert!(books.windows.is_none());
}
