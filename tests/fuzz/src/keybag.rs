//! The keybag of an encrypted backup.

use backupwatch_backup::verify::Password;
use backupwatch_backup::verify::fuzzing::keybag;

/// Begins with the length of a file's key, which follows; the rest is the bag.
pub fn target(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else {
        return;
    };
    let (key, bag) = rest.split_at(rest.len().min((*length).into()));
    let opens = |password: &str| keybag(bag, &Password::new(password.to_owned()), key);
    // The one that the recorded bags open with; and no bag opens with two.
    if opens("correct horse") {
        assert!(!opens("battery staple"));
    }
}
