//! What the host says, for the simulated device to read.

use plist::{Dictionary, Value};

use super::{
    DISCONNECT, MAX_WORDS, MessageError, PROCESS_MESSAGE, VERSION_EXCHANGE, VERSIONS_OK,
    parts::Parts, words_value,
};
use crate::devicelink::{
    frame,
    status::{self, StatusResponse},
    stream::clip,
};

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
