//! From the property list to [`Books`]. Every key is optional, what is not known is ignored, and what cannot be true is left
//! out (`remediation.md` 1.2.2; the keys are as they were seen in the field, and Apple promises none of them).

use backupwatch_core::evidence::{Books, MOST_PARTS, Part, Uploading};
use backupwatch_core::{DeviceTime, HostTime, Period};
use backupwatch_wire::codec::{self, DecodeError, Limits};
use backupwatch_wire::fields;
use jiff::Timestamp;
use plist::{Dictionary, Value};
use std::time::SystemTime;

use super::{MAX, attempts, windows};

/// iCloud Backup began with iOS 5: 2011-06-01. What is dated before is no date.
const FIRST: i64 = 1_306_886_400;

/// A phone's clock may be so far ahead of ours.
const AHEAD: Period = Period::days(1);

/// The phone puts nothing off for longer than a week, and a server may be wrong by as much.
const PUT_OFF: Period = Period::days(14);

/// No longer wait between two backups, and no longer backup, is believed.
const LONGEST: i64 = 366 * 86_400;

/// More than any phone holds: a petabyte.
const LARGEST: u64 = 1 << 50;

/// Longest name of a backup domain; bundle identifiers have at most 155 characters.
const LONGEST_DOMAIN: usize = 180;

/// Reads the books from the bytes of `com.apple.MobileBackup.plist`, out of a backup that was made at `at`.
///
/// # Errors
/// When the bytes are no property list, or not a dictionary's.
pub fn parse(bytes: &[u8], at: HostTime) -> Result<Books, DecodeError> {
    let Value::Dictionary(list) = codec::decode(bytes, Limits::of_bytes(MAX))? else {
        return Err(DecodeError::Malformed {
            what: "it is no dictionary",
        });
    };
    let dates = Dates { at };
    let state = dictionary(&list, "BackupStateInfo");
    let remote = dictionary(&list, "RemoteConfiguration");
    let restore = dictionary(&list, "RestoreInfo");
    let errors = state
        .and_then(|state| state.get("errors"))
        .and_then(Value::as_array);
    let sizes = dictionary(&list, "PreflightSizing");
    Ok(Books {
        at,
        attempts: errors.map_or_else(Vec::new, |errors| attempts::read(errors, &dates)),
        failures: number(&list, "FailureCount"),
        missing_key_failures: number(&list, "MissingEncryptionKeyFailureCount"),
        retry_after: (list.get("RetryAfter")).and_then(|date| dates.near(date, PUT_OFF)),
        windows: (list.get("LastOnConditionEvents"))
            .and_then(Value::as_array)
            .and_then(|events| windows::read(events, &dates)),
        account_enabled: date(Some(&list), "AccountEnabledDate", &dates),
        restored: date(restore, "RestoreDate", &dates),
        upload: state.and_then(upload),
        largest: sizes.map_or_else(Vec::new, largest),
        total: sizes.and_then(|sizes| size(sizes.get("_TotalSize")?)),
        period: remote.and_then(|remote| period(remote, "BackupPeriod")),
        warning_period: remote.and_then(|remote| period(remote, "BackupWarningPeriod")),
    })
}

/// Which dates can be true in a backup of that moment.
pub(super) struct Dates {
    at: HostTime,
}

impl Dates {
    /// Of something that has happened.
    pub(super) fn past(&self, value: &Value) -> Option<DeviceTime> {
        self.near(value, AHEAD)
    }

    /// At most so far ahead.
    fn near(&self, value: &Value, ahead: Period) -> Option<DeviceTime> {
        let date = Timestamp::try_from(SystemTime::from(value.as_date()?)).ok()?;
        self.sane(date, ahead)
    }

    /// The moment, if something can have happened then.
    pub(super) fn happened(&self, moment: Timestamp) -> Option<DeviceTime> {
        self.sane(moment, AHEAD)
    }

    fn sane(&self, moment: Timestamp, ahead: Period) -> Option<DeviceTime> {
        let is_sane = moment.as_second() >= FIRST && HostTime(moment) <= self.at.plus(ahead);
        is_sane.then_some(DeviceTime(moment))
    }
}

fn dictionary<'a>(list: &'a Dictionary, key: &str) -> Option<&'a Dictionary> {
    list.get(key)?.as_dictionary()
}

fn date(list: Option<&Dictionary>, key: &str, dates: &Dates) -> Option<DeviceTime> {
    dates.past(list?.get(key)?)
}

fn number<T: TryFrom<i128>>(list: &Dictionary, key: &'static str) -> Option<T> {
    fields::integer(list, key).ok().flatten()
}

/// A number of seconds, whole or not.
fn seconds(value: &Value) -> Option<Period> {
    let seconds = match value.as_real() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float beyond the whole numbers becomes their end, and is out of bounds"
        )]
        Some(real) => real.round() as i64,
        None => i64::try_from(fields::whole(value)?).ok()?,
    };
    (1..=LONGEST)
        .contains(&seconds)
        .then(|| Period::seconds(seconds))
}

fn period(list: &Dictionary, key: &str) -> Option<Period> {
    seconds(list.get(key)?)
}

/// A cloud backup under way. What the block says of a backup to a computer, which may well be our own, is nothing to us.
fn upload(state: &Dictionary) -> Option<Uploading> {
    let progress = state.get("progress")?.as_real()?;
    let is_cloud = fields::boolean(state, "isCloud").ok().flatten();
    if is_cloud != Some(true) || !(progress > 0.0 && progress < 1.0) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1"
    )]
    let permille = (progress * 1000.0) as u16;
    Some(Uploading {
        permille,
        left: state.get("estimatedTimeRemaining").and_then(seconds),
    })
}

/// The largest parts, largest first.
fn largest(sizes: &Dictionary) -> Vec<Part> {
    let mut parts: Vec<(&str, u64)> = sizes
        .iter()
        .filter(|(domain, _)| is_domain(domain))
        .filter_map(|(domain, bytes)| Some((domain.as_str(), size(bytes)?)))
        .filter(|(_, bytes)| *bytes > 0)
        .collect();
    parts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    parts.truncate(MOST_PARTS);
    let part = |(domain, bytes): (&str, u64)| Part {
        domain: domain.to_owned(),
        bytes,
    };
    parts.into_iter().map(part).collect()
}

fn size(value: &Value) -> Option<u64> {
    let bytes = u64::try_from(fields::whole(value)?).ok()?;
    (bytes <= LARGEST).then_some(bytes)
}

/// `MediaDomain`, `AppDomain-org.example.app`: a kind, and what of it. The list's own totals begin with a line.
fn is_domain(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= LONGEST_DOMAIN
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(good)
}
