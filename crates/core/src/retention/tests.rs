use super::*;
use proptest::prelude::*;

const GB: u64 = 1_000_000_000;

fn rules(last: u16, daily: u16, weekly: u16, monthly: u16) -> RetentionPolicy {
    RetentionPolicy {
        last,
        daily,
        weekly,
        monthly,
        keep_free: 0,
    }
}

/// Versions by their dates, oldest first; `?` behind one says that it is not verified.
fn versions(dates: &str) -> Vec<Version> {
    let version = |text: &str| Version {
        at: HostTime(
            format!("2026-{}:00Z", text.trim_end_matches('?'))
                .parse()
                .unwrap(),
        ),
        verified: !text.ends_with('?'),
    };
    dates.split_whitespace().map(version).collect()
}

fn scene(versions: &[Version]) -> Scene<'_> {
    Scene {
        versions,
        current_verified: true,
        shares: None,
        free: 100 * GB,
        utc_offset_s: 0,
    }
}

/// What stays, as a row of `k` and `d`.
fn row(plan: &Plan) -> String {
    let letter = |(_, fate): &(_, Fate)| match fate {
        Fate::Keep(_) => 'k',
        Fate::Delete { .. } => 'd',
    };
    plan.fates.iter().map(letter).collect()
}

#[test]
fn rules_one_by_one() {
    let table = [
        ("nothing at all", rules(3, 7, 4, 3), "", ""),
        (
            "the last two",
            rules(2, 0, 0, 0),
            "10-01T08:00 10-02T08:00 10-03T08:00",
            "dkk",
        ),
        (
            "more than there are",
            rules(9, 0, 0, 0),
            "10-01T08:00 10-02T08:00",
            "kk",
        ),
        (
            "the newest of a day, not the first",
            rules(1, 2, 0, 0),
            "10-01T08:00 10-01T20:00 10-02T08:00 10-02T20:00",
            "dkdk",
        ),
        (
            "days without a backup are not counted",
            rules(1, 3, 0, 0),
            "08-01T08:00 09-01T08:00 10-01T08:00",
            "kkk",
        ),
        (
            "weeks begin on Monday: 5 October 2026 is one",
            rules(1, 0, 2, 0),
            "10-03T08:00 10-04T23:00 10-05T01:00",
            "dkk",
        ),
        (
            "months",
            rules(1, 0, 0, 2),
            "08-31T08:00 09-01T08:00 09-30T08:00 10-01T08:00",
            "ddkk",
        ),
        (
            "one rule is enough",
            rules(1, 2, 2, 2),
            "08-30T08:00 09-20T08:00 09-30T08:00 10-04T08:00 10-05T08:00",
            "ddkkk",
        ),
        (
            "what another program made takes no place from what was checked",
            rules(2, 0, 0, 0),
            "10-01T08:00 10-02T08:00? 10-03T08:00 10-04T08:00?",
            "kdkk",
        ),
    ];
    for (name, policy, dates, wanted) in table {
        assert_eq!(
            row(&plan(&scene(&versions(dates)), &policy)),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn a_day_is_the_persons_own() {
    // 23:30 and 00:30 in Berlin.
    let versions = versions("10-01T21:30 10-01T22:30");
    let at = |utc_offset_s| Scene {
        utc_offset_s,
        ..scene(&versions)
    };
    assert_eq!(row(&plan(&at(7_200), &rules(1, 2, 0, 0))), "kk");
    assert_eq!(row(&plan(&at(0), &rules(1, 2, 0, 0))), "dk");
    // Nonsense is no panic.
    assert_eq!(row(&plan(&at(i32::MIN), &rules(1, 2, 0, 0))), "dk");
}

#[test]
fn nothing_goes_unless_a_newer_verified_one_stays() {
    let table = [
        ("10-01T08:00", "k"),
        ("10-01T08:00 10-02T08:00", "dk"),
        ("10-01T08:00? 10-02T08:00 10-03T08:00?", "dkk"),
        ("10-01T08:00 10-02T08:00? 10-03T08:00? 10-04T08:00?", "kkkk"),
        ("10-01T08:00? 10-02T08:00?", "kk"),
    ];
    let greedy = RetentionPolicy {
        keep_free: u64::MAX,
        ..rules(0, 0, 0, 0)
    };
    for (dates, wanted) in table {
        let versions = versions(dates);
        let mut shares = Shares::default();
        for number in 0..versions.len() {
            shares.add(vec![number], GB);
        }
        let scene = Scene {
            current_verified: false,
            shares: Some(&shares),
            ..scene(&versions)
        };
        let plan = plan(&scene, &greedy);
        assert_eq!(row(&plan), wanted, "{dates}");
        assert!(
            plan.short.is_some(),
            "{dates}: and it says that there is no room"
        );
    }
}

#[test]
fn room_is_made_by_the_oldest_and_no_more_than_needed() {
    let versions = versions("10-01T08:00 10-02T08:00 10-03T08:00 10-04T08:00");
    let mut shares = Shares::default();
    shares.add(vec![0], GB);
    // Only both together free this.
    shares.add(vec![0, 1], 5 * GB);
    shares.add(vec![3], GB);
    let with = |free, keep_free| {
        let scene = Scene {
            shares: Some(&shares),
            free,
            ..scene(&versions)
        };
        let policy = RetentionPolicy {
            keep_free,
            ..rules(9, 0, 0, 0)
        };
        plan(&scene, &policy)
    };
    let table = [
        ("enough", 10 * GB, 10 * GB, "kkkk", 0, None),
        ("one is enough", 9 * GB, 10 * GB, "dkkk", GB, None),
        (
            "two, for what they share",
            5 * GB,
            10 * GB,
            "ddkk",
            6 * GB,
            None,
        ),
        (
            "what would free nothing stays",
            GB,
            20 * GB,
            "ddkd",
            7 * GB,
            Some(8 * GB),
        ),
    ];
    for (name, free, keep_free, wanted, frees, short) in table {
        let plan = with(free, keep_free);
        assert_eq!(row(&plan), wanted, "{name}");
        assert_eq!(plan.frees, Some(frees), "{name}");
        assert_eq!(plan.short.map(|short| short.free), short, "{name}");
    }
}

#[test]
fn a_plan_says_why() {
    let versions = versions(
        "07-05T08:00 08-14T08:00? 08-30T08:00 09-20T08:00 09-30T08:00 10-03T08:00 10-04T08:00 10-04T11:41",
    );
    let mut shares = Shares::default();
    shares.add(vec![0], 3_100_000_000);
    shares.add(vec![0, 1], 200_000_000);
    shares.add(vec![4], 700_000_000);
    shares.add(vec![6], 40_000_000);
    shares.add(vec![2], 400_000);
    let scene = Scene {
        shares: Some(&shares),
        free: 4 * GB,
        utc_offset_s: 7_200,
        ..scene(&versions)
    };
    let policy = RetentionPolicy {
        keep_free: 8_040_000_000,
        ..rules(1, 2, 2, 3)
    };
    insta::assert_snapshot!(plan(&scene, &policy));
    let tight = RetentionPolicy {
        keep_free: 20 * GB,
        ..policy
    };
    insta::assert_snapshot!(plan(&scene, &tight));
    let unmeasured = Scene {
        shares: None,
        current_verified: false,
        ..scene
    };
    insta::assert_snapshot!(plan(&unmeasured, &policy));
}

/// Versions in a row, some not verified, some with dates that jump.
fn any_versions() -> impl Strategy<Value = Vec<Version>> {
    let version = (0_i64..200 * 24, prop::bool::weighted(0.8));
    prop::collection::vec(version, 0..25).prop_map(|mut all| {
        // Mostly in order: the first of each third keeps its odd date.
        let odd: Vec<_> = all.iter().step_by(9).copied().collect();
        all.sort();
        for (place, version) in all.iter_mut().step_by(9).zip(odd) {
            *place = version;
        }
        let at =
            |hour| HostTime(jiff::Timestamp::from_second(1_790_000_000 + hour * 3_600).unwrap());
        all.into_iter()
            .map(|(hour, verified)| Version {
                at: at(hour),
                verified,
            })
            .collect()
    })
}

fn any_policy() -> impl Strategy<Value = RetentionPolicy> {
    (0_u16..5, 0_u16..8, 0_u16..5, 0_u16..5).prop_map(|(l, d, w, m)| rules(l, d, w, m))
}

/// Who shares what with whom: stretches of versions, as links of one to the next make them.
fn any_shares() -> impl Strategy<Value = Vec<(usize, usize, u64)>> {
    prop::collection::vec((0_usize..25, 1_usize..6, 0_u64..5), 0..40)
}

fn shares(stretches: &[(usize, usize, u64)], count: usize) -> Shares {
    let mut shares = Shares::default();
    for (first, len, bytes) in stretches {
        let last = (first + len).min(count);
        if *first < last {
            shares.add((*first..last).collect(), *bytes);
        }
    }
    shares
}

/// The shares that are left when these are gone, by the new numbers.
fn without(shares: &Shares, gone: &BTreeSet<usize>) -> Shares {
    let mut left = Shares::default();
    for (members, bytes) in &shares.0 {
        let members: Vec<_> = members
            .iter()
            .filter(|member| !gone.contains(member))
            .map(|member| member - gone.range(..member).count())
            .collect();
        if !members.is_empty() {
            left.add(members, *bytes);
        }
    }
    left
}

fn gone(plan: &Plan) -> BTreeSet<usize> {
    plan.deletions().collect()
}

proptest! {
    #[test]
    fn a_newer_verified_backup_stays_behind_each_that_goes(
        versions in any_versions(), policy in any_policy(), stretches in any_shares(),
        current_verified: bool, free in 0_u64..40, keep_free in 0_u64..80,
    ) {
        let shares = shares(&stretches, versions.len());
        let scene = Scene { current_verified, shares: Some(&shares), free, ..scene(&versions) };
        let plan = plan(&scene, &RetentionPolicy { keep_free, ..policy });
        let gone = gone(&plan);
        for number in &gone {
            let newer = (number + 1..versions.len()).any(|n| versions[n].verified && !gone.contains(&n));
            prop_assert!(current_verified || newer, "{number} of {plan}");
        }
    }

    #[test]
    fn what_any_rule_keeps_stays_while_there_is_room(versions in any_versions(), policy in any_policy()) {
        let whole = gone(&plan(&scene(&versions), &policy));
        let RetentionPolicy { last, daily, weekly, monthly, .. } = policy;
        for alone in [rules(last, 0, 0, 0), rules(0, daily, 0, 0), rules(0, 0, weekly, 0), rules(0, 0, 0, monthly)] {
            prop_assert!(whole.is_subset(&gone(&plan(&scene(&versions), &alone))));
        }
    }

    #[test]
    fn a_kinder_policy_and_a_roomier_disk_delete_no_more(
        versions in any_versions(), policy in any_policy(), more in any_policy(), stretches in any_shares(),
        free in 0_u64..40, keep_free in 0_u64..80, less in 0_u64..80,
    ) {
        let kinder = rules(
            policy.last + more.last, policy.daily + more.daily, policy.weekly + more.weekly, policy.monthly + more.monthly,
        );
        let all = gone(&plan(&scene(&versions), &policy));
        prop_assert!(gone(&plan(&scene(&versions), &kinder)).is_subset(&all));
        let shares = shares(&stretches, versions.len());
        let scene = Scene { shares: Some(&shares), free, ..scene(&versions) };
        let of = |keep_free| gone(&plan(&scene, &RetentionPolicy { keep_free, ..policy }));
        prop_assert!(of(keep_free.min(less)).is_subset(&of(keep_free)));
    }

    #[test]
    fn a_plan_that_was_done_leaves_nothing_to_do(
        versions in any_versions(), policy in any_policy(), stretches in any_shares(),
        current_verified: bool, free in 0_u64..40, keep_free in 0_u64..80,
    ) {
        let policy = RetentionPolicy { keep_free, ..policy };
        let before = shares(&stretches, versions.len());
        let first = Scene { current_verified, shares: Some(&before), free, ..scene(&versions) };
        let first = plan(&first, &policy);
        let gone = gone(&first);
        let kept: Vec<_> = (0..versions.len()).filter(|n| !gone.contains(n)).map(|n| versions[n]).collect();
        let after = without(&before, &gone);
        let free = free + first.frees.unwrap();
        let again = Scene { current_verified, shares: Some(&after), free, ..scene(&kept) };
        let again = plan(&again, &policy);
        prop_assert_eq!(again.deletions().count(), 0, "{}\nand then\n{}", first, again);
        prop_assert_eq!(again.short, first.short);
    }

    #[test]
    fn the_parts_add_up(versions in any_versions(), policy in any_policy(), stretches in any_shares(), keep_free in 0_u64..80) {
        let shares = shares(&stretches, versions.len());
        let scene = Scene { shares: Some(&shares), free: 0, ..scene(&versions) };
        let plan = plan(&scene, &RetentionPolicy { keep_free, ..policy });
        let sum: u64 = plan.fates.iter().map(|(_, fate)| match fate {
            Fate::Delete { frees, .. } => frees.unwrap(),
            Fate::Keep(_) => 0,
        }).sum();
        prop_assert_eq!(plan.frees, Some(sum));
    }
}
