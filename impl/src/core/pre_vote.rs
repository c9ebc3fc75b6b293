//! Pre-vote (rule E7).

use super::Raft;
use super::configurations::votes_in;
use super::outputs::Outputs;
use super::quorum::is_quorum;
use super::role::{PreCandidate, Role};
use crate::storage::LogStore;
use kontiki_specs::{LogPosition, Message, ServerId};

impl<S: LogStore> Raft<S> {
    /// E7: asks whether it would get the votes. Nothing durable changes.
    pub(super) fn ask_for_pre_votes(&mut self, outputs: &mut Outputs) {
        let (term, last) = (self.hard_state.term, self.log.last());
        self.ask_voters(&Message::RequestPreVote { term, last }, outputs);
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
        outputs.send(candidate, Message::RequestPreVoteReply { term, granted });
    }

    /// E7: with the promises of a majority, it campaigns.
    pub(super) fn count_pre_vote(&mut self, voter: ServerId) {
        let configuration = self.configurations.newest();
        if let Role::PreCandidate(pre_candidate) = &mut self.role {
            if votes_in(configuration, voter) {
                pre_candidate.pre_votes.insert(voter);
            }
            if is_quorum(configuration, |voter| pre_candidate.pre_votes.contains(&voter)) {
                self.campaign(false);
            }
        }
    }
}
