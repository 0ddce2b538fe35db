//! A diagnosis in words for a terminal.

use crate::{
    show,
    terminal::{Terminal, Tone},
    words,
};
use backupwatch_agent::diagnosis::{
    AttemptEntry, DiagnosisDocument, ListenEnd, NotesEntry, WindowEntry,
};
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write as _;

/// Where texts begin behind their labels.
const HANG: usize = 17;

/// The causes, and then what they are known by.
pub fn whole(terminal: Terminal, known: &DiagnosisDocument, zone: &TimeZone) -> String {
    let name = known.name.as_deref().unwrap_or(&known.device);
    let mut out = format!("{}\n", Tone::Bold.set(name));
    if known.causes.is_empty() {
        out.push_str("  Nothing is known that keeps it from backing up to iCloud.\n");
    }
    out.push_str(&show::causes(terminal, &known.causes));
    let _ = writeln!(out, "\n{}", Tone::Bold.set("What the phone noted"));
    notes(terminal, &mut out, &known.notes, known.as_of, zone);
    if let Some(heard) = &known.heard {
        let at = words::ago(heard.at, known.as_of);
        let what = heard.attempt.as_ref().map_or_else(
            || "no attempt ended meanwhile".to_owned(),
            |attempt| format!("an attempt ended: {}", uncapital(&means(attempt))),
        );
        let _ = writeln!(out, "\n{}", Tone::Bold.set("What was heard"));
        let _ = writeln!(
            out,
            "{}",
            terminal.wrapped("  ", &format!("{}: {what}.", words::capital(&at)), 2)
        );
    }
    out
}

/// How listening ended, and what is thought now.
pub fn heard(terminal: Terminal, end: &ListenEnd) -> String {
    format!("{}\n{}", end.words, show::causes(terminal, &end.causes))
}

fn notes(
    terminal: Terminal,
    out: &mut String,
    notes: &NotesEntry,
    now: Timestamp,
    zone: &TimeZone,
) {
    let age = notes.as_of.map_or_else(String::new, |at| {
        format!(
            " As of {} ({}).",
            words::date(at, zone),
            words::ago(at, now)
        )
    });
    let about = format!("{}{age}", notes.words);
    let _ = writeln!(out, "{}", terminal.wrapped("  ", &about, 2));
    if notes.as_of.is_none() {
        return;
    }
    let mut line = |label: &str, text: &str| {
        let label = format!("  {} ", Tone::Dim.set(&format!("{label:<14}")));
        let _ = writeln!(out, "{}", terminal.wrapped(&label, text, HANG));
    };
    if notes.attempts.is_empty() {
        line("Last attempts", "none are noted");
    }
    for (number, attempt) in notes.attempts.iter().enumerate() {
        let label = if number == 0 { "Last attempts" } else { "" };
        line(label, &one(attempt, zone));
    }
    match (notes.failures, notes.missing_key_failures) {
        (Some(failures), Some(keys)) if keys > 0 => line(
            "In a row",
            &format!(
                "{}, and {keys} over files that it cannot open",
                times(failures)
            ),
        ),
        (Some(failures), _) => line("In a row", &times(failures)),
        (None, Some(keys)) => line(
            "In a row",
            &format!("{keys} over files that it cannot open"),
        ),
        (None, None) => {}
    }
    if let Some(at) = notes.retry_after.filter(|at| *at > now) {
        line(
            "Tries again",
            &format!("not before {}", words::date(at, zone)),
        );
    }
    if let Some(permille) = notes.upload_permille {
        line("Uploading", &format!("{} %", permille / 10));
    }
    match notes.windows.as_deref() {
        None => line("Nights", "not told in a form that is known"),
        Some([]) => line(
            "Nights",
            "it was never on a charger, on Wi-Fi and locked long enough",
        ),
        Some(windows) => {
            for (number, one) in windows.iter().enumerate() {
                line(if number == 0 { "Nights" } else { "" }, &window(one, zone));
            }
        }
    }
    for (number, part) in notes.largest.iter().enumerate() {
        let label = if number == 0 { "Largest" } else { "" };
        line(
            label,
            &format!("{}: {}", part.domain, words::bytes(part.bytes)),
        );
    }
    if let Some(total) = notes.total {
        line("In all", &words::bytes(total));
    }
}

fn one(attempt: &AttemptEntry, zone: &TimeZone) -> String {
    let code = attempt.errors.join(", under it ");
    let code = if code.is_empty() {
        code
    } else {
        format!(" ({code})")
    };
    let mut text = format!(
        "{}: {}{code}",
        words::date(attempt.at, zone),
        means(attempt)
    );
    if let Some(app) = &attempt.app {
        text.push_str(&format!("; about the app {app}"));
    }
    text
}

/// What the attempt came to. Of an error that nobody here knows, the phone's own text.
fn means(attempt: &AttemptEntry) -> String {
    if attempt.ok {
        return Tone::Good.set("a backup was made");
    }
    let says = || {
        attempt
            .text
            .as_ref()
            .map(|text| format!("the phone says “{text}”"))
    };
    attempt
        .means
        .clone()
        .or_else(says)
        .unwrap_or_else(|| "it failed, and the error is not known here".to_owned())
}

fn window(window: &WindowEntry, zone: &TimeZone) -> String {
    let ended: Vec<&str> = (window.ended_by.iter())
        .map(|what| match what.as_str() {
            "unlocked" => "it was unlocked",
            "power" => "it was taken off the charger",
            "wifi" => "it lost Wi-Fi",
            _ => "iCloud Backup was switched off",
        })
        .collect();
    let ended = if ended.is_empty() {
        String::new()
    } else {
        format!(", then {}", ended.join(" and "))
    };
    format!(
        "{}: {}{ended}",
        words::date(window.start, zone),
        words::span(window.length_s)
    )
}

fn times(failures: u32) -> String {
    match failures {
        0 => "no failure".to_owned(),
        1 => "1 failure".to_owned(),
        many => format!("{many} failures"),
    }
}

fn uncapital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
