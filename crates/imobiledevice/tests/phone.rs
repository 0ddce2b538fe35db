//! The C library at the simulated phone, through these bindings, over real sockets.

#![cfg(test)]

mod stage;

use std::path::Path;
use std::time::Duration;

use backupwatch_sim::phone::Channel;
use stage::{Stage, UDID, example, find, library_is_here};

#[tokio::test(flavor = "multi_thread")]
async fn ideviceinfo_prints_what_ideviceinfo_prints() {
    let Some(theirs) = find("ideviceinfo") else {
        return;
    };
    let stage = Stage::with("");
    for arguments in [
        &[][..],
        &["-q", "com.apple.mobile.battery"],
        &["-q", "com.apple.international"],
    ] {
        let ours = kept(stage.output(&example("ideviceinfo"), arguments).await);
        let theirs = kept(stage.output(&theirs, arguments).await);
        assert!(!ours.is_empty());
        assert!(
            ours == theirs,
            "of {arguments:?}, {} of {} lines differ",
            differing(&ours, &theirs),
            theirs.len()
        );
    }
}

/// All but the clock. Numbers of a phone and of its owner are compared, and shown nowhere.
fn kept(output: String) -> Vec<String> {
    let lines = output
        .lines()
        .filter(|line| !line.starts_with("TimeIntervalSince1970"));
    lines.map(str::to_owned).collect()
}

fn differing(ours: &[String], theirs: &[String]) -> usize {
    ours.iter().filter(|line| !theirs.contains(line)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_does_not_trust_is_asked_nothing() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("[trust]\npaired = false");
    let told = stage.output(&example("ideviceinfo"), &[]).await;
    assert!(told.contains("DeviceClass: iPhone"), "{told}");
    let mut exercise = stage.exercise(&["session", UDID]);
    exercise
        .says("error this computer has no pair record of the device")
        .await;
    exercise.ends_well().await;
    let asked = stage.phone().phone().journal().names(Channel::Lockdown);
    assert!(
        !asked.is_empty() && asked.iter().all(|request| request != "Pair"),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_that_the_phone_has_forgotten_is_not_asked_for_anew() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("[trust]\nexpired = true");
    let mut exercise = stage.exercise(&["session", UDID]);
    exercise
        .says("error the device does not trust this computer (LOCKDOWN_E_INVALID_HOST_ID)")
        .await;
    exercise.ends_well().await;
    let asked = stage.phone().phone().journal().names(Channel::Lockdown);
    assert!(asked.iter().all(|request| request != "Pair"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_tells_cable_from_wifi() {
    if !library_is_here() {
        return;
    }
    let both = "[[link]]\nkind = \"network\"\n[[link]]\nkind = \"usb\"";
    for stage in [Stage::with(both), Stage::tcp(both)] {
        let mut told: Vec<_> = stage
            .output(&example("exercise"), &["list"])
            .await
            .lines()
            .map(str::to_owned)
            .collect();
        told.sort();
        assert_eq!(told, [format!("{UDID} Network"), format!("{UDID} Usb")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_subscriptions_one_after_the_other_hear_the_same() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("");
    let mut exercise = stage.exercise(&["events", UDID]);
    for _ in 0..2 {
        // 1.3 has one at a time, and newer ones have many.
        let second = exercise.next().await.unwrap();
        assert!(
            second == "ok" || second.contains("one subscription at a time"),
            "{second}"
        );
        exercise.says("attached true").await;
        exercise.says("listening?").await;
        stage.phone().unplug();
        exercise.go_on().await;
        exercise.says("detached true").await;
        exercise.says("gone?").await;
        stage.phone().plug();
        exercise.go_on().await;
        exercise.says("attached true").await;
        exercise.says("unsubscribed?").await;
        exercise.go_on().await;
    }
    exercise.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_asks_once_for_each_call_and_keeps_the_record() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("[trust]\npaired = false");
    let mut exercise = stage.exercise(&["pair", UDID]);
    exercise
        .says("error this computer has no pair record of the device")
        .await;
    let pending = "error the device waits for somebody to tap Trust (LOCKDOWN_E_PAIRING_DIALOG_RESPONSE_PENDING)";
    exercise.says(pending).await;
    exercise.says("asked?").await;
    exercise.go_on().await;
    exercise.says(pending).await;
    exercise.says("asked?").await;
    assert!(stage.phone().tap_trust());
    exercise.go_on().await;
    exercise.says("ok").await;
    exercise.says("escrow bag true").await;
    exercise.says("ok").await;
    exercise.ends_well().await;
    assert!(stage.sim.hub().pair_record(UDID).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_does_not_trust_is_told_from_one_who_has_not_answered() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("[trust]\npaired = false");
    let mut exercise = stage.exercise(&["pair", UDID]);
    exercise.next().await;
    exercise.next().await;
    exercise.says("asked?").await;
    stage.phone().deny_trust();
    exercise.go_on().await;
    exercise
        .says("error somebody tapped Don't Trust on the device (LOCKDOWN_E_USER_DENIED_PAIRING)")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_notifications_and_raw_messages_go_through_the_librarys_own_clients() {
    if !library_is_here() {
        return;
    }
    let stage = Stage::with("");
    let mut exercise = stage.exercise(&["services", UDID]);
    exercise
        .says("error there is no such file (AFC_E_OBJECT_NOT_FOUND)")
        .await;
    exercise.says("ok").await;
    exercise
        .says("error somebody else holds the lock (AFC_E_OP_WOULD_BLOCK)")
        .await;
    exercise.says("ok").await;
    exercise.says("ok").await;
    exercise.says("ok").await;
    exercise.says("observing?").await;
    let heard = async {
        // What the client sent is on its way; the phone posts nothing twice.
        while !stage
            .phone()
            .phone()
            .journal()
            .names(Channel::NotificationProxy)
            .contains(&OBSERVED.to_owned())
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard)
        .await
        .unwrap();
    stage.phone().request_sync_cancel();
    exercise.go_on().await;
    exercise
        .says("notified com.apple.itunes-client.syncCancelRequest")
        .await;
    exercise.says("answer 7").await;
    exercise
        .says("the service did not answer in time (SERVICE_E_TIMEOUT)")
        .await;
    exercise.ends_well().await;
    let noted = stage
        .phone()
        .phone()
        .journal()
        .names(Channel::NotificationProxy);
    assert!(
        noted.contains(&"post com.example.posted".to_owned()),
        "{noted:?}"
    );
}

const OBSERVED: &str = "observe com.apple.itunes-client.syncCancelRequest";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_full_both_ways_goes_on_when_it_is_read() {
    if !library_is_here() {
        return;
    }
    for (stage, full, ended) in [
        (Stage::with(""), true, "then 0 Some(Closed)"),
        // TCP has room for all of it.
        (Stage::tcp(""), false, "then 0 Some(Closed)"),
        (
            Stage::with("[services]\nssl = \"never\""),
            true,
            "then 0 None",
        ),
    ] {
        let mut exercise = stage.exercise(&["stream", UDID, "20000"]);
        let held_back = exercise.next().await.unwrap();
        assert!(held_back == "held back true" || !full, "{held_back}");
        exercise.says("all answers None").await;
        exercise.says("idle?").await;
        stage.phone().unplug();
        exercise.go_on().await;
        exercise.says(ended).await;
        exercise.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_unplugged_in_any_state_leaves_nothing_behind() {
    if !library_is_here() || !cfg!(target_os = "linux") {
        return;
    }
    let stage = Stage::with("");
    let exercise = stage.exercise(&["states", UDID, "1"]);
    assert_eq!(unplug_in_every_state(&stage, exercise).await, STATES);
}

/// The states of `exercise states`.
const STATES: usize = 9;

/// Unplugs whenever it is asked for, and counts the states.
async fn unplug_in_every_state(stage: &Stage, mut exercise: stage::Exercise) -> usize {
    let mut states = 0;
    while let Some(line) = exercise.next().await {
        if line == "unplug?" {
            stage.phone().unplug();
        } else {
            assert!(
                line.starts_with("over ") && line.ends_with(" clean?"),
                "{line}"
            );
            states += 1;
            stage.phone().plug();
        }
        exercise.go_on().await;
    }
    exercise.ends_well().await;
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn no_memory_of_the_c_library_is_lost_however_often_a_phone_is_unplugged() {
    let Some(valgrind) = find("valgrind") else {
        return;
    };
    if !library_is_here() {
        return;
    }
    // Side by side: most of the time is valgrind's.
    let (once, twice) = tokio::join!(lost_in(&valgrind, 1), lost_in(&valgrind, 2));
    // What grows with the rounds is a leak; what the libraries lose once is their own.
    assert!(once.0 >= twice.0, "{once:?} {twice:?}");
}

/// What is lost when each state is gone through so many times.
async fn lost_in(valgrind: &Path, rounds: usize) -> (usize, String) {
    let stage = Stage::with("");
    let log = stage.dir().join("valgrind");
    let mut command = stage.command(valgrind);
    command
        .args([
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--num-callers=30",
        ])
        .arg(format!("--log-file={}", log.display()))
        .arg(example("exercise"))
        .args(["states", UDID, &rounds.to_string()]);
    let states = unplug_in_every_state(&stage, stage::Exercise::start(command)).await;
    assert_eq!(states, rounds * STATES);
    let told = std::fs::read_to_string(log).unwrap();
    let wrong = ["Invalid read", "Invalid write", "Invalid free"];
    assert!(!wrong.iter().any(|wrong| told.contains(wrong)), "{told}");
    definitely_lost(&told)
}

/// How many blocks valgrind says are lost, and what it says of them.
fn definitely_lost(told: &str) -> (usize, String) {
    let line = told
        .lines()
        .find_map(|line| line.split_once("definitely lost: "));
    let Some((_, line)) = line else {
        assert!(told.contains("no leaks are possible"), "{told}");
        return (0, String::new());
    };
    let blocks = line
        .split_once(" in ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .unwrap();
    (blocks.replace(',', "").parse().unwrap(), told.to_owned())
}
