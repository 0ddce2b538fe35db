//! One short visit to a phone: who are you, do you trust us, and what about your backups?
//!
//! Every reading is an answer or its own reason for none. What was read before the link broke is kept. Not here: when a
//! phone is visited, and what the facts amount to (`core`).

use backupwatch_backup::Clock;
use backupwatch_core::{Facts, HostTime, NoAnswer, Reading, Trust};
use plist::Dictionary;
use tokio::time::Instant;

use crate::error::DeviceError;
use crate::listen::Attached;
use crate::lockdown::Lockdown;
use crate::mux;
use crate::reading::{self, Domain};
use crate::timeouts::Timeouts;
use crate::transport::Transport;

/// Asks a phone for its facts in one lockdown session.
///
/// # Errors
/// When the phone told nothing at all; [`DeviceError::no_answer`] says why. A phone that does not trust us tells its
/// name, so that is not an error: the facts say so in every other reading.
pub async fn probe(
    transport: &Transport,
    attached: &Attached,
    clock: &dyn Clock,
    timeouts: &Timeouts,
) -> Result<Facts, DeviceError> {
    let speaker = transport.speaker(&attached.udid);
    let told = visit(transport, attached, clock, timeouts).await;
    if transport.speaker(&attached.udid) == speaker {
        told
    } else {
        visit(transport, attached, clock, timeouts).await
    }
}

async fn visit(
    transport: &Transport,
    attached: &Attached,
    clock: &dyn Clock,
    timeouts: &Timeouts,
) -> Result<Facts, DeviceError> {
    let until = Instant::now() + timeouts.probe;
    let mut visit = Visit::new(attached);
    let ended = tokio::time::timeout_at(until, visit.walk(transport, clock, timeouts)).await;
    let broken = match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(DeviceError::Silent {
            doing: "the visit",
            after: timeouts.probe,
        }),
    };
    match (visit.seen_at, broken) {
        (None, Some(error)) => Err(error),
        (seen_at, broken) => {
            if let Some(error) = broken {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(udid = attached.udid.short(), error, "a visit broke off");
            }
            Ok(visit.into_facts(seen_at.unwrap_or_else(|| clock.now())))
        }
    }
}

/// What a visit has learnt so far.
struct Visit<'a> {
    attached: &'a Attached,
    trust: Trust,
    seen_at: Option<HostTime>,
    root: Domain,
    /// Why the root domain is not whole, where it is not.
    rest_of_root: NoAnswer,
    backup: Domain,
    battery: Domain,
    disk: Domain,
    buddy: Domain,
    find_my: Domain,
    chaperone: Domain,
}

impl<'a> Visit<'a> {
    fn new(attached: &'a Attached) -> Self {
        Self {
            attached,
            trust: Trust::Trusted,
            seen_at: None,
            root: Err(NoAnswer::LinkLost),
            rest_of_root: NoAnswer::Missing,
            backup: Err(NoAnswer::LinkLost),
            battery: Err(NoAnswer::LinkLost),
            disk: Err(NoAnswer::LinkLost),
            buddy: Err(NoAnswer::LinkLost),
            find_my: Err(NoAnswer::LinkLost),
            chaperone: Err(NoAnswer::LinkLost),
        }
    }

    async fn walk(
        &mut self,
        transport: &Transport,
        clock: &dyn Clock,
        timeouts: &Timeouts,
    ) -> Result<(), DeviceError> {
        let lockdown = Lockdown::connect(transport, self.attached, timeouts).await?;
        let record = mux::credentials(transport.address(), &self.attached.udid, timeouts.mux).await;
        let (refusal, lockdown) = match record {
            Ok(credentials) => match lockdown.start_session(&credentials).await {
                Ok(session) => return self.inside(session, clock).await,
                Err(failure) => (failure.error, failure.lockdown.map(|lockdown| *lockdown)),
            },
            Err(error @ DeviceError::NoPairRecord) => (error, Some(lockdown)),
            Err(error @ DeviceError::PairRecord(_)) => {
                tracing::warn!(
                    udid = self.attached.udid.short(),
                    error = &error as &dyn std::error::Error,
                    "this computer's pair record is unusable"
                );
                (error, Some(lockdown))
            }
            Err(error) => return Err(error),
        };
        self.outside(refusal, lockdown, clock).await
    }

    /// Inside a session.
    async fn inside(
        &mut self,
        mut lockdown: Lockdown,
        clock: &dyn Clock,
    ) -> Result<(), DeviceError> {
        self.root = match lockdown.domain(None).await {
            // In TLS 1.3 a phone refuses our certificate only now.
            Err(error @ DeviceError::TlsRefused { .. }) => {
                return self.outside(error, None, clock).await;
            }
            other => answer(other)?,
        };
        // Right behind the answer that holds the phone's clock: the two belong together.
        self.seen_at = Some(clock.now());
        for (domain, place) in [
            ("com.apple.mobile.backup", &mut self.backup),
            ("com.apple.mobile.battery", &mut self.battery),
            ("com.apple.disk_usage", &mut self.disk),
            ("com.apple.purplebuddy", &mut self.buddy),
            ("com.apple.fmip", &mut self.find_my),
            ("com.apple.mobile.chaperone", &mut self.chaperone),
        ] {
            *place = answer(lockdown.domain(Some(domain)).await)?;
        }
        lockdown.end().await;
        Ok(())
    }

    /// The phone does not let us in. Some of the root domain it tells to everybody.
    async fn outside(
        &mut self,
        refusal: DeviceError,
        lockdown: Option<Lockdown>,
        clock: &dyn Clock,
    ) -> Result<(), DeviceError> {
        let why = refusal.no_answer();
        if why == NoAnswer::LinkLost {
            return Err(refusal);
        }
        self.trust = match refusal.trust() {
            // We have a record, and the phone has not said that it is void.
            Some(Trust::LockedForPairing) | None => Trust::Trusted,
            Some(trust) => trust,
        };
        for place in [
            &mut self.backup,
            &mut self.battery,
            &mut self.disk,
            &mut self.buddy,
            &mut self.find_my,
            &mut self.chaperone,
        ] {
            *place = Err(why.clone());
        }
        self.root = Err(why.clone());
        self.rest_of_root = why;
        if let Some(mut lockdown) = lockdown {
            if let Some(public) = public_values(&mut lockdown).await {
                self.root = Ok(public);
            }
            lockdown.end().await;
        }
        self.seen_at = Some(clock.now());
        Ok(())
    }

    fn into_facts(self, seen_at: HostTime) -> Facts {
        let rest = &self.rest_of_root;
        let root_text = |key| missing_means(rest, reading::text(&self.root, key));
        let device_clock = missing_means(rest, reading::device_clock(&self.root));
        let backup_date = |key| reading::backup_date(&self.backup, key, &device_clock, seen_at);
        Facts {
            udid: self.attached.udid.clone(),
            seen_at,
            links: vec![self.attached.link],
            trust: self.trust,
            name: root_text("DeviceName"),
            model: root_text("ProductType"),
            device_class: root_text("DeviceClass"),
            os_version: root_text("ProductVersion"),
            build: root_text("BuildVersion"),
            locked: missing_means(rest, reading::truth(&self.root, "PasswordProtected")),
            cloud_enabled: reading::truth(&self.backup, "CloudBackupEnabled"),
            cloud_last: backup_date("LastCloudBackupDate"),
            local_last: backup_date("LastiTunesBackupDate"),
            will_encrypt: reading::truth_or_no(&self.backup, "WillEncrypt"),
            requires_encryption: reading::truth_or_no(&self.backup, "RequiresEncryption"),
            battery: reading::battery(&self.battery),
            disk: reading::disk(&self.disk),
            setup: reading::setup(&self.buddy),
            find_my: reading::strict_truth(&self.find_my, "IsAssociated"),
            // Supervision, the one kind of management that lockdown's values show; profiles are in a service of their own
            // (remediation.md 1.5.1).
            managed: reading::truth(&self.chaperone, "DeviceIsChaperoned"),
            device_clock,
        }
    }
}

/// A value that is not in the public part of the root domain may well be in the rest of it.
fn missing_means<T>(why: &NoAnswer, reading: Reading<T>) -> Reading<T> {
    reading.map_err(|answer| {
        if answer == NoAnswer::Missing {
            why.clone()
        } else {
            answer
        }
    })
}

/// What the phone tells to everybody: the root domain as far as it goes, else the few values that every client reads
/// before it is paired (protocol.md 5.4).
async fn public_values(lockdown: &mut Lockdown) -> Option<Dictionary> {
    match lockdown.domain(None).await {
        Ok(values) => return Some(values),
        Err(error) if error.no_answer() == NoAnswer::LinkLost => return None,
        Err(_) => {}
    }
    let mut values = Dictionary::new();
    for key in ["DeviceName", "DeviceClass", "ProductType", "ProductVersion"] {
        match lockdown.value(key).await {
            Ok(value) => {
                values.insert(key.to_owned(), value);
            }
            Err(error) if error.no_answer() == NoAnswer::LinkLost => break,
            Err(_) => {}
        }
    }
    Some(values)
}

/// One refused domain is an answer; a lost link ends the visit.
fn answer(result: Result<Dictionary, DeviceError>) -> Result<Domain, DeviceError> {
    result.map(Ok).or_else(|error| {
        let why = error.no_answer();
        if why == NoAnswer::LinkLost {
            Err(error)
        } else {
            Ok(Err(why))
        }
    })
}
