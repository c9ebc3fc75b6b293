//! Time, as the driver is told of it.

use std::time::Duration;

/// A moment of a monotonic clock: the time that has passed since an origin. The origin is the shell's
/// to choose, and stays the same while the driver runs.
///
/// The driver never looks at a clock. It believes what it is told, and takes a moment that is earlier
/// than one it knows for the one it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The origin.
    pub const ORIGIN: Instant = Instant(Duration::ZERO);

    /// So long after the origin.
    pub const fn after_origin(passed: Duration) -> Instant {
        Instant(passed)
    }

    /// How long after the origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// So much later; the end of time if there is no such moment.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }

    /// How much later this is than another moment; nothing if it is earlier.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// When the next of many deadlines may have passed.
///
/// Nothing is taken out when what had a deadline is done with. So the moment may come too early. Whoever
/// is told that it has passed looks at all deadlines that are left, and notes these anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earliest(Option<Instant>);

impl Earliest {
    pub(super) fn note(&mut self, deadline: Instant) {
        self.0 = Some(self.0.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    pub(super) fn get(self) -> Option<Instant> {
        self.0
    }

    /// Whether a deadline may have passed. If so, nothing is known of any deadline from now on.
    pub(super) fn take_passed(&mut self, now: Instant) -> bool {
        self.0.take_if(|earliest| *earliest <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_overflows_nor_goes_below_nothing() {
        let late = Instant::after_origin(Duration::MAX);
        assert_eq!(late.plus(Duration::from_secs(1)), late);
        assert_eq!(Instant::ORIGIN.since(late), Duration::ZERO);
        assert_eq!(late.since(Instant::ORIGIN), Duration::MAX);
    }

    #[test]
    fn the_earliest_deadline_is_told_of_once() {
        let at = |seconds| Instant::after_origin(Duration::from_secs(seconds));
        let mut earliest = Earliest::default();
        assert!(!earliest.take_passed(at(9)));
        for seconds in [5, 3, 4] {
            earliest.note(at(seconds));
        }
        assert_eq!(earliest.get(), Some(at(3)));
        assert!(!earliest.take_passed(at(2)));
        assert!(earliest.take_passed(at(3)) && earliest.get().is_none());
    }
}
