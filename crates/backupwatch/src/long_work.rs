//! How far long work on the disk is: a bar on a terminal, plain lines elsewhere, and nothing beside a document for programs.
//!
//! Not here: a backup, which waits for a phone and a person (`commands/backup`), and what is said of the work.

use crate::{terminal::Terminal, words};
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How often it is looked at.
pub const TICK: Duration = Duration::from_millis(100);

/// Off a terminal a line comes at each change of what is done, and this often between.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// A rate before this is a guess.
const FIRST_RATE: Duration = Duration::from_secs(2);

pub struct LongWork<Stage> {
    terminal: Terminal,
    /// Nobody reads plain lines beside a document.
    silent: bool,
    bar: ProgressBar,
    stage: Option<(Stage, Instant)>,
    last_line: Option<Instant>,
}

impl<Stage: Copy + PartialEq> LongWork<Stage> {
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

    /// `text` is given how long this stage lasts.
    pub fn show(&mut self, stage: Stage, permille: u64, text: impl FnOnce(Duration) -> String) {
        if self.silent {
            return;
        }
        let (begun, is_new) = match self.stage {
            Some((before, begun)) if before == stage => (begun, false),
            Some(_) | None => (Instant::now(), true),
        };
        self.stage = Some((stage, begun));
        let text = text(begun.elapsed());
        if self.terminal.is_live() {
            self.bar.set_position(permille);
            self.bar.set_message(text);
            self.bar.tick();
        } else if is_new
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

/// Thousandths that are done, where it is known how many there are.
pub fn permille(done: u64, of: Option<u64>) -> Option<u64> {
    let of = of.filter(|of| *of > 0)?;
    u64::try_from(u128::from(done.min(of)) * 1000 / u128::from(of)).ok()
}

/// `, 160.0 MB/s, 5 minutes left`, as soon as that can be said.
pub fn pace(bytes: u64, of_bytes: Option<u64>, lasted: Duration) -> String {
    if lasted < FIRST_RATE {
        return String::new();
    }
    let rate = bytes / lasted.as_secs().max(1);
    let mut text = format!(", {}/s", words::bytes(rate));
    let left = of_bytes.map(|of| of.saturating_sub(bytes));
    if let Some(seconds) = left.and_then(|left| left.checked_div(rate)) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        text.push_str(&format!(", {} left", words::span(seconds)));
    }
    text
}
