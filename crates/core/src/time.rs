//! Two clocks that must never be mixed up: this computer's and the device's. And periods, as people write them.
//!
//! Nothing here reads a clock. Days are 24 hours of UTC: daylight saving time does not make a backup older.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Seconds between 1970-01-01 and 2001-01-01, where the device's own dates begin (`protocol.md` 5.1).
const REFERENCE_EPOCH: i64 = 978_307_200;

/// A moment on this computer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostTime(pub Timestamp);

/// A moment on a device's clock, or a date that the device wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceTime(pub Timestamp);

/// What the watcher is told about time with every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// This computer's clock.
    pub host: HostTime,
    /// Seconds east of Greenwich, for quiet hours and nights.
    pub utc_offset_s: i32,
}

impl Now {
    /// `host` in a place at `utc_offset_s` seconds east of Greenwich.
    pub fn new(host: Timestamp, utc_offset_s: i32) -> Self {
        Self {
            host: HostTime(host),
            utc_offset_s,
        }
    }

    /// Seconds since local midnight.
    pub(crate) fn second_of_day(&self) -> i64 {
        (self
            .host
            .0
            .as_second()
            .saturating_add(i64::from(self.utc_offset_s)))
        .rem_euclid(86_400)
    }

    /// The next moment after now when local clocks show `second` of the day.
    pub(crate) fn next_at(&self, second: i64) -> HostTime {
        let ahead = (second - self.second_of_day()).rem_euclid(86_400);
        self.host
            .plus(Period::seconds(if ahead == 0 { 86_400 } else { ahead }))
    }
}

impl HostTime {
    /// Later by `period`; the end of time when there is no such moment.
    pub fn plus(self, period: Period) -> Self {
        Self(self.0.checked_add(period.0).unwrap_or(Timestamp::MAX))
    }

    /// What has passed since `earlier`; negative when the clock was set back.
    pub fn since(self, earlier: Self) -> Period {
        Period(self.0.duration_since(earlier.0))
    }
}

impl DeviceTime {
    /// From seconds since 2001-01-01T00:00:00Z, the form of every backup date in lockdown.
    pub fn from_reference_seconds(seconds: i128) -> Option<Self> {
        let unix = i64::try_from(seconds).ok()?.checked_add(REFERENCE_EPOCH)?;
        Timestamp::from_second(unix).ok().map(Self)
    }

    /// Later by `period`; the end of time when there is no such moment.
    pub fn plus(self, period: Period) -> Self {
        Self(self.0.checked_add(period.0).unwrap_or(Timestamp::MAX))
    }

    /// What has passed since `earlier`; negative when that lies ahead.
    pub fn since(self, earlier: Self) -> Period {
        Period(self.0.duration_since(earlier.0))
    }
}

impl fmt::Display for HostTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DeviceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time. In text it is a number with a unit (`"15 min"`, `"3 d"`, `"1 d 12 h"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(SignedDuration);

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// So many minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// So many hours.
    pub const fn hours(hours: i64) -> Self {
        Self::seconds(hours.saturating_mul(3_600))
    }

    /// So many days of 24 hours.
    pub const fn days(days: i64) -> Self {
        Self::seconds(days.saturating_mul(86_400))
    }

    /// Whole seconds, towards zero.
    pub const fn as_seconds(self) -> i64 {
        self.0.as_secs()
    }

    /// Whole days of 24 hours, towards zero.
    pub const fn whole_days(self) -> i64 {
        self.as_seconds() / 86_400
    }

    /// Longer by `other`, as far as numbers go.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `factor` times as long, as far as numbers go.
    pub fn times(self, factor: i64) -> Self {
        Self::seconds(self.as_seconds().saturating_mul(factor))
    }

    /// Without its sign.
    pub fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// Never negative.
    pub fn or_zero(self) -> Self {
        self.max(Self::ZERO)
    }

    fn parse(text: &str) -> Result<Self, BadPeriod> {
        let span: jiff::Span = text.trim().parse().map_err(|_| BadPeriod)?;
        // A month has no fixed length, so jiff refuses it here, and so do we.
        let length = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|_| BadPeriod)?;
        if length.is_negative() {
            Err(BadPeriod)
        } else {
            Ok(Self(length))
        }
    }
}

/// Not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time; write a number with a unit, such as \"15 min\", \"6 h\" or \"3 d\"")]
pub struct BadPeriod;

impl std::str::FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        Self::parse(text)
    }
}

/// The exact form that reads back: `3 d`, `6 h`, `15 min`, `90 s`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_seconds();
        match seconds {
            0 => write!(f, "0 s"),
            s if s % 86_400 == 0 => write!(f, "{} d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{} h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{} min", s / 60),
            s => write!(f, "{s} s"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PeriodVisitor {
            bare_numbers_are_days: false,
        })
    }
}

/// For settings that are counted in days: a bare number is days there (`stale = 4`), a text still names its unit.
pub(crate) mod days {
    use super::{Deserializer, Period, PeriodVisitor};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Period, D::Error> {
        deserializer.deserialize_any(PeriodVisitor {
            bare_numbers_are_days: true,
        })
    }
}

struct PeriodVisitor {
    bare_numbers_are_days: bool,
}

impl PeriodVisitor {
    fn of_days<E: de::Error>(&self, days: f64) -> Result<Period, E> {
        // A century is more than any threshold; the bound also keeps the cast below exact.
        if self.bare_numbers_are_days && (0.0..=36_525.0).contains(&days) {
            Ok(Period(SignedDuration::from_secs_f64(days * 86_400.0)))
        } else {
            Err(E::custom(BadPeriod))
        }
    }
}

impl de::Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.bare_numbers_are_days {
            "days as a number, or a length of time such as \"3 d\""
        } else {
            "a length of time such as \"15 min\""
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        Period::parse(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, days: i64) -> Result<Period, E> {
        self.of_days(days as f64)
    }

    fn visit_u64<E: de::Error>(self, days: u64) -> Result<Period, E> {
        self.of_days(days as f64)
    }

    fn visit_f64<E: de::Error>(self, days: f64) -> Result<Period, E> {
        self.of_days(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_as_people_write_them() {
        let table = [
            ("15 min", Some(Period::minutes(15))),
            ("15min", Some(Period::minutes(15))),
            ("3 d", Some(Period::days(3))),
            ("1 d 12 h", Some(Period::hours(36))),
            ("90s", Some(Period::seconds(90))),
            ("0 s", Some(Period::ZERO)),
            ("2 weeks", Some(Period::days(14))),
            ("1 month", None),
            ("-3 d", None),
            ("15", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn local_times() {
        // 23:30 in UTC is half past one at UTC+2.
        let now = Now::new("2026-03-01T23:30:00Z".parse().unwrap(), 7_200);
        assert_eq!(now.second_of_day(), 5_400);
        assert_eq!(now.next_at(7 * 3_600).to_string(), "2026-03-02T05:00:00Z");
        assert_eq!(now.next_at(5_400).to_string(), "2026-03-02T23:30:00Z");
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let end = HostTime(Timestamp::MAX);
        assert_eq!(end.plus(Period::days(1)), end);
        assert_eq!(
            Period::days(i64::MAX)
                .times(2)
                .plus(Period::days(i64::MAX))
                .as_seconds(),
            i64::MAX
        );
        assert_eq!(
            DeviceTime::from_reference_seconds(i128::from(i64::MAX)),
            None
        );
    }

    proptest! {
        #[test]
        fn a_period_reads_back(seconds in 0_i64..4_000_000_000) {
            let period = Period::seconds(seconds);
            prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
        }
    }
}
