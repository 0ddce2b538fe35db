//! The phone's log while it is written: what one of its programs says, line by line, until somebody has heard enough.
//!
//! From os_trace_relay, which tells level and subsystem and sends only what one process says; from syslog_relay, which sends
//! everything as text, where the phone does not start the other. Neither holds a lockdown session. Not here: what a line
//! means (`core::diagnosis::log`).

mod text;
mod trace;

use std::io;
use std::time::Duration;

use backupwatch_backup::Clock;
use backupwatch_core::DeviceTime;
use backupwatch_core::diagnosis::log::{Line, LogLevel};
use backupwatch_wire::lockdown::LockdownError;
use backupwatch_wire::os_trace::Level;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::DeviceError;
use crate::listen::Attached;
use crate::service;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::transport::Transport;

const DOING: &str = "listening to the phone's log";

/// A whole log is never silent for so long, nor does anybody wait longer for one process.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What is read at a time.
const CHUNK: usize = 16 << 10;

/// What comes from a phone's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// From now on everything is heard. It may be told again.
    Listening,
    Line(Box<LogLine>),
}

/// One line of the phone's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// By the phone's clock; where the service tells no year, when it came.
    pub at: DeviceTime,
    /// The program, or the path of it.
    pub process: String,
    pub level: Option<LogLevel>,
    /// Empty where it is not told, as with the category.
    pub subsystem: String,
    pub category: String,
    pub text: String,
}

impl LogLine {
    /// For those who know what it means.
    #[must_use]
    pub fn as_line(&self) -> Line<'_> {
        Line {
            at: self.at,
            process: &self.process,
            level: self.level,
            subsystem: &self.subsystem,
            category: &self.category,
            text: &self.text,
        }
    }
}

/// Where a phone is, and how long its answers may take.
#[derive(Clone, Copy)]
struct Way<'a> {
    transport: &'a Transport,
    attached: &'a Attached,
    timeouts: &'a Timeouts,
}

/// Sends what `program` says until `cancel` fires, nobody takes the lines any more, or the phone goes away.
///
/// # Errors
/// When the phone does not let us listen, or has stopped telling.
pub async fn live(
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
    clock: &dyn Clock,
    program: &str,
    lines: mpsc::Sender<LogEvent>,
    cancel: CancellationToken,
) -> Result<(), DeviceError> {
    let way = Way {
        transport,
        attached,
        timeouts,
    };
    let work = async {
        match trace::listen(way, clock, program, &lines).await {
            Err(error) if is_refusal(&error) => {
                tracing::debug!(%error, "the phone's log comes as text");
                text::listen(way, clock, program, &lines).await
            }
            ended => ended,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(()),
        () = lines.closed() => Ok(()),
        ended = work => ended,
    }
}

/// Whether the phone has no such service, or keeps it to itself: another one may still be had.
fn is_refusal(error: &DeviceError) -> bool {
    matches!(
        error,
        DeviceError::Refused {
            error: LockdownError::InvalidService
                | LockdownError::MissingService
                | LockdownError::ServiceProhibited
                | LockdownError::ServiceLimit
                | LockdownError::Other(_),
            ..
        } | DeviceError::LogRefused
    )
}

impl Way<'_> {
    /// A connection to a service. The lockdown session ends with it.
    async fn open(self, service: &str) -> Result<DeviceStream, DeviceError> {
        service::open(self.transport, self.attached, service, self.timeouts).await
    }
}

fn lost(source: io::Error) -> DeviceError {
    DeviceError::link(DOING, source)
}

/// What may take no longer.
async fn within<T>(
    after: Duration,
    work: impl Future<Output = Result<T, DeviceError>>,
) -> Result<T, DeviceError> {
    let ended = tokio::time::timeout(after, work).await;
    ended.unwrap_or(Err(DeviceError::Silent {
        doing: DOING,
        after,
    }))
}

/// The next bytes; an error at the end, for a log has none.
async fn next_bytes<'a>(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &'a mut [u8],
    after: Duration,
) -> Result<&'a [u8], DeviceError> {
    let count = within(after, async { stream.read(buffer).await.map_err(lost) });
    let count = count.await?;
    let bytes = buffer.get(..count).unwrap_or_default();
    if bytes.is_empty() {
        return Err(lost(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Notice | Level::UserAction => LogLevel::Default,
        Level::Error => LogLevel::Error,
        Level::Fault => LogLevel::Fault,
    }
}
