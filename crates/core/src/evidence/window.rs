//! `LastOnConditionEvents`: the stretches in which the phone could have backed up by itself (`remediation.md` 1.2.4).
//!
//! Nineteen fields between bars, known from one public sample and from how iOS 26 writes them. Whatever does not look exactly
//! like it is not read at all: wrong windows would be worse than none.

use super::{ErrorCode, MOST_WINDOWS, Window};
use crate::time::{DeviceTime, Period};

const FIELDS: usize = 19;
/// A week has no room for more.
pub(super) const MOST_IGNORED: u32 = 10_000;
/// Longer ones are none.
const LONGEST_LINE: usize = 512;
/// Nobody leaves a phone untouched for longer.
const LONGEST: f64 = 366.0 * 86_400.0;

impl Window {
    /// The stretch that one string of the phone tells; none when it is of another form.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST_LINE || text.split('|').count() != FIELDS {
            return None;
        }
        let mut fields = text.split('|').map(str::trim);
        let start = fields.next()?.parse().ok().map(DeviceTime)?;
        let length: f64 = fields.next()?.parse().ok()?;
        if !(0.0..=LONGEST).contains(&length) {
            return None;
        }
        let [enabled, on_power, locked, on_wifi] = [
            flag(fields.next()?)?,
            flag(fields.next()?)?,
            flag(fields.next()?)?,
            flag(fields.next()?)?,
        ];
        // The schedule, the retries and the failure count: told better elsewhere.
        let mut fields = fields.skip(6);
        let (domain, code) = (fields.next()?, fields.next()?.parse::<i64>().ok()?);
        let error = match (domain, code) {
            ("" | "(null)", _) | (_, 0) => None,
            (domain, code) => Some(ErrorCode::new(domain, code)?),
        };
        let ignored = fields.nth(4)?.parse().ok()?;
        if ignored > MOST_IGNORED {
            return None;
        }
        Some(Self {
            start,
            length: Period::seconds(length as i64),
            enabled,
            on_power,
            locked,
            on_wifi,
            ignored,
            error,
        })
    }

    /// All of the phone's strings, oldest first; none when one of them is of another form.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Vec<Self>> {
        // The phone keeps ten; nobody looks at more than a hundred.
        let mut windows: Vec<Self> = texts
            .into_iter()
            .take(MOST_WINDOWS * 10)
            .map(Self::parse)
            .collect::<Option<_>>()?;
        windows.sort_by_key(|window| window.start);
        super::keep_last(&mut windows, MOST_WINDOWS);
        Some(windows)
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The one real line that is public (`remediation.md` 1.2.4).
    const SAMPLE: &str = "2023-02-22T10:24:49.051-08:00|158966.533|1|1|0|1|1|0|120|73683|15023|0|MBErrorDomain|209|2|0|0|0|0";

    #[test]
    fn the_public_sample() {
        let window = Window::parse(SAMPLE).unwrap();
        assert_eq!(window.start.to_string(), "2023-02-22T18:24:49.051Z");
        assert_eq!(window.length, Period::seconds(158_966));
        assert!(window.enabled && window.on_power && window.on_wifi);
        assert!(!window.locked, "it was unlocked, and that ended it");
        assert_eq!(window.error, ErrorCode::new("MBErrorDomain", 209));
        assert_eq!(window.ignored, 0);
    }

    #[test]
    fn whatever_looks_different_is_not_read() {
        let table = [
            ("a field more", format!("{SAMPLE}|0")),
            (
                "a field less",
                SAMPLE.rsplit_once('|').unwrap().0.to_owned(),
            ),
            ("no date", SAMPLE.replace("2023-02-22T10", "22.2.2023 10")),
            ("endless", SAMPLE.replace("158966.533", "1e300")),
            ("before its beginning", SAMPLE.replace("158966.533", "-1")),
            ("no length", SAMPLE.replace("158966.533", "NaN")),
            ("a flag of 2", SAMPLE.replace("|1|1|0|1|", "|1|2|0|1|")),
            (
                "more ignored than minutes",
                format!("{}|99999", SAMPLE.rsplit_once('|').unwrap().0),
            ),
            ("no number for an error", SAMPLE.replace("|209|", "|many|")),
            (
                "a path for a domain",
                SAMPLE.replace("MBErrorDomain", "/var/x"),
            ),
            ("a novel", SAMPLE.replace("MBErrorDomain", &"x".repeat(600))),
            ("nothing", String::new()),
        ];
        for (name, text) in table {
            assert_eq!(Window::parse(&text), None, "{name}");
            assert_eq!(Window::parse_all([SAMPLE, text.as_str()]), None, "{name}");
        }
        assert_eq!(Window::parse_all([]), Some(Vec::new()));
    }

    #[test]
    fn a_window_without_an_error() {
        for domain in ["", "(null)", "MBErrorDomain"] {
            let text = SAMPLE.replace("MBErrorDomain|209", &format!("{domain}|0"));
            assert_eq!(Window::parse(&text).unwrap().error, None, "{domain}");
        }
    }

    #[test]
    fn the_newest_stay_in_their_order() {
        let lines: Vec<String> = (1..=20)
            .rev()
            .map(|day| SAMPLE.replace("02-22", &format!("03-{day:02}")))
            .collect();
        let windows = Window::parse_all(lines.iter().map(String::as_str)).unwrap();
        assert_eq!(windows.len(), MOST_WINDOWS);
        assert_eq!(windows[0].start.to_string(), "2023-03-11T18:24:49.051Z");
        assert!(windows.is_sorted_by_key(|window| window.start));
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(text in "[-0-9TZ:.|A-Za-z]{0,120}") {
            let _ = Window::parse(&text);
        }
    }
}
