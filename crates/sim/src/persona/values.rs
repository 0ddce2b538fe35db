//! The lockdown values that the watch is about, in words instead of raw keys: iCloud, local backups, battery, disk, set-up.

use serde::Deserialize;

use super::books::{Cure, Failure};

/// Seconds from 1970 to 2001, the zero of the backup domain's dates (protocol.md 5.1).
pub(crate) const EPOCH_2001: i64 = 978_307_200;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ICloud {
    /// CloudBackupEnabled; `absent = true` leaves the key out.
    pub enabled: bool,
    pub absent: bool,
    pub last: Option<Stamp>,
    /// No iCloud backup has ended: no date and no zone, whatever `last` says.
    pub never: bool,
    /// LastCloudBackupTZ, for information only.
    pub tz: Option<String>,
    /// What makes the next backup to iCloud work.
    pub cure: Cure,
    /// What goes wrong until then.
    pub failure: Failure,
}

impl Default for ICloud {
    fn default() -> Self {
        Self {
            enabled: true,
            absent: false,
            last: Some(Stamp::DaysAgo(0.5)),
            never: false,
            tz: Some("GMT".to_owned()),
            cure: Cure::None,
            failure: Failure::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalBackup {
    pub last: Option<Stamp>,
    pub tz: Option<String>,
    /// WillEncrypt; left out when absent, as on capture A.
    pub will_encrypt: Option<bool>,
    pub requires_encryption: Option<RequiresEncryption>,
}

/// An integer on capture A; a boolean is accepted too (protocol.md 5.2).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum RequiresEncryption {
    Flag(bool),
    Number(i64),
}

/// A date as lockdown holds it, or as it should never hold it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// So many days before the phone's clock at the start, as an integer of seconds since 2001.
    DaysAgo(f64),
    /// This moment, as an integer of seconds since 2001.
    At(jiff::Timestamp),
    /// This integer, as it is.
    Integer(i64),
    /// This real, as it is.
    Real(f64),
    /// A plist date.
    Date(jiff::Timestamp),
    /// A string where a number belongs.
    Text(String),
}

impl Stamp {
    /// The value as it stands in the plist, with `now` the phone's clock.
    #[must_use]
    pub fn value(&self, now: jiff::Timestamp) -> plist::Value {
        match self {
            Self::DaysAgo(days) => {
                let ago =
                    jiff::SignedDuration::try_from_secs_f64(days * 86_400.0).unwrap_or_default();
                let at = now.checked_sub(ago).unwrap_or(now);
                plist::Value::from(at.as_second().saturating_sub(EPOCH_2001))
            }
            Self::At(at) => plist::Value::from(at.as_second().saturating_sub(EPOCH_2001)),
            Self::Integer(raw) => plist::Value::from(*raw),
            Self::Real(raw) => plist::Value::Real(*raw),
            Self::Date(at) => plist::Value::Date(std::time::SystemTime::from(*at).into()),
            Self::Text(text) => plist::Value::from(text.as_str()),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Battery {
    pub percent: u8,
    pub charging: bool,
}

impl Default for Battery {
    fn default() -> Self {
        Self {
            percent: 80,
            charging: true,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    pub total: u64,
    pub data_total: u64,
    pub data_available: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            total: 128_000_000_000,
            data_total: 115_000_000_000,
            data_available: 42_000_000_000,
        }
    }
}

/// Where the phone is in its set-up, as com.apple.purplebuddy tells it (protocol.md 5.5).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    #[default]
    Done,
    InProgress,
    /// Restoring from iCloud in the background: usable, but not whole yet.
    Restoring,
}

/// A TOML value as a plist value. TOML's dates become plist dates when they carry an offset, strings otherwise.
#[must_use]
pub fn toml_to_plist(value: &toml::Value) -> plist::Value {
    match value {
        toml::Value::String(text) => plist::Value::from(text.as_str()),
        toml::Value::Integer(number) => plist::Value::from(*number),
        toml::Value::Float(number) => plist::Value::Real(*number),
        toml::Value::Boolean(flag) => plist::Value::Boolean(*flag),
        toml::Value::Datetime(date) => match date.to_string().parse::<jiff::Timestamp>() {
            Ok(at) => plist::Value::Date(std::time::SystemTime::from(at).into()),
            Err(_) => plist::Value::from(date.to_string()),
        },
        toml::Value::Array(items) => plist::Value::Array(items.iter().map(toml_to_plist).collect()),
        toml::Value::Table(table) => plist::Value::Dictionary(toml_table_to_plist(table)),
    }
}

pub(crate) fn toml_table_to_plist(table: &toml::Table) -> plist::Dictionary {
    table
        .iter()
        .map(|(key, value)| (key.clone(), toml_to_plist(value)))
        .collect()
}
