//! Phones that send what no phone sends. Nothing outside the phone's own work tree is read, written or removed (P4), the
//! current backup stays (P1), and the run ends in a sentence, never in a hang or a panic.

mod common;

use std::os::unix::fs::symlink;

use backupwatch_core::Level;
use backupwatch_core::run::{RunEnd, RunFailure};
use backupwatch_wire::devicelink::HostMessage;
use common::{UDID, World, failure, persona, verified};

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The nonsense was answered, the backup is whole.
    Well,
    /// The phone called it a success, and we do not: something was refused.
    NotWhole,
    /// The phone ended it, with a code of its own.
    ByThePhone,
    /// The link could not be gone on with.
    Protocol,
    Unplugged,
}

fn ends(end: &RunEnd) -> Option<Ends> {
    Some(match end {
        RunEnd::Verified(_) => Ends::Well,
        RunEnd::Failed(RunFailure::Verification { .. }) => Ends::NotWhole,
        RunEnd::Failed(RunFailure::Device { .. }) => Ends::ByThePhone,
        RunEnd::Failed(RunFailure::Protocol(_)) => Ends::Protocol,
        RunEnd::Failed(RunFailure::Unplugged) => Ends::Unplugged,
        RunEnd::Failed(_) => return None,
    })
}

/// What is sent, at which moments, and how the run may end.
const TABLE: [(&str, &[Ends]); 34] = [
    (r#"{ upload = "../outside" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "/tmp/outside" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "{udid}/../neighbour" }"#, &[Ends::NotWhole]),
    (
        r#"{ upload = "{udid}/Snapshot/../../neighbour" }"#,
        &[Ends::NotWhole],
    ),
    (r#"{ upload = "{udid}/./x" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "{udid}\\..\\neighbour" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "C:/neighbour" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "neighbour" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "{udid}" }"#, &[Ends::NotWhole]),
    (r#"{ upload = "" }"#, &[Ends::NotWhole]),
    (r#""upload-nul""#, &[Ends::NotWhole]),
    // At the start it is a file in the place of the phone's own folder.
    (
        r#"{ upload = "{udid}/Snapshot" }"#,
        &[Ends::NotWhole, Ends::ByThePhone],
    ),
    (r#"{ upload = "{udid}/not/there/x" }"#, &[Ends::NotWhole]),
    // At the start there is no folder for it.
    (
        r#"{ upload-twice = "{udid}/Snapshot/aa/twice" }"#,
        &[Ends::Well, Ends::NotWhole],
    ),
    (r#"{ remove = "neighbour" }"#, &[Ends::NotWhole]),
    (r#"{ remove = "." }"#, &[Ends::NotWhole]),
    (r#"{ remove = "" }"#, &[Ends::NotWhole]),
    (r#"{ remove = "{udid}" }"#, &[Ends::NotWhole]),
    (
        r#"{ remove = "{udid}/../.backupwatch" }"#,
        &[Ends::NotWhole],
    ),
    (r#"{ remove = "/" }"#, &[Ends::NotWhole]),
    (
        r#"{ move = { from = "neighbour", to = "{udid}/x" } }"#,
        &[Ends::NotWhole],
    ),
    (
        r#"{ move = { from = "{udid}/Status.plist", to = "../status" } }"#,
        &[Ends::NotWhole],
    ),
    (
        r#"{ copy = { from = "neighbour", to = "{udid}/stolen" } }"#,
        &[Ends::NotWhole],
    ),
    (
        r#"{ copy = { from = "{udid}/Status.plist", to = "/tmp/status" } }"#,
        &[Ends::NotWhole],
    ),
    (r#"{ create-directory = "../made" }"#, &[Ends::NotWhole]),
    (r#"{ list = "/etc" }"#, &[Ends::NotWhole]),
    (r#"{ download = "../secret" }"#, &[Ends::NotWhole]),
    (r#"{ unknown = "DLMessageFormatDisk" }"#, &[Ends::Well]),
    (r#""ping""#, &[Ends::Well]),
    (r#""empty-frames""#, &[Ends::Well, Ends::NotWhole]),
    (r#""success""#, &[Ends::NotWhole]),
    (r#""disconnect""#, &[Ends::Unplugged]),
    (r#""rubbish""#, &[Ends::Protocol]),
    (r#""huge-message""#, &[Ends::Protocol]),
];

async fn nonsense(at: &str) {
    let world = World::new(persona());
    world.good_backup().await;
    for (send, wanted) in TABLE {
        world
            .handle()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(5.0));
        let before = world.current();
        let surroundings = world.surroundings();
        world.set_faults(&format!("[[rogue]]\nat = \"{at}\"\nsend = {send}"));
        let report = world.back_up().await;
        let ended = ends(&report.end);
        assert!(
            ended.is_some_and(|ended| wanted.contains(&ended)),
            "{send} at {at}: {:?}",
            report.end
        );
        assert_eq!(world.surroundings(), surroundings, "{send} at {at}");
        if ended != Some(Ends::Well) {
            assert!(
                world.current() == before,
                "{send} at {at}: the current backup changed"
            );
        }
        world.no_faults();
        world.handle().plug();
    }
    assert_eq!(
        world.handle().phone().backup().violations(),
        Vec::<String>::new()
    );
    world.good_backup().await;
}

#[tokio::test]
async fn nonsense_at_the_start() {
    nonsense("start").await;
}

#[tokio::test]
async fn nonsense_between_files() {
    nonsense("uploading").await;
}

#[tokio::test]
async fn nonsense_between_moves() {
    nonsense("moving").await;
}

#[tokio::test]
async fn checklist_27_lengths_that_nobody_could_hold_end_the_link_and_nothing_else() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    for send in [
        "huge-message",
        "huge-path",
        "zero-frame",
        "not-a-message",
        "version-exchange",
    ] {
        world.set_faults(&format!("[[rogue]]\nat = \"uploading\"\nsend = \"{send}\""));
        let report = world.back_up().await;
        assert!(
            matches!(failure(&report), RunFailure::Protocol(_)),
            "{send}: {:?}",
            report.end
        );
        assert!(world.current() == before, "{send}");
        world.no_faults();
    }
    world.good_backup().await;
}

/// A frame may be as long as 4 GiB: its data is written as it comes, and nothing is set aside for it.
#[tokio::test]
async fn a_frame_that_claims_4_gib_takes_no_memory_and_leaves_no_file() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    world.set_faults("[[rogue]]\nat = \"uploading\"\nsend = \"huge-frame\"");
    let cancel = tokio_util::sync::CancellationToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        later.cancel();
    });
    let (report, _) = world
        .back_up_with(backupwatch_backup::RunOptions::default(), cancel)
        .await;
    assert!(
        matches!(failure(&report), RunFailure::Cancelled { .. }),
        "{:?}",
        report.end
    );
    let work = common::tree(&world.root.join(".backupwatch/work"));
    assert!(
        !work
            .keys()
            .any(|path| path.to_string_lossy().contains("rogue")),
        "the half file is gone"
    );
    assert!(
        !work
            .keys()
            .any(|path| path.to_string_lossy().contains(".part")),
        "so is its temporary name"
    );
    assert!(world.current() == before);
    world.no_faults();
    world.good_backup().await;
}

/// Links that somebody put into the backup lead out of it, and are not followed.
#[tokio::test]
async fn checklist_29_planted_links_lead_nowhere() {
    let world = World::new(persona());
    world.good_backup().await;
    let current = world.store.folder(&world.udid());
    let victim = world.outside.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("photo"), b"the only one").unwrap();
    symlink(&victim, current.join("Snapshot")).unwrap();
    symlink(victim.join("photo"), current.join("Manifest.mbdx")).unwrap();
    let surroundings = world.surroundings();
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(20.0));
    // The same once more in the tree that a run goes on with.
    world.set_faults("unplug_after = 150_000");
    world.back_up().await;
    let work = world.root.join(".backupwatch/work").join(UDID);
    for number in 0..=255 {
        let folder = work.join(format!("Snapshot/{number:02x}"));
        if std::fs::remove_dir(&folder).is_ok() {
            symlink(&victim, &folder).unwrap();
        }
    }
    world.no_faults();
    world.handle().plug();
    let report = world.back_up().await;
    assert_eq!(world.surroundings(), surroundings, "{:?}", report.end);
    assert_eq!(
        std::fs::read(victim.join("photo")).unwrap(),
        b"the only one"
    );
}

#[tokio::test]
async fn checklist_29_a_rejected_path_is_a_per_file_error() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    world.set_faults("[[rogue]]\nat = \"uploading\"\nsend = { upload = \"{udid}/../../escaped\" }");
    let report = world.back_up().await;
    // The link lived on to the phone's success, so it is our own judgement that ends it.
    let RunFailure::Verification {
        level: Level::L0,
        missing: 0,
        ..
    } = failure(&report)
    else {
        panic!("{:?}", report.end);
    };
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].path, format!("{UDID}/../../escaped"));
    let answer = world
        .handle()
        .seen()
        .into_iter()
        .filter_map(|seen| HostMessage::from_value(seen.body?).ok())
        .find_map(|message| {
            let HostMessage::Status(status) = message else {
                return None;
            };
            let mut errors = status.item_errors();
            errors.retain(|error| error.path.contains("Rogue"));
            (!errors.is_empty()).then_some(errors)
        })
        .expect("a -13");
    assert_eq!(
        answer[0].path, "/.b/8/Rogue/a",
        "keyed by the device-side path"
    );
    assert_eq!(answer[0].code.number(), -1);
    assert!(world.current() == before);
    world.no_faults();
    verified(&world.back_up().await);
}
