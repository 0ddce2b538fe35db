//! The places for backups as the status document tells of them: the shared one, and those of single devices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use backupwatch_core::Udid;
use backupwatch_core::watcher::DeviceView;

use super::StoreStatus;
use crate::medium::Medium;

/// The devices with a root of their own, and how that is, once somebody has looked.
pub type OwnStores<'a> = BTreeMap<&'a Udid, (&'a Path, Option<&'a Medium>)>;

/// Puts together what is configured and what was seen.
pub fn own_stores<'a>(
    own: &'a BTreeMap<Udid, PathBuf>,
    mediums: &'a BTreeMap<PathBuf, Medium>,
) -> OwnStores<'a> {
    let one = |(udid, root): (&'a Udid, &'a PathBuf)| (udid, (root.as_path(), mediums.get(root)));
    own.iter().map(one).collect()
}

/// The stores of single devices, each once.
pub(super) fn statuses(own: &OwnStores<'_>) -> Vec<StoreStatus> {
    let seen = own
        .values()
        .filter_map(|(root, medium)| Some((*root, (*medium)?)));
    let each: BTreeMap<&Path, &Medium> = seen.collect();
    each.into_values().map(StoreStatus::from).collect()
}

/// What a person should know: a sentence for each place where no backup can be made. The shared one counts as long as anybody is
/// backed up to it, or nobody is known yet.
pub(crate) fn remarks(
    shared: Option<&Medium>,
    own: &OwnStores<'_>,
    views: &[DeviceView],
    nicknames: &BTreeMap<Udid, String>,
) -> Vec<String> {
    let is_shared = views.is_empty() || views.iter().any(|view| !own.contains_key(&view.udid));
    let shared = shared.filter(|_| is_shared).and_then(Medium::remark);
    let name = |udid: &Udid| {
        let seen = views.iter().find(|view| view.udid == *udid);
        let name = nicknames.get(udid).cloned();
        let name = name.or_else(|| seen.and_then(|view| view.name.clone()));
        name.unwrap_or_else(|| udid.short().to_owned())
    };
    let mut told = BTreeSet::new();
    let others = own.values().filter_map(|(root, medium)| {
        let medium = (*medium)?;
        if !told.insert(*root) {
            return None;
        }
        let here = own.iter().filter(|(_, (other, _))| other == root);
        let names: Vec<String> = here.map(|(udid, _)| name(udid)).collect();
        medium.remark_of(&names)
    });
    shared
        .into_iter()
        .chain(others.collect::<Vec<_>>())
        .collect()
}
