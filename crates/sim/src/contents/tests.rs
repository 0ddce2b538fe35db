use super::*;

fn spec(toml: &str) -> Contents {
    toml::from_str(toml).unwrap()
}

fn small() -> Catalog {
    Catalog::new(&spec(
        r#"
        seed = 11
        [[groups]]
        domain = "CameraRollDomain"
        prefix = "Media/DCIM/100APPLE"
        count = 40
        size = [10, 90]
        names = ["IMG_{n}.HEIC", "Zoe\u0308 🎉 {n}.jpg"]
        [[files]]
        domain = "HomeDomain"
        path = "Library/empty"
        [[files]]
        domain = "HomeDomain"
        path = "Library/note.txt"
        text = "hello"
        [[symlinks]]
        domain = "HomeDomain"
        path = "Library/link"
        target = "note.txt"
        [[directories]]
        domain = "HomeDomain"
        path = "Library/Nothing/Here"
        "#,
    ))
    .unwrap()
}

#[test]
fn a_file_id_is_the_sha1_of_domain_and_path() {
    // Known to every reader of backups: the database of the messages app.
    let id = FileId::of("HomeDomain", "Library/SMS/sms.db");
    assert_eq!(id.to_string(), "3d0d7e5fb2ce288813306e4d4636395e047a3d28");
    assert_eq!(id.folder(), "3d");
}

#[test]
fn parents_and_domain_roots_have_rows() {
    let catalog = small();
    let directories: Vec<_> = catalog
        .items()
        .filter(|item| item.kind == Kind::Directory)
        .map(|item| format!("{}:{}", item.domain, item.path))
        .collect();
    assert_eq!(
        directories,
        [
            "CameraRollDomain:",
            "CameraRollDomain:Media",
            "CameraRollDomain:Media/DCIM",
            "CameraRollDomain:Media/DCIM/100APPLE",
            "HomeDomain:",
            "HomeDomain:Library",
            "HomeDomain:Library/Nothing",
            "HomeDomain:Library/Nothing/Here",
        ]
    );
    assert_eq!(catalog.files().count(), 42);
}

#[test]
fn the_same_seed_gives_the_same_phone_and_another_seed_another() {
    let text = |seed: u64| {
        let mut contents = spec("[[groups]]\ndomain = 'D'\ncount = 3\nsize = [100, 200]");
        contents.seed = seed;
        let catalog = Catalog::new(&contents).unwrap();
        let mut all = Vec::new();
        for item in catalog.files() {
            let mut bytes = vec![0; usize::try_from(item.size()).unwrap()];
            item.read(0, &mut bytes);
            all.push((item.path.to_string(), bytes));
        }
        all
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn text_is_read_from_any_offset() {
    let catalog = small();
    let note = catalog.get("HomeDomain", "Library/note.txt").unwrap();
    let mut out = [b'.'; 4];
    note.read(2, &mut out);
    assert_eq!(&out, b"llo.");
}

#[test]
fn mutate_changes_the_asked_share_and_only_that() {
    let before = small();
    for (percent, expected) in [(0.0, 0), (1.0, 1), (50.0, 21), (100.0, 42)] {
        let mut after = before.clone();
        assert_eq!(after.mutate(percent), expected, "{percent} %");
        let changed = before
            .items()
            .zip(after.items())
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(changed, expected, "{percent} %");
    }
}

#[test]
fn add_delete_and_rename_refuse_what_cannot_be() {
    let mut catalog = small();
    catalog
        .rename("HomeDomain", "Library/note.txt", "Library/letter.txt")
        .unwrap();
    assert!(catalog.get("HomeDomain", "Library/note.txt").is_none());
    let letter = catalog.get("HomeDomain", "Library/letter.txt").unwrap();
    assert_eq!(letter.id, FileId::of("HomeDomain", "Library/letter.txt"));
    catalog.delete("HomeDomain", "Library/letter.txt").unwrap();
    let nothing = catalog
        .delete("HomeDomain", "Library/letter.txt")
        .unwrap_err();
    assert!(matches!(nothing, ContentsError::Nothing { .. }));
    assert!(matches!(
        catalog.add("HomeDomain", "Library/empty", 1),
        Err(ContentsError::Twice { .. })
    ));
    for path in ["../x", "/x", "a//b", "a/./b", "", "a/\0"] {
        assert!(
            matches!(
                catalog.add("HomeDomain", path, 1),
                Err(ContentsError::Path { .. })
            ),
            "{path:?}"
        );
    }
    catalog.add("NewDomain", "a/b", 1).unwrap();
    assert_eq!(catalog.get("NewDomain", "a").unwrap().kind, Kind::Directory);
}

#[test]
fn unknown_keys_and_crossed_sizes_are_errors() {
    assert!(toml::from_str::<Contents>("sed = 1").is_err());
    let crossed = spec("[[groups]]\ndomain = 'D'\ncount = 3\nsize = [200, 100]");
    assert!(matches!(
        Catalog::new(&crossed),
        Err(ContentsError::Sizes { .. })
    ));
}
