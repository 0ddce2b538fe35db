//! One device: the verdict and what it rests on, the local backup, the last 90 days, the ladder, the evidence, the notices.

use maud::{Markup, html};

use super::devices::{remarks, seen};
use super::{Frame, Scene, evidence, frame, ladder, timeline, verdict};
use crate::diagnosis::DiagnosisDocument;
use crate::ladder::{LadderDocument, StepEntry};
use crate::page::hearing::Hearing;
use crate::page::timeline::{Rows, Timeline};
use crate::page::words;
use crate::status::{AgentStatus, DeviceStatus};

/// Notices that are shown; all of them are in `backupwatch history`.
const NOTICES: usize = 12;

/// What is shown.
pub(in crate::page) struct Known<'a> {
    pub(in crate::page) agent: &'a AgentStatus,
    pub(in crate::page) device: &'a DeviceStatus,
    pub(in crate::page) ladder: &'a LadderDocument,
    pub(in crate::page) diagnosis: &'a DiagnosisDocument,
    /// What is or was listened to just now.
    pub(in crate::page) hearing: Option<&'a Hearing>,
    pub(in crate::page) rows: &'a Rows,
}

pub(in crate::page) fn page(scene: &Scene, known: &Known<'_>) -> Markup {
    let Known {
        agent,
        device,
        ladder,
        diagnosis,
        hearing,
        rows,
    } = *known;
    let name = words::name(device);
    let at = format!("/devices/{}", device.udid);
    let past = Timeline::of(rows, diagnosis, scene.now, &scene.zone);
    let around = Frame {
        title: name,
        head: html! {
            // Where no script keeps it fresh.
            @if device.backup.is_some() { noscript { meta http-equiv="refresh" content="10"; } }
        },
        events: &format!("{at}/events"),
        back: true,
    };
    frame(
        &around,
        &html! {
            h1 { (name) }
            p id="seen" class="quiet" data-live { (what(device)) " · " (seen(scene, device)) }
            (scene.said())
            div id="remarks" data-live { (remarks(&agent.remarks)) }
            (standing(scene, device, ladder))
            div class="columns" {
                div class="first" {
                    (backup(scene, device, &at))
                    (evidence::causes(ladder))
                }
                (ladder::section(scene, device, ladder))
                (notices(scene, device, rows, &at))
            }
            (timeline::section(scene, &past))
            (evidence::section(scene, device, diagnosis, hearing))
        },
    )
}

fn what(device: &DeviceStatus) -> Markup {
    let noun = words::noun(device);
    let system = if noun == "iPad" { "iPadOS" } else { "iOS" };
    html! {
        (backupwatch_core::words::capital(noun))
        @if let Some(version) = &device.os_version { ", " (system) " " (version) }
    }
}

fn standing(scene: &Scene, device: &DeviceStatus, ladder: &LadderDocument) -> Markup {
    let mut steps = ladder.steps.iter();
    let held = |step: &StepEntry| ladder.held.as_ref() == Some(&step.id);
    let step = steps.find(|step| step.state == "next" || held(step));
    html! {
        section id="verdict" class={ "card verdict " (device.protection) } aria-labelledby="verdict-title" data-live data-protection=(device.protection) {
            h2 id="verdict-title" { (verdict(&device.protection)) }
            p class="lead" { (device.reason) }
            @if !device.next.words.is_empty() {
                p class="next" {
                    strong { "What next: " } (device.next.words) " "
                    @match (device.next.code.as_str(), step) {
                        ("show_steps", Some(step)) => a href=(format!("#{}", step.id)) { "Go to step " (step.id) },
                        ("show_steps", None) => a href="#steps" { "Go to the steps" },
                        (_, _) => {},
                    }
                }
            }
            dl class="facts" {
                div { dt { "iCloud backup" } dd { (words::icloud(&device.icloud, scene.now, &scene.zone)) } }
                div { dt { "Backup on this computer" } dd { (words::local(&device.local, scene.now, &scene.zone)) } }
                div {
                    dt { "As of" }
                    dd { @match device.seen_at { Some(at) => { (words::moment(at, &scene.zone)) } None => "never in contact" } }
                }
            }
            (local_only(scene, device))
        }
    }
}

/// Whether local backups are enough, as long as that is a question or an answer.
fn local_only(scene: &Scene, device: &DeviceStatus) -> Markup {
    let action = format!("/devices/{}/local-only", device.udid);
    html! {
        @if device.local_only {
            p class="quiet" { "You chose that local backups are enough for this " (words::noun(device)) "." }
            (scene.form(&action, &html! { button name="chosen" value="no" { "Watch its iCloud backup again" } }))
        } @else if device.next.code == "switch_on" {
            (scene.form(&action, &html! { button name="chosen" value="yes" { "Local backups are enough" } }))
        }
    }
}

fn backup(scene: &Scene, device: &DeviceStatus, at: &str) -> Markup {
    html! {
        section id="backup" class="card" aria-labelledby="backup-title" data-live data-running=(device.backup.is_some()) {
            h2 id="backup-title" { "Local backup" }
            @match &device.backup {
                Some(now) => {
                    div id="progress" {
                        p id="phase" class="lead" role="status" { (words::phase(&now.phase)) }
                        @match now.percent {
                            Some(percent) => progress id="bar" max="100" value=(format!("{percent:.1}")) aria-labelledby="phase" {}
                            None => progress id="bar" aria-labelledby="phase" {}
                        }
                        p id="amount" class="quiet" { (words::amount(now)) }
                    }
                    p { "Leave the " (words::noun(device)) " connected until it is done." }
                    div class="buttons" {
                        (scene.form(&format!("{at}/cancel"), &html! { button { "Stop the backup" } }))
                        a class="button plain" href=(at) { "Reload" }
                    }
                }
                None => {
                    p { (words::local(&device.local, scene.now, &scene.zone)) "." }
                    @if let Some(root) = &device.root {
                        p class="quiet" { "It goes to a folder of its own: " code { (root) } }
                    }
                    @if let Some(due) = &device.due {
                        p {
                            "A backup is needed: " (due.reasons.join(", ")) "."
                            @if !due.waiting_for.is_empty() { " It waits for " (due.waiting_for) "." }
                        }
                    }
                    (scene.form(&format!("{at}/backup"), &html! { button class="main" { "Back up now" } }))
                    p class="quiet" {
                        @if device.links.is_empty() { "Connect the " (words::noun(device)) " with its cable first. " }
                        "It asks for its passcode on its own screen, so have it in your hand."
                    }
                }
            }
        }
    }
}

fn notices(scene: &Scene, device: &DeviceStatus, rows: &Rows, at: &str) -> Markup {
    html! {
        section id="notices" class="card" aria-labelledby="notices-title" data-live {
            h2 id="notices-title" { "What you were told" }
            (snooze(scene, device, &format!("{at}/snooze")))
            @if rows.notices.is_empty() { p { "Nothing so far." } }
            ol class="log" {
                @for notice in rows.notices.iter().take(NOTICES) {
                    li {
                        p class="quiet" { (words::moment(notice.at.0, &scene.zone)) }
                        p { strong { (notice.title) } " " (notice.body) }
                    }
                }
            }
        }
    }
}

fn snooze(scene: &Scene, device: &DeviceStatus, action: &str) -> Markup {
    html! {
        @if let Some(since) = device.muted_since {
            p { "It has been muted since " (words::moment(since, &scene.zone)) ": nothing is told about it until somebody lifts that." }
            p { code { "backupwatch device unset " (device.udid) " --mute" } }
        }
        @match device.snoozed_until {
            Some(until) => {
                p { "Nothing is said about it, and no backup begins by itself, until " (words::moment(until, &scene.zone)) "." }
                (scene.form(action, &html! { button name="days" value="0" { "Show notices again" } }))
            }
            None => {
                p { "Not now? Then nothing is said about it for a while, and no backup begins by itself." }
                (scene.form(action, &html! {
                    div class="buttons" {
                        button name="days" value="1" { "Snooze for a day" }
                        button name="days" value="7" { "For a week" }
                    }
                }))
            }
        }
    }
}
