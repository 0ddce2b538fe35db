//! Why the agent thinks what it thinks: the causes with their "because", what the phone itself has noted, and what is heard of it.

use backupwatch_core::Period;
use backupwatch_core::words::{capital, lasting, size};
use maud::{Markup, html};

use super::Scene;
use crate::diagnosis::{AttemptEntry, DiagnosisDocument, HeardEntry, NotesEntry, WindowEntry};
use crate::ladder::LadderDocument;
use crate::page::hearing::Hearing;
use crate::page::words;
use crate::status::DeviceStatus;

pub(super) fn causes(ladder: &LadderDocument) -> Markup {
    html! {
        section id="causes" class="card" aria-labelledby="causes-title" data-live {
            h2 id="causes-title" { "Why it may fail" }
            @if ladder.causes.is_empty() { p { "Nothing is known to be wrong with it." } }
            ul class="causes" {
                @for cause in &ladder.causes {
                    li data-cause=(cause.code) {
                        h3 { (cause.title) }
                        p { (sentence(&cause.because)) }
                        @if let Some(says) = &cause.says { p { "In the phone’s words: " q { (says) } } }
                        @if let Some(app) = &cause.app { p { "The app: " code { (app) } } }
                        @if !cause.advice.is_empty() { p { (cause.advice) } }
                        p class="quiet" {
                            // Not knowing is not a matter of confidence.
                            @if cause.code != "unknown" { (words::confidence(&cause.confidence)) ". " }
                            @if let Some(error) = &cause.error { "Its error: " code { (error) } "." }
                        }
                    }
                }
            }
        }
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    format!("{}.", capital(clause.trim_end_matches('.')))
}

pub(super) fn section(
    scene: &Scene,
    device: &DeviceStatus,
    diagnosis: &DiagnosisDocument,
    hearing: Option<&Hearing>,
) -> Markup {
    html! {
        section id="evidence" class="card" aria-labelledby="evidence-title" data-live {
            h2 id="evidence-title" { "What this rests on" }
            (noted(scene, &diagnosis.notes))
            @if let Some(heard) = &diagnosis.heard { (heard_last(scene, heard)) }
            (listening(scene, device, hearing))
        }
    }
}

fn noted(scene: &Scene, notes: &NotesEntry) -> Markup {
    html! {
        p {
            "The phone notes each attempt to back up to iCloud, and why it failed. " (with_code(&notes.words))
            @if let Some(at) = notes.as_of { " As of " (words::moment(at, &scene.zone)) "." }
        }
        @if !notes.attempts.is_empty() {
            h3 { "Its last attempts" }
            div class="scroll" tabindex="0" role="region" aria-label="Table of attempts" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Result" } th scope="col" { "What it means" } th scope="col" { "Code" } } }
                    tbody { @for attempt in &notes.attempts { (tried(scene, attempt)) } }
                }
            }
        }
        @if let Some(windows) = &notes.windows {
            h3 { "When it could have tried" }
            p { "It tries by itself only while it is charging, on Wi-Fi and locked, all at once." }
            @if windows.is_empty() { p { "It has noted no such time." } }
            ul { @for window in windows { li { (stretch(scene, window)) } } }
        }
        dl class="facts" {
            @if notes.as_of.is_some() { div { dt { "Its notes" } dd { (if notes.state == "read" { "Read" } else { "Older ones were read" }) } } }
            @if let Some(enabled) = notes.enabled { div { dt { "iCloud Backup then" } dd { (if enabled { "On" } else { "Off" }) } } }
            @if let Some(last) = notes.last { div { dt { "Last iCloud backup that it noted" } dd { (words::moment(last, &scene.zone)) } } }
            @if let Some(failures) = notes.failures.filter(|failures| *failures > 0) { div { dt { "Failures in a row" } dd { (failures) } } }
            @if let Some(after) = notes.retry_after { div { dt { "It tries again after" } dd { (words::moment(after, &scene.zone)) } } }
            @if let Some(permille) = notes.upload_permille { div { dt { "An upload under way" } dd { (permille / 10) "% done" } } }
            @if let Some(total) = notes.total { div { dt { "Size of its iCloud backup" } dd { (size(total)) } } }
        }
        @if !notes.largest.is_empty() {
            h3 { "The largest parts of it" }
            ul { @for part in &notes.largest { li { (part.words.as_ref().unwrap_or(&part.domain)) ": " (size(part.bytes)) } } }
        }
    }
}

/// A sentence for a terminal: what stands between backticks is to be typed.
fn with_code(words: &str) -> Markup {
    html! {
        @for (at, part) in words.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn tried(scene: &Scene, attempt: &AttemptEntry) -> Markup {
    html! {
        tr {
            td { (words::moment(attempt.at, &scene.zone)) }
            td { (if attempt.ok { "Done" } else { "Failed" }) }
            td {
                @match (&attempt.means, &attempt.text) {
                    (Some(means), _) => (means),
                    (None, Some(text)) => q { (text) },
                    (None, None) => {},
                }
                @if let Some(app) = &attempt.app { " (app " (app) ")" }
            }
            td { (attempt.errors.join(", ")) }
        }
    }
}

/// `25 September 2026, 01:00, for 7 minutes: it was unlocked`
fn stretch(scene: &Scene, window: &WindowEntry) -> Markup {
    let ended = window.ended_by.iter().map(|why| match why.as_str() {
        "unlocked" => "it was unlocked",
        "power" => "it was taken off the charger",
        "wifi" => "it lost its Wi-Fi",
        _ => "iCloud Backup was switched off",
    });
    let ended: Vec<&str> = ended.collect();
    html! {
        (words::moment(window.start, &scene.zone)) ", for " (lasting(Period::seconds(window.length_s)))
        @if !ended.is_empty() { ": " (ended.join(", ")) }
    }
}

fn heard_last(scene: &Scene, heard: &HeardEntry) -> Markup {
    html! {
        h3 { "Last heard from the phone" }
        p {
            "On " (words::moment(heard.at, &scene.zone)) ": "
            @match &heard.attempt {
                Some(attempt) if attempt.ok => "an iCloud backup was finished.",
                Some(attempt) => {
                    "an attempt failed"
                    @if let Some(means) = &attempt.means { ": " (means) }
                    " (" (attempt.errors.join(", ")) ")."
                }
                None => "no attempt ended.",
            }
        }
    }
}

fn listening(scene: &Scene, device: &DeviceStatus, hearing: Option<&Hearing>) -> Markup {
    let at = format!("/devices/{}", device.udid);
    let goes_on = hearing.is_some_and(|hearing| hearing.listening);
    html! {
        h3 { "Watch one attempt" }
        p {
            "Connect the " (words::noun(device)) ", press Listen, and tap Back Up Now on its iCloud Backup page. What it says while it tries is explained here. "
            "In a terminal the same is " code { "backupwatch diagnose --live" } "."
        }
        @if let Some(hearing) = hearing {
            ol id="heard" class="heard" role="log" aria-label="What is heard" { @for line in &hearing.lines { li { (line) } } }
        }
        @if goes_on {
            (scene.form(&format!("{at}/stop-listening"), &html! { button { "Stop listening" } }))
        } @else {
            (scene.form(&format!("{at}/listen"), &html! { button { "Listen" } }))
        }
    }
}
