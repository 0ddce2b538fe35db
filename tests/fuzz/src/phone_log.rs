//! The phone's log, as either of its services sends it, and what is made of its lines.

use backupwatch_core::diagnosis::log::{Line, Listening, LogLevel};
use backupwatch_core::evidence::{Heard, LONGEST_NAME, LONGEST_TEXT};
use backupwatch_core::{DeviceTime, HostTime};
use backupwatch_wire::os_trace::{self, Answer, Frame, Level, Record, Request, StreamError};
use backupwatch_wire::{codec, syslog};
use jiff::Timestamp;

use super::bytes::{Cut, names_something, settles};

const AT: Timestamp = Timestamp::constant(1_700_000_000, 0);
/// A sign is words of ours, and at most the name of an app.
const SIGN: usize = 400 + LONGEST_NAME;

pub fn target(input: &[u8]) {
    let Some((service, input)) = input.split_first() else {
        return;
    };
    let cut = Cut::new(input);
    if service % 2 == 0 {
        records(cut);
    } else {
        lines(cut);
    }
}

fn records(cut: Cut<'_>) {
    let (frames, end) = decode([cut.whole()]);
    assert_eq!((&frames, &end), (&decode(cut).0, &decode(cut).1));
    let mut listening = Listening::default();
    for frame in &frames {
        match frame {
            Frame::Answer(answer) => {
                settles(
                    answer,
                    Answer::encode,
                    |bytes| match &decode([bytes]).0[..] {
                        [Frame::Answer(answer)] => Ok(answer.clone()),
                        other => Err(format!("{other:?}")),
                    },
                )
            }
            Frame::Record(record) => {
                settles(record, os_trace::encode_record, |bytes| {
                    match &decode([bytes]).0[..] {
                        [Frame::Record(record)] => Ok(record.clone()),
                        other => Err(format!("{other:?}")),
                    }
                });
                hear(&mut listening, &line(record));
            }
            Frame::Skipped(_) => {}
        }
    }
    heard(&listening);
    // The other direction: what a host asks.
    if let Ok(request) = read_request(cut.whole()) {
        settles(
            &request,
            |request| codec::to_binary(&request.to_value()),
            read_request,
        );
    }
}

fn read_request(bytes: &[u8]) -> Result<Request, String> {
    let value =
        codec::decode(bytes, codec::Limits::of_bytes(1 << 16)).map_err(|e| e.to_string())?;
    Request::from_value(&value).map_err(|e| e.to_string())
}

fn line(record: &Record) -> Line<'_> {
    let seconds = i64::try_from(record.seconds).unwrap_or(i64::MAX);
    Line {
        at: DeviceTime(Timestamp::from_second(seconds).unwrap_or(AT)),
        process: &record.process,
        level: Some(level(record.level)),
        subsystem: &record.subsystem,
        category: &record.category,
        text: &record.message,
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Fault => LogLevel::Fault,
        _ => LogLevel::Default,
    }
}

fn lines(cut: Cut<'_>) {
    let pieces = split([cut.whole()]);
    assert_eq!(pieces, split(cut));
    let mut listening = Listening::default();
    for piece in &pieces {
        if let syslog::Piece::Line(said) = piece {
            hear(
                &mut listening,
                &Line {
                    at: DeviceTime(AT),
                    process: &said.process,
                    level: said.level.map(level),
                    subsystem: "",
                    category: "",
                    text: &said.message,
                },
            );
        }
    }
    heard(&listening);
}

/// What is said of one line can be told on the desktop.
fn hear(listening: &mut Listening, line: &Line<'_>) {
    if let Some(sign) = listening.take(line) {
        assert!(
            !sign.words.is_empty() && sign.words.len() <= SIGN,
            "{}",
            sign.words
        );
        assert!(!names_something(&sign.words), "{}", sign.words);
        assert!(
            listening
                .take(line)
                .is_none_or(|again| again.words != sign.words)
        );
    }
}

fn heard(listening: &Listening) {
    let heard = listening.heard(HostTime(AT));
    assert_eq!(heard.clone().bounded(), heard, "within its bounds already");
    let text = heard
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.text.as_deref());
    assert!(text.is_none_or(|text| text.chars().count() <= LONGEST_TEXT));
    assert!(text.is_none_or(|text| !names_something(text)), "{text:?}");
    let kept = serde_json::to_string(&heard).expect("JSON");
    let again: Heard = serde_json::from_str(&kept).expect("what is kept is read");
    assert_eq!(again, heard);
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<StreamError>) {
    let mut decoder = os_trace::Decoder::new();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<syslog::Piece> {
    let mut decoder = syslog::Decoder::new();
    let mut all = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(piece) = decoder.next_piece() {
            all.push(piece);
        }
    }
    all
}
