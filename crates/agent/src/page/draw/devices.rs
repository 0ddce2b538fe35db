//! All devices: each with its verdict, what next, and when it was seen.

use maud::{Markup, html};

use super::{Frame, Scene, frame, verdict};
use crate::page::words;
use crate::status::{DeviceStatus, Status};

pub(in crate::page) fn page(scene: &Scene, status: &Status) -> Markup {
    let around = Frame {
        title: "Your devices",
        head: Markup::default(),
        events: "",
        back: false,
    };
    frame(
        &around,
        &html! {
            div class="heading" {
                h1 { "Your devices" }
                (scene.form("/check", &html! { button { "Look again" } }))
            }
            (scene.said())
            (remarks(&status.agent.remarks))
            @if status.devices.is_empty() {
                div class="card narrow" {
                    h2 { "No device is known yet" }
                    p { "Connect the iPhone or iPad with a cable, unlock it, and tap Trust on it when it asks." }
                }
            }
            ul class="devices" { @for device in worst_first(status) { li { (one(scene, device)) } } }
        },
    )
}

/// What a person should know about the agent itself.
pub(super) fn remarks(remarks: &[String]) -> Markup {
    html! {
        @if !remarks.is_empty() {
            aside class="remarks" aria-label="About backupwatch itself" {
                @for remark in remarks { p { (remark) } }
            }
        }
    }
}

/// Who needs somebody comes first; then the order of the document.
fn worst_first(status: &Status) -> Vec<&DeviceStatus> {
    let mut devices: Vec<&DeviceStatus> = status.devices.iter().collect();
    devices.sort_by_key(|device| device.protection().turn());
    devices
}

fn one(scene: &Scene, device: &DeviceStatus) -> Markup {
    html! {
        article class={ "card device " (device.protection) } data-udid=(device.udid) data-protection=(device.protection) {
            h2 { a href=(format!("/devices/{}", device.udid)) { (words::name(device)) } }
            p { (verdict(&device.protection)) }
            p { (device.reason) }
            @if !device.next.words.is_empty() {
                p class="next" { strong { "What next: " } (device.next.words) }
            }
            p class="quiet" { (seen(scene, device)) }
        }
    }
}

/// When it was in contact, and how.
pub(super) fn seen(scene: &Scene, device: &DeviceStatus) -> Markup {
    let how = match device.links.first().map(String::as_str) {
        Some("usb") => ", connected by cable now",
        Some(_) => ", connected over Wi-Fi now",
        None => ", not connected now",
    };
    html! {
        @match device.seen_at {
            Some(at) => { "Seen " (scene.time(at)) (how) }
            None => { "Never in contact" (how) }
        }
    }
}
