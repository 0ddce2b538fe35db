//! The last 90 days as a picture, and the same as a table. The picture is as wide as the window: places are percentages, and nothing
//! is stretched.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Scene;
use crate::page::timeline::{DAYS, Mark, Sort, Timeline};
use crate::page::words;

/// Between the edge and the first day, in percent of the width.
const EDGE: f64 = 2.0;
/// Where the lanes are, in pixels from above.
const CLOUD: u32 = 36;
const LOCAL: u32 = 84;
const SEEN: u32 = 128;
const BASE: u32 = 148;
const HIGH: u32 = 172;

/// In the order of the legend.
const SORTS: [Sort; 5] = [
    Sort::Cloud,
    Sort::CloudFailed,
    Sort::Local,
    Sort::LocalFailed,
    Sort::Damaged,
];

pub(super) fn section(scene: &Scene, past: &Timeline) -> Markup {
    html! {
        section id="timeline" class="card" aria-labelledby="timeline-title" data-live {
            h2 id="timeline-title" { "The last " (DAYS) " days" }
            (picture(scene, past))
            (legend())
            details {
                summary { "The same as a table" }
                (table(scene, past))
            }
        }
    }
}

fn name(sort: Sort) -> &'static str {
    match sort {
        Sort::Cloud => "iCloud backup",
        Sort::CloudFailed => "iCloud backup failed",
        Sort::Local => "Local backup, checked",
        Sort::LocalFailed => "Local backup did not finish",
        Sort::Damaged => "Local backup found damaged",
    }
}

fn class(sort: Sort) -> &'static str {
    match sort {
        Sort::Cloud => "cloud",
        Sort::CloudFailed => "cloud-failed",
        Sort::Local => "local",
        Sort::LocalFailed => "local-failed",
        Sort::Damaged => "damaged",
    }
}

fn lane(sort: Sort) -> u32 {
    match sort {
        Sort::Cloud | Sort::CloudFailed => CLOUD,
        Sort::Local | Sort::LocalFailed | Sort::Damaged => LOCAL,
    }
}

/// Five shapes, so that colour is not the only difference. Drawn around 0, 0.
fn shape(sort: Sort) -> Markup {
    html! {
        @match sort {
            Sort::Cloud => circle r="5" {},
            Sort::CloudFailed => path d="m-4.5-4.5 9 9m0-9-9 9" {},
            Sort::Local => rect x="-5" y="-5" width="10" height="10" rx="2" {},
            Sort::LocalFailed => path d="M-5-5H5V5H-5zM-5-5 5 5" {},
            Sort::Damaged => path d="M0-6 6 5H-6z" {},
        }
    }
}

fn place(past: &Timeline, at: Timestamp) -> String {
    let percent = EDGE + past.place(at) * (100.0 - 2.0 * EDGE);
    format!("{percent:.2}%")
}

fn picture(scene: &Scene, past: &Timeline) -> Markup {
    let weeks = (0..=12).filter_map(|n| {
        past.end
            .checked_sub(jiff::SignedDuration::from_hours(24 * 7 * n))
            .ok()
    });
    html! {
        svg class="chart" height=(HIGH) role="img" aria-labelledby="chart-title chart-desc" {
            title id="chart-title" { "Backups of the last " (DAYS) " days" }
            desc id="chart-desc" { (summary(scene, past)) }
            g class="grid" aria-hidden="true" {
                @for week in weeks { line x1=(place(past, week)) x2=(place(past, week)) y1="14" y2=(BASE) {} }
                @for y in [CLOUD, LOCAL, SEEN] { line class="lane" x1="0" x2="100%" y1=(y) y2=(y) {} }
            }
            g class="labels" aria-hidden="true" {
                text x="0" y=(CLOUD - 16) { "iCloud" }
                text x="0" y=(LOCAL - 16) { "This computer" }
                text x="0" y=(SEEN - 12) { "Connected" }
                text x="0" y=(HIGH - 6) { (words::day(past.begin, &scene.zone)) }
                text class="end" x="100%" y=(HIGH - 6) { "Today" }
            }
            g class="contacts" {
                @for (first, last) in &past.seen {
                    line x1=(place(past, first.0)) x2=(place(past, last.0)) y1=(SEEN) y2=(SEEN) {}
                }
            }
            @for mark in past.marks.iter().rev() {
                svg class="at" x=(place(past, mark.at)) y=(lane(mark.sort)) {
                    g class={ "mark " (class(mark.sort)) } { title { (sentence(scene, mark)) } (shape(mark.sort)) }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul class="legend" aria-label="Legend" {
            @for sort in SORTS {
                li {
                    svg viewBox="-8 -8 16 16" aria-hidden="true" { g class={ "mark " (class(sort)) } { (shape(sort)) } }
                    (name(sort))
                }
            }
            li {
                svg viewBox="-8 -8 16 16" aria-hidden="true" { g class="contacts" { line x1="-6" x2="6" y1="0" y2="0" {} } }
                "Connected to this computer"
            }
        }
    }
}

/// `25 September 2026`, or from one day to another.
fn days(scene: &Scene, first: Timestamp, last: Timestamp) -> String {
    let (first, last) = (
        words::day(first, &scene.zone),
        words::day(last, &scene.zone),
    );
    if first == last {
        first
    } else {
        format!("{first} to {last}")
    }
}

/// `iCloud backup failed (MBErrorDomain 303), 25 September 2026, 20:11`
fn sentence(scene: &Scene, mark: &Mark) -> String {
    let (name, when) = (name(mark.sort), words::moment(mark.at, &scene.zone));
    match mark.detail.as_str() {
        "" => format!("{name}, {when}"),
        detail => format!("{name} ({detail}), {when}"),
    }
}

/// The picture in one paragraph.
fn summary(scene: &Scene, past: &Timeline) -> String {
    let mut parts: Vec<String> = Vec::new();
    for sort in SORTS {
        let mut of = past.marks.iter().filter(|mark| mark.sort == sort);
        if let Some(newest) = of.next() {
            let last = words::day(newest.at, &scene.zone);
            let all = of.count() + 1;
            parts.push(format!("{}: {all}, the last on {last}.", name(sort)));
        }
    }
    match past.seen.last() {
        Some((_, last)) => parts.push(format!(
            "Last connected on {}.",
            words::day(last.0, &scene.zone)
        )),
        None => parts.push("Not connected in this time.".to_owned()),
    }
    if past.marks.is_empty() {
        parts.insert(
            0,
            "No backup in this time, as far as this computer knows.".to_owned(),
        );
    }
    parts.join(" ")
}

fn table(scene: &Scene, past: &Timeline) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Table of the last 90 days" {
            table {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Details" } } }
                tbody {
                    @for mark in &past.marks {
                        tr { td { (words::moment(mark.at, &scene.zone)) } td { (name(mark.sort)) } td { (mark.detail) } }
                    }
                    @for (first, last) in past.seen.iter().rev() {
                        tr {
                            td { (days(scene, first.0, last.0)) }
                            td { "Connected to this computer" }
                            td {}
                        }
                    }
                }
            }
        }
    }
}
