//! The one owner of the terminal: data goes to stdout, everything else to stderr, and colour only where a person looks.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};

/// What is said to the person. Cheap to clone; holds nothing but what it found out about the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Columns of the terminal that standard error is. A person watches it, so progress can redraw a line.
    live: Option<usize>,
    /// Columns of the terminal that standard output is; none where it is a file or a pipe.
    width: Option<usize>,
}

/// Longer lines are hard to read however wide the window is.
const WIDEST: usize = 100;

/// More than any answer, in bytes.
const LONGEST_ANSWER: u64 = 4096;

/// How a word is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
    Unsure,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into())).bold();
        match self {
            Self::Bold => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => colour(AnsiColor::Green),
            Self::Warning => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Unsure => colour(AnsiColor::Magenta),
        }
    }

    /// `text` in this tone; the escape codes are taken out again where nobody would see colours.
    pub fn set(self, text: &str) -> String {
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

impl Terminal {
    pub fn new() -> Self {
        let width = |term: console::Term| usize::from(term.size().1).clamp(40, WIDEST);
        Self {
            live: io::stderr()
                .is_terminal()
                .then(|| width(console::Term::stderr())),
            width: io::stdout()
                .is_terminal()
                .then(|| width(console::Term::stdout())),
        }
    }

    /// One of this width that nobody watches.
    #[cfg(test)]
    pub fn of_width(width: usize) -> Self {
        Self {
            live: None,
            width: Some(width),
        }
    }

    /// `text` behind `label`, broken between words where a person reads it; the lines that follow are indented by
    /// `hang` columns.
    pub fn wrapped(self, label: &str, text: &str, hang: usize) -> String {
        let whole = format!("{label}{text}");
        let Some(width) = self.width else {
            return whole;
        };
        let indent = " ".repeat(hang);
        let options = textwrap::Options::new(width).subsequent_indent(&indent);
        textwrap::fill(&whole, options)
    }

    /// A person watches standard error.
    pub fn is_live(self) -> bool {
        self.live.is_some()
    }

    /// Data. A reader that went away (`| head`) has what it wanted: it is no error, and stops no backup.
    pub fn data(self, text: &str) -> io::Result<()> {
        let stdout = io::stdout();
        let choice = AutoStream::choice(&stdout);
        unless_gone(put(AutoStream::new(stdout.lock(), choice), text))
    }

    /// Data of something that has no end of its own. False when nobody reads it any more.
    pub fn still_read(self, text: &str) -> io::Result<bool> {
        match put(io::stdout().lock(), text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Raw bytes: a manual page or a completion script.
    pub fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        unless_gone(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// Somebody reads what is written and can type an answer.
    pub fn is_interactive(self) -> bool {
        self.width.is_some() && io::stdin().is_terminal()
    }

    /// What the person types after `prompt`; none at the end of the input. A wait for a line cannot be taken back: whoever drops this
    /// is about to end.
    pub async fn ask(self, prompt: &str) -> io::Result<Option<String>> {
        let mut stdout = io::stdout();
        stdout.write_all(prompt.as_bytes())?;
        stdout.flush()?;
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            let mut stdin = io::stdin().lock().take(LONGEST_ANSWER);
            stdin
                .read_line(&mut line)
                .map(|length| (length > 0).then_some(line))
        });
        line.await.map_err(io::Error::other)?
    }

    /// What is not data, broken between words where a person reads it. There is nobody left to tell when this fails.
    pub fn say(self, text: &str) {
        let stderr = io::stderr();
        let choice: ColorChoice = AutoStream::choice(&stderr);
        let out = AutoStream::new(stderr.lock(), choice);
        let _ = match self.live {
            Some(width) => put(out, &broken(text, width)),
            None => put(out, text),
        };
    }

    /// A question that is answered on the same line.
    pub fn prompt(self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush());
    }

    /// Where such a line is drawn; nowhere off a terminal.
    pub fn draw_target(self) -> ProgressDrawTarget {
        if self.is_live() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    /// A line that is redrawn while something goes on; invisible until it is given [`Self::draw_target`].
    pub fn progress(self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::hidden());
        // The bar is short, so that numbers and the time left fit into 80 columns. What does not fit is cut: a message that
        // wraps would leave a line behind with each drawing.
        // The template is a constant; the fall-back is only a plainer bar.
        let style = ProgressStyle::with_template("{spinner} [{bar:10}] {percent:>3}% {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar
    }
}

/// Each line broken between its words; what follows is indented like it.
fn broken(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        let indent = " ".repeat(indent.min(width / 2));
        textwrap::fill(
            line,
            textwrap::Options::new(width).subsequent_indent(&indent),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn unless_gone(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn put(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stream.write_all(b"\n")?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_keep_their_indent() {
        let text = "backupwatch: no device is called so\n  Name one of: Anna (1), Ben (2)";
        assert_eq!(
            broken(text, 20),
            "backupwatch: no\ndevice is called so\n  Name one of: Anna\n  (1), Ben (2)"
        );
    }
}
