//! Every threshold that judgement, backups and notices use, with its default.
//!
//! The defaults are `remediation.md` 4.2 and `design.md` section 3. The five sections are tables of the configuration
//! file; where a path or a port belongs beside them is the agent's business.

use crate::retention::RetentionPolicy;
use crate::time::{HostTime, Period};
use crate::udid::Udid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What holds for one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Since when a person wants no notices about this device; absent when they want them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_since: Option<HostTime>,
    /// How old an iCloud backup may be.
    pub icloud: CloudPolicy,
    /// When a local backup is made.
    pub backup: BackupPolicy,
    /// How often a person is told.
    pub notify: NotifyPolicy,
    /// How often a device is asked.
    pub poll: PollPolicy,
    /// Which backups before the current one are kept.
    pub retention: RetentionPolicy,
    /// How often what is backed up is read again.
    pub verify: VerifyPolicy,
}

/// How old an iCloud backup may be. In a file a bare number counts days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudPolicy {
    /// From here on *late*: shown, not told.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub late: Period,
    /// From here on *stale*: a local backup is due, and one quiet notice.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub stale: Period,
    /// From here on the notice repeats. Between *stale* and *alarm*, without a state of its own.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub warn: Period,
    /// From here on *alarm*: the phone itself begins to complain.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub alarm: Period,
    /// From here on *critical*.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub critical: Period,
    /// How long a new or restored device, or one just switched on, may be without a date.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub grace: Period,
    /// Not seen for this long: nothing is known any more, and nothing is escalated.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub unseen: Period,
    /// How long a growing first upload keeps notices back.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub upload: Period,
    /// From here on the countdown to Apple's deletion is told.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub expiry: Period,
    /// When Apple may delete the copy.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub deletion: Period,
}

impl Default for CloudPolicy {
    fn default() -> Self {
        Self {
            late: Period::days(2),
            stale: Period::days(4),
            warn: Period::days(7),
            alarm: Period::days(14),
            critical: Period::days(30),
            grace: Period::days(3),
            unseen: Period::days(2),
            upload: Period::days(7),
            expiry: Period::days(150),
            deletion: Period::days(180),
        }
    }
}

/// Whether a due backup begins by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It begins when somebody is likely at the phone.
    #[default]
    Auto,
    /// A notice offers it.
    Ask,
    /// Only when a person asks for it.
    Off,
}

/// When a local backup is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupPolicy {
    /// Whether a due backup begins by itself.
    pub mode: Mode,
    /// This device is meant to live without iCloud Backup: local backups alone protect it.
    pub local_only: bool,
    /// Our newest verified copy must not be older than this while iCloud fails.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub max_age: Period,
    /// A verified copy older than this is no safety net any more.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub net_age: Period,
    /// Charge in percent below which the phone must be on power.
    pub min_battery: u8,
    /// Free bytes below which a run is not begun.
    pub min_free: u64,
    /// How long after plugging in or unlocking somebody is taken to be at the phone.
    pub presence: Period,
    /// Local times at which nothing begins by itself: the phone's own iCloud window.
    pub quiet: QuietHours,
    /// Backups at the same time, of different devices.
    pub parallel: u8,
    /// Of these, so many to the same disk.
    pub per_disk: u8,
    /// Pause after a passcode was not entered; doubles each time, up to `retry_limit`.
    pub retry_passcode: Period,
    /// Pause after any other failure; doubles each time, up to `retry_limit`.
    pub retry: Period,
    /// Longest pause.
    pub retry_limit: Period,
}

impl Default for BackupPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            local_only: false,
            max_age: Period::days(3),
            net_age: Period::days(7),
            min_battery: 20,
            min_free: 2_000_000_000,
            presence: Period::minutes(10),
            quiet: QuietHours::NIGHT,
            parallel: 2,
            per_disk: 1,
            retry_passcode: Period::hours(6),
            retry: Period::hours(1),
            retry_limit: Period::days(2),
        }
    }
}

/// How often a person is told the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyPolicy {
    /// The cadence after the first notice.
    pub repeat: Repeat,
    /// Local times at which notices wait, unless a person has just asked for something.
    pub quiet: QuietHours,
    /// How long after "iCloud Backup was switched off" the one reminder follows.
    pub off_reminder: Period,
}

impl Default for NotifyPolicy {
    fn default() -> Self {
        Self {
            repeat: Repeat::default(),
            quiet: QuietHours::NIGHT,
            off_reminder: Period::days(1),
        }
    }
}

/// The cadence of one unchanged verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repeat {
    /// From the first notice to the second.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub first: Period,
    /// Between all later ones.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub then: Period,
    /// Between notices of a critical device.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub critical: Period,
}

impl Default for Repeat {
    fn default() -> Self {
        Self {
            first: Period::days(3),
            then: Period::days(7),
            critical: Period::days(1),
        }
    }
}

/// How often a device is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollPolicy {
    /// Between two questions to an attached device.
    pub interval: Period,
    /// After a first failed question; doubles each time, up to `interval`.
    pub retry: Period,
    /// Devices that are asked at the same time; the others wait for their turn. Only in general.
    pub parallel: u8,
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self {
            interval: Period::minutes(15),
            retry: Period::seconds(30),
            // Enough for a wall of phones, few enough for the file descriptors of a desktop.
            parallel: 48,
        }
    }
}

/// How often what is backed up is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyPolicy {
    /// Every file of a current backup is read again within this; zero is never.
    #[serde(deserialize_with = "crate::time::days::deserialize")]
    pub period: Period,
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        Self {
            period: Period::days(30),
        }
    }
}

/// A span of local time that may cross midnight; in text `"22:00-07:00"`, or `"off"` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from_minute: u16,
    to_minute: u16,
}

/// Not a span of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a span of local time; write it as \"22:00-07:00\", or \"off\"")]
pub struct BadQuietHours;

impl QuietHours {
    /// 22:00 to 07:00.
    pub const NIGHT: Self = Self {
        from_minute: 22 * 60,
        to_minute: 7 * 60,
    };

    /// No quiet hours.
    pub const NEVER: Self = Self {
        from_minute: 0,
        to_minute: 0,
    };

    /// Whether the span holds a moment, given as seconds since local midnight.
    pub(crate) fn holds(&self, second_of_day: i64) -> bool {
        let (from, to) = (
            i64::from(self.from_minute) * 60,
            i64::from(self.to_minute) * 60,
        );
        if from <= to {
            (from..to).contains(&second_of_day)
        } else {
            !(to..from).contains(&second_of_day)
        }
    }
}

impl std::str::FromStr for QuietHours {
    type Err = BadQuietHours;

    fn from_str(text: &str) -> Result<Self, BadQuietHours> {
        if text == "off" {
            return Ok(Self::NEVER);
        }
        let minute = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-').ok_or(BadQuietHours)?;
        match (minute(from), minute(to)) {
            (Some(from_minute), Some(to_minute)) if from_minute != to_minute => Ok(Self {
                from_minute,
                to_minute,
            }),
            _ => Err(BadQuietHours),
        }
    }
}

impl TryFrom<String> for QuietHours {
    type Error = BadQuietHours;

    fn try_from(text: String) -> Result<Self, BadQuietHours> {
        text.parse()
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_minute, self.to_minute);
        if *self == Self::NEVER {
            return f.write_str("off");
        }
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            from / 60,
            from % 60,
            to / 60,
            to % 60
        )
    }
}

/// What holds in general, and what holds for some devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// For every device without an entry of its own.
    pub general: Policy,
    /// For single devices, complete.
    pub devices: BTreeMap<Udid, Policy>,
}

impl Policies {
    /// What holds for this device.
    pub fn of(&self, udid: &Udid) -> &Policy {
        self.devices.get(udid).unwrap_or(&self.general)
    }
}

impl From<Policy> for Policies {
    fn from(general: Policy) -> Self {
        Self {
            general,
            devices: BTreeMap::new(),
        }
    }
}

/// Thresholds that contradict each other or would harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct PolicyError {
    /// The key in the configuration.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Policy {
    /// This policy with the keys of `patch` in place of its own: how a device's table overrides the general one.
    pub fn overlaid(&self, patch: &toml::Table) -> Result<Self, toml::de::Error> {
        let mut whole =
            toml::Table::try_from(self).map_err(<toml::de::Error as serde::de::Error>::custom)?;
        overlay(&mut whole, patch);
        whole.try_into()
    }

    /// Whether the values make sense together.
    pub fn check(&self) -> Result<(), PolicyError> {
        let cloud = &self.icloud;
        let ladder = [
            ("icloud.late", Period::ZERO, cloud.late),
            ("icloud.stale", cloud.late, cloud.stale),
            ("icloud.warn", cloud.stale, cloud.warn),
            ("icloud.alarm", cloud.warn, cloud.alarm),
            ("icloud.critical", cloud.alarm, cloud.critical),
            ("icloud.expiry", cloud.critical, cloud.expiry),
            ("icloud.deletion", cloud.expiry, cloud.deletion),
            ("icloud.unseen", Period::ZERO, cloud.unseen),
            ("backup.max_age", Period::ZERO, self.backup.max_age),
            ("backup.net_age", Period::ZERO, self.backup.net_age),
        ];
        let wrong = |key, problem| Err(PolicyError { key, problem });
        if let Some((key, _, _)) = ladder.into_iter().find(|(_, below, value)| value <= below) {
            return wrong(key, "must be greater than zero and than the step before it");
        }
        if self.poll.interval < Period::minutes(1) {
            return wrong("poll.interval", "must be at least 1 min");
        }
        if self.poll.retry < Period::seconds(1) {
            return wrong("poll.retry", "must be at least 1 s");
        }
        if self
            .notify
            .repeat
            .first
            .min(self.notify.repeat.then)
            .min(self.notify.repeat.critical)
            < Period::hours(1)
        {
            return wrong(
                "notify.repeat",
                "must be at least 1 h, so that nobody is nagged",
            );
        }
        if self.backup.retry_passcode < Period::minutes(30) {
            return wrong(
                "backup.retry_passcode",
                "must be at least 30 min, so that the phone is not asked in a loop",
            );
        }
        if self.backup.retry < Period::minutes(1) {
            return wrong("backup.retry", "must be at least 1 min");
        }
        if (Period::seconds(1)..Period::days(2)).contains(&self.verify.period) {
            return wrong("verify.period", "must be at least 2 d, or 0 for never");
        }
        if self.poll.parallel == 0 {
            return wrong("poll.parallel", "must be at least 1");
        }
        if self.backup.parallel == 0 {
            return wrong("backup.parallel", "must be at least 1");
        }
        if self.backup.per_disk == 0 {
            return wrong("backup.per_disk", "must be at least 1");
        }
        if self.backup.min_battery > 100 {
            return wrong("backup.min_battery", "must be at most 100");
        }
        if self.retention.last == 0 {
            return wrong(
                "retention.last",
                "must be at least 1, so that what the current backup lost is in the one before",
            );
        }
        Ok(())
    }
}

/// Tables are merged one level deep (section by section, and `notify.repeat`); anything else is replaced.
fn overlay(whole: &mut toml::Table, patch: &toml::Table) {
    for (key, value) in patch {
        match (whole.get_mut(key), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(values)) => {
                for (key, value) in values {
                    match (section.get_mut(key), value) {
                        (Some(toml::Value::Table(inner)), toml::Value::Table(values)) => {
                            inner.extend(values.clone());
                        }
                        _ => drop(section.insert(key.clone(), value.clone())),
                    }
                }
            }
            _ => drop(whole.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_survive_a_file() {
        let policy = Policy::default();
        assert_eq!(policy.check(), Ok(()));
        let text = toml::to_string(&policy).unwrap();
        assert_eq!(toml::from_str::<Policy>(&text).unwrap(), policy);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_device_overrides_single_keys() {
        let general: Policy = toml::from_str(
            "icloud.late = 3\n[backup]\nmode = \"ask\"\n[notify.repeat]\nthen = \"10 d\"",
        )
        .unwrap();
        let patch: toml::Table =
            toml::from_str("backup.max_age = 1.5\nnotify.repeat.first = 5\nicloud.stale = \"5 d\"")
                .unwrap();
        let merged = general.overlaid(&patch).unwrap();
        assert_eq!(merged.icloud.late, Period::days(3));
        assert_eq!(merged.icloud.stale, Period::days(5));
        assert_eq!(merged.backup.mode, Mode::Ask);
        assert_eq!(merged.backup.max_age, Period::hours(36));
        assert_eq!(merged.notify.repeat.first, Period::days(5));
        assert_eq!(merged.notify.repeat.then, Period::days(10));
    }

    #[test]
    fn mistakes_are_errors() {
        let table = [
            ("an unknown key", "icloud.stael = 4"),
            ("an unknown section", "[cloud]\nstale = 4"),
            (
                "a bare number where days would surprise",
                "poll.interval = 15",
            ),
            ("negative days", "icloud.stale = -4"),
            ("more than a century", "icloud.stale = 1e12"),
            ("not a mode", "backup.mode = \"always\""),
            ("quiet hours without an end", "notify.quiet = \"22:00\""),
            (
                "quiet hours of 25 o'clock",
                "notify.quiet = \"25:00-07:00\"",
            ),
            (
                "quiet hours that are empty",
                "notify.quiet = \"07:00-07:00\"",
            ),
        ];
        for (name, text) in table {
            assert!(toml::from_str::<Policy>(text).is_err(), "{name}");
        }
    }

    #[test]
    fn contradictions_are_found() {
        let table = [
            ("icloud.late = 5", "icloud.stale"),
            ("icloud.alarm = 40", "icloud.critical"),
            ("icloud.late = 0", "icloud.late"),
            ("poll.interval = \"1 s\"", "poll.interval"),
            ("notify.repeat.critical = \"1 min\"", "notify.repeat"),
            ("backup.retry_passcode = \"1 min\"", "backup.retry_passcode"),
            ("backup.parallel = 0", "backup.parallel"),
            ("backup.per_disk = 0", "backup.per_disk"),
            ("poll.parallel = 0", "poll.parallel"),
        ];
        for (text, key) in table {
            let policy: Policy = toml::from_str(text).unwrap();
            assert_eq!(policy.check().unwrap_err().key, key, "{text}");
        }
    }

    #[test]
    fn quiet_hours_cross_midnight() {
        let table = [
            ("22:00-07:00", 23 * 3_600, true),
            ("22:00-07:00", 0, true),
            ("22:00-07:00", 7 * 3_600, false),
            ("22:00-07:00", 22 * 3_600 - 1, false),
            ("12:00-13:00", 12 * 3_600, true),
            ("12:00-13:00", 13 * 3_600, false),
            ("off", 3_600, false),
        ];
        for (text, second, quiet) in table {
            assert_eq!(
                text.parse::<QuietHours>().unwrap().holds(second),
                quiet,
                "{text} at {second}"
            );
            assert_eq!(text.parse::<QuietHours>().unwrap().to_string(), text);
        }
    }
}
