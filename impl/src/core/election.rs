//! Elections (rules E1 to E5, L5).

use super::Raft;
use super::configurations::{electorate, votes_in};
use super::outputs::Outputs;
use super::progress::Progress;
use super::quorum::is_quorum;
use super::role::{Candidate, Leader, Role};
use super::sizes::Sizes;
use crate::storage::{HardState, LogStore, StoreError};
use kontiki_specs::{Entries, Entry, LogPosition, Message, Payload, ServerId, WaitingReads};

impl<S: LogStore> Raft<S> {
    /// E1: a server that may and does not lead seeks to, by asking first whether it could (E7) or at
    /// once.
    pub(super) fn election_timeout(&mut self, outputs: &mut Outputs) {
        if self.role.is_leader() || !self.may_campaign() || self.disk.stalls {
            return;
        }
        if self.config.pre_vote {
            self.ask_for_pre_votes(outputs);
        } else {
            self.campaign(false);
        }
    }

    /// E2, E3: the next term, with this server's own vote. Others are asked for theirs when it is
    /// durable. `transfer`: the leader has told it to (E10).
    pub(super) fn campaign(&mut self, transfer: bool) {
        let term = self.hard_state.term.next();
        self.hard_state = HardState { term, vote: Some(self.config.id) };
        self.role = Role::Candidate(Candidate { transfer, ..Candidate::default() });
    }

    /// E2: term and vote are durable; a candidate asks for votes and counts its own.
    pub(super) fn ask_for_votes(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        let Role::Candidate(Candidate { transfer, .. }) = self.role else { return Ok(()) };
        let (term, last) = (self.hard_state.term, self.log.last());
        self.ask_voters(&Message::RequestVote { term, last, transfer }, outputs);
        self.count_vote(self.config.id, outputs)
    }

    /// E2, E7: asks everybody else who has a vote in the newest configuration (M2).
    pub(super) fn ask_voters(&self, request: &Message, outputs: &mut Outputs) {
        for voter in electorate(self.configurations.newest()) {
            if voter != self.config.id {
                outputs.send(voter, request.clone());
            }
        }
    }

    /// E3: one vote a term, for a candidate whose log allows it (E4); who campaigns or leads has
    /// given it to itself. Answered when it is durable: now, or on the completion of its write. M5:
    /// whether this server knows that it has a vote does not matter.
    pub(super) fn request_vote(
        &mut self,
        candidate: ServerId,
        last: LogPosition,
        outputs: &mut Outputs,
    ) {
        let free = self.hard_state.vote.is_none_or(|vote| vote == candidate);
        if !free || !self.is_up_to_date(last) {
            let term = self.hard_state.term;
            outputs.send(candidate, Message::RequestVoteReply { term, granted: false });
            return;
        }
        self.hard_state.vote = Some(candidate);
        if self.hard_state_is_durable() {
            self.grant_vote(candidate, outputs);
        }
    }

    pub(super) fn grant_vote(&self, candidate: ServerId, outputs: &mut Outputs) {
        let term = self.hard_state.term;
        outputs.send(candidate, Message::RequestVoteReply { term, granted: true });
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
        let configuration = self.configurations.newest();
        if let Role::Candidate(candidate) = &mut self.role {
            if votes_in(configuration, voter) {
                candidate.votes.insert(voter);
            }
            if is_quorum(configuration, |voter| candidate.votes.contains(&voter)) {
                return self.lead(outputs);
            }
        }
        Ok(())
    }

    /// E5, L5: a new leader appends a no-op of its term and sends it to every follower, from the end
    /// of its log on: it does not know the followers' logs. M3: if it knows its joint configuration
    /// to be committed, it leaves it at once.
    fn lead(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        let (term, index) = (self.hard_state.term, self.log.last_index().next());
        let noop = Entry { term, index, payload: Payload::Noop };
        let new_configuration = self.new_configuration().map(|configuration| {
            let payload = Payload::Configuration(configuration);
            Entry { term, index: index.next(), payload }
        });
        let first: Entries = [noop].into_iter().chain(new_configuration).collect();
        let mut unsettled = Sizes::default();
        unsettled.push_proposed(&first);
        self.role = Role::Leader(Leader {
            followers: Vec::new(),
            inherited: index.previous(),
            unsettled,
            transfer: None,
            reads: WaitingReads::default(),
        });
        self.append(first, outputs);
        self.follow_members(index, false);
        self.for_each_follower(outputs, Progress::send)
    }
}
