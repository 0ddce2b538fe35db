//! What backupd writes into the phone's log about iCloud backups (remediation.md 1.3). Its prefixes and codes are those of
//! real phones; whatever else stands in a line is made up.

use jiff::{SignedDuration, Timestamp};
use plist::Value;

use super::{Change, Conditions, plists};
use crate::persona::Failure;
use crate::phone::log::{BACKUPD, Level, LogLine};
use crate::phone::{BACKUP_DOMAIN, Phone};

const SUBSYSTEM: &str = "com.apple.mobilebackup";
const ENGINE: &str = "backupd.engine";
const SCHEDULER: &str = "backupd.scheduler";

/// The states of a backup, and how long each takes here. That a line names one is known; these names are ours.
const STATES: [(&str, &str); 5] = [
    ("Preparing", "0.412"),
    ("Locking", "0.008"),
    ("Scanning", "12.903"),
    ("Uploading", "81.550"),
    ("Cleaning", "0.377"),
];
/// A backup that fails does so in the fourth.
const FAILS_AFTER: usize = 3;

fn write(phone: &Phone, level: Level, category: &'static str, message: String) {
    phone.log().write(LogLine {
        at: phone.clock().now(),
        program: BACKUPD,
        level,
        subsystem: SUBSYSTEM,
        category,
        message,
    });
}

fn scheduler(phone: &Phone, words: &str) {
    write(
        phone,
        Level::Notice,
        SCHEDULER,
        format!("=scheduler= {words}"),
    );
}

/// The phases of an attempt that goes well, or as far as it goes.
pub(super) fn phases(phone: &Phone, outcome: &Result<(), Failure>) {
    write(
        phone,
        Level::Notice,
        ENGINE,
        "=cloud-backup= Starting backup for account <private>".to_owned(),
    );
    let count = if outcome.is_ok() {
        STATES.len()
    } else {
        FAILS_AFTER
    };
    for (state, took) in STATES.iter().take(count) {
        under_way(phone, state, took);
    }
}

/// A backup that goes on for long.
pub(super) fn under_way(phone: &Phone, state: &str, took: &str) {
    let line = format!("=cloud-backup= {state} done in {took}s");
    write(phone, Level::Notice, ENGINE, line);
}

/// The end of an attempt, and what the scheduler makes of it.
pub(super) fn end(phone: &Phone, outcome: &Result<(), Failure>, failures: (u32, u32)) {
    match outcome {
        Ok(()) => {
            let line = "=cloud-backup= Backup finished successfully".to_owned();
            write(phone, Level::Notice, ENGINE, line);
        }
        Err(failure) => {
            if let Some(app) = &failure.app {
                let inner = failure.chain.last();
                let inner = inner.map_or_else(String::new, |link| {
                    format!(" (<{}: {}>)", link.domain, link.code)
                });
                let file = plists::file_of(app);
                let line = format!("Failed to upload {file}{inner}");
                write(phone, Level::Error, ENGINE, line);
            }
            let line = format!(
                "=cloud-backup= Backup failed: {}, <MBError: 0x281101f50>",
                chain(failure)
            );
            write(phone, Level::Error, ENGINE, line);
            scheduler(
                phone,
                "Scheduler received backup failure notification for account <private>: <private>",
            );
        }
    }
    let (before, after) = failures;
    if before != after {
        let line = format!("Updating FailureCount for account <private>: {after}({before})");
        scheduler(phone, &line);
    }
    plan(phone);
}

/// `MBErrorDomain(303) Underlying error: CKErrorDomain(25)`; what lies still deeper is put in a list.
fn chain(failure: &Failure) -> String {
    let link = |link: &crate::persona::ErrorLink| format!("{}({})", link.domain, link.code);
    let mut links = failure.chain.iter().map(link);
    let mut words = links.next().unwrap_or_default();
    if let Some(below) = links.next() {
        words.push_str(" Underlying error: ");
        words.push_str(&below);
    }
    let deeper: Vec<String> = links.collect();
    if !deeper.is_empty() {
        let kind = if deeper.iter().all(|link| link.starts_with("CK")) {
            "CloudKit"
        } else {
            "Backup"
        };
        words.push_str(&format!(
            " Underlying {kind} errors: [{}]",
            deeper.join(", ")
        ));
    }
    words
}

/// When the phone means to try again.
fn plan(phone: &Phone) {
    let last = phone
        .value(BACKUP_DOMAIN, "LastCloudBackupDate")
        .and_then(|value| value.as_signed_integer())
        .map_or_else(
            || "(null)".to_owned(),
            |seconds| date_2001(seconds).map_or_else(String::new, |at| at.to_string()),
        );
    let retry = phone.with_cloud(|cloud| cloud.notes.retry_after);
    let retry = retry.map_or_else(|| "(null)".to_owned(), |at| at.to_string());
    let line =
        format!("lastBackupDate:{last}, retryAfterDate:{retry}, nextBackupDateOnWiFi:{retry}");
    scheduler(phone, &line);
}

fn date_2001(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds.checked_add(crate::persona::EPOCH_2001)?).ok()
}

/// A profile forbids iCloud backups.
pub(super) fn forbidden(phone: &Phone) {
    let line = "=scheduler= Backup is disabled by the current MC policy".to_owned();
    write(phone, Level::Info, SCHEDULER, line);
}

/// Nothing is due so soon after a backup.
pub(super) fn backed_up_recently(phone: &Phone, ago: SignedDuration) {
    let now = phone.clock().now();
    let at = now.checked_sub(ago).unwrap_or(now);
    let line = format!("Already backed up recently ({} s): {at}", ago.as_secs());
    scheduler(phone, &line);
}

/// The next attempt was put off.
pub(super) fn put_off(phone: &Phone, until: Timestamp) {
    let by = until.duration_since(phone.clock().now()).as_secs();
    let line = format!("The next backup date was pushed later ({by} s): {until}");
    scheduler(phone, &line);
}

/// Looks at the conditions, and writes down what has changed. The simulator does not wait the minute that a real phone
/// gives a lost charger, and the two that it gives a lost Wi-Fi.
pub(crate) fn note_conditions(phone: &Phone) {
    let seen = phone.conditions();
    let now = phone.clock().now();
    let Some(change) = phone.with_cloud(|cloud| cloud.observe(now, seen)) else {
        return;
    };
    if let (Some(before), Some(_)) = (change.before, change.held) {
        if before.on_power && !seen.on_power {
            scheduler(
                phone,
                "The device lost power but is otherwise still in condition - will wait 60s before stopping",
            );
        }
        if before.on_wifi && !seen.on_wifi {
            scheduler(
                phone,
                "The device lost WiFi but is otherwise still in condition - will wait 120s before stopping",
            );
        }
    }
    scheduler(phone, &state_changed(&change));
}

fn state_changed(change: &Change) -> String {
    let prefix = match change.held {
        _ if change.seen.hold() => "[On condition]".to_owned(),
        Some(held) => format!("[Off condition after {:.1}s]", held.as_secs_f64()),
        None => "[Off condition]".to_owned(),
    };
    let flags = |seen: Conditions| {
        [
            ("enabled", seen.enabled),
            ("locked", seen.locked),
            ("onPower", seen.on_power),
            ("onWiFi", seen.on_wifi),
        ]
    };
    let now = flags(change.seen);
    let before = change.before.map(flags);
    let told = |(name, flag): &(&str, bool)| format!("{name}:{}", u8::from(*flag));
    let state: Vec<String> = now.iter().map(told).collect();
    let changes: Vec<String> = now
        .iter()
        .enumerate()
        .filter(|(place, flag)| {
            before.and_then(|before| before.get(*place).copied()) != Some(**flag)
        })
        .map(|(_, flag)| told(flag))
        .collect();
    format!(
        "{prefix} state changed, {}, onCellular:0(0), expensiveCellular:0, changes:{{{}}}",
        state.join(", "),
        changes.join(", ")
    )
}

/// Whether the value of the switch is on.
pub(super) fn is_enabled(phone: &Phone) -> bool {
    let value = phone.value(BACKUP_DOMAIN, "CloudBackupEnabled");
    value.as_ref().and_then(Value::as_boolean) == Some(true)
}
