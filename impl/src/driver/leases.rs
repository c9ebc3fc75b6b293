//! The time of a leader's rounds of questions (rule C4).

use super::{Driver, Instant, Observer};
use crate::storage::LogStore;
use kontiki_specs::Input;
use std::collections::VecDeque;

/// The rounds of a leader whose time is not up, in their order, each with the moment when it will be.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    open: VecDeque<(u64, Instant)>,
    last: u64,
}

impl Rounds {
    /// A question of a round is sent. The time of the round begins with the first of them.
    pub(super) fn sent(&mut self, round: u64, until: Instant) {
        if round > self.last {
            self.last = round;
            self.open.push_back((round, until));
        }
    }

    /// The server leads no more, or anew: it counts its rounds from 1.
    pub(super) fn forget(&mut self) {
        *self = Rounds::default();
    }

    /// The last round whose time is up by now.
    fn take_over(&mut self, now: Instant) -> Option<u64> {
        let mut over = None;
        while let Some((round, until)) = self.open.front()
            && *until <= now
        {
            over = Some(*round);
            self.open.pop_front();
        }
        over
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// C4: first of all the server is told whose time is up. No timer is needed for that: a lease is of use
    /// only when something happens.
    pub(super) fn expire_leases(&mut self) {
        if let Some(round) = self.rounds.take_over(self.now) {
            self.step(Input::LeaseExpired { round });
        }
    }
}
