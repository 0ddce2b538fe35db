use backupwatch_core::{HostTime, Udid};

use super::super::tests::{backup, store, udid};
use super::*;

fn names(store: &Store) -> Vec<String> {
    let versions = store.versions(&udid()).unwrap();
    versions.iter().map(|v| v.which.name().to_owned()).collect()
}

#[test]
fn the_backups_of_a_phone_oldest_first() {
    let (_dir, store) = store();
    assert_eq!(names(&store), [""; 0]);
    backup(&store, 10, "one");
    backup(&store, 20, "two");
    assert_eq!(names(&store), ["2026-09-21T141330Z", "current"]);
    let versions = store.versions(&udid()).unwrap();
    assert!(versions.iter().all(|version| version.copy.is_some()));
    assert!(versions[0].serial < versions[1].serial);
}

#[test]
fn a_tree_that_is_read_is_followed_when_a_newer_one_takes_its_place() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let held = store.open_version(&udid(), &Which::Current).unwrap();
    assert_eq!(held.folder().unwrap(), store.folder(&udid()));
    backup(&store, 20, "two");
    let folder = held.folder().unwrap();
    assert!(
        folder.ends_with("2026-09-21T141330Z"),
        "{}",
        folder.display()
    );
    assert_eq!(fs::read_to_string(folder.join("ab/abc")).unwrap(), "one");
    assert!(held.tree().stat("ab/abc").is_ok());
    assert!(held.ledger().is_some());
}

#[test]
fn what_is_not_there_is_said_by_name() {
    let (_dir, store) = store();
    backup(&store, 10, "one");
    let nobody = Udid::parse("00008110-000A1B2C3D4E5F61").unwrap();
    for (udid, which) in [
        (nobody, Which::Current),
        (udid(), Which::Before("2026-09-21T141330Z".to_owned())),
        (udid(), Which::Before("../../../etc".to_owned())),
        (udid(), Which::Before(String::new())),
    ] {
        let refused = store.open_version(&udid, &which).unwrap_err();
        assert!(
            matches!(refused, StoreError::NoVersion { .. }),
            "{which:?}: {refused}"
        );
    }
}

#[test]
fn a_name_tells_when_it_was_made() {
    let at = |text: &str| Some(HostTime(text.parse().unwrap()));
    for (name, wanted) in [
        ("2026-09-21T141330Z", at("2026-09-21T14:13:30Z")),
        ("2026-09-21T141330Z-2", at("2026-09-21T14:13:30Z")),
        ("2026-09-21", None),
        ("current", None),
        ("9999-99-99T999999Z", None),
    ] {
        assert_eq!(named_at(name), wanted, "{name}");
    }
}
