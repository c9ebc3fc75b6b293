//! Elections (rules E1 to E5, L5).

use super::Raft;
use super::outputs::Outputs;
use super::progress::Progress;
use super::quorum::is_majority;
use super::role::{Candidate, Leader, Role};
use super::sizes::Sizes;
use crate::storage::{HardState, LogStore, StoreError};
use kontiki_specs::{Entries, Entry, LogPosition, Message, Payload, ServerId};

impl<S: LogStore> Raft<S> {
    /// E1: a voter that does not lead seeks to, by asking first whether it could (E7) or at once.
    pub(super) fn election_timeout(&mut self, outputs: &mut Outputs) {
        if self.role.is_leader() || !self.config.is_voter(self.config.id) {
            return;
        }
        if self.config.pre_vote {
            self.ask_for_pre_votes(outputs);
        } else {
            self.campaign();
        }
    }

    /// E2, E3: the next term, with this server's own vote. Others are asked for theirs when it is
    /// durable.
    pub(super) fn campaign(&mut self) {
        let term = self.hard_state.term.next();
        self.hard_state = HardState { term, vote: Some(self.config.id) };
        self.role = Role::Candidate(Candidate::default());
    }

    /// E2: term and vote are durable; a candidate asks for votes and counts its own.
    pub(super) fn ask_for_votes(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        if !matches!(self.role, Role::Candidate(_)) {
            return Ok(());
        }
        let request = Message::RequestVote { term: self.hard_state.term, last: self.log.last() };
        for voter in self.config.other_voters() {
            self.send(voter, request.clone(), outputs);
        }
        self.count_vote(self.config.id, outputs)
    }

    /// E3: one vote a term, for a candidate whose log allows it (E4), answered when it is durable:
    /// now, or on the completion of its write.
    pub(super) fn request_vote(
        &mut self,
        candidate: ServerId,
        last: LogPosition,
        outputs: &mut Outputs,
    ) {
        let free = self.hard_state.vote.is_none_or(|vote| vote == candidate);
        if self.role.is_leader() || !free || !self.is_up_to_date(last) {
            let term = self.hard_state.term;
            self.send(candidate, Message::RequestVoteReply { term, granted: false }, outputs);
            return;
        }
        self.hard_state.vote = Some(candidate);
        if self.hard_state_is_durable() {
            self.grant_vote(candidate, outputs);
        }
    }

    pub(super) fn grant_vote(&self, candidate: ServerId, outputs: &mut Outputs) {
        let term = self.hard_state.term;
        self.send(candidate, Message::RequestVoteReply { term, granted: true }, outputs);
    }

    /// E4: whether a log that ends there is at least as up to date as this server's.
    pub(super) fn is_up_to_date(&self, candidate: LogPosition) -> bool {
        let own = self.log.last();
        candidate.term > own.term || candidate.term == own.term && candidate.index >= own.index
    }

    /// E5: a candidate with the votes of a majority leads.
    pub(super) fn count_vote(
        &mut self,
        voter: ServerId,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        let voters = self.config.configuration.voters.len();
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.votes.insert(voter);
            if is_majority(candidate.votes.len(), voters) {
                return self.lead(outputs);
            }
        }
        Ok(())
    }

    /// E5, L5: a new leader appends a no-op of its term and announces itself with it, from the end
    /// of its log on, of which it does not know who shares it.
    fn lead(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        let index = self.log.last_index().next();
        let followers = self.config.other_voters().map(|id| Progress::unknown(id, index));
        let noop = Entry { term: self.hard_state.term, index, payload: Payload::Noop };
        let noop: Entries = [noop].into_iter().collect();
        let mut unsettled = Sizes::default();
        unsettled.push(&noop);
        self.role = Role::Leader(Leader {
            followers: followers.collect(),
            inherited: index.previous(),
            unsettled,
        });
        self.append(noop, outputs);
        self.for_each_follower(outputs, Progress::send)
    }
}
