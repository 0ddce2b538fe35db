//! More phones than may be visited at a time: who is at risk for longest comes first, and everybody has a turn.

use super::*;

const PHONES: u32 = 20;

fn few(places: u8) -> Config {
    let mut config = config(Mode::Off);
    config.policies.general.poll.parallel = places;
    config
}

fn rig(places: u8) -> Rig {
    Rig::new(few(places))
}

/// How many days ago its iCloud backup was: another order than the one in which they come.
fn days(n: u32) -> i64 {
    i64::from(n * 7 % (PHONES + 1)) + 10
}

async fn attach_all(rig: &Rig) {
    rig.tell(Event::MuxUp).await;
    for n in 1..=PHONES {
        rig.phones.set(&udid(n), |phone| phone.cloud_days = days(n));
        rig.tell(attached(n)).await;
    }
}

fn are_judged(status: &Status, which: impl Fn(u32) -> bool) -> bool {
    (1..=PHONES).filter(|n| which(*n)).all(|n| {
        let mut devices = status.devices.iter();
        devices.any(|device| device.udid == udid(n).as_str() && device.seen_at.is_some())
    })
}

#[tokio::test(start_paused = true)]
async fn whoever_is_at_risk_for_longest_is_visited_first() {
    let known = rig(1);
    attach_all(&known).await;
    known
        .when("judged", |status| are_judged(status, |_| true))
        .await;

    // The computer is started again, and they are plugged in already.
    let rig = Rig::at(known.end().await, few(1));
    attach_all(&rig).await;
    rig.when("visited again", |_| {
        rig.phones.visited.lock().unwrap().len() >= PHONES as usize
    })
    .await;
    let mut oldest_first: Vec<u32> = (2..=PHONES).collect();
    oldest_first.sort_by_key(|n| std::cmp::Reverse(days(*n)));
    // When the first one came, nobody else was there.
    let wanted: Vec<Udid> = std::iter::once(1).chain(oldest_first).map(udid).collect();
    assert_eq!(*rig.phones.visited.lock().unwrap(), wanted);
    rig.end().await;
}

/// Those that hang never told of a backup, so they are the first of each wave.
#[tokio::test(start_paused = true)]
async fn phones_that_hang_hold_a_place_each_for_a_while_and_no_more() {
    let rig = rig(2);
    for n in 1..=3 {
        rig.phones.set(&udid(n), |phone| phone.hangs = true);
    }
    let begin = Instant::now();
    attach_all(&rig).await;
    rig.when("the others are judged", |status| {
        are_judged(status, |n| n > 3)
    })
    .await;
    // Two of them have both places, then the third has one.
    assert!(begin.elapsed() < jobs::VISIT + Duration::from_secs(10));
    let probes = |n| rig.phones.get(&udid(n)).probes;
    let before: Vec<usize> = (1..=PHONES).map(probes).collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    for (n, before) in (1..=PHONES).zip(before) {
        assert!(probes(n) >= before + 3, "phone {n} has no turn any more");
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_comes_and_goes_takes_nobodys_turn() {
    let rig = rig(1);
    rig.phones.set(&udid(99), |phone| phone.cloud_days = 300);
    attach_all(&rig).await;
    rig.when("judged", |status| are_judged(status, |_| true))
        .await;
    let flap = async {
        for attachment in (1000..).map(Attachment) {
            rig.tell(Event::Attached {
                udid: udid(99),
                link: backupwatch_core::LinkKind::Usb,
                attachment,
            })
            .await;
            tokio::time::sleep(Duration::from_millis(25)).await;
            rig.tell(Event::Detached { attachment }).await;
        }
    };
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.phones.visited.lock().unwrap().clear();
        // All the others are due at once, and are less at risk than the one that comes and goes.
        rig.clock.sleep(3600);
        rig.when("visited again", |_| {
            let visited = rig.phones.visited.lock().unwrap();
            (1..=PHONES).all(|n| visited.contains(&udid(n)))
        })
        .await;
    };
    tokio::select! {
        () = flap => unreachable!("it goes on for ever"),
        () = others => {}
    }
    let visited = rig.phones.visited.lock().unwrap().clone();
    let is_other = |one: &Udid| *one != udid(99);
    let first = visited.iter().position(is_other).unwrap();
    let last = visited.iter().rposition(is_other).unwrap();
    let between = last + 1 - first - PHONES as usize;
    assert!(between <= 1, "{between} visits to it among theirs");
    rig.end().await;
}

/// Backs up two phones that are due, the second with a store of its own; how many were backed up at a time.
async fn backed_up_at_once(own: &std::path::Path) -> usize {
    let mut config = config(Mode::Auto);
    config.policies.general.backup.parallel = 9;
    config.roots.insert(udid(2), own.join("backups"));
    let rig = Rig::new(config);
    for n in 1..=2 {
        rig.phones.set(&udid(n), |phone| {
            phone.cloud_days = 58;
            phone.backup = Backup::WorksAlone;
        });
    }
    // Where the stores are is looked at before the phones come.
    rig.tell(Event::MuxUp).await;
    rig.desk.check(None).await.unwrap();
    rig.tell(attached(1)).await;
    rig.tell(attached(2)).await;
    let most = std::cell::Cell::new(0);
    rig.when("both are backed up", |status| {
        let running = status.devices.iter().filter(|it| it.backup.is_some());
        most.set(most.get().max(running.count()));
        (1..=2).all(|n| {
            let mut devices = status.devices.iter();
            devices.any(|it| it.udid == udid(n).as_str() && it.local.state == "verified")
        })
    })
    .await;
    rig.end().await;
    most.get()
}

#[tokio::test(start_paused = true)]
async fn backups_to_one_disk_follow_one_another() {
    let here = tempfile::tempdir().unwrap();
    assert_eq!(backed_up_at_once(here.path()).await, 1);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn backups_to_two_disks_are_made_at_once() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let here = tempfile::tempdir().unwrap();
    let disk = crate::medium::disk;
    let disks = usize::from(disk(here.path()) != disk(elsewhere.path())) + 1;
    assert_eq!(backed_up_at_once(elsewhere.path()).await, disks);
}
