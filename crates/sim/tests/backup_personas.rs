//! The phones of `fixtures/phones/backup-*.toml`: each does to an honest host what its comment says.

#![cfg(test)]

mod backup_host;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_host::{Host, Outcome};
use backupwatch_sim::mobilebackup2::ROGUE_CONTENT;
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{MuxSide, Phone};
use backupwatch_sim::verdict::verdict;

/// What comes of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Success, and every byte is on the host.
    Whole,
    /// Success by the phone's word only.
    Claimed,
    Code(i64),
    /// The link ends.
    Gone,
    /// Nothing more comes in an hour.
    Silence,
}

const EXPECTED: &[(&str, End)] = &[
    ("mixed", End::Whole),
    ("encrypted", End::Whole),
    ("passcode-never", End::Code(208)),
    ("passcode-cancelled", End::Code(208)),
    ("passcode-late", End::Whole),
    ("unplugs", End::Gone),
    ("stalls", End::Silence),
    ("drips", End::Whole),
    ("slow-scan", End::Whole),
    ("wants-too-much", End::Code(105)),
    ("snapshot-exists", End::Code(3)),
    ("ends-with-205", End::Code(205)),
    ("ends-with-208", End::Code(208)),
    ("ends-with-nonsense", End::Code(4711)),
    ("encryption-required", End::Code(207)),
    ("file-gone", End::Whole),
    ("file-changes", End::Whole),
    ("file-unreadable", End::Code(104)),
    ("file-no-space", End::Code(105)),
    ("hostile-escape-dots", End::Claimed),
    ("hostile-escape-absolute", End::Claimed),
    ("hostile-escape-other-phone", End::Claimed),
    ("hostile-escape-root", End::Claimed),
    ("hostile-escape-nul", End::Claimed),
    ("hostile-twice", End::Whole),
    ("hostile-removes-outside", End::Whole),
    ("hostile-removes-everything", End::Code(4)),
    ("hostile-moves-outside", End::Code(205)),
    ("hostile-moves-inside", End::Whole),
    ("hostile-copies-inside", End::Whole),
    ("hostile-reads-outside", End::Whole),
    ("hostile-lists-outside", End::Whole),
    ("hostile-makes-folder-outside", End::Whole),
    ("hostile-unknown-message", End::Whole),
    ("hostile-ping", End::Whole),
    ("hostile-huge-frame", End::Silence),
    ("hostile-empty-frames", End::Whole),
    ("hostile-zero-frame", End::Gone),
    ("hostile-huge-path", End::Gone),
    ("hostile-huge-message", End::Gone),
    ("hostile-rubbish", End::Gone),
    ("hostile-not-a-message", End::Gone),
    ("hostile-status", End::Silence),
    ("hostile-version-again", End::Silence),
    ("hostile-early-success", End::Claimed),
    ("hostile-late-success", End::Claimed),
    ("hostile-disconnects", End::Gone),
];

fn personas() -> BTreeMap<String, Persona> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    let mut personas = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if let Some(name) = name
            .strip_prefix("backup-")
            .filter(|name| *name != "domain-empty")
        {
            personas.insert(name.to_owned(), Persona::load(&path).unwrap());
        }
    }
    personas
}

async fn end(persona: Persona) -> End {
    let phone = Arc::new(Phone::new(persona, MuxSide::new()));
    let mut host = Host::default();
    let hour = Duration::from_secs(3600);
    let Ok(outcome) = tokio::time::timeout(hour, host.back_up(&phone)).await else {
        return End::Silence;
    };
    match outcome {
        Outcome::Gone => End::Gone,
        outcome if outcome.code() != 0 => End::Code(outcome.code()),
        Outcome::Response(_) => {
            // Our host obeys; what a rogue wrote lies about in its memory and must not reach a disk.
            let rogue = host
                .files
                .values()
                .any(|stored| stored.bytes.as_deref() == Some(ROGUE_CONTENT));
            if rogue || phone.backup().finished().is_none() {
                return End::Claimed;
            }
            let root = tempfile::tempdir().unwrap();
            host.dump(root.path());
            let verdict = verdict(&phone, root.path());
            assert!(verdict.is_whole(), "{verdict}");
            End::Whole
        }
    }
}

#[test]
fn each_persona_has_its_end() {
    let expected: Vec<&str> = {
        let mut names: Vec<&str> = EXPECTED.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    };
    let there: Vec<String> = personas().into_keys().collect();
    assert_eq!(there, expected);
}

#[tokio::test(start_paused = true)]
async fn each_persona_does_what_its_comment_says() {
    let mut personas = personas();
    for (name, expected) in EXPECTED {
        assert_eq!(
            end(personas.remove(*name).unwrap()).await,
            *expected,
            "{name}"
        );
    }
}
