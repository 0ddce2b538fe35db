//! A phone that goes on while its blobs are held back at the door to the disk, or fail there.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backupwatch_core::run::{Phase, Progress};
use backupwatch_core::{HostTime, Udid};
use backupwatch_wire::devicelink::StatusCode;
use backupwatch_wire::mobilebackup2::Response;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::super::attend::Attendant;
use super::super::link::Link;
use super::super::pool::Pool;
use super::super::session::{self, Asked, Hands};
use super::super::tally::Tally;
use crate::breaking::phone::{Line, Stop};
use crate::disk::watch::{Observer, Op, Watch, What};
use crate::ledger::Keeper;
use crate::store::{Begin, Claim, Store};

const UDID: &str = "00008110-000A1B2C3D4E5F60";
const ID: &str = "ab1ba8914766d4ba40d6dfb6113c8b614be44200";

/// Stands where blobs are made and put in their places.
#[derive(Default)]
struct Door {
    is_shut: bool,
    fails: bool,
}

impl Observer for Door {
    fn holds(&mut self, op: &Op) -> bool {
        self.is_shut && is_of_a_blob(op)
    }

    fn before(&mut self, op: &Op) -> Result<(), Errno> {
        if self.fails && is_of_a_blob(op) {
            return Err(Errno::IO);
        }
        Ok(())
    }

    fn after(&mut self, _: &Op, _: bool) {}
}

fn is_of_a_blob(op: &Op) -> bool {
    matches!(op.what, What::Create | What::Link | What::Rename) && op.path.ends_with(ID)
}

/// What the phone's side of a test has.
struct Outside {
    line: Line,
    door: Arc<Mutex<Door>>,
    work: PathBuf,
}

impl Outside {
    fn set(&self, is_shut: bool, fails: bool) {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        (door.is_shut, door.fails) = (is_shut, fails);
    }

    /// While something else is awaited.
    fn open_soon(&self) {
        let door = Arc::clone(&self.door);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            door.lock().unwrap_or_else(PoisonError::into_inner).is_shut = false;
        });
    }

    async fn upload(&mut self, path: &str) -> Result<(), Stop> {
        let file = (path.to_owned(), b"x".as_slice());
        self.line.upload([file].into_iter()).await
    }

    async fn blob(&mut self) -> Result<(), Stop> {
        self.upload(&format!("Snapshot/ab/{ID}")).await
    }

    async fn put_in_place(&mut self) -> Result<(), Stop> {
        self.line.rename(&[format!("ab/{ID}")]).await
    }

    fn has(&self, path: &str) -> bool {
        self.work.join(path).exists()
    }
}

const OWED: Result<(), Stop> = Err(Stop::Failed(StatusCode::Multi));

/// Serves what `phone` asks for. How many things were refused.
async fn serve(phone: impl AsyncFnOnce(&mut Outside)) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let store = Store::create(&root).unwrap();
    let udid = Udid::parse(UDID).unwrap();
    let now = HostTime(jiff::Timestamp::UNIX_EPOCH);
    let begin = Begin {
        now,
        force_full: false,
    };
    let (run, ledger) = Claim::take(&store, &udid)
        .unwrap()
        .prepare(&begin, &AtomicBool::new(false))
        .unwrap();
    let (tree, keeper) = (run.tree(), Keeper::start(ledger, ()).unwrap());
    let pool = Pool::start(Arc::clone(&tree), keeper.handle()).unwrap();
    let door = Arc::new(Mutex::new(Door::default()));
    let _watch = Watch::over(&root, door.clone());

    let (ours, phones) = tokio::io::duplex(1 << 16);
    let mut outside = Outside {
        line: Line::new(phones, &udid, Arc::default()),
        door,
        work: run.folder(),
    };
    let progress = Progress {
        phase: Phase::Opening,
        percent: None,
        bytes: 0,
        files: 0,
        started: now,
    };
    let (told, _) = tokio::sync::watch::channel(progress.clone());
    let mut attendant: Attendant<tokio::io::DuplexStream> =
        Attendant::new(CancellationToken::new(), progress, told);
    let (mut link, mut tally) = (Link::new(ours), Tally::default());
    let handle = keeper.handle();
    let hands = Hands {
        udid: &udid,
        tree: &tree,
        keeper: &handle,
        pool: &pool,
        purgeable: None,
    };
    let served = session::back_up(
        &mut link,
        &mut attendant,
        &hands,
        Asked::nothing_yet(),
        &mut tally,
    );
    let asking = async {
        for folder in ["Snapshot/ab", "ab"] {
            outside.line.make_folder(folder).await.unwrap();
        }
        phone(&mut outside).await;
        let done = Response::ok().to_message();
        outside.line.say(&done).await.unwrap();
    };
    let (served, ()) = tokio::join!(served, asking);
    served.unwrap();
    outside.set(false, false);
    pool.end().unwrap();
    tally.refusals()
}

#[tokio::test]
async fn the_phone_goes_on_while_its_files_are_written_and_hears_of_a_failure_with_the_next_answer()
{
    let refused = serve(async |outside| {
        outside.set(true, true);
        assert_eq!(outside.blob().await, Ok(()));
        outside.open_soon();
        // It would say that all has arrived.
        assert_eq!(outside.upload("Status.plist").await, OWED);
        assert!(!outside.has("Status.plist"));
        // What it does then is its own affair.
        outside.set(false, false);
        assert_eq!(outside.blob().await, Ok(()));
        assert_eq!(outside.upload("Status.plist").await, Ok(()));
        assert!(outside.has("Status.plist") && outside.has(&format!("Snapshot/ab/{ID}")));
    })
    .await;
    assert_eq!(refused, 2, "the backup is not called whole");
}

#[tokio::test]
async fn whoever_asks_what_is_there_waits_until_it_is() {
    let refused = serve(async |outside| {
        outside.set(true, false);
        assert_eq!(outside.blob().await, Ok(()));
        assert!(!outside.has(&format!("Snapshot/ab/{ID}")));
        outside.open_soon();
        let there = outside.line.list("Snapshot/ab").await.unwrap();
        assert_eq!(there.into_iter().collect::<Vec<_>>(), [(ID.to_owned(), 1)]);

        outside.set(true, false);
        assert_eq!(outside.put_in_place().await, Ok(()));
        assert!(!outside.has(&format!("ab/{ID}")));
        outside.open_soon();
        assert!(outside.line.list("Snapshot/ab").await.unwrap().is_empty());
        assert!(outside.line.list("ab").await.unwrap().contains_key(ID));
    })
    .await;
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn nothing_is_changed_after_a_failure_that_the_phone_does_not_know_of() {
    let refused = serve(async |outside| {
        assert_eq!(outside.blob().await, Ok(()));
        assert_eq!(outside.line.list("Snapshot/ab").await.unwrap().len(), 1);
        outside.set(true, true);
        assert_eq!(outside.put_in_place().await, Ok(()));
        outside.open_soon();
        assert_eq!(outside.line.make_folder("cd").await, OWED);
        assert!(!outside.has("cd"));
        assert!(outside.has(&format!("Snapshot/ab/{ID}")));
        outside.set(false, false);
        assert_eq!(outside.put_in_place().await, Ok(()));
        assert_eq!(outside.line.make_folder("cd").await, Ok(()));
        assert!(outside.has(&format!("ab/{ID}")));
    })
    .await;
    assert_eq!(refused, 1);
}

/// Nobody asks again before the end.
#[tokio::test]
async fn what_went_wrong_last_is_counted() {
    let refused = serve(async |outside| {
        outside.set(true, true);
        assert_eq!(outside.blob().await, Ok(()));
        outside.open_soon();
    })
    .await;
    assert_eq!(refused, 1);
}
