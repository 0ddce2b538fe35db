//! The backups of a device as a document and as a table.

use crate::words;
use backupwatch_agent::{api::words::SCHEMA, status::DeviceStatus};
use backupwatch_backup::{Measured, Version, Which};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::path::PathBuf;

/// What `versions --json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listed {
    schema: u32,
    /// The UDID.
    device: String,
    /// What its owner called it.
    name: Option<String>,
    /// Bytes that the disk has left.
    free: u64,
    /// What deleting all versions together would free.
    frees: u64,
    /// The newest first.
    versions: Vec<Entry>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Entry {
    /// `current`, or the name that `--version` takes.
    version: String,
    made_at: Timestamp,
    path: PathBuf,
    /// Checked on this disk, and not known to be damaged.
    verified: bool,
    /// Known to be damaged.
    damaged: bool,
    level: Option<String>,
    encrypted: Option<bool>,
    files: Option<u64>,
    bytes: Option<u64>,
    /// What deleting this one alone would free; none of the current one, which is never deleted.
    frees: Option<u64>,
}

impl Listed {
    pub fn of(device: &DeviceStatus, measured: &Measured, free: u64) -> Self {
        let versions = measured.versions.iter().enumerate();
        let entries = versions.rev().map(|(number, version)| {
            let frees = match version.which {
                Which::Current => None,
                Which::Before(_) => Some(measured.shares.alone(number)),
            };
            entry(version, frees)
        });
        Self {
            schema: SCHEMA,
            device: device.udid.clone(),
            name: device.nickname.clone().or_else(|| device.name.clone()),
            free,
            frees: measured
                .shares
                .freed(&(0..measured.versions.len()).collect()),
            versions: entries.collect(),
        }
    }
}

fn entry(version: &Version, frees: Option<u64>) -> Entry {
    let copy = version.copy.as_ref();
    Entry {
        version: version.which.name().to_owned(),
        made_at: version.at.0,
        path: version.path.clone(),
        verified: copy.is_some(),
        damaged: version.damaged,
        level: copy.map(|copy| format!("{:?}", copy.level)),
        encrypted: copy.map(|copy| copy.encrypted),
        files: copy.map(|copy| copy.files),
        bytes: copy.map(|copy| copy.bytes),
        frees,
    }
}

/// The same for a person.
pub fn words(listed: &Listed, now: Timestamp, zone: &TimeZone) -> String {
    let name = listed.name.as_deref().unwrap_or(&listed.device);
    if listed.versions.is_empty() {
        return format!("There is no backup of {name} here. Make one by `backupwatch backup`.");
    }
    let head = [
        "NAME",
        "MADE",
        "AGE",
        "CHECKED",
        "ENCRYPTED",
        "FILES",
        "SIZE",
        "FREES",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(listed.versions.iter().map(|entry| row(entry, now, zone)));
    let mut text = table(&rows);
    let before = listed.versions.iter().filter(|e| e.frees.is_some()).count();
    let sum = words::bytes(listed.frees);
    let free = words::bytes(listed.free);
    text.push_str(&match before {
        0 => format!("\n{free} are free on the disk."),
        1 => format!("\nDeleting the version before would free {sum}. {free} are free on the disk."),
        many => format!(
            "\nDeleting all {many} versions would free {sum}; they share files. {free} are free on the disk."
        ),
    });
    text
}

fn row(entry: &Entry, now: Timestamp, zone: &TimeZone) -> [String; 8] {
    // As a plan of pruning writes it.
    let made = entry.made_at.to_zoned(zone.clone());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    [
        entry.version.clone(),
        made.strftime("%Y-%m-%d %H:%M").to_string(),
        words::ago(entry.made_at, now),
        match &entry.level {
            _ if entry.damaged => "damaged".to_owned(),
            Some(level) => level.clone(),
            None => "no".to_owned(),
        },
        or_dash(
            entry
                .encrypted
                .map(|yes| if yes { "yes" } else { "no" }.to_owned()),
        ),
        or_dash(entry.files.map(words::grouped)),
        or_dash(entry.bytes.map(words::bytes)),
        or_dash(entry.frees.map(words::bytes)),
    ]
}

/// Columns two apart; the numbers, which are last, at the right.
fn table(rows: &[[String; 8]]) -> String {
    let mut widths = [0; 8];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column < 5 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_a_person() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let version = |name: &str, made: &str, frees| Entry {
            version: name.to_owned(),
            made_at: at(made),
            path: PathBuf::from("/b"),
            verified: true,
            damaged: false,
            level: Some("L2".to_owned()),
            encrypted: Some(false),
            files: Some(51_203),
            bytes: Some(48_100_000_000),
            frees,
        };
        let mut listed = Listed {
            schema: SCHEMA,
            device: "00008110-000A1B2C3D4E5F60".to_owned(),
            name: Some("Anna’s iPhone".to_owned()),
            free: 98_000_000_000,
            frees: 4_600_000_000,
            versions: vec![
                version("current", "2026-10-04T11:41:00Z", None),
                version(
                    "2026-10-01T081500Z",
                    "2026-10-01T08:15:00Z",
                    Some(3_100_000_000),
                ),
                Entry {
                    verified: false,
                    damaged: true,
                    level: None,
                    encrypted: None,
                    files: None,
                    bytes: None,
                    ..version("2026-08-14T080000Z", "2026-08-14T08:00:00Z", Some(400_000))
                },
            ],
        };
        let now = at("2026-10-04T12:00:00Z");
        insta::assert_snapshot!(words(&listed, now, &TimeZone::UTC));
        listed.versions.clear();
        insta::assert_snapshot!(words(&listed, now, &TimeZone::UTC));
    }
}
