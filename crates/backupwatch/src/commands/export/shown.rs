//! How far an export is: a bar on a terminal, plain lines elsewhere, and nothing beside a document for programs.

use crate::{terminal::Terminal, words};
use backupwatch_backup::Exporting;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How often it is looked at.
pub const TICK: Duration = Duration::from_millis(100);

/// Off a terminal a line comes this often.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// A rate before this is a guess.
const FIRST_RATE: Duration = Duration::from_secs(2);

pub struct Shown {
    terminal: Terminal,
    /// Nobody reads plain lines beside a document.
    silent: bool,
    bar: ProgressBar,
    begun: Instant,
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
            begun: Instant::now(),
            last_line: None,
        }
    }

    pub fn progress(&mut self, at: &Exporting) {
        if self.silent {
            return;
        }
        let text = text(at, self.begun.elapsed());
        if self.terminal.is_live() {
            let permille = u128::from(at.bytes) * 1000 / u128::from(at.of_bytes.max(1));
            self.bar
                .set_position(u64::try_from(permille).unwrap_or(1000));
            self.bar.set_message(text);
            self.bar.tick();
        } else if self
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

/// How much of it is done, how fast, and how long it will take.
fn text(at: &Exporting, lasted: Duration) -> String {
    let mut text = format!(
        "{} of {}, {} of {}",
        words::files(at.files),
        words::grouped(at.of_files),
        words::bytes(at.bytes),
        words::bytes(at.of_bytes)
    );
    if lasted >= FIRST_RATE {
        let rate = at.bytes / lasted.as_secs().max(1);
        text.push_str(&format!(", {}/s", words::bytes(rate)));
        if let Some(left) = at.of_bytes.saturating_sub(at.bytes).checked_div(rate) {
            let seconds = i64::try_from(left).unwrap_or(i64::MAX);
            text.push_str(&format!(", {} left", words::span(seconds)));
        }
    }
    text
}
