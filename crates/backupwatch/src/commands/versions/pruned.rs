//! A plan of pruning and what came of it, as a document and in words.

use backupwatch_agent::{api::words::SCHEMA, status::DeviceStatus};
use backupwatch_backup::{Pruning, Which};
use backupwatch_core::retention::{Cause, Fate, Reason, Short};
use jiff::Timestamp;
use serde::Serialize;

/// What `versions prune --json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    schema: u32,
    /// The UDID.
    device: String,
    /// What its owner called it.
    name: Option<String>,
    dry_run: bool,
    /// The newest first.
    plan: Vec<Step>,
    /// What the deletions of the plan free together.
    frees: Option<u64>,
    /// The disk stays too full all the same.
    short: Option<TooFull>,
    /// Names of those that are gone now.
    deleted: Vec<String>,
    /// Names of those that should be and are not, because somebody reads them.
    being_read: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Step {
    version: String,
    made_at: Timestamp,
    /// `keep` or `delete`.
    action: &'static str,
    /// Why it stays.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    reasons: Vec<Reason>,
    /// Why it goes: `rules` or `room`.
    cause: Option<&'static str>,
    frees: Option<u64>,
    /// The same in words.
    words: String,
}

/// A disk that stays too full.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TooFull {
    /// Bytes that should be free.
    keep_free: u64,
    /// Bytes that will be.
    free: u64,
}

impl Pruned {
    pub fn of(device: &DeviceStatus, pruning: &Pruning, dry_run: bool) -> Self {
        let steps = pruning.versions.iter().zip(&pruning.plan.fates);
        let steps = steps.map(|(version, (_, fate))| step(&version.which, version.at.0, fate));
        let mut plan: Vec<Step> = steps.collect();
        plan.reverse();
        let being_read: Vec<String> = pruning.being_read.iter().map(name).collect();
        let goes = |step: &&Step| step.action == "delete" && !being_read.contains(&step.version);
        let deleted = plan.iter().filter(goes).map(|step| step.version.clone());
        Self {
            schema: SCHEMA,
            device: device.udid.clone(),
            name: device.nickname.clone().or_else(|| device.name.clone()),
            dry_run,
            frees: pruning.plan.frees,
            short: pruning
                .plan
                .short
                .map(|Short { keep_free, free }| TooFull { keep_free, free }),
            deleted: if dry_run {
                Vec::new()
            } else {
                deleted.collect()
            },
            being_read,
            plan,
        }
    }
}

fn name(which: &Which) -> String {
    which.name().to_owned()
}

fn step(which: &Which, at: Timestamp, fate: &Fate) -> Step {
    let (action, reasons, cause, frees) = match fate {
        Fate::Keep(reasons) => ("keep", reasons.clone(), None, None),
        Fate::Delete { cause, frees } => {
            let cause = match cause {
                Cause::Rules { .. } => "rules",
                Cause::Room => "room",
            };
            ("delete", Vec::new(), Some(cause), *frees)
        }
    };
    Step {
        version: name(which),
        made_at: at,
        action,
        reasons,
        cause,
        frees,
        words: fate.to_string(),
    }
}

/// The plan, and what came of it.
pub fn words(pruned: &Pruned, pruning: &Pruning) -> String {
    if pruning.versions.is_empty() {
        return "There are no backups before the current one.".to_owned();
    }
    let mut text = pruning.plan.to_string();
    for name in &pruned.being_read {
        text.push_str(&format!("\n{name} is being read, so it is still there"));
    }
    let goes = pruning.plan.deletions().count();
    if goes > 0 {
        text.push_str(&match (pruned.dry_run, pruned.deleted.len()) {
            (true, _) => "\nNothing was deleted: this was --dry-run.".to_owned(),
            (false, 1) => "\n1 version was deleted.".to_owned(),
            (false, many) => format!("\n{many} versions were deleted."),
        });
    }
    text
}
