//! Broken and good backups that are kept as data, in `fixtures/backups`: each with a line about what is wrong with it, and
//! what the check must say. They were damaged once, so that a later change of how backups are made cannot make up for what a
//! later change of the check no longer sees.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backupwatch_core::{Level, Udid};
use backupwatch_sim::contents::Contents;
use backupwatch_sim::keybag::Rounds;
use backupwatch_sim::manifest::Secrets;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::handmade::{PASSWORD, UDID, blob, make};
use crate::jail::Jail;
use crate::ledger::Ledger;
use crate::verify::{Deep, Password, Sample, VerifyReport, check, deep};

/// `backup.toml`
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    /// Whether its hashes are given.
    ledger: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    expected: Expected,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The deepest level that holds, or `none`.
    level: String,
    password: String,
    findings: Vec<String>,
    /// Domain and path.
    lost: Vec<String>,
    unchecked: Vec<String>,
    notes: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/backups")
}

fn checked(case: &Path, given: &Case) -> VerifyReport {
    let password = given.password.clone().map(Password::new);
    let (ledger, scratch) = (case.join("ledger"), tempfile::tempdir().unwrap());
    let how = Deep {
        level: Level::L4,
        password: password.as_ref(),
        sample: Sample::All,
        ledger: given.ledger.then_some(&*ledger),
        scratch: scratch.path(),
    };
    let udid = Udid::parse(UDID).unwrap();
    deep(&case.join("tree"), &udid, &how, &|_| {}, &Arc::default()).unwrap()
}

fn said(report: &VerifyReport) -> Expected {
    let texts = |of: &[super::Finding]| of.iter().map(ToString::to_string).collect();
    Expected {
        level: (report.level).map_or("none".to_owned(), |level| format!("{level:?}")),
        password: format!("{:?}", report.password),
        findings: texts(&report.findings),
        lost: (report.lost.iter())
            .map(|lost| match &lost.place {
                Some((domain, path)) => format!("{domain} {path}"),
                None => lost.id.clone(),
            })
            .collect(),
        unchecked: report.unchecked.iter().map(ToString::to_string).collect(),
        notes: report.notes.clone(),
    }
}

#[test]
fn the_backups_that_are_kept_as_data() {
    let mut cases = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let case: Case =
            toml::from_str(&fs::read_to_string(path.join("backup.toml")).unwrap()).unwrap();
        assert_eq!(
            said(&checked(&path, &case)),
            case.expected,
            "{}",
            path.display()
        );
        cases += 1;
    }
    assert!(cases >= 14);
}

const CONTENTS: &str = r#"
seed = 3
[[files]]
domain = "HomeDomain"
path = "Library/Notes/one"
size = 100
[[files]]
domain = "HomeDomain"
path = "Library/Notes/two"
size = 100
[[files]]
domain = "CameraRollDomain"
path = "Media/Zoe\u0308 🎉.jpg"
size = 300
[[files]]
domain = "HomeDomain"
path = "Library/empty"
"#;

/// Ids of the files in [`CONTENTS`].
fn id(path: &str) -> String {
    backupwatch_sim::contents::FileId::of("HomeDomain", path).to_string()
}

/// What is done to a tree, and what is given to check it.
type Damage = fn(&Path);
struct Made {
    name: &'static str,
    what: &'static str,
    encrypted: bool,
    ledger: bool,
    password: Option<&'static str>,
    damage: Damage,
}

const fn made(name: &'static str, what: &'static str, damage: Damage) -> Made {
    Made {
        name,
        what,
        encrypted: false,
        ledger: true,
        password: None,
        damage,
    }
}

const fn sealed(name: &'static str, what: &'static str, damage: Damage) -> Made {
    let password = Some(PASSWORD);
    Made {
        encrypted: true,
        password,
        ..made(name, what, damage)
    }
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn one(tree: &Path) -> PathBuf {
    blob(tree, &id("Library/Notes/one"))
}

fn two(tree: &Path) -> PathBuf {
    blob(tree, &id("Library/Notes/two"))
}

fn swap(tree: &Path) {
    let aside = tree.join("aside");
    fs::rename(one(tree), &aside).unwrap();
    fs::rename(two(tree), one(tree)).unwrap();
    fs::rename(aside, two(tree)).unwrap();
}

fn all() -> Vec<Made> {
    let nothing: Damage = |_| {};
    let flip: Damage = |tree| change(&one(tree), |bytes| bytes[7] ^= 4);
    vec![
        made("plain-good", "nothing is wrong with it", nothing),
        made("plain-flipped", "one bit of a file is another", flip),
        Made {
            ledger: false,
            ..made(
                "plain-flipped-unseen",
                "one bit of a file is another, and there are no hashes to tell",
                flip,
            )
        },
        made("plain-missing", "a file is missing", |tree| {
            fs::remove_file(one(tree)).unwrap()
        }),
        made(
            "plain-stray",
            "a file is there that the phone never sent",
            |tree| {
                fs::write(
                    blob(tree, &id("Library/Notes/one")).with_extension("old"),
                    b"x",
                )
                .unwrap();
            },
        ),
        made(
            "plain-swapped",
            "two files of one size are in each other's place",
            swap,
        ),
        made(
            "plain-zeroed-manifest",
            "the manifest is all zeros",
            |tree| {
                change(&tree.join("Manifest.db"), |bytes| bytes.fill(0));
            },
        ),
        made("plain-torn-status", "Status.plist is cut", |tree| {
            change(&tree.join("Status.plist"), |bytes| bytes.truncate(20));
        }),
        made(
            "plain-other-phone",
            "Info.plist is of another phone",
            |tree| {
                change(&tree.join("Info.plist"), |bytes| {
                    let at = bytes.windows(4).position(|here| here == b"F1E5").unwrap();
                    bytes[at] = b'A';
                });
            },
        ),
        sealed("encrypted-good", "nothing is wrong with it", nothing),
        sealed("encrypted-cut", "a file is cut by a block", |tree| {
            change(&one(tree), |bytes| bytes.truncate(96));
        }),
        Made {
            ledger: false,
            ..sealed(
                "encrypted-swapped",
                "two files of one size are in each other's place, and only their keys tell",
                swap,
            )
        },
        Made {
            password: None,
            ..sealed(
                "encrypted-flipped",
                "one bit of a file is another, and nobody knows the password",
                flip,
            )
        },
        Made {
            password: Some("correct donkey"),
            ..sealed(
                "encrypted-wrong-password",
                "nothing is wrong with it but the password",
                nothing,
            )
        },
        sealed(
            "encrypted-damaged-keybag",
            "a key in the keybag is damaged",
            |tree| {
                change(&tree.join("Manifest.plist"), |bytes| {
                    let at = bytes.windows(4).position(|here| here == b"WPKY").unwrap();
                    bytes[at + 20] ^= 1;
                });
            },
        ),
    ]
}

/// Makes the data anew. What is expected is written down as it is said now: read it before you keep it.
#[test]
#[ignore = "it writes fixtures"]
fn make_the_backups_anew() {
    for made in all() {
        let case = folder().join(made.name);
        let _ = fs::remove_dir_all(&case);
        let tree = case.join("tree");
        fs::create_dir_all(&tree).unwrap();
        let secrets = made.encrypted.then(|| Secrets::generate(3));
        let rounds = Rounds { dpic: 20, iter: 10 };
        let contents: Contents = toml::from_str(CONTENTS).unwrap();
        make(
            &tree,
            &contents,
            secrets.as_ref().map(|secrets| (secrets, rounds)),
        );
        let ledger = case.join("ledger");
        Connection::open(&ledger)
            .unwrap()
            .execute_batch("PRAGMA page_size=512; VACUUM")
            .unwrap();
        if made.ledger {
            let mut hashes = Ledger::open(&ledger).unwrap();
            let udid = Udid::parse(UDID).unwrap();
            let jail = Jail::open(&tree).unwrap();
            let report = check(&jail, &tree, &udid, Some(&mut hashes), &Arc::default()).unwrap();
            assert!(report.is_verified(), "{report:?}");
            hashes.close().unwrap();
        } else {
            fs::remove_file(&ledger).unwrap();
        }
        (made.damage)(&tree);
        let mut kept = Case {
            what: made.what.to_owned(),
            ledger: made.ledger,
            password: made.password.map(str::to_owned),
            expected: said(&VerifyReport::new()),
        };
        kept.expected = said(&checked(&case, &kept));
        fs::write(case.join("backup.toml"), toml::to_string(&kept).unwrap()).unwrap();
    }
}
