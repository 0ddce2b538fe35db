//! Phones in a situation: everything that is told about each. A table to read through.

use super::*;
use crate::evidence::{Conditions, Part};
use crate::facts::{Battery, Disk, Setup};

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
