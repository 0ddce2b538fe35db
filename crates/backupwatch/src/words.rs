//! Numbers and dates as people say them.

use jiff::{Timestamp, tz::TimeZone};

/// `58 days`, `3 hours`, `less than a minute`. The largest unit only: nobody is helped by the minutes of a month.
pub fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        i64::MIN..60 => return "less than a minute".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// `58 days ago`; a moment ahead of `now` is "just now", for two clocks rarely agree.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    if seconds < 60 {
        "just now".to_owned()
    } else {
        format!("{} ago", span(seconds))
    }
}

/// `25 September 2026, 22:11`, in the time zone of the person.
pub fn date(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%-d %B %Y, %H:%M")
        .to_string()
}

/// `3.1 GB`, in powers of 1000 as Finder and phones count.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    while tenths >= 10_000 && unit < UNITS.len() - 1 {
        tenths /= 1000;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("bytes");
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// `1,234`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_largest_unit() {
        for (seconds, words) in [
            (-5, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 minute"),
            (3_599, "59 minutes"),
            (3_600, "1 hour"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
            (58 * 86_400, "58 days"),
        ] {
            assert_eq!(span(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn sizes_are_rounded_down_and_never_overflow() {
        for (size, words) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (3_149_000_000, "3.1 GB"),
            (129_700_000_000, "129.7 GB"),
            (u64::MAX, "1844674.4 TB"),
        ] {
            assert_eq!(bytes(size), words, "{size}");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, words) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), words);
        }
    }
}
