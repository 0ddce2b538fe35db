//! How long after a failure something is sent again: longer each time, and never at the same moment as everybody else.

use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_secs(5);
/// Between two attempts, however many have failed.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause after `failed` attempts, of which there is at least one. `asked` is what the server wants; `dice` is chance, and takes
/// up to a half off.
pub fn pause(failed: u32, asked: Option<Duration>, dice: u16) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(16));
    let whole = doubled.min(LONGEST);
    let off = whole / 2 * u32::from(dice) / u32::from(u16::MAX);
    (whole - off).max(asked.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_an_hour_and_is_never_less_than_asked_for() {
        let s = Duration::from_secs;
        for (failed, asked, dice, told) in [
            (1, None, 0, s(5)),
            (1, None, u16::MAX, Duration::from_millis(2_500)),
            (2, None, 0, s(10)),
            (5, None, 0, s(80)),
            (11, None, 0, s(3_600)),
            (u32::MAX, None, 0, s(3_600)),
            (u32::MAX, None, u16::MAX, s(1_800)),
            (1, Some(s(120)), u16::MAX, s(120)),
            (11, Some(s(1)), 0, s(3_600)),
        ] {
            assert_eq!(
                pause(failed, asked, dice),
                told,
                "{failed} {asked:?} {dice}"
            );
        }
    }
}
