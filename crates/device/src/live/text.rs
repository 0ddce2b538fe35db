//! By syslog_relay: everything that anybody on the phone says, as text.

use backupwatch_backup::Clock;
use backupwatch_core::DeviceTime;
use backupwatch_wire::syslog::{Decoder, Line, Piece, SERVICE};
use tokio::sync::mpsc;

use super::{CHUNK, LogEvent, LogLine, SILENCE, Way, level, next_bytes};
use crate::error::DeviceError;

pub(super) async fn listen(
    way: Way<'_>,
    clock: &dyn Clock,
    program: &str,
    lines: &mpsc::Sender<LogEvent>,
) -> Result<(), DeviceError> {
    let mut stream = way.open(SERVICE).await?;
    if lines.send(LogEvent::Listening).await.is_err() {
        return Ok(());
    }
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let bytes = next_bytes(&mut stream, &mut buffer, SILENCE).await?;
        decoder.push(bytes);
        while let Some(piece) = decoder.next_piece() {
            let Piece::Line(line) = piece else { continue };
            if line.process != program {
                continue;
            }
            let line = LogEvent::Line(Box::new(of(line, clock)));
            if lines.send(line).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// A line has neither a year nor a time zone, so it is of the moment when it comes.
fn of(line: Line, clock: &dyn Clock) -> LogLine {
    LogLine {
        at: DeviceTime(clock.now().0),
        process: line.process,
        level: line.level.map(level),
        subsystem: String::new(),
        category: String::new(),
        text: line.message,
    }
}
