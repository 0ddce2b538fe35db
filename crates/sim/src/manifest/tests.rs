use std::collections::BTreeMap;

use jiff::Timestamp;
use plist::{Dictionary, Value};

use super::*;
use crate::contents::{Catalog, Contents};
use crate::keybag::{KeybagError, Rounds};

fn catalog() -> Catalog {
    let contents: Contents = toml::from_str(
        r#"
        seed = 3
        [[groups]]
        domain = "CameraRollDomain"
        prefix = "Media"
        count = 300
        size = [0, 70000]
        names = ["e\u0301té 🏖 {n}.jpg"]
        [[files]]
        domain = "HomeDomain"
        path = "empty"
        [[files]]
        domain = "HomeDomain"
        path = "huge"
        size = 99_000_000_000
        [[symlinks]]
        domain = "HomeDomain"
        path = "link"
        target = "empty"
        "#,
    )
    .unwrap();
    Catalog::new(&contents).unwrap()
}

#[test]
fn attributes_make_a_row_as_long_as_they_are() {
    let contents = |attributes: u16| {
        let text = format!(
            "[[groups]]\ndomain = \"D\"\ncount = 1\nsize = [9, 9]\nattributes = {attributes}"
        );
        Catalog::new(&toml::from_str(&text).unwrap()).unwrap()
    };
    let blob = |attributes: u16| {
        let catalog = contents(attributes);
        row_blob(catalog.files().next().unwrap(), None).unwrap()
    };
    let grown = blob(1_800).len() - blob(0).len();
    assert!((1_800..1_850).contains(&grown), "{grown}");
    assert_eq!(MbFile::parse(&blob(1_800)), MbFile::parse(&blob(0)));
    assert_eq!(blob(1_800), blob(1_800), "a row is a function of its item");
}

fn numbers(value: &Value) -> BTreeMap<String, u64> {
    let pick = |(key, value): (&String, &Value)| Some((key.clone(), value.as_unsigned_integer()?));
    value
        .as_dictionary()
        .unwrap()
        .iter()
        .filter_map(pick)
        .collect()
}

#[test]
fn an_archive_holds_what_readers_look_for() {
    let catalog = catalog();
    let item = catalog.get("HomeDomain", "huge").unwrap();
    let blob = row_blob(item, None).unwrap();
    let archive = Value::from_reader(std::io::Cursor::new(&blob)).unwrap();
    let archive = archive.as_dictionary().unwrap();
    assert_eq!(archive["$archiver"].as_string(), Some("NSKeyedArchiver"));
    assert_eq!(
        archive["$top"].as_dictionary().unwrap()["root"]
            .as_uid()
            .unwrap()
            .get(),
        1
    );
    let objects = archive["$objects"].as_array().unwrap();
    assert_eq!(objects[0].as_string(), Some("$null"));
    let fields = numbers(&objects[1]);
    assert_eq!(fields["Size"], 99_000_000_000);
    assert_eq!(fields["Mode"], 0o100_644);
    assert_eq!(fields["ProtectionClass"], 3);
    let at = |key: &str| {
        &objects[usize::try_from(
            objects[1].as_dictionary().unwrap()[key]
                .as_uid()
                .unwrap()
                .get(),
        )
        .unwrap()]
    };
    assert_eq!(at("RelativePath").as_string(), Some("huge"));
    assert_eq!(
        at("$class").as_dictionary().unwrap()["$classname"].as_string(),
        Some("MBFile")
    );
}

#[test]
fn the_key_in_an_archive_opens_with_the_keybag() {
    let secrets = Secrets::generate(5);
    for item in catalog().items() {
        let parsed = MbFile::parse(&row_blob(item, Some(&secrets)).unwrap()).unwrap();
        assert_eq!(parsed.size, item.size());
        let key = parsed
            .encryption_key
            .map(|key| secrets.keybag.unwrap(&key).unwrap());
        assert_eq!(key, secrets.of_file(item), "{}", item.path);
        assert_eq!(key.is_some(), item.size() > 0, "{}", item.path);
    }
}

#[test]
fn the_database_has_a_row_for_each_thing_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Manifest.db");
    let catalog = catalog();
    write(&path, catalog.items().map(AsRef::as_ref), None, 1).unwrap();
    let mut found = BTreeMap::new();
    read(&path)
        .unwrap()
        .for_each(|row| drop(found.insert((row.domain.clone(), row.path.clone()), row)))
        .unwrap();
    assert_eq!(found.len(), catalog.items().count());
    for item in catalog.items() {
        let row = &found[&(item.domain.to_string(), item.path.to_string())];
        assert_eq!(row.file_id, item.id.to_string());
        assert_eq!(row.flags, Flags::of(item).number());
        assert_eq!(row.file, row_blob(item, None).unwrap());
    }
}

#[test]
fn an_empty_file_is_no_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Manifest.db");
    std::fs::write(&path, b"").unwrap();
    assert!(read(&path).is_err());
    std::fs::write(&path, b"rubbish").unwrap();
    assert!(read(&path).is_err());
}

#[test]
fn properties_survive_the_file_and_open_with_the_password_only() {
    let secrets = Secrets::generate(5);
    let sealed = secrets
        .keybag
        .seal(b"secret", Rounds { dpic: 2, iter: 2 }, 1);
    let date: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let properties = Properties::new(date, sealed, Some(&secrets)).unwrap();
    let mut bytes = Vec::new();
    properties
        .to_value(true, Dictionary::new(), Dictionary::new())
        .to_writer_binary(&mut bytes)
        .unwrap();
    let read = Properties::parse(&bytes).unwrap();
    assert_eq!(read, properties);
    assert_eq!(read.unlock("secret").unwrap().1, secrets.of_manifest());
    assert!(matches!(
        read.unlock("Secret"),
        Err(PropertiesError::Keys(KeybagError::WrongPassword))
    ));
    assert!(matches!(
        Properties::parse(b""),
        Err(PropertiesError::Empty)
    ));
    assert!(matches!(
        Properties::parse(b"bplist00"),
        Err(PropertiesError::Plist)
    ));
}

#[test]
fn a_status_is_what_phones_write_and_only_their_versions_are_read() {
    let status = Status {
        uuid: "F0".into(),
        date: "2026-01-02T03:04:05Z".parse().unwrap(),
        phase: Phase::Moving,
        full: true,
    };
    let bytes = |value: &Value| {
        let mut out = Vec::new();
        value.to_writer_binary(&mut out).unwrap();
        out
    };
    assert_eq!(
        Status::parse(&bytes(&status.to_value())),
        Ok(status.clone())
    );
    let finished = Status {
        phase: Phase::Finished,
        ..status.clone()
    };
    assert!(
        !Status::parse(&bytes(&finished.to_value())).unwrap().full,
        "forced to false"
    );
    for (version, known) in [
        ("0", true),
        ("2.4", true),
        ("3.3", true),
        ("2.3", false),
        ("4.0", false),
        ("x", false),
    ] {
        let mut value = status.to_value();
        value
            .as_dictionary_mut()
            .unwrap()
            .insert("Version".into(), version.into());
        assert_eq!(Status::parse(&bytes(&value)).is_ok(), known, "{version}");
    }
}
