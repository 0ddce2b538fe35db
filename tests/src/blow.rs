//! A backup that is broken off from outside at a chosen moment, and what has to be so afterwards, whatever the moment was.

use crate::{
    story::{Before, heal},
    table::{Running, Table},
    tree::Tree,
};
use backupwatch_backup::Store;
use backupwatch_core::Udid;
use backupwatch_sim::{contents::FileId, persona::Persona};
use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How it is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL to our process.
    Kill,
    /// The cable comes out.
    Unplug,
}

/// How far the run was, as its journal and its trees tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing of it is on the disk.
    Opening,
    /// The work tree is made, and the phone has not written its status.
    Preparing,
    Uploading,
    Moving,
    Removing,
    /// The phone is done, and the tree is not known to be verified.
    Verifying,
    /// It is, and the backup before is still the current one.
    Sealed,
    /// The trees are exchanged, and the one before has not become a version.
    Exchanged,
    /// It has, and retention is not over.
    Retaining,
    /// The journal is closed, and the process goes on.
    Closed,
    /// The process had ended by itself.
    Ended,
}

/// How often each moment was hit.
#[derive(Debug, Default)]
pub struct Tally(pub BTreeMap<Moment, usize>);

impl Tally {
    pub fn count(&mut self, moment: Moment) {
        *self.0.entry(moment).or_default() += 1;
    }

    /// Fails unless these moments were hit that often together.
    #[track_caller]
    pub fn assert_hit(&self, moments: &[Moment], at_least: usize) {
        let hit: usize = moments.iter().filter_map(|moment| self.0.get(moment)).sum();
        assert!(
            hit >= at_least,
            "{moments:?} were hit {hit} times, not {at_least}: {self:?}"
        );
    }
}

/// Folders for blobs that the phone of [`few`] has.
const FOLDERS: u16 = 4;

/// A phone whose backup is a hundred messages long and not two thousand, so that each of them can be the last one.
#[must_use]
pub fn few(password: Option<&str>) -> Persona {
    let udid = if password.is_some() {
        "00008101-000A11112222F1E6"
    } else {
        "00008101-000A11112222F1E7"
    };
    let mut persona = Persona::plain(udid, "Ada’s iPhone");
    persona.backup.password = password.map(str::to_owned);
    (persona.backup.dpic, persona.backup.iter) = (10, 10);
    (persona.backup.batch, persona.backup.folders) = (3, FOLDERS);
    let belongs = |path: &String| {
        let folder = u16::from_str_radix(&FileId::of("CameraRollDomain", path).folder(), 16);
        folder.is_ok_and(|folder| folder < FOLDERS)
    };
    let names = (0..).map(|n| format!("Media/Zoe\u{308} 🎉 {n}.jpg"));
    let files: String = (names
        .filter(belongs)
        .zip([900, 0, 40_000, 1300, 70_000, 16, 32_768]))
    .map(|(path, size)| {
        format!("[[files]]\ndomain = 'CameraRollDomain'\npath = '{path}'\nsize = {size}\n")
    })
    .collect();
    persona.contents = toml::from_str(&format!("seed = 3\n{files}")).expect("contents are right");
    persona
}

/// Something changes on the phone.
pub fn change(table: &Table) {
    let phone = table.phone();
    let changed = |catalog: &mut backupwatch_sim::contents::Catalog| catalog.mutate(50.0);
    phone.phone().backup().change(changed);
}

/// Lets the single-stepped phone send so many messages, and waits until it is about to send the next one. False when the run
/// ended before.
pub fn step(table: &Table, run: &mut Running, messages: usize, sent: &mut Vec<String>) -> bool {
    let phone = table.phone();
    table.wait(&format!("{messages} messages are sent"), async {
        while sent.len() < messages {
            tokio::select! {
                name = phone.step() => sent.push(name),
                () = ended(run) => return false,
            }
        }
        tokio::select! {
            () = phone.is_about_to_send() => true,
            () = ended(run) => false,
        }
    })
}

async fn ended(run: &mut Running) {
    while !run.has_ended() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Strikes, and waits until the run is over. False when it had ended by itself.
#[must_use]
pub fn strike(table: &Table, mut run: Running, blow: Blow, at: &str) -> bool {
    let ran = !run.has_ended();
    match blow {
        Blow::Kill => {
            let ran = run.kill();
            table.phone().single_step(false);
            ran
        }
        Blow::Unplug => {
            table.phone().unplug();
            table.phone().single_step(false);
            let said = run.end();
            let lost = said.out.contains("The connection to the phone was lost.")
                || said.err.contains("the device is not connected")
                || said.err.contains("the phone could not be seen")
                || said.err.contains("it waits for");
            assert!(
                said.code == Some(0) || (said.code == Some(7) && lost) || said.code == Some(6),
                "{at}: {said:?}"
            );
            assert!(!said.err.contains("panicked"), "{at}: {said:?}");
            ran
        }
    }
}

/// A table with a verified backup, and what is known of it.
pub struct Broken<'t> {
    table: &'t Table,
    before: Before,
    at: String,
}

impl<'t> Broken<'t> {
    /// Remembers the backup that is there now.
    #[must_use]
    pub fn expect(table: &'t Table, at: String) -> Self {
        let before = Before::of(table, &at);
        Self { table, before, at }
    }

    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The backup before is there, byte for byte, in its place or, when a whole new one is there, as a version.
    pub fn assert_kept(&self) {
        if !self.before.is_current(self.table) {
            self.table.assert_whole();
            let (work, kept) = (self.ours("work"), &self.before);
            assert!(
                kept.is_at(&work.join(self.table.udid())) || kept.is_a_version(self.table),
                "{}: the backup before is lost",
                self.at
            );
        }
    }

    /// How far the run was that was just broken off.
    #[must_use]
    pub fn moment(&self, ran: bool) -> Moment {
        let (work, current) = (self.ours("work").join(self.table.udid()), self.table.tree());
        let journal = std::fs::read_to_string(self.journal()).unwrap_or_default();
        let before = self.before.is_current(self.table);
        if !ran {
            Moment::Ended
        } else if journal.contains("\"verified\"") {
            match (before, work.exists()) {
                (true, _) => Moment::Sealed,
                (false, true) => Moment::Exchanged,
                (false, false) => Moment::Retaining,
            }
        } else if !before {
            Moment::Closed
        } else if journal.contains("\"working\"") || journal.contains("\"paused\"") {
            phase(&work, &current)
        } else {
            Moment::Opening
        }
    }

    /// A start after it: what was left to be done is done, once, and the phone's next backup ends well. `by_library` has the
    /// store reconcile before; else the next run of our binary finds it as it is.
    pub fn assert_well_again(&self, by_library: bool) {
        let table = self.table;
        heal(table);
        if by_library {
            let store = Store::open(&table.root()).expect("it is a store");
            // A second start finds nothing more to do.
            for _ in 0..2 {
                store.reconcile().expect("the journal reconciles");
                let journal = std::fs::read_to_string(self.journal()).unwrap_or_default();
                assert!(!journal.contains("\"verified\""), "{}: {journal}", self.at);
            }
            self.assert_kept();
        }
        // What is current when the next run begins, or becomes it by the roll forward with which that begins.
        let verified = std::fs::read_to_string(self.journal())
            .is_ok_and(|journal| journal.contains("\"verified\""));
        let work = self.ours("work").join(table.udid());
        let last = if verified && self.before.is_current(table) {
            Before::at(&work, &self.at)
        } else {
            Before::of(table, &self.at)
        };
        table.back_up_well(&[]);
        assert!(
            last.is_a_version(table),
            "{}: the backup before the last one is no version",
            self.at
        );
        assert_tidy(table, &self.at);
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.table.root().join(".backupwatch").join(name)
    }

    fn journal(&self) -> PathBuf {
        self.ours("journal")
            .join(format!("{}.json", self.table.udid()))
    }
}

/// What broke off before is forgotten: nothing of it is left over, and what is current is known to be verified.
pub fn assert_tidy(table: &Table, at: &str) {
    let (ours, udid) = (table.root().join(".backupwatch"), table.udid());
    let work = ours.join("work");
    for (what, left) in [
        ("work", work.join(&udid)),
        (
            "a journal",
            ours.join("journal").join(format!("{udid}.json")),
        ),
        ("a ledger", work.join(format!("{udid}.ledger"))),
    ] {
        assert!(!left.exists(), "{at}: {what} is left over");
    }
    assert_eq!(
        Tree::of(&ours.join("trash")).names(),
        Vec::<String>::new(),
        "{at}: something is left in the trash"
    );
    let store = Store::open(&table.root()).expect("it is a store");
    let udid = Udid::parse(&udid).expect("a UDID");
    assert!(
        store.current(&udid).is_ok_and(|copy| copy.is_some()),
        "{at}: the new backup is not known to be verified"
    );
}

/// The phone's own word in the work tree, which begins as links to the current one.
fn phase(work: &Path, current: &Path) -> Moment {
    let inode = |tree: &Path| std::fs::metadata(tree.join("Status.plist")).map(|meta| meta.ino());
    let Ok(own) = inode(work) else {
        return Moment::Preparing;
    };
    if inode(current).is_ok_and(|inode| inode == own) {
        return Moment::Preparing;
    }
    let status = std::fs::read(work.join("Status.plist")).unwrap_or_default();
    let says = |word: &str| status.windows(word.len()).any(|at| at == word.as_bytes());
    [
        ("uploading", Moment::Uploading),
        // Before the word that it ends with.
        ("removing", Moment::Removing),
        ("moving", Moment::Moving),
        ("finished", Moment::Verifying),
    ]
    .into_iter()
    .find_map(|(word, moment)| says(word).then_some(moment))
    .unwrap_or(Moment::Preparing)
}
