//! The agent reads what is backed up again, by itself, and finds what a disk has done to it. On real sockets and real disks,
//! with a calendar that a test can turn.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use backupwatch_agent::api::words::{BackupEvent, BackupRequest, HistoryEntry, VerificationEntry};
use backupwatch_agent::clock::{Clock, SystemClock};
use backupwatch_core::notice::NoticeKind;
use backupwatch_core::{HostTime, Period, Udid};

use super::common::{Home, Running, device, persona};

const UDID: &str = "00008101-000A11112222B0B0";

const ASKED_ONLY: &str = "[backup]\nmode = \"off\"\nquiet = \"off\"\n[notify]\nquiet = \"off\"\n[verify]\nperiod = \"30 d\"\n";

/// The real clock, some days ahead.
#[derive(Debug, Default)]
struct Calendar(AtomicI64);

impl Calendar {
    fn turn(&self, days: i64) {
        self.0.fetch_add(days, Ordering::SeqCst);
    }
}

impl backupwatch_backup::Clock for Calendar {
    fn now(&self) -> HostTime {
        SystemClock
            .now()
            .plus(Period::days(self.0.load(Ordering::SeqCst)))
    }
}

impl Clock for Calendar {
    fn utc_offset_s(&self) -> i32 {
        0
    }
}

fn start(home: &Home, calendar: &Arc<Calendar>) -> Running {
    let mut setup = home.setup(ASKED_ONLY);
    setup.clock = Arc::clone(calendar) as Arc<dyn Clock>;
    home.agent_of(setup)
}

async fn back_up(agent: &Running, udid: &Udid) {
    agent
        .when("the phone is there", |status| {
            device(status, UDID).is_some_and(|one| one.trust == "trusted" && one.seen_at.is_some())
        })
        .await;
    let request = BackupRequest::default();
    let mut story = agent.client.backup(udid, &request).await.unwrap();
    loop {
        match story.next().await.unwrap() {
            Some(BackupEvent::Progress(_)) => {}
            Some(BackupEvent::Ended(end)) if end.ok => return,
            other => panic!("{other:?}"),
        }
    }
}

async fn looks(agent: &Running, udid: &Udid) -> Vec<VerificationEntry> {
    let history = agent.client.history(Some(udid), 100).await.unwrap();
    let entries = history.entries.into_iter();
    entries
        .filter_map(|entry| match entry {
            HistoryEntry::Verification(look) => Some(look),
            HistoryEntry::Run(_) | HistoryEntry::Program(_) | HistoryEntry::Notice(_) => None,
        })
        .collect()
}

fn any_blob(tree: &Path) -> PathBuf {
    let folders = std::fs::read_dir(tree).unwrap().map(|e| e.unwrap().path());
    let blobs = folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path());
    let mut large = blobs.filter(|path| std::fs::metadata(path).unwrap().len() > 500);
    large.next().unwrap()
}

#[tokio::test]
async fn every_file_is_read_again_within_a_month_and_what_rots_is_found_and_mended() {
    let udid = Udid::parse(UDID).unwrap();
    let home = Home::with(vec![persona("backup-mixed", |text| text)]);
    let calendar = Arc::new(Calendar::default());
    let agent = start(&home, &calendar).up().await;
    back_up(&agent, &udid).await;
    agent.client.check().await.unwrap();
    assert_eq!(looks(&agent, &udid).await, [], "nothing is owed yet");

    // As long as a laptop stays in a drawer: all of it is owed, and nothing has happened to it.
    calendar.turn(45);
    agent.client.check().await.unwrap();
    let local = |status: &backupwatch_agent::status::Status| device(status, UDID).unwrap().local;
    agent
        .when("it was read again", |status| {
            local(status).reread_at.is_some()
        })
        .await;
    let found = looks(&agent, &udid).await;
    let [look] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert!(look.ok && look.scheduled, "{look:?}");

    // What is known survives a restart.
    agent.end().await;
    let blob = any_blob(&home.paths().backups.join(UDID));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[99] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let agent = start(&home, &calendar).up().await;
    let status = agent.client.check().await.unwrap();
    assert_eq!(local(&status).damaged, None, "nothing is owed today");
    assert!(local(&status).reread_at.is_some());
    calendar.turn(31);
    agent.client.check().await.unwrap();
    agent
        .when("the damage is found", |status| {
            local(status).damaged == Some(1) && local(status).state == "unverified"
        })
        .await;
    let found = looks(&agent, &udid).await;
    assert!(!found[0].ok && found[0].scheduled, "{found:#?}");
    assert!(found[0].words.contains("1 file is not what it was"));

    // Told once, however long it stays so; and the next backup sends it again.
    for _ in 0..3 {
        calendar.turn(9);
        agent.client.check().await.unwrap();
    }
    back_up(&agent, &udid).await;
    agent
        .when("a copy that counts", |status| {
            local(status).state == "verified" && local(status).damaged.is_none()
        })
        .await;
    let told = home.recorder.posted();
    let told = told
        .iter()
        .filter(|one| one.kind == NoticeKind::BackupDamaged);
    assert_eq!(told.count(), 1);
    let verdict = home.sim.phone(UDID).unwrap().verdict(&home.paths().backups);
    assert!(verdict.is_whole(), "{verdict:#?}");
    agent.end().await;
}
