use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

mod properties;

fn jail() -> (tempfile::TempDir, Jail) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("secret"), b"not yours").unwrap();
    let jail = Jail::open(&dir.path().join("in")).unwrap();
    (dir, jail)
}

fn put(jail: &Jail, inside: &str, bytes: &[u8]) {
    let mut part = jail.begin(inside).unwrap();
    part.write(bytes).unwrap();
    part.keep(false).unwrap();
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole() {
    let (dir, jail) = jail();
    let mut part = jail.begin("a").unwrap();
    part.write(b"half").unwrap();
    assert_eq!(jail.stat("a").unwrap_err(), Errno::NOENT);
    assert!(jail.list("").unwrap().is_empty(), "a part is not listed");
    assert_eq!(jail.list_with_parts("").unwrap().len(), 1);
    drop(part);
    assert_eq!(
        fs::read_dir(dir.path().join("in")).unwrap().count(),
        0,
        "and leaves nothing"
    );
    put(&jail, "a", b"whole");
    assert_eq!(fs::read(dir.path().join("in/a")).unwrap(), b"whole");
}

#[test]
fn a_file_that_arrives_in_place_leaves_nothing_either_and_takes_no_others_place_before_it_is_whole()
{
    let (dir, jail) = jail();
    let begun = || {
        let mut part = jail.begin_in_place("a").unwrap();
        part.write(b"half").unwrap();
        part
    };
    let part = begun();
    assert_eq!(jail.stat("a").unwrap().st_size, 4);
    drop(part);
    assert_eq!(fs::read_dir(dir.path().join("in")).unwrap().count(), 0);
    jail.is_clean().unwrap();

    begun().keep(false).unwrap();
    let part = begun();
    assert_eq!(jail.list_with_parts("").unwrap().len(), 2);
    drop(part);
    assert_eq!(fs::read(dir.path().join("in/a")).unwrap(), b"half");
    let mut part = jail.begin_in_place("a").unwrap();
    part.write(b"new").unwrap();
    part.keep(false).unwrap();
    assert_eq!(fs::read(dir.path().join("in/a")).unwrap(), b"new");
    assert_eq!(fs::read_dir(dir.path().join("in")).unwrap().count(), 1);
}

#[test]
fn replacing_a_file_leaves_its_other_names_alone() {
    let (dir, jail) = jail();
    put(&jail, "a", b"old");
    fs::hard_link(dir.path().join("in/a"), dir.path().join("kept")).unwrap();
    put(&jail, "a", b"new");
    assert_eq!(fs::read(dir.path().join("kept")).unwrap(), b"old");
    assert_eq!(fs::read(dir.path().join("in/a")).unwrap(), b"new");
}

#[test]
fn names_that_are_not_plain_are_refused() {
    let (_dir, jail) = jail();
    for path in [
        "..",
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "a//b",
        ".",
        "a/.",
        "a\0b",
    ] {
        assert!(jail.stat(path).is_err(), "stat {path:?}");
        assert!(jail.begin(path).is_err(), "begin {path:?}");
        assert!(jail.begin_in_place(path).is_err(), "begin {path:?}");
        assert!(jail.remove(path).is_err(), "remove {path:?}");
        assert!(jail.make_folder(path).is_err(), "make {path:?}");
    }
    assert!(jail.remove("").is_err(), "the folder itself stays");
}

#[test]
fn planted_links_are_not_followed() {
    let (dir, jail) = jail();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), b"mine").unwrap();
    symlink(&outside, dir.path().join("in/folder")).unwrap();
    symlink(outside.join("f"), dir.path().join("in/file")).unwrap();
    put(&jail, "real", b"r");

    assert!(jail.open_file("folder/f").is_err());
    assert!(jail.open_file("file").is_err());
    assert!(jail.begin("folder/new").is_err());
    assert!(jail.begin_in_place("folder/new").is_err());
    assert!(jail.list("folder").is_err());
    assert!(jail.make_folder("folder/new").is_err());
    assert!(jail.rename("real", "folder/r").is_err());
    assert!(jail.rename("folder/f", "stolen").is_err());
    assert!(jail.remove("folder/f").is_err());
    assert!(jail.copy("folder/f", "stolen").is_err());

    put(&jail, "file", b"takes the link's place");
    jail.remove("folder").unwrap();
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn removing_a_tree_removes_links_in_it_and_not_their_ends() {
    let (dir, jail) = jail();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), b"mine").unwrap();
    jail.make_folder("t").unwrap();
    jail.make_folder("t/u").unwrap();
    put(&jail, "t/u/x", b"x");
    symlink(&outside, dir.path().join("in/t/u/link")).unwrap();
    jail.remove("t").unwrap();
    assert_eq!(jail.stat("t").unwrap_err(), Errno::NOENT);
    assert!(outside.join("f").exists());
}

#[test]
fn a_pipe_does_not_hang() {
    let (dir, jail) = jail();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("in/pipe"))
        .status();
    assert!(made.unwrap().success());
    assert_eq!(jail.open_file("pipe").unwrap_err(), Errno::INVAL);
}

#[test]
fn moving_between_two_names_of_one_file_leaves_one() {
    let (dir, jail) = jail();
    put(&jail, "a", b"x");
    jail.copy("a", "b").unwrap();
    assert_eq!(fs::metadata(dir.path().join("in/a")).unwrap().nlink(), 2);
    jail.rename("a", "b").unwrap();
    assert_eq!(jail.list("").unwrap().len(), 1);
    jail.rename("b", "b").unwrap();
    assert_eq!(fs::read(dir.path().join("in/b")).unwrap(), b"x");
}

#[test]
fn a_moved_folder_takes_the_place_of_another_and_never_gets_deeper() {
    let (dir, jail) = jail();
    for folder in ["a", "b", "b/c"] {
        jail.make_folder(folder).unwrap();
    }
    put(&jail, "a/new", b"n");
    put(&jail, "b/c/old", b"o");
    assert_eq!(jail.rename("a", "b/c/a").unwrap_err(), Errno::INVAL);
    jail.rename("a", "b").unwrap();
    assert_eq!(fs::read(dir.path().join("in/b/new")).unwrap(), b"n");
    assert!(!dir.path().join("in/b/c").exists());
}

#[test]
fn depth_is_bounded() {
    let (_dir, jail) = jail();
    let mut path = String::from("d");
    let mut made = 0;
    while jail.make_folder(&path).is_ok() {
        made += 1;
        path.push_str("/d");
    }
    assert_eq!(made, MAX_DEPTH + 1);
    jail.remove("d").unwrap();
}

/// A folder and its copy in a folder that is copied next: each request doubles the tree, and thirty of them would never end.
#[test]
fn a_request_copies_only_so_much() {
    let (dir, jail) = jail();
    let mut path = String::from("d");
    for _ in 0..6 {
        jail.make_folder(&path).unwrap();
        path.push_str("/d");
    }
    for depth in (1..=6).rev() {
        let folder = vec!["d"; depth].join("/");
        let mut left = 40;
        let copied = jail.copy_at_most(&folder, &format!("{folder}x"), &mut left);
        assert_eq!(copied.is_ok(), depth > 1, "{depth}: {left}");
    }
    jail.make_folder("full").unwrap();
    for number in 0..MAX_COPIED {
        fs::File::create(dir.path().join(format!("in/full/{number}"))).unwrap();
    }
    assert_eq!(jail.copy("full", "again").unwrap_err(), Errno::OVERFLOW);
}

/// Our names of files on their way are nobody else's: a file that arrives under one could take the place of another before
/// that has its name.
#[test]
fn the_names_of_parts_are_ours() {
    let (dir, jail) = jail();
    jail.make_folder("f").unwrap();
    put(&jail, "a", b"a");
    for name in [".backupwatch-0.part", ".BackupWatch-0.PART"] {
        assert_eq!(jail.begin(name).unwrap_err(), Errno::INVAL, "{name}");
        assert_eq!(jail.begin_in_place(name).unwrap_err(), Errno::INVAL);
        assert_eq!(jail.make_folder(name).unwrap_err(), Errno::INVAL);
        assert_eq!(jail.rename("a", name).unwrap_err(), Errno::INVAL);
        assert_eq!(jail.copy("a", name).unwrap_err(), Errno::INVAL);
        assert_eq!(
            jail.copy("f", &format!("f/{name}")).unwrap_err(),
            Errno::INVAL
        );
    }
    let part = jail.begin("b").unwrap();
    let on_disk = jail.list_with_parts("").unwrap();
    let name = on_disk
        .into_iter()
        .find(|entry| is_part(&entry.name))
        .unwrap();
    assert!(name.name.len() > 30, "nobody can guess it: {}", name.name);
    drop(part);
    assert_eq!(fs::read_dir(dir.path().join("in")).unwrap().count(), 2);
}

#[test]
fn many_hands_empty_a_tree_and_nothing_that_its_links_point_to() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..50 {
        let folder = dir.path().join(format!("tree/{number:02x}/deep"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file"), b"x").unwrap();
        fs::write(folder.join("../file"), b"x").unwrap();
    }
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/file"), b"x").unwrap();
    symlink(dir.path().join("outside"), dir.path().join("tree/link")).unwrap();
    symlink(dir.path().join("outside"), dir.path().join("link")).unwrap();

    let parent = disk::open(CWD, dir.path(), folder_flags()).unwrap();
    assert!(empty_at(parent.as_fd(), c"link", 4).is_err(), "a link");
    empty_at(parent.as_fd(), c"tree", 4).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tree")).unwrap().count(), 0);
    assert!(dir.path().join("outside/file").exists());
}
