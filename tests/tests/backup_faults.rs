//! Misfortune, through the very binary: cables, disks, passcodes, files that a phone cannot read, and every way in which a phone
//! ends a backup by itself. Each row is a fault, the exit code, and what the person reads; each leaves the backup before as it
//! was to the byte, and the run after it ends well (`backupwatch_e2e::story`).
//!
//! Half an hour at a passcode and ten minutes of silence are not waited for here: the phone gives up earlier by its persona, and
//! somebody pulls the cable or stops the run. The limits themselves are tested with a paused clock in `backupwatch-backup`.

use backupwatch_e2e::{
    peers,
    story::{Before, Row, assert_told, each, heal, live_on, row, set_faults, small, tell},
    table::{PATIENCE, Running, Said, Table},
};
use backupwatch_sim::persona::{
    BeforeFirstUnlock, Persona, PromptAnswer, RequiresEncryption, Setup,
};

const LOST: &str =
    "The connection to the phone was lost. Plug it in again; what has arrived is kept.";
const WELL: &str = "The backup is complete and was checked on disk (L2, not encrypted,";

#[test]
fn the_link() {
    tell(&[
        row("unplugged at the first byte", "unplug_after = 1", 7, LOST),
        row("unplugged in the greeting", "unplug_after = 500", 7, LOST),
        row("unplugged in a file", "unplug_after = 120_000", 7, LOST),
        row("unplugged in the moves", "unplug_after = 270_000", 7, LOST),
        row("so slow that it drips", "drip = 150_000", 0, WELL),
    ]);
}

#[test]
fn the_disks() {
    tell(&[
        row(
            "the phone wants more room than any disk has (it counts sparse files by their length)",
            "extra_need = 967_000_000_000_000",
            7,
            "free, and the backup needs 967.0 TB. Make room, or choose another disk by `backup.root`.",
        ),
        row(
            "the snapshot of an attempt that was killed is in the way",
            "snapshot_exists = true",
            7,
            "The phone ended the backup with its error 3: Failed to create snapshot: File exists",
        ),
        row(
            "no space, by a file's own code",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x0F, message = 'No space left on device' }]",
            7,
            "This computer's disk has ",
        ),
    ]);
}

const ONE_LEFT_OUT: &str = "1 file could not be read on the phone and is not in this backup";

#[test]
fn single_files() {
    tell(&[
        row(
            "gone for a moment, before data",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x06, message = 'No such file or directory', times = 1 }]",
            0,
            WELL,
        ),
        row(
            "gone for good, before data",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x06, message = 'No such file or directory' }]",
            0,
            ONE_LEFT_OUT,
        ),
        row(
            "gone for good, after data",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x06, message = 'No such file or directory', after = 70_000 }]",
            0,
            ONE_LEFT_OUT,
        ),
        row(
            "unreadable once, after data",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x0B, message = 'Input/output error', after = 70_000, times = 1 }]",
            0,
            WELL,
        ),
        row(
            "unreadable for good, after data",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x0B, message = 'Input/output error', after = 70_000 }]",
            7,
            "The phone ended the backup with its error 104: Multiple errors uploading files",
        ),
        row(
            "too short, and called whole",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x00, after = 70_000 }]",
            8,
            "Everything arrived, but the check on disk (L2) found fault, 1 file missing or of the wrong size",
        ),
        row(
            "empty, and called whole",
            "file = [{ domain = 'HomeDomain', path = 'big', code = 0x00 }]",
            8,
            "The backup before it is untouched; try again with `--full`.",
        ),
    ]);
}

/// Every class of final codes, at every moment.
#[test]
fn final_codes_for_which_the_phone_has_its_own_words() {
    let ends = |code: &str| format!("The phone ended the backup with its error {code}: because");
    let rows: Vec<_> = [
        (1, "start"),
        (2, "moving"),
        (14, "start"),
        (24, "uploading"),
        (100, "moving"),
        (104, "end"),
    ]
    .into_iter()
    .map(|(code, at)| told(code, "because", at, &ends(&code.to_string())))
    .collect();
    tell(&rows);
}

#[test]
fn final_codes_that_nobody_expects_of_a_local_backup() {
    let ends = |code: &str| format!("The phone ended the backup with its error {code}: because");
    let rows: Vec<_> = [
        (103, "start"),
        (203, "start"),
        (211, "uploading"),
        (303, "start"),
        (500, "uploading"),
        (-1, "end"),
    ]
    .into_iter()
    .map(|(code, at)| told(code, "because", at, &ends(&code.to_string())))
    .collect();
    tell(&rows);
}

#[test]
fn final_codes_for_which_we_have_words() {
    let (stopped, locked) = (
        "The backup was stopped on the phone.",
        "The phone is locked. Unlock it and try again.",
    );
    tell(&[
        told(
            22,
            "because",
            "start",
            "The phone's management forbids backups to a computer. Ask whoever manages it.",
        ),
        told(
            25,
            "because",
            "start",
            "The phone is being set up or restored.",
        ),
        told(
            212,
            "because",
            "start",
            "The phone is being set up or restored.",
        ),
        told(105, "because", "uploading", "This computer's disk has "),
        told(202, "because", "uploading", stopped),
        told(
            205,
            "because",
            "end",
            "The phone calls the interrupted backup on this disk damaged.",
        ),
        told(
            207,
            "because",
            "start",
            "The phone's management allows encrypted backups only",
        ),
        // The passcode was entered long ago.
        told(208, "Device locked", "uploading", locked),
    ]);
}

/// A row for a final code.
fn told(code: i64, text: &str, at: &str, says: &str) -> Row {
    let faults = format!("end = {{ code = {code}, text = '{text}', at = '{at}' }}");
    row(&format!("{code} at {at}"), &faults, 7, says)
}

/// A phone that is not as it should be, from before the backup on.
struct State {
    name: &'static str,
    set: fn(&mut Persona),
    code: i32,
    /// On standard output where a backup began, and on standard error where it did not.
    says: &'static str,
}

const fn state(name: &'static str, set: fn(&mut Persona), code: i32, says: &'static str) -> State {
    State {
        name,
        set,
        code,
        says,
    }
}

fn tell_states(states: &[State]) {
    let mut table = Table::unix(small());
    table.back_up_well(&[]);
    each(
        states,
        |state| state.name,
        |state| {
            let before = Before::of(&table, state.name);
            let mut persona = small();
            (state.set)(&mut persona);
            table.replace(persona);
            let said = table.back_up(&[]);
            table.replace(small());
            assert_told(&said, state.name, state.code, &said.all(), state.says);
            if state.code != 0 {
                before.assert_untouched(&table);
            }
            live_on(&table);
            table.back_up_well(&[]);
        },
    );
}

#[test]
fn the_passcode() {
    tell_states(&[
        state(
            "never entered",
            |phone| {
                phone.passcode.answer = PromptAnswer::Wait;
                phone.passcode.timeout_s = 1.0;
            },
            7,
            "Nobody entered the passcode on the phone. Try again with the phone in your hand.",
        ),
        state(
            "dismissed",
            |phone| {
                phone.passcode.answer = PromptAnswer::Cancel;
                phone.passcode.after_s = 0.5;
            },
            7,
            "The question for the passcode was dismissed on the phone.",
        ),
        state(
            "late",
            |phone| phone.passcode.after_s = 1.5,
            0,
            "waiting for the passcode on the phone",
        ),
        state("none is set", |phone| phone.passcode.set = false, 0, WELL),
        state(
            "the screen is locked, and the passcode unlocks it",
            |phone| phone.passcode.locked = true,
            0,
            WELL,
        ),
    ]);
}

#[test]
fn a_phone_that_was_not_unlocked_since_it_was_switched_on() {
    let unlock =
        "The phone was restarted and has not been unlocked since. Unlock it once and try again.";
    fn switched_on(phone: &mut Persona) {
        phone.passcode.locked = true;
        phone.passcode.unlocked_since_boot = false;
    }
    tell_states(&[
        state("and says so", switched_on, 7, unlock),
        state(
            "and cannot read its own pair records",
            |phone| {
                switched_on(phone);
                phone.passcode.before_first_unlock = BeforeFirstUnlock::InvalidHostId;
            },
            7,
            "the backup cannot begin yet: it waits for the device to trust this computer",
        ),
        state(
            "and opens a session, but no files",
            |phone| {
                switched_on(phone);
                phone.passcode.before_first_unlock = BeforeFirstUnlock::Session;
            },
            7,
            unlock,
        ),
    ]);
}

#[test]
fn a_phone_that_is_not_ready() {
    tell_states(&[
        state(
            "in Setup Assistant",
            |phone| phone.setup = Setup::InProgress,
            7,
            "it waits for the device to finish its set-up or restore",
        ),
        state(
            "restoring from iCloud",
            |phone| phone.setup = Setup::Restoring,
            7,
            "it waits for the device to finish its set-up or restore",
        ),
        state(
            "its management wants encrypted backups",
            |phone| phone.local.requires_encryption = Some(RequiresEncryption::Number(1)),
            7,
            "The phone's management allows encrypted backups only, and no backup password is set.",
        ),
        state(
            "it does not know this computer",
            |phone| phone.trust.paired = false,
            7,
            "it waits for the device to trust this computer",
        ),
        state(
            "it is not there",
            |phone| phone.link.clear(),
            7,
            "the device is not connected\n  Connect it with a cable.",
        ),
        state(
            "it does not list its apps, which only Info.plist wants to know",
            |phone| {
                refuse(
                    phone,
                    "com.apple.mobile.installation_proxy",
                    "InvalidService",
                )
            },
            0,
            WELL,
        ),
        state(
            "its management forbids backups",
            |phone| refuse(phone, "com.apple.mobilebackup2", "ServiceProhibited"),
            7,
            "The phone's management forbids backups to a computer. Ask whoever manages it.",
        ),
        state(
            "it has no backup service",
            |phone| refuse(phone, "com.apple.mobilebackup2", "InvalidService"),
            7,
            "The phone does not offer com.apple.mobilebackup2, which a backup needs. Unlock it;",
        ),
    ]);
}

fn refuse(phone: &mut Persona, service: &str, error: &str) {
    let services = &mut phone.services.refuse;
    services.insert(service.to_owned(), error.to_owned());
}

#[test]
fn another_program_that_is_syncing() {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    live_on(&table);
    let before = Before::of(&table, "busy");
    assert!(table.phone().hold_sync_lock());
    let said = table.back_up(&[]);
    let busy = "Another program is synchronising with the phone (Finder, iTunes or the like).";
    assert_told(&said, "busy", 7, &said.out, busy);
    before.assert_untouched(&table);
    table.phone().release_sync_lock();
    table.back_up_well(&[]);
}

/// What somebody does about a phone that has fallen silent in the middle of a file.
fn silence(act: impl FnOnce(&Table, Running) -> Said, code: i32, says: &str) {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    live_on(&table);
    let before = Before::of(&table, says);
    set_faults(&table, "stall_after = 120_000");
    let run = table.start_backup(&[]);
    table.wait_for_silence();
    let said = act(&table, run);
    assert_told(&said, says, code, &said.out, says);
    before.assert_untouched(&table);
    heal(&table);
    table.back_up_well(&[]);
    before.assert_is_the_version(&table);
}

#[test]
fn silence_and_somebody_pulls_the_cable() {
    let unplug = |table: &Table, run: Running| {
        table.phone().unplug();
        run.end()
    };
    silence(unplug, 7, LOST);
}

#[test]
fn silence_and_somebody_presses_ctrl_c() {
    let stop = |_: &Table, mut run: Running| {
        run.signal("INT");
        run.end()
    };
    silence(
        stop,
        130,
        "The backup was stopped here. What has arrived is kept.",
    );
}

#[test]
fn silence_and_the_system_shuts_down() {
    let stop = |_: &Table, mut run: Running| {
        run.signal("TERM");
        run.end()
    };
    silence(
        stop,
        130,
        "The backup was stopped here. What has arrived is kept.",
    );
}

#[test]
fn silence_and_somebody_cancels_on_the_phone() {
    let cancel = |table: &Table, run: Running| {
        table.phone().request_sync_cancel();
        run.end()
    };
    silence(
        cancel,
        7,
        "The backup was stopped on the phone. What has arrived is kept.",
    );
}

/// What is known of the backup that is there is not forgotten for one that failed.
#[test]
fn a_failed_run_takes_nothing_away_from_what_status_says() {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    let local = || {
        let said: Said = peers::run(&mut table.ours(&["status", "--json"]), PATIENCE).into();
        let status: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let local = &status["devices"][0]["local"];
        let of = |key: &str| local[key].clone();
        [of("state"), of("level"), of("last"), of("encrypted")]
    };
    let before = local();
    assert_eq!(before[0], "verified");
    assert_eq!(before[1], "L2");
    live_on(&table);
    for faults in [
        "unplug_after = 120_000",
        "rogue = [{ at = 'end', send = { upload = '../x' } }]",
    ] {
        set_faults(&table, faults);
        assert!(!table.back_up(&[]).ok());
        assert_eq!(local(), before, "{faults}");
        heal(&table);
    }
    table.back_up_well(&[]);
    assert_ne!(local()[2], before[2]);
}

/// Two at once are one too many, and the first is not disturbed.
#[test]
fn a_second_command_on_the_same_state() {
    let table = Table::unix(small());
    set_faults(&table, "stall_after = 120_000");
    let run = table.start_backup(&[]);
    table.wait_for_silence();
    let said = table.back_up(&[]);
    let running = "another backupwatch command is at work (process ";
    assert_told(&said, "the second", 2, &said.err, running);
    set_faults(&table, "");
    table.phone().unplug();
    assert!(run.end().out.contains(LOST));
    heal(&table);
    table.back_up_well(&[]);
}
