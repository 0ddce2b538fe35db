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
