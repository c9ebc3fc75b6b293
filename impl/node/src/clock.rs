//! The clock that the driver is told of.

use kontiki::driver::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A clock that never goes back. On Linux and Android it goes on while the machine sleeps, as leases
/// need it to (rule C4). Elsewhere it may stand still then: leases are refused there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Duration,
    /// How fast it runs, in millionths of the machine's clock: more than 0.
    rate_ppm: u32,
}

impl Clock {
    /// Whether the clock goes on while the machine sleeps.
    pub(crate) const GOES_ON_IN_SLEEP: bool = cfg!(any(target_os = "linux", target_os = "android"));

    pub(crate) fn start(rate_ppm: u32) -> Clock {
        Clock { origin: reading(), rate_ppm }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        self.shows(reading())
    }

    /// What it shows when the machine's clock reads so.
    fn shows(&self, reading: Duration) -> Instant {
        let passed = reading.saturating_sub(self.origin);
        Instant::after_origin(scaled(passed, self.rate_ppm, MILLION))
    }

    /// How long it takes on the machine's clock until a moment comes.
    pub(crate) fn until(&self, moment: Instant) -> Duration {
        self.until_from(self.now(), moment)
    }

    fn until_from(&self, now: Instant, moment: Instant) -> Duration {
        scaled(moment.since(now), MILLION, self.rate_ppm)
    }
}

const MILLION: u32 = 1_000_000;

/// So many parts of a duration, rounded up: whoever waits so long does not wake too early.
fn scaled(duration: Duration, parts: u32, of: u32) -> Duration {
    if parts == of {
        return duration;
    }
    let nanoseconds = duration.as_nanos().saturating_mul(parts.into()).div_ceil(of.max(1).into());
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

fn reading() -> Duration {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_run_at_another_rate() {
        let seconds = Duration::from_secs;
        let origin = seconds(1_000);
        for (rate_ppm, shown, wait) in [(MILLION / 2, 10, 80), (4 * MILLION, 80, 10)] {
            let clock = Clock { origin, rate_ppm };
            let now = clock.shows(origin + seconds(20));
            assert_eq!(now, Instant::after_origin(seconds(shown)));
            assert_eq!(clock.until_from(now, now.plus(seconds(40))), seconds(wait));
        }
    }

    /// No test can put the machine to sleep.
    #[test]
    fn where_leases_are_taken_the_clock_is_one_that_goes_on_in_sleep() {
        assert_eq!(Clock::GOES_ON_IN_SLEEP, CLOCK == ClockId::Boottime);
    }

    #[test]
    fn what_is_scaled_is_rounded_up() {
        let nanoseconds = Duration::from_nanos;
        assert_eq!(scaled(nanoseconds(3), 1, 1), nanoseconds(3));
        assert_eq!(scaled(nanoseconds(3), 1, 2), nanoseconds(2));
        assert_eq!(scaled(nanoseconds(3), 4, 1), nanoseconds(12));
    }
}
