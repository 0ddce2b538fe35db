//! What can be wrong with a set-up: one check each, what was found, and the one thing that cures it. The examination here is
//! the agent's own, because each program has its own permissions and its own desktop; everything else is looked at by the
//! command (`backupwatch doctor`), which shows both as one report.
//!
//! A check changes nothing that stays, panics into no other, and keeps nobody waiting for longer than [`LIMIT`].

mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use backupwatch_core::Udid;
use serde::{Deserialize, Serialize};

use crate::medium::Origin;
use crate::outside::Contact;
use crate::places;
use crate::state;

/// The schema number of the report.
pub const SCHEMA: u32 = 1;

/// How long one check may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// The number of this shape.
    pub schema: u32,
    /// In the order in which a person should read them. One that makes no sense because of another is left out.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// A stable code. Checks of a device have the same one for each device.
    pub id: String,
    /// The beginning of its UDID, for checks of one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How it is.
    pub status: Outcome,
    /// What was found, in one sentence or two.
    pub says: String,
    /// The one command or step that cures it; absent when nothing is to be cured.
    pub cure: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All is well.
    Pass,
    /// It works, and somebody should know something all the same.
    Warn,
    /// Something does not work.
    Fail,
}

impl Check {
    /// All is well.
    pub fn pass(id: &str, says: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            device: None,
            status: Outcome::Pass,
            says: says.into(),
            cure: None,
        }
    }

    /// It works, but.
    pub fn warn(id: &str, says: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status: Outcome::Warn,
            cure: Some(cure.into()),
            ..Self::pass(id, says)
        }
    }

    /// It does not work.
    pub fn fail(id: &str, says: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status: Outcome::Fail,
            cure: Some(cure.into()),
            ..Self::pass(id, says)
        }
    }

    /// The same, of a device.
    #[must_use]
    pub fn of(self, udid: &backupwatch_core::Udid) -> Self {
        Self {
            device: Some(udid.short().to_owned()),
            ..self
        }
    }
}

/// What a check finds, or that it was silent or broke. `what` is who did not answer, `cure` what helps against silence.
pub async fn limited<T: Send + 'static>(
    id: &str,
    what: &str,
    cure: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Check> {
    // A task of its own, so that a panic in it ends nothing else.
    let mut task = tokio::spawn(work);
    match tokio::time::timeout(LIMIT, &mut task).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(broke(id, what, &error)),
        Err(_late) => {
            task.abort();
            let limit = LIMIT.as_secs();
            let says = format!("{what} did not answer within {limit} s.");
            Err(Check::fail(id, says, cure))
        }
    }
}

/// The same for what blocks. A thread that hangs is left behind, and keeps nobody from ending.
pub async fn limited_blocking<T: Send + 'static>(
    id: &str,
    what: &str,
    cure: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Check> {
    let found = limited(id, what, cure, tokio::task::spawn_blocking(work)).await?;
    found.map_err(|error| broke(id, what, &error))
}

fn broke(id: &str, what: &str, error: &tokio::task::JoinError) -> Check {
    tracing::error!(id, %error, "a check broke");
    Check::fail(
        id,
        format!("This check itself broke: {what} could not be looked at."),
        "Run `backupwatch doctor -v` and report what it writes.",
    )
}

/// What the one who makes the backups looks at.
#[derive(Debug, Clone)]
pub struct Place {
    /// The root of the backups.
    pub root: PathBuf,
    /// Whether it may be made.
    pub origin: Origin,
    /// The roots of single devices.
    pub own: BTreeMap<Udid, PathBuf>,
    /// The state file, in which the sizes of the last backups are.
    pub database: PathBuf,
    /// Whether notices are to be shown on the desktop.
    pub desktop: bool,
}

/// The examination by whoever makes the backups and shows the notices: the agent, or this process where none runs.
pub async fn examine(place: Place) -> Report {
    let desktop = place.desktop;
    let database = place.database.clone();
    let (notices, heard, backups) =
        tokio::join!(notices(desktop), outside(database), backups(place));
    let mut checks = vec![notices];
    checks.extend(heard);
    checks.extend(backups);
    Report {
        schema: SCHEMA,
        checks,
    }
}

/// Each root once, the shared one first. All at the same time, so that several disks that hang take no longer than one.
async fn backups(place: Place) -> Vec<Check> {
    let own = places::roots(&place.own).into_iter();
    let own = own.filter(|root| **root != place.root).map(|root| {
        let mut devices = place.own.iter().filter(|(_, other)| *other == root);
        let only = match (devices.next(), devices.next()) {
            (Some((udid, _)), None) => Some(udid.clone()),
            (None | Some(_), _) => None,
        };
        let place = Place {
            root: root.to_owned(),
            origin: Origin::Configured,
            ..place.clone()
        };
        (place, true, only)
    });
    let mut looks = tokio::task::JoinSet::new();
    for (number, (place, is_own, only)) in std::iter::once((place.clone(), false, None))
        .chain(own)
        .enumerate()
    {
        looks.spawn(async move {
            let root = place.root.display().to_string();
            let disk = format!("The disk of {root}");
            let cure = "Connect the disk again, or restart the computer.";
            let looked = limited_blocking(place::ROOT, &disk, cure, move || place::look(&place));
            let mut checks = looked.await.unwrap_or_else(|check| vec![check]);
            for check in checks.iter_mut().filter(|_| is_own) {
                if !check.says.contains(&root) {
                    check.says = format!("{root}: {}", check.says);
                }
                check.device = only.as_ref().map(|udid| udid.short().to_owned());
            }
            (number, checks)
        });
    }
    let mut found = looks.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().flat_map(|(_, checks)| checks).collect()
}

/// Whether those outside took what they were told last. Nobody is asked now: what goes over the network a person has configured, and
/// this is not it.
async fn outside(database: PathBuf) -> Vec<Check> {
    const ID: &str = "outside";
    let cure = "Compare its address in the configuration with what the service says, and look whether this computer is online.";
    let read = move || -> Vec<Contact> {
        // A state that cannot be read is another check's.
        let contacts = state::open_read_only(&database).and_then(|state| state.kept_contacts());
        let contacts = contacts.unwrap_or_default();
        contacts.into_iter().map(|(_, contact)| contact).collect()
    };
    let read = limited_blocking(ID, "The state", "Restart the computer.", read);
    let one = |contact: &Contact| {
        let name = contact.name();
        let says = match (&contact.refused, &contact.failing, contact.reached) {
            (Some((_, why)), ..) => format!("{name} refused what it was told last: {why}."),
            (None, Some((_, why)), _) => format!("{name} was not reached the last time: {why}."),
            (None, None, Some(_)) => {
                return Check::pass(ID, format!("{name} took what it was told last."));
            }
            (None, None, None) => return Check::pass(ID, format!("{name} was told nothing yet.")),
        };
        Check::warn(ID, says, cure)
    };
    match read.await {
        Ok(contacts) => contacts.iter().map(one).collect(),
        Err(check) => vec![check],
    }
}

/// Whether notices come onto a screen.
async fn notices(desktop: bool) -> Check {
    const ID: &str = "notices";
    if !desktop {
        let says = "Notices are not shown, as it is configured (notify.desktop = false). `backupwatch history` has them.";
        return Check::pass(ID, says);
    }
    let cure = "Log in to the desktop again.";
    let reached = limited(
        ID,
        "The desktop's notification service",
        cure,
        backupwatch_notify::reachable(),
    );
    match reached.await {
        Ok(Ok(())) => Check::pass(ID, "Notices can be shown on this desktop."),
        Ok(Err(trouble)) => Check::fail(
            ID,
            format!("Notices cannot be shown: {}.", trouble.why),
            trouble.cure,
        ),
        Err(check) => check,
    }
}
