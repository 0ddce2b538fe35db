//! A backup, in the order of the phone (protocol.md 9.7).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use backupwatch_wire::devicelink::StatusCode;
use backupwatch_wire::mobilebackup2::MbError;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::host::Stop;
use super::link::{Link, to_file};
use super::previous::{Begin, Files, digest, files_of, in_folder, prefixes};
use super::side::{Finished, How, Keys, Snapshot};
use super::upload::{Source, Upload};
use crate::contents::{FileId, Item, noise};
use crate::faults::{FileFault, Moment};
use crate::keybag::Key;
use crate::manifest::{self, Phase, Properties, Status, row_blob};
use crate::persona::Setup;
use crate::phone::{BACKUP_DOMAIN, PasscodeOutcome, ROOT_DOMAIN, seconds};
use crate::seal::sealed_len;

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

/// Runs one backup to its final message, which is the caller's.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    force_full: bool,
) -> Result<(), Stop> {
    let phone = link.phone.clone();
    let Ok(_alone) = phone.backup().busy.try_lock() else {
        return Err(Stop::failed(
            MbError::new(14).unwrap_or(MbError::GENERIC),
            "Another backup is running",
        ));
    };
    link.progress = 0.0;
    passcode(link).await?;
    let setup = phone.persona().setup;
    match setup {
        Setup::Done => {}
        Setup::InProgress => {
            return Err(Stop::failed(
                MbError::SETUP,
                "Setup Assistant is not finished",
            ));
        }
        Setup::Restoring => {
            return Err(Stop::failed(
                MbError::RESTORE_RUNNING,
                "A restore from iCloud is running",
            ));
        }
    }
    if requires_encryption(link) && !link.side().encrypts() {
        return Err(Stop::failed(
            MbError::PASSWORD,
            "Backup encryption is required by a profile",
        ));
    }
    link.moment(Moment::Start).await?;

    let keys = {
        let phone = phone.clone();
        tokio::task::spawn_blocking(move || phone.backup().keys())
            .await
            .map_err(|error| broken(&error))?
    };
    let scratch = tempfile::tempdir().map_err(|error| broken(&error))?;
    let mut run = Run {
        udid: phone.udid().to_owned(),
        link,
        keys,
        scratch: scratch.path().to_owned(),
        retry: BTreeSet::new(),
        omitted: BTreeSet::new(),
        failures: BTreeMap::new(),
    };
    run.whole(force_full).await
}

/// The passcode prompt that precedes every operation on backups (protocol.md 9.3).
pub async fn passcode<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
) -> Result<(), Stop> {
    let phone = link.phone.clone();
    let outcome = tokio::select! {
        biased;
        outcome = phone.ask_passcode() => outcome,
        end = link.gone() => return Err(Stop::End(end)),
    };
    match outcome {
        PasscodeOutcome::NotAsked | PasscodeOutcome::Entered => Ok(()),
        PasscodeOutcome::Cancelled => Err(Stop::failed(MbError::LOCKED, "Device locked")),
        PasscodeOutcome::TimedOut => Err(Stop::failed(
            MbError::LOCKED,
            "Device locked - timeout waiting for passcode entry",
        )),
    }
}

/// A profile asks for encrypted backups; an integer on real phones (protocol.md 5.2).
pub fn requires_encryption<S>(link: &Link<S>) -> bool {
    let value = link.phone.value(BACKUP_DOMAIN, "RequiresEncryption");
    value.is_some_and(|value| {
        value
            .as_boolean()
            .unwrap_or_else(|| value.as_signed_integer().is_some_and(|number| number != 0))
    })
}

fn broken(error: &dyn std::fmt::Display) -> Stop {
    Stop::failed(
        MbError::GENERIC,
        format!("the simulator itself failed: {error}"),
    )
}

struct Run<'a, S> {
    link: &'a mut Link<S>,
    udid: String,
    keys: Keys,
    scratch: PathBuf,
    /// Files to be tried once more.
    retry: BTreeSet<FileId>,
    /// Files that failed twice and stay out of the manifest.
    omitted: BTreeSet<FileId>,
    /// How often the fault of a file has struck.
    failures: BTreeMap<FileId, u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Run<'_, S> {
    async fn whole(&mut self, force_full: bool) -> Result<(), Stop> {
        let begin = self.link.begin(&self.keys, &self.scratch).await?;
        let begin = if let Begin::Restart { then } = begin {
            self.link
                .remove_items(vec![format!("{}/Snapshot", self.udid)])
                .await?;
            *then
        } else {
            begin
        };
        let force_full = force_full && self.link.phone.persona().backup.force_full;
        match begin {
            Begin::FinishMoves(status) => return self.finish_moves(status).await,
            Begin::Resume(snapshot) => self.upload_and_move(snapshot, true).await?,
            Begin::Incremental { date, files } if !force_full => {
                let snapshot = self.snapshot(Some((date, files))).await?;
                self.upload_and_move(snapshot, false).await?;
            }
            Begin::Full | Begin::Incremental { .. } | Begin::Restart { .. } => {
                let snapshot = self.snapshot(None).await?;
                self.upload_and_move(snapshot, false).await?;
            }
        }
        Ok(())
    }

    /// Step 5: the phone freezes itself and compares with the backup before.
    async fn snapshot(
        &mut self,
        previous: Option<(jiff::Timestamp, Files)>,
    ) -> Result<Arc<Snapshot>, Stop> {
        if self.link.side().faults().snapshot_exists {
            return Err(Stop::failed(
                MbError::EXISTS,
                "Failed to create snapshot: File exists",
            ));
        }
        let phone = self.link.phone.clone();
        let scan = seconds(phone.persona().backup.scan_s);
        if !scan.is_zero() {
            tokio::time::sleep(scan).await;
        }
        let catalog = phone.backup().catalog();
        let now = phone.clock().now();
        let full = previous.is_none();
        let (date, files) = previous.unwrap_or((now, Files::new()));
        let status = Status {
            uuid: uuid(),
            date: now,
            phase: Phase::Uploading,
            full,
        };
        let keys = self.keys.clone();
        let compare = move || {
            let mut unchanged = BTreeSet::new();
            let mut removed = files;
            for item in catalog.files() {
                let Some(digest_there) = removed.remove(&item.id.to_string()) else {
                    continue;
                };
                if row_blob(item, keys.secrets.as_ref())
                    .is_ok_and(|blob| digest(&blob) == digest_there)
                {
                    unchanged.insert(item.id);
                }
            }
            Snapshot {
                status,
                catalog,
                keys,
                manifest_date: date,
                unchanged,
                removed: removed.into_keys().collect(),
            }
        };
        let snapshot = tokio::task::spawn_blocking(compare)
            .await
            .map_err(|error| broken(&error))?;
        Ok(Arc::new(snapshot))
    }

    /// Steps 6 to 11.
    async fn upload_and_move(
        &mut self,
        snapshot: Arc<Snapshot>,
        resumed: bool,
    ) -> Result<(), Stop> {
        self.keys = snapshot.keys.clone();
        let mut there = BTreeMap::new();
        if resumed {
            for (_, listing) in self.link.list_folders("Snapshot/").await? {
                let corrupt = |code: StatusCode| {
                    Stop::failed(
                        MbError::CORRUPT,
                        format!("Error resuming backup: {}", code.words()),
                    )
                };
                there.extend(listing.map_err(corrupt)?);
            }
        }
        let sealed = self.keys.secrets.clone();
        let blob_len =
            move |item: &Item| match sealed.as_ref().and_then(|secrets| secrets.of_file(item)) {
                Some(_) => sealed_len(item.size()),
                None => item.size(),
            };
        let changed: Vec<Arc<Item>> = snapshot
            .catalog
            .files()
            .filter(|item| !snapshot.unchanged.contains(&item.id))
            .cloned()
            .collect();
        let missing = |item: &&Arc<Item>| there.get(&item.id.to_string()) != Some(&blob_len(item));
        let wanted: Vec<Arc<Item>> = changed.iter().filter(missing).cloned().collect();

        self.check_space(wanted.iter().map(|item| blob_len(item)).sum())
            .await?;
        self.make_folders().await?;
        self.link.side().set_pending(Some(snapshot.clone()));
        self.put_status(&snapshot.status, Phase::Uploading).await?;
        self.link.moment(Moment::Uploading).await?;

        self.upload_files(&wanted, 1.0, 90.0).await?;
        if !self.retry.is_empty() {
            // One retry round and no more.
            let retry = std::mem::take(&mut self.retry);
            let again: Vec<_> = wanted
                .iter()
                .filter(|item| retry.contains(&item.id))
                .cloned()
                .collect();
            self.omitted = retry;
            self.upload_files(&again, 90.0, 92.0).await?;
        }
        self.put_manifests(&snapshot).await?;
        self.link.moment(Moment::Moving).await?;

        self.put_status(&snapshot.status, Phase::Moving).await?;
        let batch = self.link.phone.persona().backup.batch.max(1);
        let moved: Vec<_> = changed
            .iter()
            .filter(|item| !self.omitted.contains(&item.id))
            .collect();
        for chunk in moved.chunks(batch) {
            let pair = |item: &&Arc<Item>| {
                let name = format!("{}/{}", item.id.folder(), item.id);
                (
                    format!("{}/Snapshot/{name}", self.udid),
                    format!("{}/{name}", self.udid),
                )
            };
            self.link
                .move_items(chunk.iter().map(pair).collect())
                .await?;
        }
        self.move_manifests().await?;
        self.link.progress = 97.0;

        self.put_status(&snapshot.status, Phase::Removing).await?;
        let in_manifest = |id: &FileId| !self.omitted.contains(id);
        if resumed || snapshot.status.full {
            let known: BTreeSet<String> = snapshot
                .catalog
                .files()
                .map(|item| item.id)
                .filter(in_manifest)
                .map(|id| id.to_string())
                .collect();
            self.sweep(&known).await?;
        } else {
            let gone = snapshot
                .removed
                .iter()
                .cloned()
                .chain(self.omitted.iter().map(FileId::to_string))
                .collect();
            self.remove_blobs(gone).await?;
        }
        self.remove_leftovers().await?;
        self.put_status(&snapshot.status, Phase::Finished).await?;
        let how = match (resumed, snapshot.status.full) {
            (true, _) => How::Resumed,
            (false, true) => How::Full,
            (false, false) => How::Incremental,
        };
        self.link.side().set_finished(Finished {
            catalog: snapshot.catalog.clone(),
            keys: self.keys.clone(),
            omitted: std::mem::take(&mut self.omitted),
            how,
            uploaded: wanted.len(),
        });
        self.link.side().set_pending(None);
        self.verify().await?;
        self.done().await
    }

    /// A backup that was interrupted while the host moved files: nothing is read from the phone any more.
    async fn finish_moves(&mut self, status: Status) -> Result<(), Stop> {
        let batch = self.link.phone.persona().backup.batch.max(1);
        if status.phase == Phase::Moving {
            let mut pairs = Vec::new();
            for (folder, listing) in self.link.list_folders("Snapshot/").await? {
                let corrupt = |code: StatusCode| {
                    Stop::failed(
                        MbError::CORRUPT,
                        format!("Error resuming backup: {}", code.words()),
                    )
                };
                for name in listing.map_err(corrupt)?.into_keys() {
                    pairs.push((
                        format!("{}/Snapshot/{folder}/{name}", self.udid),
                        format!("{}/{folder}/{name}", self.udid),
                    ));
                }
            }
            for chunk in pairs.chunks(batch) {
                self.link.move_items(chunk.to_vec()).await?;
            }
            self.move_manifests().await?;
            self.put_status(&status, Phase::Removing).await?;
        }
        let pending = self
            .link
            .side()
            .pending()
            .filter(|pending| pending.status.uuid == status.uuid);
        if let Some(pending) = &pending {
            self.keys = pending.keys.clone();
        }
        let files = self.host_files().await?;
        self.sweep(&files.keys().cloned().collect()).await?;
        self.remove_leftovers().await?;
        self.put_status(&status, Phase::Finished).await?;
        if let Some(pending) = pending {
            let omitted = pending
                .catalog
                .files()
                .filter(|item| !files.contains_key(&item.id.to_string()))
                .map(|item| item.id)
                .collect();
            self.link.side().set_finished(Finished {
                catalog: pending.catalog.clone(),
                keys: pending.keys.clone(),
                omitted,
                how: How::FinishedMoves,
                uploaded: 0,
            });
            self.link.side().set_pending(None);
        }
        self.verify().await?;
        self.done().await
    }

    /// Step 6, and the purge question (protocol.md 9.5).
    async fn check_space(&mut self, bytes: u64) -> Result<(), Stop> {
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
    async fn make_folders(&mut self) -> Result<(), Stop> {
        self.link.create_directory(self.udid.clone()).await?;
        for prefix in prefixes() {
            self.link
                .create_directory(format!("{}/{prefix}", self.udid))
                .await?;
        }
        self.link
            .create_directory(format!("{}/Snapshot", self.udid))
            .await?;
        for prefix in prefixes() {
            self.link
                .create_directory(format!("{}/Snapshot/{prefix}", self.udid))
                .await?;
        }
        Ok(())
    }

    async fn put_status(&mut self, status: &Status, phase: Phase) -> Result<(), Stop> {
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
    async fn put_file(&mut self, name: &str, source: Source<'_>) -> Result<(), Stop> {
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
    async fn upload_files(&mut self, items: &[Arc<Item>], from: f64, to: f64) -> Result<(), Stop> {
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

    async fn put_manifests(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Stop> {
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
        self.link.progress = 93.0;
        self.put_file("Snapshot/Manifest.plist", Source::Bytes(&plist))
            .await?;
        self.put_file("Snapshot/Manifest.db", db).await
    }

    async fn move_manifests(&mut self) -> Result<(), Stop> {
        for name in ["Manifest.plist", "Manifest.db"] {
            let pair = (
                format!("{}/Snapshot/{name}", self.udid),
                format!("{}/{name}", self.udid),
            );
            self.link.move_items(vec![pair]).await?;
        }
        Ok(())
    }

    async fn remove_blobs(&mut self, names: Vec<String>) -> Result<(), Stop> {
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

    async fn remove_leftovers(&mut self) -> Result<(), Stop> {
        for name in ["Snapshot", "Manifest.mbdx"] {
            self.link
                .remove_items(vec![format!("{}/{name}", self.udid)])
                .await?;
        }
        Ok(())
    }

    /// Asks the host to remove whatever the manifest does not know (protocol.md 9.6).
    async fn sweep(&mut self, known: &BTreeSet<String>) -> Result<(), Stop> {
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
    async fn verify(&mut self) -> Result<(), Stop> {
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
    async fn host_files(&mut self) -> Result<Files, Stop> {
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
    async fn done(&mut self) -> Result<(), Stop> {
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

/// 2001-01-01 in Unix seconds, the zero of the backup domain's dates (protocol.md 5.1).
const EPOCH_2001: i64 = 978_307_200;

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

/// A fresh identifier; only the phone's own cache of snapshots goes by it.
fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = crate::keybag::noise_array(noise::mix(u64::from(std::process::id())));
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}
