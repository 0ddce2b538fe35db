use super::*;

fn of(bytes: &[u8]) -> Seen {
    Seen {
        len: bytes.len() as u64,
        hash: blake3::hash(bytes),
    }
}

fn put(path: &str) -> Change {
    Change::Put {
        path: path.to_owned(),
        seen: of(path.as_bytes()),
    }
}

fn moved(from: &str, to: &str) -> Change {
    Change::Moved {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

#[test]
fn it_follows_what_the_phone_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    let keeper = Keeper::start(Ledger::open(&path).unwrap(), ()).unwrap();
    let tell = keeper.handle();
    tell.tell(put("Snapshot/ab/ab1"));
    tell.tell(put("Snapshot/ab/ab2"));
    tell.tell(put("Snapshot/cd/cd1"));
    tell.tell(put("ab/ab1"));
    tell.tell(moved("Snapshot/ab/ab1", "ab/ab1"));
    tell.tell(moved("Snapshot/cd", "cd"));
    tell.tell(Change::Copied {
        from: "cd/cd1".to_owned(),
        to: "ab/cd1".to_owned(),
    });
    tell.tell(Change::Removed {
        path: "Snapshot".to_owned(),
    });
    keeper.finish().unwrap().close().unwrap();

    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(
        ledger.in_folder("ab").unwrap(),
        [
            ("ab1".to_owned(), of(b"Snapshot/ab/ab1")),
            ("cd1".to_owned(), of(b"Snapshot/cd/cd1"))
        ]
    );
    assert_eq!(ledger.get("cd/cd1").unwrap(), Some(of(b"Snapshot/cd/cd1")));
    assert_eq!(ledger.get("Snapshot/ab/ab2").unwrap(), None);
    assert_eq!(ledger.in_folder("Snapshot/cd").unwrap(), []);
}

/// No phone has a `Snapshot` in its `Snapshot`, and one that makes it gets no file with two hashes by it.
#[test]
fn a_path_has_one_hash() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&dir.path().join("l")).unwrap();
    let name = format!("{:040x}", 7);
    let (deep, flat) = (
        format!("{SNAPSHOT}{SNAPSHOT}{name}"),
        format!("{SNAPSHOT}{name}"),
    );
    for change in [put(&deep), put(&flat), moved(&deep, &flat)] {
        ledger.note(&change).unwrap();
    }
    ledger.fold().unwrap();
    assert_eq!(ledger.get(&flat).unwrap(), Some(of(deep.as_bytes())));
    assert_eq!(ledger.get(&deep).unwrap(), None);
}

#[test]
fn entries_that_make_no_sense_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    Ledger::open(&path).unwrap().close().unwrap();
    for entry in [
        "INSERT INTO log (key, kind, len, hash) VALUES ('ab/c', 0, NULL, NULL)",
        "UPDATE log SET hash = x'00', len = 1",
        "UPDATE log SET kind = 4000",
    ] {
        Connection::open(&path).unwrap().execute(entry, []).unwrap();
        let error = Ledger::open(&path).unwrap_err();
        assert!(error.is_damage(), "{entry}: {error:?}");
    }
}

#[test]
fn a_crash_of_a_keeper_loses_no_more_than_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    let mut ledger = Ledger::open(&path).unwrap();
    for number in 0..BATCH + 10 {
        ledger
            .note(&put(&format!("Snapshot/ab/{number:040x}")))
            .unwrap();
    }
    drop(ledger);
    let files = Ledger::open(&path)
        .unwrap()
        .in_folder("Snapshot/ab")
        .unwrap();
    assert_eq!(files.len(), BATCH as usize);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Few names, so that they meet often.
    fn name() -> impl Strategy<Value = String> {
        let inside = prop_oneof![
            (0..2_u8, 0..3_u8).prop_map(|(folder, file)| format!("a{folder}/{file:040x}")),
            Just("Manifest.db".to_owned()),
            (0..2_u8).prop_map(|folder| format!("a{folder}")),
            Just("odd/name".to_owned()),
        ];
        (inside, any::<bool>()).prop_map(|(inside, snapshot)| {
            if snapshot {
                format!("{SNAPSHOT}{inside}")
            } else {
                inside
            }
        })
    }

    fn change() -> impl Strategy<Value = Change> {
        let holds_files = |path: &str| is_file(key_of(path).0) || key_of(path).0 == "odd/name";
        let apart = move |from: &String, to: &String| {
            holds_files(from) == holds_files(to)
                && !from.starts_with(&format!("{to}/"))
                && !to.starts_with(&format!("{from}/"))
        };
        prop_oneof![
            4 => (name(), any::<u8>()).prop_map(|(path, byte)| Change::Put { path, seen: of(&[byte]) }),
            4 => name().prop_map(|to| {
                let to = key_of(&to).0.to_owned();
                Change::Moved { from: format!("{SNAPSHOT}{to}"), to }
            }),
            1 => (name(), name()).prop_filter("apart", move |(a, b)| apart(a, b)).prop_map(|(from, to)| Change::Moved { from, to }),
            1 => (name(), name()).prop_filter("apart", move |(a, b)| apart(a, b)).prop_map(|(from, to)| Change::Copied { from, to }),
            2 => name().prop_map(|path| Change::Removed { path }),
            1 => Just(Change::Removed { path: "Snapshot".to_owned() }),
        ]
    }

    fn all(ledger: &Ledger) -> Vec<(String, Seen)> {
        let mut query = ledger
            .db
            .prepare("SELECT path, len, hash FROM files ORDER BY path")
            .unwrap();
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, seen(row, 1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    proptest! {
        /// What was written down and folded, at any moments, is what would have been made at once. A name is that of a
        /// file or of a folder, as on a disk.
        #[test]
        fn folding_is_the_same_as_making_each_change(
            changes in proptest::collection::vec((change(), proptest::bool::weighted(0.1)), 0..60)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut noted = Ledger::open(&dir.path().join("noted")).unwrap();
            let mut made = Ledger::open(&dir.path().join("made")).unwrap();
            for (change, fold) in &changes {
                if let Change::Put { path, .. } = change
                    && !is_file(key_of(path).0) && key_of(path).0 != "odd/name"
                {
                    continue;
                }
                noted.note(change).unwrap();
                made.apply(change).unwrap();
                if *fold {
                    noted.fold().unwrap();
                }
            }
            noted.fold().unwrap();
            prop_assert_eq!(all(&noted), all(&made));
        }
    }
}

#[test]
fn a_crash_loses_a_few_files_or_a_few_bytes_and_not_more() {
    for (len, arrived, kept) in [
        (1, u64::from(BATCH) + 10, u64::from(BATCH)),
        (BATCH_BYTES / 4, 6, 4),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        let mut ledger = Ledger::open(&path).unwrap();
        for number in 0..arrived {
            let seen = Seen {
                len,
                hash: blake3::hash(b""),
            };
            ledger
                .apply(&Change::Put {
                    path: format!("ab/{number:06}"),
                    seen,
                })
                .unwrap();
        }
        // Never closed: what was not committed is rolled back.
        drop(ledger);
        let files = Ledger::open(&path).unwrap().in_folder("ab").unwrap();
        assert_eq!(files.len() as u64, kept, "files of {len} bytes");
    }
}
