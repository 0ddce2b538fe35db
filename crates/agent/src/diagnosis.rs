//! What speaks for the causes, as a document, schema 1: what the phone itself noted of its iCloud backups, and what was heard
//! live. The same for the local API and `diagnose --json`. A contract with scripts, additive changes only.
//!
//! Not here: what to do about it (`ladder`).

use backupwatch_core::diagnosis::Cause;
use backupwatch_core::diagnosis::log::{Sign, SignKind};
use backupwatch_core::evidence::{Attempt, Books, ErrorCode, Evidence, Heard, Window};
use backupwatch_core::watcher::{Event, Remembered, Watcher};
use backupwatch_core::{HostTime, LocalCopy, Now, Udid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::ladder::CauseEntry;

/// The schema number of this document.
pub const SCHEMA: u32 = 1;

/// Why iCloud Backup of a device fails, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiagnosisDocument {
    /// The number of this shape.
    pub schema: u32,
    /// As of when.
    pub as_of: Timestamp,
    /// The device.
    pub device: String,
    /// The name its owner gave it.
    pub name: Option<String>,
    /// The likeliest first; empty when nothing is known to be wrong.
    pub causes: Vec<CauseEntry>,
    /// What the phone noted.
    pub notes: NotesEntry,
    /// The last time that somebody listened to its log.
    pub heard: Option<HeardEntry>,
}

/// What the phone noted of its iCloud backups, found in a backup of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotesEntry {
    /// `read`, `sealed` (in an encrypted backup, and older ones at best are known), `none` (no backup of ours has any) or
    /// `no_backup`.
    pub state: String,
    /// The same for people, with the next step where there is one.
    pub words: String,
    /// When the backup was made from which they are; absent when none were ever read.
    pub as_of: Option<Timestamp>,
    /// Whether iCloud Backup was switched on then.
    pub enabled: Option<bool>,
    /// When the last iCloud backup before it ended, by the device's clock.
    pub last: Option<Timestamp>,
    /// The last attempts, newest first.
    pub attempts: Vec<AttemptEntry>,
    /// Failures in a row, as the phone counts them.
    pub failures: Option<u32>,
    /// The same for failures over files whose keys are missing.
    pub missing_key_failures: Option<u32>,
    /// The phone tries no earlier.
    pub retry_after: Option<Timestamp>,
    /// The last stretches on charger and Wi-Fi, newest first; absent when the phone told none in a form that is known.
    pub windows: Option<Vec<WindowEntry>>,
    /// A cloud backup that was under way: how far, from 0 to 1000.
    pub upload_permille: Option<u16>,
    /// What is largest in its backup, largest first.
    pub largest: Vec<PartEntry>,
    /// What all of it comes to, in bytes.
    pub total: Option<u64>,
}

/// One attempt of the phone to back up to iCloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptEntry {
    /// When, by the device's clock.
    pub at: Timestamp,
    /// Whether a backup came of it.
    pub ok: bool,
    /// The errors, the outermost first, each a domain and a number.
    pub errors: Vec<String>,
    /// What they mean, where that is known.
    pub means: Option<String>,
    /// What the phone says of it, without paths and names.
    pub text: Option<String>,
    /// The app whose file could not be read, if one was named.
    pub app: Option<String>,
}

/// One stretch on charger and Wi-Fi and locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WindowEntry {
    /// When it began, by the device's clock.
    pub start: Timestamp,
    /// How long it lasted, in seconds.
    pub length_s: i64,
    /// What ended it: any of `unlocked`, `power`, `wifi`, `off`.
    pub ended_by: Vec<String>,
}

/// A part of the phone's backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PartEntry {
    /// A backup domain, such as `AppDomain-org.example.app`.
    pub domain: String,
    /// What people call it: `photos and videos`, or the app's identifier; absent for what only engineers know.
    pub words: Option<String>,
    /// In bytes.
    pub bytes: u64,
}

/// What was heard while somebody listened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeardEntry {
    /// When that ended.
    pub at: Timestamp,
    /// The attempt that ended meanwhile, if one did.
    pub attempt: Option<AttemptEntry>,
}

/// One line of the answer to `POST /v1/devices/{udid}/listen`. The last one is `ended`; a stream that stops without it means
/// that the agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ListenEvent {
    /// The phone lets us hear its log: now is the time to tap *Back Up Now*.
    Listening,
    /// Something was heard that means something.
    Sign(SignEntry),
    /// Nothing more is heard.
    Ended(ListenEnd),
}

/// Something that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignEntry {
    /// When, by the device's clock.
    pub at: Timestamp,
    /// What it is, for machines: `under_way`, `succeeded`, `failed`, …
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub code: SignKind,
    /// The same for people, a sentence.
    pub words: String,
    /// The error's domain and number, if one names it.
    pub error: Option<String>,
}

/// How listening ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListenEnd {
    /// `attempt_ended`, `time_up`, `stopped`, `refused` or `link_lost`.
    pub why: String,
    /// The same for people, a sentence.
    pub words: String,
    /// What is thought of it now, the likeliest first.
    pub causes: Vec<CauseEntry>,
}

/// What a document is made of.
#[derive(Debug)]
pub struct Known<'a> {
    /// The device.
    pub udid: &'a Udid,
    /// The name its owner gave it.
    pub name: Option<String>,
    /// What is thought.
    pub causes: &'a [Cause],
    /// Why.
    pub evidence: &'a Evidence,
    /// Our newest backup of it.
    pub copy: Option<&'a LocalCopy>,
}

/// The document of what is known.
pub fn document(known: &Known<'_>, now: HostTime) -> DiagnosisDocument {
    DiagnosisDocument {
        schema: SCHEMA,
        as_of: now.0,
        device: known.udid.to_string(),
        name: known.name.clone(),
        causes: known.causes.iter().map(CauseEntry::of).collect(),
        notes: notes(known.evidence.books.as_ref(), known.copy),
        heard: known.evidence.heard.as_ref().map(heard),
    }
}

/// What was found in the store just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest backup of the device, if there is one.
    pub copy: Option<LocalCopy>,
    /// The phone's notes in it, if they were read.
    pub books: Option<Books>,
}

/// What would be thought of a device with what was found: without an agent, and nothing is kept.
pub fn judged(
    config: &Config,
    remembered: Vec<Remembered>,
    udid: &Udid,
    found: Option<Found>,
    now: &Now,
) -> Option<DiagnosisDocument> {
    let mut copy = (remembered.iter())
        .find(|one| one.udid == *udid)
        .and_then(|one| one.past.copy.clone());
    let mut watcher = Watcher::new(config.policies.clone(), remembered);
    // What the watcher wants done about it is not done here.
    let mut tell = |event| drop(watcher.handle(now, event));
    if let Some(found) = found {
        copy.clone_from(&found.copy);
        tell(Event::StoreScanned {
            udid: udid.clone(),
            copy: found.copy,
            check: None,
        });
        if let Some(books) = found.books {
            tell(Event::BooksRead {
                udid: udid.clone(),
                books: Box::new(books),
            });
        }
    }
    let evidence = watcher.evidence(udid)?;
    let climb = watcher.climb(udid, now)?;
    let view = watcher
        .devices(now)
        .into_iter()
        .find(|view| view.udid == *udid);
    let known = Known {
        udid,
        name: view.and_then(|view| view.name),
        causes: &climb.causes,
        evidence,
        copy: copy.as_ref(),
    };
    Some(document(&known, now.host))
}

/// What a person reads of notes that nobody could read.
pub(crate) const SEALED: &str = "The phone’s own notes are inside the encrypted backup; run `backupwatch diagnose` and enter its password.";

/// Whether the newest notes are in an encrypted backup, and not known.
pub(crate) fn is_sealed(books: Option<&Books>, copy: Option<&LocalCopy>) -> bool {
    copy.is_some_and(|copy| copy.encrypted && books.is_none_or(|books| books.at < copy.at))
}

fn notes(books: Option<&Books>, copy: Option<&LocalCopy>) -> NotesEntry {
    let (state, words) = match (books, copy) {
        _ if is_sealed(books, copy) => ("sealed", SEALED),
        (Some(books), Some(copy)) if books.at < copy.at => (
            "read",
            "From an older local backup; the newest one has none.",
        ),
        (Some(_), _) => ("read", "From the newest local backup."),
        (None, Some(_)) => (
            "none",
            "The local backup has no notes of the phone on its iCloud backups.",
        ),
        (None, None) => (
            "no_backup",
            "The phone’s own notes come with a local backup, and there is none yet: run `backupwatch backup`.",
        ),
    };
    let blank;
    let told = match books {
        Some(books) => books,
        None => {
            blank = Books::blank(HostTime(Timestamp::UNIX_EPOCH));
            &blank
        }
    };
    NotesEntry {
        state: state.to_owned(),
        words: words.to_owned(),
        as_of: books.map(|books| books.at.0),
        enabled: told.enabled,
        last: told.last.map(|at| at.0),
        attempts: told.attempts.iter().rev().map(attempt).collect(),
        failures: told.failures,
        missing_key_failures: told.missing_key_failures,
        retry_after: told.retry_after.map(|at| at.0),
        windows: (told.windows.as_ref()).map(|windows| windows.iter().rev().map(window).collect()),
        upload_permille: told.upload.map(|upload| upload.permille),
        largest: (told.largest.iter())
            .map(|part| PartEntry {
                words: backupwatch_core::diagnosis::part(&part.domain),
                domain: part.domain.clone(),
                bytes: part.bytes,
            })
            .collect(),
        total: told.total,
    }
}

fn attempt(attempt: &Attempt) -> AttemptEntry {
    AttemptEntry {
        at: attempt.at.0,
        ok: attempt.succeeded(),
        errors: attempt.chain.iter().map(error).collect(),
        means: backupwatch_core::diagnosis::meaning(attempt),
        text: attempt.text.clone(),
        app: attempt.app.clone(),
    }
}

fn window(window: &Window) -> WindowEntry {
    let lost = [
        ("off", window.enabled),
        ("power", window.on_power),
        ("unlocked", window.locked),
        ("wifi", window.on_wifi),
    ];
    WindowEntry {
        start: window.start.0,
        length_s: window.length.as_seconds(),
        ended_by: (lost.iter())
            .filter(|(_, there)| !there)
            .map(|(what, _)| (*what).to_owned())
            .collect(),
    }
}

fn heard(heard: &Heard) -> HeardEntry {
    HeardEntry {
        at: heard.at.0,
        attempt: heard.attempt.as_ref().map(attempt),
    }
}

fn error(error: &ErrorCode) -> String {
    format!("{} {}", error.domain, error.code)
}

impl SignEntry {
    /// The sign as a line.
    pub fn of(sign: &Sign) -> Self {
        Self {
            at: sign.at.0,
            code: sign.kind,
            words: sign.words.clone(),
            error: sign.error.as_ref().map(error),
        }
    }
}

#[cfg(test)]
mod tests;
