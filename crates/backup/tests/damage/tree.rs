//! A backup that was just made and verified, to be damaged, checked and mended again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_backup::Which;
use backupwatch_backup::verify::{
    Deep, Finding, LostFile, Password, Progress, Sample, VerifyError, VerifyReport, deep,
};
use backupwatch_core::{Level, Udid};
use backupwatch_sim::contents::Item;
use backupwatch_sim::persona::Persona;

use crate::common::{UDID, World, encrypted, persona};

/// Few bytes, and pairs of files of one size.
const CONTENTS: &str = r#"
seed = 11
[[groups]]
domain = "CameraRollDomain"
prefix = "Media/DCIM/100APPLE"
count = 12
size = [1, 3000]
names = ["IMG_{n}.HEIC", "Zoe\u0308 🎉 {n}.jpg"]
[[groups]]
domain = "HomeDomain"
prefix = "Library/Twins"
count = 6
size = [5000, 5000]
[[files]]
domain = "HomeDomain"
path = "Library/SMS/sms.db"
size = 150_000
[[files]]
domain = "HomeDomain"
path = "Library/empty"
"#;

pub const PASSWORD: &str = "correct horse 🐴";

pub struct Tree {
    pub folder: PathBuf,
    ledger: PathBuf,
    pub world: World,
}

impl Tree {
    pub async fn plain() -> Self {
        Self::of(persona()).await
    }

    pub async fn encrypted() -> Self {
        Self::of(encrypted()).await
    }

    async fn of(mut persona: Persona) -> Self {
        persona.contents = toml::from_str(CONTENTS).unwrap();
        Self::backed_up(World::new(persona)).await
    }

    /// Makes a backup, full or incremental.
    pub async fn backed_up(world: World) -> Self {
        world.good_backup().await;
        let held = world
            .store
            .open_version(&world.udid(), &Which::Current)
            .unwrap();
        Self {
            folder: held.folder().unwrap(),
            ledger: held.ledger().unwrap(),
            world,
        }
    }

    /// A check at this level, with what the person and the state have.
    pub fn check(&self, level: Level, given: Given) -> VerifyReport {
        self.check_part(level, given, Sample::All)
    }

    pub fn check_part(&self, level: Level, given: Given, sample: Sample) -> VerifyReport {
        self.try_check(level, given, sample, &|_| {}, &Arc::default())
            .unwrap()
    }

    pub fn try_check(
        &self,
        level: Level,
        given: Given,
        sample: Sample,
        progress: &(dyn Fn(Progress) + Sync),
        stop: &Arc<AtomicBool>,
    ) -> Result<VerifyReport, VerifyError> {
        let password = given.password.map(|text| Password::new(text.to_owned()));
        let how = Deep {
            level,
            password: password.as_ref(),
            sample,
            ledger: given.ledger.then_some(&*self.ledger),
            scratch: self.world.outside.path(),
        };
        let udid = Udid::parse(UDID).unwrap();
        deep(&self.folder, &udid, &how, progress, stop)
    }

    /// The phone's files that have bytes, in the order of their blobs.
    pub fn files(&self) -> Vec<Arc<Item>> {
        let catalog = self.world.handle().phone().backup().catalog();
        let mut files: Vec<_> = catalog
            .files()
            .filter(|item| item.size() > 0)
            .cloned()
            .collect();
        files.sort_by_key(|item| item.id.to_string());
        files
    }

    pub fn blob(&self, item: &Item) -> PathBuf {
        let id = item.id.to_string();
        self.folder.join(&id[..2]).join(id)
    }

    pub fn scratch_is_empty(&self) -> bool {
        let mut names = fs::read_dir(self.world.outside.path()).unwrap();
        names.all(|entry| {
            ["root", "secret"].contains(&&*entry.unwrap().file_name().to_string_lossy())
        })
    }
}

/// What there is to check with.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub ledger: bool,
    pub password: Option<&'static str>,
}

pub const NOTHING: Given = Given {
    ledger: false,
    password: None,
};
pub const LEDGER: Given = Given {
    ledger: true,
    password: None,
};
pub const KEY: Given = Given {
    ledger: false,
    password: Some(PASSWORD),
};
pub const BOTH: Given = Given {
    ledger: true,
    password: Some(PASSWORD),
};

/// Chance that is the same each time.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Another value for a byte.
    pub fn flip(&mut self, byte: &mut u8) {
        *byte ^= u8::try_from(1 + self.below(255)).unwrap();
    }
}

/// Damage to some files, which is undone when it is let go. Blobs are links of other trees, so they are replaced and never
/// written to.
#[derive(Default)]
pub struct Damage(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Damage {
    /// Replaces, makes or (with `None`) removes a file.
    pub fn put(&mut self, path: &Path, bytes: Option<&[u8]>) {
        self.0.push((path.to_owned(), fs::read(path).ok()));
        replace(path, bytes);
    }

    pub fn change(&mut self, path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        how(&mut bytes);
        self.put(path, Some(&bytes));
    }
}

impl Drop for Damage {
    fn drop(&mut self) {
        for (path, bytes) in self.0.drain(..).rev() {
            replace(&path, bytes.as_deref());
        }
    }
}

fn replace(path: &Path, bytes: Option<&[u8]>) {
    let _ = fs::remove_file(path);
    if let Some(bytes) = bytes {
        fs::write(path, bytes).unwrap();
    }
}

/// The one finding, and the names that the report gives for the file.
pub fn only(report: &VerifyReport) -> (&Finding, Option<&LostFile>) {
    assert_eq!((report.wrong, report.findings.len()), (1, 1), "{report:?}");
    assert!(!report.is_verified());
    (&report.findings[0], report.lost.first())
}
