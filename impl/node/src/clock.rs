//! The clock that the driver is told of.

use kontiki::driver::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A clock that never goes back. On Linux and Android it goes on while the machine sleeps, as leases
/// need it to (rule C4). Elsewhere it may stand still then: leases are refused there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Duration,
}

impl Clock {
    /// Whether the clock goes on while the machine sleeps.
    pub(crate) const GOES_ON_IN_SLEEP: bool = cfg!(any(target_os = "linux", target_os = "android"));

    pub(crate) fn start() -> Clock {
        Clock { origin: reading() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        Instant::after_origin(reading().saturating_sub(self.origin))
    }
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
