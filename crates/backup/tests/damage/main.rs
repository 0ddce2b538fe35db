//! Each kind of damage that a disk, a program or a person can do to a finished backup, a hundred times each: the level that
//! must see it does, with nothing else found beside it. And a hundred backups that nobody touched, of which nothing is found.
//!
//! What can be seen depends on what is given: the hashes, the password, both or neither. Where something cannot be seen, the
//! report says so, and that is tested as well.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]

#[path = "../common/mod.rs"]
mod common;
mod tree;
mod untouched;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backupwatch_backup::verify::{
    CipherFault, Finding, LostFile, ManifestFault, PasswordSays, Progress, Sample, Stage,
    Unchecked, VerifyError,
};
use backupwatch_core::Level;
use backupwatch_sim::contents::Item;
use backupwatch_sim::keybag;
use tree::{BOTH, Chance, Damage, Given, KEY, LEDGER, NOTHING, PASSWORD, Tree, only};

const TIMES: u64 = 100;

/// What is given for a plain tree, and then for an encrypted one.
const PLAIN: [Given; 2] = [NOTHING, LEDGER];
const SEALED: [Given; 4] = [NOTHING, LEDGER, KEY, BOTH];

/// The names of a lost file are the phone's, wherever the manifest could be read.
fn is_named(lost: Option<&LostFile>, item: &Item, named: bool) {
    let lost = lost.unwrap();
    assert_eq!(lost.id, item.id.to_string());
    let place = (item.domain.to_string(), item.path.to_string());
    assert_eq!(lost.place, named.then_some(place));
}

/// Whether the manifest of a tree can be read with this.
fn opens(is_encrypted: bool, given: Given) -> bool {
    !is_encrypted || given.password.is_some()
}

async fn trees() -> [(Tree, bool, &'static [Given]); 2] {
    [
        (Tree::plain().await, false, &PLAIN),
        (Tree::encrypted().await, true, &SEALED),
    ]
}

#[tokio::test]
async fn a_flipped_byte_in_a_blob() {
    for (tree, encrypted, givens) in trees().await {
        let files = tree.files();
        for seed in 0..TIMES {
            let chance = &mut Chance::new(seed);
            let item = chance.one(&files);
            let mut damage = Damage::default();
            damage.change(&tree.blob(item), |bytes| {
                let at = chance.below(bytes.len());
                chance.flip(&mut bytes[at]);
            });
            for given in givens.iter().filter(|given| given.ledger) {
                let report = tree.check(Level::L4, *given);
                let (finding, lost) = only(&report);
                let id = item.id.to_string();
                assert_eq!(*finding, Finding::Changed { id });
                is_named(lost, item, opens(encrypted, *given));
            }
        }
        // Without the hashes nothing can prove it, and nothing says that it did.
        let report = tree.check(Level::L4, NOTHING);
        assert!(report.level < Some(Level::L3) || !encrypted);
        assert!(report.unchecked.contains(&Unchecked::NoHashes));
        assert!(report.level < Some(Level::L4));
    }
}

/// The one part of a blob where decryption tells, without any hash.
#[tokio::test]
async fn a_flipped_byte_at_the_end_of_an_encrypted_blob() {
    let tree = Tree::encrypted().await;
    let files = tree.files();
    for seed in 0..TIMES {
        let chance = &mut Chance::new(seed);
        let item = chance.one(&files);
        let mut damage = Damage::default();
        damage.change(&tree.blob(item), |bytes| {
            let at = bytes.len() - 1 - chance.below(16);
            chance.flip(&mut bytes[at]);
        });
        let report = tree.check(Level::L4, KEY);
        let (finding, lost) = only(&report);
        let (id, why) = (item.id.to_string(), CipherFault::Padding);
        assert_eq!(*finding, Finding::Undecryptable { id, why });
        is_named(lost, item, true);
    }
}

#[tokio::test]
async fn a_cut_blob() {
    for (tree, encrypted, givens) in trees().await {
        let files = tree.files();
        for seed in 0..TIMES {
            let chance = &mut Chance::new(seed);
            let item = chance.one(&files);
            let mut damage = Damage::default();
            let mut cut = 0;
            damage.change(&tree.blob(item), |bytes| {
                cut = chance.below(bytes.len());
                bytes.truncate(cut);
            });
            for given in givens {
                // Only the ledger and the manifest know how long a file was.
                if !given.ledger && !opens(encrypted, *given) {
                    continue;
                }
                let report = tree.check(Level::L2, *given);
                let (finding, lost) = only(&report);
                assert!(
                    matches!(finding, Finding::BlobSize { id, found, .. }
                        if *id == item.id.to_string() && *found == cut as u64),
                    "{finding}"
                );
                is_named(lost, item, opens(encrypted, *given));
            }
            if seed % 10 == 0 {
                only(&tree.check(Level::L4, givens[givens.len() - 1]));
            }
        }
    }
}

#[tokio::test]
async fn a_missing_blob() {
    for (tree, encrypted, givens) in trees().await {
        let files = tree.files();
        for seed in 0..TIMES {
            let item = Chance::new(seed).one(&files).clone();
            let mut damage = Damage::default();
            damage.put(&tree.blob(&item), None);
            for given in givens {
                if !given.ledger && !opens(encrypted, *given) {
                    continue;
                }
                let report = tree.check(Level::L2, *given);
                let (finding, lost) = only(&report);
                let id = item.id.to_string();
                assert_eq!(*finding, Finding::BlobMissing { id });
                is_named(lost, &item, opens(encrypted, *given));
            }
            if seed % 10 == 0 {
                only(&tree.check(Level::L4, givens[givens.len() - 1]));
            }
        }
    }
}

#[tokio::test]
async fn a_stray_file() {
    for (tree, encrypted, givens) in trees().await {
        for seed in 0..TIMES {
            let chance = &mut Chance::new(seed);
            let id: String = (0..40)
                .map(|_| char::from(*chance.one(b"0123456789abcdef")))
                .collect();
            let is_blob = chance.below(2) == 0;
            let path = if is_blob {
                format!("{}/{id}", &id[..2])
            } else {
                format!("{}.txt", &id[..8])
            };
            let mut damage = Damage::default();
            damage.put(&tree.folder.join(&path), Some(b"not the phone's"));
            for given in givens {
                // Without the password, another blob is one that the manifest may know.
                if is_blob && !opens(encrypted, *given) {
                    let report = tree.check(Level::L4, *given);
                    assert!(report.level < Some(Level::L4), "{report:?}");
                    continue;
                }
                let report = tree.check(Level::L2, *given);
                assert_eq!(*only(&report).0, Finding::Stray { path: path.clone() });
            }
        }
    }
}

#[tokio::test]
async fn two_blobs_of_one_size_in_the_place_of_each_other() {
    for (tree, encrypted, givens) in trees().await {
        let mut files = tree.files();
        files.retain(|item| item.size() == 5000);
        for seed in 0..TIMES {
            let chance = &mut Chance::new(seed);
            let one = chance.below(files.len());
            let two = (one + 1 + chance.below(files.len() - 1)) % files.len();
            let paths = [one, two].map(|number| tree.blob(&files[number]));
            let [first, second] = paths.each_ref().map(|path| fs::read(path).unwrap());
            let mut damage = Damage::default();
            damage.put(&paths[0], Some(&second));
            damage.put(&paths[1], Some(&first));
            for given in givens {
                // The keys are those of the names, so that decryption tells as well.
                let decrypts = encrypted && given.password.is_some();
                if !given.ledger && !decrypts {
                    continue;
                }
                let report = tree.check(Level::L4, *given);
                assert_eq!((report.wrong, report.missing), (2, 2), "{report:?}");
                let mut lost: Vec<_> = report.lost.iter().map(|lost| lost.id.clone()).collect();
                lost.sort();
                let mut ids = [one, two].map(|number| files[number].id.to_string());
                ids.sort();
                assert_eq!(lost, ids);
            }
        }
    }
}

#[tokio::test]
async fn a_manifest_of_nothing() {
    for (tree, encrypted, givens) in trees().await {
        let path = tree.folder.join("Manifest.db");
        let len = fs::read(&path).unwrap().len();
        for seed in 0..TIMES {
            let chance = &mut Chance::new(seed);
            // Zeros from some byte on: all of it, and none at all too.
            let (zeros, fault) = match (seed % 3, encrypted) {
                (0, _) => (0, ManifestFault::Empty),
                (1, false) => (len, ManifestFault::Encrypted),
                (1, true) => (len - 1, ManifestFault::Cut),
                (_, false) => (1 + chance.below(len), ManifestFault::Encrypted),
                (_, true) => (1 + 16 * chance.below(len / 16), ManifestFault::Cut),
            };
            let mut damage = Damage::default();
            damage.put(&path, Some(&vec![0; zeros]));
            let report = tree.check(Level::L1, NOTHING);
            assert_eq!(*only(&report).0, Finding::Manifest(fault));
            assert_eq!(report.level, None);
            if seed % 10 == 0 {
                let report = tree.check(Level::L4, givens[givens.len() - 1]);
                assert!(!report.is_verified());
            }
        }
        // Zeros of the right length are no manifest either, which takes the password to see.
        if encrypted {
            let mut damage = Damage::default();
            damage.put(&path, Some(&vec![0; len]));
            let report = tree.check(Level::L3, KEY);
            assert!(
                matches!(only(&report).0, Finding::Manifest(_)),
                "{report:?}"
            );
            assert!(tree.check(Level::L3, LEDGER).wrong > 0);
        }
    }
}

/// SQLite has no checksums: where a page is as good as another, only the hash tells.
#[tokio::test]
async fn a_flipped_byte_anywhere_beside_the_blobs() {
    for (tree, _, givens) in trees().await {
        for (name, times) in [
            ("Manifest.db", TIMES),
            ("Manifest.plist", TIMES / 3),
            ("Status.plist", TIMES / 3),
            ("Info.plist", TIMES / 3),
        ] {
            let path = tree.folder.join(name);
            for seed in 0..times {
                let chance = &mut Chance::new(seed);
                let mut damage = Damage::default();
                damage.change(&path, |bytes| {
                    let at = chance.below(bytes.len());
                    chance.flip(&mut bytes[at]);
                });
                // With no password tried: a flip in the keybag can make that take long.
                let report = tree.check(Level::L3, LEDGER);
                let id = name.to_owned();
                assert!(
                    report.findings.contains(&Finding::Changed { id }),
                    "{report:?}"
                );
                assert!(report.level < Some(Level::L3));
            }
            assert_eq!(tree.check(Level::L3, givens[givens.len() - 1]).wrong, 0);
        }
    }
}

#[tokio::test]
async fn a_torn_property_list() {
    for (tree, _, givens) in trees().await {
        for name in ["Status.plist", "Manifest.plist", "Info.plist"] {
            for seed in 0..TIMES {
                let chance = &mut Chance::new(seed);
                let mut damage = Damage::default();
                damage.change(&tree.folder.join(name), |bytes| {
                    // All but the white space after its end.
                    let len = bytes.trim_ascii_end().len();
                    bytes.truncate(chance.below(len));
                });
                let report = tree.check(Level::L1, NOTHING);
                let unreadable = |finding: &Finding| matches!(finding, Finding::FileUnreadable { name: torn, .. } if *torn == name);
                assert!(report.findings.iter().any(unreadable), "{report:?}");
                assert_eq!(report.level, None);
                if seed % 10 == 0 {
                    assert!(
                        !tree
                            .check(Level::L4, givens[givens.len() - 1])
                            .is_verified()
                    );
                }
            }
        }
    }
}

/// As when somebody renames a folder, or copies one over another.
#[tokio::test]
async fn the_backup_of_another_phone() {
    for (tree, _, _) in trees().await {
        for name in ["Info.plist", "Manifest.plist"] {
            for seed in 0..TIMES {
                let chance = &mut Chance::new(seed);
                let mut damage = Damage::default();
                damage.change(&tree.folder.join(name), |bytes| {
                    let udid = common::UDID.as_bytes();
                    let places: Vec<_> = (0..bytes.len() - udid.len())
                        .filter(|at| bytes[*at..].starts_with(udid))
                        .collect();
                    let other = b"0123456789ABCDEF";
                    for at in places {
                        let digit = &mut bytes[at + 9 + chance.below(16)];
                        *digit = other[(usize::from(*digit) + 1 + chance.below(3)) % 16];
                    }
                });
                let report = tree.check(Level::L1, NOTHING);
                let wrong = |finding: &Finding| matches!(finding, Finding::WrongPhone { name: of } if *of == name);
                assert!(report.findings.iter().any(wrong), "{seed} {report:?}");
                assert_eq!(report.level, None);
            }
        }
    }
}

#[tokio::test]
async fn a_changed_keybag() {
    let tree = Tree::encrypted().await;
    let path = tree.folder.join("Manifest.plist");
    let whole = fs::read(&path).unwrap();
    let find = |what: &[u8]| {
        let mut places = whole.windows(what.len());
        places.position(|here| here == what).unwrap()
    };
    let (begin, rounds) = (find(b"VERS"), [find(b"ITER") + 8, find(b"DPIC") + 8]);
    let end = whole.windows(4).rposition(|here| here == b"WPKY").unwrap() + 48;
    assert!(keybag::Keybag::open(&whole[begin..end], PASSWORD.as_bytes()).is_ok());
    let mut caught = 0;
    for seed in 0..TIMES {
        let chance = &mut Chance::new(seed);
        let mut at = begin + chance.below(end - begin);
        // More rounds than it has, but no more than it may have, only take long.
        if let Some(number) = rounds
            .iter()
            .find(|number| (**number..**number + 3).contains(&at))
        {
            at = number + 3;
        }
        let mut bytes = whole.clone();
        chance.flip(&mut bytes[at]);
        let mut damage = Damage::default();
        damage.put(&path, Some(&bytes));

        let report = tree.check(Level::L4, BOTH);
        let id = "Manifest.plist".to_owned();
        assert!(
            report.findings.contains(&Finding::Changed { id }),
            "{report:?}"
        );
        assert_ne!(
            report.password,
            PasswordSays::Wrong,
            "it is damage, and known to be"
        );
        assert!(report.level < Some(Level::L3));

        // Without the hashes: whatever the witness cannot open, we say is not opened.
        let theirs = keybag::Keybag::open(&bytes[begin..end], PASSWORD.as_bytes());
        let report = tree.check(Level::L4, KEY);
        let opened = report.level >= Some(Level::L3);
        assert!(theirs.is_ok() || !opened, "byte {}: {report:?}", at - begin);
        if !opened {
            caught += 1;
            let said = report.wrong > 0 || report.password == PasswordSays::Wrong;
            assert!(said, "{report:?}");
        }
    }
    assert!((50..100).contains(&caught), "{caught} of {TIMES}");
}

#[tokio::test]
async fn a_wrong_password_is_no_damage() {
    let tree = Tree::encrypted().await;
    for password in ["", "correct horse", "Correct horse 🐴", "correct horse 🐴 "] {
        for ledger in [false, true] {
            let given = Given {
                ledger,
                password: Some(password),
            };
            let report = tree.check(Level::L4, given);
            assert_eq!(report.password, PasswordSays::Wrong);
            assert_eq!(report.wrong, 0, "{report:?}");
            assert!(report.unchecked.contains(&Unchecked::WrongPassword));
        }
    }
    assert!(tree.scratch_is_empty());
}

/// Whoever presses Ctrl-C waits for no film to be read, and leaves nothing behind.
#[tokio::test]
async fn a_check_can_be_stopped_at_each_stage() {
    let tree = Tree::encrypted().await;
    for stage in [
        Stage::Lists,
        Stage::Password,
        Stage::Manifest,
        Stage::Files,
        Stage::Contents,
    ] {
        let stop = Arc::new(AtomicBool::new(false));
        let progress = |at: Progress| {
            if at.stage == stage {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let checked = tree.try_check(Level::L4, BOTH, Sample::All, &progress, &stop);
        let stopped = matches!(checked, Err(VerifyError::Stopped));
        assert!(stopped, "{stage:?}: {checked:?}");
        assert!(tree.scratch_is_empty());
    }
}

#[tokio::test]
async fn progress_ends_where_it_said_that_it_would() {
    let tree = Tree::encrypted().await;
    let last = Mutex::new(None);
    let progress = |at: Progress| {
        if at.stage == Stage::Contents {
            let mut last = last.lock().unwrap();
            // Two threads may tell one after the other what they read the other way round.
            if last.is_none_or(|last: Progress| last.files <= at.files && last.bytes <= at.bytes) {
                *last = Some(at);
            }
        }
    };
    let report = tree.try_check(Level::L4, BOTH, Sample::All, &progress, &Arc::default());
    let (report, last) = (report.unwrap(), last.into_inner().unwrap().unwrap());
    assert_eq!(Some(last.files), last.of_files);
    assert_eq!(Some(last.bytes), last.of_bytes);
    assert_eq!(last.files, report.read.files);
    assert_eq!(
        report.read.bytes, report.read.of_bytes,
        "all of the tree was read"
    );
}

/// A check of a disk that is only to be read must work, and one of any disk changes nothing.
#[tokio::test]
async fn a_check_changes_nothing() {
    let tree = Tree::encrypted().await;
    let before = common::tree(&tree.world.root);
    for given in SEALED {
        tree.check(Level::L4, given);
    }
    assert!(common::tree(&tree.world.root) == before);
}

/// The slices of some days are all blobs, and one that is damaged is found on the day of its slice.
#[tokio::test]
async fn slices_find_what_all_would() {
    let tree = Tree::plain().await;
    let files = tree.files();
    let mut damage = Damage::default();
    damage.change(&tree.blob(&files[7]), |bytes| bytes[0] ^= 1);
    let of = 5;
    let reports: Vec<_> = (0..of)
        .map(|index| tree.check_part(Level::L4, LEDGER, Sample::Slice { index, of }))
        .collect();
    let found: Vec<_> = reports.iter().filter(|report| report.wrong > 0).collect();
    assert_eq!(found.len(), 1);
    is_named(found[0].lost.first(), &files[7], true);
    let read: u64 = reports.iter().map(|report| report.read.files).sum();
    let all = &reports[0].read;
    assert_eq!(read, all.of_files);
    assert!(all.files < all.of_files && all.bytes < all.of_bytes);
}
