//! Which step is offered, which is locked, and which is never offered.

use super::*;

#[test]
fn without_a_cause_it_goes_from_the_mildest_to_the_harshest() {
    let mut hand = Hand::failing().with_copy(|copy| copy.encrypted = true);
    let mut taken = Vec::new();
    while let Some(step) = hand.next() {
        taken.push(step.code());
        hand.mark(step, Mark::DidNotHelp);
    }
    // Neither the room on the phone, nor an app, nor an organisation has anything to do with it.
    assert_eq!(
        taken,
        ["S0", "S1", "S2", "S3", "S4", "S5a", "S5", "S6", "S7", "S9"]
    );
    insta::assert_snapshot!(hand.climb().words, @"Every step that could help was tried. Keep a local backup of the iPhone, and let Apple look at it.");
}

#[test]
fn the_cause_comes_first_and_the_rest_after_it() {
    let order = |causes: Vec<Cause>| {
        let hand = Hand::failing().because(causes);
        let steps: Vec<&str> = hand
            .climb()
            .rungs
            .iter()
            .map(|rung| rung.step.code())
            .collect();
        steps.join(" ")
    };
    use StepId::{S0, S1, S2, S3, S5, S5a, S6};
    assert_eq!(order(vec![]), "S0 S1 S2 S3 S3b S4 S5a S5 S6 S6b S7 S8 S9");
    assert_eq!(
        order(vec![cause("full", &[S3], &[])]),
        "S3 S0 S1 S2 S3b S4 S5a S5 S6 S6b S7 S8 S9"
    );
    assert_eq!(
        order(vec![cause("network", &[S2], &[])]),
        "S2 S0 S1 S3 S3b S4 S5a S6 S5 S6b S7 S8 S9",
        "the network is reset before anybody signs out"
    );
    assert_eq!(
        order(vec![cause("account", &[S5], &[])]),
        "S5a S5 S0 S1 S2 S3 S3b S4 S6 S6b S7 S8 S9",
        "nobody signs out before the account was asked"
    );
    assert_eq!(
        order(vec![
            cause("one", &[S1, S6], &[]),
            cause("two", &[S0, S1, S5a], &[])
        ]),
        "S1 S6 S0 S5a S2 S3 S3b S4 S5 S6b S7 S8 S9"
    );
}

#[test]
fn what_can_lose_data_waits_for_a_verified_backup_of_the_day() {
    type Edit = fn(Hand) -> Hand;
    let rows: [(&str, Edit, [bool; 3]); 9] = [
        ("none", |hand| hand, [false; 3]),
        (
            "two hours old",
            |hand| hand.with_copy(|_| {}),
            [true, true, false],
        ),
        (
            "encrypted",
            |hand| hand.with_copy(|copy| copy.encrypted = true),
            [true; 3],
        ),
        (
            "a day old",
            |hand| {
                let made = earlier(&hand.now, Period::hours(24));
                hand.with_copy(|copy| {
                    copy.encrypted = true;
                    copy.at = made;
                })
            },
            [false; 3],
        ),
        (
            "damaged",
            |hand| {
                let mut hand = hand.with_copy(|copy| copy.encrypted = true);
                hand.past.check = Some(Check {
                    level: Level::L4,
                    at: hand.now.host,
                    damaged: 2,
                });
                hand
            },
            [false; 3],
        ),
        (
            "the disk is away",
            |hand| {
                let mut hand = hand.with_copy(|copy| copy.encrypted = true);
                hand.medium = Medium::Missing;
                hand
            },
            [false; 3],
        ),
        (
            "not verified",
            |hand| hand.with_copy(|copy| copy.level = Level::L0),
            [false; 3],
        ),
        (
            "dated ahead of our clock",
            |hand| {
                let ahead = later(&hand.now, Period::hours(30)).host;
                hand.with_copy(|copy| copy.at = ahead)
            },
            [false; 3],
        ),
        (
            "of another computer",
            |mut hand| {
                let now = DeviceTime(hand.now.host.0);
                hand.sees(|facts| facts.local_last = Ok(now));
                hand
            },
            [false; 3],
        ),
    ];
    let mut why = Vec::new();
    for (what, edit, open) in rows {
        let hand = edit(Hand::failing());
        for (step, open) in [StepId::S4, StepId::S5, StepId::S7].into_iter().zip(open) {
            let rung = hand.rung(step);
            assert_eq!(rung.state != RungState::Locked, open, "{what}: {step}");
        }
        let s7 = hand.rung(StepId::S7);
        why.push(format!("{what}: S7 {}: {}", s7.state.code(), s7.why));
    }
    insta::assert_snapshot!(why.join("\n"));
}

#[test]
fn a_locked_step_whose_turn_it_is_says_what_is_missing() {
    let broken = cause("broken", &[StepId::S4], &[]);
    let hand = Hand::failing().because(vec![broken.clone()]);
    let climb = hand.climb();
    assert_eq!((climb.next(), climb.held), (None, Some(StepId::S4)));
    insta::assert_snapshot!(climb.words, @"Step S4 (Delete the iCloud backup and start a new one) comes next, but is locked. It needs a verified local backup of the last 24 hours, and there is none on this computer. Connect the iPhone by cable and back it up to this computer now; it will ask for its passcode.");
    let climb = Hand::failing()
        .with_copy(|_| {})
        .because(vec![broken])
        .climb();
    assert_eq!(climb.held, None);
    assert_eq!(climb.next().unwrap().step, StepId::S4);
}

#[test]
fn what_a_cause_forbids_is_never_offered() {
    use StepId::{S3, S4, S5, S7};
    let full = || cause("full", &[S3], &[S4, S5, S7]);
    let mut hand = Hand::failing()
        .with_copy(|copy| copy.encrypted = true)
        .because(vec![full()]);
    let mut offered = Vec::new();
    while let Some(step) = hand.next() {
        offered.push(step.code());
        hand.mark(step, Mark::NotForMe);
    }
    // And what comes after them is.
    assert_eq!(offered, ["S3", "S0", "S1", "S2", "S5a", "S6", "S9"]);
    assert_eq!(hand.state(S4), RungState::Never);
    // A guess does not open what a certainty forbids, nor the other way round.
    let guess = |mut cause: Cause| {
        cause.confidence = Confidence::Possible;
        cause
    };
    let broken = || cause("broken", &[S4], &[]);
    let state = |causes| {
        let hand = Hand::failing().with_copy(|_| {});
        hand.because(causes).state(S4)
    };
    assert_eq!(state(vec![full(), guess(broken())]), RungState::Never);
    assert_eq!(state(vec![full(), broken()]), RungState::Never);
    assert_eq!(state(vec![broken(), guess(full())]), RungState::Next);
}

#[test]
fn a_step_that_was_tried_is_offered_again_only_against_another_cause() {
    use StepId::{S2, S3};
    let mut hand = Hand::failing().because(vec![cause("network", &[S2], &[])]);
    hand.mark(S2, Mark::DidNotHelp);
    assert_eq!(hand.next(), Some(StepId::S0));
    assert_eq!(hand.state(S2), RungState::Tried);
    hand.mark(S3, Mark::DidNotHelp);
    hand.causes = vec![cause("full", &[S3], &[])];
    assert_eq!(hand.next(), Some(S3), "now it is known what for");
    hand.mark(S3, Mark::DidNotHelp);
    assert_eq!(hand.state(S3), RungState::Tried);
    hand.causes = vec![cause("network", &[S2], &[])];
    assert_eq!(hand.state(S2), RungState::Tried);
    hand.mark(S3, Mark::NotForMe);
    hand.causes = vec![cause("third", &[S3], &[])];
    assert_eq!(hand.state(S3), RungState::Tried, "not wanted is not wanted");
}

#[test]
fn where_only_waiting_helps_nothing_is_next() {
    let mut busy = cause("busy", &[StepId::S1], &[]);
    let hand = Hand::failing();
    busy.wait_until = Some(DeviceTime(later(&hand.now, Period::days(1)).host.0));
    let mut hand = hand.because(vec![busy]);
    assert_eq!(hand.next(), Some(StepId::S1));
    hand.mark(StepId::S1, Mark::DidNotHelp);
    assert_eq!((hand.next(), hand.climb().held), (None, None));
    insta::assert_snapshot!(hand.climb().words, @"It fails because it is busy. Only waiting helps: the iPhone tries again after 21 November 2026, 12:00.");
    hand.wait(Period::days(1)).sees(|_| {});
    assert_eq!(hand.next(), Some(StepId::S0), "it has waited");
}

#[test]
fn room_on_the_device_is_asked_for_where_it_lacks() {
    let free = |bytes| {
        move |facts: &mut Facts| {
            let total = 64_000_000_000;
            facts.disk = Ok(Disk { total, free: bytes });
        }
    };
    let mut full = Hand::failing();
    full.sees(free(1_999_999_999));
    assert_eq!(full.diagnosed().next(), Some(StepId::S3b));
    let mut roomy = Hand::failing();
    roomy.sees(free(2_000_000_000));
    let mut roomy = roomy.diagnosed();
    while let Some(step) = roomy.next() {
        assert_ne!(step, StepId::S3b);
        roomy.mark(step, Mark::DidNotHelp);
    }
    assert_eq!(
        roomy.climb().held,
        Some(StepId::S4),
        "all before it are tried"
    );
}

/// Switched on an hour ago, and the phone says already that iCloud is full: why wait for the third day.
#[test]
fn what_the_phone_itself_names_is_not_waited_for() {
    let mut hand = Hand::failing();
    hand.sees(|facts| facts.cloud_enabled = Ok(false));
    hand.wait(Period::hours(1))
        .sees(|facts| facts.cloud_last = Err(NoAnswer::Missing));
    assert_eq!(hand.next(), None);
    let mut hand = hand.because(vec![cause("full", &[StepId::S3], &[])]);
    assert_eq!(hand.next(), Some(StepId::S3));
    hand.causes = vec![cause("uploading", &[], &[])];
    assert_eq!(hand.next(), None);
}

#[test]
fn while_a_step_has_its_time_no_other_is_next() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S2, Mark::Did);
    assert_eq!(hand.next(), Some(StepId::S2));
    hand.wait(Period::hours(1)).mark(StepId::S3, Mark::Did);
    assert_eq!(hand.next(), Some(StepId::S3), "the last one that was taken");
    assert_eq!(hand.state(StepId::S2), RungState::Tried);
}

#[test]
fn what_comes_before_any_step_is_said() {
    type Edit = fn(&mut Hand);
    let rows: [(&str, Edit); 8] = [
        ("works", |hand| {
            hand.backs_up(Period::hours(3));
        }),
        ("late", |hand| {
            hand.backs_up(Period::days(3));
        }),
        ("off", |hand| {
            hand.sees(|facts| facts.cloud_enabled = Ok(false));
        }),
        ("off on purpose", |hand| {
            hand.past.local_only = Some(true);
            hand.sees(|facts| facts.cloud_enabled = Ok(false));
        }),
        ("not trusted", |hand| {
            hand.sees(|facts| {
                facts.trust = crate::facts::Trust::NotTrusted;
                facts.cloud_enabled = Err(NoAnswer::NotTrusted);
                facts.cloud_last = Err(NoAnswer::NotTrusted);
            });
        }),
        ("away", |hand| {
            hand.wait(Period::days(3));
        }),
        ("being set up", |hand| {
            hand.sees(|facts| facts.setup = Ok(Setup::Restoring));
        }),
        ("switched on an hour ago", |hand| {
            hand.sees(|facts| facts.cloud_enabled = Ok(false));
            hand.wait(Period::hours(1))
                .sees(|facts| facts.cloud_last = Err(NoAnswer::Missing));
        }),
    ];
    let mut told = Vec::new();
    for (what, edit) in rows {
        let mut hand = Hand::failing();
        edit(&mut hand);
        let climb = hand.climb();
        assert_eq!((climb.next(), climb.held), (None, None), "{what}");
        told.push(format!("{what}: {}", climb.words));
    }
    insta::assert_snapshot!(told.join("\n"));
}
