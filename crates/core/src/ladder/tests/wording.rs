//! Everything that is said of a failure, for each cause of `data/causes.toml` and each level, to be read through by a person.

use super::*;
use crate::ladder::Recovery;
use crate::verdict::SafetyNet;
use crate::words::notices::{self, Done, Draft};
use std::fmt::Write;

/// Every cause that there is, as the phone's own error would name it.
fn all_causes() -> Vec<Cause> {
    let text = include_str!("../../../data/causes.toml");
    let file: toml::Table = toml::from_str(text).unwrap();
    let steps = |row: &toml::Table, key: &str| -> Vec<StepId> {
        let names = row.get(key).and_then(|list| list.as_array()).into_iter();
        names
            .flatten()
            .map(|name| StepId::parse(name.as_str().unwrap()).unwrap())
            .collect()
    };
    let is = |row: &toml::Table, key: &str| row.get(key).and_then(|it| it.as_bool()) == Some(true);
    let said = |row: &toml::Table, key: &str| {
        let text = row.get(key).and_then(|text| text.as_str());
        text.unwrap_or_default().replace("{noun}", "iPhone")
    };
    let rows = file["cause"].as_array().unwrap().iter();
    rows.map(|row| row.as_table().unwrap())
        .map(|row| {
            let mut never = steps(row, "never");
            never.extend(steps(row, "cautious_never"));
            let all = crate::steps::all().iter().map(|step| step.id);
            Cause {
                title: said(row, "title"),
                advice: said(row, "advice"),
                hard: is(row, "hard"),
                never,
                ..cause(
                    &said(row, "code"),
                    &if is(row, "full_ladder") {
                        all.collect::<Vec<_>>()
                    } else {
                        steps(row, "steps")
                    },
                    &[],
                )
            }
        })
        .collect()
}

fn in_state(climb: &Climb, state: RungState) -> String {
    let steps = climb.rungs.iter().filter(|rung| rung.state == state);
    let steps: Vec<&str> = steps.map(|rung| rung.step.code()).collect();
    if steps.is_empty() {
        "none".to_owned()
    } else {
        steps.join(" ")
    }
}

#[test]
fn each_cause_has_its_first_step_its_locks_and_its_words() {
    let mut table = String::new();
    for cause in all_causes() {
        let code = cause.code.clone();
        let hand = Hand::failing().because(vec![cause]);
        let bare = hand.climb();
        let hand = hand.with_copy(|copy| copy.encrypted = true);
        let climb = hand.climb();
        let _ = writeln!(
            table,
            "{code}: next {}{}, never {}\n    {}",
            in_state(&climb, RungState::Next),
            bare.held.map_or_else(String::new, |step| format!(
                " (without a local backup {step} is held)"
            )),
            in_state(&climb, RungState::Never),
            climb.words,
        );
        for rung in &climb.rungs {
            let harms = rung.state == RungState::Never;
            assert!(!harms || Some(rung.step) != climb.next().map(|next| next.step));
        }
        assert_eq!(in_state(&climb, RungState::Locked), "none", "{code}");
        let locked: Vec<RungState> = [StepId::S4, StepId::S5, StepId::S7]
            .map(|step| bare.rung(step).unwrap().state)
            .to_vec();
        for state in locked {
            assert!(
                matches!(state, RungState::Locked | RungState::Never),
                "{code}: {state:?}"
            );
        }
    }
    insta::assert_snapshot!(table);
}

fn write(table: &mut String, what: &str, draft: &Draft) {
    let buttons: Vec<String> = draft
        .actions
        .iter()
        .map(|action| format!("[{}]", action.label()))
        .collect();
    let _ = writeln!(
        table,
        "{what} ({:?})\n    {}\n    {}\n    {}",
        draft.level,
        draft.title,
        draft.body,
        buttons.join(" ")
    );
}

#[test]
fn what_is_told_of_a_failure_at_each_level() {
    let causes = all_causes();
    let of = |code: &str| {
        causes
            .iter()
            .find(|cause| cause.code == code)
            .unwrap()
            .clone()
    };
    let likely = |cause: Cause| Cause {
        confidence: Confidence::Likely,
        ..cause
    };
    let known: [(&str, Vec<Cause>); 6] = [
        ("icloud_full", vec![of("icloud_full")]),
        ("cloud_copy_broken", vec![of("cloud_copy_broken")]),
        ("network, likely", vec![likely(of("network"))]),
        ("apple_busy", vec![of("apple_busy")]),
        ("managed", vec![of("managed")]),
        (
            "unknown",
            vec![Cause {
                confidence: Confidence::Possible,
                ..of("unknown")
            }],
        ),
    ];
    let mut table = String::new();
    for (what, causes) in known {
        for days in [3, 5, 8, 16, 40] {
            if days == 3 && !crate::ladder::is_hard(&causes) {
                continue;
            }
            for saved in [false, true] {
                let mut hand = Hand::failing().because(causes.clone());
                // Its second day here: the first night has passed.
                hand.wait(Period::days(1)).backs_up(Period::days(days));
                if saved {
                    hand = hand.with_copy(|_| {});
                }
                let net = if saved {
                    "with a local backup"
                } else {
                    "without"
                };
                let climb = hand.climb();
                let draft = hand.with_scene(|scene| {
                    assert_eq!(matches!(scene.net, SafetyNet::Verified { .. }), saved);
                    notices::cloud_stale(scene, &climb, Done::Nothing)
                });
                write(&mut table, &format!("{what}, {days} days, {net}"), &draft);
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_told_of_a_step() {
    let mut table = String::new();
    let causes = all_causes();
    for cause in &causes {
        let Some(first) = cause.steps.first() else {
            continue;
        };
        let mut hand = Hand::failing()
            .with_copy(|_| {})
            .because(vec![cause.clone()]);
        hand.mark(*first, Mark::Did);
        while hand.ladder.pending().is_some() {
            hand.wait(Period::hours(11)).sees(|_| {});
        }
        let climb = hand.climb();
        let draft = hand.with_scene(|scene| notices::step_failed(scene, &climb, *first));
        write(&mut table, &cause.code, &draft);
    }
    let hand = Hand::failing();
    let at = hand.now.host;
    for after in [Some(StepId::S4), None] {
        let mut hand = Hand::failing();
        hand.backs_up(Period::hours(1));
        let date = DeviceTime(earlier(&hand.now, Period::hours(1)).0);
        let recovery = Recovery { at, date, after };
        let draft = hand.with_scene(|scene| notices::cloud_works(scene, Some(&recovery)));
        write(&mut table, "it works", &draft);
    }
    for step in [Some(StepId::S4), None] {
        let mut hand = Hand::failing();
        hand.sees(|facts| facts.cloud_enabled = Ok(false));
        hand.wait(Period::hours(26));
        let draft = hand.with_scene(|scene| notices::still_off(scene, step));
        write(&mut table, "still off", &draft);
    }
    insta::assert_snapshot!(table);
}

/// The firm ban of `remediation.md` 2.5, from the phone's own error to the ladder.
#[test]
fn no_circumstance_ever_leads_to_a_step_that_loses_data() {
    for code in [
        17, 22, 212, 217, 218, 219, 220, 221, 222, 223, 224, 300, 303, 304, 308,
    ] {
        let mut hand = Hand::failing().with_copy(|copy| copy.encrypted = true);
        hand.attempts(code);
        let mut hand = hand.diagnosed();
        while let Some(step) = hand.next() {
            assert!(
                ![StepId::S4, StepId::S5, StepId::S7].contains(&step),
                "{code} leads to {step}"
            );
            hand.mark(step, Mark::NotForMe);
        }
        for step in [StepId::S4, StepId::S5, StepId::S7] {
            assert_eq!(hand.state(step), RungState::Never, "{code}: {step}");
        }
    }
}
