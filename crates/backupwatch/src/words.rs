//! Numbers and dates as people say them.

pub use backupwatch_core::words::{
    ago_at as ago, capital, date_and_time as date, files, grouped, size as bytes,
};
use backupwatch_core::{Period, words::lasting};

/// `58 days`, `3 hours`, `less than a minute`. The largest unit only: nobody is helped by the minutes of a month.
pub fn span(seconds: i64) -> String {
    if seconds < 60 {
        "less than a minute".to_owned()
    } else {
        lasting(Period::seconds(seconds))
    }
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
}
