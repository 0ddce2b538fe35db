//! The messages of DeviceLink, from each end: arrays whose first element is the name.
//!
//! A message of unknown name is a value, because the host must still answer it. Numbers that only inform (progress, totals)
//! are read leniently, what an answer depends on strictly.
//!
//! Not here: frames, streams, and the dictionaries inside `DLMessageProcessMessage` ([`crate::mobilebackup2`]).

use plist::{Dictionary, Value};

mod host;
mod parts;

pub use host::HostMessage;
use parts::Parts;

use super::{frame, status, stream::clip};
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

fn words_value(words: &str) -> Value {
    if words.is_empty() {
        status::EMPTY.into()
    } else {
        words.into()
    }
}

#[cfg(test)]
mod tests;
