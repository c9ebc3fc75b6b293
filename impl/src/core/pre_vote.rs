//! Pre-vote (rule E7).

use super::Raft;
use super::outputs::Outputs;
use super::quorum::is_majority;
use super::role::{PreCandidate, Role};
use crate::storage::LogStore;
use kontiki_specs::{LogPosition, Message, ServerId};

impl<S: LogStore> Raft<S> {
    /// E7: asks whether it would get the votes. Nothing durable changes.
    pub(super) fn ask_for_pre_votes(&mut self, outputs: &mut Outputs) {
        let request = Message::RequestPreVote { term: self.hard_state.term, last: self.log.last() };
        for voter in self.config.other_voters() {
            self.send(voter, request.clone(), outputs);
        }
        self.role = Role::PreCandidate(PreCandidate::default());
        self.count_pre_vote(self.config.id);
    }

    /// E7: promised if a vote of the next term would be given: to a log that is up to date (E4),
    /// where no leader is known to live (E8, seen to on receipt).
    pub(super) fn request_pre_vote(
        &self,
        candidate: ServerId,
        last: LogPosition,
        outputs: &mut Outputs,
    ) {
        let granted = !self.role.is_leader() && self.is_up_to_date(last);
        let term = self.hard_state.term;
        self.send(candidate, Message::RequestPreVoteReply { term, granted }, outputs);
    }

    /// E7: with the promises of a majority, it campaigns.
    pub(super) fn count_pre_vote(&mut self, voter: ServerId) {
        let voters = self.config.configuration.voters.len();
        if let Role::PreCandidate(pre_candidate) = &mut self.role {
            pre_candidate.pre_votes.insert(voter);
            if is_majority(pre_candidate.pre_votes.len(), voters) {
                self.campaign();
            }
        }
    }
}
