//! One row for each number of `remediation.md` section 2: the cause, the first step, and what must never be proposed.

use super::super::tables::tables;
use super::*;

/// The chain of errors, the cause, its first step, and the steps that it forbids.
type Row = (&'static str, &'static str, &'static str, &'static str);

const FULL: &str = "S4 S5 S7";

/// Section 2.2, the phone's own numbers.
const OWN: &[Row] = &[
    ("MB 1", "general", "S1", FULL),
    ("MB 2", "general", "S1", FULL),
    ("MB 3", "cloud_copy_broken", "S4", ""),
    ("MB 4", "cloud_copy_broken", "S4", ""),
    ("MB 9", "files_busy", "S0", FULL),
    ("MB 13", "cloud_copy_broken", "S4", ""),
    ("MB 14", "files_busy", "S0", FULL),
    ("MB 17", "apple_busy", "S1", FULL),
    ("MB 18", "system_service", "S1", ""),
    ("MB 19", "system_service", "S1", ""),
    ("MB 20", "system_service", "S1", ""),
    ("MB 22", "managed", "S8", FULL),
    ("MB 100", "app_unreadable", "S6b", "S4 S5"),
    ("MB 105", "phone_full", "S3b", "S3 S4 S5 S7"),
    ("MB 106", "phone_full_unsure", "S1", "S3 S4 S5 S7"),
    ("MB 202", "interrupted", "S0", FULL),
    ("MB 203", "too_old", "S1", "S4 S5"),
    ("MB 208", "locked", "S0", FULL),
    ("MB 209", "missing_key", "S0", FULL),
    ("MB 210", "account", "S5a", "S4 S7"),
    ("MB 211", "find_my", "S0", ""),
    ("MB 212", "setting_up", "", FULL),
    ("MB 217", "interrupted", "S0", FULL),
    ("MB 218", "interrupted", "S0", FULL),
    ("MB 219", "interrupted", "S0", FULL),
    ("MB 220", "interrupted", "S0", FULL),
    ("MB 221", "cellular", "S0", FULL),
    ("MB 222", "cellular", "S0", FULL),
    ("MB 223", "interrupted", "S0", FULL),
    ("MB 224", "cellular", "S0", FULL),
    ("MB 300", "network", "S2", FULL),
    ("MB 301", "refused", "S1", FULL),
    ("MB 302", "apple_error", "S1", FULL),
    ("MB 303", "icloud_full", "S3", FULL),
    ("MB 304", "apple_busy", "S1", FULL),
    ("MB 305", "account", "S5a", "S4 S7"),
    ("MB 306", "cloud_copy_broken", "S4", ""),
    ("MB 307", "refused", "S1", FULL),
    ("MB 308", "network", "S2", FULL),
    ("MB 309", "bad_answer", "S1", FULL),
    ("MB 310", "icloud_internal", "S1", "S4"),
    ("MB 500", "internal", "S1", FULL),
    ("MB 555", "internal", "S1", FULL),
    ("MB 777", "unknown_error", "S0", ""),
    ("MB -1", "unknown_error", "S0", ""),
    ("SomeErrorDomain 25", "unknown_error", "S0", ""),
];

/// Section 2.3, what lies underneath, as it comes with the number under which the phone stores it, and alone.
const UNDERLYING: &[Row] = &[
    ("MB 303, CK 25", "icloud_full", "S3", FULL),
    ("MB 1, CK 25", "icloud_full", "S3", FULL),
    ("CK 25", "icloud_full", "S3", FULL),
    ("MB 303, HTTP 507", "icloud_full", "S3", FULL),
    ("MB 308, CK 3", "network", "S2", FULL),
    ("MB 300, CK 4", "network", "S2", FULL),
    ("MB 300, URL -1009", "network", "S2", FULL),
    ("MB 300, URL -1001", "network", "S2", FULL),
    ("MB 300, URL -1003", "network", "S2", FULL),
    ("MB 300, URL -1006", "network", "S2", FULL),
    ("MB 300, URL -1004", "network", "S2", FULL),
    ("MB 300, URL -1005", "network", "S2", FULL),
    ("MB 300, URL -1020", "network", "S2", FULL),
    ("MB 300, URL -1200", "network_intercepted", "S2", FULL),
    ("MB 300, URL -1203", "network_intercepted", "S2", FULL),
    ("MB 300, URL -1206", "network_intercepted", "S2", FULL),
    ("MB 300, URL -1207", "network", "S2", FULL),
    ("MB 202, URL -999", "interrupted", "S0", FULL),
    ("MB 202, CK 20", "interrupted", "S0", FULL),
    ("MB 202, MB 219", "interrupted", "S0", FULL),
    ("MB 202, MB 222", "cellular", "S0", FULL),
    ("MB 304, CK 6", "apple_busy", "S1", FULL),
    ("MB 304, HTTP 503", "apple_busy", "S1", FULL),
    ("MB 17, CK 7", "apple_busy", "S1", FULL),
    ("MB 17, CK 23", "apple_busy", "S1", FULL),
    ("MB 302, HTTP 500", "apple_error", "S1", FULL),
    ("MB 302, HTTP 599", "apple_error", "S1", FULL),
    ("MB 304, CK 36", "account_paused", "S5a", FULL),
    ("MB 1, CK 36", "account_paused", "S5a", "S4 S7"),
    ("MB 305, CK 9", "account", "S5a", "S4 S7"),
    ("MB 305, HTTP 401", "account", "S5a", "S4 S7"),
    ("MB 3, HTTP 409", "cloud_copy_broken", "S4", ""),
    ("MB 4, HTTP 404", "cloud_copy_broken", "S4", ""),
    ("MB 13, HTTP 423", "cloud_copy_broken", "S4", ""),
    ("MB 306, HTTP 424", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 11", "cloud_copy_broken", "S4", ""),
    ("MB 4, CK 11", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 14", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 21", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 26", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 28", "cloud_copy_broken", "S4", ""),
    ("MB 1, CK 16", "app_unreadable", "S6b", "S4 S5"),
    ("MB 1, CK 16, CKI 3002", "app_unreadable", "S6b", "S4 S5"),
    ("MB 1, CK 2, CKI 1011", "general", "S1", FULL),
    ("MB 1, CK 2, CKI 1011, CK 25", "icloud_full", "S3", FULL),
    ("MB 2, MB 209", "missing_key", "S0", FULL),
    ("MB 2, CK 2, CK 1, CKI 1000", "general", "S1", FULL),
    ("MB 105, CK 1, CKI 3008", "phone_full", "S3b", "S3 S4 S5 S7"),
    ("MB 105, POSIX 28", "phone_full", "S3b", "S3 S4 S5 S7"),
    (
        "MB 106, Cocoa 640",
        "phone_full_unsure",
        "S1",
        "S3 S4 S5 S7",
    ),
    ("MB 105, SQLite 13", "phone_full", "S3b", "S3 S4 S5 S7"),
    (
        "MB 105, NSSQLiteErrorDomain 13",
        "phone_full",
        "S3b",
        "S3 S4 S5 S7",
    ),
    ("MB 310, CK 1, CKI 2009", "icloud_internal", "S1", "S4"),
    ("MB 1, CK 1", "general", "S1", FULL),
    ("MB 1, CK 99", "general", "S1", FULL),
    ("MB 18, Cocoa 4096", "system_service", "S1", ""),
    ("MB 19, Cocoa 4097", "system_service", "S1", ""),
    ("MB 20, Cocoa 4099", "system_service", "S1", ""),
    ("MB 18, Cocoa 4224", "system_service", "S1", ""),
    ("Cocoa 4097", "system_service", "S1", ""),
    ("Cocoa 4225", "unknown_error", "S0", ""),
    ("MB 100, POSIX 5", "app_unreadable", "S6b", "S4 S5"),
    ("MB 307, HTTP 330", "refused", "S1", FULL),
    ("MB 301, HTTP 418", "refused", "S1", FULL),
    ("MB 777, CK 25", "icloud_full", "S3", FULL),
];

fn first(errors: &str) -> Cause {
    let evidence = noted(vec![attempt(20, errors)]);
    ask(&stale(), &evidence).into_iter().next().unwrap()
}

#[test]
fn each_number_has_its_cause_its_first_step_and_its_bans() {
    for (errors, code, step, never) in OWN.iter().chain(UNDERLYING) {
        let cause = first(errors);
        assert_eq!(cause.code, *code, "{errors}");
        assert_eq!(
            cause.steps.first().map_or("", |step| step.code()),
            *step,
            "{errors}"
        );
        assert_eq!(list(&cause.never), *never, "{errors}");
    }
}

#[test]
fn no_number_of_the_tables_was_forgotten() {
    let rows = tables().unwrap().errors.iter();
    for row in rows.filter(|row| !row.success && row.inner.is_none()) {
        for code in row.codes.iter().copied().chain(row.code) {
            let error = ErrorCode::new(&row.domain, code).unwrap();
            assert!(
                OWN.iter()
                    .chain(UNDERLYING)
                    .any(|(errors, ..)| chain(errors).contains(&error)),
                "{error}"
            );
        }
    }
}

#[test]
fn the_firm_ban_holds_whatever_lies_underneath_and_before() {
    let banned = [
        17, 22, 212, 217, 218, 219, 220, 221, 222, 223, 224, 300, 303, 304, 308,
    ];
    for code in banned {
        for (other, ..) in OWN.iter().chain(UNDERLYING) {
            for errors in [format!("MB {code}, {other}"), format!("{other}, MB {code}")] {
                // Three attempts before it that would ask for the harshest.
                let mut attempts: Vec<Attempt> =
                    (0..3).map(|n| attempt(60 - n, "MB 209")).collect();
                attempts.push(attempt(20, &errors));
                let causes = ask(&stale(), &noted(attempts));
                assert!(!causes.is_empty());
                for cause in causes {
                    for step in [StepId::S4, StepId::S5, StepId::S7] {
                        assert!(!cause.steps.contains(&step), "{errors}: {cause:?}");
                        assert!(cause.never.contains(&step), "{errors}: {cause:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_repeats_is_another_cause() {
    let table = [
        ("MB 209", 1, "missing_key", "S0", FULL),
        ("MB 209", 2, "missing_key", "S0", FULL),
        ("MB 209", 3, "missing_keys", "S1 S4 S7", ""),
        ("MB 1", 2, "general", "S1 S2", FULL),
        ("MB 1", 3, "general_repeated", "S1 S2 S4", ""),
        ("MB 2", 3, "general_repeated", "S1 S2 S4", ""),
        ("MB 1, CK 99", 3, "general_repeated", "S1 S2 S4", ""),
        ("MB 310", 2, "icloud_internal", "S1", "S4"),
        ("MB 310", 3, "general_repeated", "S1 S2 S4", ""),
        ("MB 303", 9, "icloud_full", "S3", FULL),
    ];
    for (errors, count, code, steps, never) in table {
        let attempts = (0..count).map(|n| attempt(100 - n * 5, errors)).collect();
        let cause = ask(&stale(), &noted(attempts)).remove(0);
        assert_eq!(cause.code, code, "{count} times {errors}");
        let start = list(&cause.steps);
        assert!(start.starts_with(steps), "{count} times {errors}: {start}");
        assert_eq!(list(&cause.never), never, "{count} times {errors}");
    }
}

#[test]
fn only_what_waiting_does_not_cure_is_hard() {
    let hard: Vec<&str> = OWN
        .iter()
        .filter(|(errors, ..)| first(errors).hard)
        .map(|(errors, ..)| *errors)
        .collect();
    assert_eq!(hard, ["MB 22", "MB 210", "MB 303", "MB 305"]);
    assert!(find("missing_keys").unwrap().hard, "and a repeated 209");
}

/// For a person to read through: what each number is told as.
#[test]
fn the_words_for_each_number() {
    let mut told: Vec<String> = Vec::new();
    for (errors, ..) in OWN.iter().chain(UNDERLYING) {
        let cause = first(errors);
        told.push(format!(
            "{errors}\n  {} [{}, {}]\n  {}.\n  {}\n  first {} | then {} | never {}",
            cause.title,
            cause.code,
            cause.confidence.code(),
            cause.because,
            if cause.advice.is_empty() {
                "-"
            } else {
                &cause.advice
            },
            cause.steps.first().map_or("wait", |step| step.code()),
            list(cause.steps.get(1..).unwrap_or_default()),
            list(&cause.never),
        ));
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

/// "Cancelled" as a group (`remediation.md` 2.5): that such an attempt failed refutes no step.
#[test]
fn what_circumstances_broke_off_is_no_failure() {
    let now = now();
    let is_failure = |text: &str| {
        let mut attempt = crate::fixture::attempt(DeviceTime(now.host.0), 0);
        attempt.chain = chain(text);
        super::super::is_failure(&attempt)
    };
    for circumstance in [
        "",
        "MB 0",
        "MB 202",
        "MB 217",
        "MB 218",
        "MB 219",
        "MB 220",
        "MB 221",
        "MB 222",
        "MB 223",
        "MB 224",
        "MB 202, MB 219",
        "MB 202, CK 20",
        "MB 202, URL -999",
    ] {
        assert!(!is_failure(circumstance), "{circumstance}");
    }
    for failure in [
        "MB 208",
        "MB 300",
        "MB 303",
        "MB 777",
        "MB 202, CK 25",
        "X -1",
    ] {
        assert!(is_failure(failure), "{failure}");
    }
}
