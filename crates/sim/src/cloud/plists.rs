//! The phone's notes as files of its backup: `com.apple.MobileBackup.plist` and `com.apple.mobile.ldbackup.plist`, with the
//! keys of remediation.md 1.2.2 to 1.2.4.

use backupwatch_wire::codec;
use jiff::{Timestamp, tz::Offset};
use plist::{Dictionary, Value};

use super::{Attempt, Notes, Window, absurd};
use crate::persona::{Books, ErrorLink, Failure};
use crate::phone::{BACKUP_DOMAIN, Phone};

const DOMAIN: &str = "HomeDomain";
const NOTES: &str = "Library/Preferences/com.apple.MobileBackup.plist";
/// What lockdown tells as the backup domain.
const LOCKDOWN: &str = "Library/Preferences/com.apple.mobile.ldbackup.plist";
/// The keys of it that have been seen in a backup.
const LOCKDOWN_KEYS: [&str; 6] = [
    "CloudBackupEnabled",
    "LastCloudBackupDate",
    "LastCloudBackupTZ",
    "RequiresEncryption",
    "Version",
    "WillEncrypt",
];

/// One file of the notes.
pub(crate) struct Note {
    pub domain: &'static str,
    pub path: &'static str,
    pub bytes: Vec<u8>,
}

/// The notes as they stand; none for a phone without any.
pub(crate) fn notes(phone: &Phone) -> Vec<Note> {
    let Some(books) = &phone.persona().books else {
        return Vec::new();
    };
    let note = |path, bytes| Note {
        domain: DOMAIN,
        path,
        bytes,
    };
    let own = match books.absurd {
        Some(kind) => absurd::file(kind),
        None => {
            let offset = i32::try_from(phone.persona().identity.utc_offset_s).unwrap_or(0);
            let offset = Offset::from_seconds(offset).unwrap_or(Offset::UTC);
            let own = phone.with_cloud(|cloud| own(&cloud.notes, books, offset));
            codec::to_binary(&own)
        }
    };
    let lockdown = phone.domain(BACKUP_DOMAIN).unwrap_or_default();
    let told: Dictionary = lockdown
        .into_iter()
        .filter(|(key, _)| LOCKDOWN_KEYS.contains(&key.as_str()))
        .collect();
    let told = codec::to_binary(&Value::Dictionary(told));
    vec![note(NOTES, own), note(LOCKDOWN, told)]
}

fn own(notes: &Notes, books: &Books, offset: Offset) -> Value {
    let mut list = Dictionary::new();
    let mut put = |key: &str, value: Value| list.insert(key.to_owned(), value);
    put("FailureCount", notes.failures.into());
    put(
        "MissingEncryptionKeyFailureCount",
        notes.missing_key_failures.into(),
    );
    put("LocalSnapshotsDisabled", false.into());
    put("SyncZoneFetched", true.into());
    if let Some(at) = notes.retry_after {
        put("RetryAfter", date(at));
    }
    // Both go when the account goes.
    if let Some(at) = notes.account_enabled {
        put("AccountEnabledDate", date(at));
    }
    if !notes.attempts.is_empty() || notes.upload.is_some() {
        put("BackupStateInfo", state_info(notes));
    }
    if let Some(windows) = &notes.windows {
        let lines = windows.iter().map(|window| {
            let line = on_condition_event(window, &notes.attempts, notes.failures, offset);
            Value::from(line)
        });
        put("LastOnConditionEvents", Value::Array(lines.collect()));
    }
    if !books.sizes.is_empty() {
        let mut sizes: Dictionary = books
            .sizes
            .iter()
            .map(|(domain, bytes)| (domain.clone(), Value::from(*bytes)))
            .collect();
        sizes.insert(
            "_TotalSize".to_owned(),
            books.sizes.values().sum::<u64>().into(),
        );
        put("PreflightSizing", Value::Dictionary(sizes));
    }
    if books.period_s.is_some() || books.warning_period_s.is_some() {
        let mut server = Dictionary::new();
        for (key, period) in [
            ("BackupPeriod", books.period_s),
            ("BackupWarningPeriod", books.warning_period_s),
        ] {
            if let Some(period) = period {
                server.insert(key.to_owned(), period.into());
            }
        }
        put("RemoteConfiguration", Value::Dictionary(server));
    }
    if let Some((at, from_icloud)) = notes.restored {
        put(
            "RestoreInfo",
            dictionary([
                ("RestoreDate", date(at)),
                ("WasCloudRestore", from_icloud.into()),
                ("BackupBuildVersion", "22C161".into()),
                ("DeviceBuildVersion", "22E252".into()),
            ]),
        );
    }
    Value::Dictionary(list)
}

fn state_info(notes: &Notes) -> Value {
    let errors = notes.attempts.iter().map(attempt).collect();
    let count = u64::try_from(notes.attempts.len()).unwrap_or(0);
    let (progress, left, state) = match notes.upload {
        Some(upload) => (f64::from(upload.permille) / 1000.0, upload.left_s, 2),
        None => (0.0, 0.0, 0),
    };
    let mut info = vec![
        ("backupAttemptCount", Value::from(count)),
        ("errors", Value::Array(errors)),
        ("estimatedTimeRemaining", Value::Real(left)),
        ("isBackground", (!notes.by_hand).into()),
        ("isCloud", true.into()),
        ("progress", Value::Real(progress)),
        ("state", Value::from(state)),
    ];
    if let Some(last) = notes.attempts.last() {
        info.push(("date", date(last.at)));
    }
    dictionary(info)
}

/// An entry of `BackupStateInfo.errors`. A success is code 0 of the outermost domain.
fn attempt(attempt: &Attempt) -> Value {
    let Attempt { at, failure } = attempt;
    let innermost = failure.chain.len().saturating_sub(1);
    let mut below: Option<Value> = None;
    for (place, link) in failure.chain.iter().enumerate().rev() {
        let text = text_of(failure, place, innermost);
        let mut entry = vec![
            ("domain", Value::from(link.domain.as_str())),
            ("code", link.code.into()),
            ("localizedDescription", text.into()),
        ];
        if place == 0 {
            entry.push(("date", date(*at)));
        }
        if let (Some(app), true) = (&failure.app, place == innermost) {
            entry.push(("filePath", file_of(app).into()));
        }
        if let Some(below) = below.take() {
            entry.push(("underlyingError", below));
        }
        below = Some(dictionary(entry));
    }
    below.unwrap_or_else(|| {
        dictionary([
            ("domain", "MBErrorDomain".into()),
            ("code", 0.into()),
            ("localizedDescription", "Backup succeeded".into()),
            ("date", date(*at)),
        ])
    })
}

fn text_of(failure: &Failure, place: usize, innermost: usize) -> String {
    let usual = |link: &ErrorLink| {
        format!(
            "The operation couldn’t be completed. ({} error {}.)",
            link.domain, link.code
        )
    };
    match (&failure.app, &failure.text, failure.chain.get(place)) {
        (Some(app), _, _) if place == innermost => format!("Failed to upload {}", file_of(app)),
        (_, Some(text), _) if place == 0 => text.clone(),
        (_, _, Some(link)) => usual(link),
        (_, _, None) => String::new(),
    }
}

/// The file of an app that cannot be read.
pub(super) fn file_of(app: &str) -> String {
    format!("AppDomain-{app}:Library/Drafts/0017.draft")
}

/// A window in its 19 fields (remediation.md 1.2.4).
fn on_condition_event(
    window: &Window,
    attempts: &[Attempt],
    failures: u32,
    offset: Offset,
) -> String {
    let end = window
        .start
        .checked_add(window.length)
        .unwrap_or(window.start);
    let last = attempts.iter().rev().find(|attempt| attempt.at <= end);
    let error = last.and_then(|last| Some((last.at, last.failure.chain.first()?)));
    let (since, domain, code) = error.map_or((0, "(null)", 0), |(at, link)| {
        let since = end.duration_since(at).as_secs();
        (since, link.domain.as_str(), link.code)
    });
    let flags = [
        window.end.enabled,
        window.end.on_power,
        window.end.locked,
        window.end.on_wifi,
    ];
    let flags = flags.map(|flag| if flag { "1" } else { "0" }).join("|");
    let zone = jiff::tz::TimeZone::fixed(offset);
    let start = window.start.to_zoned(zone);
    format!(
        "{}|{:.3}|{flags}|1|0|0|0|{since}|{failures}|{domain}|{code}|2|0|0|0|{}",
        start.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"),
        window.length.as_secs_f64(),
        window.ignored,
    )
}

fn dictionary<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Dictionary(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn date(at: Timestamp) -> Value {
    Value::Date(std::time::SystemTime::from(at).into())
}
