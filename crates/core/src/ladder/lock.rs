//! What must be true before a step that can lose data may be taken: rule zero of `remediation.md` 3.1.

use crate::judge::{Medium, verified_age};
use crate::steps::Guard;
use crate::time::Period;
use crate::verdict::SafetyNet;
use crate::words::{Scene, ago, noun};

/// A local backup must be younger than this.
const YOUNG: Period = Period::hours(24);

/// What is missing and what to do about it; none when the step may be taken.
pub(super) fn missing(guard: Guard, scene: &Scene<'_>) -> Option<String> {
    let young = verified_age(scene.net).is_some_and(|age| age < YOUNG);
    match guard {
        Guard::None => None,
        Guard::Verified => (!young).then(|| no_copy("verified", scene)),
        Guard::Encrypted if !young => Some(no_copy("verified and encrypted", scene)),
        Guard::Encrypted => (!is_encrypted(scene)).then(|| not_encrypted(scene)),
    }
}

/// Whether our newest copy is protected by a password.
pub(super) fn is_encrypted(scene: &Scene<'_>) -> bool {
    scene.past.copy.as_ref().is_some_and(|copy| copy.encrypted)
}

fn no_copy(kind: &str, scene: &Scene<'_>) -> String {
    let noun = noun(scene.past);
    let aged = |age_s: i64| ago(Period::seconds(age_s));
    let (why, at_hand) = match scene.net {
        SafetyNet::Verified { age_s, .. } => {
            (format!("the newest one was made {}", aged(*age_s)), true)
        }
        SafetyNet::Damaged { age_s, .. } => {
            (format!("the one made {} is damaged", aged(*age_s)), true)
        }
        SafetyNet::Unverified {
            age_s,
            medium_missing,
            ..
        } => (
            if *medium_missing {
                format!("the one made {} cannot be looked at now", aged(*age_s))
            } else {
                format!("the one made {} is not verified", aged(*age_s))
            },
            !medium_missing,
        ),
        SafetyNet::Elsewhere { age_s, .. } => (
            format!(
                "another computer made one {}, but nobody has checked it here",
                aged(*age_s)
            ),
            true,
        ),
        SafetyNet::None => ("there is none on this computer".to_owned(), true),
    };
    let to_do = if at_hand && scene.medium == Medium::There {
        format!(
            "Connect the {noun} by cable and back it up to this computer now; it will ask for its passcode."
        )
    } else {
        format!("Connect the disk with the local backups, then back up the {noun} to it.")
    };
    format!("It needs a {kind} local backup of the last 24 hours, and {why}. {to_do}")
}

fn not_encrypted(scene: &Scene<'_>) -> String {
    let noun = noun(scene.past);
    let will = scene
        .past
        .facts
        .as_ref()
        .is_some_and(|facts| facts.will_encrypt == Ok(true));
    let to_do = if will {
        "Back up once more: the next one will be encrypted.".to_owned()
    } else {
        format!(
            "On a Mac, choose the {noun} in Finder and tick Encrypt local backup (on Windows: the Apple Devices app), keep the \
             password safe, and back up once more."
        )
    };
    format!("It needs an encrypted local backup, and the newest one is not encrypted. {to_do}")
}
