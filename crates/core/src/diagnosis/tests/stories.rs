//! What is settled, what is counted, what is old, and what is no story at all.

use super::*;
use crate::evidence::{Conditions, Uploading};
use crate::facts::Disk;
use crate::past::SetUp;

#[test]
fn nothing_is_wrong_nothing_is_said() {
    let quiet = |past: &Past, evidence: &Evidence| ask(past, evidence).is_empty();
    assert!(
        quiet(&dated(Period::hours(20)), &Evidence::default()),
        "fresh"
    );
    assert!(quiet(&dated(Period::days(3)), &Evidence::default()), "late");
    let mut fresh_but_full = dated(Period::hours(20));
    if let Some(facts) = &mut fresh_but_full.facts {
        facts.disk = Ok(Disk {
            total: 64_000_000_000,
            free: 1,
        });
    }
    assert!(
        quiet(&fresh_but_full, &Evidence::default()),
        "it works, so it is not too full"
    );
    let cancelled = noted(vec![attempt(5, "MB 202")]);
    assert!(
        quiet(&dated(Period::hours(20)), &cancelled),
        "a night cut short is no story"
    );
    let mut new = with(|facts| facts.cloud_last = Err(crate::facts::NoAnswer::Missing));
    new.dateless_since = Some(host(hours_ago(24)));
    assert!(
        quiet(&new, &Evidence::default()),
        "a new phone has its days of grace"
    );
    new.dateless_since = Some(host(hours_ago(24 * 4)));
    assert_eq!(
        codes(&ask(&new, &Evidence::default())),
        ["unknown"],
        "and then no more"
    );
}

#[test]
fn what_waiting_does_not_cure_is_told_early() {
    let full = noted(vec![attempt(5, "MB 303")]);
    assert_eq!(
        codes(&ask(&dated(Period::hours(20)), &full)),
        ["icloud_full"]
    );
    let busy = noted(vec![attempt(5, "MB 304")]);
    assert_eq!(
        codes(&ask(&dated(Period::days(3)), &busy)),
        ["apple_busy"],
        "late"
    );
}

#[test]
fn a_newer_success_settles_everything() {
    let full = attempt(30, "MB 303");
    let rows = [
        (
            "an entry without an error",
            noted(vec![full.clone(), attempt(20, "")]),
        ),
        (
            "an entry with the number 0",
            noted(vec![full.clone(), attempt(20, "MB 0")]),
        ),
        ("in no order", noted(vec![attempt(20, ""), full.clone()])),
        (
            "heard",
            Evidence {
                books: Some(books(vec![full.clone()])),
                heard: Some(Heard {
                    attempt: Some(attempt(2, "")),
                    ..silence(1)
                }),
            },
        ),
    ];
    for (name, evidence) in rows {
        assert!(
            !codes(&ask(&stale(), &evidence)).contains(&"icloud_full"),
            "{name}"
        );
    }
    // The date that lockdown tells is a success as well, and so is whatever begins anew.
    let evidence = noted(vec![full]);
    assert_eq!(codes(&ask(&stale(), &evidence)), ["icloud_full"]);
    assert!(ask(&dated(Period::hours(29)), &evidence).is_empty());
    let mut switched_on = stale();
    switched_on.switched_on = Some(host(hours_ago(29)));
    assert!(!codes(&ask(&switched_on, &evidence)).contains(&"icloud_full"));
    let mut enabled = books(vec![attempt(30, "MB 303")]);
    enabled.account_enabled = Some(hours_ago(29));
    assert!(!codes(&ask(&stale(), &of(enabled))).contains(&"icloud_full"));
    let mut restored = stale();
    restored.set_up = Some(SetUp {
        seen: host(hours_ago(29)),
        dates_before: hours_ago(29),
    });
    assert!(!codes(&ask(&restored, &evidence)).contains(&"icloud_full"));
}

#[test]
fn the_newest_attempt_speaks_first_wherever_it_is_told() {
    let both = |noted: i64, listened: i64| Evidence {
        books: Some(books(vec![attempt(noted, "MB 303")])),
        heard: Some(Heard {
            attempt: Some(attempt(listened, "MB 300")),
            ..silence(1)
        }),
    };
    assert_eq!(
        codes(&ask(&stale(), &both(20, 3))),
        ["network", "icloud_full"]
    );
    assert_eq!(
        codes(&ask(&stale(), &both(3, 20))),
        ["icloud_full", "network"]
    );
    // In any order of the list, and whatever a wrong clock wrote.
    let mixed = noted(vec![
        attempt(-100, "MB 22"),
        attempt(3, "MB 300"),
        attempt(20, "MB 303"),
    ]);
    assert_eq!(codes(&ask(&stale(), &mixed)), ["network", "icloud_full"]);
}

#[test]
fn the_one_that_was_heard_is_not_counted_twice() {
    let general = |hours| attempt(hours, "MB 1");
    let evidence = Evidence {
        books: Some(books(vec![general(30), general(20)])),
        heard: Some(Heard {
            attempt: Some(Attempt {
                at: general(20).at.plus(Period::seconds(20)),
                ..general(20)
            }),
            ..silence(1)
        }),
    };
    assert_eq!(codes(&ask(&stale(), &evidence)), ["general"]);
}

#[test]
fn a_cancelled_attempt_is_told_with_what_ended_its_window() {
    let mut books = books(vec![attempt(20, "MB 202")]);
    books.windows = Some(vec![Window {
        start: hours_ago(21),
        length: Period::minutes(58),
        locked: true,
        on_wifi: false,
        ..window(0, 0)
    }]);
    let cause = ask(&stale(), &of(books)).remove(0);
    assert!(
        cause.because.contains("; it lost its Wi-Fi"),
        "{}",
        cause.because
    );
}

#[test]
fn an_error_of_long_ago_is_told_with_less_certainty() {
    let past = dated(Period::days(40));
    let old = noted(vec![attempt(24 * 12, "MB 303")]);
    assert_eq!(ask(&past, &old)[0].confidence, Confidence::Likely);
    let recent = noted(vec![attempt(24 * 2, "MB 303")]);
    assert_eq!(ask(&past, &recent)[0].confidence, Confidence::Certain);
}

#[test]
fn what_was_heard_of_a_moment_does_not_outlive_it() {
    let old = |change: fn(&mut Heard)| {
        let mut hearing = silence(24 * 3);
        change(&mut hearing);
        heard(hearing)
    };
    let rows = [
        old(|heard| heard.nothing_due = true),
        old(|heard| heard.put_off = true),
        old(|heard| {
            heard.conditions = Some(Conditions {
                on_wifi: false,
                ..ALL_WELL
            });
        }),
    ];
    for evidence in rows {
        assert_eq!(codes(&ask(&stale(), &evidence)), ["unknown"]);
    }
    let forbidden = old(|heard| heard.forbidden = true);
    assert_eq!(codes(&ask(&stale(), &forbidden)), ["managed"], "a ban does");
}

#[test]
fn an_upload_that_stands_still_explains_nothing() {
    let uploading = |hours: i64| {
        let mut books = Books::blank(host(hours_ago(hours)));
        books.upload = Some(Uploading {
            permille: 500,
            left: None,
        });
        of(books)
    };
    assert_eq!(codes(&ask(&stale(), &uploading(2)))[0], "first_upload");
    assert_eq!(codes(&ask(&stale(), &uploading(30)))[0], "unknown");
}

/// Code 22 by another mouth.
#[test]
fn what_management_forbids_is_not_mended_by_a_new_copy() {
    let attempts: Vec<Attempt> = (0..3).map(|n| attempt(60 - n * 5, "MB 209")).collect();
    let evidence = Evidence {
        heard: Some(Heard {
            forbidden: true,
            ..silence(1)
        }),
        ..noted(attempts)
    };
    let causes = ask(&stale(), &evidence);
    assert_eq!(codes(&causes), ["managed", "missing_keys"]);
    assert!(
        causes
            .iter()
            .all(|cause| !cause.steps.contains(&StepId::S4)),
        "{causes:?}"
    );
}

#[test]
fn a_count_of_before_the_last_backup_is_no_count() {
    let mut books = Books::blank(host(hours_ago(24 * 20)));
    books.missing_key_failures = Some(7);
    let evidence = Evidence {
        books: Some(books),
        heard: Some(Heard {
            attempt: Some(attempt(2, "MB 209")),
            ..silence(1)
        }),
    };
    assert_eq!(codes(&ask(&stale(), &evidence)), ["missing_key"]);
}

/// One iCloud backup on the first day, then "could not be completed" for a week.
#[test]
fn the_seed_story_ends_at_a_new_copy() {
    let attempts =
        |count: i64| (0..count).map(|n| attempt(24 * 8 - n * 24, "MB 1, CK 2, CKI 1011"));
    let twice = ask(&stale(), &noted(attempts(2).collect())).remove(0);
    assert_eq!(list(&twice.steps), "S1 S2");
    assert!(twice.never.contains(&StepId::S4));
    let week = ask(&stale(), &noted(attempts(7).collect())).remove(0);
    assert_eq!(list(&week.steps), "S1 S2 S4");
    assert!(
        week.because.ends_with(", as did 6 before"),
        "{}",
        week.because
    );
}
