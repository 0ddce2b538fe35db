//! By os_trace_relay: a question a connection, so one asks which number the program has, and the next one listens to it.

use std::time::Duration;

use backupwatch_backup::Clock;
use backupwatch_core::DeviceTime;
use backupwatch_wire::os_trace::{Activity, Answer, Decoder, Frame, Record, Request, SERVICE};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::{CHUNK, LogEvent, LogLine, SILENCE, Way, level, lost, next_bytes, within};
use crate::error::DeviceError;
use crate::stream::DeviceStream;

/// A program that says nothing for so long may have another number by now: it is started when it is needed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

pub(super) async fn listen(
    way: Way<'_>,
    clock: &dyn Clock,
    program: &str,
    lines: &mpsc::Sender<LogEvent>,
) -> Result<(), DeviceError> {
    loop {
        let pid = pid_of(way, program).await?;
        let mut log = Log::open(way, Request::StartActivity(Activity::of(pid))).await?;
        match log.answer(way).await? {
            Answer::Started => {
                if lines.send(LogEvent::Listening).await.is_err() {
                    return Ok(());
                }
            }
            Answer::Processes(_) => return Err(unexpected("StartActivity")),
            Answer::Refused { .. } => return Err(DeviceError::LogRefused),
        }
        let patience = if pid.is_some() { LOOK_AGAIN } else { SILENCE };
        loop {
            match log.record(patience).await {
                Ok(record) if record.process_name() == program => {
                    let line = LogEvent::Line(Box::new(line(record, clock)));
                    if lines.send(line).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(DeviceError::Silent { .. }) if pid.is_some() => {
                    if pid_of(way, program).await? != pid {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The number of a program, if it runs and the phone says so. Without it everything is listened to.
async fn pid_of(way: Way<'_>, program: &str) -> Result<Option<u32>, DeviceError> {
    let mut log = Log::open(way, Request::PidList).await?;
    Ok(match log.answer(way).await {
        Ok(Answer::Processes(processes)) => (processes.into_iter())
            .find(|(_, name)| name == program)
            .map(|(pid, _)| pid),
        Ok(Answer::Started | Answer::Refused { .. }) | Err(_) => None,
    })
}

/// One connection.
struct Log {
    stream: DeviceStream,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Log {
    async fn open(way: Way<'_>, request: Request) -> Result<Self, DeviceError> {
        let mut stream = way.open(SERVICE).await?;
        let after = way.timeouts.request;
        let bytes = request.encode();
        let sent = within(after, async {
            stream.write_all(&bytes).await.map_err(lost)?;
            stream.flush().await.map_err(lost)
        });
        sent.await?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            buffer: vec![0; CHUNK],
        })
    }

    /// What comes first.
    async fn answer(&mut self, way: Way<'_>) -> Result<Answer, DeviceError> {
        let after = way.timeouts.request;
        let answer = within(after, async {
            loop {
                match self.frame(after).await? {
                    Frame::Answer(answer) => return Ok(answer),
                    // Some phones are quicker with their log than with their answer.
                    Frame::Record(_) | Frame::Skipped(_) => {}
                }
            }
        });
        answer.await
    }

    /// The next line, within so long. May be called again after it was silent.
    async fn record(&mut self, patience: Duration) -> Result<Record, DeviceError> {
        loop {
            match self.frame(patience).await? {
                Frame::Record(record) => return Ok(record),
                Frame::Answer(_) | Frame::Skipped(_) => {}
            }
        }
    }

    async fn frame(&mut self, patience: Duration) -> Result<Frame, DeviceError> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(DeviceError::Log)? {
                return Ok(frame);
            }
            let bytes = next_bytes(&mut self.stream, &mut self.buffer, patience).await?;
            self.decoder.push(bytes);
        }
    }
}

fn line(record: Record, clock: &dyn Clock) -> LogLine {
    let seconds = i64::try_from(record.seconds).ok();
    let nanos = i32::try_from(record.micros.saturating_mul(1000)).unwrap_or_default();
    let at = seconds.and_then(|seconds| Timestamp::new(seconds, nanos).ok());
    LogLine {
        at: DeviceTime(at.unwrap_or_else(|| clock.now().0)),
        level: Some(level(record.level)),
        process: record.process,
        subsystem: record.subsystem,
        category: record.category,
        text: record.message,
    }
}

fn unexpected(request: &str) -> DeviceError {
    DeviceError::Unexpected {
        request: request.to_owned(),
    }
}
