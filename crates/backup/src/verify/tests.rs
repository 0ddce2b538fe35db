//! Trees that say of themselves that they are whole. Manifest.db is a database that a phone wrote: what is wrong with it must
//! be found, and found soon.

mod handmade;
mod replay;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use plist::{Dictionary, Uid, Value};
use rusqlite::{Connection, params};

use super::*;
use crate::jail::MAX_LISTED;

const FILES: &str = "CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB)";

const NO_INDEX: &str =
    "CREATE TABLE Files (fileID TEXT, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB)";

fn udid() -> Udid {
    Udid::parse("00008110-000A1B2C3D4E5F60").unwrap()
}

fn plist_with(entries: &[(&str, Value)]) -> Vec<u8> {
    let dictionary: Dictionary = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    backupwatch_wire::codec::to_xml(&Value::Dictionary(dictionary))
}

/// What says the size of a file in a row.
fn archive(size: u64) -> Vec<u8> {
    let file = Dictionary::from_iter([("Size".to_owned(), Value::from(size))]);
    let top = Dictionary::from_iter([("root".to_owned(), Value::Uid(Uid::new(0)))]);
    let archive = Dictionary::from_iter([
        ("$top".to_owned(), Value::Dictionary(top)),
        (
            "$objects".to_owned(),
            Value::Array(vec![Value::Dictionary(file)]),
        ),
    ]);
    backupwatch_wire::codec::to_binary(&Value::Dictionary(archive))
}

fn id(number: usize) -> String {
    blake3::hash(&number.to_be_bytes()).to_hex()[..40].to_owned()
}

struct Tree {
    _dir: tempfile::TempDir,
    folder: PathBuf,
}

impl Tree {
    /// A whole backup of so many files of one byte, with `schema` instead of the usual one.
    fn new(files: usize, schema: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = Self {
            folder: dir.path().join("tree"),
            _dir: dir,
        };
        fs::create_dir(&tree.folder).unwrap();
        let put = |name: &str, entries: &[(&str, Value)]| {
            fs::write(tree.folder.join(name), plist_with(entries)).unwrap();
        };
        put("Status.plist", &[("SnapshotState", "finished".into())]);
        put("Manifest.plist", &[("IsEncrypted", false.into())]);
        put(
            "Info.plist",
            &[("Unique Identifier", udid().as_str().into())],
        );
        let db = tree.manifest();
        db.execute_batch(&format!("PRAGMA page_size=512; VACUUM; {schema}; BEGIN"))
            .unwrap();
        for number in 0..files {
            let id = id(number);
            let row = params![id, "HomeDomain", format!("a file {number}"), 1, archive(1)];
            db.execute("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)", row)
                .unwrap();
            let folder = tree.folder.join(&id[..2]);
            let _ = fs::create_dir(&folder);
            fs::write(folder.join(id), b"x").unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
        tree
    }

    fn manifest(&self) -> Connection {
        Connection::open(self.folder.join("Manifest.db")).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        verify(&self.folder, &udid()).unwrap()
    }

    fn fault(&self) -> Option<ManifestFault> {
        self.verify().findings.into_iter().find_map(|finding| {
            if let Finding::Manifest(fault) = finding {
                Some(fault)
            } else {
                None
            }
        })
    }

    fn root_page(&self, name: &str) -> u32 {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        self.manifest()
            .query_row(sql, [name], |row| row.get(0))
            .unwrap()
    }

    /// Lets the table or index at the root page lead to the same pages over and over: a file of kilobytes that has more rows
    /// than anybody can read.
    fn go_round(&self, name: &str) {
        const PAGE: usize = 512;
        let root = usize::try_from(self.root_page(name)).unwrap();
        let path = self.folder.join("Manifest.db");
        let mut bytes = fs::read(&path).unwrap();
        let pages = bytes.len() / PAGE;
        let page = |bytes: &[u8], number: usize| bytes[(number - 1) * PAGE..number * PAGE].to_vec();
        let children = |page: &[u8]| {
            let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
            let cells = (0..cells).map(|cell| {
                usize::from(u16::from_be_bytes([
                    page[12 + 2 * cell],
                    page[13 + 2 * cell],
                ]))
            });
            cells.chain([8]).collect::<Vec<_>>()
        };
        let number = |page: &[u8], at: usize| {
            u32::from_be_bytes(page[at..at + 4].try_into().unwrap()) as usize
        };
        // Down to the pages above the leaves.
        let mut inner = root;
        loop {
            let content = page(&bytes, inner);
            let child = number(&content, children(&content)[0]);
            if ![2, 5].contains(&page(&bytes, child)[0]) {
                break;
            }
            inner = child;
        }
        let model = page(&bytes, inner);
        let to = |number: usize| {
            let mut page = model.clone();
            for at in children(&model) {
                page[at..at + 4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            }
            page
        };
        for level in 1..=15 {
            bytes.extend(to(pages + level + 1));
        }
        bytes.extend(&model);
        let top = to(pages + 1);
        bytes[(root - 1) * PAGE..root * PAGE].copy_from_slice(&top);
        let count = u32::try_from(pages + 16).unwrap();
        bytes[28..32].copy_from_slice(&count.to_be_bytes());
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_whole_tree_is_verified() {
    let report = Tree::new(300, FILES).verify();
    assert!(report.is_verified(), "{report:?}");
    assert_eq!((report.level, report.files), (Some(Level::L2), 300));
}

/// Phones copy databases that are in use, and their lists have the size from before (avibrazil/iOSbackup#26).
#[test]
fn a_database_of_another_size_than_the_list_says_is_whole() {
    let tree = Tree::new(3, FILES);
    let blob = tree.folder.join(&id(0)[..2]).join(id(0));
    let database = blob.with_file_name("database");
    let db = Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (zeroblob(9000))")
        .unwrap();
    db.close().unwrap();
    let bytes = fs::read(&database).unwrap();
    fs::remove_file(database).unwrap();

    fs::write(&blob, &bytes).unwrap();
    let report = tree.verify();
    assert!(report.is_verified(), "{report:?}");
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("longer or shorter"))
    );

    // Cut, it is not as long as it says itself.
    fs::write(&blob, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(tree.verify().missing, 1);
}

/// What arrived is what the phone sent, whatever its list says. What another program received has no such witness.
#[test]
fn the_length_that_counts_is_the_one_that_arrived() {
    let tree = Tree::new(3, FILES);
    let (jail, stop) = (Jail::open(&tree.folder).unwrap(), Arc::default());
    let path = tree.folder.with_file_name("ledger");
    let mut ledger = Ledger::open(&path).unwrap();
    let blob = format!("{}/{}", &id(0)[..2], id(0));
    fs::write(tree.folder.join(&blob), b"longer").unwrap();
    let mut checked = |arrived: &[u8]| {
        let seen = crate::ledger::Seen {
            len: arrived.len() as u64,
            hash: blake3::hash(arrived),
        };
        let path = blob.clone();
        ledger
            .apply(&crate::ledger::Change::Put { path, seen })
            .unwrap();
        check(&jail, &tree.folder, &udid(), Some(&mut ledger), &stop).unwrap()
    };
    assert!(checked(b"longer").is_verified());
    let report = checked(b"even longer");
    let finding = Finding::BlobSize {
        id: id(0),
        wanted: 11,
        found: 6,
    };
    assert_eq!(report.findings, [finding]);
    assert_eq!(tree.verify().missing, 1, "without the ledger");

    fs::write(tree.folder.join(&blob), b"").unwrap();
    assert_eq!(checked(b"").missing, 1, "too short, and no database");
}

#[test]
fn a_manifest_that_never_ends_is_damaged() {
    for (schema, name) in [
        (FILES, "sqlite_autoindex_Files_1"),
        (FILES, "Files"),
        (NO_INDEX, "Files"),
    ] {
        let tree = Tree::new(2000, schema);
        assert!(tree.verify().is_verified(), "{schema}");
        tree.go_round(name);
        let begun = Instant::now();
        assert_eq!(
            tree.fault(),
            Some(ManifestFault::Damaged),
            "{name} of {schema}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{name} of {schema}"
        );
    }
}

#[test]
fn a_check_can_be_stopped_while_the_manifest_is_read() {
    let tree = Tree::new(10, FILES);
    let jail = Jail::open(&tree.folder).unwrap();
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = check(&jail, &tree.folder, &udid(), None, &stop);
    assert!(matches!(stopped, Err(VerifyError::Stopped)), "{stopped:?}");
}

/// A row that is in the table and not in its index, as damage or malice leaves it.
#[test]
fn rows_that_the_index_leaves_out_are_missed() {
    let tree = Tree::new(300, FILES);
    let index = tree.root_page("sqlite_autoindex_Files_1");
    let with_schema = |sql: &str, and_then: &str| {
        let db = tree.manifest();
        db.execute_batch(&format!(
            "{and_then}; PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE type = 'index';
             UPDATE sqlite_schema SET sql = '{sql}' WHERE name = 'Files'; PRAGMA writable_schema=OFF"
        ))
        .unwrap();
    };
    with_schema(NO_INDEX, "");
    let id = "f".repeat(40);
    with_schema(
        FILES,
        &format!("INSERT INTO Files VALUES ('{id}', '', 'in the table alone', 1, NULL)"),
    );
    tree.manifest()
        .execute_batch(&format!(
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema
             VALUES ('index', 'sqlite_autoindex_Files_1', 'Files', {index}, NULL)"
        ))
        .unwrap();
    assert_eq!(tree.fault(), Some(ManifestFault::Damaged));
}

#[test]
fn a_table_that_computes_is_none() {
    for column in [
        "file BLOB GENERATED ALWAYS AS (zeroblob(9))",
        "file BLOB\tAS\t(zeroblob(9))",
        "file BLOB AS(zeroblob(9)) STORED",
    ] {
        let tree = Tree::new(0, FILES);
        let db = tree.manifest();
        db.execute_batch(&format!(
            "DROP TABLE Files; CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, {column})"
        ))
        .unwrap();
        assert_eq!(tree.fault(), Some(ManifestFault::NoTable), "{column}");
    }
    let tree = Tree::new(0, FILES);
    tree.manifest()
        .execute_batch(
            "DROP TABLE Files; CREATE VIEW Files AS SELECT 1 fileID, 2 relativePath, 3 flags, 4 file",
        )
        .unwrap();
    assert_eq!(tree.fault(), Some(ManifestFault::NoTable), "a view");
}

/// SQLite takes the whole schema into memory: 20 MB of it become hundreds.
#[test]
fn a_schema_without_end_is_not_taken_into_memory() {
    let tree = Tree::new(0, FILES);
    let db = tree.manifest();
    db.execute_batch("BEGIN").unwrap();
    for number in 0..2000 {
        db.execute_batch(&format!("CREATE TABLE t{number} (a)"))
            .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(tree.fault(), Some(ManifestFault::NoTable));
}

#[test]
fn a_backup_is_verified_wherever_it_is() {
    let tree = Tree::new(3, FILES);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(&tree.folder, &link).unwrap();
    assert!(verify(&link, &udid()).unwrap().is_verified(), "by a link");
    let odd = elsewhere
        .path()
        .join(OsStr::from_bytes(if cfg!(target_os = "linux") {
            b"a %41?#& \xff folder"
        } else {
            b"a %41?#& - folder"
        }));
    fs::rename(&tree.folder, &odd).unwrap();
    let report = verify(&odd, &udid()).unwrap();
    assert!(
        report.is_verified(),
        "under a name that is no text: {report:?}"
    );
}

/// More files than a backup can have in one folder: the tree is no good, and that is said of it. An error of the disk would
/// leave it to be gone on with for ever.
#[test]
fn more_files_than_can_be_listed_are_a_finding() {
    for folder in ["", "ab"] {
        let tree = Tree::new(0, FILES);
        let folder = tree.folder.join(folder);
        let _ = fs::create_dir(&folder);
        for number in 0..=MAX_LISTED {
            fs::File::create(folder.join(format!("x{number}"))).unwrap();
        }
        assert!(!tree.verify().is_verified());
    }
}
