//! `Status.plist`: the phase of a backup, rewritten by the phone at each step (protocol.md 9.6).

use jiff::Timestamp;
use plist::{Dictionary, Value};

/// `SnapshotState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Uploading,
    Moving,
    Removing,
    Finished,
}

impl Phase {
    const ALL: [Self; 4] = [
        Self::Uploading,
        Self::Moving,
        Self::Removing,
        Self::Finished,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Moving => "moving",
            Self::Removing => "removing",
            Self::Finished => "finished",
        }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatusError {
    #[error("it is no property list")]
    Plist,
    #[error("it has no {0}")]
    Missing(&'static str),
    /// MBError 203.
    #[error("its version {0:?} is not known")]
    Version(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub uuid: String,
    pub date: Timestamp,
    pub phase: Phase,
    pub full: bool,
}

impl Status {
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut out = Dictionary::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("UUID", self.uuid.as_str().into());
        // Forced to false at the end, so that it says nothing about how the backup was made (PMD3#1052).
        put(
            "IsFullBackup",
            (self.full && self.phase != Phase::Finished).into(),
        );
        put("Version", "3.3".into());
        put("BackupState", "new".into());
        put("Date", super::properties::date(self.date));
        put("SnapshotState", self.phase.name().into());
        Value::Dictionary(out)
    }

    /// # Errors
    /// It is no status of a version that the phone reads.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatusError> {
        let value =
            Value::from_reader(std::io::Cursor::new(bytes)).map_err(|_| StatusError::Plist)?;
        let values = value.into_dictionary().ok_or(StatusError::Plist)?;
        let text = |key: &'static str| {
            values
                .get(key)
                .and_then(Value::as_string)
                .ok_or(StatusError::Missing(key))
        };
        let version = text("Version")?;
        if !version
            .parse()
            .is_ok_and(|number: f64| number == 0.0 || (2.4..4.0).contains(&number))
        {
            return Err(StatusError::Version(version.to_owned()));
        }
        let date = values
            .get("Date")
            .and_then(Value::as_date)
            .ok_or(StatusError::Missing("Date"))?;
        let phase = text("SnapshotState")?;
        Ok(Self {
            uuid: text("UUID")?.to_owned(),
            date: Timestamp::try_from(std::time::SystemTime::from(date))
                .map_err(|_| StatusError::Missing("Date"))?,
            phase: Phase::ALL
                .into_iter()
                .find(|known| known.name() == phase)
                .ok_or(StatusError::Missing("SnapshotState"))?,
            full: values
                .get("IsFullBackup")
                .and_then(Value::as_boolean)
                .unwrap_or(false),
        })
    }
}
