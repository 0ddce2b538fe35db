//! What a stranger's file may put into the evidence, and what stays of it.

use super::*;
use proptest::prelude::*;

fn device(second: i64) -> DeviceTime {
    DeviceTime(jiff::Timestamp::from_second(second).unwrap())
}

fn host(second: i64) -> HostTime {
    HostTime(jiff::Timestamp::from_second(second).unwrap())
}

fn error(domain: &str, code: i64) -> ErrorCode {
    ErrorCode {
        domain: domain.to_owned(),
        code,
    }
}

#[test]
fn too_much_of_everything() {
    let attempt = |second: i64| Attempt {
        at: device(second),
        chain: (0..100).map(|code| error("MBErrorDomain", code)).collect(),
        app: Some("org.example.notes".to_owned()),
        text: Some("word ".repeat(1_000)),
    };
    let books = Books {
        attempts: (0..100).rev().map(attempt).collect(),
        largest: (0..100)
            .map(|bytes| Part {
                domain: format!("AppDomain-org.example.a{bytes}"),
                bytes,
            })
            .collect(),
        upload: Some(Uploading {
            permille: 5_000,
            left: Some(Period::seconds(-1)),
        }),
        period: Some(Period::days(100_000)),
        warning_period: Some(Period::days(14)),
        ..Books::blank(host(0))
    }
    .bounded();
    assert_eq!(books.attempts.len(), MOST_ATTEMPTS);
    assert_eq!(
        books.attempts[9].at,
        device(99),
        "the newest stays, at the end"
    );
    assert_eq!(books.attempts[0].chain.len(), MOST_LINKS);
    assert!(books.attempts[0].text.as_ref().unwrap().chars().count() <= LONGEST_TEXT);
    assert_eq!(books.largest.len(), MOST_PARTS);
    assert_eq!(books.largest[0].bytes, 99);
    assert_eq!(books.upload.unwrap().permille, 1_000);
    assert_eq!(books.upload.unwrap().left, Some(Period::ZERO));
    assert_eq!(books.period, None);
    assert_eq!(books.warning_period, Some(Period::days(14)));
}

#[test]
fn a_failure_never_turns_into_a_success() {
    let attempt = Attempt {
        at: device(0),
        chain: vec![error("/var/mobile/a name", 1), error("", 2)],
        app: None,
        text: None,
    }
    .bounded();
    assert_eq!(attempt.chain, [ErrorCode::nameless()]);
}

#[test]
fn apps_are_named_and_parts_of_the_system_are_not() {
    let table = [
        (
            "Failed to upload AppDomain-org.example.notes:Library/projects/x (<CKError …",
            Some("org.example.notes"),
        ),
        ("AppDomain-org.example.notes", Some("org.example.notes")),
        ("AppDomain-org.example.notes.", Some("org.example.notes")),
        ("AppDomain-com.apple.mobilenotes:Library", None),
        ("AppDomainGroup-group.org.example", None),
        ("AppDomain-", None),
        ("AppDomain-😀", None),
        ("nothing", None),
    ];
    for (text, app) in table {
        assert_eq!(app_in(text).as_deref(), app, "{text}");
    }
    assert_eq!(app_name(&format!("a.{}", "b".repeat(200))), None);
}

proptest! {
    #[test]
    fn bounding_twice_changes_nothing(text in any::<String>(), domain in any::<String>(), code in any::<i64>()) {
        let attempt = Attempt {
            at: device(0),
            chain: vec![error(&domain, code)],
            app: Some(domain.clone()),
            text: Some(text),
        };
        let once = attempt.bounded();
        prop_assert_eq!(once.clone().chain, once.clone().bounded().chain);
        prop_assert_eq!(&once.app, &once.clone().bounded().app);
        prop_assert!(!once.succeeded());
    }
}
