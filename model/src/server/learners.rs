//! Learners (dissertation §4.2.1): rule M5.

use super::step::Step;
use super::{Mutation, RaftServer, Role};
use kontiki_specs::{
    CatchUp, Configuration, FollowerProgress, LogIndex, Output, Refusal, ServerId,
};

impl Step<'_> {
    /// M5: where learners have to catch up, only one that has, and that keeps up, may be made a
    /// voter.
    pub(super) fn all_have_caught_up(&self, target: &Configuration) -> Result<(), Refusal> {
        let Role::Leader { progress, .. } = &self.state.role else { return Ok(()) };
        if self.server.options.catch_up_rounds == 0 {
            return Ok(());
        }
        let mut new = target.voters.difference(&self.state.configuration.voters).copied();
        let keeps_up = |server: &ServerId| match progress.get(server) {
            Some(FollowerProgress {
                match_index, catch_up: Some(CatchUp::Done { goal }), ..
            }) => keeps_up(self.server, *match_index, *goal),
            _ => false,
        };
        new.find(|server| !keeps_up(server))
            .map_or(Ok(()), |server| Err(Refusal::NotCaughtUp { server }))
    }

    /// M5: a learner begins with the first round; a voter has none.
    pub(super) fn begin_rounds(&mut self) {
        let goal = self.state.log.last_index();
        let Role::Leader { progress, .. } = &mut self.state.role else { return };
        if self.server.options.catch_up_rounds == 0 {
            return;
        }
        let Configuration { voters, outgoing, .. } = &*self.state.configuration;
        for (follower, known) in progress {
            let votes = voters.contains(follower) || outgoing.contains(follower);
            if votes {
                known.catch_up = None;
            } else if known.catch_up.is_none() {
                known.catch_up = Some(CatchUp::Round { number: 1, goal, long: false });
            }
        }
    }

    /// M5: an election timeout has passed. Every round that is under way has now taken too long. A
    /// learner that has caught up is to hold by the next timeout what the leader holds now; one that
    /// does not hold what it was to hold by this one has to catch up again.
    pub(super) fn timeout_passed(&mut self) {
        let never_long = self.mutated(Mutation::RoundNeverLong);
        let last_index = self.state.log.last_index();
        let Role::Leader { progress, .. } = &mut self.state.role else { return };
        for FollowerProgress { match_index, catch_up, .. } in progress.values_mut() {
            match catch_up {
                Some(CatchUp::Round { long, .. }) => *long |= !never_long,
                Some(CatchUp::Done { goal }) if keeps_up(self.server, *match_index, *goal) => {
                    *goal = last_index;
                }
                Some(CatchUp::Done { .. }) => {
                    *catch_up = Some(CatchUp::Round { number: 1, goal: last_index, long: false });
                }
                None => {}
            }
        }
    }

    /// M5: a round is over when the learner holds what the leader held as it began. A learner for
    /// whom that took less than an election timeout, or who then lacks nothing, has caught up; a
    /// voter so far behind would hold no commit up for longer than an election does. One that has
    /// had all its rounds is reported as too slow, and begins again.
    pub(super) fn round_may_end(&mut self, follower: ServerId) {
        let goal_of_next = self.state.log.last_index();
        let rounds = self.server.options.catch_up_rounds;
        let Some(progress) = self.progress_of(follower) else { return };
        let Some(CatchUp::Round { number, goal, long }) = progress.catch_up else { return };
        if progress.match_index < goal {
            return;
        }
        let holds_all = progress.match_index == goal_of_next; // The next round would be over at once.
        let next = |number| CatchUp::Round { number, goal: goal_of_next, long: false };
        let (state, notice) = match (long && !holds_all, number < rounds) {
            (false, _) => (CatchUp::Done { goal }, Some(Output::CaughtUp { server: follower })),
            (true, true) => (next(number + 1), None),
            (true, false) => (next(1), Some(Output::TooSlow { server: follower })),
        };
        progress.catch_up = Some(state);
        notice.into_iter().for_each(|notice| self.output(notice));
    }

    /// M5: a server votes for whoever asks, whether it knows of its own vote or not: a learner that
    /// has been made a voter may be the last to hear of it.
    pub(super) fn refuses_as_learner(&self) -> bool {
        self.mutated(Mutation::UnawarePromotedLearnerRefusesVote) && !self.counts(self.state.id)
    }
}

/// M5: whether a learner that has caught up still keeps up: it holds what it has to by now.
fn keeps_up(server: &RaftServer, match_index: LogIndex, goal: LogIndex) -> bool {
    match_index >= goal || server.mutation == Some(Mutation::CaughtUpForGood)
}
