//! The tables themselves.

use super::super::tables::{Tables, parse};
use super::*;

const TEXT: &str = include_str!("../../../data/causes.toml");

fn shipped() -> Tables {
    parse(TEXT).unwrap()
}

/// Every number of `remediation.md` 2.2 and 2.3 that stands there by itself.
const NUMBERS: &[(&str, &[i64])] = &[
    (
        "MBErrorDomain",
        &[
            0, 1, 2, 3, 4, 9, 13, 14, 17, 18, 19, 20, 22, 100, 105, 106, 202, 203, 208, 209, 210,
            211, 212, 217, 218, 219, 220, 221, 222, 223, 224, 300, 301, 302, 303, 304, 305, 306,
            307, 308, 309, 310, 500, 555,
        ],
    ),
    (
        "CKErrorDomain",
        &[2, 3, 4, 6, 7, 9, 11, 14, 16, 20, 21, 23, 25, 26, 28, 36],
    ),
    (
        "NSURLErrorDomain",
        &[-999, -1001, -1003, -1004, -1005, -1006, -1009],
    ),
    ("NSCocoaErrorDomain", &[640]),
    ("NSPOSIXErrorDomain", &[5, 28]),
    ("SQLite", &[13]),
    ("HTTP", &[330, 401, 404, 409, 423, 424, 503, 507]),
];

#[test]
fn the_shipped_causes_parse_and_every_number_is_there_once() {
    let tables = shipped();
    for (domain, numbers) in NUMBERS {
        let mut listed: Vec<i64> = tables
            .errors
            .iter()
            .filter(|row| row.domain == *domain && row.inner.is_none())
            .flat_map(|row| row.codes.iter().copied().chain(row.code))
            .collect();
        listed.sort_unstable();
        // The general one of CloudKit stands beside its two pairs.
        listed.retain(|code| (*domain, *code) != ("CKErrorDomain", 1));
        let mut expected = numbers.to_vec();
        expected.sort_unstable();
        assert_eq!(listed, expected, "{domain}");
    }
    let inner: Vec<i64> = tables.errors.iter().filter_map(|row| row.inner).collect();
    assert_eq!(inner, [3008, 2009]);
}

#[test]
fn every_name_leads_somewhere() {
    let tables = shipped();
    let known = |code: &String| tables.causes.iter().any(|cause| cause.code == *code);
    for row in &tables.errors {
        let causes = [&row.cause, &row.if_disk_low, &row.otherwise];
        let later = row.repeated.as_ref().map(|repeated| &repeated.cause);
        let named: Vec<&String> = causes.into_iter().flatten().chain(later).collect();
        assert!(named.iter().all(|code| known(code)), "{row:?}");
        assert_eq!(row.success, named.is_empty(), "{row:?}");
    }
    for sign in &tables.signs {
        assert!(known(&sign.cause), "{}", sign.name);
    }
    let mut codes: Vec<&str> = tables
        .causes
        .iter()
        .map(|cause| cause.code.as_str())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(
        codes.len(),
        tables.causes.len(),
        "a cause stands there twice"
    );
}

#[test]
fn a_cause_speaks_plainly_and_does_not_contradict_itself() {
    for cause in all() {
        let code = &cause.code;
        let never = cause.all_never();
        for step in &cause.steps {
            assert!(!never.contains(step), "{code} proposes and forbids {step}");
        }
        assert_eq!(
            cause.all_steps().is_empty(),
            cause.wait && cause.steps.is_empty(),
            "{code}: without steps there is only waiting"
        );
        for words in [&cause.title, &cause.means, &cause.advice] {
            let rest = words.replace("{noun}", "");
            assert!(!rest.contains(['{', '}', '_', '/']), "{code}: {words}");
        }
        assert!(cause.title.chars().count() <= 60, "{code}: {}", cause.title);
        assert!(
            !cause.means.ends_with('.') && !cause.title.ends_with('.'),
            "{code}"
        );
        assert!(
            cause.advice.is_empty() || cause.advice.ends_with('.'),
            "{code}"
        );
        assert!(!cause.source.is_empty(), "{code} has no source");
    }
}

#[test]
fn what_is_doubtful_is_marked() {
    let mut unverified: Vec<(String, i64)> = Vec::new();
    for row in shipped().errors {
        if row.certainty == Certainty::Unverified {
            let range = row.range.into_iter().flat_map(|[from, to]| from..=to);
            let codes = row.codes.into_iter().chain(row.code).chain(range);
            unverified.extend(codes.map(|code| (row.domain.clone(), code)));
        }
    }
    unverified.sort_unstable();
    let expected: [(&str, &[i64]); 4] = [
        ("CKErrorDomain", &[11, 14, 21, 26, 28]),
        ("MBErrorDomain", &[106]),
        ("NSCocoaErrorDomain", &[640]),
        (
            "NSURLErrorDomain",
            &[
                -1206, -1205, -1204, -1203, -1202, -1201, -1200, -1009, -1006, -1005, -1004, -1003,
                -1001,
            ],
        ),
    ];
    let expected = expected
        .into_iter()
        .flat_map(|(domain, codes)| codes.iter().map(|code| (domain.to_owned(), *code)));
    assert_eq!(unverified, expected.collect::<Vec<_>>());
}

#[test]
fn another_schema_is_refused() {
    let error = parse(&TEXT.replace("schema = 1", "schema = 2")).unwrap_err();
    assert!(error.contains("schema 2"), "{error}");
}
