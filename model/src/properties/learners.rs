//! Properties of a step that concern learners: M5.

use super::steps::Judged;
use crate::server::Role;
use kontiki_specs::{CatchUp, FollowerProgress, Input, ServerId};
use std::collections::BTreeMap;

impl Judged<'_> {
    /// M5: who is made a voter had caught up; and having caught up ends with an election timeout
    /// after which the learner lacks what the leader held as it began.
    pub(super) fn promotion_is_timely(&self) -> bool {
        let Role::Leader { progress: before, .. } = &self.before.role else { return true };
        if self.server.options.catch_up_rounds == 0 {
            return true;
        }
        self.new_voters_keep_up(before) && self.caught_up_is_timed(before)
    }

    fn new_voters_keep_up(&self, before: &BTreeMap<ServerId, FollowerProgress>) -> bool {
        if !matches!(self.input, Input::ChangeMembership { .. }) {
            return true;
        }
        let mut new = self.after.configuration.voters.difference(&self.before.configuration.voters);
        new.all(|voter| before.get(voter).is_some_and(keeps_up))
    }

    fn caught_up_is_timed(&self, before: &BTreeMap<ServerId, FollowerProgress>) -> bool {
        let Role::Leader { progress: after, .. } = &self.after.role else { return true };
        if *self.input != Input::QuorumContactExpired {
            return true;
        }
        let last_index = self.before.log.last_index();
        let mut learners = before.iter().filter_map(|(follower, known)| match known.catch_up {
            Some(CatchUp::Done { .. }) => Some((known, after.get(follower)?.catch_up)),
            _ => None,
        });
        learners.all(|(known, after)| match after {
            Some(CatchUp::Done { goal }) => keeps_up(known) && goal == last_index,
            Some(CatchUp::Round { number, goal, long }) => {
                !keeps_up(known) && (number, goal, long) == (1, last_index, false)
            }
            None => false,
        })
    }

    /// Whether a learner that had caught up begins anew.
    pub(super) fn learner_falls_behind(&self) -> bool {
        let (Role::Leader { progress: before, .. }, Role::Leader { progress: after, .. }) =
            (&self.before.role, &self.after.role)
        else {
            return false;
        };
        before.iter().any(|(follower, known)| {
            let now = after.get(follower).and_then(|known| known.catch_up);
            matches!(known.catch_up, Some(CatchUp::Done { .. }))
                && matches!(now, Some(CatchUp::Round { .. }))
        })
    }
}

fn keeps_up(known: &FollowerProgress) -> bool {
    matches!(known.catch_up, Some(CatchUp::Done { goal }) if known.match_index >= goal)
}
