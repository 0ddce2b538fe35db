//! The messages of DeviceLink, from each end: arrays whose first element is the name.
//!
//! A message of unknown name is a value, because the host must still answer it. Numbers that only inform (progress, totals)
//! are read leniently, what an answer depends on strictly.
//!
//! Not here: frames, streams, and the dictionaries inside `DLMessageProcessMessage` ([`crate::mobilebackup2`]).

use plist::{Dictionary, Value};

use super::{
    frame,
    status::{self, StatusResponse},
    stream::clip,
};
use crate::codec::DecodeError;

/// The version that hosts speak: from 300 the device asks for free space, from 400 also for a purge.
pub const VERSION: u64 = 400;

/// Most that is kept of a name or a reason.
const MAX_WORDS: usize = 256;

const VERSION_EXCHANGE: &str = "DLMessageVersionExchange";
const VERSIONS_OK: &str = "DLVersionsOk";
const DEVICE_READY: &str = "DLMessageDeviceReady";
const PROCESS_MESSAGE: &str = "DLMessageProcessMessage";
const DISCONNECT: &str = "DLMessageDisconnect";

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    #[error("failed to read a DeviceLink message")]
    Plist(#[from] DecodeError),
    #[error("not a DeviceLink message")]
    NotAMessage,
    /// A known message without something that its answer depends on.
    #[error("{name} without {missing}")]
    Malformed {
        name: &'static str,
        missing: &'static str,
    },
}

/// A message from the device.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceMessage {
    /// The first message of a link.
    VersionExchange {
        major: u64,
        minor: u64,
    },
    /// The versions agree.
    DeviceReady,
    /// The device wants files: a download stream, then a status.
    DownloadFiles {
        paths: Vec<String>,
        progress: Option<f64>,
        size: Option<u64>,
    },
    /// The device sends files: an upload stream follows, then the host's status.
    UploadFiles {
        progress: Option<f64>,
        total: Option<u64>,
    },
    GetFreeDiskSpace,
    /// The device asks the host to make room.
    PurgeDiskSpace {
        bytes: u64,
        urgency: Option<u64>,
    },
    ContentsOfDirectory {
        path: String,
    },
    CreateDirectory {
        path: String,
    },
    /// Pairs of source and destination, in the order of the message.
    MoveItems {
        items: Vec<(String, String)>,
        progress: Option<f64>,
    },
    RemoveItems {
        paths: Vec<String>,
        progress: Option<f64>,
    },
    CopyItem {
        from: String,
        to: String,
    },
    /// Only from devices that found a host version below 200.
    RemoveDirectory {
        path: String,
    },
    /// A message of the service above; see [`crate::mobilebackup2`].
    ProcessMessage(Dictionary),
    /// The link is over.
    Disconnect {
        reason: String,
    },
    Ping {
        text: String,
    },
    /// A message that this program does not know. The answer is [`status::StatusCode::Unimplemented`].
    Unknown {
        name: String,
    },
}

impl DeviceMessage {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// When it is no message, or a known one without what its answer depends on.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        Self::from_value(frame::decode_body(body)?)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// As [`DeviceMessage::decode`].
    pub fn from_value(value: Value) -> Result<Self, MessageError> {
        let mut parts = Parts::new(value)?;
        let message = match parts.name.as_str() {
            VERSION_EXCHANGE => Self::VersionExchange {
                major: parts.need_number(VERSION_EXCHANGE, 1, "a version")?,
                minor: parts.number(2).unwrap_or(0),
            },
            DEVICE_READY => Self::DeviceReady,
            "DLMessageDownloadFiles" => Self::DownloadFiles {
                paths: parts.need_strings("DLMessageDownloadFiles", 1)?,
                progress: parts.progress(3),
                size: parts.number(4),
            },
            "DLMessageUploadFiles" => Self::UploadFiles {
                progress: parts.progress(2),
                total: parts.number(3),
            },
            "DLMessageGetFreeDiskSpace" => Self::GetFreeDiskSpace,
            "DLMessagePurgeDiskSpace" => Self::PurgeDiskSpace {
                bytes: parts.need_number("DLMessagePurgeDiskSpace", 1, "a number of bytes")?,
                urgency: parts.number(2),
            },
            "DLContentsOfDirectory" => Self::ContentsOfDirectory {
                path: parts.need_string("DLContentsOfDirectory", 1)?,
            },
            "DLMessageCreateDirectory" => Self::CreateDirectory {
                path: parts.need_string("DLMessageCreateDirectory", 1)?,
            },
            "DLMessageMoveItems" | "DLMessageMoveFiles" => Self::MoveItems {
                items: parts.need_pairs("DLMessageMoveItems", 1)?,
                progress: parts.progress(3),
            },
            "DLMessageRemoveItems" | "DLMessageRemoveFiles" => Self::RemoveItems {
                paths: parts.need_strings("DLMessageRemoveItems", 1)?,
                progress: parts.progress(3),
            },
            "DLMessageCopyItem" => Self::CopyItem {
                from: parts.need_string("DLMessageCopyItem", 1)?,
                to: parts.need_string("DLMessageCopyItem", 2)?,
            },
            "DLMessageRemoveDirectory" => Self::RemoveDirectory {
                path: parts.need_string("DLMessageRemoveDirectory", 1)?,
            },
            PROCESS_MESSAGE => Self::ProcessMessage(parts.need_dictionary(PROCESS_MESSAGE, 1)?),
            DISCONNECT => Self::Disconnect {
                reason: parts.words(1),
            },
            "DLMessagePing" => Self::Ping {
                text: parts.words(1),
            },
            name => Self::Unknown {
                name: clip(name, MAX_WORDS).to_owned(),
            },
        };
        Ok(message)
    }

    /// Whether the device waits for a [`StatusResponse`] (for the two streams: after the stream).
    #[must_use]
    pub const fn expects_status(&self) -> bool {
        match self {
            Self::VersionExchange { .. }
            | Self::DeviceReady
            | Self::ProcessMessage(_)
            | Self::Disconnect { .. }
            | Self::Ping { .. } => false,
            Self::DownloadFiles { .. }
            | Self::UploadFiles { .. }
            | Self::GetFreeDiskSpace
            | Self::PurgeDiskSpace { .. }
            | Self::ContentsOfDirectory { .. }
            | Self::CreateDirectory { .. }
            | Self::MoveItems { .. }
            | Self::RemoveItems { .. }
            | Self::CopyItem { .. }
            | Self::RemoveDirectory { .. }
            | Self::Unknown { .. } => true,
        }
    }

    /// The message as an array.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let empty = || Value::Dictionary(Dictionary::new());
        let percent = |progress: &Option<f64>| Value::Real(progress.unwrap_or(0.0));
        let strings = |paths: &[String]| {
            Value::Array(paths.iter().map(|path| path.as_str().into()).collect())
        };
        let array: Vec<Value> = match self {
            Self::VersionExchange { major, minor } => {
                vec![VERSION_EXCHANGE.into(), (*major).into(), (*minor).into()]
            }
            Self::DeviceReady => vec![DEVICE_READY.into()],
            Self::DownloadFiles {
                paths,
                progress,
                size,
            } => vec![
                "DLMessageDownloadFiles".into(),
                strings(paths),
                empty(),
                percent(progress),
                size.unwrap_or(0).into(),
            ],
            Self::UploadFiles { progress, total } => vec![
                "DLMessageUploadFiles".into(),
                empty(),
                percent(progress),
                total.unwrap_or(0).into(),
            ],
            Self::GetFreeDiskSpace => vec!["DLMessageGetFreeDiskSpace".into()],
            Self::PurgeDiskSpace { bytes, urgency } => vec![
                "DLMessagePurgeDiskSpace".into(),
                (*bytes).into(),
                urgency.unwrap_or(0).into(),
            ],
            Self::ContentsOfDirectory { path } => {
                vec!["DLContentsOfDirectory".into(), path.as_str().into()]
            }
            Self::CreateDirectory { path } => {
                vec!["DLMessageCreateDirectory".into(), path.as_str().into()]
            }
            Self::MoveItems { items, progress } => {
                let pairs = items
                    .iter()
                    .map(|(from, to)| (from.clone(), Value::from(to.as_str())));
                vec![
                    "DLMessageMoveItems".into(),
                    Value::Dictionary(pairs.collect()),
                    empty(),
                    percent(progress),
                ]
            }
            Self::RemoveItems { paths, progress } => vec![
                "DLMessageRemoveItems".into(),
                strings(paths),
                empty(),
                percent(progress),
            ],
            Self::CopyItem { from, to } => vec![
                "DLMessageCopyItem".into(),
                from.as_str().into(),
                to.as_str().into(),
                empty(),
                Value::Real(0.0),
                0u64.into(),
            ],
            Self::RemoveDirectory { path } => {
                vec!["DLMessageRemoveDirectory".into(), path.as_str().into()]
            }
            Self::ProcessMessage(body) => {
                vec![PROCESS_MESSAGE.into(), Value::Dictionary(body.clone())]
            }
            Self::Disconnect { reason } => vec![DISCONNECT.into(), words_value(reason)],
            Self::Ping { text } => vec!["DLMessagePing".into(), words_value(text)],
            Self::Unknown { name } => vec![name.as_str().into()],
        };
        Value::Array(array)
    }

    /// The framed message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        frame::encode(&self.to_value())
    }
}

/// A message from the host. Its `Debug` leaves out what a service message holds, which may be a password.
#[derive(Clone, PartialEq)]
pub enum HostMessage {
    /// The answer to the device's version exchange; hosts have been seen to leave their number out.
    VersionExchange {
        version: Option<u64>,
    },
    Status(StatusResponse),
    /// A status that is not a code, a text and a value: the device takes it for failure -1.
    BadStatus {
        elements: usize,
    },
    ProcessMessage(Dictionary),
    Disconnect {
        reason: String,
    },
    Unknown {
        name: String,
    },
}

impl std::fmt::Debug for HostMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::VersionExchange { version } => {
                f.debug_tuple("VersionExchange").field(version).finish()
            }
            Self::Status(status) => status.fmt(f),
            Self::BadStatus { elements } => f.debug_tuple("BadStatus").field(elements).finish(),
            Self::ProcessMessage(body) => {
                let keys: Vec<&str> = body.keys().map(String::as_str).collect();
                f.debug_tuple("ProcessMessage").field(&keys).finish()
            }
            Self::Disconnect { reason } => f.debug_tuple("Disconnect").field(reason).finish(),
            Self::Unknown { name } => f.debug_tuple("Unknown").field(name).finish(),
        }
    }
}

impl HostMessage {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// When it is no message, or a known one without what the device depends on.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        Self::from_value(frame::decode_body(body)?)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// As [`HostMessage::decode`].
    pub fn from_value(value: Value) -> Result<Self, MessageError> {
        let mut parts = Parts::new(value)?;
        let message = match parts.name.as_str() {
            VERSION_EXCHANGE => {
                if parts.get(1).and_then(Value::as_string) != Some(VERSIONS_OK) {
                    return Err(MessageError::Malformed {
                        name: VERSION_EXCHANGE,
                        missing: VERSIONS_OK,
                    });
                }
                Self::VersionExchange {
                    version: parts.number(2),
                }
            }
            status::NAME => {
                let elements = parts.values.len() + 1;
                StatusResponse::from_elements(parts.values)
                    .map_or(Self::BadStatus { elements }, Self::Status)
            }
            PROCESS_MESSAGE => Self::ProcessMessage(parts.need_dictionary(PROCESS_MESSAGE, 1)?),
            DISCONNECT => Self::Disconnect {
                reason: parts.words(1),
            },
            name => Self::Unknown {
                name: clip(name, MAX_WORDS).to_owned(),
            },
        };
        Ok(message)
    }

    /// The message as an array.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::VersionExchange { version } => {
                let mut array = vec![VERSION_EXCHANGE.into(), VERSIONS_OK.into()];
                array.extend(version.map(Value::from));
                Value::Array(array)
            }
            Self::Status(status) => status.to_value(),
            Self::BadStatus { elements } => {
                let rest = std::iter::repeat_n(Value::from(0u64), elements.saturating_sub(1));
                Value::Array(std::iter::once(status::NAME.into()).chain(rest).collect())
            }
            Self::ProcessMessage(body) => Value::Array(vec![
                PROCESS_MESSAGE.into(),
                Value::Dictionary(body.clone()),
            ]),
            Self::Disconnect { reason } => {
                Value::Array(vec![DISCONNECT.into(), words_value(reason)])
            }
            Self::Unknown { name } => Value::Array(vec![name.as_str().into()]),
        }
    }

    /// The framed message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        frame::encode(&self.to_value())
    }
}

fn words_value(words: &str) -> Value {
    if words.is_empty() {
        status::EMPTY.into()
    } else {
        words.into()
    }
}

/// An array taken apart. Positions count the name as 0, as the protocol's descriptions do.
struct Parts {
    name: String,
    values: Vec<Value>,
}

impl Parts {
    fn new(value: Value) -> Result<Self, MessageError> {
        let Value::Array(mut values) = value else {
            return Err(MessageError::NotAMessage);
        };
        if values.is_empty() {
            return Err(MessageError::NotAMessage);
        }
        let Value::String(name) = values.remove(0) else {
            return Err(MessageError::NotAMessage);
        };
        Ok(Self { name, values })
    }

    fn get(&self, at: usize) -> Option<&Value> {
        self.values.get(at.checked_sub(1)?)
    }

    fn take(&mut self, at: usize) -> Option<Value> {
        let slot = self.values.get_mut(at.checked_sub(1)?)?;
        Some(std::mem::replace(slot, Value::Boolean(false)))
    }

    fn number(&self, at: usize) -> Option<u64> {
        let value = self.get(at)?;
        value.as_unsigned_integer().or_else(|| {
            let real = value.as_real()?;
            // Saturates; what is negative or no number at all says nothing.
            (real >= 0.0).then_some(real as u64)
        })
    }

    /// A percentage, if it is one.
    fn progress(&self, at: usize) -> Option<f64> {
        let value = self.get(at)?;
        let percent = match value.as_real() {
            Some(real) => real,
            None => f64::from(i32::try_from(value.as_signed_integer()?).ok()?),
        };
        (percent.is_finite() && percent >= 0.0).then(|| percent.min(100.0))
    }

    fn words(&self, at: usize) -> String {
        match self.get(at).and_then(Value::as_string) {
            None | Some(status::EMPTY) => String::new(),
            Some(text) => clip(text, MAX_WORDS).to_owned(),
        }
    }

    fn need_number(
        &self,
        name: &'static str,
        at: usize,
        missing: &'static str,
    ) -> Result<u64, MessageError> {
        self.number(at)
            .ok_or(MessageError::Malformed { name, missing })
    }

    fn need_string(&mut self, name: &'static str, at: usize) -> Result<String, MessageError> {
        self.take(at)
            .and_then(Value::into_string)
            .ok_or(MessageError::Malformed {
                name,
                missing: "a path",
            })
    }

    fn need_strings(&mut self, name: &'static str, at: usize) -> Result<Vec<String>, MessageError> {
        let malformed = MessageError::Malformed {
            name,
            missing: "a list of paths",
        };
        let array = self.take(at).and_then(Value::into_array);
        let strings: Option<Vec<String>> =
            array.and_then(|array| array.into_iter().map(Value::into_string).collect());
        strings.ok_or(malformed)
    }

    fn need_pairs(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<Vec<(String, String)>, MessageError> {
        let malformed = MessageError::Malformed {
            name,
            missing: "pairs of paths",
        };
        let pairs = self.take(at).and_then(Value::into_dictionary);
        let pairs: Option<Vec<(String, String)>> = pairs.and_then(|pairs| {
            pairs
                .into_iter()
                .map(|(from, to)| Some((from, to.into_string()?)))
                .collect()
        });
        pairs.ok_or(malformed)
    }

    fn need_dictionary(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<Dictionary, MessageError> {
        self.take(at)
            .and_then(Value::into_dictionary)
            .ok_or(MessageError::Malformed {
                name,
                missing: "a dictionary",
            })
    }
}

#[cfg(test)]
mod tests;
