//! Backups made without a phone talking to anybody: the rows and keys of the simulated phone, and blobs to go with them.

use std::fs;
use std::path::Path;

use backupwatch_sim::contents::{Catalog, Contents, Item};
use backupwatch_sim::keybag::Rounds;
use backupwatch_sim::manifest::{Secrets, write};
use backupwatch_sim::seal::seal;
use plist::{Dictionary, Value};

pub(crate) const UDID: &str = "00008101-000A11112222F1E5";
pub(crate) const PASSWORD: &str = "correct horse";

/// Makes a whole backup of these files in `folder`, encrypted if there are keys for it.
pub(crate) fn make(folder: &Path, contents: &Contents, locks: Option<(&Secrets, Rounds)>) {
    let secrets = locks.map(|(secrets, _)| secrets);
    let catalog = Catalog::new(contents).unwrap();
    let manifest = folder.join("Manifest.db");
    write(
        &manifest,
        catalog.items().map(AsRef::as_ref),
        secrets,
        contents.seed,
    )
    .unwrap();
    if catalog.files().count() < 100 {
        shrink(&manifest);
    }
    for item in catalog.files() {
        let blob = blob(folder, &item.id.to_string());
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(blob, bytes_of(item, secrets)).unwrap();
    }
    let mut lists = Dictionary::new();
    lists.insert("IsEncrypted".to_owned(), secrets.is_some().into());
    if let Some((secrets, rounds)) = locks {
        let bag = secrets.keybag.seal(PASSWORD.as_bytes(), rounds, 1);
        let key = secrets.keybag.wrap(4, &secrets.of_manifest()).unwrap();
        lists.insert("BackupKeyBag".to_owned(), Value::Data(bag));
        lists.insert("ManifestKey".to_owned(), Value::Data(key.to_vec()));
        seal_file(&manifest, secrets);
    }
    put(&folder.join("Manifest.plist"), lists);
    let status = ("SnapshotState".to_owned(), Value::from("finished"));
    put(
        &folder.join("Status.plist"),
        Dictionary::from_iter([status]),
    );
    let info = ("Unique Identifier".to_owned(), Value::from(UDID));
    put(&folder.join("Info.plist"), Dictionary::from_iter([info]));
}

pub(crate) fn blob(folder: &Path, id: &str) -> std::path::PathBuf {
    folder.join(&id[..2]).join(id)
}

fn bytes_of(item: &Item, secrets: Option<&Secrets>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(item.size()).unwrap()];
    item.read(0, &mut bytes);
    match secrets.and_then(|secrets| secrets.of_file(item)) {
        Some(key) => seal(&key, &bytes),
        None => bytes,
    }
}

/// Small fixtures are worth more than the indexes that nobody asks.
fn shrink(manifest: &Path) {
    let db = rusqlite::Connection::open(manifest).unwrap();
    let indexes = ["Domain", "RelativePath", "Flags"].map(|of| format!("DROP INDEX Files{of}Idx;"));
    db.execute_batch(&format!(
        "{} PRAGMA page_size=1024; VACUUM",
        indexes.concat()
    ))
    .unwrap();
    db.close().unwrap();
}

fn seal_file(manifest: &Path, secrets: &Secrets) {
    let sealed = seal(&secrets.of_manifest(), &fs::read(manifest).unwrap());
    fs::write(manifest, sealed).unwrap();
}

fn put(path: &Path, list: Dictionary) {
    Value::Dictionary(list).to_file_binary(path).unwrap();
}
