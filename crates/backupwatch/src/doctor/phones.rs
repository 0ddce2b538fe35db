//! The phones that usbmuxd lists, each visited once, whatever the agent knows of them already.

use backupwatch_agent::{
    clock::SystemClock,
    doctor::{Check, LIMIT, limited},
};
use backupwatch_core::{
    Facts, NoAnswer, Period, Trust, Udid,
    judge::{SKEW_MENTIONED, SKEW_WRONG},
    text::plain,
};
use backupwatch_device::{Attached, DeviceError, Timeouts, Transport};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

const LIST: &str = "devices";
const ANSWERS: &str = "device_answers";
const TRUST: &str = "device_trust";
const DATE: &str = "device_date";
const CLOCK: &str = "device_clock";

/// So many are visited; a wall of phones is for `backupwatch check`.
const MOST: usize = 16;

/// What usbmuxd said.
pub enum Listed {
    There(Vec<Attached>),
    Not(DeviceError),
    Silent(Check),
    /// Nobody knows where it is.
    NotAsked,
}

/// What usbmuxd and the phones said.
pub struct Phones {
    pub listed: Listed,
    visits: Vec<Visit>,
}

struct Visit {
    udid: Udid,
    told: Result<Facts, Trouble>,
}

/// Why a phone told nothing.
enum Trouble {
    No(NoAnswer),
    Silent,
}

/// Short of [`LIMIT`], so that what was told until then counts.
pub fn timeouts() -> Timeouts {
    let most = LIMIT.saturating_sub(Duration::from_millis(500));
    Timeouts {
        // Whoever asks has the limit of a check.
        mux: LIMIT * 2,
        network_hello: Duration::from_secs(3),
        request: most,
        tls: most,
        probe: most,
        ..Timeouts::default()
    }
}

pub async fn look(transport: Option<&Transport>) -> Phones {
    let Some(transport) = transport.cloned() else {
        return Phones {
            listed: Listed::NotAsked,
            visits: Vec::new(),
        };
    };
    let asked = {
        let transport = transport.clone();
        limited(
            "usbmuxd",
            "usbmuxd",
            "sudo systemctl restart usbmuxd",
            async move { backupwatch_device::list(transport.address(), &timeouts()).await },
        )
    };
    let listed = match asked.await {
        Ok(Ok(listed)) => Listed::There(listed),
        Ok(Err(error)) => Listed::Not(error),
        Err(silent) => Listed::Silent(silent),
    };
    let visits = match &listed {
        Listed::There(listed) => visit_all(&transport, listed).await,
        Listed::Not(_) | Listed::Silent(_) | Listed::NotAsked => Vec::new(),
    };
    Phones { listed, visits }
}

async fn visit_all(transport: &Transport, listed: &[Attached]) -> Vec<Visit> {
    // The cable comes first in the list, and one phone is visited once.
    let mut wanted: BTreeMap<Udid, Attached> = BTreeMap::new();
    for attached in listed {
        if wanted.len() < MOST {
            wanted
                .entry(attached.udid.clone())
                .or_insert_with(|| attached.clone());
        }
    }
    let mut tasks = JoinSet::new();
    for (udid, attached) in wanted {
        let transport = transport.clone();
        tasks.spawn(async move {
            let timeouts = timeouts();
            let probe = backupwatch_device::probe(&transport, &attached, &SystemClock, &timeouts);
            let told = match tokio::time::timeout(LIMIT, probe).await {
                Ok(Ok(facts)) => Ok(facts),
                Ok(Err(DeviceError::Silent { .. })) | Err(_) => Err(Trouble::Silent),
                Ok(Err(error)) => Err(Trouble::No(error.no_answer())),
            };
            Visit { udid, told }
        });
    }
    let mut visits = Vec::new();
    while let Some(visit) = tasks.join_next().await {
        // One that broke is missing from the list; the others count all the same.
        visits.extend(visit.ok());
    }
    visits.sort_by(|one, other| one.udid.cmp(&other.udid));
    visits
}

impl Phones {
    /// The list, and what each phone said. Nothing where there is no list: why not is a check of its own.
    pub fn checks(&self) -> Vec<Check> {
        let Listed::There(listed) = &self.listed else {
            return Vec::new();
        };
        let mut udids: Vec<&Udid> = listed.iter().map(|one| &one.udid).collect();
        udids.sort();
        udids.dedup();
        let mut checks = vec![match udids.len() {
            0 => Check::warn(
                LIST,
                "No iPhone or iPad is connected.",
                "Connect it with a cable, and unlock it.",
            ),
            1 => Check::pass(LIST, "One iPhone or iPad is connected."),
            many if many > self.visits.len() => Check::pass(
                LIST,
                format!(
                    "{many} devices are connected; the first {} were asked.",
                    self.visits.len()
                ),
            ),
            many => Check::pass(LIST, format!("{many} devices are connected.")),
        }];
        for visit in &self.visits {
            let of_device = of_device(visit);
            checks.extend(of_device.into_iter().map(|check| check.of(&visit.udid)));
        }
        checks
    }

    /// What kind of device this is, as far as it told: `iPhone15,3`.
    pub fn model(&self, udid: &Udid) -> Option<&str> {
        let visit = self.visits.iter().find(|visit| visit.udid == *udid)?;
        visit.told.as_ref().ok()?.model.as_deref().ok()
    }

    /// What its owner calls it.
    pub fn name(&self, udid: &Udid) -> Option<String> {
        let visit = self.visits.iter().find(|visit| visit.udid == *udid)?;
        Some(name(visit.told.as_ref().ok()?, &visit.udid))
    }
}

fn name(facts: &Facts, udid: &Udid) -> String {
    let name = facts
        .name
        .as_deref()
        .map(|name| plain(name, 48))
        .unwrap_or_default();
    if name.is_empty() {
        format!("Device {}…", udid.short())
    } else {
        name
    }
}

fn of_device(visit: &Visit) -> Vec<Check> {
    let facts = match &visit.told {
        Ok(facts) => facts,
        Err(trouble) => {
            let name = format!("Device {}…", visit.udid.short());
            let says = match trouble {
                Trouble::Silent => format!("{name} did not answer within {} s.", LIMIT.as_secs()),
                Trouble::No(why) => format!("{name} did not answer: {}.", no_answer(why)),
            };
            return vec![Check::fail(ANSWERS, says, AGAIN)];
        }
    };
    let name = name(facts, &visit.udid);
    let mut checks = vec![trust(&name, facts.trust)];
    if facts.trust == Trust::Trusted {
        checks.push(date(&name, facts));
        checks.extend(clock(&name, facts));
    }
    checks
}

const AGAIN: &str = "Unlock it, unplug it and plug it in again.";

fn no_answer(why: &NoAnswer) -> &'static str {
    match why {
        NoAnswer::NotTrusted => "it does not trust this computer",
        NoAnswer::Locked => "it is locked",
        NoAnswer::NeverUnlocked => "it has restarted and was not unlocked since",
        NoAnswer::Prohibited => "it is not permitted to tell",
        NoAnswer::Missing => "it does not know what was asked",
        NoAnswer::Unreadable { .. } => "its answer makes no sense",
        NoAnswer::LinkLost => "the connection was lost",
    }
}

fn trust(name: &str, trust: Trust) -> Check {
    const PAIR: &str = "Unlock it, and run: backupwatch pair";
    let (why, cure) = match trust {
        Trust::Trusted => {
            return Check::pass(TRUST, format!("{name} trusts this computer and answers."));
        }
        Trust::NotTrusted => ("does not trust this computer yet", PAIR),
        Trust::DialogPending => (
            "asks on its screen whether to trust this computer",
            "Tap Trust on it, and enter its passcode.",
        ),
        Trust::Denied => (
            "was told not to trust this computer",
            "Unplug it, plug it in again, and run: backupwatch pair",
        ),
        Trust::LockedForPairing => (
            "is locked, so it cannot ask whether to trust this computer",
            PAIR,
        ),
        Trust::ManagedForbids => (
            "is managed by an organisation that does not let it trust this computer",
            "Ask the administrator of the organisation.",
        ),
        Trust::CableNeeded => (
            "can be told to trust this computer only over a cable",
            "Connect it with a cable, and run: backupwatch pair",
        ),
        Trust::Expired => ("has forgotten that it trusts this computer", PAIR),
    };
    Check::fail(TRUST, format!("{name} {why}."), cure)
}

/// Whether what it says of its iCloud backups can be judged; how they are is what `backupwatch status` says.
fn date(name: &str, facts: &Facts) -> Check {
    match &facts.cloud_last {
        Ok(_) => Check::pass(
            DATE,
            format!("{name} tells when its last iCloud backup was."),
        ),
        Err(NoAnswer::Missing) if facts.cloud_enabled == Ok(false) => {
            Check::pass(DATE, format!("{name} tells that iCloud Backup is off."))
        }
        Err(NoAnswer::Missing) => Check::warn(
            DATE,
            format!("{name} knows of no iCloud backup."),
            "backupwatch status",
        ),
        Err(NoAnswer::Unreadable { .. }) => Check::fail(
            DATE,
            format!("{name} gives a date of its last iCloud backup that cannot be right."),
            "Look at it on the device: Settings, your name, iCloud, iCloud Backup.",
        ),
        Err(why @ NoAnswer::Prohibited) => Check::fail(
            DATE,
            format!(
                "{name} does not tell when its last iCloud backup was: {}.",
                no_answer(why)
            ),
            "Ask the administrator of the organisation that manages it.",
        ),
        Err(
            why @ (NoAnswer::NotTrusted
            | NoAnswer::Locked
            | NoAnswer::NeverUnlocked
            | NoAnswer::LinkLost),
        ) => Check::fail(
            DATE,
            format!(
                "{name} does not tell when its last iCloud backup was: {}.",
                no_answer(why)
            ),
            AGAIN,
        ),
    }
}

/// Ages are counted by the phone's clock; where the two differ much, one is wrong. Nothing where it does not tell.
fn clock(name: &str, facts: &Facts) -> Option<Check> {
    const CURE: &str = "On the device: Settings, General, Date & Time, Set Automatically.";
    let theirs = facts.device_clock.as_ref().ok()?;
    let seconds = theirs.0.as_second() - facts.seen_at.0.as_second();
    let apart = Period::seconds(seconds.saturating_abs());
    let which = if seconds < 0 { "behind" } else { "ahead of" };
    let words = || {
        let span = crate::words::span(apart.as_seconds());
        format!("The clock of {name} is {span} {which} this computer’s.")
    };
    Some(if apart > SKEW_WRONG {
        Check::fail(CLOCK, words(), CURE)
    } else if apart > SKEW_MENTIONED {
        Check::warn(CLOCK, words(), CURE)
    } else {
        Check::pass(
            CLOCK,
            format!("The clock of {name} agrees with this computer’s."),
        )
    })
}
