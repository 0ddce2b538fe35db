//! Why the agent thinks what it thinks: the causes with their "because", and what the phone itself has noted.

use backupwatch_core::evidence::{Attempt, Books, Heard, Window};
use backupwatch_core::words::{capital, lasting, size};
use maud::{Markup, html};

use super::Scene;
use crate::ladder::LadderDocument;
use crate::page::timeline::{Rows, codes};
use crate::page::words;
use crate::status::DeviceStatus;

pub(super) fn causes(ladder: &LadderDocument) -> Markup {
    html! {
        section id="causes" class="card" aria-labelledby="causes-title" data-live {
            h2 id="causes-title" { "Why it may fail" }
            @if ladder.causes.is_empty() { p { "No cause is known. The steps begin with the mildest." } }
            ul class="causes" {
                @for cause in &ladder.causes {
                    li data-cause=(cause.code) {
                        h3 { (cause.title) }
                        p { (sentence(&cause.because)) }
                        @if let Some(says) = &cause.says { p { "The phone’s own words: “" (says) "”" } }
                        @if !cause.advice.is_empty() { p { (cause.advice) } }
                        p class="quiet" {
                            (words::confidence(&cause.confidence)) "."
                            @if let Some(error) = &cause.error { " Its error: " code { (error) } "." }
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

pub(super) fn section(scene: &Scene, device: &DeviceStatus, rows: &Rows) -> Markup {
    let evidence = &rows.evidence;
    html! {
        section id="evidence" class="card" aria-labelledby="evidence-title" data-live {
            h2 id="evidence-title" { "What this rests on" }
            @match &evidence.books {
                Some(books) => (read(scene, books)),
                None => p { "The phone keeps a note of its last iCloud attempts, and why they failed. It is read from each local backup made here; there is none yet." },
            }
            @if let Some(heard) = &evidence.heard { (listened(scene, heard)) }
            h3 { "Watch one attempt" }
            p {
                "While the " (words::noun(device)) " is connected, run "
                code { "backupwatch diagnose --live" }
                " in a terminal, and tap Back Up Now on its iCloud Backup page. What it says while it tries is read and explained, and shown here."
            }
        }
    }
}

fn read(scene: &Scene, books: &Books) -> Markup {
    html! {
        p { "From the phone’s own notes, as they were in the local backup of " (words::moment(books.at.0, &scene.zone)) "." }
        @if !books.attempts.is_empty() {
            h3 { "Its last attempts to back up to iCloud" }
            div class="scroll" tabindex="0" role="region" aria-label="Table of attempts" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Result" } th scope="col" { "Code" } th scope="col" { "In the phone’s words" } } }
                    tbody { @for attempt in books.attempts.iter().rev() { (tried(scene, attempt)) } }
                }
            }
        }
        @if let Some(windows) = &books.windows && !windows.is_empty() {
            h3 { "When it could have tried" }
            p { "It tries by itself only while it is charging, on Wi-Fi and locked, all at once." }
            ul { @for window in windows.iter().rev() { li { (stretch(scene, window)) } } }
        }
        dl class="facts" {
            @if let Some(failures) = books.failures { div { dt { "Failures in a row" } dd { (failures) } } }
            @if let Some(after) = books.retry_after { div { dt { "It tries again after" } dd { (words::moment(after.0, &scene.zone)) } } }
            @if let Some(upload) = &books.upload {
                div {
                    dt { "An upload under way" }
                    dd { (upload.permille / 10) "% done" @if let Some(left) = upload.left { ", about " (lasting(left)) " left" } }
                }
            }
            @if let Some(total) = books.total { div { dt { "Size of its iCloud backup" } dd { (size(total)) } } }
        }
        @if !books.largest.is_empty() {
            h3 { "The largest parts of it" }
            ul { @for part in &books.largest { li { (part.domain) ": " (size(part.bytes)) } } }
        }
    }
}

fn tried(scene: &Scene, attempt: &Attempt) -> Markup {
    html! {
        tr {
            td { (words::moment(attempt.at.0, &scene.zone)) }
            td { (if attempt.succeeded() { "Done" } else { "Failed" }) }
            td { (codes(attempt)) }
            td {
                @if let Some(text) = &attempt.text { (text) }
                @if let Some(app) = &attempt.app { " (app " (app) ")" }
            }
        }
    }
}

/// `25 September 2026, 01:00, for 7 minutes: it was unlocked`
fn stretch(scene: &Scene, window: &Window) -> Markup {
    let ends = [
        (window.enabled, "iCloud Backup was switched off"),
        (window.on_power, "it was taken off the charger"),
        (window.locked, "it was unlocked"),
        (window.on_wifi, "it lost its Wi-Fi"),
    ];
    let ended: Vec<&str> = ends
        .iter()
        .filter(|(held, _)| !held)
        .map(|(_, words)| *words)
        .collect();
    html! {
        (words::moment(window.start.0, &scene.zone)) ", for " (lasting(window.length))
        @if !ended.is_empty() { ": " (ended.join(", ")) }
    }
}

fn listened(scene: &Scene, heard: &Heard) -> Markup {
    html! {
        h3 { "Heard from the phone" }
        p {
            "On " (words::moment(heard.at.0, &scene.zone)) ": "
            @match &heard.attempt {
                Some(attempt) if attempt.succeeded() => "an iCloud backup was finished.",
                Some(attempt) => { "an attempt failed (" (codes(attempt)) ")." }
                None => "no attempt ended.",
            }
            @if heard.forbidden { " Its management forbids iCloud backups." }
            @if heard.nothing_due { " It said that it backed up lately and nothing is due." }
            @if heard.put_off { " It has put the next backup off." }
        }
    }
}
