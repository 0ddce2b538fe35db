//! The steps of one device, from the mildest to the harshest: what each does and costs, how it stands, and what a person says of it.

use maud::{Markup, html};

use super::Scene;
use crate::ladder::{LadderDocument, StepEntry};
use crate::page::{qr, words};
use crate::status::DeviceStatus;

pub(super) fn section(scene: &Scene, device: &DeviceStatus, ladder: &LadderDocument) -> Markup {
    // The reason is said with the verdict already.
    let words = ladder.words.strip_prefix(&device.reason);
    let standing = words.unwrap_or(&ladder.words).trim_start();
    html! {
        section id="steps" aria-labelledby="steps-title" data-live {
            h2 id="steps-title" { "Steps to get iCloud Backup going again" }
            @if let Some(recovery) = &ladder.recovery {
                p class="said good" {
                    "iCloud Backup works again: the last one is of " (words::moment(recovery.date, &scene.zone))
                    @if let Some(step) = &recovery.after { ", after step " (step) } "."
                }
            }
            @if !standing.is_empty() { p class="lead" id="standing" { (standing) } }
            ol class="steps" { @for entry in &ladder.steps { (one(scene, device, entry, ladder.held.as_ref())) } }
            p class="quiet" { "Menu names differ a little between releases of iOS. The search field in Settings finds “iCloud Backup”." }
        }
    }
}

fn one(scene: &Scene, device: &DeviceStatus, entry: &StepEntry, held: Option<&String>) -> Markup {
    let is_turn = entry.state == "next" || held == Some(&entry.id);
    let state = words::step_state(&entry.state, entry.marked.is_some());
    html! {
        li id=(entry.id) class={ "card step " (entry.state) } data-state=(entry.state) {
            details open[is_turn] {
                summary {
                    h3 { (entry.title) }
                    span class="badge" { span class="vh" { "Step " } (entry.id) }
                    span class={ "state " (entry.state) } { (state) }
                }
                @if !entry.why.is_empty() { p class="why" { (entry.why) } }
                @for seen in &entry.seen { p class="seen" { (seen) } }
                // Of a step that has its time, or had it, the reason says that already.
                @if let Some(at) = entry.marked.filter(|_| matches!(entry.state.as_str(), "ready" | "locked" | "never")) {
                    p class="quiet" { "You have marked it before, " (scene.time(at)) "." }
                }
                (body(entry))
                (buttons(scene, device, entry))
            }
        }
    }
}

fn body(entry: &StepEntry) -> Markup {
    html! {
        dl class="costs" {
            div { dt { "Takes" } dd { (entry.takes) } }
            div { dt { "Risk" } dd { (entry.risk) } }
            div { dt { "You lose" } dd { (entry.loses) } }
        }
        @for warning in &entry.warnings { p class="warning" { strong { "Before you begin: " } (warning) } }
        @if !entry.path.is_empty() {
            p class="path" { span class="quiet" { "On the device: " } (entry.path) @if !entry.search.is_empty() { span class="quiet" { " " (entry.search) } } }
        }
        div class="how" {
            ol class="actions" { @for action in &entry.actions { li { (action) } } }
            figure {
                @if let Some(code) = qr::code(&entry.link, &format!("QR code of Apple’s page: {}", entry.link_title)) { (code) }
                figcaption {
                    "On the phone: point its camera here. Here: "
                    a href=(entry.link) rel="noreferrer" { (entry.link_title) } " (Apple)"
                }
            }
        }
        p { strong { "It worked when: " } (entry.sign) }
    }
}

/// What may be said of a step as it stands.
fn buttons(scene: &Scene, device: &DeviceStatus, entry: &StepEntry) -> Markup {
    let marked = entry.marked.is_some();
    let open = matches!(entry.state.as_str(), "next" | "ready");
    let all = [
        ("did", "I did it", open && !marked),
        ("did_not_help", "It did not help", open),
        ("not_for_me", "Not for me", open && !marked),
        ("undo", "Undo", marked),
    ];
    let action = format!("/devices/{}/steps/{}", device.udid, entry.id);
    html! {
        @if all.iter().any(|(_, _, offered)| *offered) {
            (scene.form(&action, &html! {
                div class="buttons" role="group" aria-label=(format!("What you say of step {}", entry.id)) {
                    @for (mark, label, _) in all.iter().filter(|(_, _, offered)| *offered) {
                        button name="mark" value=(mark) class=[(*mark == "did" && entry.state == "next").then_some("main")] { (label) }
                    }
                }
            }))
        }
    }
}
