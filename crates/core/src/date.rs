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
