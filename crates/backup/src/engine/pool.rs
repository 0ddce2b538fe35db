//! The threads that write: the async side hands them pieces of files, they hash and write, and bytes under way are bounded.
//!
//! All pieces of one file go to one thread, in order, and so does its way to its place; small files are one piece each, and
//! several threads write them side by side. A failure of one file is kept for the answer, and its later pieces are swallowed: the
//! stream is drained whatever happens here (protocol.md 8.4).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use backupwatch_wire::devicelink::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::jail::Part;
use crate::ledger::{Change, KeeperHandle, Seen, is_arriving_blob};
use crate::store::WorkTree;

/// Longest piece; a longer file comes in several.
pub(super) const PIECE: usize = 64 << 10;

/// Bytes or pieces that are given to a thread at once: waking one for each small file costs more than writing it, and after
/// each 128 files a phone waits for the last of them.
const PARCEL: usize = 16 << 10;
const PARCEL_PIECES: usize = 32;

/// Bytes under way to the disk, in the unit that permits are counted in.
const BUDGET: usize = (512 << 10) / UNIT;
const UNIT: usize = 1 << 10;

/// Failures that are kept; a phone sends 128 files at a time.
const MAX_FAULTS: usize = 4096;

/// The phone's word on where its backup is.
const STATUS: &str = "Status.plist";

/// Buffers kept to be used again.
const SPARE: usize = 4;

/// One in the crate's own tests, which are to know what is written first.
const MIN_THREADS: usize = if cfg!(test) { 1 } else { 2 };
const MAX_THREADS: usize = if cfg!(test) { 1 } else { 4 };

/// A part of a file.
#[derive(Debug)]
pub(super) struct Piece {
    /// With the first piece: where the file belongs.
    pub(super) start: Option<Start>,
    pub(super) data: Vec<u8>,
    /// With the last piece: whether the file is whole.
    pub(super) end: Option<End>,
}

#[derive(Debug)]
pub(super) struct Start {
    /// Below the phone's folder.
    pub(super) inside: String,
    /// The phone's name of the file, by which failures are told.
    pub(super) key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// The phone could not read it to its end: what came is dropped.
    Broken,
}

/// A file that arrived and is put in its place.
#[derive(Debug)]
pub(super) struct Move {
    /// The phone's name of where it is, by which failures are told.
    pub(super) key: String,
    /// Both below the phone's folder.
    pub(super) from: String,
    pub(super) to: String,
}

/// A file that could not be written or moved.
#[derive(Debug)]
pub(super) struct Fault {
    /// What could not be done: "failed to ... a file".
    pub(super) what: &'static str,
    pub(super) key: String,
    pub(super) inside: String,
    pub(super) code: StatusCode,
    pub(super) text: String,
}

/// What went wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) kept: Vec<Fault>,
    /// How many more there were.
    pub(super) lost: u64,
}

#[derive(Debug)]
pub(super) struct Pool {
    workers: Vec<Worker>,
    budget: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Work {
    Write(Vec<Piece>),
    Move(Vec<Move>),
}

#[derive(Debug)]
struct Worker {
    inbox: Sender<(Work, OwnedSemaphorePermit)>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    tree: Arc<WorkTree>,
    keeper: KeeperHandle,
    faults: Mutex<Faults>,
    /// Since the phone's last word.
    arrived: AtomicBool,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Which thread has a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerId(usize);

impl Pool {
    pub(super) fn start(tree: Arc<WorkTree>, keeper: KeeperHandle) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            tree,
            keeper,
            faults: Mutex::default(),
            arrived: AtomicBool::new(false),
            spare: Mutex::default(),
        });
        let threads = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .clamp(MIN_THREADS, MAX_THREADS);
        let mut workers = Vec::with_capacity(threads);
        for number in 0..threads {
            let (inbox, pieces) = channel();
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("writer {number}"))
                .stack_size(256 << 10)
                .spawn(move || work(&shared, &pieces))?;
            workers.push(Worker { inbox, thread });
        }
        Ok(Self {
            workers,
            budget: Arc::new(Semaphore::new(BUDGET)),
            shared,
        })
    }

    /// The thread for a file, always the same for the same place, where it arrives as where it belongs: of two files for one
    /// place the later one stays, on the disk as in the ledger. Names of blobs are hashes, so the threads get even shares.
    pub(super) fn pick(&self, inside: &str) -> WorkerId {
        WorkerId(share(inside, self.workers.len()))
    }

    /// An empty buffer.
    pub(super) fn buffer(&self) -> Vec<u8> {
        lock(&self.shared.spare).pop().unwrap_or_default()
    }

    /// Where pieces come together.
    pub(super) fn outbox(&self) -> Outbox<'_> {
        let parcels = self.workers.iter().map(|_| Parcel::default()).collect();
        Outbox {
            pool: self,
            parcels,
        }
    }

    /// Puts files in their places, in any order. It waits for room and not for the end.
    pub(super) async fn put_in_place(&self, moves: Vec<Move>) -> io::Result<()> {
        let mut shares: Vec<Vec<Move>> = self.workers.iter().map(|_| Vec::new()).collect();
        for it in moves {
            let worker = self.pick(&it.to);
            let Some(share) = shares.get_mut(worker.0) else {
                continue;
            };
            share.push(it);
            if share.len() >= PARCEL_PIECES {
                let share = std::mem::take(share);
                self.give(worker, share.len(), Work::Move(share)).await?;
            }
        }
        for (number, share) in shares.into_iter().enumerate() {
            let (worker, units) = (WorkerId(number), share.len());
            self.give(worker, units, Work::Move(share)).await?;
        }
        Ok(())
    }

    /// Gives work to a thread, when there is room for it.
    async fn give(&self, worker: WorkerId, units: usize, work: Work) -> io::Result<()> {
        if units == 0 {
            return Ok(());
        }
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX))
            .await
            .map_err(io::Error::other)?;
        let worker = self
            .workers
            .get(worker.0)
            .ok_or_else(|| io::Error::other("no such writer"))?;
        worker
            .inbox
            .send((work, permit))
            .map_err(|_| io::Error::other("a writer thread broke"))
    }

    /// Takes what has gone wrong so far.
    pub(super) fn faults(&self) -> Faults {
        std::mem::take(&mut *lock(&self.shared.faults))
    }

    /// Waits until everything that was given is done, and takes what went wrong.
    pub(super) async fn settle(&self) -> io::Result<Faults> {
        let all = u32::try_from(BUDGET).unwrap_or(u32::MAX);
        let _idle = self
            .budget
            .acquire_many(all)
            .await
            .map_err(io::Error::other)?;
        if self
            .workers
            .iter()
            .any(|worker| worker.thread.is_finished())
        {
            return Err(io::Error::other("a writer thread broke"));
        }
        Ok(self.faults())
    }

    /// Bytes that the disk has left.
    pub(super) fn free(&self) -> u64 {
        crate::store::space::free(self.shared.tree.as_fd()).unwrap_or(0)
    }

    /// Ends the threads. Files that are not whole leave nothing behind. Blocks for as long as they write.
    pub(super) fn end(self) -> io::Result<()> {
        let mut broken = false;
        for worker in self.workers {
            drop(worker.inbox);
            broken |= worker.thread.join().is_err();
        }
        if broken {
            Err(io::Error::other("a writer thread broke"))
        } else {
            Ok(())
        }
    }
}

/// Pieces on their way to the threads. What is dropped with it does not arrive; [`Outbox::flush`] is for the end.
#[derive(Debug)]
pub(super) struct Outbox<'a> {
    pool: &'a Pool,
    parcels: Vec<Parcel>,
}

#[derive(Debug, Default)]
struct Parcel {
    pieces: Vec<Piece>,
    units: usize,
}

impl Outbox<'_> {
    pub(super) async fn put(&mut self, worker: WorkerId, piece: Piece) -> io::Result<()> {
        let Some(parcel) = self.parcels.get_mut(worker.0) else {
            return Err(io::Error::other("no such writer"));
        };
        // A piece without data costs something too, or their number would have no bound.
        parcel.units += piece.data.len().div_ceil(UNIT).max(1);
        parcel.pieces.push(piece);
        if parcel.units < PARCEL / UNIT && parcel.pieces.len() < PARCEL_PIECES {
            return Ok(());
        }
        let Parcel { pieces, units } = std::mem::take(parcel);
        self.pool.give(worker, units, Work::Write(pieces)).await
    }

    /// Gives everything to the threads.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        for (number, parcel) in self.parcels.iter_mut().enumerate() {
            let Parcel { pieces, units } = std::mem::take(parcel);
            self.pool
                .give(WorkerId(number), units, Work::Write(pieces))
                .await?;
        }
        Ok(())
    }
}

/// The file that a thread is at.
struct Open {
    start: Start,
    /// `None` after a failure.
    part: Option<Part>,
    hasher: blake3::Hasher,
}

fn work(shared: &Shared, inbox: &Receiver<(Work, OwnedSemaphorePermit)>) {
    let mut open: Option<Open> = None;
    for (work, permit) in inbox {
        let (bytes, changes) = match work {
            Work::Write(pieces) => shared.write_all(&mut open, pieces),
            Work::Move(moves) => (
                0,
                moves.into_iter().filter_map(|it| shared.put(it)).collect(),
            ),
        };
        shared.tree.ahead().written(bytes, changes.len() as u64);
        shared.keeper.tell_all(changes);
        drop(permit);
    }
}

impl Shared {
    fn write_all(&self, open: &mut Option<Open>, pieces: Vec<Piece>) -> (u64, Vec<Change>) {
        let mut changes = Vec::with_capacity(pieces.len());
        let mut bytes = 0;
        for Piece { start, data, end } in pieces {
            bytes += data.len() as u64;
            if let Some(start) = start {
                *open = Some(self.begin(start));
            }
            if let Some(file) = open {
                self.write(file, &data);
            }
            if let Some(end) = end
                && let Some(file) = open.take()
            {
                if file.start.inside != STATUS {
                    self.arrived.store(true, Ordering::SeqCst);
                }
                changes.extend(self.finish(file, end));
            }
            self.give_back(data);
        }
        (bytes, changes)
    }

    fn put(&self, it: Move) -> Option<Change> {
        let Move { key, from, to } = it;
        match self.tree.rename(&from, &to) {
            Ok(()) => Some(Change::Moved { from, to }),
            Err(e) => {
                self.fault("move", key, from, &e.into());
                None
            }
        }
    }

    fn begin(&self, start: Start) -> Open {
        // Of those a torn one is known: its hash is in the ledger, or it is not.
        let begun = if is_arriving_blob(&start.inside) && !must_sync(&start.inside) {
            self.tree.begin_in_place(&start.inside)
        } else {
            self.tree.begin(&start.inside)
        };
        let part = match begun {
            Ok(part) => Some(part),
            Err(e) => {
                self.not_written(&start, &e.into());
                None
            }
        };
        Open {
            start,
            part,
            hasher: blake3::Hasher::new(),
        }
    }

    fn write(&self, file: &mut Open, data: &[u8]) {
        let Some(part) = &mut file.part else {
            return;
        };
        match part.write(data) {
            Ok(()) => {
                file.hasher.update(data);
            }
            Err(e) => {
                self.not_written(&file.start, &e);
                file.part = None;
            }
        }
    }

    fn finish(&self, file: Open, end: End) -> Option<Change> {
        let (Some(part), End::Whole) = (file.part, end) else {
            return None;
        };
        let seen = Seen {
            len: part.len(),
            hash: file.hasher.finalize(),
        };
        match self.keep(part, &file.start.inside) {
            Ok(()) => Some(Change::Put {
                path: file.start.inside,
                seen,
            }),
            Err(e) => {
                self.not_written(&file.start, &e);
                None
            }
        }
    }

    fn keep(&self, part: Part, inside: &str) -> io::Result<()> {
        // The phone's word that it goes over to something else. It must not outlive a power cut that what was before it does
        // not: after this the phone sends nothing again of what was to be moved, and moves nothing of what was to be removed.
        // With the hashes of all that has arrived, a file that a power cut takes is missed (see `store::heal`). Where none has since
        // the word before, nobody waits for the ledger: that files were moved, the tree itself says.
        if inside == STATUS {
            if self.arrived.swap(false, Ordering::SeqCst) {
                self.keeper.commit();
            }
            self.tree.settle()?;
        }
        part.keep(must_sync(inside))
    }

    fn not_written(&self, start: &Start, error: &io::Error) {
        self.fault("write", start.key.clone(), start.inside.clone(), error);
    }

    fn fault(&self, what: &'static str, key: String, inside: String, error: &io::Error) {
        let mut faults = lock(&self.faults);
        if faults.kept.len() >= MAX_FAULTS {
            faults.lost += 1;
            return;
        }
        faults.kept.push(Fault {
            what,
            key,
            inside,
            code: StatusCode::from_io(error),
            text: error.to_string(),
        });
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() < PIECE {
            return;
        }
        buffer.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

fn share(inside: &str, of: usize) -> usize {
    let place = inside.strip_prefix("Snapshot/").unwrap_or(inside);
    let sum = place.bytes().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    sum.checked_rem(of).unwrap_or(0)
}

/// The few files that say what the tree is are on the medium before they have their names. Blobs are made durable together at
/// the end (see `store::durable`), and those of a run that crashes are read again before they count.
fn must_sync(inside: &str) -> bool {
    let name = inside.strip_prefix("Snapshot/").unwrap_or(inside);
    !name.contains('/') || crate::store::SYNC_EACH_FILE
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_in_its_place_by_the_thread_that_wrote_it_and_all_threads_have_work() {
        let mut shares = [0; 4];
        for number in 0..1000_u32 {
            let name = format!("ab/{}", blake3::hash(&number.to_le_bytes()).to_hex());
            let its = share(&name, 4);
            assert_eq!(its, share(&format!("Snapshot/{name}"), 4));
            shares[its] += 1;
        }
        assert!(shares.iter().all(|share| *share > 150), "{shares:?}");
    }
}
