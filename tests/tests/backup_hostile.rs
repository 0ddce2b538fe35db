//! Malice, through the very binary: a phone that sends what no phone sends. Nothing outside its own work is read, written or
//! removed; what it says of itself is not believed; the person is told in a sentence; the backup before is as it was to the byte,
//! and once the phone behaves the next run ends well (`backupwatch_e2e::story`).

use backupwatch_e2e::{
    story::{
        Before, assert_nothing_escaped, assert_told, each, heal, live_on, row, set_faults, small,
        tell,
    },
    table::Table,
};

const WELL: &str = "The backup is complete and was checked on disk (L2, not encrypted,";
const REFUSED: &str = "Everything arrived, but the check on disk (L0) found fault: a file or request of the phone was refused or could not be carried out.";
const NONSENSE: &str = "The phone said something that does not belong there: ";

#[test]
fn odd_but_answered() {
    tell(&[
        row(
            "a message of tomorrow",
            "rogue = [{ at = 'uploading', send = { unknown = 'DLMessageSelfDestruct' } }]",
            0,
            WELL,
        ),
        row(
            "a ping",
            "rogue = [{ at = 'moving', send = 'ping' }]",
            0,
            WELL,
        ),
        row(
            "a thousand empty frames",
            "rogue = [{ at = 'uploading', send = 'empty-frames' }]",
            0,
            WELL,
        ),
        row(
            "one destination twice",
            "rogue = [{ at = 'uploading', send = { upload-twice = '{udid}/Snapshot/twice' } }]",
            0,
            WELL,
        ),
        row(
            "an Info.plist of its own",
            "rogue = [{ at = 'end', send = { upload = '{udid}/Info.plist' } }]",
            0,
            WELL,
        ),
        row(
            "a folder that is there",
            "rogue = [{ at = 'uploading', send = { create-directory = '{udid}/Snapshot' } }]",
            0,
            WELL,
        ),
    ]);
}

#[test]
fn paths_that_lead_out_for_writing() {
    tell(&[
        row(
            "up",
            "rogue = [{ at = 'uploading', send = { upload = '../outside/escaped' } }]",
            8,
            REFUSED,
        ),
        row(
            "up from within",
            "rogue = [{ at = 'moving', send = { upload = '{udid}/Snapshot/../../escaped' } }]",
            8,
            REFUSED,
        ),
        row(
            "absolute",
            "rogue = [{ at = 'start', send = { upload = '{home}/escaped' } }]",
            8,
            REFUSED,
        ),
        row(
            "to another phone",
            "rogue = [{ at = 'uploading', send = { upload = '00008101-000A11112222BEEF/escaped' } }]",
            8,
            REFUSED,
        ),
        row(
            "into what is ours",
            "rogue = [{ at = 'uploading', send = { upload = '.backupwatch/marker.json' } }]",
            8,
            REFUSED,
        ),
        row(
            "with a NUL",
            "rogue = [{ at = 'uploading', send = 'upload-nul' }]",
            8,
            REFUSED,
        ),
        row(
            "a folder",
            "rogue = [{ at = 'end', send = { create-directory = '{home}/new' } }]",
            8,
            REFUSED,
        ),
    ]);
}

#[test]
fn paths_that_lead_out_for_reading_and_removing() {
    tell(&[
        row(
            "a download",
            "rogue = [{ at = 'uploading', send = { download = '../../etc/passwd' } }]",
            8,
            REFUSED,
        ),
        row(
            "a listing",
            "rogue = [{ at = 'uploading', send = { list = '{home}' } }]",
            8,
            REFUSED,
        ),
        row(
            "a listing of dots",
            "rogue = [{ at = 'start', send = { list = '{udid}/../..' } }]",
            8,
            REFUSED,
        ),
        row(
            "a removal",
            "rogue = [{ at = 'uploading', send = { remove = '../outside/canary' } }]",
            8,
            REFUSED,
        ),
        row(
            "a removal by an absolute path",
            "rogue = [{ at = 'end', send = { remove = '{home}/canary' } }]",
            8,
            REFUSED,
        ),
        row(
            "a removal of the whole backup",
            "rogue = [{ at = 'start', send = { remove = '{udid}' } }]",
            8,
            REFUSED,
        ),
        row(
            "a removal of all backups",
            "rogue = [{ at = 'moving', send = { remove = '.' } }]",
            8,
            REFUSED,
        ),
    ]);
}

#[test]
fn paths_that_lead_out_for_moving_and_copying() {
    tell(&[
        row(
            "moved in",
            "rogue = [{ at = 'uploading', send = { move = { from = '{home}/canary', to = '{udid}/canary' } } }]",
            8,
            REFUSED,
        ),
        row(
            "moved out",
            "rogue = [{ at = 'moving', send = { move = { from = '{udid}/Status.plist', to = '../outside/canary' } } }]",
            8,
            REFUSED,
        ),
        row(
            "moved all",
            "rogue = [{ at = 'end', send = { move = { from = '{udid}', to = '{home}/all' } } }]",
            8,
            REFUSED,
        ),
        row(
            "copied in",
            "rogue = [{ at = 'uploading', send = { copy = { from = '{home}/canary', to = '{udid}/Snapshot/x' } } }]",
            8,
            REFUSED,
        ),
        row(
            "copied out",
            "rogue = [{ at = 'end', send = { copy = { from = '{udid}/Status.plist', to = '{home}/canary' } } }]",
            8,
            REFUSED,
        ),
    ]);
}

/// All of it is within the phone's own folder, so it is done; the check on disk finds it.
#[test]
fn a_backup_that_is_spoilt_from_within_and_called_a_success() {
    tell(&[
        row(
            "a blob is removed",
            "rogue = [{ at = 'end', send = { remove = '{udid}/{big}' } }]",
            8,
            "1 file missing or of the wrong size",
        ),
        row(
            "a blob is another file",
            "rogue = [{ at = 'end', send = { upload = '{udid}/{big}' } }]",
            8,
            "1 file missing or of the wrong size",
        ),
        row(
            "a blob is moved away",
            "rogue = [{ at = 'end', send = { move = { from = '{udid}/{big}', to = '{udid}/00/moved' } } }]",
            8,
            "00/moved does not belong there, and 2 more",
        ),
        row(
            "a file that nobody knows",
            "rogue = [{ at = 'end', send = { upload = '{udid}/00/stray' } }]",
            8,
            "stray",
        ),
        row(
            "the manifest is rubbish",
            "rogue = [{ at = 'end', send = { upload = '{udid}/Manifest.db' } }]",
            8,
            "Manifest.db",
        ),
        row(
            "the manifest is gone",
            "rogue = [{ at = 'end', send = { remove = '{udid}/Manifest.db' } }]",
            8,
            "Manifest.db",
        ),
        row(
            "the status is gone",
            "rogue = [{ at = 'end', send = { remove = '{udid}/Status.plist' } }]",
            8,
            "Status.plist",
        ),
    ]);
}

#[test]
fn a_success_out_of_turn() {
    tell(&[
        row(
            "before anything",
            "rogue = [{ at = 'start', send = 'success' }]",
            8,
            "it did not write its status",
        ),
        row(
            "before the files",
            "rogue = [{ at = 'uploading', send = 'success' }]",
            8,
            "the phone did not finish: its status is \"uploading\"",
        ),
        row(
            "before the moves",
            "rogue = [{ at = 'moving', send = 'success' }]",
            8,
            "the phone did not finish: its status is \"uploading\"",
        ),
    ]);
}

#[test]
fn what_is_no_protocol() {
    tell(&[
        row(
            "a frame without a code",
            "rogue = [{ at = 'uploading', send = 'zero-frame' }]",
            7,
            NONSENSE,
        ),
        row(
            "a path of 2 GiB",
            "rogue = [{ at = 'uploading', send = 'huge-path' }]",
            7,
            NONSENSE,
        ),
        row(
            "a message of 4 GiB",
            "rogue = [{ at = 'start', send = 'huge-message' }]",
            7,
            NONSENSE,
        ),
        row(
            "rubbish",
            "rogue = [{ at = 'moving', send = 'rubbish' }]",
            7,
            NONSENSE,
        ),
        row(
            "a property list that is no message",
            "rogue = [{ at = 'end', send = 'not-a-message' }]",
            7,
            NONSENSE,
        ),
        row(
            "a greeting out of turn",
            "rogue = [{ at = 'uploading', send = 'version-exchange' }]",
            7,
            NONSENSE,
        ),
        row(
            "a goodbye in the middle",
            "rogue = [{ at = 'uploading', send = 'disconnect' }]",
            7,
            "The connection to the phone was lost.",
        ),
    ]);
}

/// A promise of more than ever comes is answered with patience, and not with memory: somebody pulls the cable in the end.
#[test]
fn promises_that_are_not_kept() {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    each(
        &["huge-frame", "status"],
        |send| send,
        |send| {
            live_on(&table);
            let before = Before::of(&table, send);
            set_faults(
                &table,
                &format!("rogue = [{{ at = 'uploading', send = '{send}' }}]"),
            );
            let run = table.start_backup(&[]);
            table.wait_for_silence();
            let resident = run.resident();
            table.phone().unplug();
            let said = run.end();
            assert_told(
                &said,
                send,
                7,
                &said.out,
                "The connection to the phone was lost.",
            );
            assert!(resident < 64 << 20, "{send}: {resident} bytes of memory");
            before.assert_untouched(&table);
            heal(&table);
            table.back_up_well(&[]);
            assert_nothing_escaped(&table, send);
        },
    );
}
