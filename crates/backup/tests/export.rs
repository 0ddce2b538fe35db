//! Exports of backups that a simulated phone made: whole or not at all, and never in the place of a newer one.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use backupwatch_backup::{Export, ExportError, Exported, Held, StoreError, Which, store};
use common::{UDID, World, encrypted, persona, tree};

static GO: AtomicBool = AtomicBool::new(false);

fn export(held: &Held, to: &Path) -> Result<Exported, ExportError> {
    let wanted = Export {
        held,
        to,
        utc_offset_s: 7_200,
    };
    store::export(&wanted, &mut |_| {}, &GO)
}

fn current(world: &World) -> Held {
    world
        .store
        .open_version(&world.udid(), &Which::Current)
        .unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    fs::create_dir(&to).unwrap();
    (dir, to)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Backs up again, so that there is a version and a newer current one.
async fn twice(world: &World) -> Which {
    world.good_backup().await;
    let phone = world.handle();
    phone
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    world.good_backup().await;
    world.store.versions(&world.udid()).unwrap().remove(0).which
}

#[tokio::test]
async fn an_export_is_the_backup_byte_for_byte_and_shares_no_file_with_it() {
    for persona in [persona(), encrypted()] {
        let world = World::new(persona);
        world.good_backup().await;
        // What a desktop leaves in every folder is not of the backup.
        let before = world.current();
        fs::write(world.store.folder(&world.udid()).join(".DS_Store"), b"x").unwrap();
        let (_dir, to) = folder();
        let mut last = store::Exporting::default();
        let held = current(&world);
        let wanted = Export {
            held: &held,
            to: &to,
            utc_offset_s: 0,
        };
        let exported = store::export(&wanted, &mut |at| last = at, &GO).unwrap();
        assert_eq!(exported.path, to.canonicalize().unwrap().join(UDID));
        assert!(tree(&exported.path) == before);
        assert_eq!(names(&to), [UDID], "nothing is left over");
        assert_eq!((exported.files, exported.bytes), (last.files, last.bytes));
        let files = before
            .keys()
            .map(|name| exported.path.join(name).metadata().unwrap());
        let files: Vec<_> = files.filter(fs::Metadata::is_file).collect();
        assert_eq!(exported.files, files.len() as u64);
        assert!(files.iter().all(|file| file.nlink() == 1));
        let verdict = world.handle().verdict(&to);
        assert!(verdict.is_whole(), "{verdict}");
    }
}

#[tokio::test]
async fn what_is_older_is_moved_aside_and_what_is_newer_stays() {
    let world = World::new(persona());
    let older = twice(&world).await;
    let held = world.store.open_version(&world.udid(), &older).unwrap();
    let (_dir, to) = folder();
    let first = export(&held, &to).unwrap();
    let content = tree(&first.path);
    assert!(matches!(
        export(&held, &to),
        Err(ExportError::Already { .. })
    ));

    let newer = export(&current(&world), &to).unwrap();
    let aside = newer.aside.unwrap();
    let name = aside.file_name().unwrap().to_str().unwrap();
    let stamp = name.strip_prefix(&format!("{UDID}-")).unwrap();
    assert_eq!((stamp.len(), stamp.as_bytes()[8]), (15, b'-'), "{name}");
    assert!(tree(&aside) == content, "as it was");

    let refused = export(&held, &to).unwrap_err();
    assert!(matches!(refused, ExportError::Newer { .. }), "{refused}");
    assert!(tree(&to.join(UDID)) == world.current(), "as it was");
    assert_eq!(names(&to).len(), 2);

    // The name that it would be moved to is taken.
    let (_dir, other) = folder();
    export(&held, &other).unwrap();
    fs::create_dir(other.join(name)).unwrap();
    let second = export(&current(&world), &other).unwrap();
    assert_ne!(
        second.aside.unwrap(),
        other.canonicalize().unwrap().join(name)
    );
    assert_eq!(names(&other).len(), 3);
}

/// What is in the place of the backup, or above it, and is no older backup.
#[tokio::test]
async fn nothing_is_put_where_something_else_is() {
    let world = World::new(persona());
    world.good_backup().await;
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 6] = [
        ("a link", |place| {
            fs::create_dir(place.with_file_name("elsewhere")).unwrap();
            symlink(place.with_file_name("elsewhere"), place).unwrap();
        }),
        ("a link to nowhere", |place| {
            symlink("/nowhere", place).unwrap()
        }),
        ("a file", |place| fs::write(place, b"mine").unwrap()),
        ("a folder of somebody's", |place| {
            fs::create_dir(place).unwrap();
            fs::write(place.join("photo"), b"mine").unwrap();
        }),
        ("a backup that another program is making", |place| {
            fs::create_dir(place).unwrap();
            let status = "<plist><dict><key>SnapshotState</key><string>uploading</string>\
                          <key>Date</key><date>2001-01-02T00:00:00Z</date></dict></plist>";
            fs::write(place.join("Status.plist"), status).unwrap();
        }),
        ("a pipe as its status", |place| {
            fs::create_dir(place).unwrap();
            let made = std::process::Command::new("mkfifo")
                .arg(place.join("Status.plist"))
                .status();
            assert!(made.unwrap().success());
        }),
    ];
    for (name, plant) in plants {
        let (_dir, to) = folder();
        plant(&to.join(UDID));
        let before = names(&to);
        let refused = export(&current(&world), &to).unwrap_err();
        assert!(
            matches!(refused, ExportError::Unknown { .. }),
            "{name}: {refused}"
        );
        assert_eq!(names(&to), before, "{name}");
    }
    // A link in the place of the copy on its way.
    let (dir, to) = folder();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let on_its_way = to.join(format!(".backupwatch-export-{UDID}"));
    symlink(dir.path().join("elsewhere"), &on_its_way).unwrap();
    assert!(export(&current(&world), &to).is_err());
    assert_eq!(names(&dir.path().join("elsewhere")), [""; 0]);
    assert!(fs::symlink_metadata(&on_its_way).unwrap().is_symlink());
}

#[tokio::test]
async fn the_store_is_no_place_for_an_export() {
    let world = World::new(persona());
    world.good_backup().await;
    let root = world.store.root();
    let (dir, _) = folder();
    let other = dir.path().join("other");
    store::Store::create(&other).unwrap();
    symlink(root, dir.path().join("link")).unwrap();
    let places = [
        root.to_owned(),
        root.join(UDID),
        root.join(".backupwatch"),
        root.join(".backupwatch/versions"),
        dir.path().join("link"),
        other.clone(),
        other.join(".backupwatch/work"),
    ];
    for to in &places {
        fs::create_dir_all(to).unwrap();
    }
    let before = tree(root);
    for to in &places {
        let refused = export(&current(&world), to).unwrap_err();
        assert!(
            matches!(refused, ExportError::InStore { .. }),
            "{to:?}: {refused}"
        );
    }
    assert!(tree(root) == before);
    let missing = export(&current(&world), &dir.path().join("missing"));
    assert!(matches!(
        missing,
        Err(ExportError::Store(StoreError::RootMissing { .. }))
    ));
}

/// Each way in which the source is not what arrived from the phone.
#[tokio::test]
async fn a_rotten_backup_is_not_passed_on() {
    type Rot = fn(&Path, &Path);
    let rots: [(&str, Rot); 5] = [
        ("a bit", |blob, _| {
            let mut bytes = fs::read(blob).unwrap();
            bytes[0] ^= 1;
            fs::write(blob, bytes).unwrap();
        }),
        ("cut", |blob, _| fs::write(blob, b"").unwrap()),
        ("gone", |blob, _| fs::remove_file(blob).unwrap()),
        ("a link", |blob, _| {
            fs::remove_file(blob).unwrap();
            symlink("/etc/passwd", blob).unwrap();
        }),
        ("the manifest", |_, folder| {
            let path = folder.join("Manifest.db");
            let mut bytes = fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
    ];
    let world = World::new(persona());
    world.good_backup().await;
    let folder = world.store.folder(&world.udid());
    let good = tree(&folder);
    let is_blob = |path: &Path| path.components().count() == 2;
    let (blob, _) = good
        .iter()
        .find(|(path, bytes)| is_blob(path) && !bytes.is_empty())
        .unwrap();
    for (name, rot) in rots {
        rot(&folder.join(blob), &folder);
        let (_dir, to) = folder_of_an_older_one();
        let before = tree(&to);
        let refused = export(&current(&world), &to).unwrap_err();
        assert!(
            matches!(refused, ExportError::Rotten { .. }),
            "{name}: {refused}"
        );
        assert!(
            tree(&to) == before,
            "{name}: nothing is left, and nothing was moved"
        );
        for path in [blob.as_path(), Path::new("Manifest.db")] {
            let _ = fs::remove_file(folder.join(path));
            fs::write(folder.join(path), &good[path]).unwrap();
        }
    }
    let (_dir, to) = folder_of_an_older_one();
    export(&current(&world), &to).unwrap();
}

/// A folder in which an older backup is.
fn folder_of_an_older_one() -> (tempfile::TempDir, PathBuf) {
    let (dir, to) = folder();
    fs::create_dir(to.join(UDID)).unwrap();
    let status = "<plist><dict><key>SnapshotState</key><string>finished</string>\
                  <key>Date</key><date>2001-01-02T00:00:00Z</date></dict></plist>";
    fs::write(to.join(UDID).join("Status.plist"), status).unwrap();
    (dir, to)
}

#[tokio::test]
async fn a_backup_that_was_not_verified_is_not_passed_on() {
    let world = World::new(persona());
    world.good_backup().await;
    let info = world.store.folder(&world.udid()).join("Info.plist");
    let mut bytes = fs::read(&info).unwrap();
    bytes.push(b'\n');
    fs::write(info, bytes).unwrap();
    let (_dir, to) = folder();
    let refused = export(&current(&world), &to).unwrap_err();
    assert!(matches!(refused, ExportError::NotVerified), "{refused}");
    assert_eq!(names(&to), [""; 0]);
}

#[tokio::test]
async fn stopped_at_any_moment_it_leaves_nothing_and_goes_well_the_next_time() {
    let world = World::new(persona());
    world.good_backup().await;
    let (_dir, to) = folder_of_an_older_one();
    let before = tree(&to);
    let held = current(&world);
    for after in [0, 1, 7, 30] {
        let stop = AtomicBool::new(after == 0);
        let mut told = 0;
        let wanted = Export {
            held: &held,
            to: &to,
            utc_offset_s: 0,
        };
        let mut progress = |_| {
            told += 1;
            stop.store(told >= after, std::sync::atomic::Ordering::Relaxed);
        };
        let stopped = store::export(&wanted, &mut progress, &stop).unwrap_err();
        assert!(matches!(stopped, ExportError::Stopped), "{stopped}");
        assert!(tree(&to) == before, "after {after}");
    }
    // What a crash leaves is in nobody's way.
    let left = to.join(format!(".backupwatch-export-{UDID}"));
    fs::create_dir_all(left.join("ab")).unwrap();
    fs::write(left.join("ab/half"), b"half").unwrap();
    let exported = export(&held, &to).unwrap();
    assert!(exported.aside.is_some());
    assert!(!left.exists());
    assert!(tree(&exported.path) == world.current());
}

#[tokio::test]
async fn two_exports_into_one_folder_do_not_meet() {
    let world = World::new(persona());
    world.good_backup().await;
    let (_dir, to) = folder();
    let held = current(&world);
    let wanted = Export {
        held: &held,
        to: &to,
        utc_offset_s: 0,
    };
    let mut second = None;
    let mut progress = |_| {
        second.get_or_insert_with(|| export(&held, &to));
    };
    store::export(&wanted, &mut progress, &GO).unwrap();
    assert!(matches!(second, Some(Err(ExportError::Busy { .. }))));
    assert_eq!(names(&to), [UDID]);
}
