//! `com.apple.syslog_relay`: the phone's log as text, for when [`crate::os_trace`] cannot be had. Both ends;
//! `docs/protocol/oslog.md` has the facts and their witnesses.
//!
//! Nobody asks: lines come from the first moment on, each ended by a NUL. A line has no year, no subsystem and no category,
//! and every byte that is not plain ASCII in it is spelt out ([`vis`]).
//!
//! Not here: what a line means.

pub mod vis;

use bytes::BytesMut;

use crate::os_trace::Level;

/// The service.
pub const SERVICE: &str = "com.apple.syslog_relay";

/// The longest line that is taken, as it comes.
pub const MAX_LINE: usize = 64 << 10;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub time: LineTime,
    /// The phone's name, as a host name.
    pub host: String,
    /// The program.
    pub process: String,
    /// The library in it whose code wrote the line, where one is named.
    pub image: Option<String>,
    pub pid: u32,
    /// None for a word that is not known.
    pub level: Option<Level>,
    pub message: String,
}

/// When a line was written, by the phone's clock and in its time zone. There is no year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTime {
    /// From 1.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// What is between two NULs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Line(Line),
    /// Not of the form of a line, or longer than [`MAX_LINE`]; the stream goes on behind it.
    Skipped,
}

/// Cuts the stream into lines, whatever the chunking. No bytes can end it, and it holds at most one line.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// How much of the buffer has no NUL.
    searched: usize,
    /// The line is too long, and its beginning is gone.
    too_long: bool,
}

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came off the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What stands before the next NUL, or `None` when more bytes are needed. Call it until it gives `None`, then push.
    pub fn next_piece(&mut self) -> Option<Piece> {
        loop {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(end) = unseen.iter().position(|byte| *byte == 0) else {
                self.searched = self.buffer.len();
                if self.searched > MAX_LINE {
                    self.buffer.clear();
                    self.searched = 0;
                    self.too_long = true;
                }
                return None;
            };
            let end = self.searched.saturating_add(end);
            let line = self.buffer.split_to(end.saturating_add(1));
            self.searched = 0;
            if std::mem::take(&mut self.too_long) || end > MAX_LINE {
                return Some(Piece::Skipped);
            }
            let line = line.strip_suffix(&[0]).unwrap_or(&line);
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some(Line::decode(line).map_or(Piece::Skipped, Piece::Line));
            }
        }
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl LineTime {
    /// `Nov  3 09:05:59`.
    fn decode(text: &str) -> Option<Self> {
        let (month, rest) = text.split_at_checked(3)?;
        let month = MONTHS.iter().position(|name| *name == month)?;
        let (day, clock) = rest.trim_start().split_once(' ')?;
        let mut clock = clock.split(':').map(|part| part.parse().ok());
        let mut next = || clock.next().flatten();
        let (hour, minute, second) = (next()?, next()?, next()?);
        let time = Self {
            month: u8::try_from(month).ok()?.saturating_add(1),
            day: day.parse().ok()?,
            hour,
            minute,
            second,
        };
        let exists = (1..=31).contains(&time.day) && hour < 24 && minute < 60 && second <= 60;
        exists.then_some(time)
    }

    fn encode(self) -> String {
        let month = usize::from(self.month).saturating_sub(1);
        format!(
            "{} {:>2} {:02}:{:02}:{:02}",
            MONTHS.get(month).unwrap_or(&"Jan"),
            self.day,
            self.hour,
            self.minute,
            self.second
        )
    }
}

/// Characters of a line's time.
const TIME: usize = 15;

impl Line {
    /// `Nov 23 10:24:49 Adas-iPhone backupd(CloudKit)[123] <Error>: what happened`.
    fn decode(line: &[u8]) -> Option<Self> {
        let line = vis::decode(line);
        let (time, rest) = line.split_at_checked(TIME)?;
        let (host, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
        let (program, rest) = rest.split_once('[')?;
        let (pid, rest) = rest.split_once("] <")?;
        let (level, message) = rest.split_once(">:")?;
        let (process, image) = match program.split_once('(') {
            Some((process, image)) => (process, Some(image.strip_suffix(')')?)),
            None => (program, None),
        };
        Some(Self {
            time: LineTime::decode(time)?,
            host: host.to_owned(),
            process: process.to_owned(),
            image: image.map(str::to_owned),
            pid: pid.parse().ok()?,
            level: level_of(level),
            message: message.strip_prefix(' ').unwrap_or(message).to_owned(),
        })
    }

    /// The bytes, with the line break and the NUL behind it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let image = self.image.as_ref().map(|image| format!("({image})"));
        let text = format!(
            "{} {} {}{}[{}] <{}>: {}",
            self.time.encode(),
            self.host,
            self.process,
            image.unwrap_or_default(),
            self.pid,
            self.level.map_or("Unknown", word_of),
            self.message
        );
        [vis::encode(&text).as_bytes(), b"\n\0"].concat()
    }
}

/// The words are those of syslog; a fault has been seen as itself and as the first two.
fn level_of(word: &str) -> Option<Level> {
    Some(match word {
        "Emergency" | "Alert" | "Critical" | "Fault" => Level::Fault,
        "Error" => Level::Error,
        "Warning" | "Notice" => Level::Notice,
        "Info" => Level::Info,
        "Debug" => Level::Debug,
        _ => return None,
    })
}

const fn word_of(level: Level) -> &'static str {
    match level {
        Level::Notice | Level::UserAction => "Notice",
        Level::Info => "Info",
        Level::Debug => "Debug",
        Level::Error => "Error",
        Level::Fault => "Critical",
    }
}

#[cfg(test)]
mod tests;
