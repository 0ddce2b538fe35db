//! Disks that are full or for reading only, through the real calls.

use super::adverse::next_run;
use super::*;
use crate::store::space::ROOM;

/// A disk of its own for a test, in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Just large enough to begin a backup. `None` where that takes more rights than the test has; with
    /// `BACKUPWATCH_REQUIRE_PEERS` root must have them.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={},nr_inodes=300", ROOM + (1 << 20));
        if mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], folder.path()) {
            return Some(Self(folder));
        }
        let is_required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some();
        assert!(
            !is_required || !rustix::process::geteuid().is_root(),
            "root cannot mount a small disk"
        );
        eprintln!("SKIPPED: this machine lets nobody mount a small disk");
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn make_read_only(&self, is_read_only: bool) {
        let how = if is_read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        assert!(mount(&["-o", how], self.0.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount")
            .args(["-l".as_ref(), self.0.path()])
            .status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mut command = std::process::Command::new("mount");
    let command = command.args(arguments).arg(at);
    let command = command.stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a crash left to be removed is removed even when the disk is so full that nothing can be written.
#[test]
fn a_full_disk_is_swept_before_it_is_tried() {
    let Some(disk) = SmallDisk::new() else {
        return;
    };
    let store = Store::create(&disk.path()).unwrap();
    Claim::take(&store, &udid()).map(drop).unwrap();
    let left = store.layout.trash().join("0");
    fs::create_dir_all(&left).unwrap();
    // A write fails when the disk is full, and leaves what found room.
    let room = usize::try_from(ROOM).unwrap();
    let _ = fs::write(left.join("blob"), vec![1; room + (2 << 20)]);
    Claim::take(&store, &udid()).map(drop).unwrap();
}

/// A disk that becomes full while a backup is put in its place: nothing is lost, and with room it goes on.
#[test]
fn a_disk_that_becomes_full_at_the_end_of_a_run_costs_nothing() {
    let Some(disk) = SmallDisk::new() else {
        return;
    };
    let store = Store::create(&disk.path()).unwrap();
    backup(&store, 10, "one");
    let (run, mut ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    put(&run.tree(), "cd/cde", "new");
    hashed(&mut ledger, "cd/cde", "new");
    // No room for one more file; of bytes SQLite gives some back at the end, which are enough.
    let filler = disk.path().join("filler");
    fs::create_dir(&filler).unwrap();
    let full = (0..1000).any(|number| fs::write(filler.join(number.to_string()), b"").is_err());
    assert!(full);
    let refused = run.commit(ledger, &copy(20));
    assert!(
        matches!(refused, Err(StoreError::NoSpace { .. })),
        "{refused:?}"
    );
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
    assert_eq!(read(&store.folder(&udid()).join("ab/abc")), "one");
    fs::remove_dir_all(filler).unwrap();
    store.reconcile().unwrap();
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
    let (run, _ledger) = next_run(&store, 30).unwrap();
    assert!(run.resumed() > 0, "what arrived is not thrown away");
    assert_eq!(read(&run.folder().join("cd/cde")), "new");
}

/// A card with its lock on, or a disk that its system no longer trusts.
#[test]
fn a_read_only_disk_is_told_and_what_is_on_it_is_read() {
    let Some(disk) = SmallDisk::new() else {
        return;
    };
    let store = Store::create(&disk.path()).unwrap();
    backup(&store, 10, "one");
    let (run, ledger) = begin(&store, 20);
    put(&run.tree(), "Status.plist", "run 20");
    ledger.close().unwrap();
    run.pause(false).unwrap();
    disk.make_read_only(true);
    let store = Store::open(&disk.path()).unwrap();
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
    let refused = next_run(&store, 30);
    assert!(
        matches!(refused, Err(StoreError::ReadOnly { .. })),
        "{refused:?}"
    );
    let refused = store.reconcile();
    assert!(
        matches!(refused, Err(StoreError::ReadOnly { .. })),
        "{refused:?}"
    );
    assert_eq!(store.current(&udid()).unwrap(), Some(copy(10)));
    disk.make_read_only(false);
    let (run, _ledger) = next_run(&store, 40).unwrap();
    assert!(
        run.resumed() > 0,
        "and it goes on where it can be written to"
    );
}
