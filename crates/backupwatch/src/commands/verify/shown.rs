//! How far a look is: a bar on a terminal, plain lines elsewhere, and nothing beside a document for programs.

use crate::{terminal::Terminal, words};
use backupwatch_backup::verify::{Progress, Stage};
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How often it is looked at.
pub const TICK: Duration = Duration::from_millis(100);

/// Off a terminal a line comes at each change of stage, and this often between.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// A rate before this is a guess.
const FIRST_RATE: Duration = Duration::from_secs(2);

pub struct Shown {
    terminal: Terminal,
    /// Nobody reads plain lines beside a document.
    silent: bool,
    bar: ProgressBar,
    stage: Option<(Stage, Instant)>,
    last_line: Option<Instant>,
}

impl Shown {
    pub fn new(terminal: Terminal, json: bool) -> Self {
        let bar = terminal.progress();
        if !json {
            bar.set_draw_target(terminal.draw_target());
        }
        Self {
            terminal,
            silent: json,
            bar,
            stage: None,
            last_line: None,
        }
    }

    pub fn progress(&mut self, progress: &Progress) {
        if self.silent {
            return;
        }
        let begun = match self.stage {
            Some((stage, begun)) if stage == progress.stage => begun,
            Some(_) | None => Instant::now(),
        };
        let new_stage = self.stage.is_none_or(|(stage, _)| stage != progress.stage);
        self.stage = Some((progress.stage, begun));
        let text = text(progress, begun.elapsed());
        if self.terminal.is_live() {
            self.bar.set_position(permille(progress));
            self.bar.set_message(text);
            self.bar.tick();
        } else if new_stage
            || self
                .last_line
                .is_none_or(|last| last.elapsed() >= PLAIN_LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            self.terminal.say(&text);
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn permille(progress: &Progress) -> u64 {
    let part = |done: u64, of: Option<u64>| {
        let of = of.filter(|of| *of > 0)?;
        u64::try_from(u128::from(done.min(of)) * 1000 / u128::from(of)).ok()
    };
    part(progress.bytes, progress.of_bytes)
        .or_else(|| part(progress.files, progress.of_files))
        .unwrap_or(0)
}

/// What is being done, how much of it is done, how fast, and how long it will take.
fn text(progress: &Progress, lasted: Duration) -> String {
    let mut text = match progress.stage {
        Stage::Lists => "looking at the backup".to_owned(),
        Stage::Password => "trying the password; this takes seconds".to_owned(),
        Stage::Manifest => "opening the list of files".to_owned(),
        Stage::Files => "looking for every file".to_owned(),
        Stage::Contents => "reading".to_owned(),
    };
    if progress.files == 0 {
        return text;
    }
    text.push_str(&format!(": {}", words::files(progress.files)));
    if progress.stage != Stage::Contents {
        return text;
    }
    text.push_str(&format!(", {}", words::bytes(progress.bytes)));
    if lasted < FIRST_RATE {
        return text;
    }
    let rate = progress.bytes / lasted.as_secs().max(1);
    text.push_str(&format!(", {}/s", words::bytes(rate)));
    let left = progress
        .of_bytes
        .map(|of| of.saturating_sub(progress.bytes));
    if let Some(seconds) = left.and_then(|left| left.checked_div(rate)) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        text.push_str(&format!(", {} left", words::span(seconds)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let at = |stage, files, bytes| Progress {
            stage,
            files,
            bytes,
            of_files: Some(51_203),
            of_bytes: Some(64_000_000_000),
        };
        let table = [
            (at(Stage::Lists, 0, 0), 0, 0, "looking at the backup"),
            (
                at(Stage::Files, 1, 0),
                9,
                0,
                "looking for every file: 1 file",
            ),
            (
                at(Stage::Contents, 10_000, 16_000_000_000),
                1,
                250,
                "reading: 10,000 files, 16.0 GB",
            ),
            (
                at(Stage::Contents, 10_000, 16_000_000_000),
                100,
                250,
                "reading: 10,000 files, 16.0 GB, 160.0 MB/s, 5 minutes left",
            ),
        ];
        for (progress, seconds, thousandths, words) in table {
            assert_eq!(text(&progress, Duration::from_secs(seconds)), words);
            assert_eq!(permille(&progress), thousandths, "{words}");
            assert!(words.len() <= 60, "beside the bar, in 80 columns: {words}");
        }
    }
}
