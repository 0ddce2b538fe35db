//! The steps of a backup, each a few questions to the host (protocol.md 9.7): space, folders, files, manifests, moves,
//! removals, verification. Their order is in `backup`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backupwatch_wire::mobilebackup2::MbError;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::backup::{Run, broken};
use super::host::Stop;
use super::link::to_file;
use super::previous::{Files, files_of, in_folder, prefixes};
use super::side::Snapshot;
use super::upload::{Source, Upload};
use crate::contents::{FileId, Item};
use crate::faults::{FileFault, Moment};
use crate::keybag::Key;
use crate::manifest::{self, Phase, Properties, Status};
use crate::phone::{BACKUP_DOMAIN, ROOT_DOMAIN};

/// What the phone wants free beyond the files themselves.
const HEADROOM: u64 = 128 << 20;
/// What it asks to be purged beyond what is missing.
const PURGE_EXTRA: u64 = 2 << 30;
/// Lockdown domains that go into `Manifest.plist` whole.
const LOCKDOWN_DOMAINS: [&str; 6] = [
    "com.apple.Accessibility",
    "com.apple.MobileDeviceCrashCopy",
    "com.apple.TerminalFlashr",
    "com.apple.mobile.data_sync",
    "com.apple.mobile.iTunes.accessories",
    "com.apple.mobile.wireless_lockdown",
];
/// Keys of the root domain that go there too.
const LOCKDOWN_KEYS: [&str; 6] = [
    "BuildVersion",
    "DeviceName",
    "ProductType",
    "ProductVersion",
    "SerialNumber",
    "UniqueDeviceID",
];

/// 2001-01-01 in Unix seconds, the zero of the backup domain's dates (protocol.md 5.1).
const EPOCH_2001: i64 = 978_307_200;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    /// Step 6, and the purge question (protocol.md 9.5).
    pub(super) async fn check_space(&mut self, bytes: u64) -> Result<(), Stop> {
        let need = bytes
            .saturating_add(HEADROOM)
            .saturating_add(self.link.side().faults().extra_need);
        if self.link.version < 300 {
            return Ok(());
        }
        let Some(free) = self.link.free_space().await? else {
            return Ok(());
        };
        if free > need {
            return Ok(());
        }
        let mut free = free;
        if self.link.version >= 400
            && self
                .link
                .purge((need - free).saturating_add(PURGE_EXTRA))
                .await?
        {
            match self.link.free_space().await? {
                None => return Ok(()),
                Some(now) => free = now,
            }
        }
        if free > need {
            return Ok(());
        }
        Err(Stop::failed(
            MbError::NO_SPACE,
            format!("Insufficient free disk space on drive to back up ({free} < {need})"),
        ))
    }

    /// Step 7.
    pub(super) async fn make_folders(&mut self) -> Result<(), Stop> {
        let folders = self.link.phone.persona().backup.folders;
        self.link.create_directory(self.udid.clone()).await?;
        for prefix in prefixes(folders) {
            self.link
                .create_directory(format!("{}/{prefix}", self.udid))
                .await?;
        }
        self.link
            .create_directory(format!("{}/Snapshot", self.udid))
            .await?;
        for prefix in prefixes(folders) {
            self.link
                .create_directory(format!("{}/Snapshot/{prefix}", self.udid))
                .await?;
        }
        Ok(())
    }

    pub(super) async fn put_status(&mut self, status: &Status, phase: Phase) -> Result<(), Stop> {
        let bytes = to_file(
            &Status {
                phase,
                ..status.clone()
            }
            .to_value(),
        );
        self.put_file("Status.plist", Source::Bytes(&bytes)).await
    }

    /// One file of the phone's own; any failure ends the backup.
    pub(super) async fn put_file(&mut self, name: &str, source: Source<'_>) -> Result<(), Stop> {
        let device_path = format!("/var/mobile/Library/Backup/{name}");
        let upload = Upload {
            device_path,
            destination: format!("{}/{name}", self.udid),
            source,
            fault: None,
        };
        match self
            .link
            .upload(&[upload])
            .await?
            .into_iter()
            .flatten()
            .next()
        {
            None => Ok(()),
            Some(MbError::NO_SPACE) => {
                Err(Stop::failed(MbError::NO_SPACE, "No space left on host"))
            }
            Some(error) => Err(Stop::failed(
                MbError::UPLOAD,
                format!("Error uploading {name}: {}", error.words()),
            )),
        }
    }

    /// Step 8, files only. What fails in the first round is flagged for the second.
    pub(super) async fn upload_files(
        &mut self,
        items: &[Arc<Item>],
        from: f64,
        to: f64,
    ) -> Result<(), Stop> {
        let batch = self.link.phone.persona().backup.batch.max(1);
        let faults = self.link.side().faults();
        let second = !self.omitted.is_empty();
        let secrets = self.keys.secrets.clone();
        for (done, chunk) in items.chunks(batch).enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            let share = (done * batch) as f64 / items.len().max(1) as f64;
            self.link.progress = from + (to - from) * share;
            if self.link.phone.state().locked && !self.link.escrow {
                // Without the escrow bag a phone that locks itself cannot read its files any more (protocol.md 9.1).
                return Err(Stop::failed(MbError::LOCKED, "Device locked"));
            }
            let keys: Vec<Option<Key>> = chunk
                .iter()
                .map(|item| secrets.as_ref()?.of_file(item))
                .collect();
            let mut uploads = Vec::with_capacity(chunk.len());
            for (item, key) in chunk.iter().zip(&keys) {
                uploads.push(Upload {
                    device_path: item.device_path(),
                    destination: format!("{}/Snapshot/{}/{}", self.udid, item.id.folder(), item.id),
                    source: key
                        .as_ref()
                        .map_or(Source::Item(item), |key| Source::SealedItem(item, key)),
                    fault: strike(&mut self.failures, &faults.file, item),
                });
            }
            let results = self.link.upload(&uploads).await?;
            for (item, result) in chunk.iter().zip(results) {
                match result.map(MbError::code) {
                    None => drop(self.omitted.remove(&item.id)),
                    Some(105) => {
                        return Err(Stop::failed(MbError::NO_SPACE, "No space left on host"));
                    }
                    Some(4 | 6 | 7) => drop(self.retry.insert(item.id)),
                    Some(9 | 100) if !second => drop(self.retry.insert(item.id)),
                    Some(_) => {
                        return Err(Stop::failed(
                            MbError::UPLOAD,
                            "Multiple errors uploading files",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn put_manifests(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Stop> {
        let properties = Properties::new(
            snapshot.manifest_date,
            self.keys.keybag.to_vec(),
            self.keys.secrets.as_ref(),
        )
        .map_err(|error| broken(&error))?;
        let phone = &self.link.phone;
        let plist = to_file(&properties.to_value(
            phone.persona().passcode.set,
            self.lockdown(),
            self.applications(),
        ));

        let prepared = phone.backup().prepared(&snapshot.catalog, &snapshot.keys);
        if let Some(prepared) = prepared.filter(|_| self.omitted.is_empty()) {
            let database = Source::File(prepared.database());
            return self.put_both_manifests(&plist, database).await;
        }
        let (path, seed) = (self.scratch.join("new.db"), phone.backup().seed());
        let (target, snapshot, omitted) = (path.clone(), snapshot.clone(), self.omitted.clone());
        let write = move || {
            let items = snapshot
                .catalog
                .items()
                .filter(|item| !omitted.contains(&item.id))
                .map(AsRef::as_ref);
            // A scratch directory serves one run, but a run may write twice.
            let _ = std::fs::remove_file(&target);
            manifest::write(&target, items, snapshot.keys.secrets.as_ref(), seed)
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| broken(&error))?
            .map_err(|error| broken(&error))?;

        let key = self
            .keys
            .secrets
            .as_ref()
            .map(manifest::Secrets::of_manifest);
        let db = key
            .as_ref()
            .map_or(Source::File(&path), |key| Source::SealedFile(&path, key));
        self.put_both_manifests(&plist, db).await
    }

    async fn put_both_manifests(&mut self, plist: &[u8], db: Source<'_>) -> Result<(), Stop> {
        self.link.progress = 93.0;
        self.put_file("Snapshot/Manifest.plist", Source::Bytes(plist))
            .await?;
        self.put_file("Snapshot/Manifest.db", db).await
    }

    pub(super) async fn move_manifests(&mut self) -> Result<(), Stop> {
        for name in ["Manifest.plist", "Manifest.db"] {
            let pair = (
                format!("{}/Snapshot/{name}", self.udid),
                format!("{}/{name}", self.udid),
            );
            self.link.move_items(vec![pair]).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_blobs(&mut self, names: Vec<String>) -> Result<(), Stop> {
        let batch = self.link.phone.persona().backup.batch.max(1);
        for chunk in names.chunks(batch) {
            let path =
                |name: &String| format!("{}/{}/{name}", self.udid, name.get(..2).unwrap_or("00"));
            self.link
                .remove_items(chunk.iter().map(path).collect())
                .await?;
        }
        Ok(())
    }

    pub(super) async fn remove_leftovers(&mut self) -> Result<(), Stop> {
        for name in ["Snapshot", "Manifest.mbdx"] {
            self.link
                .remove_items(vec![format!("{}/{name}", self.udid)])
                .await?;
        }
        Ok(())
    }

    /// Asks the host to remove whatever the manifest does not know (protocol.md 9.6).
    pub(super) async fn sweep(&mut self, known: &BTreeSet<String>) -> Result<(), Stop> {
        let mut strays = Vec::new();
        for (folder, listing) in self.link.list_folders("").await? {
            let names = listing
                .unwrap_or_default()
                .into_keys()
                .filter(|name| !known.contains(name));
            strays.extend(names.map(|name| format!("{}/{folder}/{name}", self.udid)));
        }
        let batch = self.link.phone.persona().backup.batch.max(1);
        for chunk in strays.chunks(batch) {
            self.link.remove_items(chunk.to_vec()).await?;
        }
        Ok(())
    }

    /// Step 10: the phone reads its own writing and counts the files.
    pub(super) async fn verify(&mut self) -> Result<(), Stop> {
        self.link.progress = 99.0;
        let status = self
            .link
            .download_bytes(format!("{}/Status.plist", self.udid))
            .await?;
        let finished = status.is_ok_and(|bytes| {
            Status::parse(&bytes).is_ok_and(|status| status.phase == Phase::Finished)
        });
        if !finished {
            return Err(Stop::failed(
                MbError::CORRUPT,
                "Error verifying backup: Status.plist is not what was written",
            ));
        }
        let files = self.host_files().await?;
        let mut missing = 0_usize;
        for (folder, listing) in self.link.list_folders("").await? {
            let listing = listing.unwrap_or_default();
            missing += in_folder(&files, &folder)
                .filter(|id| !listing.contains_key(*id))
                .count();
        }
        if missing > 0 {
            return Err(Stop::failed(
                MbError::CORRUPT,
                "Manifest references files not in backup",
            ));
        }
        Ok(())
    }

    /// The files of the manifest as it lies on the host now.
    pub(super) async fn host_files(&mut self) -> Result<Files, Stop> {
        let (_, db) = self.link.fetch_manifest("", &self.scratch).await?;
        let unreadable = |why: String| {
            Stop::failed(
                MbError::CORRUPT,
                format!("Error reading backup database: {why}"),
            )
        };
        db.map_err(|code| unreadable(code.words().to_owned()))?;
        let key = self
            .keys
            .secrets
            .as_ref()
            .map(manifest::Secrets::of_manifest);
        files_of(self.scratch.join("Manifest.db"), key)
            .await
            .map_err(unreadable)
    }

    /// Step 11.
    pub(super) async fn done(&mut self) -> Result<(), Stop> {
        self.link.moment(Moment::End).await?;
        let phone = &self.link.phone;
        let at = phone.clock().now().as_second().saturating_sub(EPOCH_2001);
        phone.set_value(
            BACKUP_DOMAIN,
            "LastiTunesBackupTZ",
            Some(Value::from("GMT")),
        );
        phone.set_value(BACKUP_DOMAIN, "LastiTunesBackupDate", Some(Value::from(at)));
        Ok(())
    }

    fn lockdown(&self) -> Dictionary {
        let phone = &self.link.phone;
        let mut out = Dictionary::new();
        for domain in LOCKDOWN_DOMAINS {
            out.insert(
                domain.to_owned(),
                Value::Dictionary(phone.domain(domain).unwrap_or_default()),
            );
        }
        for key in LOCKDOWN_KEYS {
            if let Some(value) = phone.value(ROOT_DOMAIN, key) {
                out.insert(key.to_owned(), value);
            }
        }
        out
    }

    fn applications(&self) -> Dictionary {
        let app = |app: &crate::persona::App| {
            let mut entry = Dictionary::new();
            entry.insert(
                "CFBundleIdentifier".to_owned(),
                app.bundle_id.as_str().into(),
            );
            entry.insert("CFBundleVersion".to_owned(), app.version.as_str().into());
            entry.insert(
                "ContainerContentClass".to_owned(),
                "Data/Application".into(),
            );
            (app.bundle_id.clone(), Value::Dictionary(entry))
        };
        self.link.phone.persona().app.iter().map(app).collect()
    }
}

/// The fault of this file, unless it has struck often enough.
fn strike<'f>(
    failures: &mut BTreeMap<FileId, u32>,
    faults: &'f [FileFault],
    item: &Item,
) -> Option<&'f FileFault> {
    let fault = faults
        .iter()
        .find(|fault| fault.domain == *item.domain && fault.path == *item.path)?;
    let count = failures.entry(item.id).or_default();
    *count = count.saturating_add(1);
    (*count <= fault.times).then_some(fault)
}
