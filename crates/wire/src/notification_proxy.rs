//! `com.apple.mobile.notification_proxy`: notifications between a phone and a computer, both ends. Its frames are those of
//! [`crate::lockdown`].
//!
//! Not here: what a notification leads to.

use plist::{Dictionary, Value};

use crate::fields::{self, FieldError};

/// The service.
pub const SERVICE: &str = "com.apple.mobile.notification_proxy";

/// Somebody cancels the sync on the phone: the host ends it.
pub const SYNC_CANCEL_REQUEST: &str = "com.apple.itunes-client.syncCancelRequest";
/// The phone wants the sync to pause.
pub const SYNC_SUSPEND_REQUEST: &str = "com.apple.itunes-client.syncSuspendRequest";
/// The phone wants the sync to go on.
pub const SYNC_RESUME_REQUEST: &str = "com.apple.itunes-client.syncResumeRequest";
/// Something in lockdown's backup domain changed, such as the date of the last backup.
pub const BACKUP_DOMAIN_CHANGED: &str = "com.apple.mobile.backup.domain_changed";
/// The passcode prompt is on the phone's screen. DeviceLink does not say so.
pub const PASSCODE_PRESENTED: &str = "com.apple.LocalAuthentication.ui.presented";
/// The passcode prompt is gone, answered or not.
pub const PASSCODE_DISMISSED: &str = "com.apple.LocalAuthentication.ui.dismissed";

/// Posted by the host before it opens the lock file.
pub const SYNC_WILL_START: &str = "com.apple.itunes-mobdev.syncWillStart";
/// Posted by the host before it asks for the lock.
pub const SYNC_LOCK_REQUEST: &str = "com.apple.itunes-mobdev.syncLockRequest";
/// Posted by the host when it has the lock.
pub const SYNC_DID_START: &str = "com.apple.itunes-mobdev.syncDidStart";
/// Posted by the host when it has given the lock back.
pub const SYNC_DID_FINISH: &str = "com.apple.itunes-mobdev.syncDidFinish";

/// What a host observes during a backup.
pub const OBSERVED: [&str; 6] = [
    SYNC_CANCEL_REQUEST,
    SYNC_SUSPEND_REQUEST,
    SYNC_RESUME_REQUEST,
    BACKUP_DOMAIN_CHANGED,
    PASSCODE_PRESENTED,
    PASSCODE_DISMISSED,
];

const MAX_NAME: usize = 256;

/// From the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Post {
        name: String,
    },
    Observe {
        name: String,
    },
    /// The device answers with [`Event::ProxyDeath`] and closes.
    Shutdown,
    Other {
        command: String,
    },
}

/// From the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Relay {
        name: String,
    },
    /// The service ends.
    ProxyDeath,
    Other {
        command: String,
    },
}

impl Request {
    /// Reads a dictionary from a host.
    ///
    /// # Errors
    /// When it lacks its command or name.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let (command, body) = command(value)?;
        Ok(match command {
            "PostNotification" => Self::Post { name: name(body)? },
            "ObserveNotification" => Self::Observe { name: name(body)? },
            "Shutdown" => Self::Shutdown,
            other => Self::Other {
                command: clip(other),
            },
        })
    }

    /// The dictionary.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Post { name } => dictionary("PostNotification", Some(name.as_str())),
            Self::Observe { name } => dictionary("ObserveNotification", Some(name.as_str())),
            Self::Shutdown => dictionary("Shutdown", None),
            Self::Other { command } => dictionary(command, None),
        }
    }
}

impl Event {
    /// Reads a dictionary from the device.
    ///
    /// # Errors
    /// When it lacks its command or name.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let (command, body) = command(value)?;
        Ok(match command {
            "RelayNotification" => Self::Relay { name: name(body)? },
            "ProxyDeath" => Self::ProxyDeath,
            other => Self::Other {
                command: clip(other),
            },
        })
    }

    /// The dictionary.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Relay { name } => dictionary("RelayNotification", Some(name.as_str())),
            Self::ProxyDeath => dictionary("ProxyDeath", None),
            Self::Other { command } => dictionary(command, None),
        }
    }
}

fn command(value: &Value) -> Result<(&str, &Dictionary), FieldError> {
    let key = "Command";
    let body = fields::required(key, value.as_dictionary())?;
    Ok((fields::required(key, fields::string(body, key)?)?, body))
}

fn name(body: &Dictionary) -> Result<String, FieldError> {
    let name = fields::required("Name", fields::string(body, "Name")?)?;
    Ok(clip(name))
}

fn clip(text: &str) -> String {
    crate::devicelink::stream::clip(text, MAX_NAME).to_owned()
}

fn dictionary(command: &str, name: Option<&str>) -> Value {
    let mut body = Dictionary::new();
    body.insert("Command".to_owned(), command.into());
    if let Some(name) = name {
        body.insert("Name".to_owned(), name.into());
    }
    Value::Dictionary(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        let requests = [
            Request::Post {
                name: SYNC_WILL_START.to_owned(),
            },
            Request::Observe {
                name: PASSCODE_PRESENTED.to_owned(),
            },
            Request::Shutdown,
            Request::Other {
                command: "Somersault".to_owned(),
            },
        ];
        for request in requests {
            assert_eq!(Request::from_value(&request.to_value()), Ok(request));
        }
        let events = [
            Event::Relay {
                name: BACKUP_DOMAIN_CHANGED.to_owned(),
            },
            Event::ProxyDeath,
            Event::Other {
                command: "Somersault".to_owned(),
            },
        ];
        for event in events {
            assert_eq!(Event::from_value(&event.to_value()), Ok(event));
        }
    }

    #[test]
    fn what_is_no_message() {
        let no_name = dictionary("RelayNotification", None);
        for value in [
            Value::from(1u64),
            Value::Dictionary(Dictionary::new()),
            no_name,
        ] {
            assert!(Event::from_value(&value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let long = "n".repeat(10_000);
        let read = Event::from_value(&dictionary("RelayNotification", Some(&long)));
        let name = "n".repeat(MAX_NAME);
        assert_eq!(read, Ok(Event::Relay { name }));
    }
}
