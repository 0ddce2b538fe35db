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
    if let Some(enabled) = notes.enabled {
        line("iCloud Backup", if enabled { "on" } else { "off" });
    }
    if let Some(last) = notes.last {
        line("Last backup", &words::date(last, zone));
    }
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
        let name = part.words.as_ref().unwrap_or(&part.domain);
        line(label, &format!("{name}: {}", words::bytes(part.bytes)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_agent::diagnosis::{HeardEntry, PartEntry};
    use backupwatch_agent::ladder::CauseEntry;

    fn attempt(at: &str, code: Option<i64>) -> AttemptEntry {
        AttemptEntry {
            at: at.parse().unwrap(),
            ok: code.is_none(),
            errors: code
                .into_iter()
                .map(|code| format!("MBErrorDomain {code}"))
                .collect(),
            means: (code == Some(303)).then(|| "iCloud storage is full".to_owned()),
            text: code.map(|_| "Something went wrong.".to_owned()),
            app: (code == Some(9999)).then(|| "org.example.notes".to_owned()),
        }
    }

    #[test]
    fn a_whole_diagnosis_as_a_person_reads_it() {
        let notes = NotesEntry {
            enabled: Some(true),
            last: None,
            state: "read".into(),
            words: "From the newest local backup.".into(),
            as_of: Some("2026-11-20T00:00:00Z".parse().unwrap()),
            attempts: vec![
                attempt("2026-11-19T02:00:00Z", Some(303)),
                attempt("2026-11-18T02:00:00Z", Some(9999)),
                attempt("2026-11-12T02:00:00Z", None),
            ],
            failures: Some(9),
            missing_key_failures: Some(1),
            retry_after: Some("2026-11-23T02:00:00Z".parse().unwrap()),
            windows: Some(vec![WindowEntry {
                start: "2026-11-19T02:00:00Z".parse().unwrap(),
                length_s: 420,
                ended_by: vec!["unlocked".into(), "wifi".into()],
            }]),
            upload_permille: Some(371),
            largest: vec![PartEntry {
                domain: "CameraRollDomain".into(),
                words: Some("photos and videos".into()),
                bytes: 9_400_000_000,
            }],
            total: Some(10_300_000_000),
        };
        let known = DiagnosisDocument {
            schema: 1,
            as_of: "2026-11-22T10:00:00Z".parse().unwrap(),
            device: "00008110-000A1B2C3D4E5F60".into(),
            name: Some("Anna’s iPhone".into()),
            causes: vec![CauseEntry {
                code: "icloud_full".into(),
                title: "iCloud storage is full".into(),
                confidence: "certain".into(),
                because: "because the last attempt of this iPhone ended with that".into(),
                error: None,
                app: None,
                says: None,
                advice: String::new(),
            }],
            notes,
            heard: Some(HeardEntry {
                at: "2026-11-21T09:00:00Z".parse().unwrap(),
                attempt: Some(attempt("2026-11-21T08:59:00Z", Some(303))),
            }),
        };
        let text = whole(Terminal::of_width(80), &known, &TimeZone::UTC);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
    }
}
