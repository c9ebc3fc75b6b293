//! Waits between tries that fail.

use std::time::Duration;

/// A wait that doubles each time, up to the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubling {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Doubling {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Doubling {
        Doubling { first, longest, next: first }
    }

    /// How long to wait this time.
    pub(crate) fn wait(&mut self) -> Duration {
        let longer = self.next.saturating_mul(2).min(self.longest);
        std::mem::replace(&mut self.next, longer)
    }

    /// Something has come of a try: the next wait is the first again.
    pub(crate) fn begin_again(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is away for a day is tried as often at its end as after a few seconds.
    #[test]
    fn a_wait_doubles_up_to_the_longest_and_begins_again() {
        let milliseconds = Duration::from_millis;
        let mut waits = Doubling::new(milliseconds(20), milliseconds(100));
        let taken: Vec<Duration> = (0..200).map(|_| waits.wait()).collect();
        assert_eq!(taken[..3], [20, 40, 80].map(milliseconds));
        assert!(taken[3..].iter().all(|wait| *wait == milliseconds(100)), "{taken:?}");
        waits.begin_again();
        assert_eq!(waits.wait(), milliseconds(20));
    }
}
