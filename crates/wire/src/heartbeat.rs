//! `com.apple.mobile.heartbeat`: the device says "Marco" every so often and wants to hear "Polo". Its frames are those of
//! [`crate::lockdown`].
//!
//! Not here: the clock that notices a device which has gone quiet.

use plist::{Dictionary, Value};

use crate::fields::{self, FieldError};

/// The service.
pub const SERVICE: &str = "com.apple.mobile.heartbeat";

/// From the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// To be answered with [`polo`]; the next one comes within `interval` seconds.
    Marco {
        interval: Option<u32>,
    },
    /// The device is about to sleep, and the connection to end.
    SleepyTime,
    Other,
}

impl Beat {
    /// Reads a dictionary from the device.
    ///
    /// # Errors
    /// When it has no command.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let key = "Command";
        let body = fields::required(key, value.as_dictionary())?;
        Ok(match fields::required(key, fields::string(body, key)?)? {
            "Marco" => Self::Marco {
                interval: fields::integer(body, "Interval").unwrap_or(None),
            },
            "SleepyTime" => Self::SleepyTime,
            _ => Self::Other,
        })
    }

    /// The dictionary; [`Beat::Other`] has none.
    #[must_use]
    pub fn to_value(&self) -> Option<Value> {
        match self {
            Self::Marco { interval } => {
                let mut body = command("Marco");
                if let Some(interval) = interval {
                    body.insert("Interval".to_owned(), u64::from(*interval).into());
                }
                Some(Value::Dictionary(body))
            }
            Self::SleepyTime => Some(Value::Dictionary(command("SleepyTime"))),
            Self::Other => None,
        }
    }
}

/// The host's answer.
#[must_use]
pub fn polo() -> Value {
    Value::Dictionary(command("Polo"))
}

/// Whether a dictionary from a host is [`polo`].
#[must_use]
pub fn is_polo(value: &Value) -> bool {
    let body = value.as_dictionary();
    body.and_then(|body| body.get("Command"))
        .and_then(Value::as_string)
        == Some("Polo")
}

fn command(name: &str) -> Dictionary {
    let mut body = Dictionary::new();
    body.insert("Command".to_owned(), name.into());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_round_trip() {
        let beats = [
            Beat::Marco { interval: Some(10) },
            Beat::Marco { interval: None },
            Beat::SleepyTime,
        ];
        for beat in beats {
            let value = beat.to_value().unwrap();
            assert_eq!(Beat::from_value(&value), Ok(beat));
        }
        assert_eq!(Beat::Other.to_value(), None);
    }

    #[test]
    fn only_polo_is_polo() {
        assert!(is_polo(&polo()));
        assert!(!is_polo(&Beat::SleepyTime.to_value().unwrap()));
        assert_eq!(Beat::from_value(&polo()), Ok(Beat::Other));
        assert!(Beat::from_value(&Value::Boolean(true)).is_err());
    }

    #[test]
    fn an_absurd_interval_is_none() {
        let mut body = command("Marco");
        body.insert("Interval".to_owned(), (-3i64).into());
        let read = Beat::from_value(&Value::Dictionary(body));
        assert_eq!(read, Ok(Beat::Marco { interval: None }));
    }
}
