//! How each failure of a backup is said: what happened, and the one next step.
//!
//! The device's own texts never stand here: they can hold file paths (`protocol.md` section 10).

use super::{files, size};
use crate::run::{CancelledBy, RunFailure};

/// What happened, as a fragment, and the one next step, as a sentence.
pub fn words(failure: &RunFailure, noun: &str) -> (String, String) {
    let say = |what: String, step: String| (what, step);
    match failure {
        RunFailure::PasscodeTimeout => say(
            format!("nobody entered the passcode on the {noun}"),
            "Choose Back Up Now when you have it at hand.".into(),
        ),
        RunFailure::PasscodeCancelled => say(
            format!("the question for the passcode was dismissed on the {noun}"),
            "Choose Back Up Now when you have it at hand.".into(),
        ),
        RunFailure::DeviceLocked => say(
            format!("the {noun} was locked"),
            format!("Unlock the {noun} and try again."),
        ),
        RunFailure::Unplugged => say(
            format!("the connection to the {noun} ended"),
            "Connect it again; what arrived is kept, and the backup goes on from there.".into(),
        ),
        RunFailure::Cancelled {
            by: CancelledBy::Person,
        } => say("it was stopped here".into(), String::new()),
        RunFailure::Cancelled {
            by: CancelledBy::Phone,
        } => say(
            format!("it was stopped on the {noun}"),
            "Choose Back Up Now to go on.".into(),
        ),
        RunFailure::Cancelled {
            by: CancelledBy::Shutdown,
        } => say("the agent was ended".into(), String::new()),
        RunFailure::HostNoSpace { need, free } => say(
            format!(
                "this computer's disk is full: {} needed, {} free",
                size(*need),
                size(*free)
            ),
            "Make room, or choose another disk for backups.".into(),
        ),
        RunFailure::DeviceNoSpace => say(
            format!("the {noun} is too full to prepare a backup"),
            format!("Make some room on the {noun}."),
        ),
        RunFailure::Busy => say(
            format!("another program is synchronising with the {noun}"),
            "Let it finish, or quit it.".into(),
        ),
        RunFailure::StoreInUse => say(
            "another backup is using the same folder".into(),
            "Let it finish.".into(),
        ),
        RunFailure::StoreMissing => say(
            "the folder or disk for backups is not there".into(),
            "Connect the disk with the local backups.".into(),
        ),
        RunFailure::NotTrusted => say(
            format!("the {noun} does not trust this computer"),
            format!("Unlock the {noun}, tap Trust and enter its passcode."),
        ),
        RunFailure::NeverUnlocked => say(
            format!("the {noun} has restarted and has not been unlocked since"),
            format!("Unlock the {noun} once while it is connected."),
        ),
        RunFailure::EncryptionRequired => say(
            format!("the {noun} is managed and allows encrypted backups only"),
            "Set a backup password in Finder, iTunes or the Apple Devices app.".into(),
        ),
        RunFailure::Prohibited => say(
            format!("the {noun} is managed and forbids backups to a computer"),
            "Ask whoever manages it.".into(),
        ),
        RunFailure::ServiceMissing { .. } => say(
            format!("the {noun} does not offer backups to a computer just now"),
            format!("Unlock the {noun}; if that does not help, restart it and try again."),
        ),
        RunFailure::SettingUp => say(
            format!("the {noun} is being set up or restored"),
            "Let it finish first.".into(),
        ),
        RunFailure::BackupCorrupt => say(
            format!("the {noun} calls the unfinished copy damaged"),
            "Choose Back Up Now to begin a new one.".into(),
        ),
        RunFailure::Verification { missing, .. } => say(
            match missing {
                0 => "everything arrived, but the check on disk found fault".into(),
                count => format!(
                    "everything arrived, but the check on disk found {} missing or damaged",
                    files(*count)
                ),
            },
            "Choose Back Up Now to fetch them again.".into(),
        ),
        RunFailure::Protocol(_) => say(
            format!("the {noun} answered in a way that makes no sense"),
            format!("Restart the {noun} and try again."),
        ),
        RunFailure::Device { code, .. } => say(
            format!("the {noun} ended the backup with error {code}"),
            format!("Restart the {noun} and try again."),
        ),
        RunFailure::Io(_) => say(
            "reading or writing on this computer's disk failed".into(),
            "Check the disk for backups.".into(),
        ),
        RunFailure::Internal(_) => say(
            "an internal error stopped it".into(),
            "The log has the details.".into(),
        ),
    }
}
