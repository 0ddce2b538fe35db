//! What a look found: the document for programs, and the words for a person. This is the one place where the names of files
//! on the phone are shown, because somebody asked which of them are lost.

use crate::{
    terminal::{Terminal, Tone},
    words,
};
use backupwatch_agent::{report, status::DeviceStatus};
use backupwatch_backup::{
    Held, Store, VerifyReport, Which,
    verify::{Finding, LostFile, PasswordSays, Unchecked},
};
use backupwatch_core::{HostTime, Level, Udid};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

/// Files that a person is told by name; a program gets all that are kept.
const NAMED: usize = 20;

/// The document, schema 1.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Found {
    schema: u32,
    /// The UDID.
    device: String,
    name: Option<String>,
    /// `current`, or the name of an older version.
    version: String,
    made_at: Timestamp,
    checked_at: Timestamp,
    /// The level asked for, and the deepest that holds.
    asked: &'static str,
    level: Option<&'static str>,
    encrypted: bool,
    /// `not_tried`, `not_needed`, `opens` or `wrong`.
    password: &'static str,
    files: u64,
    bytes: u64,
    re_read: ReRead,
    /// How many things are wrong; `findings` has the first hundred of them.
    wrong: u64,
    findings: Vec<Wrong>,
    not_checked: Vec<NotChecked>,
    notes: Vec<String>,
    /// The newest other version that has damaged files as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_in: Option<KeptIn>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ReRead {
    files: u64,
    bytes: u64,
    of_files: u64,
    of_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Wrong {
    code: &'static str,
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct NotChecked {
    level: &'static str,
    why: &'static str,
    words: String,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct KeptIn {
    version: String,
    made_at: Timestamp,
    /// How many of the damaged files it has.
    files: u64,
}

impl Found {
    pub fn of(
        store: &Store,
        device: &DeviceStatus,
        held: &Held,
        report: &VerifyReport,
        asked: Level,
        at: HostTime,
    ) -> Self {
        let version = held.version();
        Self {
            schema: 1,
            device: device.udid.clone(),
            name: device.nickname.clone().or_else(|| device.name.clone()),
            version: version.which.name().to_owned(),
            made_at: version.at.0,
            checked_at: at.0,
            asked: report::level(asked),
            level: report.level.map(report::level),
            encrypted: report.encrypted,
            password: match report.password {
                PasswordSays::NotTried => "not_tried",
                PasswordSays::NotNeeded => "not_needed",
                PasswordSays::Opens => "opens",
                PasswordSays::Wrong => "wrong",
            },
            files: report.files,
            bytes: report.bytes,
            re_read: ReRead {
                files: report.read.files,
                bytes: report.read.bytes,
                of_files: report.read.of_files,
                of_bytes: report.read.of_bytes,
            },
            wrong: report.wrong,
            findings: report
                .findings
                .iter()
                .map(|finding| wrong(finding, &report.lost))
                .collect(),
            not_checked: report.unchecked.iter().map(not_checked).collect(),
            notes: report.notes.clone(),
            kept_in: kept_in(store, device, &version.which, &report.lost),
        }
    }
}

/// The newest of the other backups that has some of these files.
fn kept_in(
    store: &Store,
    device: &DeviceStatus,
    looked_at: &Which,
    lost: &[LostFile],
) -> Option<KeptIn> {
    let udid: Udid = device.udid.parse().ok()?;
    let others = store.versions(&udid).ok()?.into_iter().rev();
    others
        .filter(|version| version.which != *looked_at)
        .find_map(|version| {
            let held = store.open_version(&udid, &version.which).ok()?;
            let has = lost.iter().filter(|file| held.has_whole(&file.id)).count();
            (has > 0).then(|| KeptIn {
                version: version.which.name().to_owned(),
                made_at: version.at.0,
                files: u64::try_from(has).unwrap_or(u64::MAX),
            })
        })
}

fn wrong(finding: &Finding, lost: &[LostFile]) -> Wrong {
    let (code, id) = match finding {
        Finding::FileMissing { .. } => ("file_missing", None),
        Finding::FileUnreadable { .. } => ("file_unreadable", None),
        Finding::NotFinished { .. } => ("not_finished", None),
        Finding::WrongPhone { .. } => ("wrong_phone", None),
        Finding::Manifest(_) => ("manifest", None),
        Finding::Keybag(_) => ("keybag", None),
        Finding::Stray { .. } => ("stray", None),
        Finding::BlobMissing { id } => ("missing", Some(id)),
        Finding::BlobSize { id, .. } => ("size", Some(id)),
        Finding::Changed { id } => ("changed", Some(id)),
        Finding::BlobUnreadable { id, .. } => ("unreadable", Some(id)),
        Finding::Undecryptable { id, .. } => ("undecryptable", Some(id)),
    };
    let place = id
        .and_then(|id| lost.iter().find(|lost| lost.id == *id))
        .and_then(|lost| lost.place.clone());
    let (domain, path) = place.unzip();
    Wrong {
        code,
        words: finding.to_string(),
        domain,
        path,
        id: id.cloned(),
    }
}

fn not_checked(unchecked: &Unchecked) -> NotChecked {
    let (level, why) = match unchecked {
        Unchecked::NoPassword => ("L3", "no_password"),
        Unchecked::WrongPassword => ("L3", "wrong_password"),
        Unchecked::NoHashes => ("L4", "no_hashes"),
        Unchecked::HashesDamaged => ("L4", "hashes_damaged"),
        Unchecked::NotHashed { .. } => ("L4", "not_hashed"),
    };
    NotChecked {
        level,
        why,
        words: unchecked.to_string(),
    }
}

/// For a person.
pub fn words(terminal: Terminal, found: &Found, zone: &TimeZone) -> String {
    let mut lines = Vec::new();
    let mut say = |text: &str, hang| lines.push(terminal.wrapped("", text, hang));
    let tone = if found.wrong > 0 {
        Tone::Bad
    } else {
        Tone::Good
    };
    let headline = if found.wrong > 0 {
        damaged(found, zone)
    } else {
        whole(found, zone)
    };
    let tone = if found.wrong == 0 && found.falls_short() {
        Tone::Warning
    } else {
        tone
    };
    say(&tone.set(&headline), 0);
    for wrong in found.findings.iter().take(NAMED) {
        say(&format!("  {}", one(wrong)), 4);
    }
    let more = found
        .wrong
        .saturating_sub(u64::try_from(found.findings.len().min(NAMED)).unwrap_or(u64::MAX));
    if more > 0 {
        say(
            &format!(
                "  and {} more; `--json` has the first hundred",
                words::grouped(more)
            ),
            4,
        );
    }
    for not_checked in &found.not_checked {
        say(&format!("{}.", words::capital(&not_checked.words)), 0);
    }
    for note in &found.notes {
        say(&format!("{}.", words::capital(note)), 0);
    }
    if found.wrong > 0 {
        say(&next(found, zone), 0);
    }
    lines.join("\n")
}

impl Found {
    /// Not all that was asked for could be proved.
    fn falls_short(&self) -> bool {
        self.level < Some(self.asked) || self.password == "wrong"
    }

    fn the_backup(&self, zone: &TimeZone) -> String {
        let of = self
            .name
            .as_ref()
            .map_or_else(|| "this device".to_owned(), |name| printable(name));
        format!("backup of {of} from {}", words::date(self.made_at, zone))
    }
}

fn whole(found: &Found, zone: &TimeZone) -> String {
    let which = found.the_backup(zone);
    let Some(level) = found.level else {
        return format!("Nothing could be said of the {which}.");
    };
    let sealed = if found.encrypted && found.password != "opens" {
        " Without its password nobody can look into it."
    } else {
        ""
    };
    match (level, found.re_read.files) {
        ("L4", read) if read >= found.re_read.of_files => format!(
            "The {which} is whole: every one of its {} was read again and is as it arrived (L4).",
            words::files(found.files)
        ),
        ("L4", read) => format!(
            "{} of the {which} were read again and are as they arrived; nothing is missing (L4 in part).",
            words::capital(&of_all(read, found.re_read.of_files))
        ),
        ("L3", _) => format!(
            "The {which} has every one of its {} with the right size, and its list of files is sound{} (L3).",
            words::files(found.files),
            if found.encrypted {
                "; the password opens it"
            } else {
                ""
            }
        ),
        ("L2", _) => format!(
            "The {which} has every one of its {} with the right size (L2).",
            words::files(found.files)
        ),
        (level, _) => format!(
            "The {which} is finished, and the files that say what it is are in order ({level}).{sealed}"
        ),
    }
}

fn of_all(read: u64, all: u64) -> String {
    format!("{} of {}", words::grouped(read), words::files(all))
}

fn damaged(found: &Found, zone: &TimeZone) -> String {
    let (files, are) = match found.wrong {
        1 => ("1 file".to_owned(), "is"),
        many => (words::files(many), "are"),
    };
    let backup = found.the_backup(zone);
    // What is too much harms no other file.
    let strays = found.findings.iter().filter(|one| one.code == "stray");
    if strays.count() as u64 == found.wrong {
        return format!("{files} in the {backup} {are} not of the phone’s making:");
    }
    format!("{files} of the {backup} {are} damaged:")
}

fn one(wrong: &Wrong) -> String {
    let name = match (&wrong.domain, &wrong.path) {
        (Some(domain), Some(path)) => format!("{}, {}", printable(domain), printable(path)),
        _ => return printable(&wrong.words),
    };
    let what = match wrong.code {
        "missing" => "missing",
        "size" => "not of the right size",
        "unreadable" => "cannot be read",
        "undecryptable" => "cannot be decrypted",
        _ => "changed",
    };
    format!("{name} ({what})")
}

fn next(found: &Found, zone: &TimeZone) -> String {
    let mut next = if found.version == "current" {
        "Make a new backup now (`backupwatch backup`): the phone will send everything again."
            .to_owned()
    } else {
        "This is an older version; it no longer counts as a verified one.".to_owned()
    };
    if let Some(kept) = &found.kept_in {
        let lost = found
            .findings
            .iter()
            .filter(|wrong| wrong.id.is_some())
            .count();
        let them = match (kept.files, lost) {
            (1, 1) => "it".to_owned(),
            (has, lost) if u64::try_from(lost).is_ok_and(|lost| has >= lost) => "them".to_owned(),
            (has, lost) => format!("{} of these {lost}", words::files(has)),
        };
        let which = if kept.version == "current" {
            "The current backup".to_owned()
        } else {
            format!("The version of {}", words::date(kept.made_at, zone))
        };
        next.push_str(&format!(" {which} has {them} as they were."));
    }
    next
}

/// Names come from the phone; a terminal obeys what it is sent.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect()
}
