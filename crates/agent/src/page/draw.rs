//! The frame of every page, and the pages for those who are not let in. Everything here is a pure function from values to markup;
//! maud escapes every text.

pub(super) mod device;
pub(super) mod devices;
mod evidence;
mod ladder;
mod timeline;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use super::entrance::{Said, Secret};
use super::{assets, words};

/// What a page is drawn with, beside what it shows.
#[derive(Debug)]
pub(super) struct Scene {
    /// For the forms.
    pub(super) token: Secret,
    /// What is said once.
    pub(super) said: Option<Said>,
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
}

impl Scene {
    /// A form that asks for something. Everything in it is a button or a field.
    fn form(&self, action: &str, inside: &Markup) -> Markup {
        html! {
            form method="post" action=(action) {
                input type="hidden" name="token" value=(self.token);
                (inside)
            }
        }
    }

    /// A moment for people and programs.
    fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at) title=(words::moment(at, &self.zone)) { (words::ago(at, self.now)) } }
    }

    fn said(&self) -> Markup {
        html! {
            // Always there, so that a screen reader speaks what is put into it.
            div id="said" role="status" {
                @if let Some(said) = &self.said {
                    p class={ "said " (if said.good { "good" } else { "bad" }) } { (said.words) }
                }
            }
        }
    }
}

/// An answer that is a page.
pub(super) fn page(status: StatusCode, page: Markup) -> impl IntoResponse {
    (status, Html(page.into_string()))
}

/// What stands around the contents.
struct Frame<'a> {
    title: &'a str,
    /// Into the head, beside what every page has.
    head: Markup,
    /// Where its events come from; empty for a page that stays as it is.
    events: &'a str,
    /// Whether there is a way back to all devices.
    back: bool,
}

fn frame(frame: &Frame<'_>, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) " · backupwatch" }
                link rel="icon" href=(assets::ICON) type="image/svg+xml";
                link rel="stylesheet" href=(assets::CSS);
                script src=(assets::JS) defer {}
                (frame.head)
            }
            body data-events=[(!frame.events.is_empty()).then_some(frame.events)] {
                a class="skip" href="#main" { "Skip to the content" }
                header class="top" {
                    span class="brand" { (shield()) "backupwatch" }
                    @if frame.back { nav aria-label="Devices" { a href="/" { "All devices" } } }
                }
                main id="main" tabindex="-1" { (main) }
                footer { p { "Served by backupwatch on this computer, to this computer only." } }
            }
        }
    }
}

fn shield() -> Markup {
    html! {
        svg class="shield" viewBox="0 0 32 32" aria-hidden="true" {
            path d="M16 2 4 7v8c0 7.4 5 12.6 12 15 7-2.4 12-7.6 12-15V7z" {}
            path class="tick" d="m10 16 4.5 4.5 8-8.5" {}
        }
    }
}

/// The sign of a verdict: four shapes, so that colour is not the only one.
fn sign(protection: &str) -> Markup {
    let shape = match protection {
        "protected" => "m7 12.5 3.5 3.500L17.5 8.5",
        "at_risk" => "M12 6.500v6.500M12 16.800v.2",
        "unprotected" => "m8 8 8 8M16 8l-8 8",
        _ => "M9.2 9.300c.3-3.5 6.1-3 5.6.4-.3 1.8-2.8 1.9-2.8 3.900M12 16.900v.2",
    };
    html! {
        svg class="sign" viewBox="0 0 24 24" aria-hidden="true" {
            circle cx="12" cy="12" r="11" {}
            path d=(shape) {}
        }
    }
}

/// The one word about a device, with its sign.
fn verdict(protection: &str) -> Markup {
    html! { span class={ "word " (protection) } { (sign(protection)) (words::protection(protection)) } }
}

fn plain(title: &str, head: Markup, main: &Markup) -> Markup {
    let around = Frame {
        title,
        head,
        events: "",
        back: false,
    };
    frame(
        &around,
        &html! { div class="narrow card" { h1 { (title) } (main) } },
    )
}

/// For those who have just come in; leads on by itself.
pub(super) fn entered(place: &str) -> Markup {
    let on = html! { meta http-equiv="refresh" content=(format!("0; url={place}")); };
    plain(
        "You are in",
        on,
        &html! { p { a href=(place) { "Go on to your devices" } } },
    )
}

/// For those without a cookie.
pub(super) fn closed() -> Markup {
    plain(
        "This page is closed",
        Markup::default(),
        &html! { (how_to_open()) },
    )
}

/// For a key that opens nothing.
pub(super) fn used_up() -> Markup {
    plain(
        "This link has been used, or is too old",
        Markup::default(),
        &html! { p { "A link opens this page once, and within two minutes." } (how_to_open()) },
    )
}

fn how_to_open() -> Markup {
    html! {
        p { "It shows the backups of the person who is signed in to this computer, and opens only for them: click a notice of backupwatch, or type this in a terminal." }
        p { code { "backupwatch open" } }
    }
}

/// For what is not done.
pub(super) fn refusal(words: &str) -> Markup {
    plain(
        "That did not work",
        Markup::default(),
        &html! { p { (words) } p { a href="/" { "All devices" } } },
    )
}
