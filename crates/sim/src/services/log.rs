//! The two services that send the phone's log while it is written: os_trace_relay as records, syslog_relay as lines. Both
//! begin with a few lines of programs that have nothing to do with backups, and go on with those and with backupd's.
//!
//! What backupd has to say is in `cloud`; this only sends it.

mod noise;
mod rogue;

use std::io;
use std::time::Duration;

use backupwatch_wire::lockdown::MAX_FRAME;
use backupwatch_wire::os_trace::{Activity, Answer, Record, Request, encode_record};
use backupwatch_wire::syslog::{Line, LineTime};
use jiff::tz::{Offset, TimeZone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::ServiceStream;
use crate::io::Frames;
use crate::phone::log::{LogLine, PROGRAMS};
use crate::phone::{Channel, Phone, seconds};
use noise::Noise;

/// The name of a sent line at the phone's gate.
const LINE: &str = "log line";

/// os_trace_relay, to the end of the connection.
pub(super) async fn trace(stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX_FRAME);
    let activity = loop {
        let Some(value) = frames.next_value().await? else {
            return Ok(());
        };
        let request = Request::from_value(&value).map_err(io::Error::other)?;
        let note = |name: &str| {
            phone
                .journal()
                .note(Channel::Log, name, Some(value.clone()))
        };
        match request {
            Request::PidList => {
                note("PidList");
                let all = PROGRAMS.map(|program| (program.pid, program.name().to_owned()));
                let answer = Answer::Processes(all.into_iter().collect());
                frames.send_raw(&answer.encode()).await?;
            }
            Request::StartActivity(activity) => {
                // Listened to before the host can know, so that it misses nothing that happens from then on.
                let lines = phone.log().listen();
                note("StartActivity");
                frames.send_raw(&Answer::Started.encode()).await?;
                break (activity, lines);
            }
            Request::Other { request } => {
                note(&request);
                let status = "RequestFailed".to_owned();
                frames
                    .send_raw(&Answer::Refused { status }.encode())
                    .await?;
            }
        }
    };
    let (Activity { pid, .. }, lines) = activity;
    let (mut stream, _) = frames.into_parts();
    rogue::trace(&mut stream, phone).await?;
    let wanted = |line: &LogLine| pid.is_none_or(|pid| pid == line.program.pid);
    let encode = |line: &LogLine| wanted(line).then(|| encode_record(&record(line)));
    relay(stream, phone, lines, encode).await
}

/// syslog_relay, to the end of the connection.
pub(super) async fn lines(mut stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let lines = phone.log().listen();
    phone.journal().note(Channel::Log, "lines", None);
    rogue::lines(&mut stream, phone).await?;
    relay(stream, phone, lines, |one| Some(line(one, phone).encode())).await
}

/// Sends every line that has a form, until the host goes.
async fn relay(
    mut stream: ServiceStream,
    phone: &Phone,
    mut lines: Receiver<LogLine>,
    encode: impl Fn(&LogLine) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let mut noise = Noise::default();
    for _ in 0..noise::FIRST {
        if let Some(bytes) = encode(&noise.next(phone.clock().now())) {
            stream.write_all(&bytes).await?;
        }
    }
    stream.flush().await?;
    let pause = seconds(phone.persona().log.noise_s);
    let mut ignored = [0; 64];
    loop {
        let line = tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => line,
                // Missed by a host that does not read, as on a phone.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(()),
            },
            () = after(pause) => noise.next(phone.clock().now()),
            read = stream.read(&mut ignored) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
        };
        if let Some(bytes) = encode(&line) {
            phone.gate().pass(LINE).await;
            stream.write_all(&bytes).await?;
            stream.flush().await?;
        }
    }
}

async fn after(pause: Duration) {
    if pause.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(pause).await;
}

fn record(line: &LogLine) -> Record {
    let at = line.at;
    Record {
        pid: line.program.pid,
        seconds: u64::try_from(at.as_second()).unwrap_or(0),
        micros: u32::try_from(at.subsec_microsecond()).unwrap_or(0),
        level: line.level,
        process: line.program.path.to_owned(),
        image: line.program.path.to_owned(),
        message: line.message.clone(),
        subsystem: line.subsystem.to_owned(),
        category: line.category.to_owned(),
    }
}

fn line(line: &LogLine, phone: &Phone) -> Line {
    let identity = &phone.persona().identity;
    let offset = i32::try_from(identity.utc_offset_s).unwrap_or(0);
    let zone = TimeZone::fixed(Offset::from_seconds(offset).unwrap_or(Offset::UTC));
    let at = line.at.to_zoned(zone);
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    let host: String = identity
        .name
        .chars()
        .filter(|c| *c != '’' && *c != '\'')
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    Line {
        time: LineTime {
            month: small(at.month()),
            day: small(at.day()),
            hour: small(at.hour()),
            minute: small(at.minute()),
            second: small(at.second()),
        },
        host,
        process: line.program.name().to_owned(),
        image: None,
        pid: line.program.pid,
        level: Some(line.level),
        message: line.message.clone(),
    }
}
