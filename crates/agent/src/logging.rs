//! Sets up the log: where it goes and what it may say. What is *not* here: what is logged, and when.
//!
//! A UDID names a person's phone for as long as the phone lives, and logs get pasted into public issues. So whatever is
//! written at `info` and above has its UDIDs shortened, whoever wrote it; `debug` and below is only written when asked
//! for and keeps them.

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log files that are kept, one a day.
const DAYS: usize = 14;

/// Where the log goes.
#[derive(Debug, Clone, Copy)]
pub enum Sink<'a> {
    /// To standard error: a terminal, or the journal.
    Stderr,
    /// To a folder, a file a day.
    Folder(&'a Path),
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("read the log filter {filter:?}")]
    Filter {
        /// The filter.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The folder cannot be made.
    #[error("make the folder {path} for log files")]
    Make {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("write log files to {path}")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: tracing_appender::rolling::InitError,
    },
    /// There is one already.
    #[error("start the log: one is already set up in this process")]
    Twice,
}

/// Keeps the writer of the log file alive; what is buffered is written when it is dropped.
#[derive(Debug)]
#[must_use = "the log file is flushed when this is dropped"]
pub struct LogGuard {
    _worker: Option<WorkerGuard>,
}

/// Lines that wait for the disk; what is more is not written. The room for all of them is taken at once.
const LINES: usize = 2048;

/// Starts the log of this process. `filter` is in the words of [`Targets`], for example `info,backupwatch_device=debug`.
pub fn start(sink: Sink<'_>, filter: &str, ansi: bool) -> Result<LogGuard, LoggingError> {
    let parsed: Targets = filter.parse().map_err(|source| LoggingError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_target(true);
    match sink {
        Sink::Stderr => {
            builder
                .with_ansi(ansi)
                .with_writer(Shortening(io::stderr))
                .finish()
                .with(parsed)
                .try_init()
                .map_err(|_| LoggingError::Twice)?;
            Ok(LogGuard { _worker: None })
        }
        Sink::Folder(path) => {
            // The first to write: the folder may be inside a state folder that does not exist yet and has to be private.
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path);
            made.map_err(|source| LoggingError::Make {
                path: path.to_owned(),
                source,
            })?;
            let appender = Builder::new()
                .rotation(Rotation::DAILY)
                .filename_prefix("agent")
                .filename_suffix("log")
                .max_log_files(DAYS)
                .build(path)
                .map_err(|source| LoggingError::Folder {
                    path: path.to_owned(),
                    source,
                })?;
            let (writer, worker) = NonBlockingBuilder::default()
                .buffered_lines_limit(LINES)
                .finish(appender);
            builder
                .with_ansi(false)
                .with_writer(Shortening(writer))
                .finish()
                .with(parsed)
                .try_init()
                .map_err(|_| LoggingError::Twice)?;
            Ok(LogGuard {
                _worker: Some(worker),
            })
        }
    }
}

/// A source of writers that shorten UDIDs unless the event is at `debug` or below.
#[derive(Debug, Clone)]
struct Shortening<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Shortening<M> {
    type Writer = ShorteningWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        ShorteningWriter {
            inner: self.0.make_writer(),
            shorten: true,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        ShorteningWriter {
            inner: self.0.make_writer_for(meta),
            shorten: *meta.level() <= Level::INFO,
        }
    }
}

/// One event's writer. The formatter hands over a whole event in one call, so no UDID is cut in two.
#[derive(Debug)]
struct ShorteningWriter<W> {
    inner: W,
    shorten: bool,
}

impl<W: Write> Write for ShorteningWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (self.shorten, std::str::from_utf8(bytes)) {
            (true, Ok(text)) => self.inner.write_all(shorten_udids(text).as_bytes()),
            (true, Err(_)) | (false, _) => self.inner.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The text with every UDID in it cut to its first eight characters. A UDID is a whole word of 40 hexadecimal digits, or
/// of 8, a hyphen (that some spellings leave out) and 16.
fn shorten_udids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(start);
        let end = from
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let inside_a_word = before.ends_with(|c: char| c.is_alphanumeric());
        out.push_str(before);
        match word.get(..8) {
            Some(head) if !inside_a_word && is_udid(word) => {
                out.push_str(head);
                out.push('…');
            }
            Some(_) | None => out.push_str(word),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_udid(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphen = word.find('-');
    match hyphen {
        None => digits == word.len() && (digits == 40 || digits == 24),
        Some(at) => at == 8 && word.len() == 25 && digits == 24,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn udids_are_shortened_and_nothing_else_is() {
        let rows = [
            (
                "phone 00008110-001A2B3C4D5E6F70 attached",
                "phone 00008110… attached",
            ),
            ("udid=00008110001A2B3C4D5E6F70", "udid=00008110…"),
            (
                "2b6f0cc904d137be2e1730235f5664094b831186: gone",
                "2b6f0cc9…: gone",
            ),
            (
                "two: 00008110-001A2B3C4D5E6F70,00008120-001A2B3C4D5E6F71",
                "two: 00008110…,00008120…",
            ),
            (
                "/b/00008110-001A2B3C4D5E6F70/Info.plist",
                "/b/00008110…/Info.plist",
            ),
            (
                "a backup of 4096 files, 2026-11-22T18:14:05.123Z",
                "a backup of 4096 files, 2026-11-22T18:14:05.123Z",
            ),
            (
                "ünïcode stays, 00008110-001A2B3C4D5E6F7",
                "ünïcode stays, 00008110-001A2B3C4D5E6F7",
            ),
            ("", ""),
        ];
        for (given, expected) in rows {
            assert_eq!(shorten_udids(given), expected);
        }
    }

    #[test]
    fn a_file_gets_the_events_with_short_udids() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let logs = state.join("logs");
        let guard = start(Sink::Folder(&logs), "debug", false).unwrap();
        let mode = std::fs::metadata(&state).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            mode, 0o700,
            "the state folder that it made on the way is private"
        );
        tracing::info!("attached {}", "00008110-001A2B3C4D5E6F70");
        tracing::debug!("seen {}", "00008110-001A2B3C4D5E6F71");
        drop(guard);
        let files: Vec<_> = std::fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains("attached 00008110…"), "{text}");
        assert!(text.contains("seen 00008110-001A2B3C4D5E6F71"), "{text}");
        assert!(start(Sink::Stderr, "no=such=filter", false).is_err());
    }
}
