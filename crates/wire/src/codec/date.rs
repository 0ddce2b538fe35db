//! Dates, kept within the years 1 to 9999, where every writer and reader can show them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plist::Date;

/// Seconds from 1970 to 2001, the epoch of property lists.
pub(crate) const PLIST_EPOCH: Duration = Duration::from_secs(978_307_200);
/// 0001-01-01T00:00:00Z, in seconds before 1970.
const FIRST: u64 = 62_135_596_800;
/// 9999-12-31T23:59:59Z, in seconds since 1970.
const LAST: u64 = 253_402_300_799;

/// A date from seconds since 2001, unless it is not a number or outside the years.
pub fn from_seconds(seconds: f64) -> Option<Date> {
    let magnitude = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    let epoch = UNIX_EPOCH.checked_add(PLIST_EPOCH)?;
    let time = if seconds < 0.0 {
        epoch.checked_sub(magnitude)
    } else {
        epoch.checked_add(magnitude)
    }?;
    (clamp(time) == time).then(|| Date::from(time))
}

/// A date from the form `2025-05-15T20:37:27Z`, with or without a fraction of the second.
///
/// The form is checked here, because the `plist` crate also takes offsets, and panics when one leads out of the calendar.
pub fn from_text(text: &str) -> Option<Date> {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let (whole, rest) = text.split_at_checked(FORM.len())?;
    let fits = |(have, want): (u8, &u8)| {
        if *want == b'0' {
            have.is_ascii_digit()
        } else {
            have == *want
        }
    };
    let fraction = rest.strip_suffix('Z')?;
    let fraction_fits = match fraction.strip_prefix('.') {
        Some(digits) => {
            (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        }
        None => fraction.is_empty(),
    };
    if !(whole.bytes().zip(FORM).all(fits) && fraction_fits) || whole.starts_with("0000") {
        return None;
    }
    Date::from_xml_format(text).ok()
}

/// The form that [`from_text`] takes, in whole seconds, as Apple writes it.
pub fn to_text(date: Date) -> String {
    let time = clamp(SystemTime::from(date));
    let whole = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after.as_secs())),
        Err(before) => {
            let before = before.duration();
            UNIX_EPOCH.checked_sub(Duration::from_secs(
                before
                    .as_secs()
                    .saturating_add(u64::from(before.subsec_nanos() > 0)),
            ))
        }
    };
    Date::from(whole.unwrap_or(time)).to_xml_format()
}

fn clamp(time: SystemTime) -> SystemTime {
    let first = UNIX_EPOCH
        .checked_sub(Duration::from_secs(FIRST))
        .unwrap_or(UNIX_EPOCH);
    let last = UNIX_EPOCH
        .checked_add(Duration::from_secs(LAST))
        .unwrap_or(UNIX_EPOCH);
    time.clamp(first, last)
}
