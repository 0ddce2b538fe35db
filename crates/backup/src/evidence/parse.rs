//! From the property list to [`Books`]. Every key is optional, what is not known is ignored, and what cannot be true is left
//! out (`remediation.md` 1.2.2; the keys are as they were seen in the field, and Apple promises none of them).

use backupwatch_core::evidence::{Books, Part, Uploading, Window};
use backupwatch_core::{DeviceTime, HostTime, Period};
use backupwatch_wire::codec::{self, DecodeError, Limits};
use backupwatch_wire::fields;
use jiff::Timestamp;
use plist::{Dictionary, Value};
use std::time::SystemTime;

use super::{MAX, attempts};

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
    let books = Books {
        attempts: errors.map_or_else(Vec::new, |errors| attempts::read(errors, &dates)),
        failures: number(&list, "FailureCount"),
        missing_key_failures: number(&list, "MissingEncryptionKeyFailureCount"),
        retry_after: dates.near(list.get("RetryAfter"), PUT_OFF),
        windows: windows(&list, &dates),
        account_enabled: dates.past(list.get("AccountEnabledDate")),
        restored: dates.past(restore.and_then(|restore| restore.get("RestoreDate"))),
        upload: state.and_then(upload),
        largest: sizes.map_or_else(Vec::new, parts),
        total: sizes.and_then(|sizes| size(sizes.get("_TotalSize")?)),
        period: remote.and_then(|remote| seconds(remote.get("BackupPeriod")?)),
        warning_period: remote.and_then(|remote| seconds(remote.get("BackupWarningPeriod")?)),
        ..Books::blank(at)
    };
    Ok(books.bounded())
}

/// The switch and the date of the last backup, from the bytes of `com.apple.mobile.ldbackup.plist`, as they were then.
pub(super) fn beside(bytes: &[u8], at: HostTime) -> Option<(Option<bool>, Option<DeviceTime>)> {
    let Ok(Value::Dictionary(list)) = codec::decode(bytes, Limits::of_bytes(MAX)) else {
        return None;
    };
    let dates = Dates { at };
    let enabled = fields::boolean(&list, "CloudBackupEnabled").ok().flatten();
    let last = number(&list, "LastCloudBackupDate").and_then(DeviceTime::from_reference_seconds);
    Some((enabled, last.filter(|date| dates.is_sane(*date, AHEAD))))
}

/// Which dates can be true in a backup of that moment.
pub(super) struct Dates {
    at: HostTime,
}

impl Dates {
    /// Of something that has happened.
    pub(super) fn happened(&self, value: &Value) -> Option<DeviceTime> {
        self.near(Some(value), AHEAD)
    }

    fn past(&self, value: Option<&Value>) -> Option<DeviceTime> {
        self.near(value, AHEAD)
    }

    /// At most so far ahead.
    fn near(&self, value: Option<&Value>, ahead: Period) -> Option<DeviceTime> {
        let date = SystemTime::from(value?.as_date()?);
        let date = DeviceTime(Timestamp::try_from(date).ok()?);
        self.is_sane(date, ahead).then_some(date)
    }

    fn is_sane(&self, date: DeviceTime, ahead: Period) -> bool {
        date.0.as_second() >= FIRST && HostTime(date.0) <= self.at.plus(ahead)
    }
}

fn dictionary<'a>(list: &'a Dictionary, key: &str) -> Option<&'a Dictionary> {
    list.get(key)?.as_dictionary()
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

/// None where the list is of another form than the one that is known, which is not the same as an empty one.
fn windows(list: &Dictionary, dates: &Dates) -> Option<Vec<Window>> {
    let events = list.get("LastOnConditionEvents")?.as_array()?;
    let lines: Option<Vec<&str>> = events.iter().map(Value::as_string).collect();
    let windows = Window::parse_all(lines?)?;
    let sane = |window: &Window| dates.is_sane(window.start, AHEAD);
    windows.iter().all(sane).then_some(windows)
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

/// What has a size and is not the list's own, which begins with a line.
fn parts(sizes: &Dictionary) -> Vec<Part> {
    let part = |(domain, bytes): (&String, &Value)| {
        Some(Part {
            domain: domain.clone(),
            bytes: size(bytes).filter(|bytes| *bytes > 0)?,
        })
    };
    (sizes.iter())
        .filter(|(domain, _)| !domain.starts_with('_'))
        .filter_map(part)
        .collect()
}

fn size(value: &Value) -> Option<u64> {
    let bytes = u64::try_from(fields::whole(value)?).ok()?;
    (bytes <= LARGEST).then_some(bytes)
}
