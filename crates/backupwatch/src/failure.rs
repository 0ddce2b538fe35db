//! An error as a person meets it: one sentence, the causes, the next step, and the exit code. As JSON too.

use backupwatch_agent::exit::ExitCode;
use std::error::Error;

/// Ends a command.
#[derive(Debug)]
pub struct Failure {
    pub code: ExitCode,
    /// A stable code for programs.
    pub error: &'static str,
    /// One sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Failure {
    pub fn new(code: ExitCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            error,
            message: message.into(),
            next: None,
        }
    }

    /// "failed to" and what the error says, with its causes.
    pub fn from_error(code: ExitCode, error: &'static str, cause: &(dyn Error + 'static)) -> Self {
        Self::new(code, error, format!("failed to {}", chain(cause)))
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// For a terminal.
    pub fn words(&self) -> String {
        match &self.next {
            Some(next) => format!("backupwatch: {}\n  {next}", self.message),
            None => format!("backupwatch: {}", self.message),
        }
    }

    /// For programs: the shape of the local API's errors.
    pub fn json(&self) -> String {
        let failure = backupwatch_agent::api::words::Failure {
            schema: backupwatch_agent::api::words::SCHEMA,
            error: self.error.to_owned(),
            message: self.message.clone(),
            next: self.next.clone(),
        };
        // Strings and a number always serialize.
        serde_json::to_string(&failure).unwrap_or_default()
    }
}

/// An error and what caused it, joined by colons. A cause that only repeats the line before is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            ExitCode::Internal,
            "io",
            format!("failed to write the output: {error}"),
        )
    }
}
