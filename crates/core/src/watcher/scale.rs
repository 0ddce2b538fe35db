//! The thresholds as the phone's own plan has them (`remediation.md` 4.2): Apple's server may want a backup less often than daily,
//! and then a day without one is nothing.
//!
//! Only where the person left the thresholds as they are, and only within reason: the plan comes from the phone.

use crate::evidence::Evidence;
use crate::policy::{CloudPolicy, Policy};
use crate::time::Period;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Plans outside of this are not believed.
const PERIODS: RangeInclusive<Period> = Period::hours(12)..=Period::days(7);

/// The same for the phone's own warning.
const WARNINGS: RangeInclusive<Period> = Period::days(7)..=Period::days(60);

/// What holds for a device with this evidence.
pub(super) fn scaled<'a>(policy: &'a Policy, evidence: &Evidence) -> Cow<'a, Policy> {
    let books = evidence.books.as_ref();
    let period = books.and_then(|books| books.period);
    let warning = books.and_then(|books| books.warning_period);
    let icloud = plan(
        &policy.icloud,
        period.filter(|it| PERIODS.contains(it)),
        warning.filter(|it| WARNINGS.contains(it)),
    );
    if icloud == policy.icloud {
        return Cow::Borrowed(policy);
    }
    Cow::Owned(Policy {
        icloud,
        ..policy.clone()
    })
}

fn plan(policy: &CloudPolicy, period: Option<Period>, warning: Option<Period>) -> CloudPolicy {
    let usual = CloudPolicy::default();
    let mut plan = policy.clone();
    if let Some(period) = period
        && (policy.late, policy.stale, policy.warn) == (usual.late, usual.stale, usual.warn)
    {
        plan.late = period.times(2);
        plan.stale = period.times(4);
        plan.warn = policy.warn.max(plan.stale);
    }
    if let Some(warning) = warning
        && policy.alarm == usual.alarm
    {
        plan.alarm = warning;
    }
    if plan != *policy {
        // One after the other.
        plan.alarm = plan.alarm.max(plan.warn);
        plan.critical = plan.critical.max(plan.alarm);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, books};

    #[test]
    fn the_thresholds_follow_the_plan_of_the_phone() {
        let days = |plan: &CloudPolicy| {
            [plan.late, plan.stale, plan.warn, plan.alarm, plan.critical].map(Period::whole_days)
        };
        let usual = CloudPolicy::default();
        let of = |period, warning| days(&plan(&usual, period, warning));
        assert_eq!(of(None, None), [2, 4, 7, 14, 30]);
        assert_eq!(
            of(Some(Period::days(1)), Some(Period::days(14))),
            [2, 4, 7, 14, 30]
        );
        assert_eq!(of(Some(Period::days(2)), None), [4, 8, 8, 14, 30]);
        assert_eq!(
            of(Some(Period::days(7)), Some(Period::days(60))),
            [14, 28, 28, 60, 60]
        );
        assert_eq!(
            of(Some(Period::hours(12)), Some(Period::days(7))),
            [1, 2, 7, 7, 30]
        );
    }

    #[test]
    fn what_a_person_has_set_stays() {
        let own = CloudPolicy {
            late: Period::days(1),
            alarm: Period::days(20),
            ..CloudPolicy::default()
        };
        assert_eq!(
            plan(&own, Some(Period::days(7)), Some(Period::days(60))),
            own
        );
    }

    #[test]
    fn an_absurd_plan_is_none() {
        let policy = Policy::default();
        for absurd in [Period::ZERO, Period::minutes(1), Period::days(4_000)] {
            let mut books = books(&at("2026-11-20T17:00:00Z"), Vec::new());
            books.period = Some(absurd);
            books.warning_period = Some(absurd);
            let evidence = Evidence {
                books: Some(books),
                heard: None,
            };
            assert!(
                matches!(scaled(&policy, &evidence), Cow::Borrowed(_)),
                "{absurd}"
            );
        }
    }
}
