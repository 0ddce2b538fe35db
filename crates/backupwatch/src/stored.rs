//! The backups on the disk, as commands mean them: which store, which device, which of its backups. These commands work on the
//! store itself, beside an agent or without one.

use crate::{choice, commands, failure::Failure, setup::Setup};
use backupwatch_agent::{exit::ExitCode, status::DeviceStatus};
use backupwatch_backup::{Store, StoreError, Version, Which};
use backupwatch_core::Udid;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The store below this root.
pub fn open(root: &Path) -> Result<Store, Failure> {
    Store::open(root).map_err(|error| refused(&error))
}

/// A store that says no.
pub fn refused(error: &StoreError) -> Failure {
    let failure = Failure::new(ExitCode::Usage, "store", error.to_string());
    match error {
        StoreError::RootMissing { .. } | StoreError::NotAStore { .. } => {
            failure.next("Connect the disk, or make a first backup by `backupwatch backup`.")
        }
        StoreError::InUse { .. } => failure.next("Let it finish, and try again."),
        StoreError::NotAFolder { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::NotPermitted { .. }
        | StoreError::NoSpace { .. }
        | StoreError::NoLinks { .. }
        | StoreError::NoVersion { .. }
        | StoreError::Needed { .. }
        | StoreError::BeingMade { .. }
        | StoreError::BaseDamaged
        | StoreError::Damaged { .. }
        | StoreError::Stopped
        | StoreError::Io { .. } => failure,
    }
}

/// The device that is meant, and the store with its backups or the one that was named just now: one that is known, or one that
/// only its store knows.
pub async fn find(
    setup: &Setup,
    root: Option<&Path>,
    asked: Option<&str>,
) -> Result<(Store, DeviceStatus), Failure> {
    let roots = root.map_or_else(|| setup.roots(), |root| vec![root.to_owned()]);
    if let [only] = roots.as_slice() {
        let store = open(only)?;
        let device = device(setup, |_| Some(&store), [&store].into_iter(), asked).await?;
        return Ok((store, device));
    }
    // A disk that is away hides the devices of others from nobody.
    let mut stores: BTreeMap<PathBuf, Store> = BTreeMap::new();
    for root in roots {
        if let Ok(store) = Store::open(&root) {
            stores.insert(root, store);
        }
    }
    let of = |udid: &Udid| stores.get(setup.root_of(udid));
    let device = device(setup, of, stores.values(), asked).await?;
    let store = open(setup.root_of(&choice::udid(&device)?))?;
    Ok((store, device))
}

/// The device that is meant. `of` gives the store of a device, where it can be opened.
async fn device<'s>(
    setup: &Setup,
    of: impl Fn(&Udid) -> Option<&'s Store>,
    stores: impl Iterator<Item = &'s Store>,
    asked: Option<&str>,
) -> Result<DeviceStatus, Failure> {
    let mut devices = commands::status::known(setup).await?.devices;
    for store in stores {
        for udid in store.phones().map_err(|error| refused(&error))? {
            // What was left in a place that a device does not have any more is not asked for.
            let is_here = of(&udid).is_some_and(|its| its.root() == store.root());
            if is_here && !devices.iter().any(|known| known.udid == udid.as_str()) {
                devices.push(choice::stranger(&udid));
            }
        }
    }
    // Without a name, the one that has a backup is meant.
    if asked.is_none() && devices.len() > 1 {
        let has_backup = |device: &DeviceStatus| {
            let udid: Option<Udid> = device.udid.parse().ok();
            udid.is_some_and(|udid| of(&udid).is_some_and(|store| store.folder(&udid).exists()))
        };
        let mut backed_up = devices.iter().filter(|device| has_backup(device));
        if let (Some(only), None) = (backed_up.next(), backed_up.next()) {
            return Ok(only.clone());
        }
    }
    choice::device(&devices, asked).cloned()
}

/// The backup that is meant: the current one, or the version whose name begins like that.
pub fn which(all: &[Version], asked: Option<&str>) -> Result<Which, Failure> {
    let names = || {
        let names: Vec<&str> = all.iter().map(|version| version.which.name()).collect();
        names.join(", ")
    };
    let Some(asked) = asked else {
        return match all.iter().find(|version| version.which == Which::Current) {
            Some(current) => Ok(current.which.clone()),
            None => Err(Failure::new(
                ExitCode::Usage,
                "no_backup",
                "there is no backup of this device here",
            )
            .next("Make one by `backupwatch backup`.")),
        };
    };
    let exact = all.iter().find(|version| version.which.name() == asked);
    let mut begins = all
        .iter()
        .filter(|version| !asked.is_empty() && version.which.name().starts_with(asked));
    match (exact, begins.next(), begins.next()) {
        (Some(one), ..) | (None, Some(one), None) => Ok(one.which.clone()),
        (None, None, _) => Err(Failure::new(
            ExitCode::Usage,
            "which_version",
            format!("there is no backup “{asked}” of this device"),
        )
        .next(format!("There are: {}", names()))),
        (None, Some(_), Some(_)) => Err(Failure::new(
            ExitCode::Usage,
            "which_version",
            format!("“{asked}” fits several backups of this device"),
        )
        .next(format!("There are: {}", names()))),
    }
}
