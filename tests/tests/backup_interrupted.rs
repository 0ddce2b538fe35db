//! Interrupted, by a cable or by kill -9, at any step of a backup: the backup before is as it was to the byte, and the next run
//! goes on from what has arrived instead of beginning anew (protocol notes, "resume").

use backupwatch_e2e::{
    story::{Before, heal, live_on, set_faults, small},
    table::{Running, Said, Table, encrypted, plain},
};
use backupwatch_sim::{mobilebackup2::How, persona::Persona};
use std::time::{Duration, Instant};

/// The last line of `--json`.
fn ended(said: &Said) -> serde_json::Value {
    let last = said.out.lines().last().unwrap_or_default();
    let event: serde_json::Value =
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(event["event"], "ended", "{said:?}");
    event
}

fn bytes(event: &serde_json::Value) -> u64 {
    event["bytes"].as_u64().unwrap()
}

/// A cable that comes out in the middle. What has arrived counts: the second run is the phone's "resumed", and both together
/// send little more than one would have.
fn goes_on(persona: Persona, over_a_finished_one: bool) {
    let table = Table::unix(persona);
    let side = || table.phone().phone().backup().finished();
    if over_a_finished_one {
        table.back_up_well(&[]);
        table
            .phone()
            .phone()
            .backup()
            .change(|catalog| catalog.mutate(70.0));
    }
    let before = Before::of(&table, "unplugged");
    let catalog = table.phone().phone().backup().catalog();
    let (all_files, all_bytes) = (catalog.files().count(), catalog.bytes());

    set_faults(&table, "unplug_after = 2_500_000");
    let said = table.back_up(&["--json"]);
    let first = ended(&said);
    assert_eq!(said.code, Some(7), "{said:?}");
    assert_eq!(first["outcome"], "unplugged");
    assert!(bytes(&first) > 2_000_000, "{first}");
    before.assert_untouched(&table);
    heal(&table);

    let said = table.back_up(&["--json"]);
    let second = ended(&said);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(second["outcome"], "verified");
    assert_eq!(
        second["kind"], "incremental",
        "it goes on, by our own word too"
    );
    table.assert_whole();
    let finished = side().unwrap();
    assert_eq!(finished.how, How::Resumed);
    assert!(
        finished.uploaded > 0 && finished.uploaded < all_files * 2 / 3,
        "{} of {all_files} files",
        finished.uploaded
    );
    // The file that broke off, the manifests and the status are sent again; the padding of a cipher is no byte of a file.
    let slack = 3_000_000_u64 / 2;
    assert!(
        bytes(&first) + bytes(&second) < all_bytes + slack,
        "{} and {} of {all_bytes}",
        bytes(&first),
        bytes(&second)
    );
    assert!(
        bytes(&second) < all_bytes - bytes(&first) / 2,
        "{} of {all_bytes}",
        bytes(&second)
    );
    if over_a_finished_one {
        before.assert_is_the_version(&table);
    }
}

#[test]
fn a_first_backup_goes_on() {
    goes_on(plain(), false);
}

#[test]
fn a_first_encrypted_backup_goes_on() {
    goes_on(encrypted(), false);
}

#[test]
fn a_later_backup_goes_on() {
    goes_on(plain(), true);
}

#[test]
fn a_later_encrypted_backup_goes_on() {
    goes_on(encrypted(), true);
}

/// A phone that was switched off and on in between has lost its snapshot: the backup begins anew, and ends well.
#[test]
fn a_phone_that_has_forgotten_begins_anew() {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    live_on(&table);
    let before = Before::of(&table, "forgotten");
    set_faults(&table, "unplug_after = 120_000");
    assert_eq!(table.back_up(&[]).code, Some(7));
    before.assert_untouched(&table);
    heal(&table);
    set_faults(&table, "forget_snapshot = true");
    table.back_up_well(&[]);
    let finished = table.phone().phone().backup().finished().unwrap();
    assert_eq!(finished.how, How::Incremental);
    before.assert_is_the_version(&table);
}

/// One message of the phone, by its name and how many of that name came before it.
type Step = (&'static str, usize);

/// Steps of a backup of [`small`] over a finished one, in the order of the phone.
const STEPS: [Step; 12] = [
    ("DLMessageVersionExchange", 0),
    // Status.plist and the manifests of the backup before.
    ("DLMessageDownloadFiles", 2),
    ("DLMessageGetFreeDiskSpace", 0),
    ("DLMessageCreateDirectory", 300),
    // "uploading", the files, the two manifests, "moving", "removing", "finished".
    ("DLMessageUploadFiles", 0),
    ("DLMessageUploadFiles", 1),
    ("DLMessageUploadFiles", 3),
    ("DLMessageMoveItems", 0),
    ("DLMessageMoveItems", 2),
    ("DLMessageUploadFiles", 6),
    // Of the verification pass; the first 256 were for finding what there is.
    ("DLContentsOfDirectory", 400),
    // The greeting's answer is the first: this is the end.
    ("DLMessageProcessMessage", 1),
];

/// Steps through a backup up to this message, which is let go.
fn step_to(table: &Table, step: Step) -> Running {
    let phone = table.phone();
    phone.single_step(true);
    let run = table.start_backup(&[]);
    table.wait(&format!("the phone sends {step:?}"), async {
        let mut before = 0;
        loop {
            let name = phone.step().await;
            if name == step.0 {
                if before == step.1 {
                    return;
                }
                before += 1;
            }
        }
    });
    run
}

/// After the run has gone, however it went: the phone is itself again, and so is the backup.
fn is_well_again(table: &Table, before: &Before, at: &str) {
    let phone = table.phone();
    phone.single_step(false);
    heal(table);
    // A commit that was begun may have been finished: then the backup before is the version, and the new one is whole.
    if before.is_current(table) {
        table.back_up_well(&[]);
        before.assert_is_the_version(table);
    } else {
        table.assert_whole();
        before.assert_is_the_version(table);
        table.back_up_well(&[]);
    }
    let work = table.root().join(".backupwatch/work").join(table.udid());
    assert!(!work.exists(), "{at}: the work is done and not put away");
}

fn unplugged_at(steps: &[Step]) {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    for &step in steps {
        live_on(&table);
        let before = Before::of(&table, &format!("unplugged at {step:?}"));
        let run = step_to(&table, step);
        table.phone().unplug();
        table.phone().single_step(false);
        let said = run.end();
        if said.code != Some(0) {
            assert_eq!(said.code, Some(7), "{step:?}: {said:?}");
            assert!(
                said.out.contains("The connection to the phone was lost."),
                "{said:?}"
            );
            before.assert_untouched(&table);
        }
        is_well_again(&table, &before, &format!("{step:?}"));
    }
}

fn killed_at(steps: &[Step]) {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    for (number, &step) in steps.iter().enumerate() {
        live_on(&table);
        let at = format!("killed at {step:?}");
        let before = Before::of(&table, &at);
        let run = step_to(&table, step);
        // At every other step at once, and else when it has had time to do what it was asked for.
        if number % 2 == 1 {
            std::thread::sleep(Duration::from_millis(80));
        }
        let ran = run.kill();
        // Nothing is committed before the phone's last word.
        if step != STEPS[STEPS.len() - 1] {
            assert!(ran, "{at}: it had ended before");
            before.assert_untouched(&table);
        }
        is_well_again(&table, &before, &at);
    }
}

#[test]
fn unplugged_at_every_step_of_the_first_half() {
    unplugged_at(&STEPS[..6]);
}

#[test]
fn unplugged_at_every_step_of_the_second_half() {
    unplugged_at(&STEPS[6..]);
}

#[test]
fn killed_at_every_step_of_the_first_half() {
    killed_at(&STEPS[..6]);
}

#[test]
fn killed_at_every_step_of_the_second_half() {
    killed_at(&STEPS[6..]);
}

/// In the middle of a file, after many: most of what has arrived counts, the broken file does not.
#[test]
fn killed_in_a_file_and_gone_on_with() {
    let mut persona = small();
    persona.contents = toml::from_str(
        "seed = 11\ngroups = [{ domain = 'CameraRollDomain', prefix = 'Media', count = 100, size = [400_000, 400_000] }]",
    )
    .unwrap();
    let table = Table::unix(persona);
    table.back_up_well(&[]);
    table
        .phone()
        .phone()
        .backup()
        .change(|catalog| catalog.mutate(100.0));
    let before = Before::of(&table, "killed in a file");
    set_faults(&table, "stall_after = 35_000_000");
    let run = table.start_backup(&[]);
    table.wait_for_silence();
    assert!(run.kill());
    before.assert_untouched(&table);
    heal(&table);

    table.back_up_well(&[]);
    let finished = table.phone().phone().backup().finished().unwrap();
    assert_eq!(finished.how, How::Resumed);
    // 87 files had arrived; their hashes are kept every 16 MiB.
    assert!(finished.uploaded < 60, "{} of 100", finished.uploaded);
    before.assert_is_the_version(&table);
}

/// At moments that nobody has chosen, from the first instruction to after the last: checking and committing are among them.
#[test]
fn killed_at_any_moment() {
    const KILLS: u32 = 10;
    let table = Table::unix(small());
    table.back_up_well(&[]);
    live_on(&table);
    let begin = Instant::now();
    table.back_up_well(&[]);
    let whole = begin.elapsed();
    let (mut killed, mut finished) = (0, 0);
    for number in 0..KILLS {
        live_on(&table);
        let before = Before::of(&table, &format!("kill {number}"));
        let run = table.start_backup(&[]);
        std::thread::sleep(whole * (number + 1) / KILLS);
        if run.kill() {
            killed += 1;
        } else {
            finished += 1;
        }
        is_well_again(&table, &before, &format!("kill {number}"));
    }
    assert!(killed > 0, "{finished} runs were faster than the first");
}
