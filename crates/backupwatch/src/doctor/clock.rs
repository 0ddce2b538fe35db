//! This computer's own clock: ages, due times and thresholds are all counted with it.

use backupwatch_agent::doctor::Check;
use backupwatch_core::{HostTime, Period};
use jiff::{Timestamp, tz::TimeZone};

const ID: &str = "clock";

/// No clock that is right has shown an earlier time to this release: it was not written then (2026-11-01).
const WRITTEN: i64 = 1_793_491_200;

/// Two looks at one clock never differ by more.
const AHEAD: Period = Period::minutes(5);

/// `written` is the newest time that the state holds.
pub fn judge(now: HostTime, written: Option<HostTime>) -> Check {
    let shown = |at: HostTime| crate::words::date(at.0, &TimeZone::UTC);
    let too_early = Timestamp::from_second(WRITTEN).is_ok_and(|written| now.0 < written);
    if too_early {
        return Check::fail(
            ID,
            format!(
                "This computer’s clock says {} (UTC), which is before this release was written. No age of a backup can be believed.",
                shown(now)
            ),
            CURE,
        );
    }
    match written {
        Some(written) if written > now.plus(AHEAD) => Check::fail(
            ID,
            format!(
                "This computer’s clock says {} (UTC), and the agent was at work on {} already: one of the two is wrong.",
                shown(now),
                shown(written)
            ),
            CURE,
        ),
        Some(_) | None => Check::pass(ID, "This computer’s clock can be right."),
    }
}

const CURE: &str = if cfg!(target_os = "macos") {
    "sudo sntp -sS time.apple.com"
} else {
    "sudo timedatectl set-ntp true"
};

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_agent::doctor::Outcome;

    #[test]
    fn a_clock_that_cannot_be_right() {
        let at = |text: &str| HostTime(text.parse().unwrap());
        for (now, written, status) in [
            ("1970-01-01T00:00:00Z", None, Outcome::Fail),
            ("2026-10-31T23:59:59Z", None, Outcome::Fail),
            ("2026-11-01T00:00:00Z", None, Outcome::Pass),
            (
                "2027-01-01T00:00:00Z",
                Some("2027-01-01T00:05:00Z"),
                Outcome::Pass,
            ),
            (
                "2027-01-01T00:00:00Z",
                Some("2027-01-01T00:05:01Z"),
                Outcome::Fail,
            ),
            (
                "2027-01-01T00:00:00Z",
                Some("2020-01-01T00:00:00Z"),
                Outcome::Pass,
            ),
        ] {
            assert_eq!(
                judge(at(now), written.map(at)).status,
                status,
                "{now} {written:?}"
            );
        }
    }
}
