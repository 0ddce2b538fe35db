//! What is accounted for in the report: files that are not in the backup, and what explains a failure.

use backupwatch_core::run::RefusedFile;
use backupwatch_wire::devicelink::StatusCode;

use super::stop::Seen;

/// Files that a report names; the others are counted.
const MAX_NAMED: usize = 1000;

/// Odd things of one run that the log tells.
const MAX_LOGGED: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) seen: Seen,
    /// The phone has written its Status.plist in this run.
    pub(super) status_written: bool,
    /// Files that the phone could not send to their end, by their place in the backup; one that comes whole later is taken
    /// off again.
    failed: Vec<RefusedFile>,
    failed_more: u64,
    /// Files and requests that this computer refused or could not write.
    refused: Vec<RefusedFile>,
    refused_more: u64,
    /// What was odd and is worth a line in the log.
    odd: u32,
}

impl Tally {
    /// The phone gave a file up.
    pub(super) fn device_failed(&mut self, place: &str, code: StatusCode, words: &str) {
        self.device_sent(place);
        let why = if words.is_empty() {
            code.words()
        } else {
            words
        };
        push(&mut self.failed, &mut self.failed_more, place, why, code);
    }

    /// The phone sent a file whole, perhaps on its second try.
    pub(super) fn device_sent(&mut self, place: &str) {
        if !self.failed.is_empty() {
            self.failed.retain(|file| file.path != place);
        }
    }

    /// We did not do what the phone asked for.
    pub(super) fn refused(&mut self, place: &str, code: StatusCode, why: &str) {
        push(&mut self.refused, &mut self.refused_more, place, why, code);
    }

    /// Whether one more odd thing goes to the log. A phone can do odd things for hours, and the log is on somebody's disk.
    pub(super) fn logs_oddity(&mut self) -> bool {
        self.odd = self.odd.saturating_add(1);
        self.odd <= MAX_LOGGED
    }

    /// How many things of this backup we refused: with one it is not whole, whatever the phone says.
    pub(super) fn refusals(&self) -> u64 {
        self.refused_more + self.refused.len() as u64
    }

    /// For the report.
    pub(super) fn into_report(self, warnings: &mut Vec<String>) -> Vec<RefusedFile> {
        let more = self.refused_more + self.failed_more;
        if more > 0 {
            warnings.push(format!(
                "{more} more files are not in the backup than are listed"
            ));
        }
        let mut all = self.refused;
        all.extend(self.failed);
        all
    }
}

fn push(list: &mut Vec<RefusedFile>, more: &mut u64, place: &str, why: &str, code: StatusCode) {
    if list.len() >= MAX_NAMED {
        *more += 1;
        return;
    }
    let path = place.chars().take(200).collect();
    list.push(RefusedFile {
        path,
        why: why.to_owned(),
        code: i64::from(code.number()),
    });
}
