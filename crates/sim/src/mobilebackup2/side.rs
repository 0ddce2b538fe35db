//! What the backup agent keeps between connections: the phone's contents, its backup password, the snapshot of an
//! unfinished backup, what the last finished one held, and what hosts did wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::prepared::Prepared;
use crate::cloud::Note;
use crate::contents::{Bytes, Catalog, FileId, Item, Kind, noise};
use crate::faults::Faults;
use crate::keybag::Rounds;
use crate::manifest::{Secrets, Status};
use crate::persona::Persona;
use crate::phone::lock;

/// The backup agent's part of a phone.
#[derive(Debug)]
pub struct BackupSide {
    seed: u64,
    rounds: Rounds,
    catalog: Mutex<Arc<Catalog>>,
    faults: Mutex<Arc<Faults>>,
    vault: Mutex<Vault>,
    pending: Mutex<Option<Arc<Snapshot>>>,
    finished: Mutex<Option<Arc<Finished>>>,
    violations: Mutex<Vec<String>>,
    pub(super) prepared: Mutex<Option<Arc<Prepared>>>,
    /// How many snapshots there have been.
    snapshots: AtomicU64,
    /// One operation at a time, whatever the number of hosts.
    pub(super) busy: tokio::sync::Mutex<()>,
}

/// More violations than this say nothing new.
const VIOLATIONS_KEPT: usize = 1000;

/// The password and what follows from it.
#[derive(Clone, Default)]
struct Vault {
    password: Option<String>,
    /// Counts how often encryption was switched on: each time the class keys are new.
    epoch: u64,
    /// Counts changes of the password: each wraps the keys anew.
    changes: u64,
    keybag: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("encrypted", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// The keys of a backup at one moment.
#[derive(Clone)]
pub struct Keys {
    pub password: Option<String>,
    pub secrets: Option<Secrets>,
    /// `BackupKeyBag`; plain backups have one too.
    pub keybag: Arc<[u8]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("encrypted", &self.secrets.is_some())
            .finish_non_exhaustive()
    }
}

/// The phone as it was when a backup began; kept until that backup is finished (protocol.md 9.8).
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub status: Status,
    pub catalog: Arc<Catalog>,
    pub keys: Keys,
    /// `Date` of `Manifest.plist`, which incremental backups leave alone (PMD3#1577).
    pub manifest_date: Timestamp,
    /// Files that the host has from the backup before, unchanged.
    pub unchanged: BTreeSet<FileId>,
    /// Blobs of the backup before that are no longer wanted.
    pub removed: Vec<String>,
}

/// What the host ought to hold now.
#[derive(Debug, Clone)]
pub struct Finished {
    pub catalog: Arc<Catalog>,
    pub keys: Keys,
    /// Files that the phone could not read, and therefore left out of the manifest.
    pub omitted: BTreeSet<FileId>,
    /// How it came about.
    pub how: How,
    /// Files sent by the last run of it.
    pub uploaded: usize,
}

/// What kind of run ended a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Full,
    Incremental,
    /// The second or later run of an interrupted backup, from its snapshot.
    Resumed,
    /// Only the host's moves were left to do.
    FinishedMoves,
}

impl Finished {
    pub fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.catalog
            .items()
            .filter(|item| !self.omitted.contains(&item.id))
    }
}

impl BackupSide {
    #[must_use]
    pub fn new(persona: &Persona) -> Self {
        let catalog = Catalog::new(&persona.contents).unwrap_or_else(|error| {
            // Persona files are checked when they are read; this is a persona made in code.
            tracing::error!(%error, "the phone has no contents");
            Catalog::default()
        });
        let seed = noise::subkey(persona.contents.seed, persona.identity.udid.as_bytes());
        let vault = Vault {
            password: persona.backup.password.clone(),
            ..Vault::default()
        };
        Self {
            seed,
            rounds: persona.backup.rounds(),
            catalog: Mutex::new(Arc::new(catalog)),
            faults: Mutex::new(Arc::new(persona.faults.clone())),
            vault: Mutex::new(vault),
            pending: Mutex::new(None),
            finished: Mutex::new(None),
            violations: Mutex::new(Vec::new()),
            prepared: Mutex::new(None),
            snapshots: AtomicU64::new(0),
            busy: tokio::sync::Mutex::new(()),
        }
    }

    /// What is on the phone now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        lock(&self.catalog).clone()
    }

    /// Changes what is on the phone. A backup that runs goes on with its snapshot.
    pub fn change<T>(&self, change: impl FnOnce(&mut Catalog) -> T) -> T {
        change(Arc::make_mut(&mut lock(&self.catalog)))
    }

    /// Puts the phone's notes among its files, as far as they say anything new.
    pub(super) fn note(&self, notes: Vec<Note>, now: Timestamp) {
        let modified = u64::try_from(now.as_second()).unwrap_or(0);
        for note in notes {
            let known = self.catalog();
            let known = known.get(note.domain, note.path).map(|item| &item.kind);
            let same = matches!(
                known,
                Some(Kind::File { bytes: Bytes::Text(text), .. }) if **text == *note.bytes
            );
            if !same {
                let bytes = Arc::from(note.bytes);
                let written =
                    self.change(|catalog| catalog.write(note.domain, note.path, bytes, modified));
                if let Err(error) = written {
                    tracing::error!(%error, "the phone's notes are not in its backup");
                }
            }
        }
    }

    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        lock(&self.faults).clone()
    }

    /// Replaces the faults, from the next message on.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.faults) = Arc::new(faults);
    }

    #[must_use]
    pub fn encrypts(&self) -> bool {
        lock(&self.vault).password.is_some()
    }

    #[must_use]
    pub fn password_is(&self, password: Option<&str>) -> bool {
        lock(&self.vault).password.as_deref() == password
    }

    /// Sets, changes or removes the backup password.
    pub fn set_password(&self, password: Option<String>) {
        let mut vault = lock(&self.vault);
        if vault.password.is_none() && password.is_some() {
            vault.epoch += 1;
        }
        vault.changes += 1;
        vault.keybag = None;
        vault.password = password;
    }

    /// The keys for a backup that begins now. Slow: the key derivation of a real phone takes seconds.
    #[must_use]
    pub fn keys(&self) -> Keys {
        let vault = lock(&self.vault).clone();
        let secrets = Secrets::generate(noise::subkey(
            self.seed,
            format!("epoch {}", vault.epoch).as_bytes(),
        ));
        let keybag = vault.keybag.clone().unwrap_or_else(|| {
            // A plain backup has a keybag too, and nobody knows its password.
            let (password, rounds) = match &vault.password {
                Some(password) => (password.clone().into_bytes(), self.rounds),
                None => (
                    self.seed.to_be_bytes().to_vec(),
                    Rounds { dpic: 1, iter: 1 },
                ),
            };
            let sealed: Arc<[u8]> = secrets.keybag.seal(&password, rounds, vault.changes).into();
            let mut current = lock(&self.vault);
            if current.changes == vault.changes {
                current.keybag = Some(sealed.clone());
            }
            sealed
        });
        Keys {
            secrets: vault.password.is_some().then_some(secrets),
            password: vault.password,
            keybag,
        }
    }

    /// A number that differs from phone to phone.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// A number for each snapshot.
    pub(super) fn next_snapshot(&self) -> u64 {
        let count = self.snapshots.fetch_add(1, Ordering::Relaxed);
        noise::subkey(self.seed, format!("snapshot {count}").as_bytes())
    }

    pub(super) fn pending(&self) -> Option<Arc<Snapshot>> {
        lock(&self.pending).clone()
    }

    pub(super) fn set_pending(&self, snapshot: Option<Arc<Snapshot>>) {
        *lock(&self.pending) = snapshot;
    }

    /// What the last backup that ended well left on the host.
    #[must_use]
    pub fn finished(&self) -> Option<Arc<Finished>> {
        lock(&self.finished).clone()
    }

    pub(super) fn set_finished(&self, finished: Finished) {
        *lock(&self.finished) = Some(Arc::new(finished));
    }

    /// The host's manifest has this keybag now, with the same class keys inside.
    pub(super) fn rewrapped(&self, keys: Keys) {
        let mut finished = lock(&self.finished);
        if let Some(current) = finished
            .as_deref()
            .filter(|finished| finished.keys.secrets.is_some())
            .cloned()
        {
            *finished = Some(Arc::new(Finished { keys, ..current }));
        }
    }

    /// What hosts did that a real phone would not forgive, or that no host may do.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    pub(super) fn violation(&self, what: String) {
        tracing::warn!(what, "the host broke a rule");
        let mut violations = lock(&self.violations);
        if violations.len() < VIOLATIONS_KEPT {
            violations.push(what);
        }
    }
}
