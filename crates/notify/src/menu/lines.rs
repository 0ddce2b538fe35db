//! The menu's lines, the same on every platform. Names come from phones and are text of strangers: what controls, hides or turns
//! text around is taken out, and every line is bounded.

use super::{Choice, Menu, MenuDevice};
use backupwatch_core::{Protection, text::plain};

/// With so few devices, the reason of each stands in the menu itself; else in the device's own menu.
const ROOMY: usize = 4;
/// Longest name; phones have names of up to 48 characters, people give longer ones.
const NAME: usize = 48;
/// Longest sentence.
const SENTENCE: usize = 240;
/// Where a sentence is broken. A wide menu is hard to read, and no toolkit breaks its lines.
const WIDTH: usize = 56;

/// One line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// To be read.
    Words(String),
    /// To be chosen.
    Choice(String, Choice),
    /// A device, with a menu of its own.
    Device(String, Vec<Line>),
    /// Between groups.
    Separator,
}

/// The whole menu, top to bottom.
pub(crate) fn lines(menu: &Menu) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(trouble) = &menu.trouble {
        lines.extend(sentence(trouble, ""));
        lines.push(Line::Separator);
    }
    let roomy = menu.devices.len() <= ROOMY;
    for device in &menu.devices {
        let label = format!(
            "{} {}: {}",
            mark(device.protection),
            isolated(name(&device.name)),
            word(device.protection)
        );
        lines.push(Line::Device(label, own(device, roomy)));
        if let Some(progress) = &device.progress {
            lines.extend(sentence(progress, INDENT));
        }
        if roomy {
            lines.extend(sentence(&device.reason, INDENT));
        }
    }
    if menu.devices.is_empty() {
        lines.push(Line::Words("No iPhone or iPad has been seen yet.".into()));
        lines.push(Line::Words("Connect one with its cable.".into()));
    }
    if menu.more > 0 {
        lines.push(Line::Choice(
            format!("and {} more: Open", menu.more),
            Choice::Open,
        ));
    }
    lines.push(Line::Separator);
    lines.push(Line::Choice("Open Backupwatch".into(), Choice::Open));
    lines.push(Line::Choice("Quit Until Next Login".into(), Choice::Quit));
    lines
}

/// What the item is worth saying without its menu. Has no word that comes from a phone: some desktops read markup here.
pub(crate) fn summary(menu: &Menu) -> String {
    match (&menu.trouble, shown(menu)) {
        (Some(_), _) => "Phones cannot be seen".to_owned(),
        (None, None) => "No iPhone or iPad has been seen yet".to_owned(),
        (None, Some(worst)) => {
            let same = menu.devices.iter().filter(|one| one.protection == worst);
            let all = menu.devices.len().saturating_add(menu.more);
            match (worst, all, same.count()) {
                (worst, 1, _) => word(worst).to_owned(),
                // Those without an entry may be as bad.
                (worst, _, _) if menu.more > 0 => format!("{}, {all} devices", word(worst)),
                (worst, _, count) => format!("{}: {count} of {all} devices", word(worst)),
            }
        }
    }
}

/// What the glyph says. Nothing is protected for certain while phones cannot be seen.
pub(crate) fn shown(menu: &Menu) -> Option<Protection> {
    match (menu.worst, &menu.trouble) {
        (Some(Protection::Protected), Some(_)) => Some(Protection::Unknown),
        (worst, _) => worst,
    }
}

const INDENT: &str = "    ";

/// The menu of one device.
fn own(device: &MenuDevice, roomy: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if !roomy {
        lines.extend(sentence(&device.reason, ""));
        lines.push(Line::Separator);
    }
    let choices = device.actions.iter().map(|action| {
        let choice = Choice::Device(device.udid.clone(), *action);
        Line::Choice(action.label().to_owned(), choice)
    });
    lines.extend(choices);
    lines
}

fn word(protection: Protection) -> &'static str {
    match protection {
        Protection::Protected => "Protected",
        Protection::AtRisk => "At risk",
        Protection::Unprotected => "Unprotected",
        Protection::Unknown => "Not known",
    }
}

/// The glyph's shape as a character, for a menu is text.
fn mark(protection: Protection) -> char {
    match protection {
        Protection::Protected => '✓',
        Protection::AtRisk => '▲',
        Protection::Unprotected => '✕',
        Protection::Unknown => '?',
    }
}

fn name(name: &str) -> String {
    let name = plain(name, NAME);
    if name.is_empty() {
        "A device without a name".to_owned()
    } else {
        name
    }
}

/// A name in a script that runs from right to left must not carry the verdict to its other side.
fn isolated(name: String) -> String {
    let turns = |c: char| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}');
    if name.contains(turns) {
        format!("\u{2068}{name}\u{2069}")
    } else {
        name
    }
}

fn sentence(text: &str, indent: &str) -> Vec<Line> {
    textwrap::wrap(&plain(text, SENTENCE), WIDTH)
        .into_iter()
        .map(|part| Line::Words(format!("{indent}{part}")))
        .collect()
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
