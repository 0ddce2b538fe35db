//! Keeps what others do from filling the log: a usbmuxd may attach and detach a phone a thousand times a second.

use backupwatch_core::{HostTime, Now, Period};

/// Lines in one minute. A wall of phones that is plugged in at once is told whole.
const LINES: u32 = 600;

#[derive(Debug, Default)]
pub(super) struct Chatter {
    since: Option<HostTime>,
    lines: u32,
}

impl Chatter {
    /// Whether one more line may be said this minute. Says itself when it falls silent.
    pub(super) fn may_say(&mut self, now: &Now) -> bool {
        let fresh = self
            .since
            .is_some_and(|since| now.host.since(since).abs() < Period::minutes(1));
        if !fresh {
            *self = Self {
                since: Some(now.host),
                lines: 0,
            };
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines == LINES {
            tracing::warn!("devices come and go too often; the rest of this minute is not told");
        }
        self.lines < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_minute_is_told_again() {
        let now = |second: i64| {
            Now::new(
                jiff::Timestamp::from_second(1_790_000_000 + second).unwrap(),
                0,
            )
        };
        let mut chatter = Chatter::default();
        let said = |chatter: &mut Chatter, second| {
            (0..10_000)
                .filter(|_| chatter.may_say(&now(second)))
                .count()
        };
        assert_eq!(said(&mut chatter, 0), 599);
        assert_eq!(said(&mut chatter, 59), 0);
        assert_eq!(said(&mut chatter, 60), 599);
        assert_eq!(
            said(&mut chatter, -3600),
            599,
            "a clock that was set back does not silence it"
        );
    }
}
