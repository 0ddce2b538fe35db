//! How a run ended, as a stable code and in words for the person. The decision what to do about it is `core`'s.

use backupwatch_core::run::{CancelledBy, Phase, Progress, RunEnd, RunFailure, RunKind, RunReport};
use backupwatch_core::verdict::Level;
use backupwatch_core::words::{files, size};

use crate::api::words;
use crate::errand::Run;
use crate::exit::ExitCode;
use crate::verification::Verification;

/// The stable code of an end.
pub fn outcome(end: &RunEnd) -> &'static str {
    let failure = match end {
        RunEnd::Verified(_) => return "verified",
        RunEnd::Failed(failure) => failure,
    };
    match failure {
        RunFailure::PasscodeTimeout => "passcode_timeout",
        RunFailure::PasscodeCancelled => "passcode_cancelled",
        RunFailure::DeviceLocked => "device_locked",
        RunFailure::Unplugged => "unplugged",
        RunFailure::Cancelled { .. } => "cancelled",
        RunFailure::HostNoSpace { .. } => "host_no_space",
        RunFailure::DeviceNoSpace => "device_no_space",
        RunFailure::Busy => "busy",
        RunFailure::StoreInUse => "store_in_use",
        RunFailure::StoreMissing => "store_missing",
        RunFailure::NotTrusted => "not_trusted",
        RunFailure::NeverUnlocked => "never_unlocked",
        RunFailure::EncryptionRequired => "encryption_required",
        RunFailure::Prohibited => "prohibited",
        RunFailure::ServiceMissing { .. } => "service_missing",
        RunFailure::SettingUp => "setting_up",
        RunFailure::BackupCorrupt => "backup_corrupt",
        RunFailure::Verification { .. } => "verification",
        RunFailure::Protocol(_) => "protocol",
        RunFailure::Device { .. } => "device",
        RunFailure::Io(_) => "io",
        RunFailure::Internal(_) => "internal",
    }
}

/// What the process that made the run ends with.
pub fn exit_code(end: &RunEnd) -> ExitCode {
    match end {
        RunEnd::Verified(_) => ExitCode::Ok,
        RunEnd::Failed(RunFailure::Verification { .. }) => ExitCode::VerificationFailed,
        RunEnd::Failed(RunFailure::Internal(_)) => ExitCode::Internal,
        RunEnd::Failed(RunFailure::Cancelled {
            by: CancelledBy::Person,
        }) => ExitCode::Interrupted,
        RunEnd::Failed(_) => ExitCode::BackupFailed,
    }
}

/// One or two sentences: what happened, and the next step.
pub fn sentence(end: &RunEnd) -> String {
    let failure = match end {
        RunEnd::Verified(copy) => {
            let sort = if copy.encrypted {
                "encrypted"
            } else {
                "not encrypted"
            };
            return format!(
                "The backup is complete and was checked on disk ({}, {sort}, {}, {}).",
                level(copy.level),
                size(copy.bytes),
                files(copy.files)
            );
        }
        RunEnd::Failed(failure) => failure,
    };
    match failure {
        RunFailure::PasscodeTimeout => "Nobody entered the passcode on the phone. Try again with the phone in your hand.".to_owned(),
        RunFailure::PasscodeCancelled => {
            "The question for the passcode was dismissed on the phone. Try again, and enter the passcode there.".to_owned()
        }
        RunFailure::DeviceLocked => "The phone is locked. Unlock it and try again.".to_owned(),
        RunFailure::Unplugged => "The connection to the phone was lost. Plug it in again; what has arrived is kept.".to_owned(),
        RunFailure::Cancelled { by: CancelledBy::Person } => "The backup was stopped here. What has arrived is kept.".to_owned(),
        RunFailure::Cancelled { by: CancelledBy::Phone } => {
            "The backup was stopped on the phone. What has arrived is kept.".to_owned()
        }
        RunFailure::Cancelled { by: CancelledBy::Shutdown } => {
            "The backup was stopped because the agent ended. What has arrived is kept.".to_owned()
        }
        // How much it takes nobody knows before the phone was asked.
        RunFailure::HostNoSpace { need: 0, free } => {
            format!("This computer's disk has {} free, which is not enough for a backup. Make room, or choose another disk by `backup.root`.", size(*free))
        }
        RunFailure::HostNoSpace { need, free } => {
            format!("This computer's disk has {} free, and the backup needs {}. Make room, or choose another disk by `backup.root`.", size(*free), size(*need))
        }
        RunFailure::DeviceNoSpace => "The phone has no room to prepare a backup. Delete something on it and try again.".to_owned(),
        RunFailure::Busy => "Another program is synchronising with the phone (Finder, iTunes or the like). Try again when it is done.".to_owned(),
        RunFailure::StoreInUse => "Another process is using this folder of backups. Try again when it is done.".to_owned(),
        RunFailure::StoreMissing => "The folder or disk for backups is not there. Connect it, or set `backup.root`.".to_owned(),
        RunFailure::NotTrusted => "The phone does not trust this computer. Unlock it, run `backupwatch pair` and tap Trust.".to_owned(),
        RunFailure::NeverUnlocked => "The phone was restarted and has not been unlocked since. Unlock it once and try again.".to_owned(),
        RunFailure::EncryptionRequired => {
            "The phone's management allows encrypted backups only, and no backup password is set. Set one in Finder first.".to_owned()
        }
        RunFailure::Prohibited => "The phone's management forbids backups to a computer. Ask whoever manages it.".to_owned(),
        RunFailure::ServiceMissing { service } => {
            format!("The phone does not offer {service}, which a backup needs. Unlock it; if that does not help, restart it and try again.")
        }
        RunFailure::SettingUp => "The phone is being set up or restored. Try again when it is done.".to_owned(),
        RunFailure::BackupCorrupt => "The phone calls the interrupted backup on this disk damaged. Try again with `--full`.".to_owned(),
        RunFailure::Verification { level: failed, missing, detail } => {
            let missing = match missing {
                0 => String::new(),
                1 => ", 1 file missing or of the wrong size".to_owned(),
                n => format!(", {} missing or of the wrong size", files(*n)),
            };
            format!("Everything arrived, but the check on disk ({}) found fault{missing}: {detail}. The backup before it is untouched; try again with `--full`.", level(*failed))
        }
        RunFailure::Protocol(what) => format!("The phone said something that does not belong there: {what}. Try again; if it stays, restart the phone."),
        RunFailure::Device { code, text } => format!("The phone ended the backup with its error {code}: {text}."),
        RunFailure::Io(what) => format!("Reading or writing on this computer failed: {what}."),
        RunFailure::Internal(what) => format!("backupwatch itself broke: {what}. Please report this."),
    }
}

/// A report as the local API and `--json` give it.
pub fn summary(report: &RunReport) -> words::RunSummary {
    let copy = match &report.end {
        RunEnd::Verified(copy) => Some(copy),
        RunEnd::Failed(_) => None,
    };
    words::RunSummary {
        udid: report.udid.to_string(),
        started: report.started.0,
        ended: report.ended.0,
        ok: copy.is_some(),
        outcome: outcome(&report.end).to_owned(),
        words: sentence(&report.end),
        kind: match report.kind {
            RunKind::Full => "full",
            RunKind::Incremental => "incremental",
        }
        .to_owned(),
        level: copy.map(|copy| level(copy.level).to_owned()),
        encrypted: copy.map(|copy| copy.encrypted),
        bytes: report.bytes,
        files: report.files,
        refused: u64::try_from(report.refused.len()).unwrap_or(u64::MAX),
        warnings: report.warnings.clone(),
    }
}

/// A later look at a backup, as the history gives it.
pub fn verification(check: &Verification) -> words::VerificationEntry {
    words::VerificationEntry {
        udid: check.udid.to_string(),
        at: check.at.0,
        version: check.version.clone(),
        ok: check.is_whole(),
        level: check.level.map(|deep| level(deep).to_owned()),
        files: check.files,
        bytes: check.bytes,
        reread_files: check.reread_files,
        wrong: check.wrong,
        scheduled: check.scheduled,
        words: check.words(),
    }
}

/// A run of the program after a backup, as the history gives it.
pub fn program(run: &Run) -> words::ProgramEntry {
    words::ProgramEntry {
        udid: run.udid.to_string(),
        started: run.started.0,
        ended: run.ended.0,
        ok: run.ok,
        outcome: run.outcome.clone(),
        words: run.words.clone(),
    }
}

/// Progress as the local API and `--json` give it.
pub fn progress(progress: &Progress) -> words::Progress {
    words::Progress {
        phase: phase(progress.phase).to_owned(),
        percent: progress.percent,
        bytes: progress.bytes,
        files: progress.files,
    }
}

/// The stable code of a phase.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::WaitingForPasscode => "waiting_for_passcode",
        Phase::Preparing => "preparing",
        Phase::Transferring => "transferring",
        Phase::Moving => "moving",
        Phase::Verifying => "verifying",
        Phase::Committing => "committing",
    }
}

/// The stable code of a level.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::L0 => "L0",
        Level::L1 => "L1",
        Level::L2 => "L2",
        Level::L3 => "L3",
        Level::L4 => "L4",
    }
}

/// The depth of a level, by its code.
pub(crate) fn depth(code: &str) -> Option<u8> {
    let levels = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L4];
    (0..)
        .zip(levels)
        .find(|(_, one)| level(*one) == code)
        .map(|(depth, _)| depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_failure() -> Vec<RunFailure> {
        vec![
            RunFailure::PasscodeTimeout,
            RunFailure::PasscodeCancelled,
            RunFailure::DeviceLocked,
            RunFailure::Unplugged,
            RunFailure::Cancelled {
                by: CancelledBy::Person,
            },
            RunFailure::Cancelled {
                by: CancelledBy::Phone,
            },
            RunFailure::Cancelled {
                by: CancelledBy::Shutdown,
            },
            RunFailure::HostNoSpace {
                need: 64_000_000_000,
                free: 1_950_000_000,
            },
            RunFailure::DeviceNoSpace,
            RunFailure::Busy,
            RunFailure::StoreInUse,
            RunFailure::StoreMissing,
            RunFailure::NotTrusted,
            RunFailure::NeverUnlocked,
            RunFailure::EncryptionRequired,
            RunFailure::Prohibited,
            RunFailure::ServiceMissing {
                service: "com.apple.mobilebackup2".to_owned(),
            },
            RunFailure::SettingUp,
            RunFailure::BackupCorrupt,
            RunFailure::Verification {
                level: Level::L2,
                missing: 3,
                detail: "no blob for 3f/3f1a".to_owned(),
            },
            RunFailure::Protocol("a frame of 4 GB".to_owned()),
            RunFailure::Device {
                code: 1,
                text: "Multiple errors".to_owned(),
            },
            RunFailure::Io("disk quota exceeded".to_owned()),
            RunFailure::Internal("a job panicked".to_owned()),
        ]
    }

    /// The codes and the exit codes are a contract; the sentences are for people and pinned so that they get read.
    #[test]
    fn every_end_has_a_code_a_sentence_and_an_exit_code() {
        let lines: Vec<String> = every_failure()
            .into_iter()
            .map(RunEnd::Failed)
            .map(|end| {
                format!(
                    "{} ({}): {}",
                    outcome(&end),
                    exit_code(&end).code(),
                    sentence(&end)
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
