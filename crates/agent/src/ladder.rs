//! The ladder of one device as a document, schema 1: the same for the local API and `fix --json`. A contract with scripts, additive
//! changes only.

use backupwatch_core::evidence::Books;
use backupwatch_core::ladder::{Climb, Rung};
use backupwatch_core::steps::Guard;
use backupwatch_core::watcher::{Event, Watcher};
use backupwatch_core::{HostTime, Now, Udid, diagnosis};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::state::{State, StateError};

/// The schema number of this document.
pub const SCHEMA: u32 = 1;

/// Why iCloud Backup of a device fails, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LadderDocument {
    /// The number of this shape.
    pub schema: u32,
    /// As of when.
    pub as_of: Timestamp,
    /// The device.
    pub device: String,
    /// The name its owner gave it.
    pub name: Option<String>,
    /// Where things stand, in one sentence.
    pub words: String,
    /// The likeliest first; empty when nothing is known to be wrong.
    pub causes: Vec<CauseEntry>,
    /// In the order in which they should be taken.
    pub steps: Vec<StepEntry>,
    /// The step whose turn it is, but that is locked: what its `why` asks for is the thing to do now.
    #[serde(default)]
    pub held: Option<String>,
    /// Present once iCloud Backup works again.
    pub recovery: Option<RecoveryEntry>,
}

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CauseEntry {
    /// Stable.
    pub code: String,
    /// The same for people.
    pub title: String,
    /// `certain`, `likely` or `possible`.
    pub confidence: String,
    /// Why we think so.
    pub because: String,
    /// The error's domain and number, if one names it.
    pub error: Option<String>,
    /// The app that it is about, if one was named: its bundle identifier.
    #[serde(default)]
    pub app: Option<String>,
    /// The phone's own text of an error that is not known, without paths and names.
    #[serde(default)]
    pub says: Option<String>,
    /// What to do about it or to know, for people; may be empty.
    #[serde(default)]
    pub advice: String,
}

impl CauseEntry {
    /// The cause as an entry.
    pub fn of(cause: &diagnosis::Cause) -> Self {
        Self {
            code: cause.code.clone(),
            title: cause.title.clone(),
            confidence: cause.confidence.code().to_owned(),
            because: cause.because.clone(),
            error: cause
                .error
                .as_ref()
                .map(|error| format!("{} {}", error.domain, error.code)),
            app: cause.app.clone(),
            says: cause.says.clone(),
            advice: cause.advice.clone(),
        }
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepEntry {
    /// `S0` to `S9`, with `S3b`, `S5a` and `S6b`.
    pub id: String,
    /// `done`, `next`, `ready`, `locked`, `never` or `tried`.
    pub state: String,
    /// Why it stands so.
    pub why: String,
    /// What it is called.
    pub title: String,
    /// How long it takes.
    pub takes: String,
    /// How much can go wrong.
    #[serde(default)]
    pub risk: String,
    /// What is lost by it.
    pub loses: String,
    /// `none`, `verified_24h` or `encrypted_24h`.
    pub guard: String,
    /// The menu path on this device; empty where there is none.
    pub path: String,
    /// How to find that place without the path; empty where that does not help.
    #[serde(default)]
    pub search: String,
    /// What to read before.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What to do, one action each.
    #[serde(default)]
    pub actions: Vec<String>,
    /// By what one sees that it worked.
    #[serde(default)]
    pub sign: String,
    /// Apple's page about it.
    #[serde(default)]
    pub link: String,
    /// What that page is called.
    #[serde(default)]
    pub link_title: String,
    /// When the person said that they did it, or that it is not for them.
    pub marked: Option<Timestamp>,
    /// What was seen of it since.
    pub seen: Vec<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecoveryEntry {
    /// When it was seen.
    pub at: Timestamp,
    /// The date of the iCloud backup that proves it.
    pub date: Timestamp,
    /// After which step, if one was tried.
    pub after: Option<String>,
}

/// The document as it can be judged from what the last agent left behind, and from the phone's notes if somebody found some;
/// none when the device is not known. As of when that agent last looked.
pub fn from_state(
    state: &State,
    config: &Config,
    udid: &Udid,
    books: Option<Books>,
    now: &Now,
) -> Result<Option<LadderDocument>, StateError> {
    let looked = state.agent()?.last_poll.unwrap_or(now.host);
    let devices = state.devices()?.into_iter();
    let remembered = devices.map(|device| device.remembered).collect();
    let mut watcher = Watcher::new(config.policies.clone(), remembered);
    if let Some(books) = books.map(Box::new) {
        let udid = udid.clone();
        // What the watcher wants done about it is not done here.
        drop(watcher.handle(now, Event::BooksRead { udid, books }));
    }
    let Some(climb) = watcher.climb(udid, now) else {
        return Ok(None);
    };
    let views = watcher.devices(now).into_iter();
    let name = views
        .filter(|view| view.udid == *udid)
        .find_map(|view| view.name);
    Ok(Some(document(udid, name, &climb, looked)))
}

/// The document of this ladder.
pub fn document(udid: &Udid, name: Option<String>, climb: &Climb, now: HostTime) -> LadderDocument {
    LadderDocument {
        schema: SCHEMA,
        as_of: now.0,
        device: udid.to_string(),
        name,
        words: climb.words.clone(),
        causes: climb.causes.iter().map(CauseEntry::of).collect(),
        steps: climb.rungs.iter().map(step).collect(),
        held: climb.held.map(|step| step.code().to_owned()),
        recovery: climb.recovery.as_ref().map(|recovery| RecoveryEntry {
            at: recovery.at.0,
            date: recovery.date.0,
            after: recovery.after.map(|step| step.code().to_owned()),
        }),
    }
}

fn step(rung: &Rung) -> StepEntry {
    let step = &rung.text;
    let guard = match step.guard {
        Guard::None => "none",
        Guard::Verified => "verified_24h",
        Guard::Encrypted => "encrypted_24h",
    };
    StepEntry {
        id: rung.step.code().to_owned(),
        state: rung.state.code().to_owned(),
        why: rung.why.clone(),
        title: step.title.clone(),
        takes: step.takes.clone(),
        risk: step.risk.clone(),
        loses: step.loses.clone(),
        guard: guard.to_owned(),
        path: step.path.clone(),
        search: rung.search.clone(),
        warnings: rung.warnings.clone(),
        actions: step.actions.clone(),
        sign: step.sign.clone(),
        link: step.link.clone(),
        link_title: step.link_title.clone(),
        marked: rung.marked.map(|at| at.0),
        seen: rung.seen.clone(),
    }
}
