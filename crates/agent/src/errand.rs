//! The program of the person's after a verified backup, as a job of the agent: the backup is held while the program reads it, and how
//! that ended is a record.
//!
//! Held means that nobody takes the backup away. A newer one may take its place meanwhile, because a safety net is not kept waiting
//! for a copy of an older one; the program begins in the folder of its backup and stays there, wherever that is renamed to, and it
//! runs again for the newer one.

use std::ffi::OsString;
use std::time::Duration;

use backupwatch_backup::{Held, Which};
use backupwatch_core::text::plain;
use backupwatch_core::{HostTime, Udid};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::jobs::Place;
use crate::medium;
use crate::outside::program::{self, End, Order};
use crate::outside::settings::Hooks;
use crate::report;

/// As much of a phone's name as a program is told.
const NAME: usize = 100;

/// How a run of the program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// After a backup of which device.
    pub udid: Udid,
    /// When it began.
    pub started: HostTime,
    /// When it ended.
    pub ended: HostTime,
    /// Whether all is well.
    pub ok: bool,
    /// A stable code: `ok`, `failed`, `late`, `cut_short`, `not_started`, `unsafe`, `no_backup` or `overtaken`.
    pub outcome: String,
    /// One sentence.
    pub words: String,
}

impl Run {
    /// One whose job broke.
    pub(crate) fn broken(udid: Udid, now: HostTime, words: &str) -> Self {
        Self {
            udid,
            started: now,
            ended: now,
            ok: false,
            outcome: "not_started".to_owned(),
            words: format!("The program after the backup could not be run: {words}."),
        }
    }

    /// Whether it runs again by itself.
    pub fn is_to_be_repeated(&self) -> bool {
        matches!(self.outcome.as_str(), "cut_short" | "overtaken")
    }
}

/// What is to be run, and for whom.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The device whose newest backup it is.
    pub udid: Udid,
    /// What it is called.
    pub name: Option<String>,
    /// The program.
    pub hooks: Hooks,
}

/// Runs it to its end, or until `cancel`.
pub(crate) async fn run(
    errand: Errand,
    place: Place,
    clock: &dyn Clock,
    cancel: CancellationToken,
) -> Run {
    let started = clock.now();
    let udid = errand.udid.clone();
    let (outcome, how) = attempt(errand, place, cancel).await;
    tracing::info!(
        udid = udid.short(),
        outcome,
        how,
        "the program after the backup has ended"
    );
    Run {
        udid,
        started,
        ended: clock.now(),
        ok: outcome == "ok",
        outcome: outcome.to_owned(),
        words: format!("The program after the backup {how}."),
    }
}

async fn attempt(
    errand: Errand,
    place: Place,
    cancel: CancellationToken,
) -> (&'static str, String) {
    let (udid, hooks) = (errand.udid.clone(), errand.hooks.clone());
    let ready = tokio::task::spawn_blocking(move || {
        if let Some(path) = hooks.program() {
            program::check(path).map_err(|error| {
                (
                    "unsafe",
                    format!("was not run: failed to {}", medium::in_full(&error)),
                )
            })?;
        }
        let gone = |why: String| ("no_backup", format!("was not run: {why}"));
        let store = medium::open(&place.root, place.origin, place.known.as_ref())
            .map_err(|why| gone(why.into()))?;
        let held = store
            .open_version(&udid, &Which::Current)
            .map_err(|error| gone(medium::in_full(&error)))?;
        let version = held.version();
        if version.damaged || version.copy.is_none() {
            return Err(gone(
                "the newest backup is not verified any more".to_owned(),
            ));
        }
        Ok(held)
    });
    let held = match ready.await {
        Ok(Ok(held)) => held,
        Ok(Err(why)) => return why,
        Err(error) => return ("not_started", format!("could not be run: {error}")),
    };
    let order = Order {
        words: errand.hooks.after_backup.clone(),
        environment: environment(&errand, &held),
        folder: held.version().path.clone(),
        limit: Duration::from_secs(
            u64::try_from(errand.hooks.time_limit.as_seconds()).unwrap_or_default(),
        ),
    };
    let end = program::run(order, cancel).await;
    // Let go only now.
    let overtaken = tokio::task::spawn_blocking(move || {
        held.folder().ok().as_ref() != Some(&held.version().path)
    });
    let overtaken = overtaken.await.unwrap_or(true);
    let well = matches!(&end, End::Status(status, _) if status.success());
    if well && overtaken {
        let how = "ended well, but a newer backup took the place of the one that it was reading; it runs again for that one";
        return ("overtaken", how.to_owned());
    }
    (code(&end), end.to_string())
}

fn code(end: &End) -> &'static str {
    match end {
        End::Status(status, _) if status.success() => "ok",
        End::Status(..) => "failed",
        End::Late => "late",
        End::CutShort => "cut_short",
        End::NotStarted(_) => "not_started",
    }
}

/// What the program is told. Documented in the user guide; nothing secret is in it.
fn environment(errand: &Errand, held: &Held) -> Vec<(&'static str, OsString)> {
    let version = held.version();
    let mut told: Vec<(&'static str, OsString)> = vec![
        ("BACKUPWATCH_DEVICE_UDID", errand.udid.as_str().into()),
        (
            "BACKUPWATCH_DEVICE_NAME",
            plain(errand.name.as_deref().unwrap_or_default(), NAME).into(),
        ),
        ("BACKUPWATCH_BACKUP_PATH", version.path.clone().into()),
        ("BACKUPWATCH_BACKUP_TIME", version.at.0.to_string().into()),
        ("BACKUPWATCH_RESULT", "verified".into()),
    ];
    if let Some(copy) = &version.copy {
        told.extend([
            ("BACKUPWATCH_LEVEL", report::level(copy.level).into()),
            (
                "BACKUPWATCH_ENCRYPTED",
                if copy.encrypted { "yes" } else { "no" }.into(),
            ),
            ("BACKUPWATCH_BYTES", copy.bytes.to_string().into()),
            ("BACKUPWATCH_FILES", copy.files.to_string().into()),
        ]);
    }
    told
}
