//! One DeviceLink connection as the phone holds it: framed messages out, the host's answers in, and the faults that
//! befall a link. What is asked, and what the answers mean, is above.

use std::sync::Arc;
use std::time::Duration;

use backupwatch_wire::codec;
use backupwatch_wire::devicelink::message::DeviceMessage;
use backupwatch_wire::devicelink::{FrameDecoder, HostMessage, StatusResponse, frame};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::side::BackupSide;
use crate::phone::{Channel, Phone};

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The host closed it, or it broke.
    Closed,
    /// The host said goodbye.
    Disconnected,
    /// A fault of the persona pulled the cable.
    Unplugged,
    /// The backup agent hit an assertion: the link just dies (protocol.md 8.4, 9.2).
    Died,
}

const INPUT: usize = 64 << 10;
/// Answers with more values than this are noted by name only.
const NOTED_VALUES: usize = 64;

pub struct Link<S> {
    stream: S,
    pub phone: Arc<Phone>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    sent: u64,
    /// Time that a slow cable still has to take.
    owed: Duration,
    /// The version that both ends speak; 300 brings the question for free space, 400 the purge.
    pub version: u64,
    /// The service was started with the right escrow bag.
    pub escrow: bool,
    /// Percent of the whole operation, sent along with most questions.
    pub progress: f64,
    /// Where uploads are put together; taken while one runs.
    pub(super) assembly: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    pub fn new(stream: S, phone: Arc<Phone>, escrow: bool) -> Self {
        Self {
            stream,
            phone,
            input: vec![0; INPUT],
            start: 0,
            end: 0,
            sent: 0,
            owed: Duration::ZERO,
            version: 0,
            escrow,
            progress: 0.0,
            assembly: Vec::new(),
        }
    }

    pub fn side(&self) -> &BackupSide {
        self.phone.backup()
    }

    pub fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.phone.journal().note(
            Channel::Backup,
            "violation",
            Some(Value::from(what.as_str())),
        );
        self.side().violation(what);
    }

    pub async fn send(&mut self, message: &DeviceMessage) -> Result<(), End> {
        let value = message.to_value();
        let name = value
            .as_array()
            .and_then(|array| array.first())
            .and_then(Value::as_string);
        self.phone.gate().pass(name.unwrap_or_default()).await;
        let bytes = frame::encode(&value);
        self.write(&bytes).await?;
        self.flush().await
    }

    /// Writes bytes as they are, subject to the faults of the link.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let faults = self.side().faults();
        let cut = faults
            .unplug_after
            .into_iter()
            .chain(faults.stall_after)
            .min();
        let room = cut.map_or(usize::MAX, |cut| {
            usize::try_from(cut.saturating_sub(self.sent)).unwrap_or(usize::MAX)
        });
        let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        match faults.drip {
            Some(rate) => self.drip(now, rate).await?,
            None => self.stream.write_all(now).await.map_err(|_| End::Closed)?,
        }
        self.sent += now.len() as u64;
        if later.is_empty() {
            return Ok(());
        }
        self.flush().await?;
        if faults.unplug_after == cut {
            self.phone.unplug_all();
            return Err(End::Unplugged);
        }
        // Silent until somebody pulls the cable or the host gives up.
        self.until_closed().await
    }

    pub async fn flush(&mut self) -> Result<(), End> {
        self.stream.flush().await.map_err(|_| End::Closed)
    }

    /// Writes as a slow cable does: in chunks of a tenth of a second, each followed by the time it takes at `rate`.
    async fn drip(&mut self, bytes: &[u8], rate: u32) -> Result<(), End> {
        let rate = rate.max(1);
        let tenth = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
        for chunk in bytes.chunks(tenth) {
            self.stream
                .write_all(chunk)
                .await
                .map_err(|_| End::Closed)?;
            let took = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            self.owed += Duration::from_nanos(took.saturating_mul(1_000_000_000) / u64::from(rate));
            // Many small messages share one pause: a timer is no finer than this.
            if self.owed >= Duration::from_millis(10) {
                self.flush().await?;
                tokio::time::sleep(std::mem::take(&mut self.owed)).await;
            }
        }
        Ok(())
    }

    /// Says nothing more and waits for the end of the link.
    pub async fn until_closed(&mut self) -> Result<(), End> {
        loop {
            self.start = self.end;
            self.unread().await?;
        }
    }

    /// Bytes from the host that nobody has taken yet, at least one.
    pub async fn unread(&mut self) -> Result<&[u8], End> {
        if self.start == self.end {
            let count = self
                .stream
                .read(&mut self.input)
                .await
                .map_err(|_| End::Closed)?;
            if count == 0 {
                return Err(End::Closed);
            }
            (self.start, self.end) = (0, count);
        }
        Ok(self.input.get(self.start..self.end).unwrap_or_default())
    }

    pub fn take(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Waits for the end of the link while the host has nothing to say but goodbye.
    pub async fn gone(&mut self) -> End {
        match self.receive().await {
            Err(end) => end,
            Ok(_) => {
                self.violation("a message while the phone was asking for the passcode");
                End::Died
            }
        }
    }

    /// The next message of the host.
    pub async fn receive(&mut self) -> Result<HostMessage, End> {
        let mut decoder = FrameDecoder::default();
        let body = loop {
            let (taken, body) = match decoder.next(self.unread().await?) {
                Ok(next) => next,
                Err(error) => {
                    self.violation(format!("a frame that is none: {error}"));
                    return Err(End::Died);
                }
            };
            self.take(taken);
            if let Some(body) = body {
                break body;
            }
        };
        let value = match frame::decode_body(&body) {
            Ok(value) => value,
            Err(error) => {
                self.violation(format!("a message that is no property list: {error}"));
                return Err(End::Died);
            }
        };
        self.note(&value);
        match HostMessage::from_value(value) {
            Ok(HostMessage::Disconnect { .. }) => Err(End::Disconnected),
            Ok(message) => Ok(message),
            Err(error) => {
                self.violation(format!("a message that is none: {error}"));
                Err(End::Died)
            }
        }
    }

    /// The host's answer. One of the wrong shape counts as failure -1, as a phone takes it (protocol.md 8.2).
    pub async fn status(&mut self) -> Result<StatusResponse, End> {
        match self.receive().await? {
            HostMessage::Status(status) => Ok(status),
            HostMessage::BadStatus { elements } => {
                self.violation(format!("a status of {elements} elements instead of four"));
                Ok(StatusResponse::error(
                    backupwatch_wire::devicelink::StatusCode::Generic,
                ))
            }
            HostMessage::VersionExchange { .. } | HostMessage::ProcessMessage(_) => {
                self.violation("another message where a status was due");
                Err(End::Died)
            }
            HostMessage::Unknown { name } => {
                self.violation(format!("{name:?} where a status was due"));
                Err(End::Died)
            }
            HostMessage::Disconnect { .. } => Err(End::Disconnected),
        }
    }

    /// Whether the body of a frame says goodbye. It is noted then.
    pub(super) fn is_goodbye(&self, body: &[u8]) -> bool {
        let Ok(value) = frame::decode_body(body) else {
            return false;
        };
        let goodbye = matches!(
            HostMessage::from_value(value.clone()),
            Ok(HostMessage::Disconnect { .. })
        );
        if goodbye {
            self.note(&value);
        }
        goodbye
    }

    /// Notes a message of the host by the most telling name that it has, without passwords.
    fn note(&self, value: &Value) {
        let array = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let name = array.first().and_then(Value::as_string).unwrap_or("?");
        let body = array.get(1).and_then(Value::as_dictionary);
        let request = body
            .and_then(|body| body.get("MessageName"))
            .and_then(Value::as_string);
        let small = |dictionary: &Dictionary| dictionary.len() <= NOTED_VALUES;
        let noted = match (body, array.get(3).and_then(Value::as_dictionary)) {
            (Some(body), _) => Some(Value::Dictionary(without_passwords(body))),
            (None, Some(answer)) if !small(answer) => None,
            (None, _) => Some(value.clone()),
        };
        self.phone
            .journal()
            .note(Channel::Backup, request.unwrap_or(name), noted);
    }
}

fn without_passwords(body: &Dictionary) -> Dictionary {
    let hide = |(key, value): (&String, &Value)| {
        let shown = match value.as_dictionary() {
            Some(inner) => Value::Dictionary(without_passwords(inner)),
            None if key.contains("Password") => Value::from("(hidden)"),
            None => value.clone(),
        };
        (key.clone(), shown)
    };
    body.iter().map(hide).collect()
}

/// A property list as the phone writes it into files.
pub fn to_file(value: &Value) -> Vec<u8> {
    codec::to_binary(value)
}
