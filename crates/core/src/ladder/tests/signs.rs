//! What is seen of each step, what ends it, and what counts as iCloud Backup working again.

use super::*;
use crate::ladder::How;

fn ended(hand: &Hand, step: StepId) -> Option<How> {
    let trial = hand.ladder.trials.iter().find(|trial| trial.step == step);
    trial.and_then(|trial| trial.end).map(|end| end.how)
}

#[test]
fn each_step_has_its_signs() {
    type Story = fn(&mut Hand);
    let rows: [(StepId, Story, &[Sign]); 9] = [
        (
            StepId::S1,
            |hand| {
                hand.attached = false;
                hand.watch();
                hand.attached = true;
                hand.wait(Period::minutes(2)).sees(|facts| {
                    facts.build = Ok("23C50".to_owned());
                    facts.os_version = Ok("26.2".to_owned());
                });
            },
            &[
                Sign::Away,
                Sign::CameBack,
                Sign::NewSystem {
                    version: String::new(),
                },
            ],
        ),
        (
            StepId::S3b,
            |hand| {
                hand.wait(Period::hours(1)).sees(|facts| {
                    facts.disk = Ok(Disk {
                        total: 128_000_000_000,
                        free: 44_000_000_000,
                    });
                });
            },
            &[Sign::MoreRoom { bytes: 0 }],
        ),
        (
            StepId::S3,
            |hand| {
                hand.wait(Period::hours(1)).attempts(0);
            },
            &[Sign::ErrorGone],
        ),
        (
            StepId::S4,
            |hand| {
                hand.wait(Period::minutes(5)).sees(|facts| {
                    facts.cloud_enabled = Ok(false);
                    facts.cloud_last = Err(NoAnswer::Missing);
                });
                hand.wait(Period::minutes(5))
                    .sees(|facts| facts.cloud_last = Err(NoAnswer::Missing));
            },
            &[Sign::SwitchedOff, Sign::DateGone, Sign::SwitchedOn],
        ),
        (
            // The date may as well stay: that refutes nothing.
            StepId::S4,
            |hand| {
                hand.wait(Period::minutes(5))
                    .sees(|facts| facts.cloud_enabled = Ok(false));
                hand.wait(Period::minutes(5)).sees(|_| {});
            },
            &[Sign::SwitchedOff, Sign::SwitchedOn],
        ),
        (
            StepId::S5,
            |hand| {
                hand.wait(Period::minutes(5))
                    .sees(|facts| facts.find_my = Ok(false));
                hand.wait(Period::minutes(9)).sees(|_| {});
            },
            &[Sign::FindMyOff, Sign::FindMyOn],
        ),
        (
            StepId::S7,
            |hand| {
                hand.wait(Period::hours(1)).sees(|facts| {
                    facts.setup = Ok(Setup::InProgress);
                    facts.build = Ok("23C50".to_owned());
                });
                hand.wait(Period::hours(1))
                    .sees(|facts| facts.build = Ok("23C50".to_owned()));
            },
            &[
                Sign::SettingUp,
                Sign::NewSystem {
                    version: String::new(),
                },
                Sign::SetUp,
            ],
        ),
        (
            StepId::S0,
            |hand| {
                hand.wait(Period::hours(16)).sees(|_| {});
            },
            &[Sign::Night],
        ),
        (
            StepId::S2,
            |hand| {
                hand.wait(Period::hours(2)).backs_up(Period::minutes(3));
            },
            &[Sign::BackedUp {
                date: DeviceTime(jiff::Timestamp::UNIX_EPOCH),
            }],
        ),
    ];
    for (step, story, expected) in rows {
        let mut hand = Hand::failing();
        hand.attempts(303);
        hand.mark(step, Mark::Did);
        story(&mut hand);
        let kinds = |signs: &[Sign]| signs.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        let seen = hand.signs(step);
        assert_eq!(kinds(&seen), kinds(expected), "{step}: {seen:?}");
        let told = hand.rung(step).seen;
        let halves = expected.iter().filter(|sign| **sign == Sign::Away).count();
        assert_eq!(told.len(), expected.len() - halves, "{step}: {told:?}");
    }
}

#[test]
fn nothing_that_was_so_before_is_a_sign() {
    for step in [StepId::S1, StepId::S3b, StepId::S4, StepId::S5, StepId::S7] {
        let mut hand = Hand::failing();
        hand.mark(step, Mark::Did);
        for _ in 0..3 {
            hand.wait(Period::minutes(15)).sees(|_| {});
        }
        assert_eq!(hand.signs(step), [], "{step}");
    }
}

#[test]
fn what_was_done_before_it_was_marked_counts() {
    let mut hand = Hand::failing();
    hand.wait(Period::hours(1))
        .sees(|facts| facts.cloud_enabled = Ok(false));
    hand.wait(Period::hours(1)).sees(|_| {});
    hand.mark(StepId::S4, Mark::Did);
    assert_eq!(
        hand.signs(StepId::S4),
        [Sign::SwitchedOff, Sign::SwitchedOn]
    );
}

/// Who marks in the morning what the night has done, and plugs the phone in afterwards.
#[test]
fn a_backup_since_the_last_look_came_after_the_step() {
    let mut hand = Hand::failing();
    hand.wait(Period::hours(20)).mark(StepId::S0, Mark::Did);
    hand.wait(Period::minutes(1)).backs_up(Period::hours(5));
    assert_eq!(
        hand.ladder.recovery.clone().unwrap().after,
        Some(StepId::S0)
    );
}

#[test]
fn a_backup_before_a_look_that_is_long_ago_proves_nothing_for_a_step() {
    let mut hand = Hand::failing();
    hand.wait(Period::days(5)).mark(StepId::S4, Mark::Did);
    hand.wait(Period::minutes(1)).backs_up(Period::hours(5));
    assert_eq!(hand.ladder.recovery.clone().unwrap().after, None);
}

#[test]
fn a_backup_without_a_step_is_a_recovery_all_the_same() {
    let mut hand = Hand::failing();
    hand.wait(Period::hours(5)).backs_up(Period::hours(1));
    let recovery = hand.ladder.recovery.clone().unwrap();
    assert_eq!(recovery.after, None);
    assert_eq!(hand.ladder.failure, None);
    insta::assert_snapshot!(hand.climb().words, @"iCloud backup works again, since 20 November 2026. There is nothing to do.");
}

#[test]
fn of_several_steps_the_last_one_is_named() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S0, Mark::Did);
    hand.wait(Period::hours(1))
        .mark(StepId::S2, Mark::DidNotHelp);
    hand.wait(Period::hours(1)).mark(StepId::S3, Mark::NotForMe);
    hand.wait(Period::hours(5)).backs_up(Period::hours(1));
    let recovery = hand.ladder.recovery.clone().unwrap();
    assert_eq!(recovery.after, Some(StepId::S2));
    assert_eq!(hand.state(StepId::S2), RungState::Done);
    assert_eq!(hand.state(StepId::S0), RungState::Tried);
}

#[test]
fn absurd_dates_and_clocks_prove_nothing() {
    type Absurd = fn(&mut Hand);
    let rows: [(&str, Absurd); 6] = [
        ("a date ahead of the device's clock", |hand| {
            let ahead = DeviceTime(later(&hand.now, Period::hours(3)).host.0);
            hand.sees(|facts| facts.cloud_last = Ok(ahead));
        }),
        ("a date far ahead", |hand| {
            let ahead = DeviceTime(later(&hand.now, Period::days(300)).host.0);
            hand.sees(|facts| facts.cloud_last = Ok(ahead));
        }),
        ("a date of a clock that is wrong", |hand| {
            let ahead = later(&hand.now, Period::days(30)).host;
            hand.sees(|facts| {
                facts.device_clock = Ok(DeviceTime(ahead.0));
                facts.cloud_last = Ok(DeviceTime(ahead.0));
            });
        }),
        ("a date that went back", |hand| {
            let old = DeviceTime(earlier(&hand.now, Period::days(40)).0);
            hand.sees(|facts| facts.cloud_last = Ok(old));
        }),
        ("off and on, again and again", |hand| {
            for _ in 0..5 {
                hand.wait(Period::minutes(1))
                    .sees(|facts| facts.cloud_enabled = Ok(false));
                hand.wait(Period::minutes(1)).sees(|_| {});
            }
        }),
        ("our own clock set back", |hand| {
            hand.now = Now {
                host: earlier(&hand.now, Period::days(9)),
                ..hand.now
            };
            hand.sees(|_| {});
        }),
    ];
    for (what, absurd) in rows {
        let mut hand = Hand::failing().with_copy(|_| {});
        hand.mark(StepId::S4, Mark::Did);
        hand.wait(Period::hours(1));
        absurd(&mut hand);
        assert_eq!(hand.ladder.recovery, None, "{what}");
        assert!(hand.ladder.failure.is_some(), "{what}");
        assert_ne!(hand.state(StepId::S4), RungState::Done, "{what}");
    }
}

#[test]
fn after_an_absurd_date_a_real_one_is_believed() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S2, Mark::Did);
    let ahead = DeviceTime(later(&hand.now, Period::days(300)).host.0);
    hand.wait(Period::hours(1))
        .sees(|facts| facts.cloud_last = Ok(ahead));
    hand.wait(Period::hours(1)).backs_up(Period::minutes(9));
    assert_eq!(
        hand.ladder.recovery.clone().unwrap().after,
        Some(StepId::S2)
    );
}

/// The device's clock is two hours slow: a backup that it dates before our mark was made after it.
#[test]
fn a_skewed_clock_is_reckoned_with() {
    let slow = |now: &Now, ago: Period| DeviceTime(earlier(now, Period::hours(2).plus(ago)).0);
    let mut hand = Hand::failing();
    let clock = slow(&hand.now, Period::ZERO);
    hand.sees(|facts| facts.device_clock = Ok(clock));
    hand.mark(StepId::S2, Mark::Did);
    hand.wait(Period::minutes(30));
    let (clock, date) = (
        slow(&hand.now, Period::ZERO),
        slow(&hand.now, Period::minutes(5)),
    );
    hand.sees(|facts| {
        facts.device_clock = Ok(clock);
        facts.cloud_last = Ok(date);
    });
    assert_eq!(
        hand.ladder.recovery.clone().unwrap().after,
        Some(StepId::S2)
    );
}

#[test]
fn a_step_ends_when_it_had_its_chance() {
    type Story = fn(&mut Hand);
    let rows: [(&str, Story, Option<How>); 10] = [
        (
            "the same evening",
            |hand| {
                hand.wait(Period::hours(8)).sees(|_| {});
            },
            None,
        ),
        (
            "a night here",
            |hand| {
                hand.wait(Period::hours(16)).sees(|_| {});
                hand.wait(Period::hours(5)).sees(|_| {});
            },
            Some(How::TimeIsUp),
        ),
        (
            "a night without power",
            |hand| {
                let flat = |facts: &mut Facts| {
                    facts.battery = Ok(Battery {
                        percent: 40,
                        on_power: false,
                    });
                };
                hand.wait(Period::hours(16)).sees(flat);
                hand.wait(Period::hours(5)).sees(flat);
            },
            None,
        ),
        (
            "nights elsewhere",
            |hand| {
                hand.wait(Period::days(2)).sees(|_| {});
            },
            None,
        ),
        (
            "enough nights elsewhere",
            |hand| {
                hand.wait(Period::days(3)).sees(|_| {});
            },
            Some(How::TimeIsUp),
        ),
        (
            "nobody looked since",
            |hand| {
                hand.wait(Period::days(30)).watch();
            },
            None,
        ),
        (
            "an attempt that failed",
            |hand| {
                hand.wait(Period::hours(1)).attempts(300);
            },
            Some(How::FailedAgain),
        ),
        (
            "an attempt that was interrupted",
            |hand| {
                hand.wait(Period::hours(1)).attempts(218);
            },
            None,
        ),
        (
            "an upload that grows",
            |hand| {
                for permille in 1..6 {
                    hand.wait(Period::hours(20));
                    hand.past.note_upload(permille, &hand.now);
                    hand.sees(|_| {});
                }
            },
            None,
        ),
        (
            "an upload that stands still",
            |hand| {
                hand.past.note_upload(1, &hand.now);
                hand.wait(Period::days(4)).sees(|_| {});
            },
            Some(How::TimeIsUp),
        ),
    ];
    for (what, story, expected) in rows {
        let mut hand = Hand::failing();
        hand.mark(StepId::S2, Mark::Did);
        story(&mut hand);
        assert_eq!(ended(&hand, StepId::S2), expected, "{what}");
    }
}

#[test]
fn the_time_of_a_new_upload_begins_when_it_is_on_again() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S4, Mark::Did);
    hand.wait(Period::minutes(5))
        .sees(|facts| facts.cloud_enabled = Ok(false));
    hand.wait(Period::days(6))
        .sees(|facts| facts.cloud_enabled = Ok(false));
    assert_eq!(ended(&hand, StepId::S4), None, "off is not over");
    hand.wait(Period::hours(1)).sees(|_| {});
    hand.wait(Period::hours(6)).sees(|_| {});
    assert_eq!(ended(&hand, StepId::S4), None, "just switched on");
    hand.wait(Period::days(4)).sees(|_| {});
    assert_eq!(ended(&hand, StepId::S4), Some(How::TimeIsUp));
}

#[test]
fn a_failure_that_comes_back_begins_a_new_ladder() {
    let mut hand = Hand::failing();
    for round in 0..7 {
        hand.mark(StepId::S2, Mark::Did);
        hand.wait(Period::hours(1)).backs_up(Period::minutes(1));
        assert_eq!(hand.state(StepId::S2), RungState::Done, "{round}");
        hand.wait(Period::days(10)).sees(|_| {});
        hand.wait(Period::days(1)).sees(|_| {});
        assert_eq!(hand.ladder.recovery, None);
        assert_eq!(hand.ladder.trials, []);
        assert_eq!(hand.state(StepId::S2), RungState::Ready, "{round}");
    }
    assert_eq!(hand.ladder.history.len(), 4, "and the oldest are forgotten");
    let last = hand.ladder.history.last().unwrap();
    assert_eq!(last.recovery.as_ref().unwrap().after, Some(StepId::S2));
}

#[test]
fn undone_is_as_if_it_had_never_been_marked() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S0, Mark::Did);
    let next = hand.rung(StepId::S0);
    assert_eq!((next.state, next.marked.is_some()), (RungState::Next, true));
    hand.mark(StepId::S0, Mark::Undo);
    let next = hand.rung(StepId::S0);
    assert_eq!((next.state, next.marked), (RungState::Next, None));
}

#[test]
fn what_cured_it_stays_the_cure() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S4, Mark::Did);
    hand.wait(Period::hours(5)).backs_up(Period::hours(1));
    for mark in [Mark::Did, Mark::DidNotHelp, Mark::NotForMe] {
        hand.mark(StepId::S4, mark);
        assert_eq!(hand.state(StepId::S4), RungState::Done, "{mark:?}");
    }
    hand.mark(StepId::S4, Mark::Undo);
    assert_eq!(hand.state(StepId::S4), RungState::Locked);
    assert_eq!(hand.ladder.recovery.clone().unwrap().after, None);
}

#[test]
fn one_backup_between_two_failures_is_no_cure() {
    let hard = |mut cause: Cause| {
        cause.hard = true;
        cause
    };
    let mut hand = Hand::failing();
    hand.mark(StepId::S2, Mark::Did);
    hand.causes = vec![hard(cause("full", &[StepId::S3], &[]))];
    hand.wait(Period::days(4)).backs_up(Period::days(3));
    assert_eq!(hand.ladder.recovery, None);
    assert_eq!(hand.next(), Some(StepId::S3));
    insta::assert_snapshot!(hand.rung(StepId::S2).why, @"Taken on 20 November 2026. One backup was made after it, on 21 November 2026, and none since.");
    hand.causes.clear();
    hand.wait(Period::hours(1)).sees(|_| {});
    assert_eq!(
        hand.ladder.recovery.clone().unwrap().after,
        Some(StepId::S2)
    );
}

/// Nobody failed: a step that was taken against what was only late is no cure before all is well.
#[test]
fn what_was_only_late_is_cured_when_it_is_fresh() {
    let mut hand = Hand::failing();
    hand.backs_up(Period::days(3));
    let before = hand.ladder.recovery.clone();
    hand.mark(StepId::S0, Mark::Did);
    hand.wait(Period::days(3)).backs_up(Period::hours(50));
    assert_eq!(
        (hand.ladder.recovery.clone(), before.is_some()),
        (None, true)
    );
    hand.wait(Period::hours(9)).backs_up(Period::hours(1));
    assert_eq!(
        hand.ladder.recovery.clone().unwrap().after,
        Some(StepId::S0)
    );
}

#[test]
fn a_step_marked_while_all_is_well_cures_nothing() {
    let mut hand = Hand::failing();
    hand.backs_up(Period::hours(1));
    let before = hand.ladder.recovery.clone();
    hand.mark(StepId::S2, Mark::Did);
    hand.wait(Period::days(1)).backs_up(Period::hours(1));
    assert_eq!(hand.ladder.recovery, before);
    assert_eq!(hand.next(), None);
}

#[test]
fn what_is_kept_is_bounded_whatever_the_device_says() {
    let mut hand = Hand::failing();
    hand.mark(StepId::S1, Mark::Did);
    hand.wait(Period::hours(1)).sees(|facts| {
        facts.build = Ok("<script>".repeat(10_000));
        facts.os_version = Ok("9".repeat(100_000));
    });
    for step in crate::steps::all() {
        for mark in [Mark::Did, Mark::DidNotHelp, Mark::Did] {
            hand.mark(step.id, mark);
        }
    }
    let kept = serde_json::to_string(&hand.ladder).unwrap();
    assert!(kept.len() < 8_000, "{}", kept.len());
}

#[test]
fn a_ladder_of_today_survives_as_it_is_and_one_of_yesterday_loads() {
    let mut hand = Hand::failing();
    hand.attempts(303);
    hand.mark(StepId::S4, Mark::Did);
    hand.wait(Period::minutes(5)).sees(|facts| {
        facts.cloud_enabled = Ok(false);
        facts.find_my = Ok(false);
    });
    hand.mark(StepId::S0, Mark::DidNotHelp);
    let json = serde_json::to_string(&hand.ladder).unwrap();
    assert_eq!(serde_json::from_str::<Ladder>(&json).unwrap(), hand.ladder);

    let old =
        r#"{"trials":[{"step":"S2","mark":"did","at":"2026-11-19T10:00:00Z"}],"recovery":null}"#;
    let old: Ladder = serde_json::from_str(old).unwrap();
    assert_eq!(old.trials.len(), 1);
    assert_eq!(
        serde_json::from_str::<Ladder>("{}").unwrap(),
        Ladder::default()
    );
    let _: HostTime = old.trials[0].at;
}
