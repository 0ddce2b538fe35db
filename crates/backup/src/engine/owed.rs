//! What the phone has not been told yet: files are written and put in their places while it goes on, and it hears of what went
//! wrong with the next answer.
//!
//! Nothing is lost by that. What went wrong is counted at once, and a backup with a refusal is not whole, whatever the phone
//! says. Whatever is no blob, above all the phone's word that it goes over to something else, waits for everything before it and
//! is not written while something is owed (see `receive`).

use std::io;
use std::time::Duration;

use backupwatch_wire::devicelink::{ItemError, StatusCode, StatusResponse};
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::{Attendant, BETWEEN};
use super::pool::{Faults, Pool};
use super::stop::Stop;
use super::tally::Tally;

/// Item errors in one answer. More than that is no batch of a phone's, and the answer is one error for all.
const MAX_ERRORS: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Owed {
    items: Vec<ItemError>,
    lost: bool,
}

impl Owed {
    pub(super) fn push(&mut self, path: String, code: StatusCode, text: String) {
        if self.items.len() < MAX_ERRORS {
            self.items.push(ItemError { path, code, text });
        } else {
            self.lost = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && !self.lost
    }

    /// The answer that tells it.
    pub(super) fn answer(&mut self) -> StatusResponse {
        let Self { items, lost } = std::mem::take(self);
        if lost {
            return StatusResponse::error(StatusCode::Generic);
        }
        StatusResponse::of_items(&items)
    }

    /// Counts what has gone wrong so far.
    pub(super) fn hear(&mut self, pool: &Pool, tally: &mut Tally) {
        self.count(pool.faults(), pool, tally);
    }

    /// Waits until everything that was answered is done.
    pub(super) async fn settle<N>(
        &mut self,
        pool: &Pool,
        attendant: &mut Attendant<N>,
        tally: &mut Tally,
    ) -> Result<(), Stop>
    where
        N: AsyncRead + AsyncWrite + Unpin,
    {
        let faults = on_disk(attendant, pool.settle()).await?;
        self.count(faults, pool, tally);
        Ok(())
    }

    fn count(&mut self, faults: Faults, pool: &Pool, tally: &mut Tally) {
        self.lost |= faults.lost > 0;
        for fault in faults.kept {
            let seen = &mut tally.seen;
            seen.trouble |= !is_about_names(fault.code);
            if fault.code == StatusCode::NoSpace {
                seen.disk_full = seen.disk_full.or_else(|| Some(pool.free()));
            }
            let what = fault.what;
            seen.host_error.get_or_insert_with(|| {
                format!("failed to {what} a file of the backup: {}", fault.text)
            });
            tally.refused(&fault.inside, fault.code, &fault.text);
            self.push(fault.key, fault.code, fault.text);
        }
    }
}

/// Awaits this computer's disk, and not the phone.
pub(super) async fn on_disk<N, T>(
    attendant: &mut Attendant<N>,
    what: impl Future<Output = io::Result<T>>,
) -> Result<T, Stop>
where
    N: AsyncRead + AsyncWrite + Unpin,
{
    let minutes = |limit: Duration| limit.as_secs() / 60;
    match attendant.during(BETWEEN, what).await {
        Err(Stop::Silent(limit)) => Err(Stop::Host(format!(
            "the disk took no data for {} minutes",
            minutes(limit)
        ))),
        Err(Stop::Unplugged) => Err(Stop::Internal("a writer thread broke".to_owned())),
        other => other,
    }
}

/// Whether it could not be done for what is in the tree, and so could not be the next time.
fn is_about_names(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::NotFound
            | StatusCode::Exists
            | StatusCode::NotADirectory
            | StatusCode::IsADirectory
            | StatusCode::SymlinkLoop
    )
}

#[cfg(test)]
mod tests;
