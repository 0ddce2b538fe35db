//! How verdicts and notices speak of the ladder. What the ladder itself says is in `ladder`.

use super::{Scene, capital, day, noun};
use crate::diagnosis::Confidence;
use crate::judge::Medium;
use crate::ladder::{Climb, Rung, fails_because, inner};
use crate::verdict::{CloudState, NextCode, NextStep};

/// "make room in iCloud (step S3)".
fn named(rung: &Rung) -> String {
    format!("{} (step {})", inner(&rung.text.title), rung.step)
}

/// The one thing to do next, with the step of the ladder where that is what it comes to.
pub fn next_step(scene: &Scene<'_>, climb: &Climb) -> NextStep {
    let mut plain = super::next_step(scene);
    // Late, and waiting will not cure it.
    if scene.cloud.state == CloudState::Late && climb.next().is_some() {
        plain.code = NextCode::ShowSteps;
    }
    if plain.code != NextCode::ShowSteps {
        return plain;
    }
    let noun = noun(scene.past);
    if let Some(rung) = climb.next() {
        return match rung.marked {
            Some(at) => NextStep {
                code: NextCode::Wait,
                words: format!(
                    "Give step {} of {} its time: leave the {noun} on power and Wi-Fi, locked, for a night.",
                    rung.step,
                    day(at.0, scene.now)
                ),
            },
            None => NextStep {
                words: capital(&format!("{}.", named(rung))),
                ..plain
            },
        };
    }
    match climb.held.and_then(|step| climb.rung(step)) {
        Some(rung) => NextStep {
            code: match scene.medium {
                Medium::There => NextCode::BackUpNow,
                Medium::Missing => NextCode::ConnectStore,
            },
            words: format!(
                "Step {} ({}) is next. {}",
                rung.step,
                inner(&rung.text.title),
                rung.why
            ),
        },
        None => NextStep {
            words: climb.words.clone(),
            ..plain
        },
    }
}

/// "It probably fails because iCloud storage is full."; nothing where nothing speaks for a cause: nobody is told a guess.
pub fn because(climb: &Climb) -> Option<String> {
    let cause = climb.causes.first()?;
    (cause.confidence >= Confidence::Likely).then(|| fails_because(cause))
}

/// The step to take now; nothing where there is none.
pub fn untaken(climb: &Climb) -> Option<String> {
    climb
        .untaken()
        .map(|rung| format!("Next: {}.", named(rung)))
}

/// What follows once the local backup is made; nothing where no step is known.
pub fn afterwards(climb: &Climb) -> Option<String> {
    let turn = climb.held.and_then(|step| climb.rung(step));
    let rung = climb.untaken().or(turn)?;
    Some(format!("After that: {}.", named(rung)))
}
