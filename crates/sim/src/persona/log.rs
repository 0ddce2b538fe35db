//! `[log]`: what the phone's log services send beside the lines of the phone itself.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    /// Seconds between two lines of programs that have nothing to do with backups; 0 for none but the first few.
    pub noise_s: f64,
    /// What os_trace_relay sends after its answer.
    pub trace: Vec<TraceRogue>,
    /// What syslog_relay sends at once.
    pub lines: Vec<LineRogue>,
}

impl Default for LogSpec {
    fn default() -> Self {
        Self {
            noise_s: 2.0,
            trace: Vec::new(),
            lines: Vec::new(),
        }
    }
}

/// What no honest phone sends as records.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TraceRogue {
    /// A record of a level that nobody knows.
    UnknownLevel,
    /// A record shorter than its header.
    CutRecord,
    /// A record whose texts would end far behind it.
    WrongLengths,
    /// A record with the longest message that can be written down.
    LongMessage,
    /// The claim that a record of 4 GiB follows.
    HugeLength,
    /// Bytes that are no frame.
    Rubbish,
    /// Records of one program, as fast as they are taken, without end.
    Endless,
}

/// What no honest phone sends as lines.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum LineRogue {
    /// Bytes between two NULs that are no line.
    Rubbish,
    /// A line with control characters and half spellings.
    Controls,
    /// A line of a megabyte.
    Long,
    /// A line that never ends.
    Endless,
}
