//! The dictionaries that mobilebackup2 puts into `DLMessageProcessMessage`, for both ends.
//!
//! This program can ask a phone for two things: a backup, and a change of the backup password. The protocol has requests
//! that wipe a phone, overwrite it or switch its iCloud Backup; they are not modelled here, so that no caller can send one.
//! A simulated phone reads those of foreign hosts from [`HostRequest::Other`].
//!
//! Not here: the order of a backup, which the device decides message by message ([`crate::devicelink`]).

pub mod code;

use std::fmt;

use plist::{Dictionary, Value};

pub use self::code::{MbClass, MbError};
use crate::{
    devicelink::message::{DeviceMessage, HostMessage},
    fields::{self, FieldError},
};

/// The service, to be started with the escrow bag: without it a phone that locks itself cannot read its protected files any
/// more (libimobiledevice#125, pymobiledevice3#820).
pub const SERVICE: &str = "com.apple.mobilebackup2";

/// Versions of the protocol that hosts offer.
pub const VERSIONS: [f64; 2] = [2.0, 2.1];

/// Most that is kept of a description.
pub const MAX_DESCRIPTION: usize = 1024;

const MESSAGE_NAME: &str = "MessageName";

/// A backup password. It has no `Debug` and no `Display`.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    missing_debug_implementations,
    reason = "a password must not reach a log"
)]
pub struct Password(String);

impl Password {
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the wire and for key derivation.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What becomes of the backup password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordChange {
    Enable { new: Password },
    Disable { old: Password },
    Change { old: Password, new: Password },
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable { .. } => "Enable",
            Self::Disable { .. } => "Disable",
            Self::Change { .. } => "Change",
        })
    }
}

/// What this program may ask of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCommand {
    Backup {
        /// Exactly the phone's UDID: with another one the link dies without a word.
        target: String,
        /// Optional; the phone does without.
        source: Option<String>,
        /// Asks for a full backup. What makes one for certain is that the host has no `Status.plist`.
        force_full: bool,
    },
    ChangePassword {
        target: String,
        change: PasswordChange,
    },
}

impl HostCommand {
    /// The dictionary.
    #[must_use]
    pub fn to_dictionary(&self) -> Dictionary {
        match self {
            Self::Backup {
                target,
                source,
                force_full,
            } => {
                let mut body = named("Backup");
                body.insert("TargetIdentifier".to_owned(), target.as_str().into());
                if let Some(source) = source {
                    body.insert("SourceIdentifier".to_owned(), source.as_str().into());
                }
                if *force_full {
                    let mut options = Dictionary::new();
                    options.insert("ForceFullBackup".to_owned(), true.into());
                    body.insert("Options".to_owned(), Value::Dictionary(options));
                }
                body
            }
            Self::ChangePassword { target, change } => {
                let mut body = named("ChangePassword");
                body.insert("TargetIdentifier".to_owned(), target.as_str().into());
                let (old, new) = match change {
                    PasswordChange::Enable { new } => (None, Some(new)),
                    PasswordChange::Disable { old } => (Some(old), None),
                    PasswordChange::Change { old, new } => (Some(old), Some(new)),
                };
                if let Some(old) = old {
                    body.insert("OldPassword".to_owned(), old.expose().into());
                }
                if let Some(new) = new {
                    body.insert("NewPassword".to_owned(), new.expose().into());
                }
                body
            }
        }
    }

    /// The command as a DeviceLink message.
    #[must_use]
    pub fn to_message(&self) -> HostMessage {
        HostMessage::ProcessMessage(self.to_dictionary())
    }
}

/// What a host asks, as the device sees it.
#[derive(Clone, PartialEq)]
pub enum HostRequest {
    Hello {
        versions: Vec<f64>,
    },
    Command(HostCommand),
    /// A request that this program never makes.
    Other {
        name: String,
        body: Dictionary,
    },
}

impl fmt::Debug for HostRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { versions } => f.debug_tuple("Hello").field(versions).finish(),
            Self::Command(command) => command.fmt(f),
            // The body may hold a password.
            Self::Other { name, .. } => f.debug_tuple("Other").field(name).finish_non_exhaustive(),
        }
    }
}

impl HostRequest {
    /// Reads the dictionary of a message from the host.
    ///
    /// # Errors
    /// When it has no name, or a request of ours lacks something.
    pub fn from_dictionary(body: Dictionary) -> Result<Self, FieldError> {
        let name = fields::required(MESSAGE_NAME, fields::string(&body, MESSAGE_NAME)?)?;
        match name {
            "Hello" => {
                let versions = fields::array(&body, "SupportedProtocolVersions")?;
                let versions = fields::required("SupportedProtocolVersions", versions)?;
                Ok(Self::Hello {
                    versions: versions.iter().filter_map(real).collect(),
                })
            }
            "Backup" => {
                let options = fields::dictionary(&body, "Options")?;
                let force_full = match options {
                    Some(options) => fields::boolean(options, "ForceFullBackup")?.unwrap_or(false),
                    None => false,
                };
                Ok(Self::Command(HostCommand::Backup {
                    target: target(&body)?,
                    source: fields::string(&body, "SourceIdentifier")?.map(str::to_owned),
                    force_full,
                }))
            }
            "ChangePassword" => {
                let password = |key| -> Result<Option<Password>, FieldError> {
                    Ok(fields::string(&body, key)?.map(|text| Password::new(text.to_owned())))
                };
                let change = match (password("OldPassword")?, password("NewPassword")?) {
                    (None, Some(new)) => PasswordChange::Enable { new },
                    (Some(old), None) => PasswordChange::Disable { old },
                    (Some(old), Some(new)) => PasswordChange::Change { old, new },
                    (None, None) => return Err(FieldError::Missing { key: "NewPassword" }),
                };
                Ok(Self::Command(HostCommand::ChangePassword {
                    target: target(&body)?,
                    change,
                }))
            }
            name => Ok(Self::Other {
                name: clip(name).to_owned(),
                body,
            }),
        }
    }
}

/// The host's first message.
#[must_use]
pub fn hello() -> HostMessage {
    let mut body = named("Hello");
    let versions = VERSIONS.iter().map(|version| Value::Real(*version));
    body.insert(
        "SupportedProtocolVersions".to_owned(),
        Value::Array(versions.collect()),
    );
    HostMessage::ProcessMessage(body)
}

/// The highest version that both ends have.
#[must_use]
pub fn common_version(offered: &[f64]) -> Option<f64> {
    let both = VERSIONS
        .iter()
        .filter(|ours| offered.iter().any(|theirs| (theirs - **ours).abs() < 0.01));
    both.copied().reduce(f64::max)
}

/// The device's answer to [`hello`], and the one that ends an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub error: Option<MbError>,
    /// Words of the device. They can hold paths of files: not for notifications.
    pub description: Option<String>,
    /// Only in the answer to [`hello`].
    pub version: Option<f64>,
}

impl Response {
    /// The answer to [`hello`] with the version of the two.
    #[must_use]
    pub const fn hello(version: f64) -> Self {
        Self {
            error: None,
            description: None,
            version: Some(version),
        }
    }

    /// An operation that ended well.
    #[must_use]
    pub const fn ok() -> Self {
        Self {
            error: None,
            description: None,
            version: None,
        }
    }

    /// An operation that failed.
    #[must_use]
    pub fn failed(error: MbError, description: &str) -> Self {
        Self {
            error: Some(error),
            description: Some(clip(description).to_owned()),
            version: None,
        }
    }

    /// Reads the dictionary of a message from the device.
    ///
    /// # Errors
    /// When it is no response, or one without a code: that is never taken for success.
    pub fn from_dictionary(body: &Dictionary) -> Result<Self, FieldError> {
        let name = fields::required(MESSAGE_NAME, fields::string(body, MESSAGE_NAME)?)?;
        if name != "Response" {
            return Err(FieldError::Wrong {
                key: MESSAGE_NAME,
                want: "Response",
            });
        }
        let code: i64 = fields::required("ErrorCode", fields::integer(body, "ErrorCode")?)?;
        let description = body.get("ErrorDescription").and_then(Value::as_string);
        Ok(Self {
            error: MbError::new(code),
            description: description.map(|text| clip(text).to_owned()),
            version: body.get("ProtocolVersion").and_then(real),
        })
    }

    /// The dictionary.
    #[must_use]
    pub fn to_dictionary(&self) -> Dictionary {
        let mut body = named("Response");
        let code = self.error.map_or(0, MbError::code);
        body.insert("ErrorCode".to_owned(), code.into());
        if let Some(description) = &self.description {
            body.insert("ErrorDescription".to_owned(), description.as_str().into());
        }
        if let Some(version) = self.version {
            body.insert("ProtocolVersion".to_owned(), Value::Real(version));
        }
        body
    }

    /// The response as a DeviceLink message.
    #[must_use]
    pub fn to_message(&self) -> DeviceMessage {
        DeviceMessage::ProcessMessage(self.to_dictionary())
    }

    /// Whether it says that nobody entered the passcode in time, and not that somebody declined to: both are code 208, and
    /// only the words differ.
    #[must_use]
    pub fn is_passcode_timeout(&self) -> bool {
        let passcode = self.error.is_some_and(|e| e.class() == MbClass::Passcode);
        let words = self.description.as_deref().unwrap_or_default();
        passcode && words.to_ascii_lowercase().contains("timeout")
    }
}

fn named(name: &str) -> Dictionary {
    let mut body = Dictionary::new();
    body.insert(MESSAGE_NAME.to_owned(), name.into());
    body
}

fn target(body: &Dictionary) -> Result<String, FieldError> {
    let key = "TargetIdentifier";
    Ok(fields::required(key, fields::string(body, key)?)?.to_owned())
}

fn real(value: &Value) -> Option<f64> {
    value.as_real().or_else(|| {
        let whole = i32::try_from(value.as_signed_integer()?).ok()?;
        Some(f64::from(whole))
    })
}

fn clip(text: &str) -> &str {
    crate::devicelink::stream::clip(text, MAX_DESCRIPTION)
}

#[cfg(test)]
mod tests;
