//! The phone's books out of real backups of a simulated phone: plain and encrypted ones, and trees in which something else is
//! where they should be.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of tests may fail as tests do"
)]

mod common;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backupwatch_backup::Which;
use backupwatch_backup::verify::{NotRead, Password};
use backupwatch_core::evidence::Books;
use backupwatch_sim::persona::Persona;
use common::{World, encrypted, persona};

const BLOB: &str = "2f/2f0b2af6ff2371fcfaf405572b94d0e8551c5659";

/// A phone whose iCloud is full.
fn with_books(mut persona: Persona) -> Persona {
    let books = r#"
        [[files]]
        domain = "HomeDomain"
        path = "Library/Preferences/com.apple.MobileBackup.plist"
        text = """
        <plist version="1.0"><dict>
          <key>BackupStateInfo</key><dict><key>errors</key><array><dict>
            <key>domain</key><string>MBErrorDomain</string>
            <key>code</key><integer>303</integer>
            <key>date</key><date>2026-09-12T20:20:00Z</date>
          </dict></array></dict>
          <key>FailureCount</key><integer>5</integer>
        </dict></plist>"""
        [[files]]
        domain = "HomeDomain"
        path = "Library/Preferences/com.apple.mobile.ldbackup.plist"
        text = """
        <plist version="1.0"><dict>
          <key>CloudBackupEnabled</key><true/>
          <key>LastCloudBackupDate</key><integer>769034247</integer>
        </dict></plist>"""
    "#;
    let more: backupwatch_sim::contents::Contents = toml::from_str(books).unwrap();
    persona.contents.files.extend(more.files);
    persona
}

async fn backed_up(persona: Persona) -> World {
    let world = World::new(persona);
    world.good_backup().await;
    world
}

fn read(world: &World, password: Option<&str>) -> Result<Books, NotRead> {
    let held = world.store.open_version(&world.udid(), &Which::Current);
    let password = password.map(|password| Password::new(password.to_owned()));
    let scratch = tempfile::tempdir().unwrap();
    let before = world.current();
    let books = held
        .unwrap()
        .books(password.as_ref(), scratch.path(), &go(false));
    assert_eq!(world.current(), before, "it only reads");
    assert_eq!(
        std::fs::read_dir(scratch.path()).unwrap().count(),
        0,
        "nothing is left of what was decrypted"
    );
    books
}

fn go(stopped: bool) -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(stopped))
}

fn says_full(books: &Books) -> bool {
    let last = books.last.map(|last| last.to_string());
    books.failures == Some(5)
        && (books.attempts.iter()).any(|attempt| attempt.chain[0].code == 303)
        && books.enabled == Some(true)
        && last.as_deref() == Some("2025-05-15T20:37:27Z")
}

fn blob(world: &World) -> PathBuf {
    world.store.folder(&world.udid()).join(BLOB)
}

/// The file beside them, of which nothing is told when it cannot be read.
fn beside(world: &World) -> PathBuf {
    let blob = "2f/2f771621fd3c627d0db75fe173f3dae8ce50e98b";
    world.store.folder(&world.udid()).join(blob)
}

/// Puts something else where the books are.
fn instead(world: &World, make: impl FnOnce(&Path)) {
    std::fs::remove_file(blob(world)).unwrap();
    make(&blob(world));
}

#[tokio::test]
async fn the_books_of_a_plain_backup() {
    let world = backed_up(with_books(persona())).await;
    let books = read(&world, None).unwrap();
    assert!(says_full(&books), "{books:?}");
    let made = world.store.current(&world.udid()).unwrap().unwrap().at;
    assert_eq!(books.at, made, "they are as old as the backup");
    assert_eq!(
        read(&world, Some("not needed")).unwrap(),
        books,
        "a password that nobody needs does no harm"
    );
}

#[tokio::test]
async fn what_lockdown_tells_of_is_shown_where_it_can_be_read() {
    let world = backed_up(with_books(persona())).await;
    let whole = read(&world, None).unwrap();
    let without = Books {
        enabled: None,
        last: None,
        ..whole.clone()
    };
    for rubbish in ["", "rubbish", "<plist><array/></plist>"] {
        std::fs::remove_file(beside(&world)).unwrap();
        std::fs::write(beside(&world), rubbish).unwrap();
        assert_eq!(read(&world, None).unwrap(), without, "{rubbish}");
    }
    std::fs::remove_file(beside(&world)).unwrap();
    assert_eq!(read(&world, None).unwrap(), without);
}

#[tokio::test]
async fn the_books_of_an_encrypted_backup_want_its_password() {
    let world = backed_up(with_books(encrypted())).await;
    assert!(matches!(read(&world, None), Err(NotRead::PasswordWanted)));
    let wrong = read(&world, Some("incorrect horse"));
    assert!(matches!(wrong, Err(NotRead::WrongPassword)), "{wrong:?}");
    let books = read(&world, Some("correct horse 🐴")).unwrap();
    assert!(says_full(&books), "{books:?}");
}

#[tokio::test]
async fn a_phone_without_books_is_not_asked_for_a_password() {
    for persona in [persona(), encrypted()] {
        let world = backed_up(persona).await;
        let read = read(&world, None);
        assert!(matches!(read, Err(NotRead::NotThere)), "{read:?}");
    }
}

#[tokio::test]
async fn what_is_in_their_place_is_not_followed_and_not_believed() {
    let world = backed_up(with_books(persona())).await;
    let elsewhere = world.outside.path().join("elsewhere");
    std::fs::copy(blob(&world), &elsewhere).unwrap();
    let refused = |what: &str| {
        let read = read(&world, None);
        assert!(
            matches!(read, Err(NotRead::Unreadable(_))),
            "{what}: {read:?}"
        );
    };
    instead(&world, |at| symlink(&elsewhere, at).unwrap());
    refused("a link to books");
    instead(&world, |at| std::fs::write(at, "rubbish").unwrap());
    refused("rubbish");
    instead(&world, |at| {
        let file = std::fs::File::create(at).unwrap();
        file.set_len(1 << 40).unwrap();
    });
    let _ = std::fs::remove_file(&elsewhere);
    let held = world.store.open_version(&world.udid(), &Which::Current);
    let read = held.unwrap().books(None, world.outside.path(), &go(false));
    assert!(
        matches!(
            read,
            Err(NotRead::Unreadable("it is longer than it can be"))
        ),
        "a terabyte: {read:?}"
    );
}

#[tokio::test]
async fn damaged_keys_and_a_damaged_file_are_told_apart_from_a_wrong_password() {
    let world = backed_up(with_books(encrypted())).await;
    let right = Some("correct horse 🐴");
    let sealed = std::fs::read(blob(&world)).unwrap();
    instead(&world, |at| {
        std::fs::write(at, &sealed[..sealed.len() - 1]).unwrap()
    });
    let cut = read(&world, right);
    assert!(
        matches!(cut, Err(NotRead::Unreadable("it does not decrypt"))),
        "{cut:?}"
    );
    instead(&world, |at| std::fs::write(at, &sealed[16..]).unwrap());
    let garbled = read(&world, right);
    assert!(
        matches!(garbled, Err(NotRead::Unreadable(_))),
        "{garbled:?}"
    );

    let list = world.store.folder(&world.udid()).join("Manifest.db");
    let bytes = std::fs::read(&list).unwrap();
    std::fs::write(&list, &bytes[..bytes.len() - 16]).unwrap();
    let damaged = read(&world, right);
    assert!(
        matches!(damaged, Err(NotRead::Unreadable("the backup is damaged"))),
        "{damaged:?}"
    );
}

#[tokio::test]
async fn it_can_be_stopped() {
    let mut slow = with_books(encrypted());
    slow.backup.dpic = 1 << 20;
    let world = backed_up(slow).await;
    let held = world.store.open_version(&world.udid(), &Which::Current);
    let password = Password::new("correct horse 🐴".to_owned());
    let read = held
        .unwrap()
        .books(Some(&password), world.outside.path(), &go(true));
    assert!(matches!(read, Err(NotRead::Stopped)), "{read:?}");
}

/// A phone of the fixtures, without TLS and without a passcode.
fn phone(name: &str) -> Persona {
    let phones = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    let mut phone = Persona::load(&phones.join(name).with_extension("toml")).unwrap();
    phone.lockdown.session_ssl = false;
    phone.services.ssl = backupwatch_sim::persona::ServiceSsl::Never;
    phone.passcode.set = false;
    phone
}

/// Phones whose iCloud Backup fails for a reason of its own, plain and encrypted: the same notes, and the reason is the last of
/// the attempts.
#[tokio::test]
async fn the_notes_of_phones_whose_icloud_backup_fails() {
    for name in ["icloud-full", "icloud-bad-app", "icloud-missing-key"] {
        let mut phone = phone(name);
        let failure: Vec<_> = (phone.icloud.failure.chain.iter())
            .map(|link| (link.domain.clone(), link.code))
            .collect();
        let plain = read(&backed_up(phone.clone()).await, None).unwrap();
        phone.backup.password = Some("1234".to_owned());
        (phone.backup.dpic, phone.backup.iter) = (10, 10);
        let sealed = read(&backed_up(phone).await, Some("1234")).unwrap();
        let told = |books: &Books| {
            let chains = books.attempts.iter().map(|attempt| attempt.chain.clone());
            let windows = books.windows.as_ref().map(Vec::len);
            (chains.collect::<Vec<_>>(), books.failures, windows)
        };
        assert_eq!(told(&plain), told(&sealed), "{name}");
        let last = plain.attempts.last().unwrap();
        let chain: Vec<_> = (last.chain.iter())
            .map(|link| (link.domain.clone(), link.code))
            .collect();
        assert_eq!(chain, failure, "{name}");
        assert!(!chain.is_empty() && plain.windows.is_some(), "{name}");
    }
}

#[tokio::test]
async fn absurd_notes_stay_within_their_bounds() {
    for (name, readable) in [("hostile-books", true), ("hostile-books-deep", false)] {
        let read = read(&backed_up(phone(name)).await, None);
        assert_eq!(read.is_ok(), readable, "{name}: {read:?}");
        if let Ok(books) = read {
            assert_eq!(books.clone().bounded(), books, "{name}");
        }
    }
}
