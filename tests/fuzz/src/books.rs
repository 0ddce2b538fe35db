//! The phone's notes of its iCloud backups: a property list out of a backup, which anybody can have put there.

use backupwatch_backup::evidence::parse;
use backupwatch_core::HostTime;
use backupwatch_core::diagnosis::meaning;
use backupwatch_core::evidence::{Books, LONGEST_TEXT, MOST_ATTEMPTS, MOST_LINKS, MOST_PARTS};

use super::bytes::names_something;

const AT: HostTime = HostTime(jiff::Timestamp::constant(1_700_000_000, 0));

pub fn target(input: &[u8]) {
    let Ok(books) = parse(input, AT) else {
        return;
    };
    assert_eq!(books.at, AT);
    assert_eq!(books.clone().bounded(), books, "within its bounds already");
    assert!(books.attempts.len() <= MOST_ATTEMPTS && books.largest.len() <= MOST_PARTS);
    for attempt in &books.attempts {
        assert!(attempt.chain.len() <= MOST_LINKS);
        if let Some(text) = &attempt.text {
            assert!(text.chars().count() <= LONGEST_TEXT, "{text}");
            assert!(!names_something(text), "names something: {text}");
        }
        let _words = meaning(attempt);
    }
    let kept = serde_json::to_string(&books).expect("JSON");
    let again: Books = serde_json::from_str(&kept).expect("what is kept is read");
    assert_eq!(again, books, "{kept}");
}
