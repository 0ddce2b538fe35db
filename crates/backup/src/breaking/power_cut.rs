//! The power goes after each single change of the disk that a run makes, and the disk is left as such a moment can leave it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tokio::sync::Notify;

use super::common::{encrypted, persona};
use super::platter::{Cut, Platter};
use super::{Bench, Kept};
use crate::Store;
use crate::disk::watch::{Observer, Op, Watch, What};

/// Writes down what is done, up to the cut. From then on nothing is.
pub(crate) struct Recorder {
    platter: Platter,
    left: usize,
    /// Whether the file system can swap two names in one step.
    swaps: bool,
    cut: Arc<Notify>,
    last: Option<Op>,
}

impl Recorder {
    pub(crate) fn new(root: &Path, left: usize) -> Self {
        Self {
            platter: Platter::of(root),
            left,
            swaps: true,
            cut: Arc::default(),
            last: None,
        }
    }

    /// The last change before the cut.
    pub(crate) fn last(&self) -> Option<&Op> {
        self.last.as_ref()
    }

    /// Whether there were fewer changes than were to be let through.
    pub(crate) fn is_through(&self) -> bool {
        self.left > 0
    }

    /// What a cut leaves, in `to`.
    pub(crate) fn cut(&self, cut: Cut, to: &Path) {
        self.platter.cut(cut, to);
    }
}

impl Observer for Recorder {
    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if self.left == 0 {
            return Err(Errno::IO);
        }
        if op.what == What::Exchange && !self.swaps {
            return Err(Errno::NOTSUP);
        }
        Ok(())
    }

    fn after(&mut self, op: &Op, done: bool) {
        // Those of the ledger are between the others where they like, so they are not counted.
        if done && self.platter.done(op) && op.what != What::Ledger {
            self.last = Some(op.clone());
            self.left -= 1;
            if self.left == 0 {
                self.cut.notify_one();
            }
        }
    }
}

/// With `BACKUPWATCH_TEST_THOROUGH` in the environment chance has fifteen more tries at each moment.
pub(crate) fn cuts(number: u64) -> Vec<Cut> {
    let thorough = std::env::var_os("BACKUPWATCH_TEST_THOROUGH").is_some();
    let mut cuts = vec![Cut::Nothing, Cut::Everything, Cut::Any(!number)];
    for round in 0..if thorough { 16 } else { 1 } {
        let seed = number + (round << 32);
        cuts.extend([Cut::Bytes(seed), Cut::After(seed), Cut::Any(seed)]);
    }
    cuts
}

#[cfg(target_os = "linux")]
struct List(Vec<Op>);

#[cfg(target_os = "linux")]
impl Observer for List {
    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        self.0.push(op.clone());
        Ok(())
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

/// What an incremental run does, in order.
#[cfg(target_os = "linux")]
async fn operations() -> Vec<Op> {
    let bench = Bench::changed(persona()).await;
    let store = bench.fresh("root");
    let list = Arc::new(Mutex::new(List(Vec::new())));
    let watch = Watch::over(store.root(), list.clone());
    bench.phone.twin().back_up(&store).await;
    drop(watch);
    std::mem::take(&mut list.lock().unwrap().0)
}

/// Whether everything was made durable between the last operation before this one that has names to lose, and this one.
#[cfg(target_os = "linux")]
fn comes_after_a_sync(operations: &[Op], number: usize) -> bool {
    let before = operations[..number].iter().rev();
    let is_change = |op: &&Op| {
        let part = op.path.to_string_lossy().ends_with(".part");
        let on_its_way = part && matches!(op.what, What::Create | What::Write | What::Sync);
        !on_its_way && !matches!(op.what, What::Open | What::Read | What::Look | What::Ledger)
    };
    before.into_iter().find(is_change).map(|op| op.what) == Some(What::SyncAll)
}

/// A link that a power cut took was one that the phone had removed, for all that the next run could tell: an encrypted backup
/// without that file was called verified.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_links_of_a_tree_are_safe_before_it_has_its_name() {
    let operations = operations().await;
    let named = operations.iter().position(|op| {
        op.what == What::Rename && op.path.extension().is_some_and(|end| end == "new")
    });
    assert!(comes_after_a_sync(&operations, named.unwrap()));
}

/// The status said that the phone was done, and the disk had lost what it had moved: the file before, of the same length, was
/// called verified in its place.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_a_phone_has_done_is_safe_before_its_status_says_so() {
    let operations = operations().await;
    let mut statuses = 0;
    for (number, op) in operations.iter().enumerate() {
        let to = op.to.as_deref().and_then(Path::file_name);
        if op.what == What::Rename && to.is_some_and(|name| name == "Status.plist") {
            statuses += 1;
            assert!(comes_after_a_sync(&operations, number), "status {statuses}");
        }
    }
    assert_eq!(statuses, 4);
}

/// Cuts run after run, each one change later, until one is through.
async fn everywhere(bench: Bench) {
    let (mut cases, mut new) = (0, 0);
    for number in 1.. {
        let store = bench.fresh("root");
        let recorder = Recorder::new(store.root(), number);
        let cut = Arc::clone(&recorder.cut);
        let recorder = Arc::new(Mutex::new(recorder));
        let phone = bench.phone.twin();
        let watch = Watch::over(store.root(), recorder.clone());
        let through = tokio::select! {
            biased;
            () = cut.notified() => false,
            _ = phone.back_up(&store) => true,
        };
        // What is still on its way comes too late.
        let (platter, last, left) = {
            let recorder = recorder.lock().unwrap();
            (
                recorder.platter.clone(),
                recorder.last.clone(),
                recorder.left,
            )
        };
        for cut in cuts(u64::try_from(number).unwrap()) {
            let what = format!("after change {number}, {last:?}, {cut:?}");
            let root = bench.dir.path().join("after");
            platter.cut(cut, &root);
            let kept = bench.must_be_well(&root, &phone.twin(), &what).await;
            cases += 1;
            new += u32::from(kept == Kept::New);
            std::fs::remove_dir_all(&root).unwrap();
        }
        drop(watch);
        // Threads of the run may still be at it.
        let _ = std::fs::rename(store.root(), bench.dir.path().join(format!("old {number}")));
        if through && left > 0 {
            break;
        }
    }
    eprintln!("{cases} cases, {new} of them after the commit");
    assert!(cases > 300 && new > 10, "{cases}, {new}");
}

#[tokio::test]
async fn of_an_incremental_backup() {
    everywhere(Bench::changed(persona()).await).await;
}

#[tokio::test]
async fn of_an_encrypted_backup() {
    everywhere(Bench::changed(encrypted()).await).await;
}

#[tokio::test]
async fn of_a_first_backup() {
    everywhere(Bench::first(encrypted()).await).await;
}

/// A verified tree that waits for its place: the power goes, and goes again while the next start puts the tree there.
async fn in_a_start(swaps: bool) {
    let bench = Bench::changed(persona()).await;
    let (phone, store) = (bench.phone.twin(), bench.fresh("root"));
    let whole = Recorder::new(store.root(), usize::MAX);
    let waiting = Arc::new(Mutex::new(BeforeTheExchange(whole, None)));
    let watch = Watch::over(store.root(), waiting.clone());
    phone.back_up(&store).await;
    drop(watch);
    let waiting = waiting.lock().unwrap().1.take().unwrap();
    let mut cases = 0;
    for number in 1.. {
        let root = bench.dir.path().join(format!("start {number}"));
        waiting.cut(Cut::Everything, &root);
        let again = Store::open(&root).unwrap();
        let recorder = Arc::new(Mutex::new(Recorder {
            swaps,
            ..Recorder::new(again.root(), number)
        }));
        let watch = Watch::over(again.root(), recorder.clone());
        let _ = again.reconcile();
        drop(watch);
        let recorder = Arc::into_inner(recorder).unwrap().into_inner().unwrap();
        for cut in cuts(u64::try_from(number).unwrap()) {
            let what = format!("after change {number}, {:?}, {cut:?}", recorder.last);
            let after = bench.dir.path().join("after");
            recorder.platter.cut(cut, &after);
            let kept = bench.must_be_well(&after, &phone.twin(), &what).await;
            assert_eq!(kept, Kept::New, "{what}");
            cases += 1;
            std::fs::remove_dir_all(&after).unwrap();
        }
        if recorder.left > 0 {
            break;
        }
    }
    assert!(cases > 30, "{cases}");
}

/// The disk at the moment before a verified tree takes its place.
struct BeforeTheExchange(Recorder, Option<Platter>);

impl Observer for BeforeTheExchange {
    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if op.what == What::Exchange {
            self.1 = Some(self.0.platter.clone());
        }
        Ok(())
    }

    fn after(&mut self, op: &Op, done: bool) {
        self.0.after(op, done);
    }
}

#[tokio::test]
async fn in_a_start_that_rolls_forward() {
    in_a_start(true).await;
}

#[tokio::test]
async fn in_a_start_that_rolls_forward_by_two_renames() {
    in_a_start(false).await;
}
