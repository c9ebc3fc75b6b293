//! Pre-vote (dissertation §9.6): rule E7.

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{LogPosition, Message, ServerId};
use std::collections::BTreeSet;

impl Step<'_> {
    /// E7: before it raises its term, a server asks whether it would get the votes. Nothing
    /// durable changes, here or where it asks.
    pub(super) fn ask_for_pre_votes(&mut self) {
        if self.mutated(Mutation::PreVoteRaisesTerm) {
            self.state.term = self.state.term.next();
            self.state.vote = None;
        }
        let request =
            Message::RequestPreVote { term: self.state.term, last: self.state.log.last() };
        for voter in self.other_electors() {
            self.send(voter, request.clone());
        }
        self.state.role = Role::PreCandidate { pre_votes: BTreeSet::new() };
        self.count_pre_vote(self.state.id);
    }

    /// E7: a pre-vote is promised by the test that a vote would have to pass: the candidate's
    /// log is up to date (E4) and no leader is known to live (E8, tested on receipt). The vote of
    /// the next term is always free.
    pub(super) fn request_pre_vote(&mut self, candidate: ServerId, last: LogPosition) {
        let up_to_date = self.is_up_to_date(last) || self.mutated(Mutation::PreVoteIgnoresLog);
        let granted = up_to_date && !self.state.is_leader();
        let term = self.state.term;
        self.send(candidate, Message::RequestPreVoteReply { term, granted });
    }

    /// E7: a pre-candidate counts the promises made in its term.
    pub(super) fn pre_vote_reply(&mut self, voter: ServerId, granted: bool) {
        if granted {
            self.count_pre_vote(voter);
        }
    }

    /// E7: with the promises of a majority, it campaigns.
    fn count_pre_vote(&mut self, voter: ServerId) {
        let counts = self.counts(voter);
        if let Role::PreCandidate { pre_votes } = &mut self.state.role {
            pre_votes.extend(counts.then_some(voter));
            let pre_votes = pre_votes.clone();
            if self.is_pre_vote_won(&pre_votes) {
                self.campaign(false);
            }
        }
    }

    /// E7, M1: whether the promises of these are enough.
    pub(super) fn is_pre_vote_won(&self, pre_votes: &BTreeSet<ServerId>) -> bool {
        self.broken_pre_vote(pre_votes).unwrap_or_else(|| self.is_quorum(pre_votes))
    }
}
