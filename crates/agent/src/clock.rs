//! The only clock of the program, as a port: the wall clock of this computer.
//!
//! Waiting is tokio's, which stands still while the computer sleeps (`CLOCK_MONOTONIC`, `mach_absolute_time`). So a
//! sleep shows as wall time that ran further than the timer: [`Drift`] sees it, and the loop tells the watcher that the
//! computer woke, before anything is judged by a timer that is late.

use std::time::Duration;

use backupwatch_core::HostTime;
use jiff::Timestamp;

/// The wall clock, which the crates below take as [`backupwatch_backup::Clock`]. The second implementer lives in the
/// tests and follows tokio's paused time.
pub trait Clock: backupwatch_backup::Clock + 'static {
    /// Local time minus UTC in seconds, at that moment: quiet hours are local.
    fn utc_offset_s(&self) -> i32;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl backupwatch_backup::Clock for SystemClock {
    /// In whole milliseconds, as the state keeps them: what is read back is what was written.
    fn now(&self) -> HostTime {
        let now = Timestamp::now();
        HostTime(Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now))
    }
}

impl Clock for SystemClock {
    fn utc_offset_s(&self) -> i32 {
        let zoned = Timestamp::now().to_zoned(jiff::tz::TimeZone::system());
        zoned.offset().seconds()
    }
}

/// A gap between wall clock and timer from which on the computer is taken to have slept, or its clock to have been set.
const GAP: Duration = Duration::from_secs(30);

/// Compares the wall clock with tokio's timer from one loop turn to the next.
#[derive(Debug)]
pub struct Drift {
    wall: Timestamp,
    timer: tokio::time::Instant,
}

impl Drift {
    /// Starts to compare.
    pub fn new(wall: HostTime) -> Self {
        Self {
            wall: wall.0,
            timer: tokio::time::Instant::now(),
        }
    }

    /// Whether the wall clock left the timer behind (or jumped back) since the last call.
    pub fn jumped(&mut self, wall: HostTime) -> bool {
        let timer = tokio::time::Instant::now();
        let by_timer =
            i128::try_from(timer.duration_since(self.timer).as_nanos()).unwrap_or(i128::MAX);
        let by_wall = wall
            .0
            .as_nanosecond()
            .saturating_sub(self.wall.as_nanosecond());
        self.wall = wall.0;
        self.timer = timer;
        by_wall.abs_diff(by_timer) > GAP.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_night_asleep_is_seen_and_an_hour_of_waiting_is_not() {
        let t0 = Timestamp::from_second(1_790_000_000).unwrap();
        let at = |s: i64| HostTime(t0 + jiff::SignedDuration::from_secs(s));
        let mut drift = Drift::new(at(0));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(!drift.jumped(at(3600)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(
            drift.jumped(at(3660 + 8 * 3600)),
            "eight hours of wall time in one minute of timer"
        );
        assert!(!drift.jumped(at(3660 + 8 * 3600)), "told once");
        assert!(
            drift.jumped(at(0)),
            "a clock that is set back counts as well"
        );
    }
}
