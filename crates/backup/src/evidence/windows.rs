//! `LastOnConditionEvents`: when the phone was on a charger, on Wi-Fi and locked, a line of 19 fields each time it ceased to be
//! (`remediation.md` 1.2.4). What the fields mean is a reading of one release. A list of any other form says nothing, which is
//! not the same as that there was no such time.

use backupwatch_core::Period;
use backupwatch_core::evidence::{MOST_WINDOWS, Window};
use jiff::Timestamp;
use plist::Value;

use super::attempts::error_of;
use super::parse::Dates;

/// No stretch is longer: a month.
const LONGEST: f64 = 31.0 * 86_400.0;

/// The windows, oldest first; `None` when any of them is not of the form that is known.
pub(super) fn read(events: &[Value], dates: &Dates) -> Option<Vec<Window>> {
    let newest = events.iter().rev().take(MOST_WINDOWS);
    let read: Option<Vec<Window>> = newest
        .map(|event| window(event.as_string()?, dates))
        .collect();
    let mut windows = read?;
    windows.sort_by_key(|window| window.start);
    Some(windows)
}

fn window(line: &str, dates: &Dates) -> Option<Window> {
    // One more than there are, so that a line that is longer is seen, and no more of it is looked at.
    let mut fields = [""; 20];
    let mut count = 0;
    for (to, field) in fields.iter_mut().zip(line.split('|')) {
        *to = field;
        count += 1;
    }
    let [
        start,
        length,
        enabled,
        on_power,
        locked,
        on_wifi,
        // Whether a backup was planned or ran, how many seconds to and from this and that, and the counter.
        _,
        _,
        _,
        _,
        _,
        _,
        domain,
        code,
        // How it was charged, and what of cellular.
        _,
        _,
        _,
        _,
        ignored,
        _,
    ] = fields;
    if count != 19 {
        return None;
    }
    let code: i64 = code.parse().ok()?;
    Some(Window {
        start: dates.happened(start.parse::<Timestamp>().ok()?)?,
        length: seconds(length)?,
        enabled: flag(enabled)?,
        on_power: flag(on_power)?,
        locked: flag(locked)?,
        on_wifi: flag(on_wifi)?,
        ignored: ignored.parse().ok()?,
        error: error_of(domain, code).filter(|error| error.code != 0),
    })
}

fn flag(field: &str) -> Option<bool> {
    match field {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn seconds(field: &str) -> Option<Period> {
    let seconds: f64 = field.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "it is bounded before")]
    (0.0..=LONGEST)
        .contains(&seconds)
        .then(|| Period::seconds(seconds as i64))
}
