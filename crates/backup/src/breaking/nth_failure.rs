//! The disk fails at the n-th operation of a run, for all n: once, as when a cable wobbles, or from then on, as when it is full
//! or dying.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backupwatch_core::run::RunEnd;
use rustix::io::Errno;

use super::Bench;
use super::common::{UDID, encrypted, persona};
use super::phone::Phone;
use crate::disk::watch::{Observer, Op, Watch, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Once,
    Ever,
}

/// When the phone reads what it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// While the tree is linked: from the current backup. The tree gets its name when the phone has done so.
    Early,
    /// When the tree is there: there is no backup that could be read before.
    Late,
}

/// One operation of a run: the same in each run, whatever other threads do in between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aim {
    op: Op,
    /// How many like it came before.
    number: usize,
}

/// Tells operations apart.
#[derive(Default)]
struct Numbers(HashMap<Op, usize>);

impl Numbers {
    fn number(&mut self, op: &Op) -> Aim {
        let mut op = op.clone();
        for path in [Some(&mut op.path), op.to.as_mut()].into_iter().flatten() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Names of files on their way differ from run to run, and so do those of records: by the backup.
            let record = name.split_once('.').filter(|(tree, _)| tree.len() == 64);
            let alike = match record {
                Some((_, end)) => format!("tree.{end}"),
                None if crate::jail::is_part(&name) => "part".to_owned(),
                None => continue,
            };
            path.set_file_name(alike);
        }
        let next = self.0.entry(op.clone()).or_default();
        let number = *next;
        *next += 1;
        Aim { op, number }
    }
}

/// Holds a tree back until the phone has read.
struct Gate {
    has_read: Option<Arc<AtomicBool>>,
    since: Option<Instant>,
}

/// A phone that is not even greeted, because of what has failed, does not read.
const NEVER: Duration = Duration::from_secs(1);

impl Gate {
    fn of(reads: Reads, phone: &Phone) -> Self {
        Self {
            has_read: (reads == Reads::Early).then(|| phone.has_read()),
            since: None,
        }
    }

    fn holds(&mut self, op: &Op) -> bool {
        let names_a_tree = op.what == What::Rename && ends(op, "new");
        let Some(has_read) = self.has_read.as_ref().filter(|_| names_a_tree) else {
            return false;
        };
        let since = self.since.get_or_insert_with(Instant::now);
        !has_read.load(Ordering::SeqCst) && since.elapsed() < NEVER
    }
}

/// All operations of a run, in the order in which they came.
struct List {
    gate: Gate,
    numbers: Numbers,
    all: Vec<Aim>,
}

impl Observer for List {
    fn holds(&mut self, op: &Op) -> bool {
        self.gate.holds(op)
    }

    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if !is_one_of_many(op) {
            self.all.push(self.numbers.number(op));
        }
        Ok(())
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

struct Failing {
    gate: Gate,
    numbers: Numbers,
    aim: Aim,
    how_long: For,
    errno: Errno,
    struck: bool,
}

impl Observer for Failing {
    fn holds(&mut self, op: &Op) -> bool {
        self.gate.holds(op)
    }

    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if self.struck {
            return match self.how_long {
                For::Ever if can_say(op.what, self.errno) => Err(self.errno),
                For::Once | For::Ever => Ok(()),
            };
        }
        self.struck = self.numbers.number(op) == self.aim;
        if self.struck { Err(self.errno) } else { Ok(()) }
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

/// Whether there is a disk that says this of such an operation. A full one can still be read, and gives room when something is
/// removed; a file that is open stays readable whatever becomes of its permissions, and takes no descriptor to read.
fn can_say(what: What, errno: Errno) -> bool {
    let of_any = match what {
        What::Read => &[Errno::IO][..],
        What::Lock => &[Errno::IO, Errno::NOLCK],
        What::Look | What::Rename | What::Exchange | What::Remove => &[Errno::IO, Errno::ACCESS],
        What::Open => &[Errno::IO, Errno::ACCESS, Errno::MFILE],
        What::Write | What::Sync | What::SyncAll => &[Errno::IO, Errno::NOSPC],
        What::MakeFolder | What::Link => &[Errno::IO, Errno::ACCESS, Errno::NOSPC],
        What::Create | What::Ledger => &[Errno::IO, Errno::ACCESS, Errno::NOSPC, Errno::MFILE],
    };
    of_any.contains(&errno)
}

/// Whether a run in which this failed has no backup to show: bytes, names or their safety are missing.
fn counts(what: What) -> bool {
    match what {
        What::Create
        | What::Write
        | What::Link
        | What::Rename
        | What::Exchange
        | What::Sync
        | What::SyncAll => true,
        // What is to be removed may be gone already, and a folder that is to be made be there. Some looks and reads are for
        // what a backup can do without.
        What::Open
        | What::Read
        | What::Look
        | What::MakeFolder
        | What::Remove
        | What::Lock
        | What::Ledger => false,
    }
}

/// A look into one of the 250 folders of blobs that no small phone has: one of them stands for all.
fn is_one_of_many(op: &Op) -> bool {
    let name = op.path.file_name().unwrap_or_default();
    op.what == What::Open && name.len() == 2 && name != "00" && !op.path.exists()
}

/// What a run does that nobody disturbs.
async fn operations(bench: &Bench, reads: Reads) -> Vec<Aim> {
    let store = bench.fresh("root");
    let phone = bench.phone.twin();
    let list = Arc::new(Mutex::new(List {
        gate: Gate::of(reads, &phone),
        numbers: Numbers::default(),
        all: Vec::new(),
    }));
    let watch = Watch::over(store.root(), list.clone());
    let report = phone.back_up(&store).await;
    drop(watch);
    assert!(matches!(report.end, RunEnd::Verified(_)), "{report:#?}");
    std::fs::remove_dir_all(store.root()).unwrap();
    std::mem::take(&mut list.lock().unwrap().all)
}

/// Breaks run after run, each at another operation.
async fn every(bench: Bench, reads: Reads, errno: Errno, how_long: For) {
    let aims = operations(&bench, reads).await;
    if reads == Reads::Early {
        must_read_early(&aims);
    }
    let (mut cases, mut verified, mut missed) = (0, 0, 0);
    for aim in aims {
        if !can_say(aim.op.what, errno) {
            continue;
        }
        let store = bench.fresh("root");
        let phone = bench.phone.twin();
        let failing = Arc::new(Mutex::new(Failing {
            gate: Gate::of(reads, &phone),
            numbers: Numbers::default(),
            aim: aim.clone(),
            how_long,
            errno,
            struck: false,
        }));
        let watch = Watch::over(store.root(), failing.clone());
        let report = phone.back_up(&store).await;
        drop(watch);
        let struck = failing.lock().unwrap().struck;
        let what = format!("{errno:?} {how_long:?}, {aim:?}");
        bench.must_be_true(&report, &store, &what);
        let ended_well = matches!(report.end, RunEnd::Verified(_));
        if struck {
            cases += 1;
            verified += u32::from(ended_well);
            assert!(
                !ended_well || !counts(aim.op.what),
                "{what}: verified all the same"
            );
            bench.must_be_well(store.root(), &phone, &what).await;
        } else {
            // Other threads have come in another order.
            missed += 1;
            eprintln!("not done this time: {aim:?}");
            assert!(ended_well, "{what}: {report:#?}");
        }
        std::fs::remove_dir_all(store.root()).unwrap();
    }
    eprintln!(
        "{errno:?} {how_long:?}: {cases} cases, {verified} verified all the same, {missed} not met"
    );
    assert!(
        cases > 90 && missed * 20 < cases,
        "{cases}, {missed} not met"
    );
}

/// What a phone is told before its tree is there comes from the backup that is.
fn must_read_early(aims: &[Aim]) {
    let named = aims
        .iter()
        .position(|aim| aim.op.what == What::Rename && ends(&aim.op, "new"));
    let early = &aims[..named.unwrap()];
    for name in ["Status.plist", "Manifest.db"] {
        let end = Path::new(UDID).join(name);
        let is_it = |aim: &&Aim| aim.op.what == What::Read && aim.op.path.ends_with(&end);
        assert!(early.iter().any(|aim| is_it(&aim)), "{name}");
    }
}

fn ends(op: &Op, end: &str) -> bool {
    op.path.extension().is_some_and(|it| it == end)
}

macro_rules! tests {
    ($($name:ident: $errno:ident $how_long:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            let bench = Bench::changed(persona()).await;
            every(bench, Reads::Early, Errno::$errno, For::$how_long).await;
        }
    )*};
}

tests! {
    io_error_once: IO Once,
    io_errors_from_then_on: IO Ever,
    no_room_once: NOSPC Once,
    no_room_from_then_on: NOSPC Ever,
    no_access_once: ACCESS Once,
    no_access_from_then_on: ACCESS Ever,
    no_descriptor_once: MFILE Once,
    no_descriptor_from_then_on: MFILE Ever,
}

#[tokio::test]
async fn of_a_first_backup() {
    let bench = Bench::first(persona()).await;
    every(bench, Reads::Late, Errno::IO, For::Ever).await;
}

#[tokio::test]
async fn of_an_encrypted_backup() {
    let bench = Bench::changed(encrypted()).await;
    every(bench, Reads::Early, Errno::IO, For::Once).await;
}
