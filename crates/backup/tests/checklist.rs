//! The checklist of what a host must get right (protocol.md section 13), as far as it concerns the backup; each test has the
//! number of its item. Others of them are beside the code they are about.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backupwatch_backup::{Purgeable, RunOptions, verify};
use backupwatch_core::Level;
use backupwatch_core::run::{CancelledBy, Phase, RunEnd, RunFailure};
use backupwatch_sim::persona::PromptAnswer;
use backupwatch_sim::phone::Channel;
use backupwatch_wire::devicelink::{HostMessage, StatusResponse};
use common::{CONTENTS, UDID, World, failure, persona, tree, verified};
use plist::Value;
use tokio_util::sync::CancellationToken;

/// What the host said on the backup service: names, and whole answers where they are not long.
fn said(world: &World) -> Vec<(String, Option<Value>)> {
    let seen = world.handle().seen().into_iter();
    seen.filter(|seen| seen.channel == Channel::Backup)
        .map(|seen| (seen.name, seen.body))
        .collect()
}

fn statuses(world: &World) -> Vec<StatusResponse> {
    said(world)
        .into_iter()
        .filter_map(|(_, body)| match HostMessage::from_value(body?) {
            Ok(HostMessage::Status(status)) => Some(status),
            Ok(_) | Err(_) => None,
        })
        .collect()
}

fn asking(answer: PromptAnswer, after_s: f64) -> World {
    let mut persona = persona();
    persona.passcode.set = true;
    persona.passcode.answer = answer;
    persona.passcode.after_s = after_s;
    World::new(persona)
}

#[tokio::test]
async fn checklist_19_the_passcode_prompt_is_shown_at_once() {
    let world = asking(PromptAnswer::Wait, 0.0);
    let handle = world.handle();
    let enter = async {
        handle.prompt_shown().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        handle.enter_passcode();
    };
    let run = world.back_up_with(RunOptions::default(), CancellationToken::new());
    let ((report, progress), ()) = tokio::join!(run, enter);
    verified(&report);
    let mut phases: Vec<Phase> = progress.iter().map(|at| at.phase).collect();
    phases.dedup();
    let waiting = phases
        .iter()
        .position(|phase| *phase == Phase::WaitingForPasscode)
        .expect("told");
    assert_eq!(phases[waiting + 1], Phase::Preparing, "{phases:?}");
}

#[tokio::test]
async fn checklist_20_one_lockdown_session_and_the_escrow_bag_carry_a_backup() {
    let world = asking(PromptAnswer::Enter, 0.0);
    let handle = world.handle();
    let lock = async {
        handle
            .phone()
            .journal()
            .wait_for(|seen| seen.name == "DLMessageStatusResponse")
            .await;
        handle.lock();
    };
    let (report, ()) = tokio::join!(world.back_up(), lock);
    verified(&report);
    assert_eq!(world.phone.sessions.load(Ordering::Relaxed), 1);
    let services: Vec<_> = handle.phone().journal().names(Channel::Service);
    assert_eq!(services.len(), 5, "each once: {services:?}");
}

#[tokio::test(start_paused = true)]
async fn checklist_21_a_lock_that_is_held_elsewhere_is_busy_and_not_forced() {
    let world = World::new(persona());
    assert!(world.handle().hold_sync_lock());
    let begun = tokio::time::Instant::now();
    let report = world.back_up().await;
    assert_eq!(failure(&report), RunFailure::Busy);
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(12)).contains(&waited),
        "50 tries, 200 ms apart: {waited:?}"
    );
    let backup_said = said(&world);
    assert!(
        !backup_said.iter().any(|(name, _)| name == "Backup"),
        "nothing is asked of the phone: {backup_said:?}"
    );
    tokio::time::resume();
    world.handle().release_sync_lock();
    verified(&world.back_up().await);
}

#[tokio::test]
async fn checklist_21_the_sync_is_announced_locked_and_given_back() {
    let world = World::new(persona());
    world.good_backup().await;
    let journal = world.handle().phone().clone();
    let posts: Vec<_> = journal
        .journal()
        .names(Channel::NotificationProxy)
        .into_iter()
        .filter_map(|name| {
            name.strip_prefix("post com.apple.itunes-mobdev.")
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        posts,
        [
            "syncWillStart",
            "syncLockRequest",
            "syncDidStart",
            "syncDidFinish"
        ]
    );
    assert!(!world.handle().phone().sync_locked());
}

#[tokio::test]
async fn checklist_24_and_25_only_a_backup_of_this_phone_is_ever_asked_for() {
    let world = World::new(persona());
    world.good_backup().await;
    let mut said = said(&world);
    said.retain(|(name, _)| name != "DLMessageStatusResponse");
    let names: Vec<_> = said.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "DLMessageVersionExchange",
            "Hello",
            "Backup",
            "DLMessageDisconnect",
            "end: Disconnected"
        ]
    );
    let backup = said[2].1.as_ref().and_then(Value::as_dictionary).unwrap();
    assert_eq!(backup["TargetIdentifier"].as_string(), Some(UDID));
}

/// The clock stands still but for the waits themselves; files are written in real time.
#[tokio::test(start_paused = true)]
async fn checklist_26_half_an_hour_at_the_passcode_prompt_is_waited_out() {
    let world = asking(PromptAnswer::Wait, 0.0);
    let handle = world.handle();
    let enter = async {
        handle.prompt_shown().await;
        tokio::time::sleep(Duration::from_secs(29 * 60)).await;
        tokio::time::resume();
        handle.enter_passcode();
    };
    let (report, ()) = tokio::join!(world.back_up(), enter);
    verified(&report);
}

#[tokio::test(start_paused = true)]
async fn checklist_26_a_passcode_that_is_not_entered_ends_the_run_with_its_own_failure() {
    for (answer, wanted) in [
        (PromptAnswer::Wait, RunFailure::PasscodeTimeout),
        (PromptAnswer::Cancel, RunFailure::PasscodeCancelled),
    ] {
        let world = asking(answer, 60.0);
        assert_eq!(failure(&world.back_up().await), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn checklist_26_nine_minutes_of_silence_are_no_failure() {
    let mut persona = persona();
    persona.backup.scan_s = 9.5 * 60.0;
    let world = World::new(persona);
    let resume = async {
        tokio::time::sleep(Duration::from_secs_f64(9.5 * 60.0 - 0.05)).await;
        tokio::time::resume();
    };
    let (report, ()) = tokio::join!(world.back_up(), resume);
    verified(&report);
}

#[tokio::test(start_paused = true)]
async fn checklist_26_ten_minutes_of_silence_are_the_end() {
    let mut persona = persona();
    persona.backup.scan_s = 11.0 * 60.0;
    let report = World::new(persona).back_up().await;
    assert_eq!(
        failure(&report),
        RunFailure::Protocol("the phone said nothing for 10 minutes".to_owned())
    );
}

#[tokio::test]
async fn checklist_28_every_question_is_answered_with_four_elements() {
    let world = World::new(persona());
    world.set_faults(
        "[[rogue]]\nat = \"uploading\"\nsend = { unknown = \"DLMessageNobodyKnows\" }\n\
         [[rogue]]\nat = \"uploading\"\nsend = \"ping\"",
    );
    verified(&world.back_up().await);
    let mut answers = 0;
    for (name, body) in said(&world) {
        if name == "DLMessageStatusResponse"
            && let Some(body) = body
        {
            answers += 1;
            let array = body.as_array().unwrap();
            assert_eq!(array.len(), 4, "{array:?}");
            assert!(!array[2].as_string().unwrap().is_empty());
        }
    }
    assert!(answers > 500, "{answers}");
    assert!(
        statuses(&world)
            .iter()
            .any(|status| status.code.number() == -2),
        "the unknown one"
    );
    assert_eq!(
        world.handle().phone().backup().violations(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn checklist_31_the_words_after_a_failed_file_are_drained() {
    let world = World::new(persona());
    world.set_faults(
        r#"
        [[file]]
        domain = "HomeDomain"
        path = "Library/one frame"
        code = 0x06
        message = "No such file or directory"
        times = 1
        "#,
    );
    let report = world.back_up().await;
    verified(&report);
    assert!(
        report.refused.is_empty(),
        "it came whole on the second try: {:?}",
        report.refused
    );
    assert!(world.handle().verdict(&world.root).is_whole());
}

#[tokio::test]
async fn checklist_32_a_file_that_breaks_off_never_takes_the_place_of_a_good_one() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    for times in [1, 2] {
        world
            .handle()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(100.0));
        world.set_faults(&format!(
            r#"
            [[file]]
            domain = "HomeDomain"
            path = "Library/SMS/sms.db"
            code = 0x0B
            message = "Input/output error"
            after = 200_000
            times = {times}
            "#
        ));
        let report = world.back_up().await;
        let all = tree(&world.root);
        assert!(
            !all.values().any(|bytes| bytes.len() == 200_000),
            "no cut file"
        );
        if times == 1 {
            verified(&report);
            assert!(world.handle().verdict(&world.root).is_whole());
            assert!(world.current() != before);
        } else {
            // Twice is too often for the phone: it ends with 104.
            assert!(
                matches!(failure(&report), RunFailure::Device { code: 104, .. }),
                "{:?}",
                report.end
            );
            assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
            let file = &report.refused[0];
            assert_eq!((file.code, file.why.as_str()), (-11, "Input/output error"));
        }
    }
    world.no_faults();
    world.good_backup().await;
}

#[tokio::test]
async fn checklist_33_a_host_error_is_told_with_its_true_code_by_the_device_side_path() {
    let world = World::new(persona());
    world.set_faults(
        "[[rogue]]\nat = \"uploading\"\nsend = { upload = \"{udid}/Snapshot\" }\n\
         [[rogue]]\nat = \"uploading\"\nsend = { upload = \"{udid}/nowhere/x\" }",
    );
    let report = world.back_up().await;
    assert!(matches!(
        failure(&report),
        RunFailure::Verification {
            level: Level::L0,
            missing: 0,
            ..
        }
    ));
    let errors: Vec<_> = statuses(&world)
        .iter()
        .flat_map(StatusResponse::item_errors)
        .collect();
    let told: Vec<_> = errors
        .iter()
        .filter(|e| e.path.contains("Rogue"))
        .map(|e| e.code.number())
        .collect();
    assert_eq!(told, [-9, -6]);
    assert_eq!(
        report.refused.len(),
        2,
        "and the stream was drained both times"
    );
}

/// A disk that fills up while files arrive, where this test may make one.
#[tokio::test]
async fn checklist_33_a_full_disk_is_told_as_such() {
    let mount = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=25m", "tmpfs"])
        .arg(mount.path())
        .status()
        .is_ok_and(|status| status.success());
    if !made {
        let is_required = std::env::var_os("BACKUPWATCH_REQUIRE_PEERS").is_some();
        assert!(
            !is_required || !rustix::process::geteuid().is_root(),
            "root cannot mount a small disk"
        );
        eprintln!("SKIPPED: this machine lets nobody mount a small disk");
        return;
    }
    let root = mount.path().join("root");
    let outcome = {
        // There is room to begin, and then not for this.
        let film = "[[files]]\ndomain = \"HomeDomain\"\npath = \"film\"\nsize = 20_000_000";
        let mut persona = persona();
        persona.contents = toml::from_str(&format!("{CONTENTS}{film}")).unwrap();
        let world = World::at(persona, &root);
        // The question for free space is skipped by a phone that was told nothing true.
        let options = RunOptions {
            purgeable: Some(Purgeable::new(|| Some(1 << 40))),
            ..RunOptions::default()
        };
        let filler = root.join("filler");
        std::fs::write(&filler, vec![1; 8 << 20]).unwrap();
        let (full, _) = world
            .back_up_with(options.clone(), CancellationToken::new())
            .await;
        std::fs::remove_file(&filler).unwrap();
        let (then, _) = world.back_up_with(options, CancellationToken::new()).await;
        (full, then, world.handle().verdict(&root))
    };
    std::process::Command::new("umount")
        .arg(mount.path())
        .status()
        .unwrap();
    let (full, then, verdict) = outcome;
    assert!(
        matches!(failure(&full), RunFailure::HostNoSpace { .. }),
        "{:?}",
        full.end
    );
    verified(&then);
    assert!(verdict.is_whole(), "{verdict}");
}

#[tokio::test]
async fn checklist_36_free_space_is_told_in_truth_or_with_what_can_be_purged() {
    let world = World::new(persona());
    let free_told = |world: &World| {
        let statuses = statuses(world);
        statuses
            .iter()
            .find_map(|status| status.value.as_unsigned_integer())
            .expect("an answer")
    };
    world.good_backup().await;
    let real = world.store.free().unwrap();
    let told = free_told(&world);
    assert!(told.abs_diff(real) < 2 << 30, "{told} and {real}");

    let world = World::new(persona());
    let purgeable = Some(Purgeable::new(move || Some(real + (1 << 44))));
    let options = RunOptions {
        purgeable,
        ..RunOptions::default()
    };
    verified(
        &world
            .back_up_with(options, CancellationToken::new())
            .await
            .0,
    );
    assert_eq!(free_told(&world), real + (1 << 44));
}

#[tokio::test]
async fn checklist_37_what_the_phone_needs_is_said() {
    let world = World::new(persona());
    world.set_faults("extra_need = 900_000_000_000_000");
    let report = world.back_up().await;
    let RunFailure::HostNoSpace { need, free } = failure(&report) else {
        panic!("{:?}", report.end);
    };
    // Exactly what the phone computed: its files, 128 MiB, and the fault.
    let files = need - 900_000_000_000_000 - (128 << 20);
    assert!((400_000..2_000_000).contains(&files), "{files}");
    assert!(free.abs_diff(world.store.free().unwrap()) < 2 << 30);
    let told: Vec<_> = statuses(&world)
        .iter()
        .map(|status| status.code.number())
        .collect();
    assert!(told.contains(&-1), "the purge is answered: {told:?}");
}

#[tokio::test]
async fn checklist_38_progress_never_goes_back_and_is_100_only_at_the_end() {
    let world = World::new(persona());
    let (report, progress) = world
        .back_up_with(RunOptions::default(), CancellationToken::new())
        .await;
    verified(&report);
    let percents: Vec<f32> = progress.iter().filter_map(|at| at.percent).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    let hundred: Vec<_> = progress
        .iter()
        .filter(|at| at.percent == Some(100.0))
        .collect();
    assert_eq!(hundred.len(), 1);
    assert_eq!(hundred[0].phase, Phase::Committing);
    assert!(progress.iter().any(|at| at.bytes > 400_000));
    assert_eq!(progress.last().unwrap().files, report.files);
}

#[tokio::test]
async fn checklist_39_nothing_of_ours_is_in_the_phones_folder() {
    let world = World::new(persona());
    world.set_faults("end = { code = 1, at = \"start\" }");
    world.back_up().await;
    let work = world.root.join(".backupwatch/work").join(UDID);
    assert_eq!(
        tree(&work).len(),
        0,
        "nothing is there that the phone did not make"
    );
    world.no_faults();
    world.good_backup().await;
    let names = std::fs::read_dir(world.store.folder(&world.udid())).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.len() != 2);
    names.sort();
    assert_eq!(
        names,
        [
            "Info.plist",
            "Manifest.db",
            "Manifest.plist",
            "Status.plist"
        ]
    );
}

#[tokio::test]
async fn checklist_40_info_plist_is_written_after_success_only() {
    let world = World::new(persona());
    world.set_faults("end = { code = 1, at = \"end\" }");
    failure(&world.back_up().await);
    assert!(
        !world
            .root
            .join(".backupwatch/work")
            .join(UDID)
            .join("Info.plist")
            .exists()
    );
    world.no_faults();
    world.good_backup().await;
    let info =
        plist::Value::from_file(world.store.folder(&world.udid()).join("Info.plist")).unwrap();
    let info = info.as_dictionary().unwrap();
    assert_eq!(info["Device Name"].as_string(), Some("Ada’s iPhone 📱"));
    assert!(info["Last Backup Date"].as_date().is_some());
    let guid = info["GUID"].as_string().unwrap().to_owned();
    world.good_backup().await;
    let again =
        plist::Value::from_file(world.store.folder(&world.udid()).join("Info.plist")).unwrap();
    assert_eq!(
        again.as_dictionary().unwrap()["GUID"].as_string(),
        Some(guid.as_str())
    );
}

#[tokio::test]
async fn checklist_41_a_success_that_is_none_is_not_believed() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    for at in ["start", "uploading", "moving"] {
        world
            .handle()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(10.0));
        world.set_faults(&format!("[[rogue]]\nat = \"{at}\"\nsend = \"success\""));
        let report = world.back_up().await;
        assert!(
            matches!(failure(&report), RunFailure::Verification { .. }),
            "{at}: {:?}",
            report.end
        );
        assert!(world.current() == before, "{at}");
    }
    world.no_faults();
    world.good_backup().await;
    assert_eq!(
        said(&world).pop().unwrap().0,
        "end: Disconnected",
        "a goodbye, and not just an end"
    );
}

#[tokio::test]
async fn checklist_43_a_backup_of_another_tool_is_no_backup_of_ours() {
    let world = World::new(persona());
    world.good_backup().await;
    let (theirs, elsewhere) = (world.store.folder(&world.udid()), World::new(persona()));
    let folder = elsewhere.store.folder(&elsewhere.udid());
    std::fs::rename(theirs, &folder).unwrap();
    assert!(
        verify(&folder, &elsewhere.udid()).unwrap().is_verified(),
        "it is whole"
    );
    assert_eq!(
        elsewhere.store.current(&elsewhere.udid()).unwrap(),
        None,
        "but no run of ours says so"
    );
}

#[tokio::test]
async fn checklist_44_a_cancel_on_the_phone_ends_it_politely() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(100.0));
    world.set_faults("drip = 200_000");
    let handle = world.handle();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        handle.request_sync_cancel();
    };
    let (report, ()) = tokio::join!(world.back_up(), cancel);
    assert_eq!(
        failure(&report),
        RunFailure::Cancelled {
            by: CancelledBy::Phone
        }
    );
    assert!(world.current() == before);
    // Until the phone has noticed that the link is gone.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for code in [202, 217, 219, 223, 224] {
        world.set_faults(&format!("end = {{ code = {code}, at = \"uploading\" }}"));
        assert_eq!(
            failure(&world.back_up().await),
            RunFailure::Cancelled {
                by: CancelledBy::Phone
            },
            "{code}"
        );
    }
}

#[tokio::test]
async fn final_codes_are_what_they_mean() {
    let world = World::new(persona());
    // The simulated phone puts its code behind its words, as real ones do.
    let device = |code, text: &str| RunFailure::Device {
        code,
        text: format!("{text} (MBErrorDomain/{code})"),
    };
    for (code, text, wanted) in [
        (
            1,
            "Error copying keychain data",
            device(1, "Error copying keychain data"),
        ),
        (
            3,
            "Failed to create snapshot: File exists",
            device(3, "Failed to create snapshot: File exists"),
        ),
        (104, "Multiple errors", device(104, "Multiple errors")),
        (205, "Manifest references files", RunFailure::BackupCorrupt),
        (207, "", RunFailure::EncryptionRequired),
        (208, "Device locked", RunFailure::DeviceLocked),
        (
            208,
            "Device locked - timeout waiting for passcode entry",
            RunFailure::PasscodeTimeout,
        ),
        (212, "", RunFailure::SettingUp),
        (22, "", RunFailure::Prohibited),
        (25, "", RunFailure::SettingUp),
        (31337, "x", device(31337, "x")),
    ] {
        world.set_faults(&format!(
            "end = {{ code = {code}, text = \"{text}\", at = \"uploading\" }}"
        ));
        assert_eq!(failure(&world.back_up().await), wanted, "{code}");
    }
    world.no_faults();
    world.good_backup().await;
}

/// A tree that the phone calls damaged is not gone on with: the next run begins from the current backup, then from nothing.
#[tokio::test]
async fn a_backup_that_the_phone_calls_damaged_is_made_anew() {
    let world = World::new(persona());
    world.good_backup().await;
    let before = world.current();
    world
        .handle()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(10.0));
    world.set_faults("end = { code = 205, at = \"end\" }");
    for _ in 0..2 {
        assert_eq!(failure(&world.back_up().await), RunFailure::BackupCorrupt);
        assert!(world.current() == before);
    }
    world.no_faults();
    world.good_backup().await;
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut log) = self.0.lock() {
            log.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn checklist_45_no_number_of_the_phone_is_in_logs_or_reports() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut persona = persona();
    persona.values.insert(
        "root".to_owned(),
        toml::from_str("PhoneNumber = \"+15550100\"\nInternationalMobileEquipmentIdentity = \"490154203237518\"").unwrap(),
    );
    let world = World::new(persona);
    world.set_faults("[[rogue]]\nat = \"uploading\"\nsend = { upload = \"../escaped\" }");
    let refused = world.back_up().await;
    world.no_faults();
    let good = world.back_up().await;
    verified(&good);
    let info =
        std::fs::read_to_string(world.store.folder(&world.udid()).join("Info.plist")).unwrap();
    assert!(
        info.contains("+15550100") && info.contains("490154203237518"),
        "where readers expect them"
    );
    let mut all = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    all.push_str(&format!("{refused:?}{good:?}"));
    for secret in ["15550100", "490154203237518", UDID, "Ada"] {
        assert!(!all.contains(secret), "{secret} in:\n{all}");
    }
    let opened = backupwatch_backup::Phone::open(&world.phone).await.unwrap();
    assert!(!format!("{:?}", opened.about).contains("15550100"));
}

#[tokio::test]
async fn a_run_that_cannot_reach_its_disk_says_so_and_leaves_the_phone_alone() {
    let world = World::new(persona());
    std::fs::rename(&world.root, world.outside.path().join("unmounted")).unwrap();
    let report = world.back_up().await;
    assert_eq!(report.end, RunEnd::Failed(RunFailure::StoreMissing));
    assert_eq!(world.phone.sessions.load(Ordering::Relaxed), 0);
    assert!(!world.root.exists(), "nothing is made where the disk was");
}
