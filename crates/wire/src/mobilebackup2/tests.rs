use proptest::prelude::*;

use super::*;
use crate::devicelink::StatusCode;

fn text(body: &Dictionary, key: &str) -> Option<String> {
    body.get(key)?.as_string().map(str::to_owned)
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn every_command() -> Vec<HostCommand> {
    let target = "UDID".to_owned();
    let change = |change| HostCommand::ChangePassword {
        target: "UDID".to_owned(),
        change,
    };
    vec![
        HostCommand::Backup {
            target: target.clone(),
            source: None,
            force_full: false,
        },
        HostCommand::Backup {
            target,
            source: Some("HOST".to_owned()),
            force_full: true,
        },
        change(PasswordChange::Enable { new: password("n") }),
        change(PasswordChange::Disable { old: password("o") }),
        change(PasswordChange::Change {
            old: password("o"),
            new: password("n"),
        }),
    ]
}

#[test]
fn commands_round_trip() {
    for command in every_command() {
        let read = HostRequest::from_dictionary(command.to_dictionary()).unwrap();
        assert!(read == HostRequest::Command(command));
    }
}

/// The promise that a phone is never erased, overwritten or told to change its iCloud Backup.
#[test]
fn nothing_else_can_be_asked_of_a_phone() {
    for command in every_command() {
        // A new kind of command has to come by here.
        let name = match &command {
            HostCommand::Backup { .. } => "Backup",
            HostCommand::ChangePassword { .. } => "ChangePassword",
        };
        assert_eq!(text(&command.to_dictionary(), "MessageName").unwrap(), name);
    }
}

#[test]
fn a_backup_request_has_what_the_device_looks_at() {
    let commands = every_command();
    let (plain, full) = (&commands[0], &commands[1]);
    let plain = plain.to_dictionary();
    assert_eq!(text(&plain, "TargetIdentifier").as_deref(), Some("UDID"));
    assert!(!plain.contains_key("Options") && !plain.contains_key("SourceIdentifier"));
    let full = full.to_dictionary();
    let options = full.get("Options").unwrap().as_dictionary().unwrap();
    assert_eq!(
        options.get("ForceFullBackup").unwrap().as_boolean(),
        Some(true)
    );
    assert_eq!(text(&full, "SourceIdentifier").as_deref(), Some("HOST"));
}

#[test]
fn which_passwords_there_are_says_what_changes() {
    let keys = |command: &HostCommand| {
        let body = command.to_dictionary();
        (text(&body, "OldPassword"), text(&body, "NewPassword"))
    };
    let (old, new) = (Some("o".to_owned()), Some("n".to_owned()));
    let seen: Vec<_> = every_command()[2..].iter().map(keys).collect();
    assert_eq!(seen, [(None, new.clone()), (old.clone(), None), (old, new)]);
    let neither: Dictionary = [("MessageName", "ChangePassword"), ("TargetIdentifier", "U")]
        .map(|(key, text)| (key.to_owned(), Value::from(text)))
        .into_iter()
        .collect();
    assert!(HostRequest::from_dictionary(neither).is_err());
}

#[test]
fn a_foreign_request_keeps_its_body_and_hides_it_from_debug() {
    let mut body = named("Somersault");
    body.insert("Password".to_owned(), "hunter2".into());
    let read = HostRequest::from_dictionary(body.clone()).unwrap();
    let shown = format!("{read:?}");
    assert!(
        shown.contains("Somersault") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(
        read == HostRequest::Other {
            name: "Somersault".to_owned(),
            body
        }
    );
    let shown = format!("{:?}", every_command());
    assert!(
        !shown.contains("\"n\"") && !shown.contains("\"o\""),
        "{shown}"
    );
}

#[test]
fn hello_offers_the_versions_as_reals() {
    let HostMessage::ProcessMessage(body) = hello() else {
        panic!("another message");
    };
    let versions = body
        .get("SupportedProtocolVersions")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(*versions, [Value::Real(2.0), Value::Real(2.1)]);
    let read = HostRequest::from_dictionary(body).unwrap();
    assert!(
        read == HostRequest::Hello {
            versions: vec![2.0, 2.1]
        }
    );
}

#[test]
fn the_highest_common_version_wins() {
    let table: [(&[f64], Option<f64>); 5] = [
        (&[2.0, 2.1], Some(2.1)),
        (&[2.1, 2.0], Some(2.1)),
        (&[2.0], Some(2.0)),
        (&[1.0, 3.0, f64::NAN], None),
        (&[], None),
    ];
    for (offered, common) in table {
        assert_eq!(common_version(offered), common, "{offered:?}");
    }
}

#[test]
fn responses_round_trip() {
    let responses = [
        Response::hello(2.1),
        Response::ok(),
        Response::failed(MbError::LOCKED, "Device locked"),
    ];
    for response in responses {
        let read = Response::from_dictionary(&response.to_dictionary()).unwrap();
        assert_eq!(read, response);
    }
}

#[test]
fn no_code_is_not_success() {
    assert!(Response::from_dictionary(&named("Response")).is_err());
    assert!(Response::from_dictionary(&Dictionary::new()).is_err());
    let mut other = Response::ok().to_dictionary();
    other.insert("MessageName".to_owned(), "Hello".into());
    assert!(Response::from_dictionary(&other).is_err());
    let mut odd = Response::ok().to_dictionary();
    odd.insert("ErrorCode".to_owned(), "0".into());
    assert!(Response::from_dictionary(&odd).is_err());
}

#[test]
fn a_long_description_is_cut() {
    let response = Response::failed(MbError::IO, &"é".repeat(5_000));
    assert!(response.description.unwrap().len() <= MAX_DESCRIPTION);
}

#[test]
fn the_two_texts_of_208() {
    let table = [
        ("Device locked - timeout waiting for passcode entry", true),
        ("Device locked", false),
    ];
    for (words, timeout) in table {
        let response = Response::failed(MbError::LOCKED, words);
        assert_eq!(response.is_passcode_timeout(), timeout, "{words}");
    }
    assert!(!Response::failed(MbError::IO, "timeout").is_passcode_timeout());
}

#[test]
fn kinds_of_final_codes() {
    let table: [(MbClass, &[i64]); 14] = [
        (
            MbClass::Cancelled,
            &[202, 217, 218, 219, 220, 221, 222, 223, 224],
        ),
        (MbClass::Passcode, &[208]),
        (MbClass::NoSpace, &[105]),
        (MbClass::CorruptBackup, &[11, 205]),
        (MbClass::HostFiles, &[103, 104]),
        (MbClass::Password, &[207]),
        (MbClass::Management, &[22]),
        (MbClass::NotReady, &[25, 212]),
        (MbClass::Busy, &[13, 14, 17, 304]),
        (
            MbClass::DeviceFiles,
            &[3, 4, 5, 6, 7, 8, 9, 24, 26, 100, 101, 102],
        ),
        (MbClass::Version, &[203]),
        (MbClass::Cloud, &[210, 300, 301, 302, 303, 305, 306, 307]),
        (MbClass::FindMy, &[211]),
        (MbClass::Unspecific, &[1, 2]),
    ];
    for (class, codes) in table {
        for code in codes {
            let error = MbError::new(*code).unwrap();
            assert_eq!(error.class(), class, "{code}");
            let words = error.words();
            assert!(
                !words.ends_with('.') && !words.contains("unknown"),
                "{words}"
            );
        }
    }
    for code in [-1, 10, 106, 216, 225, 308, 500, i64::MAX, i64::MIN] {
        assert_eq!(
            MbError::new(code).unwrap().class(),
            MbClass::Unknown,
            "{code}"
        );
    }
    assert_eq!(MbError::new(0), None);
    assert_eq!(
        MbError::NO_SPACE.to_string(),
        "there is not enough space for the backup (code 105)"
    );
}

#[test]
fn what_the_device_makes_of_a_status() {
    let table = [
        (0, None),
        (-1, Some(1)),
        (-3, Some(100)),
        (-4, Some(100)),
        (-6, Some(4)),
        (-7, Some(3)),
        (-8, Some(5)),
        (-9, Some(6)),
        (-10, Some(7)),
        (-11, Some(100)),
        (-13, Some(2)),
        (-14, Some(100)),
        (-15, Some(105)),
        (-99, Some(100)),
    ];
    for (status, code) in table {
        let error = MbError::of_status(StatusCode::from_number(status));
        assert_eq!(error.map(MbError::code), code, "{status}");
    }
}

proptest! {
    #[test]
    fn no_dictionary_makes_a_reader_panic(
        name in prop::sample::select(vec!["Hello", "Backup", "ChangePassword", "Response", "x"]),
        code in any::<i64>(),
        words in ".{0,20}",
    ) {
        let mut body = named(name);
        for key in ["TargetIdentifier", "NewPassword", "ErrorDescription"] {
            body.insert(key.to_owned(), words.as_str().into());
        }
        for key in ["ErrorCode", "Options", "SupportedProtocolVersions", "ProtocolVersion"] {
            body.insert(key.to_owned(), code.into());
        }
        if let Ok(response) = Response::from_dictionary(&body) {
            prop_assert_eq!(response.error.is_none(), code == 0);
        }
        let _ = HostRequest::from_dictionary(body);
    }
}
