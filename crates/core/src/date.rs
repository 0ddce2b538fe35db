//! Reading the backup dates of the lockdown domain `com.apple.mobile.backup`.
//!
//! One rule and no second guess (`remediation.md` 1.5.2): numbers count seconds from 2001-01-01T00:00:00Z, a plist date
//! stands as it is, and what lies outside 2011-06-01 .. device clock + 1 day is unreadable and reported raw. A Unix
//! time stamp would land decades ahead and is therefore refused, never reinterpreted.

use crate::facts::{NoAnswer, Reading};
use crate::time::{DeviceTime, Period};
use jiff::Timestamp;

/// iCloud Backup did not exist before (2011-06-01T00:00:00Z, value 328579200).
const EARLIEST: i128 = 328_579_200;

/// How far ahead of the device's own clock a date may lie: clocks are corrected between writing and reading.
const AHEAD: Period = Period::days(1);

/// Longest raw value that is repeated to the person, in characters.
const RAW_LIMIT: usize = 64;

/// What lockdown held under a date's key.
#[derive(Debug, Clone, PartialEq)]
pub enum RawDate {
    /// A plist integer of any width or sign.
    Integer(i128),
    /// A plist real.
    Real(f64),
    /// A plist date.
    Date(Timestamp),
    /// Any other type, in words: the text of a string, or the name of the type.
    Other(String),
}

/// The date, or the raw value when it breaks the rule. `device_now` is the device's own clock.
pub fn read(raw: &RawDate, device_now: DeviceTime) -> Reading<DeviceTime> {
    let date = match raw {
        RawDate::Integer(seconds) => DeviceTime::from_reference_seconds(*seconds),
        RawDate::Real(seconds) => from_real(*seconds),
        RawDate::Date(date) => Some(DeviceTime(*date)),
        RawDate::Other(_) => None,
    };
    let earliest = DeviceTime::from_reference_seconds(EARLIEST);
    date.filter(|date| Some(*date) >= earliest && *date <= device_now.plus(AHEAD))
        .ok_or_else(|| NoAnswer::Unreadable { raw: in_words(raw) })
}

fn from_real(seconds: f64) -> Option<DeviceTime> {
    // Fractions are dropped as the phone itself drops them; the bound is jiff's and keeps the cast exact.
    (seconds.is_finite() && seconds.abs() < 1e12)
        .then(|| DeviceTime::from_reference_seconds(seconds as i128))
        .flatten()
}

fn in_words(raw: &RawDate) -> String {
    match raw {
        RawDate::Integer(value) => value.to_string(),
        RawDate::Real(value) => value.to_string().chars().take(RAW_LIMIT).collect(),
        RawDate::Date(date) => date.to_string(),
        RawDate::Other(text) => text
            .chars()
            .filter(|c| !c.is_control())
            .take(RAW_LIMIT)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock(text: &str) -> DeviceTime {
        DeviceTime(text.parse().unwrap())
    }

    #[test]
    fn vectors() {
        // protocol.md 5.1, captures A and B; the other rows are the edges of the rule.
        let table: &[(&str, RawDate, &str, Option<&str>)] = &[
            (
                "capture A",
                RawDate::Integer(769_034_247),
                "2025-05-16T21:03:08Z",
                Some("2025-05-15T20:37:27Z"),
            ),
            (
                "capture B",
                RawDate::Integer(812_806_913),
                "2026-10-04T12:00:00Z",
                Some("2026-10-04T11:41:53Z"),
            ),
            (
                "a real, fraction dropped",
                RawDate::Real(769_034_247.9),
                "2025-05-16T21:03:08Z",
                Some("2025-05-15T20:37:27Z"),
            ),
            (
                "a plist date",
                RawDate::Date("2025-05-15T20:37:27Z".parse().unwrap()),
                "2025-05-16T21:03:08Z",
                Some("2025-05-15T20:37:27Z"),
            ),
            (
                "the earliest",
                RawDate::Integer(328_579_200),
                "2026-01-01T00:00:00Z",
                Some("2011-06-01T00:00:00Z"),
            ),
            (
                "a second before the earliest",
                RawDate::Integer(328_579_199),
                "2026-01-01T00:00:00Z",
                None,
            ),
            ("zero", RawDate::Integer(0), "2026-01-01T00:00:00Z", None),
            (
                "negative",
                RawDate::Integer(-1),
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "a day ahead, exactly",
                RawDate::Integer(788_918_400),
                "2025-12-31T00:00:00Z",
                Some("2026-01-01T00:00:00Z"),
            ),
            (
                "a day and a second ahead",
                RawDate::Integer(788_918_401),
                "2025-12-31T00:00:00Z",
                None,
            ),
            (
                "a Unix time stamp",
                RawDate::Integer(1_747_341_447),
                "2025-05-16T21:03:08Z",
                None,
            ),
            (
                "a plist date in 1994",
                RawDate::Date("1994-05-15T20:37:27Z".parse().unwrap()),
                "2025-05-16T21:03:08Z",
                None,
            ),
            (
                "as wide as can be",
                RawDate::Integer(i128::MAX),
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "as low as can be",
                RawDate::Integer(i128::MIN),
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "not a number",
                RawDate::Real(f64::NAN),
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "endless",
                RawDate::Real(f64::INFINITY),
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "a text",
                RawDate::Other("769034247".to_owned()),
                "2025-05-16T21:03:08Z",
                None,
            ),
        ];
        for (name, raw, now, expected) in table {
            let read = read(raw, clock(now));
            match expected {
                Some(date) => assert_eq!(read, Ok(clock(date)), "{name}"),
                None => assert!(
                    matches!(read, Err(NoAnswer::Unreadable { .. })),
                    "{name}: {read:?}"
                ),
            }
        }
    }

    #[test]
    fn what_is_refused_is_reported_raw_and_short() {
        let now = clock("2026-01-01T00:00:00Z");
        let raw = |raw: RawDate| match read(&raw, now) {
            Err(NoAnswer::Unreadable { raw }) => raw,
            other => panic!("{other:?}"),
        };
        assert_eq!(raw(RawDate::Integer(1_747_341_447)), "1747341447");
        assert_eq!(
            raw(RawDate::Other("x\u{1b}[31m".repeat(100)))
                .chars()
                .count(),
            64
        );
        assert!(raw(RawDate::Other("\u{1b}\n".to_owned())).is_empty());
    }

    proptest! {
        #[test]
        fn a_date_is_always_inside_the_window(seconds in any::<i64>(), now in 1_000_000_000_i64..4_000_000_000) {
            let now = DeviceTime(Timestamp::from_second(now).unwrap());
            for raw in [RawDate::Integer(seconds.into()), RawDate::Real(seconds as f64)] {
                if let Ok(date) = read(&raw, now) {
                    prop_assert!(date >= clock("2011-06-01T00:00:00Z") && date <= now.plus(AHEAD));
                }
            }
        }
    }
}
