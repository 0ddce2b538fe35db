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
    rig.tell(Event::MuxUp).await;
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
        let before = rig.phones.get(&udid(99)).probes;
        assert!(before > 10, "it is not even visited");
        attach_all(&rig).await;
        rig.when("judged", |status| are_judged(status, |_| true))
            .await;
        rig.phones.get(&udid(99)).probes - before
    };
    let between = tokio::select! {
        () = flap => unreachable!("it goes on for ever"),
        between = others => between,
    };
    let visited = rig.phones.visited.lock().unwrap().clone();
    let last = visited.iter().rposition(|one| *one != udid(99)).unwrap();
    let first = visited.iter().position(|one| *one != udid(99)).unwrap();
    let intruder = visited[first..last]
        .iter()
        .filter(|one| **one == udid(99))
        .count();
    // They came one after the other, so it was in the first wave and in the one after it.
    assert!(intruder <= 2, "{intruder} visits before the others' last");
    assert!(between < 30, "{between}");
    rig.end().await;
}
