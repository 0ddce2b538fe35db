//! How a run ends: what arrived is proved and becomes the current backup, or it is put away for the next run.
//!
//! Not here: what makes it the current one (`store`), and what a whole tree is (`verify`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backupwatch_core::run::{Phase, RunFailure};
use backupwatch_core::{HostTime, Level, LocalCopy, Udid};
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::Attendant;
use super::stop::Stop;
use super::tally::Tally;
use super::{End, Notes, blocking, with_cause};
use crate::disk;
use crate::info::{self, Extras};
use crate::ledger::Ledger;
use crate::port::{About, Clock};
use crate::store::{Run, WorkTree};
use crate::verify::{self, VerifyReport};

/// Everything arrived, says the phone: proves it, and makes it the current backup.
#[expect(
    clippy::too_many_arguments,
    reason = "the end of a run, where all of it comes together"
)]
pub(super) async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
    run: Run,
    mut ledger: Ledger,
    clock: &dyn Clock,
    attendant: &mut Attendant<S>,
    udid: &Udid,
    about: &About,
    extras: &Extras,
    tally: &Tally,
    notes: &mut Notes,
) -> Result<LocalCopy, End> {
    attendant.phase(Phase::Verifying);
    // What was moved goes to the medium while it is looked at.
    run.tree().ahead().begin();
    let now = clock.now();
    let checked = match refused_l0(tally) {
        Some(failure) => Err(End::NotWhole(failure)),
        None => {
            let tree = run.tree();
            let guid = blocking({
                let tree = Arc::clone(&tree);
                move || existing_guid(&tree)
            })
            .await?;
            let info = info::compose(udid, about, extras, guid, now)
                .map_err(|e| Stop::Host(e.to_string()))?;
            let (folder, udid, stop) =
                (run.folder(), udid.clone(), Arc::new(AtomicBool::new(false)));
            let told = Arc::clone(&stop);
            let mut work = std::pin::pin!(blocking(move || {
                write_info(&tree, &info)?;
                let report = verify::check(&tree, &folder, &udid, Some(&mut ledger), &told);
                match report {
                    Ok(report) => Ok((report, ledger)),
                    Err(verify::VerifyError::Stopped) => Err(Stop::Cancelled.into()),
                    Err(e) if e.is_damage() => Err(End::NotWhole(RunFailure::Verification {
                        level: Level::L1,
                        missing: 0,
                        detail: with_cause(&e),
                    })),
                    Err(e) => Err(Stop::Host(with_cause(&e)).into()),
                }
            }));
            let checked = tokio::select! {
                checked = &mut work => checked,
                () = attendant.cancel.cancelled() => {
                    stop.store(true, Ordering::Relaxed);
                    work.await
                }
            };
            checked.map_err(End::Stopped).and_then(|checked| checked)
        }
    };
    let (report, ledger) = match checked {
        Ok(checked) => checked,
        Err(end) => {
            let after = match end {
                End::NotWhole(_) => After::NoGood,
                End::Stopped(_) => After::Nothing,
            };
            put_away(run, after, notes).await;
            return Err(end);
        }
    };
    notes.warnings.extend(report.notes.iter().cloned());
    let Some(copy) = verified(&report, now) else {
        let failure = not_whole(&report);
        drop(ledger);
        put_away(run, After::NoGood, notes).await;
        return Err(End::NotWhole(failure));
    };
    attendant.phase(Phase::Committing);
    let told = copy.clone();
    blocking(move || run.commit(ledger, &told))
        .await?
        .map_err(Stop::from)?;
    Ok(copy)
}

/// L0: the phone wrote its status in this run, and nothing that it asked for was refused.
fn refused_l0(tally: &Tally) -> Option<RunFailure> {
    let detail = match (tally.status_written, tally.refusals()) {
        (true, 0) => return None,
        (false, _) => "the phone says that it finished, but it did not write its status".to_owned(),
        (true, 1) => {
            "a file or request of the phone was refused or could not be carried out".to_owned()
        }
        (true, count) => format!(
            "{count} files or requests of the phone were refused or could not be carried out"
        ),
    };
    // What was refused is in the report; no manifest has been looked at that could miss a file.
    Some(RunFailure::Verification {
        level: Level::L0,
        missing: 0,
        detail,
    })
}

fn verified(report: &VerifyReport, at: HostTime) -> Option<LocalCopy> {
    let level = report.level.filter(|_| report.is_verified())?;
    Some(LocalCopy {
        level,
        at,
        encrypted: report.encrypted,
        bytes: report.bytes,
        files: report.files,
    })
}

fn not_whole(report: &VerifyReport) -> RunFailure {
    let level = match report.level {
        None | Some(Level::L0) => Level::L1,
        Some(Level::L1 | Level::L2 | Level::L3 | Level::L4) => Level::L2,
    };
    let first = report.findings.first().map(ToString::to_string);
    let detail = match (first, report.wrong) {
        (Some(first), 0 | 1) => first,
        (Some(first), wrong) => format!("{first}, and {} more", wrong - 1),
        (None, _) => "the check came to no end".to_owned(),
    };
    RunFailure::Verification {
        level,
        missing: report.missing,
        detail,
    }
}

/// What a run says about its work tree when it is put away.
#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    /// It is gone on with.
    Nothing,
    /// It is gone on with, but not for ever.
    Fruitless,
    /// The next run begins anew.
    NoGood,
}

/// Ends a run that did not end well. What fails here is told with the report.
pub(super) async fn put_away(run: Run, after: After, notes: &mut Notes) {
    let done = blocking(move || match after {
        After::Nothing => run.pause(false),
        After::Fruitless => run.pause(true),
        After::NoGood => run.condemn(),
    })
    .await;
    let failed = match done {
        Ok(Ok(())) => return,
        Ok(Err(e)) => e.to_string(),
        Err(_) => "a thread of the store broke".to_owned(),
    };
    notes.warnings.push(format!(
        "the interrupted backup was not put away in order: {failed}"
    ));
}

fn existing_guid(tree: &WorkTree) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = tree.open_file("Info.plist").ok()?;
    disk::Reading(&file)
        .take(8 << 20)
        .read_to_end(&mut bytes)
        .ok()?;
    info::guid_in(&bytes)
}

fn write_info(tree: &WorkTree, info: &[u8]) -> Result<(), Stop> {
    let written = tree
        .begin("Info.plist")
        .map_err(io::Error::from)
        .and_then(|mut part| {
            part.write(info)?;
            part.keep(true)
        });
    written.map_err(|e| Stop::Host(format!("failed to write Info.plist: {e}")))
}
