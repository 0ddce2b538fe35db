//! `com.apple.os_trace_relay`: the phone's log while it is written, with level, subsystem and category. Both ends;
//! `docs/protocol/oslog.md` has the facts and their witnesses.
//!
//! The host asks once, in a frame of [`crate::lockdown`]. What the phone sends is framed otherwise: a byte that says what
//! comes, a length, and a body, which is a property list (an answer) or a [`Record`] (a line of the log).
//!
//! Not here: log archives, which nobody here asks for, and what a line means.

mod record;

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use plist::{Dictionary, Value};

use crate::codec::{self, DecodeError, Limits};
use crate::fields::{self, FieldError};
use crate::intake::Intake;

pub use record::{Level, Record, RecordError};

/// The service.
pub const SERVICE: &str = "com.apple.os_trace_relay";

/// The longest answer that is taken: a list of a thousand processes has some 60 KiB.
pub const MAX_ANSWER: usize = 1 << 20;

/// The longest record that is taken. Its message has at most 64 KiB, its other texts some hundred bytes each.
pub const MAX_RECORD: usize = 128 << 10;

const PREFIX: usize = 5;
const ANSWER: u8 = 1;
const RECORD: u8 = 2;
const MAX_NAME: usize = 256;
const SUCCESS: &str = "RequestSuccessful";

/// From the host; the one question of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which processes run.
    PidList,
    /// Send the log from now on.
    StartActivity(Activity),
    /// What we do not ask.
    Other { request: String },
}

/// Which part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Of one process only.
    pub pid: Option<u32>,
    pub message_filter: u32,
    pub stream_flags: u32,
}

impl Activity {
    /// Everything that a process says, or all of them, as other hosts ask for it.
    #[must_use]
    pub const fn of(pid: Option<u32>) -> Self {
        Self {
            pid,
            message_filter: 0xFFFF,
            stream_flags: 0x3C,
        }
    }
}

impl Request {
    /// Reads a dictionary from a host.
    ///
    /// # Errors
    /// When it lacks its name, or its process is no number.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let body = fields::required("Request", value.as_dictionary())?;
        let request = fields::required("Request", fields::string(body, "Request")?)?;
        Ok(match request {
            "PidList" => Self::PidList,
            "StartActivity" => {
                let usual = Activity::of(None);
                // Hosts spell "every process" as -1 and as its 32 bits.
                let pid = fields::integer::<i64>(body, "Pid")?.unwrap_or(-1);
                let filter = fields::integer(body, "MessageFilter")?;
                let flags = fields::integer(body, "StreamFlags")?;
                Self::StartActivity(Activity {
                    pid: u32::try_from(pid).ok().filter(|pid| *pid != u32::MAX),
                    message_filter: filter.unwrap_or(usual.message_filter),
                    stream_flags: flags.unwrap_or(usual.stream_flags),
                })
            }
            other => Self::Other {
                request: clip(other),
            },
        })
    }

    /// The dictionary.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut body = Dictionary::new();
        let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
        match self {
            Self::PidList => {
                put("Request", "PidList".into());
            }
            Self::StartActivity(activity) => {
                put("Request", "StartActivity".into());
                put("Pid", activity.pid.map_or(-1, i64::from).into());
                put("MessageFilter", activity.message_filter.into());
                put("StreamFlags", activity.stream_flags.into());
            }
            Self::Other { request } => {
                put("Request", request.as_str().into());
            }
        }
        Value::Dictionary(body)
    }

    /// The bytes for the phone.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        crate::lockdown::encode_frame(&codec::to_binary(&self.to_value()))
    }
}

/// What the phone says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As asked: the log follows.
    Started,
    /// Which processes run, by their numbers.
    Processes(BTreeMap<u32, String>),
    Refused {
        status: String,
    },
}

impl Answer {
    /// Reads a dictionary from the phone.
    ///
    /// # Errors
    /// When it does not say whether it went well.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let body = fields::required("Status", value.as_dictionary())?;
        let status = fields::required("Status", fields::string(body, "Status")?)?;
        if status != SUCCESS {
            return Ok(Self::Refused {
                status: clip(status),
            });
        }
        let Some(payload) = fields::dictionary(body, "Payload")? else {
            return Ok(Self::Started);
        };
        let process = |(pid, about): (&String, &Value)| {
            let name = about.as_dictionary()?.get("ProcessName")?.as_string()?;
            Some((pid.parse().ok()?, clip(name)))
        };
        Ok(Self::Processes(
            payload.iter().filter_map(process).collect(),
        ))
    }

    /// The dictionary.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut body = Dictionary::new();
        let status = match self {
            Self::Started | Self::Processes(_) => SUCCESS,
            Self::Refused { status } => status,
        };
        body.insert("Status".to_owned(), status.into());
        if let Self::Processes(processes) = self {
            let about = |(pid, name): (&u32, &String)| {
                let about = [("ProcessName".to_owned(), Value::from(name.as_str()))];
                (
                    pid.to_string(),
                    Value::Dictionary(about.into_iter().collect()),
                )
            };
            let payload = processes.iter().map(about).collect();
            body.insert("Payload".to_owned(), Value::Dictionary(payload));
        }
        Value::Dictionary(body)
    }

    /// The bytes for the host. That the log follows takes fewer than 256 bytes as XML, which is all that PMD3 can read.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = codec::to_xml(&self.to_value());
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&[ANSWER], length.to_be_bytes().as_slice(), &body].concat()
    }
}

/// What the phone sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Answer(Answer),
    Record(Record),
    /// A record that says nothing to us; the stream goes on behind it.
    Skipped(RecordError),
}

/// Why a stream cannot be read further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    #[error("the log continues with something of the unknown kind {kind:#04x}")]
    Kind { kind: u8 },
    #[error("something of {length} bytes is announced in the log, over the limit of {limit}")]
    TooLong { length: u32, limit: usize },
    #[error("read the log service's answer")]
    Answer(#[source] DecodeError),
    #[error("understand the log service's answer")]
    Fields(#[source] FieldError),
}

/// Cuts what the phone sends into frames, whatever the chunking.
///
/// It holds only bytes that really came: a claimed length is checked as soon as it is there, and allocates nothing.
#[derive(Debug, Default)]
pub struct Decoder(Intake<StreamError>);

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came off the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// The next frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream is none of a log service; every later call gives the same error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StreamError> {
        self.0.next(Self::cut)
    }

    fn cut(buffer: &mut BytesMut) -> Result<Option<Frame>, StreamError> {
        // A byte that begins nothing is refused before a length is waited for.
        let Some(kind) = buffer.first().copied() else {
            return Ok(None);
        };
        let limit = match kind {
            ANSWER => MAX_ANSWER,
            RECORD => MAX_RECORD,
            _ => return Err(StreamError::Kind { kind }),
        };
        let Some([_, length @ ..]) = buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        // Each kind has its own byte order.
        let length = match kind {
            ANSWER => u32::from_be_bytes(*length),
            _ => u32::from_le_bytes(*length),
        };
        let body_len = usize::try_from(length).unwrap_or(usize::MAX);
        if body_len > limit {
            return Err(StreamError::TooLong { length, limit });
        }
        let whole = PREFIX.saturating_add(body_len);
        if buffer.len() < whole {
            return Ok(None);
        }
        let mut body = buffer.split_to(whole);
        body.advance(PREFIX);
        Ok(Some(if kind == ANSWER {
            let value =
                codec::decode(&body, Limits::of_bytes(MAX_ANSWER)).map_err(StreamError::Answer)?;
            Frame::Answer(Answer::from_value(&value).map_err(StreamError::Fields)?)
        } else {
            match Record::decode(&body) {
                Ok(record) => Frame::Record(record),
                Err(error) => Frame::Skipped(error),
            }
        }))
    }
}

/// A record in its frame.
#[must_use]
pub fn encode_record(record: &Record) -> Vec<u8> {
    let body = record.encode();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[RECORD], length.to_le_bytes().as_slice(), &body].concat()
}

fn clip(text: &str) -> String {
    crate::devicelink::stream::clip(text, MAX_NAME).to_owned()
}

#[cfg(test)]
mod tests;
