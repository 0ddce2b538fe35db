//! What holds for any evidence at all.

use super::*;
use crate::evidence::{Conditions, Part, Uploading};
use crate::facts::{Battery, Disk, NoAnswer, Reading, Setup};
use jiff::Timestamp;
use proptest::option;
use proptest::prelude::*;

fn moments() -> impl Strategy<Value = DeviceTime> {
    prop_oneof![
        8 => (-60_i64..24 * 60).prop_map(hours_ago),
        1 => (-377_705_023_201_i64..253_402_207_200).prop_map(|second| DeviceTime(Timestamp::from_second(second).unwrap())),
    ]
}

fn errors() -> impl Strategy<Value = ErrorCode> {
    let domains = prop::sample::select(vec![
        "MBErrorDomain",
        "MBErrorDomain",
        "CKErrorDomain",
        "CKInternalErrorDomain",
        "NSURLErrorDomain",
        "NSCocoaErrorDomain",
        "HTTP",
        "SomethingElse",
        "/var/mobile/Zebra",
    ]);
    let known = prop::sample::select(vec![
        0, 1, 2, 3, 17, 22, 25, 36, 100, 105, 106, 202, 209, 210, 212, 218, 222, 300, 303, 304,
        308, 507, 640, 2009, 4097, -999, -1009, -1200,
    ]);
    (domains, prop_oneof![4 => known, 1 => any::<i64>()]).prop_map(|(domain, code)| ErrorCode {
        domain: domain.to_owned(),
        code,
    })
}

fn attempts() -> impl Strategy<Value = Attempt> {
    let app = prop::sample::select(vec![
        "org.example.notes",
        "com.apple.zebra",
        "/Zebra",
        "zebra@zebra",
    ]);
    (
        moments(),
        prop::collection::vec(errors(), 0..5),
        option::of(app),
        option::of(any::<String>()),
    )
        .prop_map(|(at, chain, app, text)| Attempt {
            at,
            chain,
            app: app.map(str::to_owned),
            text,
        })
}

fn windows() -> impl Strategy<Value = Window> {
    (moments(), any::<i64>(), any::<[bool; 4]>(), any::<u32>()).prop_map(
        |(start, seconds, flags, ignored)| Window {
            start,
            length: Period::seconds(seconds),
            enabled: flags[0],
            on_power: flags[1],
            locked: flags[2],
            on_wifi: flags[3],
            ignored,
            error: None,
        },
    )
}

fn all_books() -> impl Strategy<Value = Books> {
    let domain = prop::sample::select(vec![
        "CameraRollDomain",
        "AppDomain-org.example.a",
        "AppDomain-com.apple.zebra",
        "/Zebra",
    ]);
    let parts = prop::collection::vec((domain, any::<u64>()), 0..12);
    (
        (moments(), prop::collection::vec(attempts(), 0..12)),
        (option::of(any::<u32>()), option::of(any::<u32>())),
        (option::of(moments()), option::of(moments())),
        option::of(prop::collection::vec(windows(), 0..12)),
        option::of(any::<u16>()),
        parts,
    )
        .prop_map(
            |((at, attempts), counts, dates, windows, upload, parts)| Books {
                attempts,
                failures: counts.0,
                missing_key_failures: counts.1,
                retry_after: dates.0,
                restored: dates.1,
                windows,
                upload: upload.map(|permille| Uploading {
                    permille,
                    left: None,
                }),
                largest: parts
                    .into_iter()
                    .map(|(domain, bytes)| Part {
                        domain: domain.to_owned(),
                        bytes,
                    })
                    .collect(),
                ..Books::blank(host(at))
            },
        )
}

fn all_heard() -> impl Strategy<Value = Heard> {
    (
        moments(),
        option::of(attempts()),
        option::of(any::<[bool; 4]>()),
        any::<[bool; 3]>(),
    )
        .prop_map(|(at, attempt, conditions, flags)| Heard {
            at: host(at),
            attempt,
            conditions: conditions.map(|on| Conditions {
                enabled: on[0],
                locked: on[1],
                on_power: on[2],
                on_wifi: on[3],
            }),
            forbidden: flags[0],
            nothing_due: flags[1],
            put_off: flags[2],
        })
}

fn reading<T: std::fmt::Debug + Clone>(
    values: impl Strategy<Value = T>,
) -> impl Strategy<Value = Reading<T>> {
    prop_oneof![3 => values.prop_map(Ok), 1 => Just(Err(NoAnswer::Missing)), 1 => Just(Err(NoAnswer::Locked))]
}

fn pasts() -> impl Strategy<Value = Past> {
    let setup = prop_oneof![6 => Just(Setup::Done), 1 => Just(Setup::InProgress), 1 => Just(Setup::Restoring)];
    (
        reading(any::<bool>()),
        reading(moments()),
        reading(moments()),
        reading(setup),
        reading((any::<u64>(), any::<u64>()).prop_map(|(total, free)| Disk { total, free })),
        reading(
            (any::<u8>(), any::<bool>())
                .prop_map(|(percent, on_power)| Battery { percent, on_power }),
        ),
        reading("[a-zA-Z0-9./ ]{0,20}"),
        (any::<bool>(), option::of(any::<u16>()), any::<bool>()),
    )
        .prop_map(
            |(enabled, last, clock, setup, disk, battery, version, (managed, upload, known))| {
                let then = now();
                let mut told = facts(&then, Period::days(9));
                (told.cloud_enabled, told.cloud_last, told.device_clock) = (enabled, last, clock);
                (told.setup, told.disk, told.battery, told.os_version) =
                    (setup, disk, battery, version);
                told.managed = Ok(managed);
                let mut past = Past::default();
                if known {
                    past.absorb(told, &CloudPolicy::default(), &then);
                }
                if let Some(permille) = upload {
                    past.note_upload(permille, &then);
                }
                past
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_read_the_answer_is_decent(
        past in pasts(),
        books in option::of(all_books()),
        hearing in option::of(all_heard()),
    ) {
        let evidence = Evidence { books, heard: hearing };
        let causes = ask(&past, &evidence);
        prop_assert!(causes.is_sorted_by(|a, b| a.confidence >= b.confidence));
        for (index, cause) in causes.iter().enumerate() {
            prop_assert!(find(&cause.code).is_some());
            prop_assert!(!causes[..index].iter().any(|other| other.code == cause.code), "{} twice", cause.code);
            prop_assert!(cause.steps.iter().all(|step| !cause.never.contains(step)), "{cause:?}");
            prop_assert!(cause.because.starts_with("because "), "{}", cause.because);
            prop_assert!(cause.because.chars().count() < 600, "{}", cause.because);
            for words in [&cause.because, &cause.title, &cause.advice] {
                prop_assert!(!words.to_lowercase().contains("zebra"), "{words}");
                prop_assert!(!words.contains(['{', '}', '/', '@', '\n']), "{words}");
            }
            let kept = [&cause.says, &cause.app];
            prop_assert!(kept.into_iter().flatten().all(|text| !text.contains(['/', '@', '\\'])), "{cause:?}");
        }
    }

    #[test]
    fn a_circumstance_never_leads_to_a_harsh_step(
        past in pasts(),
        code in prop::sample::select(vec![17, 22, 212, 217, 218, 219, 220, 221, 222, 223, 224, 300, 303, 304, 308]),
        around in prop::collection::vec(errors(), 0..4),
        before in prop::collection::vec(attempts(), 0..8),
    ) {
        let mut newest = attempt(2, &format!("MB {code}"));
        newest.chain.extend(around);
        let older = before.into_iter().filter(|attempt| attempt.at < newest.at);
        let mut all: Vec<Attempt> = older.collect();
        all.push(newest);
        // A clock that runs behind would put the newest attempt into the future, where nobody believes it.
        let mut past = past;
        if let Some(facts) = &mut past.facts {
            facts.device_clock = Ok(hours_ago(0));
        }
        let causes = ask(&past, &noted(all));
        // Unknown it is only when the attempts are settled, by a newer date for example.
        for cause in causes.iter().filter(|cause| cause.code != "unknown") {
            for step in [StepId::S4, StepId::S5, StepId::S7] {
                prop_assert!(!cause.steps.contains(&step), "{cause:?}");
            }
        }
    }
}
