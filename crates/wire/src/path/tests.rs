use std::path::Component;

use proptest::prelude::*;

use super::*;

const UDID: &str = "00008101-000A1234567890BC";

fn parse(path: &str) -> Result<DevicePath, PathError> {
    DevicePath::parse(&path.replace("UDID", UDID), UDID)
}

#[test]
fn paths_that_a_device_sends() {
    let table = [
        ("UDID", ""),
        ("UDID/", ""),
        ("UDID//", ""),
        ("UDID/Status.plist", "Status.plist"),
        ("UDID/Snapshot/aa/aa01", "Snapshot/aa/aa01"),
        ("UDID/Snapshot//aa/", "Snapshot/aa"),
        ("UDID/...", "..."),
        ("UDID/..a/b..", "..a/b.."),
        ("UDID/ü 😀/e\u{301}", "ü 😀/e\u{301}"),
        ("UDID/ab:c", "ab:c"),
    ];
    for (path, inside) in table {
        let read = parse(path).unwrap();
        assert_eq!(read.inside(), inside, "{path}");
        assert_eq!(read.relative_to_udid(), Path::new(inside), "{path}");
        assert_eq!(read.is_folder_itself(), inside.is_empty(), "{path}");
        assert_eq!(read.names().collect::<Vec<_>>().join("/"), inside, "{path}");
        assert_eq!(read.as_str().trim_end_matches('/'), read.as_str());
    }
}

#[test]
fn paths_that_escape_or_try_to() {
    let long = format!("UDID/{}", "a".repeat(MAX_NAME + 1));
    let deep = format!("UDID/{}", "a/".repeat(MAX_PATH / 2));
    let table = [
        ("", PathError::Empty),
        ("/", PathError::Absolute),
        ("/etc/passwd", PathError::Absolute),
        ("/UDID/a", PathError::Absolute),
        ("..", PathError::Dots),
        ("../UDID/a", PathError::Dots),
        ("UDID/..", PathError::Dots),
        ("UDID/../other", PathError::Dots),
        ("UDID/a/../../b", PathError::Dots),
        ("./UDID/a", PathError::Dots),
        ("UDID/./a", PathError::Dots),
        ("UDID/a\0b", PathError::Character),
        ("UDID\\..\\a", PathError::Character),
        ("UDID/a\\b", PathError::Character),
        ("C:/a", PathError::Drive),
        ("UDID/C:/a", PathError::Drive),
        ("UDID/c:", PathError::Drive),
        ("UDID/a:b", PathError::Drive),
        ("other/a", PathError::Elsewhere),
        ("UDIDx/a", PathError::Elsewhere),
        ("00008101-000a1234567890bc/a", PathError::Elsewhere),
        (&long, PathError::TooLong),
        (&deep, PathError::TooLong),
    ];
    for (path, error) in table {
        assert_eq!(parse(path), Err(error), "{path}");
    }
}

#[test]
fn a_bad_udid_owns_nothing() {
    for (udid, path) in [
        ("", "a"),
        ("..", "../a"),
        (".", "./a"),
        ("a/b", "a/b/c"),
        ("/", "/a"),
    ] {
        assert!(DevicePath::parse(path, udid).is_err(), "{udid}");
    }
}

fn tricky() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "//", ".", "..", "...", "UDID", "a", "é", "C:", "\\", "\0", " ", "Snapshot", "~",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The standard library is the judge: what is accepted has only plain names, the same ones, the first being the UDID; and
    /// what is refused has a reason that the standard library or the list of refused characters knows.
    #[test]
    fn the_standard_library_agrees(path in prop_oneof![tricky(), tricky().prop_map(|p| format!("UDID/{p}")), ".{0,40}"]) {
        let path = path.replace("UDID", UDID);
        let names: Option<Vec<&str>> = Path::new(&path)
            .components()
            .map(|component| match component {
                Component::Normal(name) => name.to_str(),
                Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
            })
            .collect();
        match DevicePath::parse(&path, UDID) {
            Ok(read) => {
                let names = names.expect("only plain names");
                prop_assert_eq!(names.first().copied(), Some(UDID));
                prop_assert_eq!(names.join("/"), read.as_str());
                prop_assert_eq!(names[1..].join("/"), read.inside());
                let root = Path::new("/backups").join(UDID);
                let full = root.join(read.relative_to_udid());
                prop_assert!(full.starts_with(&root));
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
                prop_assert!(full.components().all(plain));
            }
            Err(_) => {
                let ours = names.is_some_and(|names| names.first() == Some(&UDID));
                let refused = path.contains(['\\', '\0', ':']) || path.split('/').any(|name| name == ".");
                prop_assert!(!ours || refused, "refused without a reason: {path:?}");
            }
        }
    }
}
