//! L1 of the property lists.

use std::io::Read as _;

use backupwatch_core::Udid;
use backupwatch_wire::codec::{self, Limits};
use plist::{Dictionary, Value};
use rustix::io::Errno;

use super::{Finding, VerifyError, VerifyReport};
use crate::disk;
use crate::jail::Jail;

/// Longest property list that is read. Info.plist, the longest, has an icon and a receipt for each app.
pub(crate) const MAX: usize = 8 << 20;

/// What Manifest.plist has of an encrypted backup.
#[derive(Debug, Default)]
pub(super) struct Locks {
    pub(super) keybag: Vec<u8>,
    /// The key of Manifest.db, wrapped by one in the keybag.
    pub(super) manifest_key: Vec<u8>,
}

pub(super) fn check(
    jail: &Jail,
    udid: &Udid,
    report: &mut VerifyReport,
) -> Result<Locks, VerifyError> {
    let mut locks = Locks::default();
    if let Some(status) = read(jail, "Status.plist", report)? {
        let state = status
            .get("SnapshotState")
            .and_then(Value::as_string)
            .unwrap_or_default();
        if state != "finished" {
            report.find(Finding::NotFinished {
                state: state.chars().take(32).collect(),
            });
        }
    }
    if let Some(manifest) = read(jail, "Manifest.plist", report)? {
        report.encrypted = manifest
            .get("IsEncrypted")
            .and_then(Value::as_boolean)
            .unwrap_or(false);
        // The keybag is there in every backup; without it, or without the manifest's key, nobody can open an encrypted one.
        for (key, to) in [
            ("BackupKeyBag", &mut locks.keybag),
            ("ManifestKey", &mut locks.manifest_key),
        ] {
            let data = manifest.get(key).and_then(Value::as_data);
            data.unwrap_or_default().clone_into(to);
            if report.encrypted && to.is_empty() {
                report.find(Finding::FileUnreadable {
                    name: "Manifest.plist",
                    why: format!("it has no {key}"),
                });
            }
        }
        let lockdown = manifest.get("Lockdown").and_then(Value::as_dictionary);
        let named = lockdown
            .and_then(|lockdown| lockdown.get("UniqueDeviceID"))
            .and_then(Value::as_string);
        if named.is_some_and(|named| !named.eq_ignore_ascii_case(udid.as_str())) {
            report.find(Finding::WrongPhone {
                name: "Manifest.plist",
            });
        }
    }
    if let Some(info) = read(jail, "Info.plist", report)? {
        let named = info.get("Unique Identifier").and_then(Value::as_string);
        if !named.is_some_and(|named| named.eq_ignore_ascii_case(udid.as_str())) {
            report.find(Finding::WrongPhone { name: "Info.plist" });
        }
    }
    Ok(locks)
}

fn read(
    jail: &Jail,
    name: &'static str,
    report: &mut VerifyReport,
) -> Result<Option<Dictionary>, VerifyError> {
    let file = match jail.open_file(name) {
        Ok(file) => file,
        Err(Errno::NOENT) => {
            report.find(Finding::FileMissing { name });
            return Ok(None);
        }
        Err(e @ (Errno::ISDIR | Errno::LOOP | Errno::INVAL)) => {
            report.find(Finding::FileUnreadable {
                name,
                why: e.to_string(),
            });
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    let mut bytes = Vec::new();
    disk::Reading(&file)
        .take(MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    match codec::decode(&bytes, Limits::of_bytes(MAX)) {
        Ok(Value::Dictionary(dictionary)) => Ok(Some(dictionary)),
        Ok(_) => {
            report.find(Finding::FileUnreadable {
                name,
                why: "it is no dictionary".to_owned(),
            });
            Ok(None)
        }
        Err(e) => {
            report.find(Finding::FileUnreadable {
                name,
                why: e.to_string(),
            });
            Ok(None)
        }
    }
}
