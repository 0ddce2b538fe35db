//! A backup, in the order of the phone (protocol.md 9.7).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use backupwatch_wire::devicelink::StatusCode;
use backupwatch_wire::mobilebackup2::MbError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::host::Stop;
use super::link::Link;
use super::previous::{Begin, Files, digest};
use super::side::{Finished, How, Keys, Snapshot};
use crate::contents::{FileId, Item};
use crate::faults::Moment;
use crate::keybag::noise_array;
use crate::manifest::{Phase, Status, row_blob};
use crate::persona::Setup;
use crate::phone::{BACKUP_DOMAIN, PasscodeOutcome, seconds};
use crate::seal::sealed_len;

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

pub(super) fn broken(error: &dyn std::fmt::Display) -> Stop {
    Stop::failed(
        MbError::GENERIC,
        format!("the simulator itself failed: {error}"),
    )
}

/// One backup under way.
pub(super) struct Run<'a, S> {
    pub(super) link: &'a mut Link<S>,
    pub(super) udid: String,
    pub(super) keys: Keys,
    pub(super) scratch: PathBuf,
    /// Files to be tried once more.
    pub(super) retry: BTreeSet<FileId>,
    /// Files that failed twice and stay out of the manifest.
    pub(super) omitted: BTreeSet<FileId>,
    /// How often the fault of a file has struck.
    pub(super) failures: BTreeMap<FileId, u32>,
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
        phone
            .backup()
            .note(crate::cloud::notes(&phone), phone.clock().now());
        let catalog = phone.backup().catalog();
        let now = phone.clock().now();
        let full = previous.is_none();
        let (date, files) = previous.unwrap_or((now, Files::new()));
        let status = Status {
            uuid: uuid(phone.backup().next_snapshot()),
            date: now,
            phase: Phase::Uploading,
            full,
        };
        let keys = self.keys.clone();
        let prepared = phone.backup().prepared(&catalog, &keys);
        let compare = move || {
            let mut unchanged = BTreeSet::new();
            let mut removed = files;
            let known = prepared.as_ref().map(|prepared| prepared.digests());
            for (number, item) in catalog.files().enumerate() {
                let Some(digest_there) = removed.remove(&item.id.to_string()) else {
                    continue;
                };
                let digest_here = match known.and_then(|known| known.get(number)) {
                    Some(known) => Some(*known),
                    None => row_blob(item, keys.secrets.as_ref())
                        .ok()
                        .map(|blob| digest(&blob)),
                };
                if digest_here == Some(digest_there) {
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
}

/// The identifier of a phone's nth snapshot: the same in every run of a persona, so that two trees of it can be compared.
fn uuid(key: u64) -> String {
    let hex: String = noise_array::<16>(key)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
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
