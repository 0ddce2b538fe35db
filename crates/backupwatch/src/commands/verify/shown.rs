//! How far a look is, in words.

use crate::{
    long_work::{self, LongWork, pace},
    words,
};
use backupwatch_backup::verify::{Progress, Stage};
use std::time::Duration;

pub fn progress(work: &mut LongWork<Stage>, at: &Progress) {
    work.show(at.stage, permille(at), |lasted| text(at, lasted));
}

fn permille(at: &Progress) -> u64 {
    long_work::permille(at.bytes, at.of_bytes)
        .or_else(|| long_work::permille(at.files, at.of_files))
        .unwrap_or(0)
}

/// What is being done, how much of it is done, how fast, and how long it will take.
fn text(progress: &Progress, lasted: Duration) -> String {
    let mut text = match progress.stage {
        Stage::Lists => "looking at the backup".to_owned(),
        Stage::Password => "trying the password; this takes seconds".to_owned(),
        Stage::Manifest => "opening the list of files".to_owned(),
        Stage::Files => "looking for every file".to_owned(),
        Stage::Contents => "reading".to_owned(),
    };
    if progress.files == 0 {
        return text;
    }
    text.push_str(&format!(": {}", words::files(progress.files)));
    if progress.stage != Stage::Contents {
        return text;
    }
    text.push_str(&format!(", {}", words::bytes(progress.bytes)));
    text.push_str(&pace(progress.bytes, progress.of_bytes, lasted));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let at = |stage, files, bytes| Progress {
            stage,
            files,
            bytes,
            of_files: Some(51_203),
            of_bytes: Some(64_000_000_000),
        };
        let table = [
            (at(Stage::Lists, 0, 0), 0, 0, "looking at the backup"),
            (
                at(Stage::Files, 1, 0),
                9,
                0,
                "looking for every file: 1 file",
            ),
            (
                at(Stage::Contents, 10_000, 16_000_000_000),
                1,
                250,
                "reading: 10,000 files, 16.0 GB",
            ),
            (
                at(Stage::Contents, 10_000, 16_000_000_000),
                100,
                250,
                "reading: 10,000 files, 16.0 GB, 160.0 MB/s, 5 minutes left",
            ),
        ];
        for (progress, seconds, thousandths, words) in table {
            assert_eq!(text(&progress, Duration::from_secs(seconds)), words);
            assert_eq!(permille(&progress), thousandths, "{words}");
            assert!(words.len() <= 60, "beside the bar, in 80 columns: {words}");
        }
    }
}
