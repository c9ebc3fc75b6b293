//! The clocks of servers: each has a pace of its own, and jumps.

use kontiki::driver::Instant;
use std::time::Duration;

/// Microseconds since the beginning of a run.
pub(super) type Time = u64;

pub(super) const MILLISECOND: Time = 1000;
pub(super) const SECOND: Time = 1000 * MILLISECOND;

const MILLION: i128 = 1_000_000;
/// Clocks begin far from their origin, so that they can jump back.
const BEGIN: i128 = 1_000_000_000_000;

/// The clock of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// By how many millionths it is too fast.
    drift_ppm: i128,
    /// How far it has jumped, in nanoseconds.
    jumped: i128,
}

impl Clock {
    pub(super) fn new(drift_ppm: i64) -> Clock {
        Clock { drift_ppm: i128::from(drift_ppm), jumped: 0 }
    }

    /// It jumps by so many microseconds.
    pub(super) fn jump(&mut self, microseconds: i64) {
        self.jumped += i128::from(microseconds) * 1000;
    }

    /// What it shows.
    pub(super) fn shows(&self, now: Time) -> Instant {
        let passed = i128::from(now) * (MILLION + self.drift_ppm) / 1000;
        let shown = u64::try_from(BEGIN + passed + self.jumped).unwrap_or(0);
        Instant::after_origin(Duration::from_nanos(shown))
    }

    /// When it shows so much, at the latest.
    pub(super) fn when(&self, shown: Instant) -> Time {
        let shown = i128::try_from(shown.since_origin().as_nanos()).unwrap_or(i128::MAX / 10_000);
        let passed = (shown - BEGIN - self.jumped) * 1000 / (MILLION + self.drift_ppm);
        Time::try_from(passed.max(0)).unwrap_or(Time::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_moment_when_it_says_it_will() {
        for drift in [-10_000, 0, 10_000] {
            let mut clock = Clock::new(drift);
            clock.jump(-5_000_000);
            let shown = clock.shows(10 * SECOND).plus(Duration::from_millis(500));
            let when = clock.when(shown);
            assert!(clock.shows(when) >= shown && clock.shows(when - 2) < shown, "{drift}");
        }
    }
}
