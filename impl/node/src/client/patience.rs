//! How long a client tries, and how long it waits between two tries.

use crate::doubling::Doubling;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// How long a client tries, and how long it waits between two tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long it waits before the second try, at most. Each further wait may be twice as long. 5 ms unless
    /// changed.
    pub first_wait: Duration,
    /// The longest wait between two tries. 500 ms unless changed.
    pub longest_wait: Duration,
    /// How long it tries in all. What is under way by then ends first. 30 s unless changed. A leader that is cut
    /// off answers after [`kontiki::driver::Timings::request_timeout`] only, so make this longer than twice
    /// that, or no other server is asked.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            first_wait: Duration::from_millis(5),
            longest_wait: Duration::from_millis(500),
            total: Duration::from_secs(30),
        }
    }
}

/// The tries of one request.
pub(super) struct Tries {
    end: Option<Instant>,
    waits: Doubling,
    /// Whether the last try was one that another server had named.
    followed: bool,
}

impl Tries {
    pub(super) fn begin(patience: Patience) -> Tries {
        let end = Instant::now().checked_add(patience.total);
        let waits = Doubling::new(patience.first_wait, patience.longest_wait);
        Tries { end, waits, followed: false }
    }

    /// Waits before another try. False if there is no time for one. A server that another one has named is
    /// asked at once, unless that came about by being named, too: two servers may name each other.
    pub(super) async fn go_on(&mut self, redirected: bool) -> bool {
        let at_once = redirected && !self.followed;
        self.followed = at_once;
        if at_once {
            return true;
        }
        let wait = random_part(self.waits.wait());
        if self.end.is_some_and(|end| Instant::now() + wait >= end) {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

/// Between a half and the whole: clients that failed together do not come back together.
fn random_part(of: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let half = of / 2;
    half + half.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
}
