//! Phones in a situation: what is told first, and why.

use super::*;
use crate::evidence::{Conditions, Part, Uploading};
use crate::facts::{Battery, Disk, Setup};
use crate::past::SetUp;

fn with(change: impl FnOnce(&mut crate::facts::Facts)) -> Past {
    let then = now();
    let mut facts = facts(&then, Period::days(9));
    change(&mut facts);
    let mut past = Past::default();
    past.absorb(facts, &CloudPolicy::default(), &then);
    past
}

fn books_with(change: impl FnOnce(&mut Books)) -> Evidence {
    let mut books = books(Vec::new());
    change(&mut books);
    of(books)
}

fn heard_with(change: impl FnOnce(&mut Heard)) -> Evidence {
    let mut hearing = silence(1);
    change(&mut hearing);
    heard(hearing)
}

const ALL_WELL: Conditions = Conditions {
    enabled: true,
    locked: true,
    on_power: true,
    on_wifi: true,
};

fn part(domain: &str, bytes: u64) -> Part {
    Part {
        domain: domain.to_owned(),
        bytes,
    }
}

/// The field report of September 2026 (`remediation.md` 1.2.2): a missing key, then a cancelled attempt.
fn field_report() -> Evidence {
    let mut books = books(vec![attempt(16, "MB 209"), attempt(15, "MB 202")]);
    books.failures = Some(5);
    books.windows = Some((1..=4).map(|n| window(n * 20, n)).collect());
    of(books)
}

/// Every situation that has a cause, with a name: the table that a person can read through.
fn situations() -> Vec<(&'static str, Past, Evidence)> {
    let newest = |errors: &str| noted(vec![attempt(20, errors)]);
    vec![
        ("nothing was read yet", stale(), Evidence::default()),
        (
            "a device that never answered",
            Past::default(),
            Evidence::default(),
        ),
        ("iCloud is full, and the books say of what", stale(), {
            let mut books = books(vec![
                attempt(60, "MB 303"),
                attempt(40, "MB 303"),
                attempt(20, "MB 303"),
            ]);
            books.largest = vec![
                part("CameraRollDomain", 31_000_000_000),
                part("AppDomain-com.apple.system.part", 9_000_000_000),
                part("AppDomain-org.example.films", 2_100_000_000),
                part("InstallDomain", 1_000_000_000),
                part("HomeDomain", 900_000_000),
            ];
            of(books)
        }),
        (
            "a huge backup that is always cut short",
            stale(),
            field_report(),
        ),
        (
            "unlocked each time",
            stale(),
            books_with(|books| {
                books.windows = Some(
                    (1..=6)
                        .map(|n| Window {
                            ignored: 1,
                            ..window(n * 20, n)
                        })
                        .collect(),
                );
            }),
        ),
        (
            "unplugged mostly",
            stale(),
            books_with(|books| {
                let unplugged = Window {
                    locked: true,
                    on_power: false,
                    ..window(50, 12)
                };
                books.windows = Some(vec![window(60, 3), unplugged.clone(), unplugged]);
            }),
        ),
        (
            "never on charger and Wi-Fi",
            stale(),
            books_with(|books| books.windows = Some(Vec::new())),
        ),
        (
            "long nights, no error",
            stale(),
            books_with(|books| {
                books.windows = Some(vec![window(30, 400)]);
            }),
        ),
        (
            "it counts failures and lists none",
            stale(),
            books_with(|books| books.failures = Some(5)),
        ),
        (
            "it counts missing keys and lists none",
            stale(),
            books_with(|books| {
                books.missing_key_failures = Some(4);
            }),
        ),
        ("a key was missing once", stale(), newest("MB 209")),
        (
            "one app's file",
            stale(),
            noted(vec![Attempt {
                app: Some("org.example.notes".to_owned()),
                ..attempt(20, "MB 1")
            }]),
        ),
        (
            "a certificate in the text",
            stale(),
            noted(vec![Attempt {
                text: Some("The certificate for this server is invalid.".to_owned()),
                ..attempt(20, "MB 300, URL -1234")
            }]),
        ),
        (
            "an unknown error",
            stale(),
            noted(vec![Attempt {
                text: Some("Snapshot of /var/mobile/Anna went away".to_owned()),
                ..attempt(20, "MB 777")
            }]),
        ),
        (
            "cancelled while we backed it up",
            {
                let mut past = stale();
                past.copy = Some(crate::fixture::copy(host(hours_ago(19))));
                past
            },
            newest("MB 218"),
        ),
        ("the server asks to wait", stale(), {
            let mut books = books(vec![attempt(20, "MB 17, CK 7")]);
            books.retry_after = Some(hours_ago(-5));
            of(books)
        }),
        (
            "the phone itself is full",
            with(|facts| {
                facts.disk = Ok(Disk {
                    total: 64_000_000_000,
                    free: 1_200_000_000,
                });
            }),
            Evidence::default(),
        ),
        (
            "106, and the phone is full",
            with(|facts| {
                facts.disk = Ok(Disk {
                    total: 64_000_000_000,
                    free: 1_200_000_000,
                });
            }),
            newest("MB 106"),
        ),
        (
            "switched off",
            with(|facts| facts.cloud_enabled = Ok(false)),
            newest("MB 303"),
        ),
        (
            "switched off by the organization",
            with(|facts| facts.cloud_enabled = Ok(false)),
            newest("MB 22"),
        ),
        (
            "switched off while it backed up",
            with(|facts| facts.cloud_enabled = Ok(false)),
            newest("MB 217"),
        ),
        ("105, and there is room again", stale(), newest("MB 105")),
        (
            "seen switched off",
            {
                let mut past = with(|facts| facts.cloud_enabled = Ok(false));
                past.switched_off = Some(host(hours_ago(24 * 3)));
                past
            },
            Evidence::default(),
        ),
        (
            "being restored",
            with(|facts| facts.setup = Ok(Setup::Restoring)),
            newest("MB 303"),
        ),
        (
            "being set up",
            with(|facts| facts.setup = Ok(Setup::InProgress)),
            Evidence::default(),
        ),
        (
            "the clock is a year behind",
            with(|facts| {
                facts.device_clock = Ok(hours_ago(365 * 24));
                facts.cloud_last = Ok(hours_ago(380 * 24));
            }),
            Evidence::default(),
        ),
        (
            "an empty battery",
            with(|facts| {
                facts.battery = Ok(Battery {
                    percent: 12,
                    on_power: false,
                });
            }),
            Evidence::default(),
        ),
        (
            "managed, and no more is known",
            with(|facts| facts.managed = Ok(true)),
            Evidence::default(),
        ),
        (
            "heard: management forbids it",
            stale(),
            heard_with(|heard| heard.forbidden = true),
        ),
        (
            "heard: no Wi-Fi",
            stale(),
            heard_with(|heard| {
                heard.conditions = Some(Conditions {
                    on_wifi: false,
                    locked: false,
                    ..ALL_WELL
                });
            }),
        ),
        (
            "heard: no charger",
            stale(),
            heard_with(|heard| {
                heard.conditions = Some(Conditions {
                    on_power: false,
                    ..ALL_WELL
                });
            }),
        ),
        (
            "heard: switched off",
            stale(),
            heard_with(|heard| {
                heard.conditions = Some(Conditions {
                    enabled: false,
                    ..ALL_WELL
                });
            }),
        ),
        (
            "heard: put off",
            stale(),
            heard_with(|heard| heard.put_off = true),
        ),
        (
            "put off until a date",
            stale(),
            books_with(|books| {
                books.retry_after = Some(hours_ago(-20));
            }),
        ),
        (
            "heard: nothing is due",
            stale(),
            heard_with(|heard| heard.nothing_due = true),
        ),
        (
            "the first upload",
            {
                let mut past =
                    with(|facts| facts.cloud_last = Err(crate::facts::NoAnswer::Missing));
                past.dateless_since = Some(host(hours_ago(9 * 24)));
                past.note_upload(340, &now());
                past
            },
            Evidence::default(),
        ),
        (
            "the first upload of a new phone",
            {
                let mut past =
                    with(|facts| facts.cloud_last = Err(crate::facts::NoAnswer::Missing));
                past.dateless_since = Some(host(hours_ago(30)));
                past.note_upload(430, &now());
                past
            },
            Evidence::default(),
        ),
        (
            "a failure that names no error",
            stale(),
            noted(vec![Attempt {
                chain: vec![ErrorCode::nameless()],
                ..attempt(20, "")
            }]),
        ),
        (
            "old software",
            with(|facts| facts.os_version = Ok("15.8.2".to_owned())),
            newest("MB 203"),
        ),
        (
            "an iPad on a beta",
            with(|facts| {
                facts.device_class = Ok("iPad".to_owned());
                facts.build = Ok("23A5260n".to_owned());
            }),
            newest("MB 19, Cocoa 4097"),
        ),
    ]
}

/// For a person to read through: each situation, and everything that is told about it.
#[test]
fn the_words_for_each_situation() {
    let mut told = Vec::new();
    for (name, past, evidence) in situations() {
        let mut text = format!("## {name}");
        for cause in ask(&past, &evidence) {
            let wait = cause
                .wait_until
                .map(|until| format!(" | wait until {until}"))
                .unwrap_or_default();
            let says = cause
                .says
                .map(|says| format!("\n  it says: {says}"))
                .unwrap_or_default();
            text += &format!(
                "\n- {} [{}, {}]\n  {}.{says}\n  steps {} | never {}{wait}",
                cause.title,
                cause.code,
                cause.confidence.code(),
                cause.because,
                if cause.steps.is_empty() {
                    "wait".to_owned()
                } else {
                    list(&cause.steps)
                },
                list(&cause.never),
            );
        }
        told.push(text);
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

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
