//! Taking versions away: by the plan of `core::retention`, under the phone's lock, and each only after its own look at whether a
//! newer verified backup stays (P5).
//!
//! A version goes out of sight in one step, into the trash; then its record and hashes go. A crash leaves it whole, or in the
//! trash that every run empties; a record without a tree says nothing about any other and goes with the next.

use backupwatch_core::Udid;
use backupwatch_core::retention::{self, Fate, Plan, RetentionPolicy, Scene, Shares};

use super::super::Store;
use super::super::error::{Context as _, StoreError};
use super::super::identity::TreeId;
use super::super::layout::Layout;
use super::super::locks::lock;
use super::super::record::Record;
use super::super::{roll, space};
use super::{Hold, Version, Which, list, lock_tree, sizes};
use crate::disk;

/// What is to be done about the versions of a phone, and with which of them.
#[derive(Clone, Debug)]
pub struct Pruning {
    pub plan: Plan,
    /// Those of the plan, in its order.
    pub versions: Vec<Version>,
    /// Those that should have gone and did not, because somebody is reading them just now.
    pub being_read: Vec<Which>,
}

/// The backups of a phone with what deleting them would free.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Oldest first; the current one is the last.
    pub versions: Vec<Version>,
    /// By the numbers of `versions`; the current one is not in it.
    pub shares: Shares,
}

impl Store {
    /// The backups of a phone, and what deleting those before the current one would free. Looks at every file of each.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn measure(&self, udid: &Udid) -> Result<Measured, StoreError> {
        let versions = self.versions(udid)?;
        let shares = measure(&self.layout, udid, before_current(&versions))?;
        Ok(Measured { versions, shares })
    }

    /// What [`Store::prune`] would do now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plan_pruning(
        &self,
        udid: &Udid,
        policy: &RetentionPolicy,
        utc_offset_s: i32,
    ) -> Result<Pruning, StoreError> {
        self.check()?;
        plan(&self.layout, udid, policy, utc_offset_s, true)
    }

    /// Deletes the versions that `policy` does not keep.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a run has the phone's folders, and when something cannot be deleted; what was deleted
    /// before that is gone.
    pub fn prune(
        &self,
        udid: &Udid,
        policy: &RetentionPolicy,
        utc_offset_s: i32,
    ) -> Result<Pruning, StoreError> {
        self.clear(udid, policy, utc_offset_s, true)
    }

    /// As [`Store::prune`], after a run. Sizes are measured only where they decide something.
    pub(crate) fn retain(
        &self,
        udid: &Udid,
        policy: &RetentionPolicy,
        utc_offset_s: i32,
    ) -> Result<Pruning, StoreError> {
        self.clear(udid, policy, utc_offset_s, false)
    }

    fn clear(
        &self,
        udid: &Udid,
        policy: &RetentionPolicy,
        utc_offset_s: i32,
        measured: bool,
    ) -> Result<Pruning, StoreError> {
        self.check()?;
        let layout = &self.layout;
        let _lock = lock(layout, udid)?;
        // What is current is decided before anything goes.
        roll::roll_forward(layout, udid, false)?;
        let mut pruning = plan(layout, udid, policy, utc_offset_s, measured)?;
        for (version, (_, fate)) in pruning.versions.iter().zip(&pruning.plan.fates) {
            if let Fate::Keep(_) = fate {
                continue;
            }
            let name = version.which.name();
            if delete(layout, udid, version)? {
                tracing::info!(udid = udid.short(), "deleted the version {name}: {fate}");
            } else {
                tracing::info!(
                    udid = udid.short(),
                    "the version {name} is being read and stays"
                );
                pruning.being_read.push(version.which.clone());
            }
        }
        forget(layout, udid)?;
        Ok(pruning)
    }
}

fn before_current(versions: &[Version]) -> &[Version] {
    match versions {
        [before @ .., current] if current.which == Which::Current => before,
        all => all,
    }
}

fn measure(layout: &Layout, udid: &Udid, versions: &[Version]) -> Result<Shares, StoreError> {
    let trees: Vec<_> = versions.iter().map(|v| v.path.as_path()).collect();
    sizes::measure(&trees).context("measure", &layout.versions(udid))
}

/// Versions as the rules see them, and whether the current backup is verified.
fn as_judged(versions: &[Version]) -> (Vec<retention::Version>, bool) {
    let judged = before_current(versions)
        .iter()
        .map(|version| retention::Version {
            at: version.at,
            verified: version.copy.is_some(),
        })
        .collect();
    let current = versions.last().filter(|v| v.which == Which::Current);
    (
        judged,
        current.is_some_and(|current| current.copy.is_some()),
    )
}

fn plan(
    layout: &Layout,
    udid: &Udid,
    policy: &RetentionPolicy,
    utc_offset_s: i32,
    measured: bool,
) -> Result<Pruning, StoreError> {
    let mut versions = list(layout, udid)?;
    let (judged, current_verified) = as_judged(&versions);
    versions.truncate(judged.len());
    let free = space::free_at(layout.root()).context("look at", layout.root())?;
    let shares = if measured || free < policy.keep_free {
        Some(measure(layout, udid, &versions)?)
    } else {
        None
    };
    let scene = Scene {
        versions: &judged,
        current_verified,
        shares: shares.as_ref(),
        free,
        utc_offset_s,
    };
    Ok(Pruning {
        plan: retention::plan(&scene, policy),
        versions,
        being_read: Vec::new(),
    })
}

/// Deletes one version; false when somebody is reading it. The caller has the phone's lock.
pub(super) fn delete(layout: &Layout, udid: &Udid, version: &Version) -> Result<bool, StoreError> {
    let Some(_alone) = lock_tree(&version.path, Hold::Alone)? else {
        let path = &version.path;
        return Ok(!disk::exists(path).context("look at", path)?);
    };
    // The plan is some seconds old, and other programs keep to no lock of ours: what holds now decides.
    let now = list(layout, udid)?;
    let (judged, current_verified) = as_judged(&now);
    let expendable = retention::expendable(&judged, current_verified);
    let may_go = now
        .iter()
        .take(expendable)
        .any(|now| now.which == version.which && now.tree == version.tree);
    if !may_go {
        return Err(StoreError::Needed {
            udid: udid.clone(),
            name: version.which.name().to_owned(),
        });
    }
    roll::discard(layout, &version.path)?;
    Ok(true)
}

/// Removes the records and hashes of trees that are gone. The caller has the phone's lock.
fn forget(layout: &Layout, udid: &Udid) -> Result<(), StoreError> {
    let copies = layout.copies(udid);
    if !disk::exists(&copies).context("look at", &copies)? {
        return Ok(());
    }
    let mut kept: Vec<_> = list(layout, udid)?.into_iter().map(|v| v.tree).collect();
    // A commit that was cut short has its hashes there already.
    let work = layout.work(udid);
    kept.extend(TreeId::of(&work).context("read", &work)?);
    Record::remove_others(layout, udid, &kept).context("remove", &copies)
}
