//! The disk fails at the n-th operation of a run, for all n: once, as when a cable wobbles, or from then on, as when it is full
//! or dying.

use std::sync::{Arc, Mutex};

use backupwatch_core::run::RunEnd;
use rustix::io::Errno;

use super::Bench;
use super::common::{encrypted, persona};
use crate::disk::watch::{Observer, Op, Watch, What};

/// Which operations are counted. The two are in order for themselves, and not between each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Files,
    Ledger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Once,
    Ever,
}

struct Failing {
    counted: Counted,
    left: usize,
    how_long: For,
    errno: Errno,
    /// The operation that failed first.
    struck: Option<Op>,
}

impl Observer for Failing {
    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if !can_say(op.what, self.errno) {
            return Ok(());
        }
        if self.struck.is_some() {
            return match self.how_long {
                For::Once => Ok(()),
                For::Ever => Err(self.errno),
            };
        }
        if (op.what == What::Ledger) != (self.counted == Counted::Ledger) {
            return Ok(());
        }
        if is_one_of_many(op) {
            return Ok(());
        }
        if self.left == 0 {
            self.struck = Some(op.clone());
            return Err(self.errno);
        }
        self.left -= 1;
        Ok(())
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

/// Breaks run after run, each at the next operation, until one is through before its turn comes.
async fn every(bench: Bench, errno: Errno, how_long: For) {
    let (mut cases, mut verified) = (0, 0);
    for counted in [Counted::Files, Counted::Ledger] {
        for number in 0.. {
            let store = bench.fresh("root");
            let phone = bench.phone.twin();
            let failing = Arc::new(Mutex::new(Failing {
                counted,
                left: number,
                how_long,
                errno,
                struck: None,
            }));
            let watch = Watch::over(store.root(), failing.clone());
            let report = phone.back_up(&store).await;
            drop(watch);
            let struck = failing.lock().unwrap().struck.take();
            let what = format!("{errno:?} {how_long:?}, {counted:?} {number}, {struck:?}");
            bench.must_be_true(&report, &store, &what);
            let ended_well = matches!(report.end, RunEnd::Verified(_));
            assert!(
                !ended_well || !struck.as_ref().is_some_and(|op| counts(op.what)),
                "{what}: verified all the same"
            );
            verified += u32::from(ended_well);
            if struck.is_some() {
                cases += 1;
                bench.must_be_well(store.root(), &phone, &what).await;
            } else {
                assert!(matches!(report.end, RunEnd::Verified(_)), "{report:#?}");
            }
            std::fs::remove_dir_all(store.root()).unwrap();
            if struck.is_none() {
                break;
            }
        }
    }
    eprintln!("{errno:?} {how_long:?}: {cases} cases, {verified} verified all the same");
    assert!(cases > 90, "{cases}");
}

macro_rules! tests {
    ($($name:ident: $errno:ident $how_long:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            every(Bench::changed(persona()).await, Errno::$errno, For::$how_long).await;
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
    every(Bench::first(persona()).await, Errno::IO, For::Ever).await;
}

#[tokio::test]
async fn of_an_encrypted_backup() {
    every(Bench::changed(encrypted()).await, Errno::IO, For::Once).await;
}
