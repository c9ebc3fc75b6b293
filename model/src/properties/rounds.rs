//! A property of a step of a leader whose learners catch up: M5.

use super::quorum::votes_in;
use super::steps::Judged;
use crate::server::{Role, ServerState};
use kontiki_specs::{
    AppendOutcome, CatchUp, FollowerProgress, Input, LogIndex, Message, Output, ServerId,
};
use std::collections::BTreeMap;

/// What has to become of a round.
enum Due {
    /// It goes on, or the next one begins.
    Round(CatchUp),
    /// The learner has caught up.
    CaughtUp,
}

impl Judged<'_> {
    /// M5: a learner begins with the first round when it is taken in or has lost its vote, and each
    /// round ends as it should; what is said of that is true. What becomes of a learner after it has
    /// caught up is not looked at.
    pub(super) fn learners_catch_up_in_time(&self) -> bool {
        let nobody = BTreeMap::new();
        let had = followers(self.before).unwrap_or(&nobody);
        let due = had.iter().filter_map(|(id, had)| self.due(*id, had)?.1);
        let is_news =
            |output: &&Output| matches!(output, Output::CaughtUp { .. } | Output::TooSlow { .. });
        if !self.outputs.iter().filter(is_news).cloned().eq(due) {
            return false;
        }
        let leads_on = self.before.term == self.after.term;
        let had = if leads_on { had } else { &nobody };
        let has = followers(self.after).unwrap_or(&nobody);
        has.iter().all(|(id, has)| self.is_in_right_round(*id, had.get(id), has))
    }

    fn is_in_right_round(
        &self,
        follower: ServerId,
        had: Option<&FollowerProgress>,
        has: &FollowerProgress,
    ) -> bool {
        if self.server.options.catch_up_rounds == 0 {
            return has.catch_up.is_none();
        }
        let voted = votes_in(&self.before.configuration, follower);
        let votes = votes_in(&self.after.configuration, follower);
        let due = had.and_then(|had| self.due(follower, had)).map(|(due, _)| due);
        let unchanged = had == Some(has) && voted == votes;
        if votes && !unchanged {
            return has.catch_up.is_none();
        }
        match due {
            Some(Due::Round(round)) => has.catch_up == Some(round),
            Some(Due::CaughtUp) => !matches!(has.catch_up, None | Some(CatchUp::Round { .. })),
            None if unchanged || had.is_some_and(|had| had.catch_up.is_some()) => true,
            None => has.catch_up == Some(round(1, self.after.log.last_index())),
        }
    }

    /// What has to become of a follower's round, if one is under way, and what has to be said.
    fn due(&self, follower: ServerId, had: &FollowerProgress) -> Option<(Due, Option<Output>)> {
        let Some(CatchUp::Round { number, goal, long }) = had.catch_up else { return None };
        let long = long || *self.input == Input::QuorumContactExpired;
        let held = self.acknowledged_by(follower).unwrap_or_default().max(had.match_index);
        // The end of the log when the answer comes: what the step appends comes after.
        let end = self.before.log.last_index();
        let server = follower;
        Some(if held < goal {
            (Due::Round(CatchUp::Round { number, goal, long }), None)
        } else if !long || held == end {
            (Due::CaughtUp, Some(Output::CaughtUp { server }))
        } else if number < self.server.options.catch_up_rounds {
            (Due::Round(round(number + 1, end)), None)
        } else {
            (Due::Round(round(1, end)), Some(Output::TooSlow { server }))
        })
    }

    /// Up to where a follower says in this step that it holds the leader's log.
    fn acknowledged_by(&self, follower: ServerId) -> Option<LogIndex> {
        match self.delivered()? {
            (
                from,
                Message::AppendEntriesReply { term, outcome: AppendOutcome::Matched { index } },
            ) if from == follower
                && *term == self.before.term
                && *index <= self.before.log.last_index() =>
            {
                Some(*index)
            }
            _ => None,
        }
    }
}

/// A round that begins.
fn round(number: u64, goal: LogIndex) -> CatchUp {
    CatchUp::Round { number, goal, long: false }
}

fn followers(state: &ServerState) -> Option<&BTreeMap<ServerId, FollowerProgress>> {
    match &state.role {
        Role::Leader { progress, .. } => Some(progress),
        _ => None,
    }
}
