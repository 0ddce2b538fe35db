//! How far an export is, in words.

use crate::{
    long_work::{LongWork, pace, permille},
    words,
};
use backupwatch_backup::Exporting;
use std::time::Duration;

pub fn progress(work: &mut LongWork<()>, at: &Exporting) {
    let done = permille(at.bytes, Some(at.of_bytes)).unwrap_or(0);
    work.show((), done, |lasted| text(at, lasted));
}

/// How much of it is done, how fast, and how long it will take.
fn text(at: &Exporting, lasted: Duration) -> String {
    format!(
        "{} of {}, {} of {}{}",
        words::files(at.files),
        words::grouped(at.of_files),
        words::bytes(at.bytes),
        words::bytes(at.of_bytes),
        pace(at.bytes, Some(at.of_bytes), lasted)
    )
}
