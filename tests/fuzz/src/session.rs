//! The whole host session: the engine and its store in a folder of their own, against a phone that says what the input says.
//!
//! What must hold whatever is said: the run ends; the backup that was current before is still current, byte for byte, or has
//! become the version before one that is verified; nothing beside the phone's own folders is made, changed or removed, nor
//! told to the phone.

use super::place::{Place, tree};
use super::script;

/// The choices that the first byte of an input makes.
#[derive(Clone, Copy)]
struct Choices(u8);

impl Choices {
    /// The rest is the bytes of the phone as they are; else a [`script`].
    const RAW: u8 = 1;
    /// An attempt broke off before, and somebody put links that lead outside into its tree.
    const PLANTED: u8 = 2;
    /// Nothing was backed up before.
    const EMPTY: u8 = 4;
    /// The small services say what the input says, too.
    const SERVICES: u8 = 8;
    /// Two sessions, one after the other.
    const TWICE: u8 = 16;

    const fn has(self, choice: u8) -> bool {
        self.0 & choice != 0
    }
}

pub fn target(input: &[u8]) {
    let Some((choices, said)) = input.split_first() else {
        return;
    };
    let choices = Choices(*choices);
    let planted = choices.has(Choices::PLANTED);
    let place = match (choices.has(Choices::EMPTY), planted) {
        (true, false) => Place::empty(),
        (true, true) => Place::broken_off_at_first(),
        (false, false) => Place::with_backup(),
        (false, true) => Place::broken_off(),
    };
    if planted {
        place.plant();
    }
    let middle = if choices.has(Choices::TWICE) {
        said.len() / 2
    } else {
        said.len()
    };
    let (first, second) = said.split_at(middle);
    session(&place, choices, first);
    if choices.has(Choices::TWICE) {
        session(&place, choices, second);
    }
}

fn session(place: &Place, choices: Choices, input: &[u8]) {
    let (services, said) = if choices.has(Choices::SERVICES) {
        let (services, said) = input.split_at(input.len() / 3);
        (Some(services), said)
    } else {
        (None, input)
    };
    let said = if choices.has(Choices::RAW) {
        said.to_vec()
    } else {
        script::play(said)
    };
    let before = tree(&place.current());
    let surroundings = place.surroundings();
    let (report, heard) = place.run(said, services);
    assert!(
        place.surroundings() == surroundings,
        "something beside the phone's folders changed"
    );
    assert!(
        !place.betrays(&heard, input),
        "the phone was told what is not its own"
    );
    place.judge(&report, &before);
}
